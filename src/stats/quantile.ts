/**
 * Quantile of ascending numbers by linear interpolation between order statistics: Hyndman and Fan (1996) type 7, the
 * default of NumPy and d3. Null for no numbers. `p` from 0 to 1.
 */
export function quantileOfSorted(ascending: ArrayLike<number>, p: number): number | null {
  const n = ascending.length;
  if (n === 0) return null;
  const position = (n - 1) * Math.min(1, Math.max(0, p));
  const below = Math.floor(position);
  const low = ascending[below]!;
  if (position === below) return low;
  const high = ascending[below + 1]!;
  return Math.min(high, low + (high - low) * (position - below));
}

/** Middle number, or the mean of the two middle ones; null for no numbers. The input stays as it is. */
export function median(values: Iterable<number>): number | null {
  const ascending = Float64Array.from(values).sort();
  const half = ascending.length / 2;
  if (ascending.length === 0) return null;
  if (ascending.length % 2 === 1) return ascending[Math.floor(half)]!;
  return (ascending[half - 1]! + ascending[half]!) / 2;
}
