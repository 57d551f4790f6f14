import { describe, expect, it } from 'vitest';
import type { EmulatorOptions } from '../../../src/instruments/emulator.ts';
import { Js110, Js110Emulator, type Js110Settings } from '../../../src/instruments/js110/index.ts';
import { encodeSettings, inRequest, outRequest, parseCalibration } from '../../../src/instruments/js110/protocol.ts';
import { js110Calibration, js110Request, js110Select } from '../../../src/instruments/js110/spec.ts';
import { SineSignal, SteppedSignal } from '../../../src/instruments/signals.ts';
import type { SignalSource } from '../../../src/signal/signal-source.ts';
import { VirtualTime } from '../../../src/transport/time.ts';
import { memoryUsb } from '../../../src/transport/usb-memory.ts';
import { Collected } from '../../support/instrument.ts';
import { dc, staircase } from '../../support/signals.ts';

const DT = 0.5e-6;
/** Amperes a step, by range, of the invented instrument. */
const STEPS = [6.8e-4, 1.6e-4, 1.45e-5, 1.5e-6, 1.505e-7, 1.495e-8, 1.5e-9];
const VOLTAGE_STEP = 9.5e-4;

function bench(source: SignalSource, options: Partial<EmulatorOptions> = {}) {
  const time = new VirtualTime();
  const emulator = new Js110Emulator({ source, time, ...options });
  const device = memoryUsb(emulator, time);
  const instrument = new Js110(device, { time });
  return { time, emulator, device, instrument, collected: new Collected(instrument) };
}

type Bench = ReturnType<typeof bench>;

async function start(b: Bench, settings: Js110Settings = {}): Promise<void> {
  await b.time.run(b.instrument.open());
  await b.time.run(b.instrument.configure({ logicInputs: [], ...settings }));
  await b.time.run(b.instrument.start());
}

async function measure(b: Bench, duration_ms: number, settings: Js110Settings = {}): Promise<void> {
  await start(b, settings);
  await b.time.advance(duration_ms);
  await b.time.run(b.instrument.stop());
}

/** Every sample that was not replaced equals the truth within half a step of its range (one with pins in the LSB). */
function expectTruth(b: Bench, source: SignalSource, steps = 0.51): number {
  const first_s = b.emulator.firstSample_s!;
  let compared = 0;
  for (const block of b.collected.blocks()) {
    const current = new Float64Array(block.length);
    const voltage = new Float64Array(block.length);
    source.fillMeans(first_s + block.firstTick * DT, DT, block.length, current, voltage);
    for (let i = 0; i < block.length; i++) {
      if (block.flags && block.flags[i] !== 0) continue;
      const errorI = Math.abs(block.current![i]! - current[i]!) / STEPS[block.range![i]!]!;
      const errorV = Math.abs(block.voltage![i]! - voltage[i]!) / VOLTAGE_STEP;
      const errorP = Math.abs(block.power![i]! - block.current![i]! * block.voltage![i]!);
      if (errorI > steps || errorV > steps || errorP > 1e-6 * Math.abs(block.power![i]!)) {
        const tick = block.firstTick + i;
        expect.fail(`sample ${tick}: ${block.current![i]} A, truth ${current[i]} A; ${block.voltage![i]} V`);
      }
      compared++;
    }
  }
  return compared;
}

describe('opening a JS110', () => {
  it('reads who it is and its calibration', async () => {
    const b = bench(dc(1e-3));
    const identity = await b.time.run(b.instrument.open());
    expect(identity).toMatchObject({
      family: 'js110',
      serial: 'SIM-JS110-0001',
      simulated: true,
      firmware: '1.3.0',
      hardware: 'SIM',
      rates_Hz: [2_000_000],
      supplyRange_V: null,
      notices: [],
    });
    expect(b.instrument.describe()).toBe(identity);
    expect(b.instrument.supply).toBeNull();
    await b.time.run(b.instrument.configure({}));
    const [stream] = b.instrument.streams;
    expect(stream!.ranges.map(({ resolution_A }) => resolution_A)).toEqual([...STEPS, null]);
    expect(stream!.logicInputs).toEqual(['IN0', 'IN1']);
  });

  // pyjoulescope refuses a record without these, one of another serial number, and a header before the information.
  it('finds a calibration record and information of the form that other software asks for', async () => {
    const b = bench(dc(1e-3));
    await b.time.run(b.instrument.open());
    const ask = (request: number, value: number, length: number) =>
      b.time.run(b.device.controlIn(inRequest(request, value), length));
    const record = await ask(js110Request.calibration, js110Calibration.active, 4096);
    expect(parseCalibration(record, 'test').sections).toEqual(['HDR', 'AJS', 'END']);
    const text = Buffer.from(record).toString('latin1');
    expect(text).toContain('"version": "1.0.0", "time": "2018-01-01T00:00:00+00:00"');
    expect(text).toContain('"product": "1.1.1"');
    const serial = Buffer.from(await ask(js110Request.serialNumber, 0, 16)).toString('hex');
    expect(text).toContain(`"serial_number": "${serial}"`);
    expect(Buffer.from(await ask(js110Request.info, 0, 1024)).toString()).toMatch(/^\{"type":"info".*\}$/);
  });

  it.each([
    ['bad-checksum', 'factory calibration'],
    ['nan-gain', 'current.gain[2] is missing or not a number'],
    ['old-firmware', 'firmware'],
  ])('goes on with a notice on %s', async (fault, notice) => {
    const b = bench(dc(1e-3));
    b.emulator.inject(fault);
    const { notices } = await b.time.run(b.instrument.open());
    expect(notices).toEqual([expect.stringContaining(notice)]);
    await b.time.run(b.instrument.configure({ logicInputs: [] }));
    await b.time.run(b.instrument.start());
    await b.time.advance(20);
    expect(expectTruth(b, dc(1e-3))).toBeGreaterThan(30_000);
  });

  it.each([
    ['no-calibration', 'device.calibration'],
    ['wrong-device', 'device.wrong'],
    ['stall', 'device.silent'],
  ])('gives up within 2 s on %s', async (fault, code) => {
    const b = bench(dc(1e-3));
    b.emulator.inject(fault);
    await expect(b.time.run(b.instrument.open())).rejects.toMatchObject({
      code,
      where: expect.stringContaining('16d0:0e88 SIM-JS110-0001'),
    });
    expect(b.time.now_ns()).toBeLessThan(2e9);
  });

  it('says at once that it vanished', async () => {
    const b = bench(dc(1e-3));
    b.device.unplug();
    await expect(b.time.run(b.instrument.open())).rejects.toMatchObject({ code: 'device.vanished' });
  });
});

describe('configuring a JS110', () => {
  it.each([
    ['settings-busy', 'device.stalled'],
    ['settings-error', 'device.setting'],
    ['refuse', 'device.refused'],
  ])('gives up within 2 s on %s', async (fault, code) => {
    const b = bench(dc(1e-3));
    await b.time.run(b.instrument.open());
    b.emulator.inject(fault);
    await expect(b.time.run(b.instrument.configure({}))).rejects.toMatchObject({ code });
    expect(b.time.now_ns()).toBeLessThan(2e9);
  });

  it.each<object>([
    { rate_Hz: 1000 },
    { currentRange: '1 A' },
    { voltageRange: '7 V' },
    { ioVoltage_V: 4 },
    { logicInputs: ['a', 'b', 'c'] },
    { suppression: { mode: 'guess' } },
    { suppression: { window: 32 } },
    { suppression: { window: 'x' } },
    { suppression: { pre: 9 } },
    { suppression: { post: 0 } },
  ])('refuses %o', async (settings) => {
    const b = bench(dc(1e-3));
    await b.time.run(b.instrument.open());
    await expect(b.instrument.configure(settings)).rejects.toMatchObject({ code: 'instrument.settings' });
  });

  it('refuses calls out of order', async () => {
    const b = bench(dc(1e-3));
    expect(() => b.instrument.describe()).toThrow(expect.objectContaining({ code: 'device.not-open' }));
    expect(() => b.instrument.streams).toThrow(expect.objectContaining({ code: 'device.not-open' }));
    await expect(b.instrument.configure({})).rejects.toMatchObject({ code: 'device.not-open' });
    await expect(b.instrument.start()).rejects.toMatchObject({ code: 'device.not-open' });
  });
});

describe('samples of known waveforms', () => {
  const levels = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 5, 2e-6, 0.5, 3e-5];
  const steps = staircase(levels, 0.9e-3, 3.3);

  it.each<[string, SignalSource]>([
    ['DC', dc(3.3e-3)],
    ['a sine', new SineSignal({ offset_A: 0.07, amplitude_A: 0.05, frequency_Hz: 1234 }, { voltage_V: 5 })],
    ['steps across every range', steps],
  ])('%s equal the truth to the resolution of the range', async (_name, source) => {
    const b = bench(source);
    await measure(b, 60);
    expect(b.collected.isComplete).toBe(true);
    expect(b.collected.gaps()).toEqual([]);
    expect(expectTruth(b, source)).toBeGreaterThan(110_000);
  });

  it('use every range, and replace the samples in which the current has not settled', async () => {
    const b = bench(steps);
    await measure(b, 30);
    const blocks = b.collected.blocks();
    expect([...new Set(blocks.flatMap((block) => [...block.range!]))].sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
    const replaced = blocks.flatMap((block) => [...(block.flags ?? [])]).filter((flags) => flags === 1).length;
    expect(replaced).toBeGreaterThan(60);
  });

  it('show spikes of one sample within a range', async () => {
    const source = new SteppedSignal(
      [
        { current_A: 2e-3, duration_s: 99.5e-6 },
        { current_A: 9e-3, duration_s: 0.5e-6 },
      ],
      { voltage_V: 3 },
    );
    const b = bench(source);
    await measure(b, 20, { currentRange: '18 mA' });
    const spikes = [...b.collected.samples()].filter(([, current]) => current > 8e-3);
    expect(spikes.length).toBeGreaterThan(150);
    expectTruth(b, source);
  });

  it('show the truth in a fixed range and in the other voltage range', async () => {
    const b = bench(dc(0.5));
    await measure(b, 20, { currentRange: '2 A', voltageRange: '5 V' });
    const block = b.collected.blocks().at(-1)!;
    expect(new Set(block.range)).toEqual(new Set([1]));
    expect(Math.abs(block.voltage![9]! - 3)).toBeLessThan(1.5e-4);
    expectTruth(b, dc(0.5));
  });

  it('are 0 A while the current path is open', async () => {
    const b = bench(dc(0.5));
    await measure(b, 20, { currentRange: 'off' });
    expect(new Set(b.collected.blocks().flatMap((block) => [...block.current!]))).toEqual(new Set([0]));
  });

  it('saturate with a flag and one event, and nothing is invented', async () => {
    const b = bench(dc(0.5));
    await measure(b, 20, { currentRange: '18 mA', suppression: { mode: 'off' } });
    const flags = b.collected.blocks().flatMap((block) => [...block.flags!]);
    expect(flags.filter((flag) => flag !== 2).length).toBeLessThan(5);
    expect(b.collected.events().map((event) => event.code)).toEqual(['overload']);
  });

  it('show the pins at the exact sample', async () => {
    const pulses = [
      { channel: 'trigger', start_s: 0.0603, period_s: 0.005, width_s: 0.000001 },
      { channel: 'busy', start_s: 0.061, period_s: 0.003, width_s: 0.001 },
    ];
    const source = new SteppedSignal([{ current_A: 1e-3, duration_s: 1 }], { voltage_V: 3, pulses });
    const b = bench(source, { inputs: ['trigger', 'busy'] });
    await measure(b, 120, { logicInputs: ['trigger', 'busy'] });
    const first_s = b.emulator.firstSample_s!;
    for (const { channel, start_s, period_s, width_s } of pulses) {
      const got = b.collected.edges().filter((edge) => edge.channel === channel);
      const isAfterStart = Math.max(0, Math.ceil((first_s - start_s) / period_s));
      const expected = got.map((_, k): [number, string] => {
        const time_s = start_s + (isAfterStart + Math.floor(k / 2)) * period_s + (k % 2) * width_s;
        return [Math.ceil((time_s - first_s) / DT - 1e-6) - 0.5, k % 2 === 0 ? 'rise' : 'fall'];
      });
      expect(got.length).toBeGreaterThan(20);
      expect(got.map((edge) => [edge.tick, edge.polarity])).toEqual(expected);
    }
    // The pins take the place of the LSBs.
    expectTruth(b, source, 1.51);
  });

  it('read the pins as 0 without an I/O voltage', async () => {
    const pulses = [{ channel: 'trigger', start_s: 0, period_s: 0.001, width_s: 0.0005 }];
    const source = new SteppedSignal([{ current_A: 1e-3, duration_s: 1 }], { voltage_V: 3, pulses });
    const b = bench(source, { inputs: ['trigger'] });
    await measure(b, 30, { logicInputs: ['trigger'], ioVoltage_V: 0 });
    expect(b.collected.edges()).toEqual([]);
  });

  it('agree with the charge and energy that the instrument itself has summed up', async () => {
    const source = new SineSignal({ offset_A: 0.07, amplitude_A: 0.05, frequency_Hz: 5000 }, { voltage_V: 5 });
    const b = bench(source);
    await start(b);
    await b.time.advance(100);
    const statistics = (await b.time.run(b.instrument.readStatistics()))!;
    const { charge_C, energy_J } = b.emulator.totals;
    expect(statistics.charge_C).toBeCloseTo(charge_C, 7);
    expect(statistics.energy_J).toBeCloseTo(energy_J, 7);
    expect(statistics.meanVoltage_V).toBeCloseTo(5, 4);
    expect(statistics.meanCurrent_A).toBeCloseTo(0.07, 4);
    expect(statistics.minCurrent_A).toBeCloseTo(0.02, 4);
    expect(statistics.maxCurrent_A).toBeCloseTo(0.12, 4);
    expect(statistics.maxPower_W).toBeCloseTo(0.6, 4);
    await b.time.run(b.instrument.stop());
    let energy = 0;
    for (const block of b.collected.blocks()) for (const power of block.power!) energy += power * DT;
    const seen_s = b.collected.blocks().reduce((sum, block) => sum + block.length, 0) * DT;
    expect(energy / seen_s / (0.07 * 5)).toBeCloseTo(1, 3);
  });

  it('belong to the measurement that was started, not to one that was left running', async () => {
    const b = bench(dc(1e-3));
    await b.time.run(b.instrument.open());
    const streaming = { sensorPower: true, select: js110Select['10 A'], source: 0xc0, voltageRange: '15 V' as const };
    await b.device.controlOut(outRequest(js110Request.settings), encodeSettings({ ...streaming, streaming: 3 }));
    await b.time.advance(7);
    await measureAfterOpen(b);
    expect(b.collected.gaps()).toEqual([]);
    expect(b.collected.blocks()[0]!.firstTick).toBeLessThan(10);
    expect(expectTruth(b, dc(1e-3))).toBeGreaterThan(30_000);
    expect(b.collected.blocks()[0]!.range![0]).toBe(4);
  });

  async function measureAfterOpen(b: Bench): Promise<void> {
    await b.time.run(b.instrument.configure({ logicInputs: [] }));
    await b.time.run(b.instrument.start());
    await b.time.advance(20);
    await b.time.run(b.instrument.stop());
  }
});

describe('what goes wrong in a stream', () => {
  const ramp = new SineSignal({ offset_A: 0.07, amplitude_A: 0.05, frequency_Hz: 11 }, { voltage_V: 3 });
  const runWith = async (...faults: string[]) => {
    const b = bench(ramp);
    await start(b);
    await b.time.advance(20);
    for (const fault of faults) b.emulator.inject(fault);
    await b.time.advance(60);
    await b.time.run(b.instrument.stop());
    return b;
  };
  const gap = (b: Bench, count: number | null, cause: string) => ({
    kind: 'gap',
    stream: 'main',
    firstTick: b.emulator.faultsDone[0]!.sample,
    count,
    cause,
  });

  it.each([1, 5, 300])('%i lost frames are a gap of 126 samples each, and time is kept', async (lost) => {
    const b = await runWith(`drop-frames=${lost}`);
    expect(b.collected.gaps()).toEqual([gap(b, 126 * lost, 'link-loss')]);
    expect(expectTruth(b, ramp)).toBeGreaterThan(100_000);
  });

  it.each(['bad-status', 'bad-length', 'short-packet'])('%s is a gap of one frame', async (fault) => {
    const b = await runWith(fault);
    expect(b.collected.gaps()).toEqual([gap(b, 126, 'invalid')]);
    expectTruth(b, ramp);
  });

  it('missing words are a gap', async () => {
    const b = await runWith('missing=1000');
    expect(b.collected.gaps()).toEqual([gap(b, 1000, 'dropped')]);
    expectTruth(b, ramp);
  });

  it('a lost sample that only the toggle bit shows is a gap of unknown length', async () => {
    const b = await runWith('lose-sample');
    expect(b.collected.gaps()).toEqual([gap(b, null, 'dropped')]);
  });

  it('an index that jumps is a gap: nobody can tell it from lost frames', async () => {
    const b = await runWith('index-jump=20');
    expect(b.collected.gaps()).toMatchObject([{ count: 20 * 126, cause: 'link-loss' }]);
  });

  it.each([
    ['stall', 'device.stalled', 'unknown'],
    ['rubbish', 'device.protocol', 'invalid'],
    ['unplug', 'device.vanished', 'unplugged'],
  ])('%s ends the stream within 2 s with a gap of unknown length and an error', async (fault, code, cause) => {
    const b = bench(ramp);
    await start(b);
    await b.time.advance(20);
    b.emulator.inject(fault);
    await b.time.advance(2000);
    expect(b.collected.error).toMatchObject({ code });
    expect(b.collected.gaps()).toMatchObject([{ count: null, cause }]);
    expectTruth(b, ramp);
    await b.time.run(b.instrument.close());
  });

  it('a stall in stop() ends the stream with the error', async () => {
    const b = bench(ramp);
    await start(b);
    await b.time.advance(20);
    b.emulator.inject('stall');
    await expect(b.time.run(b.instrument.stop())).rejects.toMatchObject({ code: 'device.silent' });
    expect(b.collected.error).toMatchObject({ code: 'device.silent' });
    expect(b.time.now_ns()).toBeLessThan(2e9);
  });

  it('close() in the middle ends the stream properly', async () => {
    const b = bench(ramp);
    await start(b);
    await b.time.advance(20);
    await b.time.run(b.instrument.close());
    expect(b.collected.isComplete).toBe(true);
    await b.time.run(b.instrument.close());
  });
});

describe('the JS110 emulator', () => {
  it('refuses a serial number that does not say SIM-, and unknown faults', () => {
    const make = (serial?: string) => new Js110Emulator({ source: dc(0), time: new VirtualTime(), serial });
    expect(() => make('000123')).toThrow(expect.objectContaining({ code: 'emulator.serial' }));
    expect(() => make().inject('explode')).toThrow(expect.objectContaining({ code: 'emulator.fault' }));
  });
});
