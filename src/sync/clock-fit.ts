import type { Edge } from '../signal/types.ts';
import { lineBounds } from '../stats/line-bounds.ts';
import { lowerHull } from '../stats/lower-hull.ts';
import { median } from '../stats/quantile.ts';
import { huberLine, type RobustLine } from '../stats/robust-line.ts';
import type { Arrivals } from './arrival-times.ts';
import { type ClockLine, ClockModel, type ClockPiece, type ClockRef } from './clock-model.ts';

/** The clock of arrival times: host-monotonic nanoseconds. */
export const arrivalClock: ClockRef = { id: 'arrival', tickHz: 1e9 };

/** How a clock saw an event. */
export interface Grid {
  /** Ticks between looks; 0 where events are timed exactly. */
  period_ticks: number;
  /** True where the half period by which a look comes late on average has been subtracted already. */
  centred: boolean;
}

/**
 * The grid of edges from their stated uncertainty. Of edges that state none nothing is known but that whole ticks tell no more than
 * their tick; other ticks are taken as exact.
 */
export function gridOf(edges: readonly Edge[]): Grid {
  const period_ticks = edges.slice(0, 1000).reduce((most, { u_ticks, tick }) => {
    const unstated = Number.isInteger(tick) ? 1 : 0;
    return Math.max(most, u_ticks === null ? unstated : u_ticks * Math.sqrt(12));
  }, 0);
  return { period_ticks, centred: true };
}

/** Without a stated grid the scatter alone tells the uncertainty, and fewer pulses tell it too badly. */
const fewestWithoutGrid = 8;

/**
 * Fits two clocks to pulses that both saw: `from[k]` and `to[k]` are one event, in time order. Half a period is
 * subtracted from the times of each clock that looked at intervals, which removes the constant bias
 * (dt_to - dt_from) / 2 (specs: science 3.2). Wrong pairs weigh little (Huber).
 *
 * The uncertainty comes from the residuals, and is never smaller than the grids allow, whose errors are independent from pulse
 * to pulse only where the gaps are uneven. Pulses in step with a grid, or nearly so, share an error that residuals do not show: so
 * the uncertainty is also no smaller than that of a rectangle as wide as the lines that pass within half a period of all pulses.
 *
 * @returns null where there are too few pulses: 2 with stated grids, else 8
 */
export function fitPulses(
  pulses: { from: ArrayLike<number>; to: ArrayLike<number> },
  clocks: { from: ClockRef; to: ClockRef },
  grids: { from: Grid; to: Grid },
): ClockModel | null {
  const n = pulses.from.length;
  const late = (grid: Grid) => (grid.centred ? 0 : grid.period_ticks / 2);
  const nominal = clocks.to.tickHz / clocks.from.tickHz;
  const prior = (grids.to.period_ticks ** 2 + (nominal * grids.from.period_ticks) ** 2) / 12;
  if (n < (prior > 0 ? 2 : fewestWithoutGrid)) return null;
  const x = Float64Array.from({ length: n }, (_, k) => pulses.from[k]! - late(grids.from));
  const y = Float64Array.from({ length: n }, (_, k) => pulses.to[k]! - late(grids.to));
  const reach = (grids.to.period_ticks + nominal * grids.from.period_ticks) / 2;
  const line = huberLine(x, y, reach);
  if (line === null) return null;
  const covariance = { ...line.covariance };
  if (prior > 0) {
    const dx = x.map((value) => value - line.x0);
    const sxx = dx.reduce((sum, value) => sum + value * value, 0);
    const residuals = y.map((value, k) => value - line.y0 - line.slope * dx[k]!);
    // What no grid explains is a wrong pair.
    const right = Array.from(residuals.keys()).filter((k) => Math.abs(residuals[k]!) <= 3 * reach);
    const isMost = 2 * right.length > n && x[right.at(-1)!]! > x[right[0]!]!;
    const pick = (values: Float64Array) => (isMost ? right.map((k) => values[k]!) : values);
    const bounds = lineBounds(pick(x), pick(residuals), line.x0, reach);
    covariance.y0 = Math.max(covariance.y0, prior / n, bounds.level ** 2 / 3);
    covariance.slope = Math.max(covariance.slope, prior / sxx, bounds.slope ** 2 / 3);
  }
  return new ClockModel(clocks.from, clocks.to, [{ from: -Infinity, line: clockLine(line, covariance, nominal) }], 0);
}

/**
 * What residuals should scatter by their grids (variance `prior` of each) and do not, where that is no chance (1 %; Wilson
 * and Hilferty's approximation of chi^2): an error that all of them may share.
 * @param squares sum of the squared residuals
 */
export function sharedVariance(squares: number, freedom: number, prior: number): number {
  if (freedom <= 0) return prior;
  const variance = squares / freedom;
  const root = 1 - 2 / (9 * freedom) - 2.326 * Math.sqrt(2 / (9 * freedom));
  return variance < prior * Math.max(0, root) ** 3 ? prior - variance : 0;
}

function clockLine(line: RobustLine, covariance: RobustLine['covariance'], nominal: number): ClockLine {
  return {
    reference: line.x0,
    offset: line.y0,
    skew: line.slope / nominal - 1,
    covariance: {
      offset: covariance.y0,
      skew: covariance.slope / nominal ** 2,
      cross: covariance.cross / nominal,
    },
  };
}

/** Fewer arrival times than this, or a shorter stretch of them, give no line. */
const fewestArrivals = 16;
const shortest_s = 1;
/** Length of the pieces of a long run: temperature changes a crystal within minutes (specs: science 3.2). */
const piece_s = 90;
/** Parts of a stretch whose earliest arrivals tell how far the hull may lie above the least delay. */
const parts = 8;

/**
 * One line under the times at which messages arrived: h = o + (1 + s) c + d with a delay d that is never less than some
 * d_min (specs: science 3.2). The offset (d_min included) is that of the lower convex hull, on the edge that spans the
 * mean abscissa (S. B. Moon, P. Skelly and D. Towsley, INFOCOM 1999; L. Zhang, Z. Liu and C. H. Xia, INFOCOM 2002). The skew
 * is the mean of Huber's on what is left above the hull and of Huber's through the earliest arrival of each part.
 *
 * @returns null for fewer than 16 arrivals or less than a second of them
 */
export function fitArrivalLine(points: Arrivals, from: ClockRef): ClockLine | null {
  const { ticks: x, arrivals_ns: y } = points;
  const n = x.length;
  if (n < fewestArrivals || !(x[n - 1]! - x[0]! >= shortest_s * from.tickHz)) return null;
  const nominal = arrivalClock.tickHz / from.tickHz;
  const edge = hullEdge(x, y, 0, n);
  const above = y.map((value, k) => value - edge.y0 - edge.slope * (x[k]! - edge.x0));
  const huber = huberLine(x, above)!;
  const earliest = earliestLine(x, above);
  // Both are unbiased and see different points, so their mean is better than either; they share a few, hence a third
  // of the sum of the variances and not a quarter.
  const slope = edge.slope + (earliest === null ? huber.slope : (huber.slope + earliest.slope) / 2);
  const variance =
    earliest === null ? huber.covariance.slope : (huber.covariance.slope + earliest.covariance.slope) / 3;
  const floor = { x0: edge.x0, y0: edge.y0, slope };
  return {
    reference: edge.x0,
    offset: edge.y0,
    skew: slope / nominal - 1,
    covariance: { offset: hullError(x, y, floor, 0, n) ** 2, skew: variance / nominal ** 2, cross: 0 },
  };
}

/**
 * The clock of a source as its arrival times tell it. A run longer than two minutes is also looked at in pieces of 90 s:
 * where their hulls contradict the one line, the model goes from piece to piece.
 *
 * d_min cannot be seen one way. It lies between 0 and the declared bound of the latency, so half the bound is
 * subtracted, and half the bound is the common uncertainty of the model; without a bound that is unknown.
 *
 * Fewer than 16 arrivals, or less than a second of them, tell no skew: the clock is then taken to keep its nominal rate as
 * crystals do.
 *
 * @returns null for fewer than 2 arrivals
 */
export function fitArrivals(points: Arrivals, from: ClockRef, latencyBound_s: number | null): ClockModel | null {
  const line = fitArrivalLine(points, from) ?? fewArrivalsLine(points, from);
  if (line === null) return null;
  const half_ns = latencyBound_s === null ? null : (latencyBound_s * 1e9) / 2;
  const lines = piecesOf(points, line, from.tickHz) ?? [{ from: -Infinity, line }];
  const pieces = lines.map(
    (piece): ClockPiece => ({ ...piece, line: { ...piece.line, offset: piece.line.offset - (half_ns ?? 0) } }),
  );
  return new ClockModel(from, arrivalClock, pieces, half_ns);
}

/** Crystals are off by at most 261 ppm (measured on public recordings, specs: audit 1.9); rectangular. */
const crystal_u = 261e-6 / Math.sqrt(3);

/** The line of a clock that keeps its nominal rate, under all arrivals; null for fewer than 2. */
function fewArrivalsLine({ ticks: x, arrivals_ns: y }: Arrivals, from: ClockRef): ClockLine | null {
  const n = x.length;
  if (n < 2) return null;
  const nominal = arrivalClock.tickHz / from.tickHz;
  const reference = (x[0]! + x[n - 1]!) / 2;
  const offsets = y.map((arrival, k) => arrival - nominal * (x[k]! - reference));
  const least = Math.min(...offsets);
  // The skew may have pulled down what came early or late; the spread holds for messages that are late by chance.
  const tilt = (crystal_u * nominal * (x[n - 1]! - x[0]!)) / 2;
  const offset = (median(offsets)! - least) ** 2 + tilt ** 2;
  return { reference, offset: least, skew: 0, covariance: { offset, skew: crystal_u ** 2, cross: 0 } };
}

/** Huber's line through the earliest arrival of each of up to 100 parts; null where these would be too few. */
function earliestLine(x: Float64Array, above: Float64Array): RobustLine | null {
  const parts = Math.min(100, Math.floor(Math.sqrt(x.length)));
  if (parts < 20) return null;
  const [u, v]: [number[], number[]] = [[], []];
  for (let part = 0, k = 0; part < parts; part++) {
    const end = Math.floor(((part + 1) * x.length) / parts);
    let least = k;
    for (; k < end; k++) if (above[k]! < above[least]!) least = k;
    u.push(x[least]!);
    v.push(above[least]!);
  }
  return huberLine(u, v);
}

interface Floor {
  x0: number;
  y0: number;
  slope: number;
}

/** The edge of the lower hull of points [from, to) that spans their mean abscissa, stated there. */
function hullEdge(x: Float64Array, y: Float64Array, from: number, to: number): Floor {
  // Differences from the first point: hundreds of seconds in ns leave a product no room for its last digits.
  const [u, v] = [
    x.subarray(from, to).map((value) => value - x[from]!),
    y.subarray(from, to).map((value) => value - y[from]!),
  ];
  const hull = lowerHull(u, v);
  const mean = u.reduce((sum, value) => sum + value, 0) / u.length;
  let k = 1;
  while (k + 1 < hull.length && u[hull[k]!]! < mean) k++;
  const [a, b] = [hull[k - 1]!, hull[k]!];
  const slope = (v[b]! - v[a]!) / (u[b]! - u[a]!);
  return { x0: x[from]! + mean, y0: y[from]! + v[a]! + slope * (mean - u[a]!), slope };
}

/** How far the hull may lie above the least delay: what separates the parts' earliest arrivals, in ns. */
function hullError(x: Float64Array, y: Float64Array, floor: Floor, from: number, to: number): number {
  const least = new Float64Array(parts).fill(Infinity);
  for (let k = from; k < to; k++) {
    const part = Math.floor(((k - from) / (to - from)) * parts);
    least[part] = Math.min(least[part]!, y[k]! - floor.y0 - floor.slope * (x[k]! - floor.x0));
  }
  return median(least)! - Math.min(...least);
}

/** The pieces of a long run, or null where one line holds. */
function piecesOf(points: Arrivals, line: ClockLine, tickHz: number): ClockPiece[] | null {
  const { ticks: x, arrivals_ns: y } = points;
  const nominal = arrivalClock.tickHz / tickHz;
  const n = x.length;
  const span = x[n - 1]! - x[0]!;
  const count = Math.round(span / (piece_s * tickHz));
  if (count < 2) return null;
  const knots: { x: number; y: number; u: number }[] = [];
  let start = 0;
  for (let k = 1; k <= count; k++) {
    let end = start;
    const limit = x[0]! + (span * k) / count;
    while (end < n && (k === count || x[end]! < limit)) end++;
    if (end - start >= fewestArrivals && x[end - 1]! > x[start]!) {
      const edge = hullEdge(x, y, start, end);
      knots.push({ x: edge.x0, y: edge.y0, u: Math.max(1, hullError(x, y, edge, start, end)) });
    }
    start = end;
  }
  if (knots.length < 2) return null;
  const rate = nominal * (1 + line.skew);
  const above = knots.map((knot) => knot.y - line.offset - rate * (knot.x - line.reference));
  const weights = knots.map((knot) => 1 / knot.u ** 2);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const mean = above.reduce((sum, value, k) => sum + value * weights[k]!, 0) / total;
  const chi2 = above.reduce((sum, value, k) => sum + (value - mean) ** 2 * weights[k]!, 0);
  const freedom = knots.length - 1;
  if (chi2 <= freedom + 4 * Math.sqrt(2 * freedom) + 4) return null;
  // A chord lies off a curve by at most an eighth of its second difference.
  let bend = 0;
  for (let k = 1; k + 1 < above.length; k++) bend += (above[k - 1]! - 2 * above[k]! + above[k + 1]!) ** 2;
  const curve = above.length > 2 ? bend / (above.length - 2) / 64 : 0;
  return knots.slice(1).map((b, k): ClockPiece => {
    const a = knots[k]!;
    const width = b.x - a.x;
    const [va, vb] = [a.u ** 2 + curve, b.u ** 2 + curve];
    return {
      from: k === 0 ? -Infinity : a.x,
      line: {
        reference: a.x,
        offset: a.y,
        skew: (b.y - a.y) / width / nominal - 1,
        covariance: {
          offset: va,
          skew: (va + vb) / (width * nominal) ** 2,
          cross: -va / (width * nominal),
        },
      },
    };
  });
}
