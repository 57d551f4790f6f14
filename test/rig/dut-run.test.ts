import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openEnergyRunner } from '../../src/capture/formats/energyrunner/index.ts';
import { openRunFolder } from '../../src/capture/run-folder.ts';
import { verifyRunFolder } from '../../src/capture/verify.ts';
import { DutEmulator, type DutFault, emulatedNetwork, IoManagerEmulator } from '../../src/dut/emulators/index.ts';
import { WorldServer } from '../../src/dut/emulators/world-server.ts';
import { virtualBenchmarks } from '../../src/dut/virtual/benchmarks.ts';
import { parseRig } from '../../src/rig/rig-file.ts';
import { type RunOptions, type RunOutcome, resultFiles, runBenchmark } from '../../src/rig/run-benchmark.ts';
import { scorePublished } from '../../src/scoring/published.ts';
import { memoryPair } from '../../src/transport/memory.ts';
import { openPty } from '../../src/transport/pty.ts';
import { temporaryFolder } from '../support/energyrunner-folder.ts';
import { noPty } from '../support/pty.ts';
import { watchedSupply } from '../support/watched-supply.ts';

if (noPty) console.warn(`tests of runs over PTYs are skipped: ${noPty}`);

const { folder, remove } = temporaryFolder();
afterAll(remove);

const network = { ...emulatedNetwork(virtualBenchmarks.kws01), inference_s: 0.01 };

interface Setup {
  /** The instrument follows the DUT's pin; else its messages. */
  hasPin?: boolean;
  via?: 'direct' | 'io-manager';
  faults?: DutFault[];
  instrument?: string;
  rig?: string;
  options?: Partial<RunOptions>;
}

let runs = 0;

/** Plays a short energy run on an emulated DUT behind a PTY. */
async function run({
  hasPin = true,
  via = 'direct',
  faults = [],
  instrument = '{settings: {rate_Hz: 5000}}',
  rig = '',
  options = {},
}: Setup) {
  const pty = await openPty();
  const [boardToDut, behindBoard] = memoryPair('dut');
  const board = via === 'io-manager' ? new IoManagerEmulator(pty.device, boardToDut, { kind: 'uno' }) : null;
  const world = new WorldServer();
  const emulator = new DutEmulator(board ? behindBoard : pty.device, {
    network,
    mode: 'energy',
    name: 'pty',
    baud: null,
    boot_s: 0.02,
    faults,
    outside: world,
    onEdge: (polarity, time_s) => board?.edge(polarity, time_s),
  });
  const { powers, dut } = watchedSupply(emulator);
  if (hasPin) {
    await world.listen(pty.path, dut);
  }
  const path = join(folder, `run-${runs++}`);
  const rigText = `version: 1
profile: kws01
instrument: ${instrument}
dut: {name: a DUT on a PTY, connection: ${pty.path}, inferences: 40, via: ${via}}
${rig}`;
  try {
    const outcome = await runBenchmark(parseRig(rigText, 'rig'), {
      folder: path,
      rigText,
      ...options,
    });
    return { outcome, emulator, powers, path };
  } catch (error) {
    return { error: error as { code: string; message: string; remedy: string }, emulator, powers, path };
  } finally {
    emulator.stop();
    board?.stop();
    await world.close();
    await pty.device.close();
  }
}

/** The layout of edges from elsewhere follows from its own files, agrees with the run, and says how well the edges are known. */
function expectLayout({ energyRunnerFolder, energyRunnerRefusal, audit }: RunOutcome, doubt: RegExp) {
  expect(energyRunnerRefusal).toBeNull();
  expect(audit).toMatchObject({ arithmetic: 'exact', evidence: 'incomplete', agreement: { agrees: true } });
  expect(audit!.findings.filter((code) => /^(edges|windows|log|timestamps)\./.test(code))).toEqual([]);
  const log = readFileSync(join(energyRunnerFolder!, 'log.txt'), 'utf8');
  expect(/ session: m-\[(Timestamps .*)\]/.exec(log)?.[1] ?? '').toMatch(doubt);
}

describe.skipIf(noPty !== null).concurrent('an energy run of a DUT on a serial port', () => {
  test('has the windows of the edges of its pin, and the energy of its plant', async () => {
    const { outcome, emulator, powers } = await run({});
    const { windows, accuracy, simulated } = outcome!.document;
    expect(windows.length).toBe(5);
    windows.forEach((window, k) => {
      const { start_s, end_s } = emulator.windows[k];
      // The instrument's clock began when the run did.
      expect(window.start_s - windows[0].start_s).toBeCloseTo(start_s - emulator.windows[0].start_s, 5);
      expect(window.duration_s).toBeCloseTo(end_s - start_s, 5);
      expect(window.inferences).toBe(40);
      expect(Math.abs(window.truth!.error_rel)).toBeLessThan(window.truth!.tolerance_rel);
    });
    expect(accuracy).toMatchObject({ top1_pct: 100, n: 5 });
    expect(simulated).toBe(true);
    expect(powers).toContain(false);
    expect((await verifyRunFolder(outcome!.folder)).ok).toBe(true);
    const again = await resultFiles(await openRunFolder(outcome!.folder));
    expect(JSON.stringify(again.document)).toBe(JSON.stringify(outcome!.document));
  }, 30_000);

  test('is written in the layout of EnergyRunner beside its run folder, and scores to the same digits', async () => {
    const { outcome } = await run({ via: 'io-manager' });
    expect(outcome!.audit).toMatchObject({ arithmetic: 'exact', agreement: { agrees: true } });
    expect(outcome!.audit!.findings).toContain('claim.simulated');
    const recording = await openEnergyRunner(outcome!.energyRunnerFolder!);
    const score = await scorePublished(recording);
    expect(recording.printed!.medianEnergy_uJ!.text).toBe(score.median.energyPerInference_uJ!.toFixed(3));
    expect(score.warnings.map(({ code }) => code)).toEqual(['window.too-short']);
    expect(score.simulated).toBe(true);
    expect(recording.session).toMatchObject({ dutName: 'SIMULATED pty', dutModel: 'kws01', voltage_mV: 3000 });
    expect(recording.session!.calls.map(({ inferences, warmups }) => [inferences, warmups])).toEqual(
      Array(5).fill([40, 1]),
    );
    const ours = outcome!.document.median.energyPerInference_uJ!;
    expect(score.median.energyPerInference_uJ! / ours).toBeCloseTo(1, 1);
    const log = readFileSync(join(outcome!.energyRunnerFolder!, 'log.txt'), 'utf8');
    expect(log).toContain('io: m-dut-passthrough(infer 40 1)');
    expect(log).toContain('io: m-timestmp-mode-FALLING');
    expect(log).toContain('io: [dut]: m-infer-done');
  }, 30_000);

  test('of which only the messages are known takes these for its edges, and says so', async () => {
    const { outcome, emulator } = await run({ hasPin: false });
    const { windows, provenance } = outcome!.document;
    expect(provenance.trigger).toEqual({ kind: 'dut-messages', isCoarse: true });
    expect(outcome!.document.warnings.map(({ code }) => code)).toContain('trigger.coarse');
    expect(windows.length).toBe(5);
    windows.forEach((window, k) => {
      const { start_s, end_s } = emulator.windows[k];
      expect(Math.abs(window.duration_s - (end_s - start_s))).toBeLessThan(0.1);
    });
  }, 30_000);

  test('can be bracketed by the timer of the UNO, on its own clock, which the shared wire relates to that of the samples', async () => {
    const { outcome, error, emulator } = await run({ via: 'io-manager', rig: 'trigger: {source: io-manager}\n' });
    expect(error).toBeUndefined();
    const { windows, provenance } = outcome!.document;
    expect(provenance.trigger).toMatchObject({ kind: 'io-manager', isCoarse: false });
    expect(windows.length).toBe(5);
    windows.forEach((window, k) => {
      const { start_s, end_s } = emulator.windows[k];
      // It prints whole microseconds.
      expect(window.duration_s).toBeCloseTo(end_s - start_s, 5);
      expect(window.start_s - windows[0].start_s).toBeCloseTo(start_s - emulator.windows[0].start_s, 5);
      expect(Math.abs(window.truth!.error_rel)).toBeLessThan(window.truth!.tolerance_rel);
    });
    expectLayout(outcome!, /clock \S+ by shared-pulses, standard uncertainty/);
  }, 30_000);

  test('can be bracketed by the timer of the UNO where nothing but arrival times relates the clocks', async () => {
    const { outcome, emulator } = await run({
      via: 'io-manager',
      hasPin: false,
      rig: 'trigger: {source: io-manager, channel: D1}\n',
    });
    const { windows } = outcome!.document;
    expect(windows.length).toBe(5);
    windows.forEach((window, k) => {
      const { start_s, end_s } = emulator.windows[k];
      expect(Math.abs(window.duration_s - (end_s - start_s))).toBeLessThan(2e-3);
    });
    expectLayout(outcome!, /clock \S+ by (arrival-times|shared-pulses), standard uncertainty/);
  }, 30_000);

  test('can be bracketed by the messages of the DUT, on the clock of the host', async () => {
    const { outcome, error, emulator } = await run({ rig: 'trigger: {source: dut-messages}\n' });
    expect(error).toBeUndefined();
    const { windows, warnings } = outcome!.document;
    expect(warnings.map(({ code }) => code)).toContain('trigger.coarse');
    expect(windows.length).toBe(5);
    windows.forEach((window, k) => {
      const { start_s, end_s } = emulator.windows[k];
      expect(Math.abs(window.duration_s - (end_s - start_s))).toBeLessThan(0.1);
    });
    expectLayout(outcome!, /clock host by \S+, standard uncertainty/);
  }, 30_000);

  test('is refused where the trigger source does not see its pulses, or is not there', async () => {
    const blind = await run({ rig: 'trigger: {source: cts}\n' });
    expect(blind.error).toMatchObject({
      code: 'trigger.pulse-too-short',
      message: expect.stringContaining('kws01 has pulses of 50 us'),
    });
    expect(existsSync(blind.path)).toBe(false);
    expect((await run({ rig: 'trigger: {source: io-manager}\n' })).error!.code).toBe('rig.trigger');
    expect((await run({ rig: 'trigger: {source: gpio}\n' })).error!.code).toBe('rig.trigger');
  }, 30_000);

  test('that fails under way closes and keeps the capture, and switches the supply off', async () => {
    const { error, powers, path } = await run({ faults: [{ kind: 'error', at: 'infer', text: 'no weights' }] });
    expect(error).toMatchObject({ code: 'dut.error', remedy: expect.stringContaining(path) });
    expect(error!.message).toContain('e-[no weights]');
    expect(powers).toContain(false);
    expect((await verifyRunFolder(path)).ok).toBe(true);
    expect(existsSync(`${path}-energyrunner`)).toBe(false);
  }, 30_000);

  test('that is interrupted keeps the capture and switches the supply off', async () => {
    const interrupt = new AbortController();
    setTimeout(() => interrupt.abort(), 2500);
    const { outcome, powers, path } = await run({ options: { interrupt: interrupt.signal } });
    expect(outcome!.interrupted).toBe(true);
    expect((await verifyRunFolder(path)).ok).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(powers).toContain(false);
  }, 30_000);

  test('with a DUT that reboots when its supply comes on, and one that runs another network', async () => {
    const { outcome } = await run({ faults: [{ kind: 'boot-noise', bytes: 0 }] });
    expect(outcome!.document.windows.length).toBe(5);
    const other = await run({ rig: 'seed: 2\n', faults: [{ kind: 'mute', at: 'profile' }] });
    expect(other.error!.code).toBe('device.silent');
  }, 60_000);
});

describe('a DUT on a serial port', () => {
  test('is refused for a profile without an energy run, and where its port is missing', async () => {
    const attempt = (profile: string) => {
      const rigText = `version: 1\nprofile: ${profile}\ndut: {name: x, connection: /dev/no-such-port}\n`;
      return runBenchmark(parseRig(rigText, 'rig'), { folder: join(folder, `refused-${profile}`), rigText });
    };
    await expect(attempt('per-inference')).rejects.toMatchObject({ code: 'rig.profile' });
    await expect(attempt('kws01')).rejects.toMatchObject({
      code: noPty === null ? 'device.missing' : expect.any(String),
    });
    expect(existsSync(join(folder, 'refused-kws01'))).toBe(false);
  });
});

test.skipIf(noPty !== null)(
  'a DUT on a serial port can be measured through the driver of an instrument',
  async () => {
    const { outcome, error, emulator } = await run({ instrument: '{family: ppk2, connection: emulated}' });
    expect(error).toBeUndefined();
    const { windows, simulated } = outcome!.document;
    expect(windows.length).toBe(5);
    windows.forEach((window, k) => {
      const { start_s, end_s } = emulator.windows[k];
      expect(Math.abs(window.duration_s - (end_s - start_s))).toBeLessThan(2e-3);
    });
    expect(simulated).toBe(true);
  },
  30_000,
);
