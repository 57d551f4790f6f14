import { describe, expect, it } from 'vitest';
import type { Emulator, EmulatorOptions } from '../../../src/instruments/emulator.ts';
import {
  Dmm34465aEmulator,
  N6705Emulator,
  ScpiInstrument,
  type ScpiSettings,
  streamLink,
  Wt310Emulator,
} from '../../../src/instruments/scpi/index.ts';
import { SineSignal } from '../../../src/instruments/signals.ts';
import type { SignalSource } from '../../../src/signal/signal-source.ts';
import type { ByteStream } from '../../../src/transport/byte-stream.ts';
import { memoryPair } from '../../../src/transport/memory.ts';
import { VirtualTime } from '../../../src/transport/time.ts';
import { Collected } from '../../support/instrument.ts';
import { randomChunks } from '../../support/random.ts';
import { dc, spikes, staircase } from '../../support/signals.ts';

const steps = staircase([0.02, 0.07, 0.013, 0.05], 0.23, 3.3);
const peaks = spikes(1e-3, 0.09, 1e-3, 3.3);
const sine = new SineSignal({ offset_A: 0.02, amplitude_A: 0.015, frequency_Hz: 7 }, { voltage_V: 3.3 });

interface Model {
  name: string;
  Emulator: new (stream: ByteStream, options: EmulatorOptions) => Emulator & { requests: readonly string[] };
  settings: ScpiSettings;
  /** Of one reading, relative. */
  resolution: number;
}

const wt310: Model = { name: 'WT310', Emulator: Wt310Emulator, settings: { rate_Hz: 10 }, resolution: 5.1e-5 };
const n6705: Model = { name: 'N6705', Emulator: N6705Emulator, settings: { rate_Hz: 1000 }, resolution: 6.1e-8 };
const dmm: Model = {
  name: '34465A',
  Emulator: Dmm34465aEmulator,
  settings: { rate_Hz: 1000, currentRange: 0.1 },
  resolution: 5.1e-9,
};
const models = [wt310, n6705, dmm];

const chunking = randomChunks(300);

function bench(model: Model, source: SignalSource, options: Partial<EmulatorOptions> = {}) {
  const time = new VirtualTime();
  const [host, device] = memoryPair('192.0.2.7:5025', chunking);
  const emulator = new model.Emulator(device, { source, time, ...options });
  const instrument = new ScpiInstrument(streamLink(host, time), { time });
  return { time, host, device, emulator, instrument, collected: new Collected(instrument) };
}

type Bench = ReturnType<typeof bench>;

async function start(b: Bench, settings: ScpiSettings): Promise<void> {
  await b.time.run(b.instrument.open());
  await b.time.run(b.instrument.configure(settings));
  await b.time.run(b.instrument.start());
}

/** Largest error of the current, relative to the truth, over each sample's own interval. @returns samples */
function expectTruth(b: Bench, source: SignalSource, resolution: number, slack_s = 0): number {
  let n = 0;
  const tickHz = b.instrument.clocks[0]!.tickHz;
  for (const block of b.collected.blocks()) {
    for (let i = 0; i < block.length; i++, n++) {
      const tick = block.startTicks ? block.startTicks[i]! : block.firstTick + i * block.ticksPerSample;
      const ticks = block.startTicks ? block.endTicks![i]! - tick : block.ticksPerSample;
      const [current, voltage] = [new Float64Array(1), new Float64Array(1)];
      source.fillMeans(b.emulator.firstSample_s! + tick / tickHz + slack_s, ticks / tickHz, 1, current, voltage);
      const error = Math.abs(block.current![i]! / current[0]! - 1);
      if (error > resolution) expect.fail(`sample at ${tick}: ${block.current![i]} A, truth ${current[0]} A`);
    }
  }
  return n;
}

describe.each(models)('a $name', (model) => {
  it('says who it is', async () => {
    const b = bench(model, sine);
    expect(await b.time.run(b.instrument.open())).toMatchObject({
      family: model.name.toLowerCase(),
      model: expect.stringContaining(model.name),
      serial: expect.stringMatching(/^SIM-/),
      simulated: true,
    });
  });

  it('does not take old errors for its own', async () => {
    const b = bench(model, sine);
    b.emulator.inject('stale-errors');
    await b.time.run(b.instrument.open());
    await b.time.run(b.instrument.configure(model.settings));
  });

  it.each([
    ['wrong-device', 'device.wrong'],
    ['stall', 'device.silent'],
    ['half-answer', 'device.silent'],
    ['long-block', 'device.protocol'],
    ['rubbish', 'device.wrong'],
  ])('gives up within 2 s on %s', async (fault, code) => {
    const b = bench(model, sine);
    b.emulator.inject(fault);
    await expect(b.time.run(b.instrument.open())).rejects.toMatchObject({ code, where: '192.0.2.7:5025' });
    expect(b.time.now_ns()).toBeLessThan(2e9);
  });

  it('passes on why it refuses a setting', async () => {
    const b = bench(model, sine);
    await b.time.run(b.instrument.open());
    b.emulator.inject('refuse-setting');
    await expect(b.time.run(b.instrument.configure(model.settings))).rejects.toMatchObject({
      code: 'device.refused',
      message: expect.stringContaining('-222 Data out of range'),
    });
  });

  it.each([{ colour: 'red' }, { rate_Hz: 123_456.7 }, { rate_Hz: 'fast' }, { logicInputs: ['trigger'] }])(
    'refuses %o',
    async (settings) => {
      const b = bench(model, sine);
      await b.time.run(b.instrument.open());
      await expect(
        b.time.run(b.instrument.configure({ ...model.settings, ...settings } as ScpiSettings)),
      ).rejects.toMatchObject({ code: expect.stringMatching(/^instrument\.setting/) });
    },
  );

  it.each([
    ['stall', 'device.silent', 'unknown'],
    ['half-answer', 'device.silent', 'unknown'],
    ['long-block', 'device.protocol', 'unknown'],
    ['rubbish', 'device.protocol', 'unknown'],
    ['unplug', 'device.vanished', 'unplugged'],
  ])('that measures: %s ends the stream with a gap and an error within 2 s', async (fault, code, cause) => {
    const b = bench(model, steps);
    await start(b, model.settings);
    await b.time.advance(550);
    const at_ns = b.time.now_ns();
    b.emulator.inject(fault);
    for (let k = 0; k < 40 && b.collected.error === null; k++) await b.time.advance(50);
    expect(b.collected.error).toMatchObject({ code });
    expect(b.time.now_ns() - at_ns).toBeLessThanOrEqual(2e9);
    expect(b.collected.gaps().at(-1)).toMatchObject({ count: null, cause });
    expect(b.collected.blocks().length).toBeGreaterThan(2);
    await b.time.run(b.instrument.close());
  });

  it('that stops measuring but answers is noticed within 2 s', async () => {
    const b = bench(model, steps);
    await start(b, model.settings);
    await b.time.advance(550);
    const at_ns = b.time.now_ns();
    b.emulator.inject(model === wt310 ? 'no-updates' : 'no-samples');
    for (let k = 0; k < 40 && b.collected.error === null; k++) await b.time.advance(50);
    expect(b.collected.error).toMatchObject({ code: model === wt310 ? 'device.silent' : 'device.stalled' });
    expect(b.time.now_ns() - at_ns).toBeLessThanOrEqual(2e9);
  });
});

describe('readings of a WT310', () => {
  it.each([
    ['ascii', dc(0.05, 3.3)],
    ['ascii', sine],
    ['ascii', steps],
    ['float', sine],
    ['float', peaks],
  ])('as %s are the means over their own intervals', async (format, source) => {
    const b = bench(wt310, source);
    await start(b, { rate_Hz: 10, format, voltageRange: 15, currentRange: 'auto' });
    await b.time.advance(3010);
    await b.time.run(b.instrument.stop());
    expect(b.collected.gaps()).toEqual([]);
    expect(b.collected.isComplete).toBe(true);
    const start_s = 0;
    expect(expectTruth({ ...b, emulator: b.emulator }, source, 5.1e-5, start_s)).toBeGreaterThan(28);
    for (const block of b.collected.blocks()) {
      expect(Math.abs(block.power![0]! / (3.3 * block.current![0]!) - 1)).toBeLessThan(1.2e-4);
    }
  });

  it.each([
    ['ascii', 'no-data', []],
    ['float', 'no-data', []],
    ['ascii', 'over-range', ['overload']],
    ['float', 'over-range', ['overload']],
  ])('as %s: %s becomes a gap', async (format, fault, events) => {
    const b = bench(wt310, dc(0.05, 3.3));
    await start(b, { rate_Hz: 10, format });
    await b.time.advance(520);
    b.emulator.inject(fault);
    await b.time.advance(500);
    await b.time.run(b.instrument.stop());
    expect(b.collected.gaps()).toMatchObject([{ count: 1, cause: 'invalid' }]);
    expect(b.collected.events().map((event) => event.code)).toEqual(events);
    expectTruth(b, dc(0.05, 3.3), 5.1e-5);
  });

  it('over a fixed range say so and give no samples', async () => {
    const b = bench(wt310, dc(0.05, 3.3));
    await start(b, { rate_Hz: 10, currentRange: 0.02 });
    await b.time.advance(520);
    expect(b.collected.blocks()).toEqual([]);
    expect(b.collected.gaps().length).toBeGreaterThan(3);
    expect(b.collected.events().map((event) => event.code)).toEqual(['overload']);
  });

  it('whose peak was over the range are flagged', async () => {
    const b = bench(wt310, dc(0.05, 3.3));
    await start(b, { rate_Hz: 10 });
    await b.time.advance(520);
    b.emulator.inject('peak-over');
    await b.time.advance(500);
    const flagged = b.collected.blocks().filter((block) => block.flags);
    expect(flagged).toMatchObject([{ flags: Uint8Array.of(2) }]);
  });

  it('that the host was too slow to fetch are a gap', async () => {
    const b = bench(wt310, sine);
    await start(b, { rate_Hz: 10 });
    await b.time.advance(520);
    const write = b.host.write.bind(b.host);
    b.host.write = (bytes) => new Promise((resolve) => b.time.after(330, () => write(bytes).then(resolve)));
    await b.time.advance(90);
    b.host.write = write;
    await b.time.advance(1500);
    expect(b.collected.error).toBeNull();
    expect(b.collected.gaps().length).toBeGreaterThan(0);
    expect(b.collected.gaps().every((gap) => gap.cause === 'host-overrun')).toBe(true);
  });

  it('come at every rate that it has', async () => {
    for (const rate_Hz of [10, 4, 2, 1, 0.5, 0.2]) {
      const b = bench(wt310, sine);
      await start(b, { rate_Hz });
      await b.time.advance(3500 / rate_Hz);
      expect(b.collected.blocks().length).toBe(3);
    }
  });
});

describe('the external log of a N6705', () => {
  it.each([
    ['DC', dc(0.05, 3.3)],
    ['a sine', sine],
    ['steps', steps],
    ['spikes', peaks],
  ])('of %s equals the truth to the resolution of the format', async (_name, source) => {
    const b = bench(n6705, source);
    await start(b, { rate_Hz: 1000 });
    await b.time.advance(2500);
    await b.time.run(b.instrument.stop());
    expect(b.collected.gaps()).toEqual([]);
    expect(expectTruth(b, source, 6.1e-8)).toBeGreaterThan(2400);
    // 1 ms is not a multiple of 20.48 us; the instrument says what it made of it.
    expect(b.instrument.streams[0]!.ticksPerSample).toBe(49);
    expect(b.instrument.clocks[0]!.tickHz).toBeCloseTo(48_828.125, 6);
    expect(b.collected.blocks()[0]!.voltage![0]).toBeCloseTo(3.3, 6);
  });

  it('may leave the voltage out and then be faster', async () => {
    const b = bench(n6705, sine);
    await b.time.run(b.instrument.open());
    await expect(b.time.run(b.instrument.configure({ rate_Hz: 9000 }))).rejects.toMatchObject({
      code: 'instrument.setting',
    });
    await b.time.run(b.instrument.configure({ rate_Hz: 9000, voltage: false }));
    await b.time.run(b.instrument.start());
    await b.time.advance(500);
    expect(b.instrument.streams[0]).toMatchObject({ ticksPerSample: 5, quantities: ['current'] });
    expect(expectTruth(b, sine, 6.1e-8)).toBeGreaterThan(3500);
  });

  it('with records that are no number has gaps', async () => {
    const b = bench(n6705, sine);
    await start(b, { rate_Hz: 1000 });
    await b.time.advance(450);
    b.emulator.inject('nan=7');
    await b.time.advance(500);
    expect(b.collected.gaps()).toMatchObject([{ count: 7, cause: 'invalid' }]);
    expectTruth(b, sine, 6.1e-8);
  });

  it('that was not read for 20 s ends with an error, as nobody can say what is missing', async () => {
    const b = bench(n6705, sine);
    await start(b, { rate_Hz: 1000 });
    await b.time.advance(450);
    const write = b.device.write.bind(b.device);
    b.device.write = async () => {};
    const after = b.time.after.bind(b.time);
    // The host sleeps: nothing is asked and no timer of its own runs.
    b.time.after = (delay_ms, callback) => after(delay_ms === 100 ? 21_000 : delay_ms, callback);
    b.device.write = write;
    await b.time.advance(22_000);
    expect(b.collected.error).toMatchObject({ code: 'device.overrun' });
    expect(b.collected.gaps().at(-1)).toMatchObject({ count: null, cause: 'dropped' });
  });

  it('with a block that is no whole number of records is an error', async () => {
    const b = bench(n6705, sine);
    await start(b, { rate_Hz: 1000 });
    b.emulator.inject('odd-block');
    await b.time.advance(500);
    expect(b.collected.error).toMatchObject({ code: 'device.protocol' });
  });
});

describe('the supply of a N6705', () => {
  const open = async (settings: ScpiSettings = { maxVoltage_V: 3.6 }) => {
    const voltages: number[] = [];
    const b = bench(n6705, sine, { onSupply: (voltage_V) => voltages.push(voltage_V) });
    await b.time.run(b.instrument.open());
    await b.time.run(b.instrument.configure(settings));
    return { b, voltages, supply: b.instrument.supply! };
  };

  it('has no default voltage and refuses more than the limit', async () => {
    const { b, supply } = await open();
    await expect(b.time.run(supply.on())).rejects.toMatchObject({ code: 'supply.no-voltage' });
    for (const voltage_V of [3.7, Number.NaN, -1]) {
      await expect(b.time.run(supply.setVoltage(voltage_V))).rejects.toMatchObject({ code: 'supply.voltage' });
    }
    const other = await open({});
    await expect(other.b.time.run(other.supply.setVoltage(1))).rejects.toMatchObject({ code: 'supply.voltage' });
  });

  it('goes on as set, and off at close()', async () => {
    const { b, voltages, supply } = await open({ maxVoltage_V: 3.6, currentLimit_A: 0.5 });
    await b.time.run(supply.setVoltage(3.3));
    await b.time.run(supply.on());
    expect(voltages.at(-1)).toBe(3.3);
    expect(b.emulator.requests).toContain('CURR 0.5,(@1)');
    await b.time.run(b.instrument.close());
    expect(voltages.at(-1)).toBe(0);
  });

  it('goes off when the measurement fails', async () => {
    const { b, voltages, supply } = await open();
    await b.time.run(supply.setVoltage(3.3));
    await b.time.run(supply.on());
    await b.time.run(b.instrument.start());
    b.emulator.inject('no-samples');
    await b.time.advance(2000);
    expect(b.collected.error).toMatchObject({ code: 'device.stalled' });
    expect(voltages.at(-1)).toBe(0);
  });

  it('that trips says why', async () => {
    const { b, supply } = await open();
    await b.time.run(supply.setVoltage(3.3));
    await b.time.run(supply.on());
    await b.time.run(b.instrument.start());
    await b.time.advance(300);
    b.emulator.inject('trip');
    await b.time.advance(500);
    expect(b.collected.events()).toMatchObject([
      { code: 'supply-trip', text: expect.stringContaining('over-current protection') },
    ]);
    await expect(b.time.run(supply.on())).rejects.toMatchObject({ code: 'device.refused' });
  });
});

describe('readings of a 34465A', () => {
  it.each([
    ['DC', dc(0.05, 3.3)],
    ['a sine', sine],
    ['steps', steps],
    ['spikes', peaks],
  ])('of %s equal the truth to the last digit', async (_name, source) => {
    const b = bench(dmm, source);
    await start(b, { ...dmm.settings, externalVoltage_V: 3.3 });
    await b.time.advance(2500);
    await b.time.run(b.instrument.stop());
    expect(b.collected.gaps()).toEqual([]);
    expect(expectTruth(b, source, 5.1e-9)).toBeGreaterThan(2400);
    expect(b.instrument.streams[0]).toMatchObject({ ticksPerSample: 1000, assumedVoltage_V: 3.3 });
  });

  it('come at 50 kHz', async () => {
    const b = bench(dmm, sine);
    await start(b, { rate_Hz: 50_000, currentRange: 0.1 });
    await b.time.advance(300);
    await b.time.run(b.instrument.stop());
    expect(expectTruth(b, sine, 5.1e-9)).toBe(15_000);
  });

  it('over the range are gaps and one event', async () => {
    const b = bench(dmm, sine);
    await start(b, dmm.settings);
    await b.time.advance(450);
    b.emulator.inject('overload=5');
    await b.time.advance(500);
    expect(b.collected.gaps()).toMatchObject([{ count: 5, cause: 'invalid' }]);
    expect(b.collected.events().map((event) => event.code)).toEqual(['overload']);
    expectTruth(b, sine, 5.1e-9);
  });

  it('that have been overwritten end the stream, as nobody can say how many', async () => {
    const b = bench(dmm, sine);
    await start(b, dmm.settings);
    await b.time.advance(450);
    b.emulator.inject('overflow');
    await b.time.advance(500);
    expect(b.collected.error).toMatchObject({ code: 'device.overrun' });
    expect(b.collected.gaps()).toMatchObject([{ count: null, cause: 'dropped' }]);
  });

  it('need a fixed range', async () => {
    const b = bench(dmm, sine);
    await b.time.run(b.instrument.open());
    await expect(b.time.run(b.instrument.configure({ rate_Hz: 1000 }))).rejects.toMatchObject({
      code: 'instrument.setting',
      where: '34465a setting currentRange',
    });
  });
});
