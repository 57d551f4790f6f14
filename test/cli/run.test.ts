import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { ScoreDocument } from '../../src/scoring/score-document.ts';
import { joulemark, startJoulemark, temporaryFolder } from '../support/cli.ts';

const short = ['--profile', 'per-inference', '--inferences', '20'];

describe('joulemark run', () => {
  it('runs the built-in rig without a file and leaves a folder with a report', () => {
    const cwd = temporaryFolder();
    const { status, stdout, stderr } = joulemark(['run'], { cwd });
    expect(status).toBe(0);
    expect(stdout).toContain('SIMULATED');
    const folder = readdirSync(cwd)[0];
    expect(stderr).toContain(folder);
    expect(existsSync(join(cwd, folder, 'report.html'))).toBe(true);
  });

  it('gives the same bytes for the same seed, and score gives the same result from the samples', () => {
    const cwd = temporaryFolder();
    const a = joulemark(['run', '--seed', '7', '--out', 'A', '--json', ...short], { cwd });
    joulemark(['run', '--seed', '7', '--out', 'B', '--quiet', ...short], { cwd });
    for (const name of readdirSync(join(cwd, 'A')).filter((file) => file !== 'manifest.json')) {
      expect(readFileSync(join(cwd, 'A', name)).equals(readFileSync(join(cwd, 'B', name))), name).toBe(true);
    }
    const rescored = joulemark(['score', 'A', '--json'], { cwd });
    expect(rescored.stdout).toBe(readFileSync(join(cwd, 'A', 'result.json'), 'utf8'));
    expect(JSON.parse(a.stdout)).toMatchObject({
      schema: 'joulemark.run/1',
      folder: 'A',
      windows: JSON.parse(rescored.stdout).windows,
    });
    expect(joulemark(['verify', 'A'], { cwd }).status).toBe(0);
  });

  it('never writes into a folder that exists', () => {
    const cwd = temporaryFolder();
    expect(joulemark(['run', '--out', 'A', ...short], { cwd }).status).toBe(0);
    const before = readdirSync(join(cwd, 'A'));
    const { status, stderr } = joulemark(['run', '--out', 'A', ...short], { cwd });
    expect(status).toBe(2);
    expect(stderr).toMatch(/A: exists already/);
    expect(readdirSync(join(cwd, 'A'))).toEqual(before);
  });

  it('gives no figure for a lost edge, says why, keeps the folder and exits 2', () => {
    const cwd = temporaryFolder();
    const { status, stdout, stderr } = joulemark(['run', '--fault', 'lost-edge', '--out', 'A', '--json', ...short], {
      cwd,
    });
    expect(status).toBe(2);
    const document = JSON.parse(stdout) as ScoreDocument;
    expect(document.refusal?.code).toBe('edges.lost');
    expect(document.windows).toEqual([]);
    expect(stderr).toContain('edges.lost');
    expect(joulemark(['verify', 'A'], { cwd }).status).toBe(0);
    expect(joulemark(['score', 'A'], { cwd }).status).toBe(2);
  });

  it('names the line of a mistake in the rig file', () => {
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, 'rig.yaml'), 'version: 1\nprofil: kws01\n');
    const { status, stderr } = joulemark(['run', 'rig.yaml'], { cwd });
    expect(status).toBe(2);
    expect(stderr).toMatch(/rig\.yaml:2/);
    expect(stderr).toContain('profile');
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  it.each([
    [['--seed', 'x']],
    [['--pace', '-1']],
    [['--fault', 'gremlins']],
    [['--slicing', 'thin']],
    [['--net', 'none']],
    [['--sign', 'no-such-key.pem']],
    [['--nonsense']],
  ])('refuses %s with exit code 2 and without a stack trace', (args) => {
    const cwd = temporaryFolder();
    const { status, stderr } = joulemark(['run', ...args], { cwd });
    expect(status).toBe(2);
    expect(stderr).not.toBe('');
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(readdirSync(cwd)).toEqual([]);
  });

  it('writes the windows as CSV', () => {
    const cwd = temporaryFolder();
    const { status, stdout } = joulemark(['run', '--csv', '-', '--quiet', ...short], { cwd });
    expect(status).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(21);
    expect(lines[0]).toMatch(/^index,start_s,duration_s,.*energy_uJ/);
  });

  it('closes the capture and keeps it when it is interrupted, with exit code 130', async () => {
    const cwd = temporaryFolder();
    const folder = join(cwd, 'A');
    const child = startJoulemark([
      'run',
      '--pace',
      '1',
      '--out',
      folder,
      '--profile',
      'per-inference',
      '--inferences',
      '500',
    ]);
    child.stdout.resume();
    await once(child.stderr, 'data');
    await sleep(800);
    child.kill('SIGINT');
    const [code] = await once(child, 'exit');
    expect(code).toBe(130);
    expect(joulemark(['verify', folder]).status).toBe(0);
    const { status, stdout } = joulemark(['score', folder, '--json']);
    expect(status).toBe(0);
    expect((JSON.parse(stdout) as ScoreDocument).windows.length).toBeGreaterThan(0);
  });

  it('keeps all but the last 100 ms of a run that is killed, and recover makes a copy that scores the same', async () => {
    const cwd = temporaryFolder();
    for (let k = 0; k < 4; k++) {
      const folder = join(cwd, `K${k}`);
      const child = startJoulemark([
        'run',
        '--pace',
        '1',
        '--seed',
        String(k),
        '--out',
        folder,
        '--profile',
        'per-inference',
        '--inferences',
        '500',
      ]);
      let stderr = '';
      child.stdout.resume();
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        stderr += text;
      });
      await once(child.stderr, 'data');
      await sleep(300 + 217 * k);
      child.kill('SIGKILL');
      await once(child, 'close');
      const produced = Number(/.*produced (\d+)\n/s.exec(stderr)![1]);
      const verified = JSON.parse(joulemark(['verify', folder, '--json']).stdout);
      expect(verified.cutOff).toBe(true);
      const [stream] = verified.streams;
      // 20 samples are a millisecond.
      expect((produced - stream.lastTick) / 20).toBeLessThan(100);
      const before = JSON.parse(joulemark(['score', folder, '--json']).stdout) as ScoreDocument;
      expect(before.warnings.map((w) => w.code)).toContain('capture.cut-off');
      const copy = join(cwd, `R${k}`);
      expect(joulemark(['recover', folder, copy]).status).toBe(0);
      expect(joulemark(['verify', copy]).status).toBe(0);
      const after = JSON.parse(joulemark(['score', copy, '--json']).stdout) as ScoreDocument;
      expect(after.warnings.map((w) => w.code)).toContain('capture.recovered');
      expect({ ...after, warnings: [] }).toEqual({ ...before, warnings: [] });
    }
  });
});

describe('joulemark verify', () => {
  it('names the file and block of a changed byte', () => {
    const cwd = temporaryFolder();
    joulemark(['run', '--out', 'A', ...short], { cwd });
    for (const name of readdirSync(join(cwd, 'A'))) {
      const path = join(cwd, 'A', name);
      const bytes = readFileSync(path);
      const changed = Buffer.from(bytes);
      changed[Math.floor(bytes.length / 2)] ^= 1;
      writeFileSync(path, changed);
      const { status, stdout } = joulemark(['verify', 'A'], { cwd });
      expect(status, name).toBe(1);
      expect(stdout).toMatch(new RegExp(`^${name.replaceAll('.', '\\.')}(, block \\d+)?`, 'm'));
      writeFileSync(path, bytes);
    }
    expect(joulemark(['verify', 'A'], { cwd }).status).toBe(0);
  });

  it('exits 2 for what is no run folder', () => {
    expect(joulemark(['verify', temporaryFolder()]).status).toBe(2);
  });
});

describe('joulemark report', () => {
  it('writes one page for one run and a comparison for several, and overwrites nothing', () => {
    const cwd = temporaryFolder();
    joulemark(['run', '--out', 'A', ...short], { cwd });
    joulemark(['run', '--out', 'B', '--seed', '2', ...short], { cwd });
    expect(joulemark(['report', 'A', '--out', 'a.html'], { cwd }).status).toBe(0);
    expect(readFileSync(join(cwd, 'a.html'), 'utf8')).toContain('SIMULATED');
    expect(joulemark(['report', 'A', 'B', '--out', 'ab.html'], { cwd }).status).toBe(0);
    const { status, stderr } = joulemark(['report', 'A', '--out', 'a.html'], { cwd });
    expect(status).toBe(2);
    expect(stderr).toContain('exists already');
  });
});

describe('the command line', () => {
  it('prints its version, its help, and exits 2 for an unknown command', () => {
    expect(joulemark(['--version']).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    expect(joulemark(['--help']).status).toBe(0);
    expect(joulemark(['frobnicate']).status).toBe(2);
  });
});
