/**
 * Numbers for people: SI prefixes, a chosen number of significant figures, and a value rounded together with its
 * uncertainty. JSON and CSV never pass through here; they keep full precision.
 */

export interface FormatOptions {
  /** Significant figures; default 4. */
  digits?: number;
  /** How the prefix 1e-6 is written; default `u`, which any terminal can show. */
  micro?: 'u' | 'µ';
}

const DEFAULT_DIGITS = 4;
const UNKNOWN = 'unknown';

/** Powers of ten of the prefixes, in steps of 3 from 1e-12 to 1e12. */
const PREFIXES = new Map([
  [-12, 'p'],
  [-9, 'n'],
  [-6, 'u'],
  [-3, 'm'],
  [0, ''],
  [3, 'k'],
  [6, 'M'],
  [9, 'G'],
  [12, 'T'],
]);
const SMALLEST_EXPONENT = -12;

/** Largest power of ten that a unit's prefix may have; units that are not listed take no prefix. */
const PREFIXED_UNITS = new Map([
  ['J', 12],
  ['W', 12],
  ['V', 12],
  ['A', 12],
  ['C', 12],
  ['Hz', 12],
  ['s', 0],
]);

/** A number in decimal: sign, digits without a point, and the power of ten of the first digit. */
interface Decimal {
  negative: boolean;
  digits: string;
  exponent: number;
}

/** Rounds correctly (the exact binary value decides ties) to `digits` significant figures. */
function toDecimal(value: number, digits: number): Decimal {
  const [mantissa, exponent] = Math.abs(value)
    .toExponential(digits - 1)
    .split('e') as [string, string];
  return { negative: value < 0, digits: mantissa.replace('.', ''), exponent: Number(exponent) };
}

/** Writes a decimal as a plain number of 10^scale, padded with zeros to `decimals` places. */
function place({ negative, digits, exponent }: Decimal, scale: number, decimals: number): string {
  const wholeDigits = digits === '0' ? 1 : exponent - scale + 1;
  const padded = wholeDigits > 0 ? digits.padEnd(wholeDigits, '0') : '0'.repeat(1 - wholeDigits) + digits;
  const point = Math.max(wholeDigits, 1);
  const fraction = padded.slice(point).padEnd(decimals, '0');
  return `${negative ? '-' : ''}${padded.slice(0, point)}${fraction === '' ? '' : `.${fraction}`}`;
}

/** `uJ` is 1e-6 of `J`; a unit without prefixes is its own base. */
function parseUnit(unit: string): { base: string; exponent: number; largest: number | null } {
  for (const [exponent, prefix] of PREFIXES) {
    const base = unit.slice(prefix.length);
    const largest = PREFIXED_UNITS.get(base);
    if (largest !== undefined && unit === prefix + base) return { base, exponent, largest };
  }
  return { base: unit, exponent: 0, largest: null };
}

function prefixExponent(exponent: number, largest: number): number {
  return Math.min(largest, Math.max(SMALLEST_EXPONENT, Math.floor(exponent / 3) * 3));
}

function unitName(base: string, exponent: number, micro: string): string {
  return (exponent === -6 ? micro : PREFIXES.get(exponent)!) + base;
}

function join(number: string, unit: string): string {
  return unit === '' ? number : `${number} ${unit}`;
}

/** Too small or too large to write out in zeros. */
function isExtreme(exponent: number, scale: number): boolean {
  return exponent - scale < -4 || exponent - scale > 14;
}

function scientific({ negative, digits, exponent }: Decimal): string {
  const fraction = digits.slice(1);
  const sign = exponent < 0 ? '-' : '+';
  return `${negative ? '-' : ''}${digits[0]}${fraction === '' ? '' : `.${fraction}`}e${sign}${Math.abs(exponent)}`;
}

/**
 * A value with an SI prefix, e.g. `formatSi(0.0421, 'W')` is `42.10 mW`. The unit may come with a prefix (`uJ`);
 * units that take none (`inf/s`, `%`) stay as they are. Null and NaN are `unknown`.
 */
export function formatSi(value: number | null, unit: string, options: FormatOptions = {}): string {
  if (value === null || Number.isNaN(value)) return UNKNOWN;
  const { digits = DEFAULT_DIGITS, micro = 'u' } = options;
  const { base, exponent: given, largest } = parseUnit(unit);
  const plain = unitName(base, 0, micro);
  if (value === 0) return join('0', plain);
  if (!Number.isFinite(value)) return join(value < 0 ? '-infinity' : 'infinity', plain);
  const decimal = toDecimal(value, digits);
  decimal.exponent += given;
  const scale = largest === null ? 0 : prefixExponent(decimal.exponent, largest);
  if (isExtreme(decimal.exponent, scale)) return join(scientific(decimal), plain);
  return join(place(decimal, scale, 0), unitName(base, scale, micro));
}

/** A whole number with its thousands apart, e.g. `9,400,000`; null is `unknown`. */
export function formatCount(count: number | null): string {
  if (count === null || Number.isNaN(count)) return UNKNOWN;
  return String(count).replace(/^(-?\d+)/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, ','));
}

/** A duration in s, from `12.00 ns` up to any number of seconds; never minutes. */
export function formatSeconds(seconds: number | null, options: FormatOptions = {}): string {
  return formatSi(seconds, 's', options);
}

/** A ratio as percent: `formatPercent(0.853)` is `85.3 %`; three significant figures unless told otherwise. */
export function formatPercent(ratio: number | null, options: FormatOptions = {}): string {
  if (ratio === null || Number.isNaN(ratio)) return UNKNOWN;
  if (ratio === 0) return '0 %';
  if (!Number.isFinite(ratio)) return formatSi(ratio, '%', options);
  const decimal = toDecimal(ratio, options.digits ?? 3);
  decimal.exponent += 2;
  return join(isExtreme(decimal.exponent, 0) ? scientific(decimal) : place(decimal, 0, 0), '%');
}

/** A value and its uncertainty as text, in one unit. */
export interface RoundedPair {
  value: string;
  /** Null where the uncertainty is not known. */
  u: string | null;
  unit: string;
}

/**
 * A value and its standard uncertainty in one unit: `u` rounded to two significant figures and the value to the same
 * place (specs: science 5). Where u is null (0 counts as null) the value has `digits` figures. Null for no value.
 */
export function roundWithU(
  value: number | null,
  u: number | null,
  unit: string,
  options: FormatOptions = {},
): RoundedPair | null {
  if (value === null || Number.isNaN(value)) return null;
  if (u === null || !Number.isFinite(u) || u <= 0 || !Number.isFinite(value)) {
    const [number, ...rest] = formatSi(value, unit, options).split(' ') as [string, ...string[]];
    return { value: number, u: null, unit: rest.join(' ') };
  }
  const { micro = 'u', digits = DEFAULT_DIGITS } = options;
  const { base, exponent: given, largest } = parseUnit(unit);
  const uDecimal = toDecimal(u, 2);
  const rounded = roundToPlace(value, uDecimal.exponent - 1);
  uDecimal.exponent += given;
  rounded.exponent += given;
  const leading = Math.max(uDecimal.exponent, rounded.exponent);
  const scale = largest === null ? 0 : prefixExponent(leading, largest);
  // A float64 has no more than 17 figures: one place for both would invent the rest.
  if (isExtreme(leading, scale) || leading - uDecimal.exponent > 15) {
    const plain = toDecimal(value, digits);
    plain.exponent += given;
    return { value: scientific(plain), u: scientific(uDecimal), unit: unitName(base, 0, micro) };
  }
  const decimals = Math.max(0, scale - (uDecimal.exponent - 1));
  return {
    value: place(rounded, scale, decimals),
    u: place(uDecimal, scale, decimals),
    unit: unitName(base, scale, micro),
  };
}

/** A value with its standard uncertainty, e.g. `104.23 ± 0.12 uJ`, or `104.2 uJ (u unknown)`. */
export function formatWithU(value: number | null, u: number | null, unit: string, options: FormatOptions = {}): string {
  const pair = roundWithU(value, u, unit, options);
  if (pair === null) return UNKNOWN;
  return pair.u === null ? `${join(pair.value, pair.unit)} (u unknown)` : join(`${pair.value} ± ${pair.u}`, pair.unit);
}

/** The value as a whole number of 10^lastPlace. */
function roundToPlace(value: number, lastPlace: number): Decimal {
  const zero = { negative: false, digits: '0', exponent: lastPlace };
  if (value === 0) return zero;
  const exponent = Number(Math.abs(value).toExponential().split('e')[1]);
  const digits = exponent - lastPlace + 1;
  if (digits >= 1) return toDecimal(value, Math.min(digits, 100));
  const roundsUp = Math.abs(value) >= 0.5 * 10 ** lastPlace;
  return roundsUp ? { negative: value < 0, digits: '1', exponent: lastPlace } : zero;
}

/** Numbers of one column or axis: all in one unit. `factor` turns a given number into one of `unit`. */
export interface SiColumn {
  unit: string;
  factor: number;
  /** Places after the point that give the largest number `digits` significant figures. */
  decimals: number;
}

/** One unit for a column of numbers, chosen by the largest of them. */
export function siColumn(values: Iterable<number | null>, unit: string, options: FormatOptions = {}): SiColumn {
  const { digits = DEFAULT_DIGITS, micro = 'u' } = options;
  let largestValue = 0;
  for (const value of values) {
    if (value !== null && Number.isFinite(value)) largestValue = Math.max(largestValue, Math.abs(value));
  }
  const { base, exponent: given, largest } = parseUnit(unit);
  const exponent = largestValue === 0 ? given : toDecimal(largestValue, digits).exponent + given;
  const scale = largest === null ? 0 : prefixExponent(exponent, largest);
  return {
    unit: unitName(base, scale, micro),
    factor: Number(`1e${given - scale}`),
    decimals: Math.min(20, Math.max(0, digits - 1 - (exponent - scale))),
  };
}

/** A number of a column in that column's unit and places; the unit itself belongs in the heading. */
export function formatInColumn(value: number | null, column: SiColumn): string {
  if (value === null || Number.isNaN(value)) return UNKNOWN;
  return (value * column.factor).toFixed(column.decimals);
}
