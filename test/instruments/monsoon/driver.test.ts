import { describe, expect, it } from 'vitest';
import type { EmulatorOptions } from '../../../src/instruments/emulator.ts';
import { Monsoon, MonsoonEmulator, type MonsoonSettings } from '../../../src/instruments/monsoon/index.ts';
import { getRequest, setRequest, startRequest } from '../../../src/instruments/monsoon/protocol.ts';
import { type MonsoonModel, monsoonOpcode } from '../../../src/instruments/monsoon/spec.ts';
import { SineSignal, SteppedSignal } from '../../../src/instruments/signals.ts';
import type { SignalSource } from '../../../src/signal/signal-source.ts';
import { VirtualTime } from '../../../src/transport/time.ts';
import { memoryUsb } from '../../../src/transport/usb-memory.ts';
import { Collected } from '../../support/instrument.ts';

const DT = 200e-6;
/** Amperes a step of the invented instruments, fine and coarse: scale / (reference - zero - offset). */
const STEPS: Record<MonsoonModel, Record<string, [number, number]>> = {
  HVPM: {
    main: [36_500e-6 / 36_485, 6.4 / 63_507],
    usb: [14_000e-6 / 13_996, 0.6 / 7703],
    aux: [3100e-6 / 3100, 0.25 / 2500],
  },
  LVPM: {
    main: [(35_946e-6 * (0.05 / 0.0495)) / 20_000, (3.1034 * (0.05 / 0.0503)) / 18_015],
    usb: [(35_946e-6 * (0.05 / 0.0499)) / 19_910, 3.1034 / 17_980],
    aux: [(0.05049 * (0.1 / 0.1007)) / 25_060, (1.289 * (0.1 / 0.0872)) / 23_970],
  },
};
const SHARE: Record<string, number> = { main: 1, usb: 0.5, aux: 0.25 };

const dc = (current_A: number, voltage_V = 3) => new SteppedSignal([{ current_A, duration_s: 1 }], { voltage_V });

function bench(source: SignalSource, options: Partial<EmulatorOptions> = {}, model: MonsoonModel = 'HVPM') {
  const time = new VirtualTime();
  const supply: number[] = [];
  const emulator = new MonsoonEmulator({ source, time, onSupply: (volts) => supply.push(volts), ...options }, model);
  const device = memoryUsb(emulator, time);
  const instrument = new Monsoon(device, { time });
  return { time, emulator, device, instrument, supply, model, collected: new Collected(instrument) };
}

type Bench = ReturnType<typeof bench>;

async function configure(b: Bench, settings: MonsoonSettings = {}): Promise<void> {
  await b.time.run(b.instrument.open());
  await b.time.run(b.instrument.configure({ maxVoltage_V: 4, ...settings }));
}

async function start(b: Bench, settings: MonsoonSettings = {}): Promise<void> {
  await configure(b, settings);
  await b.time.run(b.instrument.supply.setVoltage(3));
  await b.time.run(b.instrument.supply.on());
  await b.time.run(b.instrument.start());
}

async function measure(b: Bench, duration_ms: number, settings: MonsoonSettings = {}): Promise<void> {
  await start(b, settings);
  await b.time.advance(duration_ms);
  await b.time.run(b.instrument.stop());
}

/** Every sample equals the truth within half a step of its range; returns the ranges that occur. */
function expectTruth(b: Bench, source: SignalSource, rail = 'main'): { samples: number; ranges: Set<number> } {
  const ranges = new Set<number>();
  let samples = 0;
  for (const block of b.collected.blocks(rail)) {
    const current = new Float64Array(block.length);
    const voltage = new Float64Array(block.length);
    source.fillMeans(b.emulator.firstSample_s! + block.firstTick * DT, DT, block.length, current, voltage);
    for (let i = 0; i < block.length; i++) {
      const range = block.range![i]!;
      ranges.add(range);
      const truth = current[i]! * SHARE[rail]!;
      if (Math.abs(block.current![i]! - truth) > 0.51 * STEPS[b.model][rail]![range]! + 1e-6 * Math.abs(truth)) {
        expect.fail(`sample ${block.firstTick + i}: ${block.current![i]} A, truth ${truth} A`);
      }
      if (rail === 'main') expect(Math.abs(block.voltage![i]! - voltage[i]!)).toBeLessThan(130e-6);
      samples++;
    }
  }
  return { samples, ranges };
}

const gap = (firstTick: number, count: number | null, cause: string, stream = 'main') => ({
  kind: 'gap',
  stream,
  firstTick,
  count,
  cause,
});
const CALIBRATION = gap(0, 12, 'invalid');

describe('opening a Monsoon', () => {
  it.each<[MonsoonModel, object]>([
    ['HVPM', { min: 0.8, max: 13.5 }],
    ['LVPM', { min: 2.01, max: 4.55 }],
  ])('reads who it is: %s', async (model, supplyRange_V) => {
    const b = bench(dc(1e-3), {}, model);
    const identity = await b.time.run(b.instrument.open());
    expect(identity).toMatchObject({
      family: 'monsoon',
      model: `Monsoon ${model}`,
      serial: `SIM-${model}-0001`,
      simulated: true,
      firmware: '32',
      rates_Hz: [5000],
      supplyRange_V,
      notices: [],
    });
    expect(b.instrument.describe()).toBe(identity);
  });

  it('answers with the number of its serial, by which PyMonsoon finds it again', async () => {
    const b = bench(dc(1e-3), { serial: 'SIM-HVPM-0042' });
    await b.time.run(b.instrument.open());
    const answer = await b.time.run(b.device.controlIn(getRequest(monsoonOpcode.serialNumber), 4));
    expect([...answer]).toEqual([42, 0, 0, 0]);
  });

  it.each([
    ['left-sampling', 'earlier program'],
    ['eeprom-lost', 'factory defaults stand in'],
    ['bad-dac', 'output voltage is doubtful'],
    ['old-firmware', 'firmware 20'],
  ])('goes on with a notice on %s', async (fault, notice) => {
    const b = bench(dc(1e-3));
    b.emulator.inject(fault);
    const { notices } = await b.time.run(b.instrument.open());
    expect(notices).toEqual([expect.stringContaining(notice)]);
    expect(b.emulator.isSampling).toBe(false);
  });

  it.each([
    ['wrong-device', 'device.wrong'],
    ['never-stops', 'device.busy'],
    ['error-word', 'device.busy'],
    ['stall', 'device.silent'],
  ])('gives up within 2 s on %s', async (fault, code) => {
    const b = bench(dc(1e-3));
    b.emulator.inject(fault);
    await expect(b.time.run(b.instrument.open())).rejects.toMatchObject({
      code,
      where: expect.stringContaining('2ab9:0001 SIM-HVPM-0001'),
    });
    expect(b.time.now_ns()).toBeLessThan(2e9);
  });

  it('says at once that it vanished', async () => {
    const b = bench(dc(1e-3));
    b.device.unplug();
    await expect(b.time.run(b.instrument.open())).rejects.toMatchObject({ code: 'device.vanished' });
  });
});

describe('configuring a Monsoon', () => {
  it.each<object>([
    { rate_Hz: 1000 },
    { rails: [] },
    { rails: ['mains'] },
    { rails: ['usb'], usbPassthrough: 'auto' },
    { logicInputs: ['D0'] },
    { currentLimit_A: 16 },
    { currentLimit_A: 0 },
    { powerUpTime_ms: 256 },
    { calibrationInterval_ms: 65_536 },
  ])('refuses %o', async (settings) => {
    const b = bench(dc(1e-3));
    await b.time.run(b.instrument.open());
    await expect(b.instrument.configure(settings as MonsoonSettings)).rejects.toMatchObject({
      code: 'instrument.settings',
    });
  });

  it('sets limits, and reads them back', async () => {
    const b = bench(dc(1e-3));
    await configure(b, { currentLimit_A: 8, powerUpCurrentLimit_A: 2, powerUpTime_ms: 20, usbPassthrough: 'auto' });
    expect([0x44, 0x43, 0x0c, 0x10, 0x23].map((opcode) => b.emulator.register(opcode))).toEqual([
      35_427, 11_736, 20, 2, 0,
    ]);
    const deaf = bench(dc(1e-3));
    deaf.emulator.inject('limit-ignored');
    await expect(configure(deaf, { currentLimit_A: 1 })).rejects.toMatchObject({ code: 'device.setting' });
  });

  it('says that its settings are refused', async () => {
    const b = bench(dc(1e-3));
    b.emulator.inject('refuse');
    await expect(configure(b)).rejects.toMatchObject({ code: 'device.refused' });
  });

  it('refuses calls out of order', async () => {
    const b = bench(dc(1e-3));
    const notOpen = { code: 'device.not-open' };
    expect(() => b.instrument.describe()).toThrow(expect.objectContaining(notOpen));
    expect(() => b.instrument.streams).toThrow(expect.objectContaining(notOpen));
    await expect(b.instrument.configure({})).rejects.toMatchObject(notOpen);
    await expect(b.instrument.start()).rejects.toMatchObject(notOpen);
    await start(b);
    await expect(b.instrument.supply.on()).rejects.toMatchObject(notOpen);
    await expect(b.instrument.supply.setVoltage(3)).rejects.toMatchObject(notOpen);
  });

  it('refuses to start on an instrument that somebody else has started', async () => {
    const b = bench(dc(1e-3));
    await configure(b);
    const { setup, data } = startRequest(1250);
    b.emulator.controlOut(setup, data);
    await expect(b.time.run(b.instrument.start())).rejects.toMatchObject({ code: 'device.busy' });
    expect(b.emulator.isSampling).toBe(false);
  });
});

describe('the supply', () => {
  it('has no default, keeps to its limits and goes off at close', async () => {
    const b = bench(dc(1e-3));
    await configure(b);
    await expect(b.instrument.supply.on()).rejects.toMatchObject({ code: 'supply.no-voltage' });
    for (const volts of [4.1, 0.7, Number.NaN]) {
      await expect(b.instrument.supply.setVoltage(volts)).rejects.toMatchObject({ code: 'supply.voltage' });
    }
    await b.time.run(b.instrument.supply.setVoltage(3.7));
    expect(b.emulator.output_V).toBe(0);
    await b.time.run(b.instrument.supply.on());
    expect(b.emulator.output_V).toBeCloseTo(3.7, 5);
    await b.time.run(b.instrument.close());
    expect(b.emulator.output_V).toBe(0);
  });

  it('cannot be used without a limit', async () => {
    const b = bench(dc(1e-3));
    await configure(b, { maxVoltage_V: undefined });
    await expect(b.instrument.supply.setVoltage(3)).rejects.toMatchObject({ code: 'supply.voltage' });
  });

  it('goes off while it samples, which ends the measurement', async () => {
    const b = bench(dc(1e-3));
    await start(b);
    await b.time.advance(50);
    await b.time.run(b.instrument.supply.off());
    expect(b.collected.isComplete).toBe(true);
    expect(b.emulator.output_V).toBe(0);
  });

  it.each(['rubbish', 'over-current', 'no-reference'])('goes off on %s', async (fault) => {
    const b = bench(dc(1e-3));
    b.emulator.inject(fault);
    await start(b);
    await b.time.advance(5000);
    expect(b.collected.error).not.toBeNull();
    expect(b.emulator.output_V).toBe(0);
    expect(b.emulator.isSampling).toBe(false);
  });

  it('that an earlier program left on is switched off', async () => {
    const b = bench(dc(1e-3));
    const { setup, data } = setRequest(0x41, 3 << 20);
    b.emulator.controlOut(setup, data);
    expect(b.emulator.output_V).toBe(3);
    await configure(b);
    expect(b.emulator.output_V).toBe(0);
  });
});

describe('known waveforms', () => {
  const steps = (...levels: number[]) =>
    new SteppedSignal(
      levels.map((current_A) => ({ current_A, duration_s: 0.005 })),
      { voltage_V: 3 },
    );
  const sine = new SineSignal({ offset_A: 0.04, amplitude_A: 0.041, frequency_Hz: 37 }, { voltage_V: 3.3 });
  const spikes = new SteppedSignal(
    [
      { current_A: 1e-3, duration_s: 0.02 - DT },
      { current_A: 2, duration_s: DT },
    ],
    { voltage_V: 3 },
  );

  it.each<[string, SignalSource, MonsoonModel]>([
    ['a direct current', dc(12.34e-3), 'HVPM'],
    ['steps across both ranges', steps(0, 1e-6, 1e-3, 61e-3, 0.5, 6), 'HVPM'],
    ['a sine', sine, 'HVPM'],
    ['spikes of one sample', spikes, 'HVPM'],
    ['steps on an LVPM', steps(-1e-3, 1e-6, 1e-3, 40e-3, 0.5, 4), 'LVPM'],
    ['a sine on an LVPM', sine, 'LVPM'],
  ])('%s comes out to the resolution', async (_, source, model) => {
    const b = bench(source, {}, model);
    await measure(b, 1000);
    const { samples } = expectTruth(b, source);
    expect(samples).toBeGreaterThan(4900);
    expect(b.collected.gaps()).toEqual([CALIBRATION]);
    expect(b.collected.contiguousUpTo()).toBe(samples + 12);
    expect(b.collected.events().filter(({ code }) => code === 'overload')).toEqual([]);
  });

  it('uses both ranges', async () => {
    const b = bench(steps(1e-3, 0.5));
    await measure(b, 200);
    expect(expectTruth(b, steps(1e-3, 0.5)).ranges).toEqual(new Set([0, 1]));
  });

  it.each<MonsoonModel>(['HVPM', 'LVPM'])('comes out of all three channels on request: %s', async (model) => {
    const source = steps(1e-3, 0.2);
    const b = bench(source, {}, model);
    await measure(b, 300, { rails: ['aux', 'main', 'usb'] });
    expect(b.instrument.streams.map(({ id, quantities }) => [id, quantities.length])).toEqual([
      ['main', 2],
      ['usb', 2],
      ['aux', 1],
    ]);
    for (const rail of ['main', 'usb', 'aux']) {
      expect(expectTruth(b, source, rail).samples).toBeGreaterThan(1400);
      expect(b.collected.gaps(rail)).toEqual([{ ...CALIBRATION, stream: rail }]);
    }
    expect(b.collected.blocks('usb')[0]!.voltage![0]).toBe(5);
  });

  it('loses two samples to each calibration, and keeps time', async () => {
    const b = bench(sine);
    await measure(b, 2000, { calibrationInterval_ms: 500 });
    expect(b.collected.gaps()).toEqual([CALIBRATION, ...[2500, 5000, 7500].map((tick) => gap(tick, 2, 'invalid'))]);
    expectTruth(b, sine);
  });

  it.each([9, -0.1])('reports an overload once: %f A', async (current_A) => {
    const b = bench(dc(current_A));
    await measure(b, 200);
    expect(b.collected.events()).toMatchObject([{ code: 'overload', tick: 12 }]);
    expect(b.collected.blocks()[0]!.flags![0]).toBe(2);
  });
});

describe('what goes wrong in a stream', () => {
  const sine = new SineSignal({ offset_A: 0.04, amplitude_A: 0.035, frequency_Hz: 37 }, { voltage_V: 3 });
  const runWith = async (fault: string) => {
    const b = bench(sine);
    await start(b);
    await b.time.advance(50);
    b.emulator.inject(fault);
    await b.time.advance(100);
    await b.time.run(b.instrument.stop());
    return { b, at: b.emulator.faultsDone[0]!.sample };
  };

  it.each([1, 3, 100])('%i dropped samples are a gap, and time is kept', async (n) => {
    const { b, at } = await runWith(`drop=${n}`);
    expect(b.collected.gaps()).toEqual([CALIBRATION, gap(at, n, 'dropped')]);
    expect(expectTruth(b, sine).samples).toBeGreaterThan(500);
  });

  it('a count that jumps is a gap: nobody can tell it from dropped samples', async () => {
    const { b, at } = await runWith('counter-jump=7');
    expect(b.collected.gaps()).toEqual([CALIBRATION, gap(at, 7, 'dropped')]);
  });

  it('lost packets are a gap of unknown length', async () => {
    const { b, at } = await runWith('lose-packets=4');
    expect(b.collected.gaps()).toEqual([CALIBRATION, gap(at, null, 'link-loss')]);
    // Packets held three samples before and after, so that the estimate is right here.
    expectTruth(b, sine);
  });

  it('samples marked invalid are a gap', async () => {
    const { b, at } = await runWith('invalid=5');
    expect(b.collected.gaps()).toEqual([CALIBRATION, gap(at, 5, 'invalid')]);
    expectTruth(b, sine);
  });

  it('half a packet is a gap of its samples', async () => {
    const { b, at } = await runWith('half-packet');
    expect(b.collected.gaps()).toEqual([CALIBRATION, gap(at, 3, 'invalid')]);
    expectTruth(b, sine);
  });

  it('a packet that announces the impossible is a gap of unknown length', async () => {
    const { b, at } = await runWith('bad-count');
    expect(b.collected.gaps()).toEqual([CALIBRATION, gap(at, null, 'invalid')]);
    expectTruth(b, sine);
  });

  it.each([
    ['stall', 'device.stalled', 'unknown'],
    ['rubbish', 'device.protocol', 'invalid'],
    ['unplug', 'device.vanished', 'unplugged'],
    ['over-current', 'device.overcurrent', 'unknown'],
  ])('%s ends the stream within 2 s with a gap of unknown length and an error', async (fault, code, cause) => {
    const b = bench(sine);
    await start(b);
    await b.time.advance(50);
    b.emulator.inject(fault);
    await b.time.advance(2000);
    expect(b.collected.error).toMatchObject({ code });
    expect(b.collected.gaps().at(-1)).toMatchObject({ count: null, cause });
    if (fault === 'over-current') {
      expect(b.collected.events()).toMatchObject([{ code: 'supply-trip' }]);
    } else expectTruth(b, sine);
    await b.time.run(b.instrument.close());
  });

  it('a stall in stop() ends the stream with the error', async () => {
    const b = bench(sine);
    await start(b);
    await b.time.advance(50);
    b.emulator.inject('stall');
    await expect(b.time.run(b.instrument.stop())).rejects.toMatchObject({ code: 'device.silent' });
    expect(b.collected.error).toMatchObject({ code: 'device.silent' });
    expect(b.time.now_ns()).toBeLessThan(2e9);
  });

  it('missing calibrations are told as gaps, and end the stream after 4 s', async () => {
    const b = bench(sine);
    b.emulator.inject('no-reference');
    await start(b);
    await b.time.advance(2000);
    expect(b.collected.gaps().length).toBeGreaterThan(2);
    await b.time.advance(2500);
    expect(b.collected.error).toMatchObject({ code: 'device.calibration' });
    expect(b.collected.blocks()).toEqual([]);
  });

  it('close() in the middle ends the stream properly', async () => {
    const b = bench(sine);
    await start(b);
    await b.time.advance(50);
    await b.time.run(b.instrument.close());
    expect(b.collected.isComplete).toBe(true);
    expect(b.emulator.output_V).toBe(0);
    await b.time.run(b.instrument.close());
  });
});

describe('the Monsoon emulator', () => {
  it('refuses a serial number that does not say SIM-, and unknown faults', () => {
    const make = (serial?: string) => new MonsoonEmulator({ source: dc(0), time: new VirtualTime(), serial });
    expect(() => make('12345')).toThrow(expect.objectContaining({ code: 'emulator.serial' }));
    expect(() => make().inject('explode')).toThrow(expect.objectContaining({ code: 'emulator.fault' }));
  });
});
