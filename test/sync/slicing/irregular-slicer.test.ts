import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Gap, SampleBlock, SampleQuantity, StreamInfo, Window, WindowSlice } from '../../../src/signal/types.ts';
import { energyMethodOf } from '../../../src/sync/energy-method.ts';
import { IrregularSlicer, proportionalIrregular } from '../../../src/sync/slicing/irregular-slicer.ts';

const TICK_HZ = 1000;

const stream = (quantities: SampleQuantity[] = ['current', 'voltage'], more: Partial<StreamInfo> = {}): StreamInfo => ({
  id: 'main',
  rail: 'main',
  clock: 'host',
  ticksPerSample: null,
  quantities,
  precision: 'f64',
  semantics: 'mean-forward',
  groupDelay_s: null,
  scale: {},
  assumedVoltage_V: null,
  ranges: [],
  logicInputs: [],
  calibration: null,
  ...more,
});

interface Sample {
  start: number;
  end: number;
  current: number;
  voltage?: number;
  range?: number;
  flags?: number;
}

function block(samples: readonly Sample[]): SampleBlock {
  return {
    kind: 'block',
    stream: 'main',
    firstTick: samples[0]!.start,
    ticksPerSample: 0,
    length: samples.length,
    startTicks: Float64Array.from(samples, ({ start }) => start),
    endTicks: Float64Array.from(samples, ({ end }) => end),
    current: Float64Array.from(samples, ({ current }) => current),
    voltage: Float64Array.from(samples, ({ voltage }) => voltage ?? 2),
    range: Uint8Array.from(samples, ({ range }) => range ?? 0),
    flags: Uint8Array.from(samples, ({ flags }) => flags ?? 0),
  };
}

const window = (startTick: number, endTick: number, index = 0): Window => ({
  index,
  startTick,
  endTick,
  u_ticks: null,
});

function slice(chunks: readonly (SampleBlock | Gap)[], windows: Window[], info = stream()): WindowSlice[] {
  const slicer = new IrregularSlicer(info, windows, TICK_HZ);
  return [...chunks.flatMap((chunk) => slicer.push(chunk)), ...slicer.end()];
}

const energy = ({ ranges, dt_s }: WindowSlice, info = stream()) =>
  ranges.reduce((sum, range) => sum + energyMethodOf(info)!.energy_J(range, dt_s), 0);

describe('slicing a stream whose samples have intervals of their own', () => {
  it('counts a sample with the part of its interval that lies in the window', () => {
    const samples = [
      { start: 0, end: 100, current: 1 },
      { start: 100, end: 400, current: 2 },
      { start: 400, end: 450, current: 10 },
    ];
    const [a] = slice([block(samples)], [window(50, 250)]);
    // 50 ms of 1 A and 150 ms of 2 A, at 2 V.
    expect(energy(a!)).toBeCloseTo(2 * (0.05 * 1 + 0.15 * 2), 12);
    expect(a).toMatchObject({ method: 'proportional-irregular/1', dt_s: 1, outside: false, missing: 0 });
    expect(a!.ranges[0]).toMatchObject({ n: 0.5 + 0.5, time_s: 0.2, current: 0.05 + 0.3 });
    expect(a!.ranges[0]!.currentSquared).toBeCloseTo(0.05 + 0.15 * 4, 12);
  });

  it('takes the same part of an energy that belongs to an interval', () => {
    const info = stream(['energy']);
    const chunk = { ...block([{ start: 0, end: 200, current: 0 }]), energy: Float64Array.of(8) };
    const [a] = slice([chunk], [window(0, 50)], info);
    expect(energy(a!, info)).toBe(2);
  });

  it('keeps ranges, switches and flags apart', () => {
    const samples = [
      { start: 0, end: 10, current: 1, range: 2, flags: 2 },
      { start: 10, end: 20, current: 1, range: 1 },
      { start: 20, end: 30, current: 1, range: 2, flags: 2 },
    ];
    const [a] = slice([block(samples)], [window(0, 25)]);
    expect(a!.ranges.map(({ range, n }) => [range, n])).toEqual([
      [1, 1],
      [2, 1.5],
    ]);
    expect(a).toMatchObject({ rangeSwitches: 2, flagged: { interpolated: 0, saturated: 2, settling: 0 } });
  });

  it('shifts windows by the group delay', () => {
    const samples = [
      { start: 0, end: 100, current: 1 },
      { start: 100, end: 200, current: 3 },
    ];
    const [a] = slice([block(samples)], [window(50, 100)], stream(undefined, { groupDelay_s: 0.05 }));
    expect(energy(a!)).toBeCloseTo(2 * 3 * 0.05, 12);
  });

  it('spreads a counted gap over the time that nothing covers', () => {
    const gap: Gap = { kind: 'gap', stream: 'main', firstTick: 100, count: 4, cause: 'link-loss' };
    const chunks = [block([{ start: 0, end: 100, current: 1 }]), gap, block([{ start: 300, end: 400, current: 1 }])];
    const [a, b] = slice(chunks, [window(0, 150), window(250, 400, 1)]);
    expect([a!.missing, b!.missing]).toEqual([1, 1]);
    expect(a!.ranges[0]!.time_s).toBeCloseTo(0.1, 12);
  });

  it('says where an unknown number of samples is missing', () => {
    const gap: Gap = { kind: 'gap', stream: 'main', firstTick: 100, count: null, cause: 'unknown' };
    const chunks = [block([{ start: 0, end: 100, current: 1 }]), gap, block([{ start: 200, end: 400, current: 1 }])];
    const slices = slice(chunks, [window(0, 90), window(90, 120, 1), window(250, 300, 2)]);
    expect(slices.map(({ missingUnknown }) => missingUnknown)).toEqual([false, true, false]);
  });

  it('says that a window reaches beyond the samples, and that a gap at the end lies in it', () => {
    const gap: Gap = { kind: 'gap', stream: 'main', firstTick: 100, count: null, cause: 'unplugged' };
    const slices = slice([block([{ start: 10, end: 100, current: 1 }]), gap], [window(0, 50), window(60, 130, 1)]);
    expect(slices.map(({ outside, missingUnknown }) => [outside, missingUnknown])).toEqual([
      [true, false],
      [true, true],
    ]);
  });

  it('gives every window, also without a single sample', () => {
    expect(slice([], [window(0, 1), window(2, 3, 1)])).toMatchObject([
      { outside: true },
      { outside: true, ranges: [] },
    ]);
  });

  it('adds up: windows and the rest are the whole, wherever blocks are cut', () => {
    const durations = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(
        durations,
        fc.array(fc.nat(2000), { maxLength: 12 }),
        fc.integer({ min: 1, max: 7 }),
        (ds, cuts, n) => {
          let at = 0;
          const samples = ds.map((d, k) => {
            const start = at;
            at += d;
            return { start, end: at, current: 1 + (k % 5), range: k % 3 };
          });
          const ends = [...new Set(cuts)].sort((a, b) => a - b);
          const windows: Window[] = [];
          for (let k = 0; k + 1 < ends.length; k += 2) windows.push(window(ends[k]!, ends[k + 1]!, k));
          const whole = slice([block(samples)], windows);
          const parts: SampleBlock[] = [];
          for (let k = 0; k < samples.length; k += n) parts.push(block(samples.slice(k, k + n)));
          const slicer = new IrregularSlicer(stream(), windows, TICK_HZ);
          const slices = [...parts.flatMap((part) => slicer.push(part)), ...slicer.end()];
          expect(slices).toEqual(whole);
          const inWindows = slices.reduce((sum, each) => sum + energy(each), 0);
          expect(inWindows + slicer.totals.outside_J).toBeCloseTo(slicer.totals.energy_J, 9);
          expect(slicer.totals.samples).toBe(samples.length);
          const covered = (w: Window) => Math.max(0, Math.min(at, w.endTick) - Math.min(at, w.startTick)) / TICK_HZ;
          for (const each of slices) {
            const time_s = each.ranges.reduce((sum, range) => sum + range.time_s, 0);
            expect(time_s).toBeCloseTo(covered(each.window), 9);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('refuses regular streams, streams without power, and blocks without intervals', () => {
    expect(() => proportionalIrregular.makeSlicer(stream(undefined, { ticksPerSample: 1 }), [], TICK_HZ)).toThrow(
      TypeError,
    );
    expect(() => proportionalIrregular.makeSlicer(stream(['current']), [], TICK_HZ)).toThrow(TypeError);
    const { startTicks: _, ...bare } = block([{ start: 0, end: 1, current: 1 }]);
    expect(() => slice([bare], [])).toThrow(TypeError);
  });
});
