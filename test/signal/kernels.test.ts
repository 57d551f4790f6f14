import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { leafSize, orderedSum } from '../../src/signal/ordered-sum.ts';
import { Pyramid } from '../../src/signal/pyramid.ts';

/** Values whose float64 sums depend on the order in which they are added. */
function awkward(length: number, seed: number): Float32Array {
  let state = seed | 1;
  return Float32Array.from({ length }, () => {
    state = Math.imul(state, 1664525) + 1013904223;
    return ((state >>> 8) / 2 ** 24 - 0.3) * 10 ** ((state >>> 4) % 12);
  });
}

/** The definition, written down once more: leaves left to right, then leaf after leaf. */
function byDefinition(values: Float32Array, from: number, to: number): number {
  let total = 0;
  for (let leaf = Math.floor(from / leafSize); leaf * leafSize < to; leaf++) {
    let sum = 0;
    for (let k = Math.max(from, leaf * leafSize); k < Math.min(to, (leaf + 1) * leafSize); k++) sum += values[k];
    total += sum;
  }
  return total;
}

describe('the ordered sum', () => {
  const values = awkward(10_000, 7);

  it('adds leaves of 1,024 aligned to absolute indices, left to right', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: 0, max: 10_000 }), (a, b) => {
        const [from, to] = a < b ? [a, b] : [b, a];
        expect(orderedSum(values, from, to)).toBe(byDefinition(values, from, to));
      }),
    );
  });

  it('does not depend on where the array begins', () => {
    const part = values.subarray(1500, 9000);
    expect(orderedSum(part, 1700, 8800, 1500)).toBe(orderedSum(values, 1700, 8800));
  });

  it('takes the part of a sample that lies inside a fractional end', () => {
    const ones = new Float64Array(3000).fill(1);
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 3000, noNaN: true }),
        fc.double({ min: 0, max: 3000, noNaN: true }),
        (a, b) => {
          const [from, to] = a < b ? [a, b] : [b, a];
          expect(orderedSum(ones, from, to)).toBeCloseTo(to - from, 9);
        },
      ),
    );
  });

  it('refuses an interval that leaves the array or is reversed', () => {
    expect(() => orderedSum(values, 5, 4)).toThrow(RangeError);
    expect(() => orderedSum(values, 0, 10_001)).toThrow(RangeError);
    expect(() => orderedSum(values, Number.NaN, 4)).toThrow(RangeError);
  });

  it('does not stall where a float32 accumulator does (specs: science 3.6)', () => {
    // 10.5 mA-like samples: a float32 sum stops growing at 2^19, once half an ulp exceeds the sample.
    const samples = new Float32Array(1 << 20).fill(0.0105);
    let stalled = Math.fround(2 ** 19);
    for (let k = 0; k < 1000; k++) stalled = Math.fround(stalled + samples[k]);
    expect(stalled).toBe(524288);
    // 96 passes over 2^20 samples are about 100 M samples.
    let sum = 0;
    for (let pass = 0; pass < 96; pass++) sum += orderedSum(samples, 0, samples.length);
    const exact = 96 * 2 ** 20 * Math.fround(0.0105);
    expect(Math.abs(sum / exact - 1)).toBeLessThan(1e-12);
  });
});

describe('the pyramid', () => {
  const values = awkward(300_000, 11);
  const pyramid = new Pyramid(values);

  it('gives bit for bit the ordered sum, fractional ends included', () => {
    const end = fc.oneof(
      fc.integer({ min: 0, max: 300_000 }),
      fc.double({ min: 0, max: 300_000, noNaN: true }),
      fc.integer({ min: 0, max: 292 }).map((leaf) => leaf * leafSize),
    );
    fc.assert(
      fc.property(end, end, (a, b) => {
        const [from, to] = a < b ? [a, b] : [b, a];
        expect(pyramid.sum(from, to)).toBe(orderedSum(values, from, to));
      }),
      { numRuns: 500 },
    );
  });

  it('shows everything in at most 1,000 bins with exact min and max', () => {
    const bins = pyramid.view(1000);
    expect(bins.length).toBeLessThanOrEqual(1000);
    expect(bins[0].from).toBe(0);
    expect(bins.at(-1)!.to).toBe(values.length);
    for (let k = 1; k < bins.length; k++) expect(bins[k].from).toBe(bins[k - 1].to);
    for (const bin of bins) {
      const part = values.subarray(bin.from, bin.to);
      expect(bin.min).toBe(part.reduce((a, b) => Math.min(a, b)));
      expect(bin.max).toBe(part.reduce((a, b) => Math.max(a, b)));
      expect(bin.sum).toBe(orderedSum(values, bin.from, bin.to));
    }
  });

  it('is empty for an empty array', () => {
    const empty = new Pyramid(new Float32Array(0));
    expect(empty.view(1000)).toEqual([]);
    expect(empty.sum(0, 0)).toBe(0);
  });
});
