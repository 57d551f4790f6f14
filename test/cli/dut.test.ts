import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
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
    expect(result.unmet.length).toBeGreaterThan(0);
    const audit = joulemark(['audit', join(folder, 'out'), '--json']);
    expect(JSON.parse(audit.stdout).claims[0]).toMatchObject({ arithmetic: 'exact', verdict: 'unverifiable' });
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

  test('is interrupted with exit code 130 and a capture that is whole', async () => {
    const folder = temporaryFolder();
    const rig = rigFile(folder, await serve(), 'inferences: 500');
    const run = startJoulemark(['run', rig, '--out', join(folder, 'out')]);
    await new Promise((resolve) => setTimeout(resolve, 7000));
    run.kill('SIGINT');
    const status = await new Promise((resolve) => run.once('exit', resolve));
    expect(status).toBe(130);
    expect(joulemark(['verify', join(folder, 'out')]).status).toBe(0);
  }, 60_000);

  test('tells in one line what went wrong, with exit code 2', async () => {
    for (const [fault, message] of [
      ['error@infer', /e-\[made up\]/],
      ['vanish@infer', /vanished/],
      ['half-line@profile', /stopped inside a line: "m-rea"/],
    ] as const) {
      const folder = temporaryFolder();
      const rig = rigFile(folder, await serve('--fault', fault), 'inferences: 10');
      const { status, stderr } = joulemark(['run', rig, '--out', join(folder, 'out')]);
      expect(status, fault).toBe(2);
      expect(stderr, fault).toMatch(message);
      expect(stderr, fault).not.toMatch(/^\s+at /m);
    }
  }, 90_000);
});

test('joulemark emulate dut refuses what it cannot emulate', () => {
  expect(joulemark(['emulate', 'dut', '--model', 'none']).status).toBe(2);
  const { status, stderr } = joulemark(['emulate', 'dut', '--fault', 'gremlins']);
  expect(status).toBe(2);
  expect(stderr).toContain('half-line@COMMAND');
});
