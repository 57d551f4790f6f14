import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/plant/random.ts';
import { lowerHull } from '../../src/stats/lower-hull.ts';
import { huberLine } from '../../src/stats/robust-line.ts';

describe('the lower hull', () => {
  it('takes the points of a convex curve and no point above it', () => {
    expect(lowerHull([0, 1, 2, 3, 4], [4, 1, 3, 1, 4])).toEqual([0, 1, 3, 4]);
    expect(lowerHull([0, 1, 1, 2], [0, 5, -1, 0])).toEqual([0, 2, 3]);
    expect(lowerHull([], [])).toEqual([]);
  });

  it('lies below every point and turns left only', () => {
    const points = fc.array(fc.tuple(fc.integer({ min: 0, max: 50 }), fc.integer({ min: -99, max: 99 })), {
      minLength: 2,
      maxLength: 60,
    });
    fc.assert(
      fc.property(points, (raw) => {
        const sorted = raw.sort((a, b) => a[0] - b[0]);
        const [x, y] = [sorted.map((p) => p[0]), sorted.map((p) => p[1])];
        const hull = lowerHull(x, y);
        for (let k = 0; k + 1 < hull.length; k++) {
          const [a, b] = [hull[k]!, hull[k + 1]!];
          expect(x[b]).toBeGreaterThan(x[a]!);
          for (let i = 0; i < x.length; i++) {
            if (x[i]! < x[a]! || x[i]! > x[b]!) continue;
            const chord = y[a]! + ((y[b]! - y[a]!) * (x[i]! - x[a]!)) / (x[b]! - x[a]!);
            expect(y[i]).toBeGreaterThanOrEqual(chord - 1e-9);
          }
        }
      }),
    );
  });
});

describe('the robust line', () => {
  it('finds an exact line, far from the origin too', () => {
    const x = [1e12, 1e12 + 5, 1e12 + 9, 1e12 + 20];
    const line = huberLine(
      x,
      x.map((value) => 7 + 3 * (value - 1e12)),
    )!;
    expect(line.slope).toBeCloseTo(3, 9);
    expect(line.y0 + line.slope * (1e12 - line.x0)).toBeCloseTo(7, 6);
    expect(line.covariance.slope).toBeLessThan(1e-15);
  });

  it('is not moved by a tenth of wild points', () => {
    const random = new Random(5);
    const x = Array.from({ length: 200 }, (_, k) => k);
    const y = x.map((value) => 2 * value + random.normal() + (value % 10 === 3 ? 1e4 : 0));
    expect(huberLine(x, y)!.slope).toBeCloseTo(2, 1);
  });

  it('has no answer for one abscissa', () => {
    expect(huberLine([1], [2])).toBeNull();
    expect(huberLine([3, 3, 3], [1, 2, 3])).toBeNull();
  });

  it.each([
    ['independent errors', false],
    ['errors that persist', true],
  ])('lies within 3u of the truth in 490 of 500 trials with %s', (_, persist) => {
    let inside = 0;
    for (let seed = 1; seed <= 500; seed++) {
      const random = new Random(seed);
      let held = 0;
      const x = Array.from({ length: 400 }, (_, k) => k);
      const y = x.map((value, k) => {
        if (!persist || k % 5 === 0) held = random.normal();
        return 5 + 0.1 * value + held;
      });
      const { x0, y0, slope, covariance } = huberLine(x, y)!;
      const errors = [(slope - 0.1) / Math.sqrt(covariance.slope), (y0 - 5 - 0.1 * x0) / Math.sqrt(covariance.y0)];
      if (errors.every((error) => Math.abs(error) <= 3)) inside++;
    }
    expect(inside).toBeGreaterThanOrEqual(490);
  });
});
