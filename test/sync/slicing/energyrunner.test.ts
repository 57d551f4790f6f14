import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SampleBlock, StreamInfo, Window } from '../../../src/signal/types.ts';
import { energyRunnerRule, type PublishedSlice } from '../../../src/sync/slicing/energyrunner.ts';

const stream: StreamInfo = {
  id: 'energy',
  rail: 'main',
  clock: 'trace',
  ticksPerSample: 1,
  quantities: ['energy'],
  precision: 'f32',
  semantics: 'mean-forward',
  groupDelay_s: null,
  scale: { energy: 1e-6 },
  assumedVoltage_V: null,
  ranges: [],
  logicInputs: [],
  calibration: null,
};

const windowsOf = (times: number[]): Window[] =>
  times.slice(1).map((endTick, k) => ({ index: k + 1, startTick: times[k]!, endTick, u_ticks: null }));

function slice(values: Float32Array, windows: Window[], chunk = values.length || 1, rate_Hz = 1000): PublishedSlice[] {
  const slicer = energyRunnerRule(rate_Hz).makeSlicer(stream, windows);
  const slices: PublishedSlice[] = [];
  for (let firstTick = 0; firstTick < values.length; firstTick += chunk) {
    const energy = values.subarray(firstTick, firstTick + chunk);
    const block: SampleBlock = {
      kind: 'block',
      stream: 'energy',
      firstTick,
      ticksPerSample: 1,
      length: energy.length,
      energy,
    };
    slices.push(...slicer.push(block));
  }
  slices.push(...slicer.end());
  return slices;
}

/** The published formula as it is written, over whole arrays. */
function reference(values: Float32Array, t0: number, t1: number, rate_Hz = 1000) {
  const grid = [0];
  for (let s = 1; s <= values.length; s++) grid.push(grid[s - 1]! + 1 / rate_Hz);
  const last = (t: number) => grid.findLastIndex((g) => g <= t);
  const a = last(t0);
  const b = last(t1);
  let sum = 0;
  for (let i = a + 1; i <= b; i++) sum += values[i]!;
  return { a, b, sum, start_s: grid[a]!, end_s: grid[b]! };
}

describe('the energyrunner rule', () => {
  it('sums the half-open interval (a, b] of an accumulated grid', () => {
    const values = Float32Array.from({ length: 30 }, (_, k) => k);
    // G[3] is 0.003, so a window from 0.003 begins with sample 4.
    const [first] = slice(values, windowsOf([0.003, 0.0061]));
    expect(first).toMatchObject({ firstSample: 4, endSample: 7, gridStart_s: 0.003, gridEnd_s: 0.006, outside: false });
    expect(first!.ranges[0]).toMatchObject({ n: 3, energy: 4 + 5 + 6 });
  });

  it('keeps the drift of the accumulation, which a grid of s/rate does not have', () => {
    const values = new Float32Array(60_000).fill(1);
    // 10000 additions of 0.001 end above 10: the grid reaches it one sample late.
    let grid = 0;
    for (let s = 0; s < 20_000; s++) grid += 1 / 1000;
    expect(grid).not.toBe(20);
    const [only] = slice(values, windowsOf([10, 20]));
    const { a, b } = reference(values, 10, 20);
    expect([only!.firstSample, only!.endSample]).toEqual([a + 1, b + 1]);
  });

  it('gives what the written formula gives, wherever the blocks end', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 0.48, noNaN: true }), { minLength: 2, maxLength: 8 }),
        fc.integer({ min: 1, max: 600 }),
        (times, chunk) => {
          const sorted = [...times].sort((x, y) => x - y);
          const values = Float32Array.from({ length: 500 }, (_, k) => Math.sin(k) + 1.5);
          const slices = slice(values, windowsOf(sorted), chunk);
          expect(slices).toHaveLength(sorted.length - 1);
          slices.forEach((each, k) => {
            const expected = reference(values, sorted[k]!, sorted[k + 1]!);
            expect(each.window.index).toBe(k + 1);
            expect(each.ranges[0]!.energy).toBe(expected.sum);
            expect([each.gridStart_s, each.gridEnd_s]).toEqual([expected.start_s, expected.end_s]);
            expect(each.outside).toBe(false);
          });
        },
      ),
      { numRuns: 50 },
    );
  });

  it('marks windows that reach beyond the trace, on either side', () => {
    const values = new Float32Array(10).fill(1);
    const outside = (times: number[]) => slice(values, windowsOf(times)).map((each) => each.outside);
    expect(outside([0.001, 0.0095])).toEqual([false]);
    expect(outside([0.001, 0.0101])).toEqual([true]);
    expect(outside([-0.001, 0.005])).toEqual([true]);
    expect(outside([0.001, 0.005, 0.02, 0.03])).toEqual([false, true, true]);
    expect(slice(new Float32Array(0), windowsOf([0, 1]))).toMatchObject([{ outside: true }]);
  });

  it('builds its grid from the rate that it is given', () => {
    const values = new Float32Array(100).fill(1);
    const [only] = slice(values, windowsOf([0.01, 0.1]), 7, 500);
    const { a, b } = reference(values, 0.01, 0.1, 500);
    expect([only!.firstSample, only!.endSample]).toEqual([a + 1, b + 1]);
  });
});
