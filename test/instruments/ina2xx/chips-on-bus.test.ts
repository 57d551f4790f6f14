import { describe, expect, it } from 'vitest';
import { averagingFor, periodOf_us } from '../../../src/instruments/ina2xx/averaging.ts';
import type { BusOptions } from '../../../src/instruments/ina2xx/bus-driver.ts';
import type { BusEmulatorOptions } from '../../../src/instruments/ina2xx/bus-emulator.ts';
import { Ina226, Ina226Emulator } from '../../../src/instruments/ina226/index.ts';
import { ina226Tables } from '../../../src/instruments/ina226/spec.ts';
import { Ina228, Ina228Emulator } from '../../../src/instruments/ina228/index.ts';
import { ina228Tables } from '../../../src/instruments/ina228/spec.ts';
import type { PowerInstrument } from '../../../src/instruments/power-instrument.ts';
import { SineSignal, SteppedSignal } from '../../../src/instruments/signals.ts';
import type { SignalSource } from '../../../src/signal/signal-source.ts';
import type { SampleBlock } from '../../../src/signal/types.ts';
import { VirtualTime } from '../../../src/transport/time.ts';
import { Collected } from '../../support/instrument.ts';

const dc = (current_A: number) => new SteppedSignal([{ current_A, duration_s: 1 }], { voltage_V: 3.3 });
const one: Settings = { chips: [{ address: 0x40, shunt_ohm: 0.1 }] };

interface Settings {
  chips: { address: number; shunt_ohm: number; rail?: string }[];
  rate_Hz?: number;
}

/** What differs between the chips. Steps and full scale are those of 0.1 ohm. */
interface Type {
  name: string;
  emulate(options: BusEmulatorOptions): Ina226Emulator | Ina228Emulator;
  drive(bus: Ina226Emulator | Ina228Emulator, options: BusOptions): PowerInstrument<never>;
  period_s(rate_Hz: number): number;
  slow_rel: number;
  step_A: number;
  step_V: number;
  fullScale_A: number;
  /** A rate at which a bus with such transfers cannot follow. */
  tooFast: { rate_Hz: number; transfer_ms: number };
}

const types: Type[] = [
  {
    name: 'INA226',
    emulate: (options) => new Ina226Emulator(options),
    drive: (bus, options) => new Ina226(bus, options),
    period_s: (rate_Hz) => periodOf_us(ina226Tables, averagingFor(ina226Tables, rate_Hz)) / 1e6,
    slow_rel: 0.013,
    step_A: 25e-6,
    step_V: 1.25e-3,
    fullScale_A: 0.8192,
    tooFast: { rate_Hz: 3500, transfer_ms: 0.12 },
  },
  {
    name: 'INA228',
    emulate: (options) => new Ina228Emulator(options),
    drive: (bus, options) => new Ina228(bus, options),
    period_s: (rate_Hz) => periodOf_us(ina228Tables, averagingFor(ina228Tables, rate_Hz)) / 1e6,
    slow_rel: 0.004,
    step_A: 3.125e-6,
    step_V: 195.3125e-6,
    fullScale_A: 1.6384,
    tooFast: { rate_Hz: 2400, transfer_ms: 0.15 },
  },
];

function benchOf(type: Type, source: SignalSource, options: Partial<BusEmulatorOptions> = {}, alert = false) {
  const time = new VirtualTime();
  const emulator = type.emulate({ source, time, ...options });
  const driverOptions: BusOptions = { time, serial: emulator.serial, ...(alert && { alert: emulator.alert }) };
  const instrument = type.drive(emulator, driverOptions);
  return { time, emulator, instrument, collected: new Collected(instrument) };
}

type Bench = ReturnType<typeof benchOf>;

async function start(b: Bench, settings: Settings = one): Promise<void> {
  await b.time.run(b.instrument.open());
  await b.time.run(b.instrument.configure(settings as never));
  await b.time.run(b.instrument.start());
}

async function measure(b: Bench, duration_ms: number, settings: Settings = one): Promise<void> {
  await start(b, settings);
  await b.time.advance(duration_ms);
  await b.time.run(b.instrument.stop());
}

interface Sample {
  start_s: number;
  end_s: number;
  current: number;
  voltage: number;
  flags: number;
}

/** Samples with their intervals on the source's own time. */
function samples(b: Bench, stream = 'main'): Sample[] {
  const at = (tick: number) => (tick - b.emulator.sourceStart_ns) / 1e9;
  return b.collected.blocks(stream).flatMap((block: SampleBlock) =>
    Array.from({ length: block.length }, (_, k) => ({
      start_s: at(block.startTicks![k]!),
      end_s: at(block.endTicks![k]!),
      current: block.current![k]!,
      voltage: block.voltage![k]!,
      flags: block.flags?.[k] ?? 0,
    })),
  );
}

describe.each(types)('$name chips on a bus:', (type) => {
  const bench = (source: SignalSource, options: Partial<BusEmulatorOptions> = {}, alert = false) =>
    benchOf(type, source, options, alert);

  describe('opening the bus', () => {
    it('finds the chips at all addresses that they can have', async () => {
      const b = bench(dc(0.1), { chips: [0x40, 0x45, 0x4f].map((address) => ({ address, shunt_ohm: 0.1 })) });
      expect(await b.time.run(b.instrument.open())).toMatchObject({
        family: type.name.toLowerCase(),
        hardware: '0x40, 0x45, 0x4f',
        serial: `SIM-${type.name}-0001`,
        simulated: true,
        notices: [],
      });
    });

    it.each([
      ['wrong-chip', 'device.wrong'],
      ['unplug', 'device.silent'],
      ['stall', 'device.stalled'],
      ['permission', 'device.permission'],
    ])('says so within 2 s on %s', async (fault, code) => {
      const b = bench(dc(0.1));
      b.emulator.inject(fault);
      await expect(b.time.run(b.instrument.open())).rejects.toMatchObject({ code });
      expect(b.time.now_ns()).toBeLessThan(2e9);
    });
  });

  describe('settings', () => {
    it.each<[object, string]>([
      [{}, 'chips'],
      [{ chips: [] }, 'chips'],
      [{ chips: [{ address: 0x40 }] }, 'shunt_ohm'],
      [{ chips: [{ address: 0x40, shunt_ohm: 0 }] }, 'shunt_ohm'],
      [{ chips: [{ address: 0x50, shunt_ohm: 0.1 }] }, 'address'],
      [{ chips: [{ address: 0x41, shunt_ohm: 0.1 }] }, 'chips'],
      [{ chips: [one.chips[0], one.chips[0]] }, 'chips'],
      [{ ...one, rate_Hz: 20_000 }, 'rate_Hz'],
      [{ ...one, rate_Hz: 0.1 }, 'rate_Hz'],
      [{ ...one, colour: 'red' }, 'instrument.settings'],
    ])('%o are refused', async (settings, where) => {
      const b = bench(dc(0.1));
      await b.time.run(b.instrument.open());
      await expect(b.time.run(b.instrument.configure(settings as never))).rejects.toMatchObject({
        code: 'instrument.settings',
        where: expect.stringContaining(where),
      });
    });

    it('announce the step and the full scale that the shunt gives', async () => {
      const b = bench(dc(0.1));
      await b.time.run(b.instrument.open());
      await b.time.run(b.instrument.configure(one as never));
      expect(b.instrument.streams).toMatchObject([
        { id: 'main', ticksPerSample: null, quantities: ['current', 'voltage'] },
      ]);
      expect(b.instrument.streams[0]!.ranges[0]!.resolution_A).toBeCloseTo(type.step_A, 12);
      expect(b.instrument.streams[0]!.ranges[0]!.fullScale_A).toBeCloseTo(type.fullScale_A, 4);
    });

    it('cannot time several chips by one ALERT', async () => {
      const chips = [0x40, 0x41].map((address) => ({ address, shunt_ohm: 0.1 }));
      const b = bench(dc(0.1), { chips }, true);
      await b.time.run(b.instrument.open());
      await expect(b.time.run(b.instrument.configure({ chips } as never))).rejects.toMatchObject({
        code: 'instrument.settings',
      });
    });

    it('are refused out of order', async () => {
      const b = bench(dc(0.1));
      expect(() => b.instrument.describe()).toThrow(expect.objectContaining({ code: 'device.not-open' }));
      expect(() => b.instrument.streams).toThrow(expect.objectContaining({ code: 'device.not-open' }));
      await expect(b.instrument.configure(one as never)).rejects.toMatchObject({ code: 'device.not-open' });
      await expect(b.instrument.start()).rejects.toMatchObject({ code: 'device.not-open' });
    });
  });

  describe.each([
    ['by polling', false],
    ['by ALERT', true],
  ])('samples of known waveforms %s', (_name, alert) => {
    it.each([1, 50, 500, 1000])('of DC at %i Hz are exact to half a step, without holes', async (rate_Hz) => {
      const b = bench(dc(0.1234), {}, alert);
      await measure(b, Math.max(1000, 4000 / rate_Hz), { ...one, rate_Hz });
      const got = samples(b);
      expect(got.length).toBeGreaterThanOrEqual(Math.max(3, 0.98 * rate_Hz));
      for (const [k, { current, voltage, start_s }] of got.entries()) {
        expect(Math.abs(current - 0.1234)).toBeLessThan(0.52 * type.step_A);
        expect(Math.abs(voltage - 3.3)).toBeLessThan(0.52 * type.step_V);
        if (k > 0) expect(start_s).toBe(got[k - 1]!.end_s);
      }
      expect(b.collected.gaps()).toEqual([]);
    });

    it('carry the intervals over which the chip averaged', async () => {
      const b = bench(dc(0.1), { slow_rel: 0.06 }, alert);
      await measure(b, 2000, { ...one, rate_Hz: 200 });
      const period_s = type.period_s(200) * 1.06;
      const first_s = b.emulator.firstSample_s!;
      for (const [k, { start_s, end_s }] of samples(b).entries()) {
        // A look takes 0.12 ms.
        expect(Math.abs(end_s - first_s - (k + 1) * period_s)).toBeLessThan(0.35e-3);
        if (k > 0) expect(Math.abs(start_s - first_s - k * period_s)).toBeLessThan(0.35e-3);
      }
      expect(b.collected.events().at(-1)).toMatchObject({
        code: 'info',
        text: expect.stringContaining('us on average'),
      });
    });

    it('add up to the charge of a sine and of steps', async () => {
      const sine = new SineSignal({ offset_A: 0.2, amplitude_A: 0.15, frequency_Hz: 7 }, { voltage_V: 3.3 });
      const steps = new SteppedSignal(
        [
          { current_A: 0.05, duration_s: 0.1 },
          { current_A: 0.5, duration_s: 0.03 },
        ],
        { voltage_V: 3.3 },
      );
      for (const source of [sine, steps]) {
        const b = bench(source, {}, alert);
        await measure(b, 2000);
        const got = samples(b);
        const [from_s, to_s] = [got[0]!.start_s, got.at(-1)!.end_s];
        const [truth, voltage] = [new Float64Array(1), new Float64Array(1)];
        source.fillMeans(from_s, to_s - from_s, 1, truth, voltage);
        const charge = got.reduce((sum, { current, start_s, end_s }) => sum + current * (end_s - start_s), 0);
        // Only the shunt's half of each period is seen.
        expect(charge / (to_s - from_s) / truth[0]!).toBeCloseTo(1, 2);
      }
    });

    it('saturate with a flag and one event', async () => {
      const b = bench(dc(2), {}, alert);
      await measure(b, 200);
      expect(samples(b).every(({ flags }) => flags === 2)).toBe(true);
      expect(b.collected.events().map(({ code }) => code)).toEqual(['overload', 'info']);
    });

    it('are negative where the current is', async () => {
      const b = bench(dc(-0.05), {}, alert);
      await measure(b, 100);
      expect(Math.abs(samples(b)[3]!.current + 0.05)).toBeLessThan(0.52 * type.step_A);
    });
  });

  describe('several chips on one bus', () => {
    it('give one stream a rail', async () => {
      const chips = [
        { address: 0x40, shunt_ohm: 0.1, rail: 'core' },
        { address: 0x41, shunt_ohm: 0.05 },
        { address: 0x44, shunt_ohm: 0.01, rail: 'io' },
      ];
      const b = bench(dc(0.2), { chips });
      await measure(b, 1000, { chips, rate_Hz: 200 });
      expect(b.instrument.streams.map(({ id }) => id)).toEqual(['core', 'rail-0x41', 'io']);
      for (const { rail, shunt_ohm } of [
        { rail: 'core', shunt_ohm: 0.1 },
        { rail: 'rail-0x41', shunt_ohm: 0.05 },
        { rail: 'io', shunt_ohm: 0.01 },
      ]) {
        const got = samples(b, rail);
        expect(got.length).toBeGreaterThan(190);
        expect(b.collected.gaps(rail)).toEqual([]);
        for (const { current } of got) expect(Math.abs(current - 0.2)).toBeLessThan((0.052 * type.step_A) / shunt_ohm);
      }
    });
  });

  describe('what goes wrong', () => {
    it('a bus that is too slow for the rate makes gaps, and time is kept', async () => {
      const b = bench(dc(0.1), { transfer_ms: type.tooFast.transfer_ms });
      await measure(b, 500, { ...one, rate_Hz: type.tooFast.rate_Hz });
      const got = samples(b);
      const missing = b.collected.gaps().reduce((sum, { count }) => sum + count!, 0);
      const covered_s = got.at(-1)!.end_s - got[0]!.start_s;
      expect(missing).toBeGreaterThan(100);
      // Without a look just before a result the period is only known as typical.
      expect(
        ((got.length + missing) * type.period_s(type.tooFast.rate_Hz) * (1 + type.slow_rel)) / covered_s,
      ).toBeCloseTo(1, 1);
      expect(b.collected.gaps().every(({ cause }) => cause === 'host-overrun' || cause === 'invalid')).toBe(true);
    });

    it('a host that is late loses results and says how many', async () => {
      const b = bench(dc(0.1));
      await start(b, { ...one, rate_Hz: 100 });
      await b.time.advance(500);
      b.emulator.inject('late=100');
      await b.time.advance(500);
      await b.time.run(b.instrument.stop());
      const gaps = b.collected.gaps();
      expect(gaps).toMatchObject([{ cause: 'host-overrun' }]);
      expect(gaps[0]!.count).toBeGreaterThanOrEqual(10);
      expect(gaps[0]!.count).toBeLessThanOrEqual(12);
      const period_s = type.period_s(100) * (1 + type.slow_rel);
      const first_s = b.emulator.firstSample_s!;
      for (const { end_s } of samples(b)) {
        const k = (end_s - first_s) / period_s;
        expect(Math.abs(k - Math.round(k))).toBeLessThan(0.05);
      }
    });

    it('a transfer that is not acknowledged now and then costs nothing but time', async () => {
      const b = bench(dc(0.1));
      await start(b, { ...one, rate_Hz: 100 });
      await b.time.advance(200);
      b.emulator.inject('nack=2');
      await b.time.advance(300);
      await b.time.run(b.instrument.stop());
      expect(b.collected.isComplete).toBe(true);
      expect(samples(b).length).toBeGreaterThanOrEqual(Math.floor(0.49 / (type.period_s(100) * (1 + type.slow_rel))));
    });

    it.each([
      ['unplug', 'device.silent', 'unplugged'],
      ['stall', 'device.stalled', 'unknown'],
      ['no-ready', 'device.stalled', 'unknown'],
      ['reset', 'device.reset', 'unknown'],
    ])('%s ends the stream within 2 s with a gap of unknown length and an error', async (fault, code, cause) => {
      for (const alert of [false, true]) {
        const b = bench(dc(0.1), {}, alert);
        await start(b, { ...one, rate_Hz: 100 });
        await b.time.advance(300);
        b.emulator.inject(fault);
        await b.time.advance(2000);
        expect(b.collected.error).toMatchObject({ code });
        expect(b.collected.gaps().at(-1)).toMatchObject({ count: null, cause });
        await b.time.run(b.instrument.close());
      }
    });

    it('close() in the middle ends the stream properly', async () => {
      const b = bench(dc(0.1));
      await start(b);
      await b.time.advance(100);
      await b.time.run(b.instrument.close());
      expect(b.collected.isComplete).toBe(true);
      expect(samples(b).length).toBeGreaterThan(40);
    });
  });
});

describe('an INA226', () => {
  it('names an unknown revision', async () => {
    const b = benchOf(types[0]!, dc(0.1));
    b.emulator.inject('new-revision');
    expect((await b.time.run(b.instrument.open())).notices).toEqual([expect.stringContaining('0x2263')]);
  });
});
