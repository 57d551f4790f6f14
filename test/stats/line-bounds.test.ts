import { describe, expect, it } from 'vitest';
import { lineBounds } from '../../src/stats/line-bounds.ts';

describe('the bounds of a line', () => {
  it('are the reach itself where two points tell all', () => {
    const { level, slope } = lineBounds([-1, 1], [0, 0], 0, 0.5);
    expect(level).toBeCloseTo(0.5, 12);
    expect(slope).toBeCloseTo(0.5, 12);
  });

  it('are narrow where the points scatter over the whole reach', () => {
    const x = Float64Array.from({ length: 100 }, (_, k) => k);
    const { level, slope } = lineBounds(
      x,
      x.map((k) => (k % 2 === 0 ? 0.5 : -0.5)),
      49.5,
      0.5,
    );
    expect(level).toBeLessThan(0.01);
    expect(slope).toBeLessThan(0.01);
  });

  it('reach from a line that is wrong to where the right ones are', () => {
    // The points lie on a line 1 higher and steeper by 0.25.
    const x = [-2, -1, 0, 1, 2];
    const { level, slope } = lineBounds(
      x,
      x.map((value) => 1 + 0.25 * value),
      0,
      0.5,
    );
    expect(level).toBeCloseTo(1.5, 12);
    expect(slope).toBeCloseTo(0.5, 12);
  });

  it('widen a reach that no line keeps', () => {
    const { level } = lineBounds([0, 1, 2, 3], [0, 10, -10, 3], 1.5, 0.5);
    expect(level).toBeGreaterThan(0);
    expect(level).toBeLessThan(20);
  });
});
