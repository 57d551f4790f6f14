import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { orderedSum } from '../../src/signal/ordered-sum.ts';
import type { Gap, SampleBlock, SampleSemantics, StreamInfo, Window, WindowSlice } from '../../src/signal/types.ts';
import { energyMethodOf } from '../../src/sync/energy-method.ts';
import { StreamSlicer } from '../../src/sync/slicing/stream-slicer.ts';

const tickHz = 100_000;

function stream(fields: Partial<StreamInfo> = {}): StreamInfo {
  return {
    id: 'main',
    rail: 'main',
    clock: 'instrument',
    ticksPerSample: 1,
    quantities: ['current', 'voltage'],
    precision: 'f64',
    semantics: 'mean-forward',
    groupDelay_s: null,
    scale: {},
    assumedVoltage_V: null,
    ranges: [],
    logicInputs: [],
    calibration: null,
    ...fields,
  };
}

function window(startTick: number, endTick: number, index = 0): Window {
  return { index, startTick, endTick, u_ticks: null };
}

function block(current: Float64Array, firstTick = 0, fields: Partial<SampleBlock> = {}): SampleBlock {
  const voltage = new Float64Array(current.length).fill(3);
  return {
    kind: 'block',
    stream: 'main',
    firstTick,
    ticksPerSample: 1,
    length: current.length,
    current,
    voltage,
    ...fields,
  };
}

/** Cuts an array into blocks at the given places. */
function blocks(
  current: Float64Array,
  at: number[],
  fields: (from: number, to: number) => Partial<SampleBlock> = () => ({}),
) {
  const edges = [
    0,
    ...[...new Set(at)].filter((x) => x > 0 && x < current.length).sort((a, b) => a - b),
    current.length,
  ];
  return edges.slice(1).map((to, k) => block(current.slice(edges[k], to), edges[k], fields(edges[k], to)));
}

function slice(
  chunks: (SampleBlock | Gap)[],
  windows: Window[],
  mode: 'auto' | 'proportional' | 'guard-band',
  info = stream(),
) {
  const slicer = new StreamSlicer(info, windows, tickHz, mode);
  const slices: WindowSlice[] = [];
  for (const chunk of chunks) slices.push(...slicer.push(chunk));
  slices.push(...slicer.end());
  return { slices, totals: slicer.totals };
}

function energyOf(found: WindowSlice): number {
  const method = energyMethodOf(stream())!;
  if (found.correctedEnergy_J !== null) return found.correctedEnergy_J;
  return found.ranges.reduce((sum, range) => sum + method.energy_J(range, found.dt_s), 0);
}

/** Mean-forward samples of a step from p0 to p1 and back, each the exact mean over its cell. */
function stepMeans(n: number, start: number, end: number, p0: number, p1: number): Float64Array {
  return Float64Array.from({ length: n }, (_, k) => {
    const inside = Math.max(0, Math.min(k + 1, end) - Math.max(k, start));
    return (p0 + (p1 - p0) * inside) / 3;
  });
}

describe('slicing', () => {
  const noisy = Float64Array.from({ length: 6000 }, (_, k) => 0.01 + 0.003 * Math.sin(k * 12.9898) ** 3);

  it('gives the ordered sum of the window, whatever the block boundaries are', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 5999, noNaN: true }),
        fc.double({ min: 0, max: 5999, noNaN: true }),
        fc.array(fc.integer({ min: 1, max: 5999 }), { maxLength: 8 }),
        (a, b, at) => {
          const [from, to] = a < b ? [a, b] : [b, a];
          const whole = slice([block(noisy)], [window(from, to)], 'proportional').slices[0];
          const cut = slice(blocks(noisy, at), [window(from, to)], 'proportional').slices[0];
          expect(cut).toEqual(whole);
          expect(whole.ranges.reduce((sum, range) => sum + range.current, 0)).toBeCloseTo(
            orderedSum(noisy, from, to),
            12,
          );
        },
      ),
    );
  });

  it('sums whole-sample windows bit for bit as the ordered sum does', () => {
    const found = slice(blocks(noisy, [100, 1025, 4000]), [window(37, 5311)], 'proportional').slices[0];
    expect(found.ranges[0].current).toBe(orderedSum(noisy, 37, 5311));
  });

  it('makes windows and gaps add up to the total to 1e-12 under the proportional rule', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.double({ min: 0, max: 6000, noNaN: true }), { minLength: 2, maxLength: 40 }),
        (ends) => {
          ends.sort((a, b) => a - b);
          const windows: Window[] = [];
          for (let k = 0; k + 1 < ends.length; k += 2) windows.push(window(ends[k], ends[k + 1], k / 2));
          const { slices, totals } = slice(blocks(noisy, [777, 2048]), windows, 'proportional');
          const inWindows = slices.reduce((sum, found) => sum + energyOf(found), 0);
          const total = (3 * orderedSum(noisy, 0, noisy.length)) / tickHz;
          expect(Math.abs((inWindows + totals.outside_J) / total - 1)).toBeLessThan(1e-12);
          expect(Math.abs(totals.energy_J / total - 1)).toBeLessThan(1e-12);
        },
      ),
    );
  });

  it('splits back-to-back windows without losing or doubling a sample', () => {
    const windows = [window(10.25, 500.5, 0), window(500.5, 1200.75, 1), window(1200.75, 1201.25, 2)];
    const { slices } = slice([block(noisy)], windows, 'auto');
    expect(slices).toHaveLength(3);
    const together = slices.reduce((sum, found) => sum + energyOf(found), 0);
    expect(together).toBeCloseTo((3 * orderedSum(noisy, 10.25, 1201.25)) / tickHz, 14);
  });

  it('has no bias with a guard band beside stable idle, and the derived one without (specs: science 3.6)', () => {
    const [p0, p1, length] = [0.1, 1, 100];
    const truth = (p1 * length) / tickHz;
    let guard = 0;
    let proportional = 0;
    const phases = 200;
    for (let k = 0; k < phases; k++) {
      const start = 60 + k / phases;
      const samples = stepMeans(260, start, start + length, p0, p1);
      const windows = [window(start, start + length)];
      const auto = slice([block(samples)], windows, 'auto').slices[0];
      expect(auto.method).toBe('guard-band/1');
      guard += energyOf(auto) / truth - 1;
      proportional += energyOf(slice([block(samples)], windows, 'proportional').slices[0]) / truth - 1;
    }
    expect(Math.abs(guard / phases)).toBeLessThan(1e-12);
    // -(1 - P0/P1) dt / (3 T): here -0.9 / 300.
    expect(proportional / phases).toBeCloseTo(-0.003, 5);
  });

  it('falls back to the proportional rule, with its bias bound, where the power outside is not stable', () => {
    const samples = stepMeans(300, 100.3, 200.3, 0.1, 1);
    for (let k = 0; k < 100; k++) samples[k] = 0.02 * (k % 2) + k * 0.01;
    const found = slice([block(samples)], [window(100.3, 200.3)], 'auto').slices[0];
    expect(found.method).toBe('proportional/1');
    expect(found.biasBound_J).toBeGreaterThan(0);
  });

  it('takes point samples by the instant at which they were taken', () => {
    const samples = new Float64Array(100).fill(1 / 3);
    const info = stream({ semantics: 'point' as SampleSemantics });
    const found = slice([block(samples)], [window(10.2, 20.2)], 'auto', info).slices[0];
    expect(found.ranges[0].n).toBe(10);
    expect(energyOf(found)).toBeCloseTo(10 / tickHz, 15);
  });

  it('shifts the cells of mean-centred samples by half a sample', () => {
    const samples = new Float64Array(100);
    samples.fill(1 / 3, 50);
    const info = stream({ semantics: 'mean-centred' as SampleSemantics });
    const found = slice([block(samples)], [window(49.5, 60.5)], 'proportional', info).slices[0];
    expect(energyOf(found) * tickHz).toBeCloseTo(11, 9);
  });

  it('keeps the sums of each range apart and counts switches and flags', () => {
    const current = new Float64Array(100).fill(0.5);
    const range = new Uint8Array(100);
    range.fill(2, 40, 60);
    const flags = new Uint8Array(100);
    flags[41] = 4;
    flags[50] = 2;
    const found = slice([block(current, 0, { range, flags })], [window(20, 80)], 'proportional').slices[0];
    expect(found.ranges.map((sums) => [sums.range, sums.n])).toEqual([
      [0, 40],
      [2, 20],
    ]);
    expect(found.rangeSwitches).toBe(2);
    expect(found.flagged).toEqual({ interpolated: 0, saturated: 1, settling: 1 });
  });

  it('counts missing samples in the window that they are missing from', () => {
    const current = new Float64Array(50).fill(1);
    const gap: Gap = { kind: 'gap', stream: 'main', firstTick: 50, count: 30, cause: 'dropped' };
    const windows = [window(40, 60, 0), window(70, 90, 1), window(95, 99, 2)];
    const { slices, totals } = slice([block(current), gap, block(current, 80)], windows, 'auto');
    expect(slices.map((found) => found.missing)).toEqual([10, 10, 0]);
    expect(totals.missing).toBe(30);
  });

  it('learns the length of an unknown gap from the next block, and says that it was unknown', () => {
    const current = new Float64Array(50).fill(1);
    const gap: Gap = { kind: 'gap', stream: 'main', firstTick: 50, count: null, cause: 'unplugged' };
    const found = slice([block(current), gap, block(current, 70)], [window(40, 90)], 'auto').slices[0];
    expect(found.missing).toBe(20);
    expect(found.missingUnknown).toBe(true);
  });

  it('says when a window reaches beyond the samples', () => {
    const current = new Float64Array(50).fill(1);
    const { slices } = slice(
      [block(current, 10)],
      [window(5, 20, 0), window(30, 40, 1), window(50, 70, 2)],
      'proportional',
    );
    expect(slices.map((found) => found.outside)).toEqual([true, false, true]);
  });

  it('throws when blocks overlap, because that is a bug of a driver', () => {
    const current = new Float64Array(50).fill(1);
    expect(() => slice([block(current), block(current, 40)], [], 'auto')).toThrow(RangeError);
  });
});
