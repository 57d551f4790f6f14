import { median } from './quantile.ts';

/** A straight line y = y0 + slope (x - x0) with the covariance of (y0, slope). */
export interface RobustLine {
  /** Mean abscissa. */
  x0: number;
  y0: number;
  slope: number;
  covariance: { y0: number; slope: number; cross: number };
  /** Standard deviation of one point about the line (1.4826 times the median absolute residual). */
  scale: number;
}

/** Huber's constant for 95 % efficiency at the normal distribution. */
const tuning = 1.345;
/** Points are grouped into so many runs whose errors may depend on each other. */
const clusters = 32;

/**
 * Huber's M-estimate of a line through points with ascending x (P. J. Huber, Robust Statistics, 1981), by iteratively
 * reweighted least squares from the median slope of points half the data apart.
 *
 * The covariance comes from the residuals alone. From 20 points on it is the sandwich over runs of neighbouring points,
 * so that errors which persist for a while (a busy host) are not counted as independent.
 *
 * @param inlier distance from the line up to which a point counts in full, however small the scatter: what a coarse grid may do
 *   to it, which is no outlier where only a few points are off by one
 * @returns null for fewer than two different abscissae
 */
export function huberLine(x: ArrayLike<number>, y: ArrayLike<number>, inlier = 0): RobustLine | null {
  const n = x.length;
  if (n < 2 || !(x[n - 1]! > x[0]!)) return null;
  const half = Math.floor(n / 2);
  const span = x[n - 1]! - x[0]!;
  // Centred abscissae in units of the span keep the normal equations well conditioned.
  let mean = 0;
  for (let k = 0; k < n; k++) mean += (x[k]! - x[0]!) / span;
  mean /= n;
  const u = Float64Array.from({ length: n }, (_, k) => (x[k]! - x[0]!) / span - mean);
  const base = y[0]!;
  const v = Float64Array.from({ length: n }, (_, k) => y[k]! - base);
  const slopes: number[] = [];
  for (let k = 0; k + half < n; k++) {
    if (u[k + half]! > u[k]!) slopes.push((v[k + half]! - v[k]!) / (u[k + half]! - u[k]!));
  }
  let b = median(slopes) ?? 0;
  let a = median(v.map((value, k) => value - b * u[k]!)) ?? 0;
  let scale = spread(u, v, a, b);
  for (let pass = 0; pass < 50; pass++) {
    const limit = Math.max(inlier, tuning * scale);
    let [sw, su, sv, suu, suv] = [0, 0, 0, 0, 0];
    for (let k = 0; k < n; k++) {
      const r = Math.abs(v[k]! - a - b * u[k]!);
      const w = r <= limit || limit === 0 ? 1 : limit / r;
      sw += w;
      su += w * u[k]!;
      sv += w * v[k]!;
      suu += w * u[k]! * u[k]!;
      suv += w * u[k]! * v[k]!;
    }
    const determinant = sw * suu - su * su;
    if (!(determinant > 0)) break;
    const nextB = (sw * suv - su * sv) / determinant;
    const nextA = (sv - nextB * su) / sw;
    const change = Math.abs(nextA - a) + Math.abs(nextB - b);
    a = nextA;
    b = nextB;
    scale = spread(u, v, a, b);
    if (change <= 1e-9 * Math.max(inlier, scale)) break;
  }
  const { aa, bb, ab } = covariance(u, v, a, b, Math.max(inlier, tuning * scale));
  return {
    x0: x[0]! + mean * span,
    y0: base + a,
    slope: b / span,
    covariance: { y0: aa, slope: bb / (span * span), cross: ab / span },
    scale,
  };
}

function spread(u: Float64Array, v: Float64Array, a: number, b: number): number {
  return 1.4826 * (median(v.map((value, k) => Math.abs(value - a - b * u[k]!))) ?? 0);
}

/** Covariance of (a, b): from the residual variance for few points, else the sandwich over runs. */
function covariance(u: Float64Array, v: Float64Array, a: number, b: number, most: number) {
  const n = u.length;
  const limit = most === 0 ? Number.POSITIVE_INFINITY : most;
  let [h0, h1, h2, squares] = [0, 0, 0, 0];
  const group = n < 20 ? 1 : Math.max(1, Math.ceil(n / clusters));
  let [m00, m01, m11, g0, g1] = [0, 0, 0, 0, 0];
  for (let k = 0; k < n; k++) {
    const r = v[k]! - a - b * u[k]!;
    squares += r * r;
    if (Math.abs(r) <= limit) {
      h0 += 1;
      h1 += u[k]!;
      h2 += u[k]! * u[k]!;
    }
    const psi = Math.max(-limit, Math.min(limit, r));
    g0 += psi;
    g1 += psi * u[k]!;
    if ((k + 1) % group === 0 || k === n - 1) {
      m00 += g0 * g0;
      m01 += g0 * g1;
      m11 += g1 * g1;
      g0 = 0;
      g1 = 0;
    }
  }
  if (n < 20) {
    let uu = 0;
    for (const value of u) uu += value * value;
    const variance = n > 2 ? squares / (n - 2) : 0;
    return { aa: variance / n, bb: variance / uu, ab: 0 };
  }
  const determinant = h0 * h2 - h1 * h1;
  const [i00, i01, i11] = [h2 / determinant, -h1 / determinant, h0 / determinant];
  const runs = Math.ceil(n / group);
  // Two parameters, and the end runs pull the slope: the plain sandwich is too small by about 4 runs.
  const small = runs / (runs - 4);
  const [p00, p01] = [i00 * m00 + i01 * m01, i00 * m01 + i01 * m11];
  const [p10, p11] = [i01 * m00 + i11 * m01, i01 * m01 + i11 * m11];
  return {
    aa: small * (p00 * i00 + p01 * i01),
    ab: small * (p00 * i01 + p01 * i11),
    bb: small * (p10 * i01 + p11 * i11),
  };
}
