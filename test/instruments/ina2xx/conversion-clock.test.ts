import { describe, expect, it } from 'vitest';
import { ConversionClock } from '../../../src/instruments/ina2xx/conversion-clock.ts';

describe('the times of conversions', () => {
  it('follow each other without holes at the period of the chip, within what was seen', () => {
    const clock = new ConversionClock(1000);
    const period = 1037;
    let at = 5000;
    let last: number | null = null;
    for (let k = 1; k < 300; k++) {
      at += period;
      // Looked at each 90 ns.
      const notBefore_ns = at - ((k * 37) % 90);
      const seen = clock.see({ notBefore_ns, notAfter_ns: notBefore_ns + 90 });
      expect(seen.missed).toBe(0);
      if (last !== null) expect(seen.start_ns).toBe(last);
      expect(Math.abs(seen.end_ns - at)).toBeLessThanOrEqual(90);
      expect(seen.u_ns).toBe(45);
      last = seen.end_ns;
    }
    expect(clock.period_ns / period).toBeCloseTo(1, 2);
  });

  it('count the results that were missed', () => {
    const clock = new ConversionClock(1000);
    clock.see({ notBefore_ns: 990, notAfter_ns: 1010 });
    expect(clock.see({ notBefore_ns: 3990, notAfter_ns: 4010 })).toMatchObject({ missed: 2, start_ns: 3000 });
    // Nobody looked before: it has been ready for a while.
    expect(clock.see({ notBefore_ns: null, notAfter_ns: 5900 })).toMatchObject({ missed: 0, end_ns: 5000 });
    expect(clock.see({ notBefore_ns: null, notAfter_ns: 7100 })).toMatchObject({ missed: 1, end_ns: 7000 });
  });
});
