import { describe, expect, it } from 'vitest';
import { Random } from '../../src/plant/random.ts';
import { huberMean } from '../../src/stats/huber.ts';

describe("Huber's mean", () => {
  it('is the mean of numbers without outliers, with the variance of a mean', () => {
    const random = new Random(1);
    const values = Float64Array.from({ length: 4000 }, () => 5 + random.between(-1, 1));
    const found = huberMean(values)!;
    expect(found.value).toBeCloseTo(values.reduce((sum, value) => sum + value, 0) / values.length, 2);
    expect(found.variance).toBeCloseTo(1 / 3 / values.length, 5);
  });

  it('lies within three standard uncertainties of the centre in spite of outliers', () => {
    let good = 0;
    for (let seed = 1; seed <= 200; seed++) {
      const random = new Random(seed);
      const values = Array.from({ length: 60 }, (_, k) => (k % 20 === 0 ? 50 : random.normal()));
      const { value, variance } = huberMean(values)!;
      // 5 % of outliers on one side draw it by 0.05 * 1.345 / 0.82 at most.
      if (Math.abs(value) < 3 * Math.sqrt(variance) + 0.08) good++;
    }
    expect(good).toBeGreaterThanOrEqual(196);
  });

  it('is the median where most numbers are the same, and null for fewer than two', () => {
    expect(huberMean([3, 3, 3, 3, 9])).toEqual({ value: 3, variance: 0 });
    expect(huberMean([3])).toBeNull();
  });
});
