import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { simulatedInput } from '../../src/dut/emulators/index.ts';
import { joulemark, startJoulemark, temporaryFolder } from '../support/cli.ts';
import { noPty } from '../support/pty.ts';

if (noPty) console.warn(`tests of the command line over PTYs are skipped: ${noPty}`);

/** Serves an emulated DUT in a process of its own. */
async function serve(...options: string[]): Promise<string> {
  const child = startJoulemark(['emulate', 'dut', '--quiet', ...options]);
  onTestFinished(() => void child.kill('SIGINT'));
  return new Promise((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString().trim()));
    child.once('exit', () => reject(new Error('the emulator ended')));
  });
}

function rigFile(folder: string, port: string, dut: string): string {
  const path = join(folder, 'rig.yaml');
  writeFileSync(
    path,
    `version: 1\nprofile: kws01\ninstrument: {settings: {rate_Hz: 2000}}\ndut: {name: served, connection: ${port}, ${dut}}\n`,
  );
  return path;
}

describe.skipIf(noPty !== null)('joulemark run on a DUT that another process serves', () => {
  test('measures throughput, and exits 1 for windows that are too short', async () => {
    const folder = temporaryFolder();
    const rig = rigFile(folder, await serve('--mode', 'performance'), 'mode: performance, inferences: 20');
    const { status, stdout } = joulemark(['run', rig, '--out', join(folder, 'out'), '--json']);
    const result = JSON.parse(stdout);
    expect(status).toBe(1);
    expect(result).toMatchObject({ mode: 'performance', model: 'kws01', simulated: true, interrupted: false });
    expect(result.windows.length).toBe(5);
    // Its inference takes 42 ms.
    expect(result.median.throughput_ips).toBeGreaterThan(22);
    expect(result.median.throughput_ips).toBeLessThan(24);
    expect(result.unmet).toEqual([expect.stringContaining('at least 10 s in each window')]);
    expect(result.windows[0]).toMatchObject({ energy_uJ: null, power_uW: null, method: 'dut-laps/1' });
    expect(result.laps).toEqual({ resolution_s: 1e-6, wraps: 0 });
    expect(result.energyRunner).toEqual({ folder: join(folder, 'out-energyrunner'), refusal: null });
    expect(result.audit).toMatchObject({ arithmetic: 'exact', verdict: 'unverifiable' });
    expect(result.audit.findings).toContain('claim.simulated');
    // The run folder holds it all: it can be verified, scored again, reported and audited.
    expect(joulemark(['verify', join(folder, 'out')]).status).toBe(0);
    const score = joulemark(['score', join(folder, 'out'), '--json']);
    expect(score.status).toBe(1);
    expect(JSON.parse(score.stdout)).toMatchObject({ schema: 'joulemark.score/1', windows: result.windows });
    expect(joulemark(['report', join(folder, 'out'), '--out', join(folder, 'page.html')]).status).toBe(0);
    expect(readFileSync(join(folder, 'page.html'), 'utf8')).toContain('Throughput');
    const audit = joulemark(['audit', join(folder, 'out'), '--json']);
    expect(JSON.parse(audit.stdout).claims[0]).toMatchObject({
      mode: 'performance',
      arithmetic: 'exact',
      verdict: 'unverifiable',
    });
  }, 60_000);

  test('measures accuracy: that which its network is known to have', async () => {
    const folder = temporaryFolder();
    const port = await serve('--mode', 'performance');
    const { status, stdout } = joulemark([
      'run',
      '--dut',
      port,
      '--mode',
      'accuracy',
      '--out',
      join(folder, 'out'),
      '--json',
    ]);
    expect(status).toBe(0);
    expect(JSON.parse(stdout).accuracy).toMatchObject({ n: 120, top1_pct: (100 * 115) / 120 });
  }, 120_000);

  test('measures accuracy over inputs of a folder, and exits 1 for a target that is missed', async () => {
    const folder = temporaryFolder();
    const labels = Array.from({ length: 12 }, (_, k) => {
      // An emulated network finds what the first byte says: two of twelve are wrong.
      writeFileSync(join(folder, `input_${k}.bin`), simulatedInput(3072, k < 2 ? 9 - k : k % 10, k));
      return `input_${k}.bin,10,${k % 10}\n`;
    });
    writeFileSync(join(folder, 'y_labels.csv'), labels.join(''));
    const port = await serve('--mode', 'performance', '--model', 'ic01');
    const rig = rigFile(folder, port, `mode: accuracy, inputs: ${folder}`);
    const { status, stdout, stderr } = joulemark([
      'run',
      rig,
      '--profile',
      'ic01',
      '--out',
      join(folder, 'out'),
      '--json',
    ]);
    const result = JSON.parse(stdout);
    expect(result.unmet).toEqual(['top1_pct >= 85 over the whole data set demanded, found 83.33 over 12 inputs']);
    expect(stderr).toMatch(
      /^Audit of the layout: unverifiable: arithmetic exact, evidence incomplete, rules met; .*quality\.below/m,
    );
    expect(status).toBe(1);
    expect(result.accuracy).toMatchObject({ n: 12, top1_pct: (100 * 10) / 12 });
    expect(result.windows).toEqual([]);
    const score = joulemark(['score', join(folder, 'out'), '--json']);
    expect([score.status, JSON.parse(score.stdout).accuracy]).toEqual([1, result.accuracy]);
    const audit = JSON.parse(joulemark(['audit', join(folder, 'out'), '--json']).stdout);
    expect(audit.claims[0]).toMatchObject({
      mode: 'accuracy',
      arithmetic: 'exact',
      recomputed: { top1_pct: (100 * 10) / 12 },
    });
  }, 60_000);

  test('is interrupted with exit code 130 and a capture that is whole', async () => {
    const folder = temporaryFolder();
    const rig = rigFile(folder, await serve(), 'inferences: 500');
    const run = startJoulemark(['run', rig, '--out', join(folder, 'out')]);
    await new Promise((resolve) => setTimeout(resolve, 7000));
    run.kill('SIGINT');
    const status = await new Promise((resolve) => run.once('exit', resolve));
    expect(status).toBe(130);
    expect(readFileSync(join(folder, 'out', 'log.txt'), 'utf8')).toContain(' emon: m-power[off]\n');
    expect(joulemark(['verify', join(folder, 'out')]).status).toBe(0);
  }, 60_000);
});

test('joulemark emulate dut refuses what it cannot emulate', () => {
  expect(joulemark(['emulate', 'dut', '--model', 'none']).status).toBe(2);
  const { status, stderr } = joulemark(['emulate', 'dut', '--fault', 'gremlins']);
  expect(status).toBe(2);
  expect(stderr).toContain('half-line@COMMAND');
});
