import { describe, expect, it } from 'vitest';
import { Random } from '../../src/plant/random.ts';
import { ArrivalTimes } from '../../src/sync/arrival-times.ts';
import { CounterUnwrap, findHiddenLosses } from '../../src/sync/loss-detection.ts';

const tickHz = 1e5;
const perMessage = 1000;

interface Trial {
  seed: number;
  seconds?: number;
  /** Samples lost before these messages. */
  losses?: { message: number; samples: number }[];
  skew?: number;
  /** Extra delay of a message, ns. */
  late_ns?: (message: number) => number;
}

/**
 * 100 messages of 1,000 samples a second, each sample with a 6-bit counter, with the delays of specs: science 3.2. The
 * receiver counts on by what the counter shows.
 */
function receive({ seed, seconds = 30, losses = [], skew = 0, late_ns = () => 0 }: Trial) {
  const random = new Random(seed);
  const counter = new CounterUnwrap(6);
  const arrivals = new ArrivalTimes(tickHz);
  let sample = 0;
  let shown = 0;
  const places: number[] = [];
  for (let k = 0; k < seconds * 100; k++) {
    for (const loss of losses) {
      if (loss.message !== k) continue;
      sample += loss.samples;
      places.push(k * perMessage);
    }
    const { first, missing } = counter.push(sample & 63, perMessage);
    shown += missing;
    sample += perMessage;
    const spike = random.uniform() < 0.01 ? random.between(2e6, 30e6) : 0;
    const delay = 125e3 + random.uniform() * 1e6 - 0.3e6 * Math.log(1 - random.uniform()) + spike + late_ns(k);
    arrivals.add(first + perMessage, (sample / tickHz) * 1e9 * (1 + skew) + delay);
  }
  const search = findHiddenLosses(arrivals.points, tickHz, 64);
  return { ...search, shown, places };
}

describe('a short counter', () => {
  it('counts on over its end', () => {
    const counter = new CounterUnwrap(32);
    expect(counter.push(2 ** 32 - 10, 5)).toEqual({ first: 2 ** 32 - 10, missing: 0 });
    expect(counter.push(2 ** 32 - 5, 5)).toEqual({ first: 2 ** 32 - 5, missing: 0 });
    expect(counter.push(0, 5)).toEqual({ first: 2 ** 32, missing: 0 });
    expect(counter.push(7, 1)).toEqual({ first: 2 ** 32 + 7, missing: 2 });
  });

  it('runs through 36 minutes of u32 samples at 2 MS/s many times over', () => {
    const counter = new CounterUnwrap(32);
    const block = 2 ** 30;
    for (let k = 0; k < 20; k++)
      expect(counter.push((k * block) % 2 ** 32, block)).toEqual({ first: k * block, missing: 0 });
  });

  it('must have bits', () => {
    expect(() => new CounterUnwrap(0)).toThrow(RangeError);
  });
});

describe('losses behind a 6-bit counter', () => {
  it.each([1, 63, 64, 65, 100, 128, 6400])('are found and counted: %i samples', (samples) => {
    for (let seed = 1; seed <= 20; seed++) {
      const message = 500 + 83 * seed;
      const { shown, losses, resolved, places } = receive({ seed, losses: [{ message, samples }], skew: 20e-6 });
      expect(resolved).toBe(true);
      const hidden = losses.reduce((sum, loss) => sum + loss.ticks!, 0);
      expect(shown).toBe(samples % 64);
      expect(shown + hidden).toBe(samples);
      for (const loss of losses) {
        expect(loss.afterTick).toBeLessThanOrEqual(places[0]! + 64);
        expect(places[0]! - loss.afterTick).toBeLessThan(25 * perMessage);
      }
    }
  });

  it('are told apart when several happen', () => {
    const losses = [
      { message: 700, samples: 64 },
      { message: 1500, samples: 640 },
      { message: 2300, samples: 128 },
    ];
    for (let seed = 1; seed <= 20; seed++) {
      expect(receive({ seed, losses }).losses.map((loss) => loss.ticks)).toEqual([64, 640, 128]);
    }
  });

  it('are not invented: jitter, skew of 200 ppm and a host that stalls for a second leave none', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const skew = seed % 2 ? 200e-6 : -200e-6;
      const late_ns = (k: number) => (k >= 1000 && k < 1200 ? Math.max(0, (1100 - k) * 1e7) : 0);
      expect(receive({ seed, skew }).losses).toEqual([]);
      expect(receive({ seed, late_ns }).losses).toEqual([]);
    }
  });

  it('are not claimed where everything is later by no whole number of them', () => {
    const found = receive({ seed: 3, late_ns: (k) => (k > 1500 ? 64 * 1e4 * 1.5 : 0) }).losses;
    expect(found).toHaveLength(1);
    expect(found[0]!.ticks).toBeNull();
    expect(found[0]!.step_s).toBeCloseTo(960e-6, 3);
  });

  it('cannot be seen in a recording of a second, which is said', () => {
    expect(receive({ seed: 1, seconds: 1 })).toMatchObject({ losses: [], resolved: false });
  });
});
