import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  formatCount,
  formatInColumn,
  formatPercent,
  formatSeconds,
  formatSi,
  formatWithU,
  roundWithU,
  siColumn,
} from '../../src/signal/units.ts';

const PREFIX_VALUE: Record<string, number> = { p: 1e-12, n: 1e-9, u: 1e-6, m: 1e-3, k: 1e3, M: 1e6, G: 1e9, T: 1e12 };

function parseBack(text: string): number {
  const [number, unit = ''] = text.split(' ') as [string, string?];
  return Number(number) * (unit.length > 1 ? PREFIX_VALUE[unit[0]!]! : 1);
}

const magnitudes = fc
  .tuple(fc.double({ min: 1, max: 10, noNaN: true }), fc.integer({ min: -11, max: 11 }), fc.boolean())
  .map(([mantissa, exponent, negative]) => (negative ? -1 : 1) * mantissa * 10 ** exponent);

describe('formatSi', () => {
  it.each([
    [4.21e-8, 'W', '42.10 nW'],
    [0.0421, 'W', '42.10 mW'],
    [1234.5678, 'W', '1.235 kW'],
    [104.2, 'uJ', '104.2 uJ'],
    [104200, 'uJ', '104.2 mJ'],
    [2.5e9, 'uJ', '2.500 kJ'],
    [-0.0033, 'A', '-3.300 mA'],
    [9592.4, 'inf/J', '9592 inf/J'],
    [12345, 'inf/s', '12350 inf/s'],
    [90, '%', '90.00 %'],
    [0, 'mW', '0 W'],
    [5e-324, 'J', '4.941e-324 J'],
    [1.7e308, 'J', '1.700e+308 J'],
    [1e-8, '', '1.000e-8'],
    [Number.POSITIVE_INFINITY, 'W', 'infinity W'],
  ])('writes %s %s as %s', (value, unit, text) => {
    expect(formatSi(value, unit)).toBe(text);
  });

  it('says unknown for what is not known', () => {
    expect(formatSi(null, 'J')).toBe('unknown');
    expect(formatSi(Number.NaN, 'J')).toBe('unknown');
  });

  it('goes on to the next prefix when rounding reaches it', () => {
    expect(formatSi(0.99996, 'W')).toBe('1.000 W');
    expect(formatSi(0.99994, 'W')).toBe('999.9 mW');
    expect(formatSi(999.5, 'uJ', { digits: 3 })).toBe('1.00 mJ');
    expect(formatSi(-9.99e-7, 'A', { digits: 2 })).toBe('-1.0 uA');
  });

  it('keeps the chosen number of significant figures', () => {
    expect(formatSi(123.456, 'mW', { digits: 1 })).toBe('100 mW');
    expect(formatSi(123.456, 'mW', { digits: 6 })).toBe('123.456 mW');
    expect(formatSi(1.2, 'mW', { digits: 6 })).toBe('1.20000 mW');
  });

  it('writes micro as the reader wants it', () => {
    expect(formatSi(1e-6, 'J', { micro: 'µ' })).toBe('1.000 µJ');
  });

  it('leaves units alone that only look as if they had a prefix', () => {
    expect(formatSi(0.002, 'ppm')).toBe('0.002000 ppm');
    expect(formatSi(0.5, 'm')).toBe('0.5000 m');
  });

  it('never moves a value by more than half a unit of its last figure, and never shows 1000 of a prefix', () => {
    fc.assert(
      fc.property(magnitudes, fc.integer({ min: 1, max: 9 }), (value, digits) => {
        const text = formatSi(value, 'W', { digits });
        const [number] = text.split(' ') as [string];
        expect(Math.abs(Number(number))).toBeLessThan(1000);
        expect(Math.abs(Number(number))).toBeGreaterThanOrEqual(1);
        expect(Math.abs(parseBack(text) / value - 1)).toBeLessThanOrEqual(0.5000001 * 10 ** (1 - digits));
        if (digits >= 3) expect(number.replace(/[-.]/g, '')).toHaveLength(digits);
      }),
    );
  });

  it('answers any number with one line of text', () => {
    fc.assert(
      fc.property(fc.double(), fc.string(), fc.integer({ min: 1, max: 17 }), (value, unit, digits) => {
        const text = formatSi(value, unit, { digits });
        expect(text.length).toBeGreaterThan(0);
        expect(text.length).toBeLessThan(45 + unit.length);
        if (!unit.includes('NaN')) expect(text).not.toContain('NaN');
      }),
    );
  });
});

describe('formatCount', () => {
  it('sets thousands apart', () => {
    expect(formatCount(0)).toBe('0');
    expect(formatCount(999)).toBe('999');
    expect(formatCount(-1000)).toBe('-1,000');
    expect(formatCount(9_400_000)).toBe('9,400,000');
    expect(formatCount(1234.5678)).toBe('1,234.5678');
    expect(formatCount(1e21)).toBe('1e+21');
    expect(formatCount(null)).toBe('unknown');
  });
});

describe('formatSeconds', () => {
  it('uses prefixes below a second and plain seconds above', () => {
    expect(formatSeconds(50e-6, { digits: 2 })).toBe('50 us');
    expect(formatSeconds(0.012345)).toBe('12.35 ms');
    expect(formatSeconds(10.0007)).toBe('10.00 s');
    expect(formatSeconds(86400)).toBe('86400 s');
    expect(formatSeconds(null)).toBe('unknown');
  });
});

describe('formatPercent', () => {
  it('writes a ratio as percent', () => {
    expect(formatPercent(0.853)).toBe('85.3 %');
    expect(formatPercent(1)).toBe('100 %');
    expect(formatPercent(-0.0000123)).toBe('-0.00123 %');
    expect(formatPercent(0)).toBe('0 %');
    expect(formatPercent(null)).toBe('unknown');
    expect(formatPercent(0.99996, { digits: 4 })).toBe('100.0 %');
  });
});

describe('formatWithU', () => {
  it.each([
    [104.2345, 0.1234, 'uJ', '104.23 ± 0.12 uJ'],
    [9.996, 0.02, 'mW', '9.996 ± 0.020 mW'],
    [9.9996, 0.02, 'mW', '10.000 ± 0.020 mW'],
    [104.2345, 0.0999, 'uJ', '104.23 ± 0.10 uJ'],
    [999.9996, 0.0123, 'uJ', '1.000000 ± 0.000012 mJ'],
    [0.004, 0.12, 'uJ', '0 ± 120 nJ'],
    [0.6, 12, 'inf/s', '1 ± 12 inf/s'],
    [0.4, 12, 'inf/s', '0 ± 12 inf/s'],
    [123456, 2300, 'inf/s', '123500 ± 2300 inf/s'],
    [-1.25, 0.5, 'V', '-1.25 ± 0.50 V'],
    [0, 0.5, 'V', '0 ± 500 mV'],
  ])('writes %s with u %s %s as %s', (value, u, unit, text) => {
    expect(formatWithU(value, u, unit)).toBe(text);
  });

  it('says so where the uncertainty is not known; 0 counts as not known', () => {
    expect(formatWithU(104.2, null, 'uJ')).toBe('104.2 uJ (u unknown)');
    expect(formatWithU(104.2, 0, 'uJ')).toBe('104.2 uJ (u unknown)');
    expect(formatWithU(null, 0.1, 'uJ')).toBe('unknown');
  });

  it('writes powers of ten where one place for both would need more figures than the number has', () => {
    expect(formatWithU(1, 1e-20, 'V')).toBe('1.000e+0 ± 1.0e-20 V');
  });

  it('rounds value and uncertainty to the same place', () => {
    fc.assert(
      fc.property(magnitudes, fc.double({ min: 1e-9, max: 1, noNaN: true }), (value, u_rel) => {
        const [valueText, uText] = formatWithU(value, Math.abs(value) * u_rel, 'W').split(' ± ') as [string, string];
        const uNumber = uText.split(' ')[0]!;
        expect(valueText.split('.')[1]?.length).toBe(uNumber.split('.')[1]?.length);
        const scale = PREFIX_VALUE[uText.split(' ')[1]!.slice(0, -1)] ?? 1;
        expect(Math.abs(Number(uNumber) * scale - Math.abs(value) * u_rel)).toBeLessThanOrEqual(
          Math.abs(value) * u_rel * 0.0501,
        );
        expect(Math.abs(Number(valueText) * scale - value)).toBeLessThanOrEqual(
          Math.abs(value) * u_rel * 0.0501 + 1e-25,
        );
      }),
    );
  });
});

describe('roundWithU', () => {
  it('gives the parts of the text apart', () => {
    expect(roundWithU(104.2345, 0.1234, 'uJ', { micro: 'µ' })).toEqual({ value: '104.23', u: '0.12', unit: 'µJ' });
    expect(roundWithU(93.81, null, 'inf/s')).toEqual({ value: '93.81', u: null, unit: 'inf/s' });
    expect(roundWithU(0.93, null, '')).toEqual({ value: '0.9300', u: null, unit: '' });
    expect(roundWithU(null, 0.1, 'uJ')).toBeNull();
  });
});

describe('siColumn', () => {
  it('gives one unit and one number of places to a whole column', () => {
    const column = siColumn([104.21, 1.5, null, -950.3], 'uJ');
    expect(column).toEqual({ unit: 'uJ', factor: 1, decimals: 1 });
    expect(formatInColumn(104.21, column)).toBe('104.2');
    expect(formatInColumn(null, column)).toBe('unknown');
  });

  it('turns the numbers into the unit of the heading', () => {
    const column = siColumn([12_345, 999.96], 'uW');
    expect(column.unit).toBe('mW');
    expect(formatInColumn(12_345, column)).toBe('12.35');
    expect(formatInColumn(999.96, column)).toBe('1.00');
  });

  it('stays in the base unit where there is nothing but zero', () => {
    expect(siColumn([0, null], 's')).toMatchObject({ unit: 's', factor: 1 });
    expect(siColumn([], 'uJ')).toMatchObject({ unit: 'uJ', factor: 1 });
  });
});
