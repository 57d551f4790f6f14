import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { openRunFolder } from '../../src/capture/run-folder.ts';
import { verifyRunFolder } from '../../src/capture/verify.ts';
import { DutEmulator, emulatedNetwork } from '../../src/dut/emulators/index.ts';
import { WorldServer } from '../../src/dut/emulators/world-server.ts';
import { openLogicRecording } from '../../src/dut/triggers/index.ts';
import { virtualBenchmarks } from '../../src/dut/virtual/benchmarks.ts';
import { withRecordedEdges } from '../../src/rig/joined-edges.ts';
import { parseRig } from '../../src/rig/rig-file.ts';
import { type RunOptions, runBenchmark } from '../../src/rig/run-benchmark.ts';
import { scoreRecording } from '../../src/scoring/score.ts';
import type { ScoreDocument } from '../../src/scoring/score-document.ts';
import type { WindowTruth } from '../../src/signal/recording.ts';
import type { Polarity } from '../../src/signal/types.ts';
import { openPty } from '../../src/transport/pty.ts';
import { realTime } from '../../src/transport/time.ts';
import { temporaryFolder } from '../support/energyrunner-folder.ts';
import { vcdOf } from '../support/logic-recording.ts';
import { noPty } from '../support/pty.ts';
import { watchedSupply } from '../support/watched-supply.ts';

/** Pseudo-terminals have no control lines: those of a real port, for the tests that need them. */
let controlLines: (() => { cts: boolean; dsr: boolean }) | null = null;
vi.mock('../../src/transport/serial.ts', async (importOriginal) => {
  const serial = await importOriginal<typeof import('../../src/transport/serial.ts')>();
  return {
    ...serial,
    openSerial: async (...open: Parameters<typeof serial.openSerial>) => {
      const port = await serial.openSerial(...open);
      const inputLines = port.inputLines.bind(port);
      port.inputLines = async () => controlLines?.() ?? inputLines();
      return port;
    },
  };
});

if (noPty) console.warn(`tests of trigger sources in runs are skipped: ${noPty}`);

const { folder, remove } = temporaryFolder();
afterAll(remove);

/** Windows are no multiple of the instrument's microsecond: else all edges would fall into one place of it. */
const network = { ...emulatedNetwork(virtualBenchmarks.kws01), inference_s: 0.0100037 };
/** Runs in real time differ each time: of 15,000 fits one may be further off. */
const mostErrors_u = 4;

/** An edge of the trigger pin, on the host's monotonic clock. */
interface PinEdge {
  polarity: Polarity;
  at_ns: number;
}

interface RunningDut {
  edges: PinEdge[];
  /** The pin as a logic analyser saw it that counts 50 ppm too fast. */
  vcd(line: string): string;
}

let runs = 0;

/** An energy run of an emulated DUT on a PTY, whose pin the virtual instrument sees on D0. */
async function run(
  trigger: (name: string) => string,
  options: (dut: RunningDut, name: string) => Partial<RunOptions> = () => ({}),
  onEdge: (edge: PinEdge) => void = () => {},
  pulse_s = 50e-6,
) {
  const name = `run-${runs++}`;
  const pty = await openPty();
  const world = new WorldServer();
  const edges: PinEdge[] = [];
  const emulator: DutEmulator = new DutEmulator(pty.device, {
    network,
    mode: 'energy',
    baud: null,
    boot_s: 0.02,
    pulse_s,
    outside: world,
    onEdge: (polarity, time_s) => {
      const edge = { polarity, at_ns: emulator.start_ns + time_s * 1e9 };
      edges.push(edge);
      onEdge(edge);
    },
  });
  const { powers, dut } = watchedSupply(emulator);
  await world.listen(pty.path, dut);
  const vcd = (line: string) => {
    const zero_ns = edges[0]!.at_ns;
    const changes_s = edges.map(({ at_ns }) => (at_ns - zero_ns) / 1e9);
    return vcdOf({ [line]: { isHigh: true, changes_s } }, { skew: 50e-6, offset_s: 0.4 });
  };
  const path = join(folder, name);
  const rigText = `version: 1
profile: kws01
instrument: {settings: {rate_Hz: 20000}}
dut: {name: a DUT on a PTY, connection: ${pty.path}, inferences: 30}
trigger: ${trigger(name)}
`;
  try {
    const more = options({ edges, vcd }, name);
    const outcome = await runBenchmark(parseRig(rigText, 'rig'), { folder: path, rigText, ...more });
    return { outcome, path, vcd, wasSwitchedOff: powers.includes(false) };
  } catch (error) {
    return {
      error: error as { code: string; message: string; remedy: string },
      path,
      vcd,
      wasSwitchedOff: powers.includes(false),
    };
  } finally {
    emulator.stop();
    await world.close();
    await pty.device.close();
  }
}

/** How far the edges of windows are from where they truly are, at most, in standard uncertainties of the fit there. */
async function errors_u(document: ScoreDocument, path: string): Promise<number> {
  const truths: WindowTruth[] = [];
  for await (const truth of (await openRunFolder(path)).truth()) truths.push(truth);
  expect(document.windows).toHaveLength(5);
  expect(truths).toHaveLength(5);
  const { u_s, u_skew_ppm } = document.alignments![0]!;
  const middle_s = document.windows[2]!.start_s;
  const errors = document.windows.flatMap(({ start_s, duration_s }, k) => {
    const u = (at_s: number) => Math.hypot(u_s!, u_skew_ppm * 1e-6 * (at_s - middle_s));
    const end_s = start_s + duration_s;
    return [(start_s - truths[k]!.start_s) / u(start_s), (end_s - truths[k]!.end_s) / u(end_s)];
  });
  return Math.max(...errors.map(Math.abs));
}

describe.skipIf(noPty !== null).concurrent('the recording of a logic analyser', () => {
  const file = (name: string) => join(folder, `${name}.vcd`);
  const rig = (name: string) => `{source: recording, file: ${file(name)}, file_channel: D3}`;

  test('is waited for when the run is over, and brackets it where its edges truly were', async () => {
    const told: string[] = [];
    const { outcome, error, path } = await run(rig, (dut, name) => ({
      onNotice: (text) => {
        told.push(text);
        writeFileSync(file(name), dut.vcd('D3'));
      },
    }));
    expect(error).toBeUndefined();
    expect(told).toEqual([expect.stringContaining('waiting up to 60 s')]);
    const { document } = outcome!;
    expect(document.refusal).toBeNull();
    expect(document.provenance.trigger).toMatchObject({ kind: 'recording', isCoarse: false });
    const [alignment] = document.alignments!;
    expect(alignment).toMatchObject({ edges: 'logic-analyser', method: 'shared-pulses' });
    expect(Math.abs(alignment!.skew_ppm + 50)).toBeLessThan(4 * alignment!.u_skew_ppm);
    expect(await errors_u(document, path)).toBeLessThan(mostErrors_u);
    expect((await verifyRunFolder(path)).ok).toBe(true);
  }, 60_000);

  test('that does not come leaves a sealed capture, which it can be joined with afterwards', async () => {
    const { error, path, vcd, wasSwitchedOff } = await run((name) => rig(name).replace('}', ', wait_s: 0.2}'));
    expect(error).toMatchObject({
      code: 'trigger.recording-missing',
      message: expect.stringContaining('no recording came within 0.2 s'),
      remedy: expect.stringContaining(path),
    });
    expect(wasSwitchedOff).toBe(true);
    expect((await verifyRunFolder(path)).ok).toBe(true);
    const kept = JSON.parse(readFileSync(join(path, 'result.json'), 'utf8')) as ScoreDocument;
    expect(kept.refusal?.code).toBe('edges.lost');
    const late = join(folder, 'afterwards.vcd');
    writeFileSync(late, vcd('D3'));
    const joined = withRecordedEdges(await openRunFolder(path), await openLogicRecording(late));
    const { document } = await scoreRecording(joined);
    expect(await errors_u(document, path)).toBeLessThan(mostErrors_u);
  }, 60_000);

  test('is refused before the run where there is no file or folder for it', async () => {
    const { error } = await run(() => `{source: recording, file: ${join(folder, 'nowhere', 'a.vcd')}}`);
    expect(error).toMatchObject({ code: 'rig.trigger', message: expect.stringContaining('there is no folder') });
    expect((await run(() => '{source: recording}')).error).toMatchObject({ code: 'rig.trigger' });
  }, 60_000);

  test('that another clock made gives no figure, says why, and is kept', async () => {
    const other = { isHigh: true, changes_s: Array.from({ length: 22 }, (_, k) => 1 + k ** 1.5) };
    const { outcome, path } = await run(rig, (_, name) => ({
      onNotice: () => writeFileSync(file(name), vcdOf({ D3: other }, { skew: 0, offset_s: 0 })),
    }));
    expect(outcome!.document.refusal?.code).toBe('clocks.unrelated');
    expect((await verifyRunFolder(path)).ok).toBe(true);
  }, 60_000);
});

describe.skipIf(noPty !== null)('a GPIO line of this computer', () => {
  const searchPath = process.env.PATH;
  const bin = join(folder, 'bin');
  const lines = join(folder, 'gpio-events');

  /** Tells the events of a file as they are written, as the one of libgpiod 2 does. */
  const installGpiomon = (command: string) => {
    const program = join(bin, 'gpiomon');
    const version = 'if [ "$1" = --version ]; then echo "gpiomon (libgpiod) v2.1.3"; exit 0; fi';
    writeFileSync(program, `#!/bin/sh\n${version}\n${command}\n`);
    chmodSync(program, 0o755);
    writeFileSync(lines, '');
  };
  const tell = ({ polarity, at_ns }: PinEdge) => {
    const ns = Math.round(at_ns);
    const time = `${Math.floor(ns / 1e9)}.${String(ns % 1e9).padStart(9, '0')}`;
    writeFileSync(lines, `${polarity === 'rise' ? 1 : 2} ${time}\n`, { flag: 'a' });
  };
  const rig = () => '{source: gpio, gpio: {chip: gpiochip0, line: 5, shortest_pulse_s: 50e-6}}';

  beforeAll(() => {
    mkdirSync(bin);
    process.env.PATH = `${bin}${delimiter}${searchPath}`;
    return () => {
      process.env.PATH = searchPath;
    };
  });

  test('brackets a run on the clock of the host', async () => {
    installGpiomon(`exec tail -n 0 -f ${lines}`);
    const { outcome, error, path, vcd } = await run(rig, undefined, tell);
    expect(error).toBeUndefined();
    const { document } = outcome!;
    expect(document.refusal).toBeNull();
    expect(document.provenance.trigger).toMatchObject({ kind: 'gpio', label: 'GPIO line gpiochip0:5' });
    const [alignment] = document.alignments!;
    expect(alignment).toMatchObject({ edges: 'host', samples: 'instrument', method: 'host-clock' });
    expect(await errors_u(document, path)).toBeLessThan(mostErrors_u);
    // The instrument has seen the pin on its own input, which relates a recording that comes later.
    const late = join(folder, 'beside-gpio.vcd');
    writeFileSync(late, vcd('D3'));
    const joined = withRecordedEdges(await openRunFolder(path), await openLogicRecording(late), 'D3');
    const again = (await scoreRecording(joined)).document;
    expect(again.alignments).toMatchObject([{ edges: 'logic-analyser', method: 'shared-pulses' }]);
    expect(await errors_u(again, path)).toBeLessThan(mostErrors_u);
  }, 60_000);

  test('is refused for pulses that it may miss', async () => {
    installGpiomon(`exec tail -n 0 -f ${lines}`);
    const { error } = await run(() => '{source: gpio, gpio: {chip: gpiochip0, line: 5}}');
    expect(error).toMatchObject({ code: 'trigger.pulse-too-short' });
  }, 60_000);

  test('whose gpiomon dies under way ends the run, switches the supply off and keeps the capture', async () => {
    installGpiomon(`sleep 2; echo "gpiomon: error waiting for events: No such device" >&2; exit 1`);
    const { error, path, wasSwitchedOff } = await run(rig);
    expect(error).toMatchObject({
      code: 'trigger.gpio',
      message: expect.stringContaining('No such device'),
      remedy: expect.stringContaining(path),
    });
    expect(wasSwitchedOff).toBe(true);
    expect((await verifyRunFolder(path)).ok).toBe(true);
  }, 60_000);
});

describe.skipIf(noPty !== null)('the CTS line of the port', () => {
  const edges: PinEdge[] = [];
  // So long that a loaded machine looks at the line while it lasts.
  const pulse_s = 0.15;

  test('brackets a run of a DUT with long pulses, each edge between two looks', async () => {
    controlLines = () => {
      const now_ns = realTime.now_ns();
      const last = edges.findLast(({ at_ns }) => at_ns <= now_ns);
      return { cts: last?.polarity !== 'fall', dsr: false };
    };
    const trigger = () => `{source: cts, pulse_s: ${pulse_s}}`;
    const { outcome, error, path } = await run(trigger, undefined, (edge) => edges.push(edge), pulse_s);
    controlLines = null;
    expect(error).toBeUndefined();
    const { document } = outcome!;
    expect(document.refusal).toBeNull();
    expect(document.provenance.trigger).toMatchObject({ kind: 'control-line', resolution_s: 1e-3 });
    const truths: WindowTruth[] = [];
    for await (const truth of (await openRunFolder(path)).truth()) truths.push(truth);
    document.windows.forEach(({ start_s, duration_s }, k) => {
      const { start_s: from_s, end_s } = truths[k]!;
      expect(Math.abs(start_s - from_s)).toBeLessThan(pulse_s);
      expect(Math.abs(duration_s - (end_s - from_s))).toBeLessThan(pulse_s);
    });
  }, 60_000);

  test('is refused for pulses that it may miss, and where the port has none', async () => {
    expect((await run(() => '{source: cts}')).error).toMatchObject({ code: 'trigger.pulse-too-short' });
    const { error } = await run(() => `{source: cts, pulse_s: ${pulse_s}}`, undefined, undefined, pulse_s);
    expect(error).toMatchObject({ code: 'device.no-control-lines' });
  }, 60_000);
});
