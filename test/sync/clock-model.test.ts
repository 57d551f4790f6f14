import { describe, expect, it } from 'vitest';
import { Random } from '../../src/plant/random.ts';
import { type ClockLine, ClockModel } from '../../src/sync/clock-model.ts';

const a = { id: 'a', tickHz: 1e5 };
const b = { id: 'b', tickHz: 1e9 };
const c = { id: 'c', tickHz: 2e6 };

const lineAB: ClockLine = {
  reference: 2000,
  offset: 5e7,
  skew: 40e-6,
  covariance: { offset: 400, skew: 1e-12, cross: 5e-6 },
};
const lineBC: ClockLine = {
  reference: 9e7,
  offset: 1e6,
  skew: -150e-6,
  covariance: { offset: 0.09, skew: 4e-12, cross: -1e-7 },
};
const single = (line: ClockLine) => [{ from: -Infinity, line }];

/** A line with its errors drawn from its covariance, which then count as known. */
function drawn(line: ClockLine, random: Random): ClockLine {
  const { offset, skew, cross } = line.covariance;
  const first = random.normal();
  const second = random.normal();
  const slope = cross / Math.sqrt(offset);
  return {
    ...line,
    offset: line.offset + Math.sqrt(offset) * first,
    skew: line.skew + slope * first + Math.sqrt(skew - slope ** 2) * second,
  };
}

describe('a clock model', () => {
  it('maps by its line, and its inverse maps back', () => {
    const model = new ClockModel(a, b, single(lineAB), 0);
    expect(model.map(2000)).toBe(5e7);
    expect(model.map(3000)).toBeCloseTo(5e7 + 1e7 * (1 + 40e-6), 3);
    for (const tick of [-1e6, 0, 12345.678, 1e9]) expect(model.inverse().map(model.map(tick))).toBeCloseTo(tick, 5);
  });

  it('goes from piece to piece', () => {
    const model = new ClockModel(
      a,
      b,
      [
        { from: -Infinity, line: lineAB },
        { from: 3000, line: { ...lineAB, reference: 3000, offset: 6e7, skew: 0 } },
      ],
      0,
    );
    expect(model.map(2999)).toBeCloseTo(5e7 + 999e4 * (1 + 40e-6), 3);
    expect(model.map(3001)).toBeCloseTo(6e7 + 1e4, 6);
    expect(model.skewAt(5000).skew).toBe(0);
  });

  it('refuses pieces that do not ascend, and models that do not meet', () => {
    expect(() => new ClockModel(a, b, [], 0)).toThrow(RangeError);
    const model = new ClockModel(a, b, single(lineAB), 0);
    expect(() => model.followedBy(model)).toThrow(RangeError);
  });

  it('composes: first one model, then the other, breaks of both kept', () => {
    const ab = new ClockModel(
      a,
      b,
      [
        { from: -Infinity, line: lineAB },
        { from: 4000, line: { ...lineAB, skew: -10e-6 } },
      ],
      30,
    );
    const bc = new ClockModel(
      b,
      c,
      [
        { from: -Infinity, line: lineBC },
        { from: 10e7, line: { ...lineBC, skew: 3e-4 } },
      ],
      1,
    );
    const ac = ab.followedBy(bc);
    expect(ac.pieces).toHaveLength(3);
    for (const tick of [0, 1999, 3999, 4001, 6900, 7100, 1e5]) {
      expect(ac.map(tick)).toBeCloseTo(bc.map(ab.map(tick)), 4);
    }
    expect(ac.common_ticks).toBeCloseTo(Math.hypot(30 * 2e-3, 1), 9);
    expect(ac.inverse().map(ac.map(5000))).toBeCloseTo(5000, 6);
  });

  it('does not know the uncertainty of a composed time where one part does not', () => {
    const ac = new ClockModel(a, b, single(lineAB), null).followedBy(new ClockModel(b, c, single(lineBC), 0));
    expect(ac.u_ticks(0)).toBeNull();
    expect(ac.fit_u_ticks(0)).toBeGreaterThan(0);
  });

  it('carries covariance through composition and inversion as drawn errors do', () => {
    const ac = new ClockModel(a, b, single(lineAB), 0).followedBy(new ClockModel(b, c, single(lineBC), 0));
    const ca = ac.inverse();
    const random = new Random(11);
    for (const tick of [-3e6, 2000, 5e6]) {
      let squares = 0;
      let back = 0;
      const there = ac.map(tick);
      for (let k = 0; k < 4000; k++) {
        const model = new ClockModel(a, b, single(drawn(lineAB, random)), 0).followedBy(
          new ClockModel(b, c, single(drawn(lineBC, random)), 0),
        );
        squares += (model.map(tick) - there) ** 2;
        back += (model.inverse().map(there) - tick) ** 2;
      }
      expect(Math.sqrt(squares / 4000) / ac.fit_u_ticks(tick)).toBeCloseTo(1, 1);
      expect(Math.sqrt(back / 4000) / ca.fit_u_ticks(there)).toBeCloseTo(1, 1);
    }
  });

  it('is exact for one clock under two names', () => {
    const model = ClockModel.late(b, a, 0);
    expect(model.map(1e9)).toBe(1e5);
    expect(model.u_ticks(1e12)).toBe(0);
    expect(model.inverse().map(1e5)).toBe(1e9);
  });
});
