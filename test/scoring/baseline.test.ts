import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { IdleCollector } from '../../src/scoring/baseline.ts';
import { PowerView } from '../../src/scoring/power-view.ts';
import type { Window } from '../../src/signal/types.ts';

const dt_s = 1e-4;

/** Power of a signal that is idle or active, with noise, cut into runs of awkward length. */
function collect(power: (t_s: number) => number, duration_s: number, windows: [number, number][] = []) {
  const list: Window[] = windows.map(([start, end], index) => ({
    index,
    startTick: start,
    endTick: end,
    u_ticks: null,
  }));
  const collector = new IdleCollector(list, 1);
  const n = Math.round(duration_s / dt_s);
  for (let from = 0; from < n; from += 777) {
    const length = Math.min(777, n - from);
    const values = Float64Array.from({ length }, (_, k) => power((from + k) * dt_s));
    collector.add({ power: values, length, start_s: from * dt_s, dt_s });
  }
  const found = collector.baselines();
  return Object.fromEntries(found.map((baseline) => [baseline.method, baseline.power_W]));
}

let state = 1;
const noise = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32 - 0.5;
};

describe('idle baselines', () => {
  it('find the idle level at duty cycles from 10 to 90 %', () => {
    for (const duty of [0.1, 0.3, 0.5, 0.7, 0.9]) {
      const found = collect((t) => (t % 1 < duty ? 0.05 : 0.004) * (1 + 0.02 * noise()), 20);
      expect(found['two-cluster/1'] / 0.004).toBeCloseTo(1, 2);
      expect(Math.abs(found['low-quantile/1'] / 0.004 - 1)).toBeLessThan(0.02);
    }
  });

  it('take a single state as idle', () => {
    const found = collect(() => 0.01 * (1 + 0.02 * noise()), 5);
    expect(found['two-cluster/1'] / 0.01).toBeCloseTo(1, 2);
  });

  it('leave the windows and their flanks out', () => {
    const inWindow = (t: number) => t > 0.997 && t < 2.003;
    const found = collect((t) => (inWindow(t) ? 1e-6 : 0.01), 4, [[1, 2]]);
    expect(found['low-quantile/1']).toBeCloseTo(0.01, 6);
  });

  it('give nothing where there is nothing outside the windows', () => {
    expect(collect(() => 0.01, 1, [[0, 1]])).toEqual({});
  });

  it('survive power at or below zero', () => {
    expect(collect(() => 0, 1)).toEqual({ 'low-quantile/1': 0 });
    expect(collect(() => -0.001, 1)['low-quantile/1']).toBeCloseTo(-0.001, 9);
  });
});

describe('the power view', () => {
  it('keeps min, max and mean exactly, in at most the bins that were asked for', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 1, maxLength: 500 }),
        fc.integer({ min: 2, max: 20 }),
        fc.integer({ min: 1, max: 60 }),
        (values, most, step) => {
          const view = new PowerView(most);
          for (let from = 0; from < values.length; from += step) {
            const part = Float64Array.from(values.slice(from, from + step));
            view.add({ power: part, length: part.length, start_s: from * dt_s, dt_s });
          }
          const bins = view.bins();
          expect(bins.length).toBeLessThanOrEqual(most);
          expect(Math.min(...bins.map((bin) => bin.min))).toBe(Math.min(...values));
          expect(Math.max(...bins.map((bin) => bin.max))).toBe(Math.max(...values));
          const sum = bins.reduce((total, bin) => total + (bin.mean * (bin.t1_s - bin.t0_s)) / dt_s, 0);
          expect(sum).toBeCloseTo(
            values.reduce((a, b) => a + b, 0),
            6,
          );
          expect(bins[0].t0_s).toBe(0);
          expect(bins.at(-1)!.t1_s).toBeCloseTo(values.length * dt_s, 9);
        },
      ),
    );
  });

  it('leaves a hole where samples are missing', () => {
    const view = new PowerView(100);
    const ones = new Float64Array(10).fill(1);
    view.add({ power: ones, length: 10, start_s: 0, dt_s });
    view.add({ power: ones, length: 10, start_s: 1, dt_s });
    const bins = view.bins();
    expect(bins.some((bin) => bin.t0_s < 0.5 && bin.t1_s > 0.5)).toBe(false);
  });
});
