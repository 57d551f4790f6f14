import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { verifyRunFolder } from '../../src/capture/verify.ts';
import { DutEmulator, type DutFault, emulatedNetwork } from '../../src/dut/emulators/index.ts';
import { virtualBenchmarks } from '../../src/dut/virtual/benchmarks.ts';
import { parseRig } from '../../src/rig/rig-file.ts';
import { runBenchmark } from '../../src/rig/run-benchmark.ts';
import { openPty } from '../../src/transport/pty.ts';
import { temporaryFolder } from '../support/energyrunner-folder.ts';
import { noPty } from '../support/pty.ts';

if (noPty) console.warn(`interrupted runs over PTYs are not tested: ${noPty}`);

const { folder, remove } = temporaryFolder();
afterAll(remove);

const network = { ...emulatedNetwork(virtualBenchmarks.kws01), inference_s: 0.05 };
let runs = 0;

interface Setup {
  mode: 'energy' | 'performance' | 'accuracy';
  /** The run is interrupted when its log holds this, or so many ms after its beginning. */
  at: RegExp | number;
  faults?: DutFault[];
  instrument?: string;
}

/** Interrupts a run of an emulated DUT behind a PTY. */
async function interrupted({ mode, at, faults = [], instrument = '{settings: {rate_Hz: 2000}}' }: Setup) {
  const pty = await openPty();
  const emulator = new DutEmulator(pty.device, {
    network,
    mode: mode === 'energy' ? 'energy' : 'performance',
    baud: null,
    boot_s: 0.02,
    faults,
  });
  const path = join(folder, `run-${runs++}`);
  const rigText = `version: 1
profile: kws01
instrument: ${instrument}
dut: {name: interrupted, connection: ${pty.path}, mode: ${mode}, inferences: 40}
`;
  const interrupt = new AbortController();
  const logFile = join(path, 'log.txt');
  const log = () => (existsSync(logFile) ? readFileSync(logFile, 'utf8') : '');
  const due = async () => {
    if (typeof at === 'number') await sleep(at);
    else while (!at.test(log())) await sleep(20);
    interrupt.abort();
  };
  try {
    const [outcome] = await Promise.all([
      runBenchmark(parseRig(rigText, 'rig'), { folder: path, rigText, interrupt: interrupt.signal }),
      due(),
    ]);
    return { outcome, log: log(), path };
  } catch (error) {
    return { error: error as { code: string }, log: log(), path };
  } finally {
    emulator.stop();
    await pty.device.close();
  }
}

describe.skipIf(noPty !== null).concurrent('a run that is interrupted', () => {
  for (const instrument of ['{settings: {rate_Hz: 2000}}', '{family: lpm01a, connection: emulated}']) {
    test(`in the middle of a window has the last lines of its log, the supply off among them: ${instrument}`, async () => {
      const { outcome, log, path } = await interrupted({ mode: 'energy', at: /m-infer-start-40/, instrument });
      expect(outcome).toMatchObject({ interrupted: true, failure: null, energyRunnerFolder: null, audit: null });
      expect(outcome!.energyRunnerRefusal).toBe('the run was interrupted');
      expect(log).toMatch(
        / emon: m-power\[off\]\n\S+ sequencer: m-sequencer-stop\n\S+ session: m-session-stop-id\[\d+\]\n[^\n]* Saved this run to session ID \d+\n$/,
      );
      expect((await verifyRunFolder(path)).ok).toBe(true);
      expect(existsSync(`${path}-energyrunner`)).toBe(false);
    }, 30_000);
  }

  test('before it began leaves nothing', async () => {
    const { error, path } = await interrupted({ mode: 'energy', at: 500, faults: [{ kind: 'silent' }] });
    expect(error!.code).toBe('run.interrupted');
    expect(existsSync(path)).toBe(false);
  }, 30_000);

  test('without an instrument keeps its windows and answers so far', async () => {
    const performance = await interrupted({ mode: 'performance', at: /m-infer-done.*m-infer-done/s });
    const { windows, gates, warnings, mode } = performance.outcome!.document;
    expect(mode).toBe('performance');
    expect(windows.length).toBeGreaterThanOrEqual(1);
    expect(windows.length).toBeLessThan(5);
    expect(gates.find(({ id }) => id === 'windows')!.met).toBe(false);
    expect(warnings.map(({ code }) => code)).toContain('run.ended-early');
    const accuracy = await interrupted({ mode: 'accuracy', at: /(m-results.*){3}/s });
    const { accuracy: figures, gates: targets } = accuracy.outcome!.document;
    expect(figures!.n).toBeGreaterThanOrEqual(3);
    // A part of the inputs says nothing of a target over all of them.
    expect(targets.map(({ met }) => met)).toEqual([null]);
    for (const { path } of [performance, accuracy]) expect((await verifyRunFolder(path)).ok).toBe(true);
  }, 30_000);
});
