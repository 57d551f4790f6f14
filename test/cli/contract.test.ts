import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findingCatalogue } from '../../src/audit/findings.ts';
import { joulemark, root, startJoulemark, temporaryFolder } from '../support/cli.ts';

const short = ['--profile', 'per-inference', '--inferences', '5', '--quiet'];

/** A folder with a run `A` in it. */
function folderWithRun(): string {
  const cwd = temporaryFolder();
  expect(joulemark(['run', '--out', 'A', ...short], { cwd }).status).toBe(0);
  return cwd;
}

describe('stdout', () => {
  it('holds one JSON document or one table, never both', () => {
    const cwd = folderWithRun();
    for (const command of [
      ['run', '--out', 'B', ...short],
      ['score', 'A'],
    ]) {
      const { status, stdout, stderr } = joulemark([...command, '--json', '--csv', '-'], { cwd });
      expect(status).toBe(2);
      expect(stdout).toBe('');
      expect(stderr).toContain('--csv -');
    }
    expect(existsSync(join(cwd, 'B'))).toBe(false);
  });

  it('tells the scores of several recordings apart, and those that failed', () => {
    const cwd = folderWithRun();
    const { status, stdout } = joulemark(['score', 'A', 'nowhere', 'A', '--json'], { cwd });
    expect(status).toBe(2);
    const { recordings, errors } = JSON.parse(stdout);
    expect(recordings.map((recording: { source: { path: string } }) => recording.source.path)).toEqual(['A', 'A']);
    expect(errors).toMatchObject([{ path: 'nowhere', code: 'file.unreadable' }]);
  });

  it('may be closed early', async () => {
    const child = startJoulemark(['--help']);
    child.stdout.destroy();
    child.stderr.resume();
    expect((await once(child, 'exit'))[0]).toBe(0);
  });

  it.skipIf(!existsSync('/dev/full'))('on a full disk is an error with a message, not a stack trace', async () => {
    const full = openSync('/dev/full', 'w');
    const child = spawn(
      process.execPath,
      [join(root, 'bin', 'joulemark.js'), 'audit', '--explain', 'claim.simulated'],
      {
        stdio: ['ignore', full, 'pipe'],
      },
    );
    let stderr = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    expect((await once(child, 'close'))[0]).toBe(2);
    expect(stderr).toMatch(/^error: stdout: .*ENOSPC/);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  it('is JSON for --explain too', () => {
    const { stdout } = joulemark(['audit', '--explain', 'claim.simulated', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      schema: 'joulemark.audit-explain/1',
      code: 'claim.simulated',
      severity: findingCatalogue['claim.simulated']!.severity,
    });
  });
});

describe('messages', () => {
  it('say where to read about usage', () => {
    for (const args of [['score'], ['run', '--nonsense'], ['frobnicate']]) {
      expect(joulemark(args).stderr).toContain('--help');
    }
  });

  it('carry no control characters of a name to the terminal', () => {
    const { status, stderr } = joulemark(['score', 'a\u001b[31mb\u202ec\nd']);
    expect(status).toBe(2);
    expect(stderr).toMatch(/^error: a\[31mbc d: /);
  });
});

describe('files', () => {
  it('that cannot be made are told before the work, and nothing is put into a run folder', () => {
    const cwd = folderWithRun();
    writeFileSync(join(cwd, 'taken'), 'mine');
    for (const target of ['taken', 'A/x', 'nowhere/x']) {
      const commands = [
        ['run', '--out', 'B', '--csv', target, ...short],
        ['score', 'A', '--csv', target],
        ['report', 'A', '--out', target],
        ['audit', 'A', '--md', target],
        ['audit', 'A', '--html', target],
        ['audit', 'A', '--sarif', target],
      ];
      for (const command of commands) {
        const { status, stdout, stderr } = joulemark(command, { cwd });
        expect(status, command.join(' ')).toBe(2);
        expect(stdout).toBe('');
        expect(stderr).toContain(target);
      }
    }
    expect(existsSync(join(cwd, 'B'))).toBe(false);
    expect(readFileSync(join(cwd, 'taken'), 'utf8')).toBe('mine');
    expect(joulemark(['run', '--out', 'A/B', ...short], { cwd }).status).toBe(2);
    expect(joulemark(['verify', 'A'], { cwd }).status).toBe(0);
  });

  it('of a key pair are made both or not at all', () => {
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, 'k.pub.pem'), '');
    expect(joulemark(['keygen', 'k'], { cwd }).status).toBe(2);
    expect(existsSync(join(cwd, 'k.key.pem'))).toBe(false);
  });
});

describe('options that may be repeated', () => {
  it('do not swallow the path behind them', () => {
    const cwd = folderWithRun();
    joulemark(['keygen', 'k'], { cwd });
    joulemark(['keygen', 'l'], { cwd });
    joulemark(['run', '--sign', 'k.key.pem', '--out', 'B', ...short], { cwd });
    expect(joulemark(['verify', '--trust', 'l.pub.pem', '--trust', 'k.pub.pem', 'B'], { cwd }).status).toBe(0);
    expect(joulemark(['verify', '--trust', 'l.pub.pem', 'B'], { cwd }).status).toBe(1);
    writeFileSync(join(cwd, 'index.json'), joulemark(['audit', 'B', '--json'], { cwd }).stdout);
    const { status, stderr } = joulemark(['audit', '--index', 'index.json', '--trust', 'k.pub.pem', 'B'], { cwd });
    expect([status, stderr]).toEqual([1, '']);
  });
});

describe('options that would be ignored', () => {
  it('are refused: a number of inferences for a profile that has its own', () => {
    const cwd = temporaryFolder();
    const { status, stderr } = joulemark(['run', '--profile', 'kws01', '--inferences', '5', '--out', 'A'], { cwd });
    expect(status).toBe(2);
    expect(stderr).toContain('per-inference');
    expect(existsSync(join(cwd, 'A'))).toBe(false);
  });

  it('are refused: a folder of labels that cannot be read', () => {
    const cwd = folderWithRun();
    mkdirSync(join(cwd, 'labels'));
    expect(joulemark(['audit', 'A', '--labels', 'labels'], { cwd }).status).toBe(1);
    const { status, stderr } = joulemark(['audit', 'A', '--labels', 'lables'], { cwd });
    expect(status).toBe(2);
    expect(stderr).toContain('--labels lables');
  });
});

describe('an instrument that vanishes', () => {
  it('gives figures for what was measured, and the exit code of a run that is not well', () => {
    const cwd = temporaryFolder();
    const { status, stdout } = joulemark(['run', '--fault', 'unplug', '--out', 'A', '--json', ...short], { cwd });
    expect(status).toBe(1);
    const document = JSON.parse(stdout);
    expect(document.warnings.map(({ code }: { code: string }) => code)).toContain('instrument.unplugged');
    expect(document.windows.length).toBeGreaterThan(0);
    expect(joulemark(['score', 'A'], { cwd }).status).toBe(0);
  });
});

describe.skipIf(process.platform !== 'linux' || spawnSync('script', ['--version']).error !== undefined)(
  'on a terminal',
  () => {
    const onTerminal = (args: string[], cwd: string) =>
      spawnSync(
        'script',
        ['-qec', [process.execPath, join(root, 'bin', 'joulemark.js'), ...args].join(' '), '/dev/null'],
        {
          cwd,
          encoding: 'utf8',
          input: '',
        },
      ).stdout;

    it('long work shows a bar with an ETA, takes it away again, and shows the cursor', () => {
      const cwd = folderWithRun();
      for (const args of [
        ['score', 'A'],
        ['verify', 'A'],
        ['report', 'A', '--out', 'a.html'],
        ['audit', 'A'],
      ]) {
        const shown = onTerminal(args, cwd);
        expect(shown, args[0]).toMatch(/ETA/);
        expect(shown.split('\u001b[?25l')).toHaveLength(shown.split('\u001b[?25h').length);
        expect(
          onTerminal([...args.slice(0, 2), '--quiet', ...(args[0] === 'report' ? ['--out', 'b.html'] : [])], cwd),
        ).not.toMatch(/ETA/);
      }
    });
  },
);
