import { describe, expect, it } from 'vitest';
import type { BusEmulatorOptions } from '../../../src/instruments/ina2xx/bus-emulator.ts';
import { Ina228, Ina228Emulator, type Ina228Settings } from '../../../src/instruments/ina228/index.ts';
import { SineSignal, SteppedSignal } from '../../../src/instruments/signals.ts';
import type { SignalSource } from '../../../src/signal/signal-source.ts';
import { VirtualTime } from '../../../src/transport/time.ts';
import { Collected } from '../../support/instrument.ts';

const dc = (current_A: number) => new SteppedSignal([{ current_A, duration_s: 1 }], { voltage_V: 3.3 });
const one: Ina228Settings = { chips: [{ address: 0x40, shunt_ohm: 0.1 }], output: 'accumulators' };
/** A step of ENERGY and of CHARGE with 0.1 ohm. */
const step_J = 51.2 * 3.125e-6;
const step_C = 3.125e-6;

function bench(source: SignalSource, options: Partial<BusEmulatorOptions> = {}) {
  const time = new VirtualTime();
  const emulator = new Ina228Emulator({ source, time, ...options });
  const instrument = new Ina228(emulator, { time, serial: emulator.serial });
  return { time, source, emulator, instrument, collected: new Collected(instrument) };
}

type Bench = ReturnType<typeof bench>;

async function start(b: Bench, settings = one): Promise<void> {
  await b.time.run(b.instrument.open());
  await b.time.run(b.instrument.configure(settings));
  await b.time.run(b.instrument.start());
}

async function measure(b: Bench, duration_ms: number, settings = one): Promise<void> {
  await start(b, settings);
  await b.time.advance(duration_ms);
  await b.time.run(b.instrument.stop());
}

function samples(b: Bench) {
  const at = (tick: number) => (tick - b.emulator.sourceStart_ns) / 1e9;
  return b.collected.blocks().flatMap((block) =>
    Array.from({ length: block.length }, (_, k) => ({
      start_s: at(block.startTicks![k]!),
      end_s: at(block.endTicks![k]!),
      energy: block.energy![k]!,
      current: block.current![k]!,
      flags: block.flags?.[k] ?? 0,
      range: block.range?.[k],
    })),
  );
}

/** Sums over all samples, and the plant's own. */
function totals(b: Bench) {
  const got = samples(b);
  const [from_s, to_s] = [got[0]!.start_s, got.at(-1)!.end_s];
  const parts = 10_000;
  const [current, voltage] = [new Float64Array(parts), new Float64Array(parts)];
  const part_s = (to_s - from_s) / parts;
  b.source.fillMeans(from_s, part_s, parts, current, voltage);
  return {
    n: got.length,
    duration_s: to_s - from_s,
    energy_J: got.reduce((sum, { energy }) => sum + energy, 0),
    charge_C: got.reduce((sum, sample) => sum + sample.current * (sample.end_s - sample.start_s), 0),
    trueEnergy_J: current.reduce((sum, i, k) => sum + i * voltage[k]! * part_s, 0),
    trueCharge_C: current.reduce((sum, i) => sum + i * part_s, 0),
  };
}

describe('the accumulators of an INA228', () => {
  it('are announced as energy and current, in two ranges', async () => {
    const b = bench(dc(0.1));
    await b.time.run(b.instrument.open());
    await b.time.run(b.instrument.configure({ ...one, chips: [{ ...one.chips[0]!, shuntRange_mV: 40.96 }] }));
    expect(b.instrument.streams).toMatchObject([{ quantities: ['energy', 'current'], precision: 'f64' }]);
    expect(b.instrument.streams[0]!.ranges.map(({ name }) => name)).toEqual([
      '163.84 mV / 0.1 ohm',
      '40.96 mV / 0.1 ohm',
    ]);
  });

  it.each([
    ['an oscillator that is right', 0],
    ['a slow oscillator', 0.02],
    ['a fast oscillator', -0.015],
  ])('give the energy and charge of DC to a step, by %s', async (_name, slow_rel) => {
    const b = bench(dc(0.1234), { slow_rel });
    await measure(b, 5000);
    const { n, duration_s, energy_J, charge_C, trueEnergy_J, trueCharge_C } = totals(b);
    expect(n).toBeGreaterThan(450);
    // Besides a step: the first and the last end are known to 0.3 ms each.
    const ends_rel = 0.6e-3 / duration_s;
    expect(Math.abs(energy_J - trueEnergy_J)).toBeLessThan(step_J + ends_rel * trueEnergy_J);
    expect(Math.abs(charge_C - trueCharge_C)).toBeLessThan(step_C + ends_rel * trueCharge_C);
    for (const [k, { start_s }] of samples(b).entries()) if (k > 0) expect(start_s).toBe(samples(b)[k - 1]!.end_s);
    expect(b.collected.gaps()).toEqual([]);
  });

  it.each([2, 50, 500])('follow a sine and steps at %i Hz', async (rate_Hz) => {
    const sine = new SineSignal({ offset_A: 0.2, amplitude_A: 0.15, frequency_Hz: 7 }, { voltage_V: 3.3 });
    const steps = new SteppedSignal(
      [
        { current_A: 0.05, duration_s: 0.1 },
        { current_A: 0.5, duration_s: 0.03 },
      ],
      { voltage_V: 3.3 },
    );
    for (const source of [sine, steps]) {
      const b = bench(source);
      await measure(b, 4000, { ...one, rate_Hz });
      const { energy_J, trueEnergy_J, charge_C, trueCharge_C } = totals(b);
      // Shunt and bus are converted in turn: half of the time is seen.
      expect(energy_J / trueEnergy_J).toBeCloseTo(1, 1.7);
      expect(charge_C / trueCharge_C).toBeCloseTo(1, 1.7);
    }
  });

  it('have steps a quarter as large in the finer range', async () => {
    const b = bench(dc(0.02));
    const chips = [{ ...one.chips[0]!, shuntRange_mV: 40.96 as const }];
    await measure(b, 3000, { ...one, chips });
    const { energy_J, trueEnergy_J } = totals(b);
    expect(Math.abs(energy_J - trueEnergy_J)).toBeLessThan(step_J / 4 + 1e-4 * trueEnergy_J);
    expect(samples(b).every(({ range }) => range === 1)).toBe(true);
  });

  it('hold what the host does not read in time: nothing is missing, and it says how many', async () => {
    const b = bench(dc(0.1));
    await start(b, { ...one, rate_Hz: 100 });
    await b.time.advance(500);
    b.emulator.inject('late=300');
    await b.time.advance(1500);
    await b.time.run(b.instrument.stop());
    const { energy_J, trueEnergy_J } = totals(b);
    expect(b.collected.gaps()).toEqual([]);
    expect(Math.abs(energy_J - trueEnergy_J)).toBeLessThan(step_J + 2e-3 * trueEnergy_J);
    expect(Math.max(...samples(b).map(({ start_s, end_s }) => end_s - start_s))).toBeGreaterThan(0.25);
    const told = b.collected.events().map(({ text }) => text);
    expect(told).toContainEqual(expect.stringMatching(/^3\d results of main were not read; the accumulators hold/));
  });

  it.each([2000, 10_000])('may be read at fewer than their %i Hz', async (rate_Hz) => {
    const b = bench(dc(0.3));
    await measure(b, 2000, { ...one, rate_Hz });
    const { duration_s, energy_J, trueEnergy_J } = totals(b);
    expect(b.collected.gaps()).toEqual([]);
    expect(duration_s).toBeGreaterThan(1.95);
    // Without a look just before a result the period is only known as typical.
    expect(energy_J / trueEnergy_J).toBeCloseTo(1, 1.7);
  });

  it('may wrap', async () => {
    const b = bench(dc(0.1));
    await start(b);
    await b.time.advance(1000);
    b.emulator.inject('wrap');
    await b.time.advance(2000);
    await b.time.run(b.instrument.stop());
    // Where they were put there is no telling what they held; from there on they wrap without harm.
    const gaps = b.collected.gaps();
    expect(gaps).toMatchObject([{ count: 1, cause: 'invalid' }]);
    for (const { energy, start_s, end_s } of samples(b)) {
      expect(Math.abs(energy - 0.33 * (end_s - start_s))).toBeLessThan(1.1 * step_J);
    }
  });

  it('that are set to zero by another program cost one interval', async () => {
    const b = bench(dc(0.1));
    await start(b);
    await b.time.advance(2000);
    b.emulator.inject('clear-accumulators');
    await b.time.advance(2000);
    await b.time.run(b.instrument.stop());
    expect(b.collected.gaps()).toMatchObject([{ count: 1, cause: 'invalid' }]);
    expect(samples(b).every(({ energy }) => energy > 0)).toBe(true);
    expect(b.collected.events().map(({ text }) => text)).toContainEqual(expect.stringContaining('set to zero'));
  });

  it('cannot tell energy of a current that flows backwards: gaps instead', async () => {
    const b = bench(dc(-0.05));
    await measure(b, 1000);
    expect(samples(b)).toEqual([]);
    expect(b.collected.gaps().length).toBeGreaterThan(7);
    expect(b.collected.gaps().every(({ cause }) => cause === 'invalid')).toBe(true);
    expect(b.collected.events().map(({ text }) => text)).toContainEqual(expect.stringContaining('flowed backwards'));
  });

  it.each<[string, number, string | null]>([
    ['more than full scale', 2, null],
    ['an arithmetic that overflowed', 0.1, 'math-overflow'],
  ])('are flagged for %s, with one event', async (_name, current_A, fault) => {
    const b = bench(dc(current_A));
    if (fault) b.emulator.inject(fault);
    await measure(b, 1000);
    expect(samples(b).length).toBeGreaterThan(7);
    expect(samples(b).every(({ flags }) => flags === 2)).toBe(true);
    expect(b.collected.events().filter(({ code }) => code === 'overload')).toHaveLength(1);
  });

  it('say how the oscillator of the chip compares with the clock of the host', async () => {
    const b = bench(dc(0.1), { slow_rel: 0.02 });
    await measure(b, 8000);
    const text = b.collected.events().find((event) => event.text.startsWith('conversions of main'))!.text;
    expect(Number(/took (\S+) times/.exec(text)![1])).toBeCloseTo(1.02, 2);
  });
});

describe('an INA228', () => {
  it('whose calibration memory is damaged says so', async () => {
    const b = bench(dc(0.1));
    b.emulator.inject('bad-memory');
    expect((await b.time.run(b.instrument.open())).notices).toEqual([expect.stringContaining('MEMSTAT')]);
  });

  it('measures in its finer range with the number of that range in each sample, and saturates there', async () => {
    const b = bench(dc(0.3));
    const chips = [{ address: 0x40, shunt_ohm: 0.1, shuntRange_mV: 40.96 as const }];
    await measure(b, 200, { chips });
    const block = b.collected.blocks()[0]!;
    expect(block.range!.every((range) => range === 1)).toBe(true);
    expect(Math.abs(block.current![3]! - 0.3)).toBeLessThan(0.52 * 0.78125e-6);
    const beyond = bench(dc(0.5));
    await measure(beyond, 200, { chips });
    expect(beyond.collected.events()[0]).toMatchObject({ code: 'overload', text: expect.stringContaining('40.96 mV') });
  });

  it('refuses a range and an output that it does not have', async () => {
    const b = bench(dc(0.1));
    await b.time.run(b.instrument.open());
    for (const wrong of [{ output: 'energy' }, { chips: [{ ...one.chips[0]!, shuntRange_mV: 81.92 }] }]) {
      await expect(b.instrument.configure({ ...one, ...wrong } as never)).rejects.toMatchObject({
        code: 'instrument.settings',
      });
    }
  });
});
