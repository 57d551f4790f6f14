import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openRunFolder } from '../../src/capture/run-folder.ts';
import type { WindowTruth } from '../../src/signal/recording.ts';
import { joulemark, startJoulemark } from '../support/cli.ts';
import { temporaryFolder } from '../support/energyrunner-folder.ts';
import { noPty } from '../support/pty.ts';
import { referenceAnswer, testSet } from '../support/small-network.ts';

if (noPty) console.warn(`tests of runs between processes are skipped: ${noPty}`);

const { folder: root, remove } = temporaryFolder();
const emulators: ChildProcess[] = [];
afterAll(() => {
  for (const child of emulators) child.kill('SIGKILL');
  remove();
});

const newFolder = () => mkdtempSync(join(root, 'run-'));

/** Resolution of the virtual instrument's capture timer. */
const capture_s = 1e-6;

/** An emulator in a process of its own. */
async function serve(...args: string[]): Promise<{ child: ChildProcess; port: string }> {
  const child = startJoulemark(['emulate', ...args, '--quiet']);
  emulators.push(child);
  const port = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString().trim()));
    child.once('exit', () => reject(new Error('the emulator ended')));
  });
  return { child, port };
}

function rigFile(folder: string, port: string, more = ''): string {
  const path = join(folder, 'rig.yaml');
  const via = more.includes('io-manager') ? 'via: io-manager, ' : '';
  writeFileSync(
    path,
    `version: 1\nprofile: kws01\ndut: {name: served, connection: ${port}, ${via}inferences: 12}\n${more}`,
  );
  return path;
}

/** Runs the command line without blocking: the emulator's output must be read meanwhile. */
async function run(args: string[]): Promise<{ status: number | null; stdout: string; stderr: string }> {
  const child = startJoulemark(['run', ...args]);
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { status, stdout, stderr };
}

/** The DUT's own windows, as it told of them. */
async function truthsOf(folder: string): Promise<WindowTruth[]> {
  const truths: WindowTruth[] = [];
  for await (const truth of (await openRunFolder(folder)).truth()) truths.push(truth);
  return truths;
}

describe.skipIf(noPty !== null).concurrent('a DUT that another process emulates', () => {
  test('is measured between its exact edges, run after run', async () => {
    const folder = newFolder();
    const { port } = await serve('dut');
    for (const name of ['first', 'second']) {
      const out = join(folder, name);
      // The windows are too short for the benchmark.
      const { status, stdout, stderr } = await run([rigFile(folder, port), '--out', out, '--json']);
      expect(status, stderr).toBe(1);
      const { windows, warnings, provenance, simulated } = JSON.parse(stdout);
      expect(provenance.trigger).toEqual({ kind: 'instrument-pin', isCoarse: false });
      expect(simulated).toBe(true);
      expect(warnings).toEqual([]);
      const truths = await truthsOf(out);
      expect(windows.length).toBe(5);
      expect(truths.length).toBe(5);
      for (const [k, { start_s, duration_s, truth }] of windows.entries()) {
        expect(Math.abs(start_s - truths[k].start_s)).toBeLessThanOrEqual(capture_s);
        expect(Math.abs(duration_s - (truths[k].end_s - truths[k].start_s))).toBeLessThanOrEqual(2 * capture_s);
        expect(Math.abs(truth.error_rel)).toBeLessThan(truth.tolerance_rel);
      }
      const log = readFileSync(join(out, 'log.txt'), 'utf8');
      for (const { bytes } of testSet().slice(0, 5)) {
        expect(log).toContain(`m-results-[${referenceAnswer(bytes).join(',')}]`);
      }
    }
  }, 90_000);

  test('is measured through the driver of an emulated instrument between exact edges', async () => {
    const folder = newFolder();
    const { port } = await serve('dut');
    const out = join(folder, 'out');
    const rig = rigFile(folder, port, 'instrument: {family: ppk2, connection: emulated}\n');
    const { status, stdout, stderr } = await run([rig, '--out', out, '--json']);
    expect(status, stderr).toBe(1);
    const { windows, warnings } = JSON.parse(stdout);
    expect(warnings.map(({ code }: { code: string }) => code)).toEqual(['voltage.assumed']);
    const truths = await truthsOf(out);
    for (const [k, { duration_s, truth }] of windows.entries()) {
      // Its pins are sampled, at 100 kHz.
      expect(Math.abs(duration_s - (truths[k].end_s - truths[k].start_s))).toBeLessThanOrEqual(2e-5);
      expect(Math.abs(truth.error_rel)).toBeLessThan(truth.tolerance_rel);
    }
  }, 60_000);

  test('is bracketed by the timer of an emulated UNO that stands before it', async () => {
    const folder = newFolder();
    const { port } = await serve('io-manager');
    const out = join(folder, 'out');
    const rig = rigFile(folder, port, 'trigger: {source: io-manager}\n');
    const { status, stdout, stderr } = await run([rig, '--out', out, '--json']);
    expect(status, stderr).toBe(1);
    const { windows, alignments } = JSON.parse(stdout);
    expect(alignments[0]).toMatchObject({ edges: 'io-manager', method: 'shared-pulses' });
    const truths = await truthsOf(out);
    for (const [k, { start_s, duration_s }] of windows.entries()) {
      // It prints whole microseconds.
      expect(Math.abs(start_s - truths[k].start_s)).toBeLessThanOrEqual(2 * capture_s);
      expect(Math.abs(duration_s - (truths[k].end_s - truths[k].start_s))).toBeLessThanOrEqual(2 * capture_s);
    }
  }, 60_000);

  test.each([
    ['is killed', 'SIGKILL', /vanished|world-lost/],
    ['stands still', 'SIGSTOP', /world-lost|no answer/],
  ] as const)(
    'that %s under way ends the run with exit code 2, and the capture is kept',
    async (_, signal, message) => {
      const folder = newFolder();
      const { child, port } = await serve('dut');
      const out = join(folder, 'out');
      setTimeout(() => child.kill(signal), 5000);
      const begun_ms = Date.now();
      const { status, stderr } = await run([rigFile(folder, port), '--out', out]);
      expect(status).toBe(2);
      expect(stderr).toMatch(message);
      expect(stderr).not.toMatch(/^\s+at /m);
      expect(Date.now() - begun_ms).toBeLessThan(25_000);
      expect(joulemark(['verify', out]).status).toBe(0);
    },
    60_000,
  );
});

test.skipIf(noPty !== null)(
  'a run can serve its own emulated DUT',
  async () => {
    const folder = newFolder();
    const out = join(folder, 'out');
    const { status, stdout, stderr } = await run([rigFile(folder, 'pty'), '--out', out, '--json']);
    expect(status, stderr).toBe(1);
    const truths = await truthsOf(out);
    for (const [k, { start_s }] of JSON.parse(stdout).windows.entries()) {
      expect(Math.abs(start_s - truths[k].start_s)).toBeLessThanOrEqual(capture_s);
    }
  },
  60_000,
);
