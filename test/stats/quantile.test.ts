import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { median, quantileOfSorted } from '../../src/stats/quantile.ts';

describe('quantileOfSorted', () => {
  it('interpolates between order statistics as NumPy does (type 7)', () => {
    const values = [1, 2, 4, 8];
    expect(quantileOfSorted(values, 0)).toBe(1);
    expect(quantileOfSorted(values, 0.25)).toBe(1.75);
    expect(quantileOfSorted(values, 0.5)).toBe(3);
    expect(quantileOfSorted(values, 0.95)).toBeCloseTo(7.4, 12);
    expect(quantileOfSorted(values, 1)).toBe(8);
  });

  it('has no answer for no numbers', () => {
    expect(quantileOfSorted([], 0.5)).toBeNull();
  });

  it('lies between the extremes and never falls as p grows', () => {
    const numbers = fc.array(fc.double({ noNaN: true, min: -1e300, max: 1e300 }), { minLength: 1 });
    fc.assert(
      fc.property(
        numbers,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, a, b) => {
          const ascending = Float64Array.from(values).sort();
          const [low, high] = a < b ? [a, b] : [b, a];
          expect(quantileOfSorted(ascending, low)!).toBeLessThanOrEqual(quantileOfSorted(ascending, high)!);
          expect(quantileOfSorted(ascending, low)!).toBeGreaterThanOrEqual(ascending[0]!);
          expect(quantileOfSorted(ascending, high)!).toBeLessThanOrEqual(ascending.at(-1)!);
        },
      ),
    );
  });
});

describe('median', () => {
  it('is the middle number, or the mean of the two middle ones, in any order', () => {
    expect(median([5, 1, 3])).toBe(3);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([])).toBeNull();
  });

  it('sorts by value, not by text, and leaves its input alone', () => {
    const values = [10, 9, 100];
    expect(median(values)).toBe(10);
    expect(values).toEqual([10, 9, 100]);
  });
});
