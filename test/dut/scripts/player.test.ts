import { describe, expect, test } from 'vitest';
import { parseLogLine } from '../../../src/capture/formats/energyrunner/log.ts';
import type { DutClientOptions } from '../../../src/dut/client.ts';
import { type DutEmulatorOptions, simulatedInput } from '../../../src/dut/emulators/index.ts';
import { wakewordNetwork } from '../../../src/dut/emulators/wakeword.ts';
import {
  type InstrumentControls,
  inferencesFor,
  makeScript,
  type Script,
  type ScriptInput,
  ScriptPlayer,
} from '../../../src/dut/scripts/index.ts';
import { Random } from '../../../src/plant/random.ts';
import { DeviceError } from '../../../src/signal/errors.ts';
import type { LogLine } from '../../../src/signal/types.ts';
import { codeOf, directDut, kws, relayedDut } from '../support.ts';

const inputs: ScriptInput[] = Array.from({ length: 8 }, (_, k) => ({
  file: `data/tst_00000${k}_${k}.bin`,
  bytes: 490,
  label: k,
}));
const readInput = async (input: ScriptInput) => simulatedInput(input.bytes, input.label!, 5);

function makeInstrument() {
  const calls: string[] = [];
  const instrument: InstrumentControls = {
    name: 'virtual',
    power: async (on) => void calls.push(`power ${on}`),
    trace: async (on) => void calls.push(`trace ${on}`),
    voltage_mV: async () => 3000,
  };
  return { calls, instrument };
}

function playDirect(
  script: Script,
  dut: Partial<DutEmulatorOptions> = {},
  instrument: InstrumentControls | null = null,
  interrupt?: AbortSignal,
  client: DutClientOptions = {},
) {
  const log: LogLine[] = [];
  let player: ScriptPlayer | null = null;
  const rig = directDut(dut, { ...client, onLine: (line) => player?.heard('dut', line) });
  player = new ScriptPlayer(script, {
    dut: rig.client,
    instrument,
    io: null,
    readInput,
    version: 'test',
    sessionId: '20240101120000',
    time: rig.time,
    start_ns: rig.time.now_ns(),
    emit: (line) => log.push(line),
    interrupt,
  });
  return { ...rig, log, player };
}

const textOf = (log: LogLine[]) => log.map(({ source, text }) => `${source}: ${text}`);

describe('a performance run', () => {
  const script = makeScript('performance', 'kws01', inputs, { inferences: 20, isRelayed: false, hasIoTimer: false });

  test('gives a handshake and two laps a window', async () => {
    const { time, player, emulator } = playDirect(script);
    const outcome = await time.run(player.play());
    expect(outcome.laps_us.length).toBe(11);
    emulator.windows.forEach(({ start_s, end_s }, k) => {
      expect((outcome.laps_us[2 * k + 2]! - outcome.laps_us[2 * k + 1]!) / 1e6).toBeCloseTo(end_s - start_s, 5);
    });
    expect(outcome.answers.map(({ scores }) => scores.indexOf(Math.max(...scores)))).toEqual([0, 1, 2, 3, 4]);
  });

  test('is told in the grammar of the log', async () => {
    const { time, player, log } = playDirect(script);
    await time.run(player.play());
    let last_s = 0;
    for (const { time_s, source, text } of log) {
      if (source === 'host') continue;
      expect(time_s).toBeGreaterThanOrEqual(last_s);
      last_s = time_s;
      expect(parseLogLine(`${time_s.toFixed(3).padStart(9, '0')} ${source}: ${text}`), text).not.toBeNull();
    }
    expect(textOf(log)).toContain('parser: Command "dut infer 20 1"');
    expect(textOf(log)).toContain('parser: Command "bload dut "tst_000000_0.bin""');
    expect(textOf(log).filter((line) => line.startsWith('dut: m-lap-us')).length).toBe(12);
    // The DUT is muted while it downloads.
    expect(textOf(log)).not.toContain('dut: m-load-done');
  });

  test('refuses a DUT that runs another network, or has the firmware of energy mode', async () => {
    const other = playDirect(script, { network: { ...kws, model: 'ic01' } });
    await expect(other.time.run(other.player.play())).rejects.toMatchObject({
      code: 'dut.model',
      message: expect.stringContaining('the DUT runs ic01, the profile is kws01'),
    });
    const energy = playDirect(script, { mode: 'energy' });
    expect(await energy.time.run(codeOf(energy.player.play()))).toBe('dut.mode');
  });
});

describe('an accuracy run', () => {
  test('takes every input once, without warm-up', async () => {
    const script = makeScript('accuracy', 'kws01', inputs, { isRelayed: false, hasIoTimer: false });
    const { time, player, log } = playDirect(script);
    const outcome = await time.run(player.play());
    expect(outcome.answers.length).toBe(8);
    expect(textOf(log)).toContain('dut: m-warmup-start-0');
  });

  test('of anomaly detection takes every part of a file', () => {
    const script = makeScript('accuracy', 'ad01', [{ file: 'a.bin', bytes: 102_400, label: 0 }], {
      isRelayed: false,
      hasIoTimer: false,
    });
    const loads = script.steps.flatMap(({ action }) => (action.do === 'load' ? [action] : []));
    expect(loads.length).toBe(196);
    expect(loads.at(-1)).toMatchObject({ offset: 195 * 512, length: 2560 });
  });

  test('never logs an answer that was not believed as one', async () => {
    const script = makeScript('accuracy', 'kws01', inputs, { isRelayed: false, hasIoTimer: false });
    let damaged = 0;
    for (let seed = 0; seed < 12; seed++) {
      const { time, player, log } = playDirect(
        script,
        { faults: [{ kind: 'garble', probability: 0.003 }], random: new Random(seed) },
        null,
        undefined,
        { scores: 12, limits: { open_ms: 2000, command_ms: 500, infer_ms: 500 } },
      );
      const outcome = await time.run(player.play()).catch(() => null);
      damaged += log.filter(({ source }) => source === 'dut-damaged').length;
      if (outcome === null) continue;
      const logged = log.filter(({ source, text }) => source === 'dut' && /^m-results-\[.*\]$/.test(text));
      for (const { text } of logged) expect(text.split(',').length).toBe(12);
    }
    expect(damaged).toBeGreaterThan(0);
  });
});

describe('an energy run', () => {
  const script = makeScript('energy', 'kws01', inputs, { inferences: 240, isRelayed: false, hasIoTimer: false });

  test('switches the supply and the trace around five windows', async () => {
    const { calls, instrument } = makeInstrument();
    const { time, player, emulator, log } = playDirect(script, { mode: 'energy' }, instrument);
    const outcome = await time.run(player.play());
    expect(calls).toEqual(['power true', 'trace true', 'trace false', 'power false']);
    expect(emulator.windows.map(({ inferences }) => inferences)).toEqual([240, 240, 240, 240, 240]);
    expect(outcome.laps_us).toEqual([]);
    expect(textOf(log)).toContain('emon: m-voltage-mv[3000]');
  });

  test('leaves the supply off when it fails, and says why in the log', async () => {
    const { calls, instrument } = makeInstrument();
    const { time, player, log } = playDirect(
      script,
      { mode: 'energy', faults: [{ kind: 'error', at: 'infer', text: 'broken' }] },
      instrument,
    );
    expect(await time.run(codeOf(player.play()))).toBe('dut.error');
    expect(calls.at(-1)).toBe('power false');
    expect(log.some(({ source, text }) => source === 'session' && text.startsWith('e-['))).toBe(true);
  });

  test('says in the log where nothing acknowledges that the supply is off', async () => {
    const { instrument } = makeInstrument();
    const broken = {
      ...instrument,
      power: async (on: boolean) => {
        if (!on)
          throw new DeviceError('device.silent', {
            where: 'emon',
            problem: 'no answer to pwr off',
            remedy: 'pull the plug',
          });
      },
    };
    const interrupt = new AbortController();
    const { time, player, log } = playDirect(script, { mode: 'energy' }, broken, interrupt.signal);
    time.after(8000, () => interrupt.abort());
    await expect(time.run(player.play())).rejects.toMatchObject({ message: 'emon: no answer to pwr off' });
    expect(textOf(log).at(-1)).toBe(
      'emon: e-[nothing acknowledges that the supply is off: emon: no answer to pwr off]',
    );
    expect(textOf(log)).not.toContain('emon: m-power[off]');
  });

  test('that is interrupted in the middle of a window ends at once, with the supply off', async () => {
    const { calls, instrument } = makeInstrument();
    const interrupt = new AbortController();
    const { time, player } = playDirect(script, { mode: 'energy' }, instrument, interrupt.signal);
    time.after(8000, () => interrupt.abort());
    const outcome = await time.run(player.play());
    expect(outcome.interrupted).toBe(true);
    expect(time.now_ns() / 1e9).toBeLessThan(8.1);
    expect(calls.at(-1)).toBe('power false');
  });

  test('refuses the firmware of performance mode', async () => {
    const { instrument } = makeInstrument();
    const { time, player } = playDirect(script, { mode: 'performance' }, instrument);
    expect(await time.run(codeOf(player.play()))).toBe('dut.mode');
  });

  test('behind an UNO uses its timer, and the log shows what it passes on', async () => {
    const relayed = makeScript('energy', 'kws01', inputs, { inferences: 240, isRelayed: true, hasIoTimer: true });
    const log: LogLine[] = [];
    const { instrument } = makeInstrument();
    let player: ScriptPlayer | null = null;
    const rig = relayedDut({ kind: 'uno' }, {}, { onLine: (line) => player?.heard('dut', line) });
    const stamps: number[] = [];
    rig.manager.onTimestamp((time_us) => stamps.push(time_us));
    player = new ScriptPlayer(relayed, {
      dut: rig.client,
      instrument,
      io: rig.manager,
      readInput,
      version: 'test',
      sessionId: '1',
      time: rig.time,
      start_ns: 0,
      emit: (line) => log.push(line),
    });
    await rig.time.run(player.play());
    expect(stamps.length).toBe(11);
    expect(textOf(log)).toContain('parser: Command "io dut infer 240 1"');
    // After a download through the board the published logs name all three.
    const unmuted = textOf(log).filter((line) => line.includes('unmute'));
    expect(unmuted.slice(0, 3)).toEqual(['dut', 'io', 'parser'].map((target) => `parser: m-unmute-target[${target}]`));
    expect(unmuted.length).toBe(15);
  });
});

test('a streaming wakeword run listens while the board plays, and reads the detections', async () => {
  const sound: ScriptInput = { file: 'long.wav', bytes: 1000, label: null, duration_s: 30 };
  const script = makeScript('accuracy', 'sww01', [sound], { isRelayed: true, hasIoTimer: false });
  const rig = relayedDut(
    { kind: 'interface-board', files: { 'long.wav': { duration_s: 30 } } },
    { mode: 'energy', network: wakewordNetwork },
  );
  const player = new ScriptPlayer(script, {
    dut: rig.client,
    instrument: null,
    io: rig.manager,
    readInput,
    version: 'test',
    sessionId: '1',
    time: rig.time,
    start_ns: 0,
    emit: () => {},
  });
  rig.board.edge('fall', 20);
  const outcome = await rig.time.run(player.play());
  expect(outcome.detections_s.length).toBe(2);
  expect(rig.time.now_ns() / 1e9).toBeGreaterThan(30);
});

describe('a script', () => {
  test('is refused where it cannot be played', () => {
    const options = { inferences: 10, isRelayed: false, hasIoTimer: false };
    expect(() => makeScript('energy', 'nothing', inputs, options)).toThrow(/no such benchmark/);
    expect(() => makeScript('energy', 'kws01', inputs.slice(0, 4), options)).toThrow(/4 inputs; it takes 5/);
    expect(() => makeScript('energy', 'ic01', inputs, options)).toThrow(/490 bytes, an input has 3072/);
    expect(() => makeScript('energy', 'kws01', inputs, { ...options, inferences: undefined })).toThrow(/how many/);
  });

  test('of an energy run has the 26 steps of EnergyRunner', () => {
    const script = makeScript('energy', 'kws01', inputs, { inferences: 20, isRelayed: true, hasIoTimer: true });
    expect(script.steps.length).toBe(26);
    expect(script.steps[10]).toMatchObject({ command: 'bloadp "tst_000000_0.bin"', ms: 7840 });
    expect(script.steps.reduce((sum, { ms }) => sum + Math.max(0, ms), 0)).toBe(114_200);
  });

  test('finds how many inferences fill a window', async () => {
    const { time, client } = directDut();
    await time.run(client.open());
    await time.run(client.load(simulatedInput(490, 1, 1)));
    const inferences = await time.run(inferencesFor(client, 10, 10));
    expect(inferences * kws.inference_s).toBeGreaterThan(10.2);
    expect(inferences * kws.inference_s).toBeLessThan(11);
  });
});
