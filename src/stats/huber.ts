import { median } from './quantile.ts';

/** Huber's constant for 95 % efficiency at the normal distribution. */
const tuning = 1.345;

/** A robust mean. */
export interface RobustMean {
  value: number;
  /** Variance of the mean, from the residuals alone; 0 where all numbers are the same. */
  variance: number;
}

/**
 * Huber's M-estimate of location (P. J. Huber, Robust Statistics, 1981) by iteratively reweighted means from the median,
 * with 1.4826 times the median absolute deviation as its scale; the median where that is 0. The variance of the mean is
 * sum psi^2 / (n - 1) / mean(psi')^2 / n.
 *
 * @returns null for fewer than two numbers
 */
export function huberMean(values: ArrayLike<number>): RobustMean | null {
  const x = Float64Array.from(values);
  const n = x.length;
  if (n < 2) return null;
  let value = median(x)!;
  const limit = tuning * 1.4826 * median(x.map((one) => Math.abs(one - value)))!;
  for (let pass = 0; limit > 0 && pass < 100; pass++) {
    let [weights, sum] = [0, 0];
    for (const one of x) {
      const weight = Math.min(1, limit / Math.abs(one - value));
      weights += weight;
      sum += weight * one;
    }
    const next = sum / weights;
    const isSettled = Math.abs(next - value) <= 1e-12 * limit;
    value = next;
    if (isSettled) break;
  }
  let [squares, inside] = [0, 0];
  for (const one of x) {
    const residual = Math.abs(one - value);
    if (residual <= limit) inside++;
    squares += Math.min(residual, limit) ** 2;
  }
  return { value, variance: squares === 0 ? 0 : squares / (n - 1) / (inside / n) ** 2 / n };
}
