import type { SampleArray } from './types.ts';

/**
 * The one order of summation. Samples are summed in leaves of 1,024 that are aligned to absolute sample indices, left
 * to right in float64; the leaves are then added left to right. Where a stream was cut into blocks never changes a sum.
 */
export const leafSize = 1024;

/** Sum of values[from..to) left to right in float64. */
function leafSum(values: ArrayLike<number>, from: number, to: number): number {
  let sum = 0;
  for (let k = from; k < to; k++) sum += values[k];
  return sum;
}

/**
 * Ordered sum of `values` over [from, to), which may be fractional: the samples at the ends count with the part of
 * them that lies inside. `firstIndex` is the absolute index of values[0]; from and to are absolute too.
 * @throws RangeError if the interval is reversed or leaves the array
 */
export function orderedSum(values: SampleArray, from: number, to: number, firstIndex = 0): number {
  const total = orderedWhole(values, from, to, firstIndex, (a, b, sum) => {
    for (let start = a; start < b; ) {
      const end = Math.min(b, (Math.floor(start / leafSize) + 1) * leafSize);
      sum += leafSum(values, start - firstIndex, end - firstIndex);
      start = end;
    }
    return sum;
  });
  return total;
}

/**
 * Splits [from, to) into a fractional head, whole samples and a fractional tail; `whole(a, b, sum)` adds the whole
 * samples [a, b) in leaf order to `sum`.
 */
export function orderedWhole(
  values: SampleArray,
  from: number,
  to: number,
  firstIndex: number,
  whole: (a: number, b: number, sum: number) => number,
): number {
  if (!(from <= to) || from < firstIndex || to > firstIndex + values.length) {
    throw new RangeError(`[${from}, ${to}) does not lie in [${firstIndex}, ${firstIndex + values.length})`);
  }
  const a = Math.ceil(from);
  const b = Math.floor(to);
  if (a > b) return (to - from) * values[b - firstIndex];
  let sum = 0;
  if (a > from) sum += (a - from) * values[a - 1 - firstIndex];
  sum = whole(a, b, sum);
  if (to > b) sum += (to - b) * values[b - firstIndex];
  return sum;
}
