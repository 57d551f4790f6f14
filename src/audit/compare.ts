import type { Printed } from '../capture/formats/printed.ts';
import type { Comparison, WindowCounts } from './types.ts';

/** Digits after the point of a printed decimal number. */
export function decimalsOf(text: string): number {
  const [mantissa = '', exponent = '0'] = text.trim().toLowerCase().split('e');
  const point = mantissa.indexOf('.');
  return Math.max(0, (point < 0 ? 0 : mantissa.length - point - 1) - Number(exponent));
}

/** Half a unit of the last printed digit: what rounding alone can change. */
export function roundingOf(text: string): number {
  return 0.5 * 10 ** -decimalsOf(text);
}

/**
 * Sums in another order differ by some 1e-13 of the value; a figure that lies this close to a tie may have been rounded
 * either way (seen once in 45 published trials: 160.4265 printed as 160.426).
 */
const tie_rel = 1e-11;

/**
 * Holds a printed number against its recomputation, to the printed digit. A rounding tie counts as exact.
 *
 * @param value recomputed, or null where it cannot be
 */
export function compare(field: string, print: Printed | null, value: number | null): Comparison {
  if (print === null || value === null || !Number.isFinite(value)) {
    const known = value !== null && Number.isFinite(value);
    return { field, printed: print?.text ?? null, recomputed: known ? String(value) : null, exact: null };
  }
  const decimals = Math.min(decimalsOf(print.text), 100);
  const recomputed = value.toFixed(decimals);
  const exact =
    Number(recomputed) === print.value ||
    Math.abs(value - print.value) <= roundingOf(print.text) + tie_rel * Math.max(Math.abs(value), 1e-3);
  return { field, printed: print.text, recomputed, exact };
}

/** A window is claimed where it is printed, recomputable where every printed field is, and exact where all are equal. */
export function countWindows(windows: Comparison[][]): WindowCounts {
  const claimed = windows.filter((fields) => fields.some((f) => f.printed !== null));
  const recomputable = claimed.filter((fields) => fields.every((f) => f.printed === null || f.recomputed !== null));
  const exact = recomputable.filter((fields) => fields.every((f) => f.printed === null || f.exact === true));
  return { claimed: claimed.length, recomputable: recomputable.length, exact: exact.length };
}

/** The comparison that differs most, in relation to what rounding explains; null where none differs. */
export function worstOf(comparisons: Comparison[]): Comparison | null {
  let worst: Comparison | null = null;
  let most = 0;
  for (const c of comparisons) {
    if (c.exact !== false || c.printed === null || c.recomputed === null) continue;
    const relative = Math.abs(Number(c.recomputed) / Number(c.printed) - 1);
    if (worst === null || relative > most) {
      worst = c;
      most = relative;
    }
  }
  return worst;
}
