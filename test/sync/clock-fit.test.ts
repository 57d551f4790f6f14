import { describe, expect, it } from 'vitest';
import { Random } from '../../src/plant/random.ts';
import { ArrivalTimes } from '../../src/sync/arrival-times.ts';
import { fitArrivals, fitPulses } from '../../src/sync/clock-fit.ts';

const instrument = { id: 'instrument', tickHz: 1e5 };
const analyser = { id: 'analyser', tickHz: 1e6 };

/** Delay of a message, ns: 125 us + U(0, 1 ms) + exp(0.3 ms), 1 % spikes of 2-30 ms (specs: science 3.2). */
function delay_ns(random: Random): number {
  const spike = random.uniform() < 0.01 ? random.between(2e6, 30e6) : 0;
  return 125e3 + random.uniform() * 1e6 - 0.3e6 * Math.log(1 - random.uniform()) + spike;
}

/** 100 messages a second; `true_ns` tells when a tick happened. */
function arrivals(seconds: number, random: Random, true_ns: (tick: number) => number) {
  const found = new ArrivalTimes(instrument.tickHz);
  for (let k = 1; k <= seconds * 100; k++) found.add(k * 1000, true_ns(k * 1000) + delay_ns(random));
  return found.points;
}

describe('a fit of one-sided arrival times', () => {
  /** Latency of 125 us at least, of which the fit is told that it is at most 250 us. */
  const bound_s = 250e-6;

  it('lies within 3u of offset and skew in 98 % of 500 simulations', () => {
    let inside = 0;
    for (let seed = 1; seed <= 500; seed++) {
      const random = new Random(seed);
      const skew = 20e-6 * random.normal();
      const start_ns = random.between(0, 1e14);
      const true_ns = (tick: number) => start_ns + (1 + skew) * tick * 1e4;
      const model = fitArrivals(arrivals(30, random, true_ns), instrument, bound_s)!;
      const found = model.skewAt(0);
      const middle = 15e5;
      const offsetError = model.map(middle) - true_ns(middle);
      expect(model.u_ticks(middle)).toBeGreaterThanOrEqual(125e3);
      if (Math.abs(found.skew - skew) <= 3 * found.u && Math.abs(offsetError) <= 3 * model.u_ticks(middle)!) inside++;
    }
    expect(inside).toBeGreaterThanOrEqual(490);
  });

  it('drifts by at most 3 us rms over 600 s, and its floor lies no lower than the least delay', () => {
    let squares = 0;
    const seeds = 20;
    for (let seed = 1; seed <= seeds; seed++) {
      const random = new Random(seed);
      const skew = 20e-6 * random.normal();
      const true_ns = (tick: number) => 1e12 + (1 + skew) * tick * 1e4;
      const model = fitArrivals(arrivals(600, random, true_ns), instrument, null)!;
      const error = (tick: number) => model.map(tick) - true_ns(tick);
      const drift_us = Math.max(Math.abs(error(0) - error(3e7)), Math.abs(error(6e7) - error(3e7))) / 1e3;
      squares += drift_us ** 2;
      expect(error(3e7)).toBeGreaterThanOrEqual(125e3);
      expect(error(3e7)).toBeLessThan(150e3);
    }
    expect(Math.sqrt(squares / seeds)).toBeLessThanOrEqual(3);
  });

  it('says that the offset is not known where no bound of the latency was declared', () => {
    const model = fitArrivals(
      arrivals(10, new Random(1), (tick) => tick * 1e4),
      instrument,
      null,
    )!;
    expect(model.u_ticks(0)).toBeNull();
  });

  it('holds skews of 200 ppm either way', () => {
    for (const skew of [200e-6, -200e-6]) {
      const points = arrivals(60, new Random(3), (tick) => (1 + skew) * tick * 1e4);
      const found = fitArrivals(points, instrument, bound_s)!.skewAt(0);
      expect(Math.abs(found.skew - skew)).toBeLessThan(3 * found.u);
      expect(found.u).toBeLessThan(1e-6);
    }
  });

  it('follows a clock whose skew changes with temperature, piece by piece', () => {
    // 2 ppm up and down over 20 minutes: 380 us away from any straight line.
    const wander_ns = (tick: number) => 382e3 * Math.sin((2 * Math.PI * tick) / 1.2e8);
    const true_ns = (tick: number) => 1e9 + tick * 1e4 + wander_ns(tick);
    let inside = 0;
    let worst_ns = 0;
    for (let seed = 1; seed <= 10; seed++) {
      const model = fitArrivals(arrivals(1200, new Random(seed), true_ns), instrument, bound_s)!;
      expect(model.pieces.length).toBeGreaterThan(8);
      for (let tick = 5e6; tick <= 11.5e7; tick += 1e6) {
        const error_ns = Math.abs(model.map(tick) - true_ns(tick));
        worst_ns = Math.max(worst_ns, error_ns);
        if (error_ns <= 3 * model.u_ticks(tick)!) inside++;
      }
    }
    expect(inside / 1110).toBeGreaterThanOrEqual(0.98);
    expect(worst_ns).toBeLessThan(60e3);
  });

  it('keeps one line where one line holds', () => {
    for (let seed = 1; seed <= 20; seed++) {
      const points = arrivals(300, new Random(seed), (tick) => (1 + 20e-6) * tick * 1e4);
      expect(fitArrivals(points, instrument, bound_s)!.pieces).toHaveLength(1);
    }
  });

  it('is not led astray when the host gets busy half-way', () => {
    const random = new Random(9);
    const found = new ArrivalTimes(instrument.tickHz);
    for (let k = 1; k <= 60_000; k++) {
      const busy_ns = k > 30_000 ? 0.8e6 * random.uniform() : 0;
      found.add(k * 1000, k * 1e7 + delay_ns(random) + busy_ns);
    }
    const model = fitArrivals(found.points, instrument, null)!;
    const error = (tick: number) => model.map(tick) - tick * 1e4 - 125e3;
    for (let tick = 0; tick <= 6e7; tick += 1e6) expect(Math.abs(error(tick))).toBeLessThan(100e3);
  });

  it('counts what arrives together as one message, which ends where the last of it does', () => {
    const found = new ArrivalTimes(instrument.tickHz);
    for (let k = 1; k <= 10; k++) {
      // The first half of each message had to wait for the second.
      found.add(k * 1000 - 500, k * 1e7);
      found.add(k * 1000, k * 1e7);
    }
    expect([...found.points.ticks]).toEqual(Array.from({ length: 10 }, (_, k) => (k + 1) * 1000));
  });

  it('takes the nominal rate where there are only a few arrivals, with the uncertainty of a crystal', () => {
    let inside = 0;
    for (let seed = 1; seed <= 500; seed++) {
      const random = new Random(seed);
      const skew = 100e-6 * random.normal();
      const true_ns = (tick: number) => 1e12 + (1 + skew) * tick * 1e4;
      const found = new ArrivalTimes(instrument.tickHz);
      // Start and stop of five windows of 10 s.
      const edges = [0, 1, 11, 13, 23, 25, 35, 37, 47, 49, 59].map((time_s) => time_s * 1e5);
      for (const tick of edges) found.add(tick, true_ns(tick) + delay_ns(random));
      const model = fitArrivals(found.points, instrument, bound_s)!;
      if (edges.every((tick) => Math.abs(model.map(tick) - true_ns(tick)) <= 3 * model.u_ticks(tick)!)) inside++;
    }
    expect(inside).toBeGreaterThanOrEqual(490);
    const none = { ticks: Float64Array.of(5), arrivals_ns: Float64Array.of(7) };
    expect(fitArrivals(none, instrument, bound_s)).toBeNull();
  });
});

describe('a fit of shared pulses', () => {
  /** Both clocks see a pulse at the first tick of their grid after it. */
  function pulses(n: number, random: Random, skew: number, offset: number) {
    const from: number[] = [];
    const to: number[] = [];
    let time_s = 0;
    for (let k = 0; k < n; k++) {
      time_s += random.between(0.01, 1);
      from.push(Math.ceil(time_s * 1e6));
      to.push(Math.ceil((offset + time_s * (1 + skew)) * 1e5));
    }
    return { from, to };
  }
  const grids = { from: { period_ticks: 1, centred: false }, to: { period_ticks: 1, centred: false } };
  const clocks = { from: analyser, to: instrument };

  it.each([2, 3, 8, 32, 128])('lies within 3u in at least 490 of 500 simulations of %i pulses', (n) => {
    let inside = 0;
    let squares = 0;
    let bias = 0;
    for (let seed = 1; seed <= 500; seed++) {
      const random = new Random(seed);
      const skew = 20e-6 * random.normal();
      const { from, to } = pulses(n, random, skew, 3);
      const model = fitPulses({ from, to }, clocks, grids)!;
      const middle = model.pieces[0]!.line.reference;
      const error = model.map(middle) - (3 + ((1 + skew) * middle) / 1e6) * 1e5;
      const found = model.skewAt(0);
      squares += error ** 2;
      bias += error;
      if (Math.abs(error) <= 3 * model.u_ticks(middle)! && Math.abs(found.skew - skew) <= 3 * found.u) inside++;
    }
    expect(inside).toBeGreaterThanOrEqual(490);
    // The constant bias of (dt_B - dt_A) / 2 = 4.5 us is gone; the rest falls with the number of pulses (ticks of 10 us).
    expect(Math.abs(bias / 500)).toBeLessThan(0.04);
    expect(Math.sqrt(squares / 500)).toBeLessThan({ 2: 0.24, 3: 0.2, 8: 0.13, 32: 0.065, 128: 0.032 }[n]!);
  });

  it('knows that pulses in step with a grid share one error', () => {
    let inside = 0;
    for (let seed = 1; seed <= 200; seed++) {
      const phase = new Random(seed).uniform();
      const from = Array.from({ length: 64 }, (_, k) => k * 1e4 + phase * 10);
      const to = Array.from({ length: 64 }, (_, k) => Math.ceil(k * 1e3 + phase));
      const model = fitPulses({ from, to }, clocks, { ...grids, from: { period_ticks: 0, centred: true } })!;
      if (Math.abs(model.map(32e4) - 32e3) <= 3 * model.u_ticks(32e4)!) inside++;
    }
    expect(inside).toBe(200);
  });

  it.each([
    ['a gap that both grids divide', 1e-3, 1e-5, 32],
    ['many such gaps', 1e-3, 1e-5, 128],
    ['a gap near a third of the grid', 1.00333e-3, 1e-5, 128],
    ['clocks of one rate', 1e-3, 1e-6, 32],
    ['clocks of one rate and uneven gaps', 0, 1e-6, 32],
  ])('lies within 3u in at least 490 of 500 simulations with %s', (_, gap_s, grid_s, n) => {
    let inside = 0;
    for (let seed = 1; seed <= 500; seed++) {
      const random = new Random(seed);
      const skew = random.between(-200e-6, 200e-6);
      const [start, offset] = [random.uniform(), random.uniform()];
      const toHz = 1 / grid_s;
      const uneven = Float64Array.from({ length: n }, (_, k) => (k < n / 2 ? 0 : 20) + random.uniform() * 1e-3).sort();
      const times = Array.from({ length: n }, (_, k) => start + (gap_s === 0 ? uneven[k]! : k * gap_s));
      const pulses = {
        from: times.map((time) => Math.ceil(time * 1e6)),
        to: times.map((time) => Math.ceil((offset + time * (1 + skew)) * toHz)),
      };
      const model = fitPulses(pulses, { from: analyser, to: { id: 'to', tickHz: toHz } }, grids)!;
      const time = random.between(times[0]!, times[n - 1]!);
      const error = model.map(time * 1e6) - (offset + time * (1 + skew)) * toHz;
      const found = model.skewAt(0);
      if (Math.abs(error) <= 3 * model.u_ticks(time * 1e6)! && Math.abs(found.skew - skew) <= 3 * found.u) inside++;
    }
    expect(inside).toBeGreaterThanOrEqual(490);
  });

  it('gives some uncertainty where no pair fits another', () => {
    const random = new Random(4);
    const from = Array.from({ length: 12 }, (_, k) => k * 1e5);
    const to = from.map((tick) => tick / 10 + 1e4 * random.normal());
    const model = fitPulses({ from, to }, clocks, grids)!;
    expect(model.u_ticks(5e5)).toBeGreaterThan(100);
    expect(model.u_ticks(5e5)).toBeLessThan(1e5);
  });

  it('is not moved by a wrong pair', () => {
    const { from, to } = pulses(40, new Random(2), 10e-6, 1);
    to[17]! += 500;
    const model = fitPulses({ from, to }, clocks, grids)!;
    expect(Math.abs(model.map(from[20]!) - to[20]!)).toBeLessThan(2);
    expect(Math.abs(model.skewAt(0).skew - 10e-6)).toBeLessThan(3 * model.skewAt(0).u);
  });

  it('takes the scatter alone where no grid is stated, and then needs 8 pulses', () => {
    const unknown = { period_ticks: 0, centred: true };
    const exact = { from: unknown, to: unknown };
    let inside = 0;
    for (let seed = 1; seed <= 500; seed++) {
      const random = new Random(seed);
      const from = Array.from({ length: 8 }, (_, k) => k * 1e5);
      const to = from.map((tick) => tick / 10 + random.normal());
      const model = fitPulses({ from, to }, clocks, exact)!;
      if (Math.abs(model.map(35e4) - 35e3) <= 3 * model.u_ticks(35e4)!) inside++;
    }
    expect(inside).toBeGreaterThanOrEqual(480);
    expect(fitPulses({ from: [0, 1, 2], to: [0, 1, 2] }, clocks, exact)).toBeNull();
    expect(fitPulses({ from: [5], to: [5] }, clocks, grids)).toBeNull();
  });
});
