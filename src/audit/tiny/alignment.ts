import type { InferCall } from '../../capture/formats/energyrunner/session.ts';

/**
 * Log and trace are two accounts of one run. The handshake edge gives the offset between their clocks; then every
 * `m-infer-start` and `m-infer-done` of the log must have its edge in the timestamps file, and every edge its line.
 * Measured on 123 published runs: start edge minus `m-infer-start` in [-0.067, +0.079] s, stop edge minus
 * `m-infer-done` in [-0.116, +0.061] s.
 */

/** Farthest that an edge may lie from its log line, in s. Separates the one known bad run from 122 good ones: provisional. */
export const tolerance_s = 0.25;
/** More edges than this are not aligned: no real run has them, and the cost grows with the square. */
const maxEdges = 400;

/** What the log says must have caused an edge. */
export interface ExpectedEdge {
  what: 'handshake' | 'start' | 'done';
  /** Index into the inferences; -1 for the handshake. */
  inference: number;
  /** Host time of the log line. */
  logTime_s: number;
}

export interface AlignedEdge extends ExpectedEdge {
  /** Index into the timestamps, or null where none lies near: a lost edge. */
  timestamp: number | null;
  /** Timestamp minus the log line's time on the trace's clock. */
  residual_s: number | null;
  /** The log line's time on the trace's clock. */
  expected_s: number;
}

/** What a claimed window (one of the published pairing) lies over, by the log. */
export interface ClaimedWindow {
  /** Number that EnergyRunner prints: 2, 4, 6... */
  index: number;
  from_s: number;
  to_s: number;
  holds: 'inference' | 'gap' | 'unknown';
  /** The inference that it holds. */
  inference: number | null;
}

/** What the log implies: one entry an inference whose two edges are both there. */
export interface ImpliedWindow {
  inference: number;
  from_s: number;
  to_s: number;
}

export interface Alignment {
  /** Host time = trace time + offset. */
  offset_s: number;
  edges: AlignedEdge[];
  /** Timestamps that no log line explains. */
  extra: number[];
  claimed: ClaimedWindow[];
  implied: ImpliedWindow[];
  /** Rate of the trace's clock against the host's, with its standard uncertainty; null with fewer than four edges. */
  slope_ppm: number | null;
  slopeUncertainty_ppm: number | null;
}

/**
 * Aligns a log to the timestamps of a trace.
 *
 * @param timestamps_s the timestamps file, sorted
 * @param handshake_s host time of `m-dut-passthrough(timestamp)`, or null
 * @returns null where the log holds nothing to align to, or either side holds more edges than any run has
 */
export function align(
  timestamps_s: readonly number[],
  inferences: readonly Pick<InferCall, 'start_s' | 'done_s'>[],
  handshake_s: number | null,
): Alignment | null {
  const expected: ExpectedEdge[] = [];
  if (handshake_s !== null) expected.push({ what: 'handshake', inference: -1, logTime_s: handshake_s });
  inferences.forEach((inference, i) => {
    if (inference.start_s !== null) expected.push({ what: 'start', inference: i, logTime_s: inference.start_s });
    if (inference.done_s !== null) expected.push({ what: 'done', inference: i, logTime_s: inference.done_s });
  });
  if (!expected.some((e) => e.what !== 'handshake') || timestamps_s.length === 0) return null;
  if (expected.length > maxEdges || timestamps_s.length > maxEdges) return null;
  const offset_s = chooseOffset(timestamps_s, expected);
  const match = matchEdges(timestamps_s, expected, offset_s);
  const edges = expected.map((e, i): AlignedEdge => {
    const timestamp = match[i] ?? null;
    const expected_s = e.logTime_s - offset_s;
    const residual_s = timestamp === null ? null : (timestamps_s[timestamp] as number) - expected_s;
    return { ...e, timestamp, residual_s, expected_s };
  });
  const taken = new Set(match);
  const implied: ImpliedWindow[] = [];
  for (const start of edges) {
    const done = edges.find((e) => e.what === 'done' && e.inference === start.inference);
    if (start.what !== 'start' || start.timestamp === null || !done || done.timestamp === null) continue;
    implied.push({
      inference: start.inference,
      from_s: timestamps_s[start.timestamp] as number,
      to_s: timestamps_s[done.timestamp] as number,
    });
  }
  return {
    offset_s,
    edges,
    extra: Array.from(timestamps_s.keys()).filter((k) => !taken.has(k)),
    claimed: claimedWindows(timestamps_s, edges),
    implied,
    ...slope(timestamps_s, edges),
  };
}

/** The windows of the published pairing: edges 1-2, 3-4, 5-6... after the handshake; an odd last edge is left over. */
export function publishedPairs(timestamps_s: readonly number[]): { index: number; from_s: number; to_s: number }[] {
  const windows = [];
  for (let k = 2; k < timestamps_s.length; k += 2) {
    windows.push({ index: k, from_s: timestamps_s[k - 1] as number, to_s: timestamps_s[k] as number });
  }
  return windows;
}

function claimedWindows(timestamps_s: readonly number[], edges: readonly AlignedEdge[]): ClaimedWindow[] {
  const byTimestamp = new Map<number, AlignedEdge>();
  for (const edge of edges) if (edge.timestamp !== null) byTimestamp.set(edge.timestamp, edge);
  return publishedPairs(timestamps_s).map((window) => {
    const from = byTimestamp.get(window.index - 1);
    const to = byTimestamp.get(window.index);
    const whole = from?.what === 'start' && to?.what === 'done' && from.inference === to.inference;
    if (whole) return { ...window, holds: 'inference', inference: from.inference };
    // Between the end of one inference (or the handshake) and the beginning of the next there is none.
    const gap = from !== undefined && from.what !== 'start' && to?.what === 'start';
    return { ...window, holds: gap ? 'gap' : 'unknown', inference: null };
  });
}

/**
 * The handshake gives the offset (its edge is the first timestamp); where that explains less than half of the edges,
 * every pair of a log line and a timestamp is tried, and the one that explains most is taken.
 */
function chooseOffset(timestamps_s: readonly number[], expected: readonly ExpectedEdge[]): number {
  const first = expected[0] as ExpectedEdge;
  const candidates: number[] = [];
  if (first.what === 'handshake') {
    for (const t of timestamps_s.slice(0, 3)) candidates.push(first.logTime_s - t);
    const primary = candidates[0] as number;
    if (explained(matchEdges(timestamps_s, expected, primary)) * 2 >= expected.length) return primary;
  }
  for (const e of [...expected.slice(0, 6), ...expected.slice(-2)]) {
    for (const t of timestamps_s.slice(0, 40)) candidates.push(e.logTime_s - t);
  }
  let best = candidates[0] as number;
  let most = -1;
  for (const candidate of candidates) {
    const count = explained(matchEdges(timestamps_s, expected, candidate));
    if (count > most) {
      best = candidate;
      most = count;
    }
  }
  return best;
}

function explained(match: (number | null)[]): number {
  return match.reduce<number>((n, m) => n + (m === null ? 0 : 1), 0);
}

/**
 * Pairs expected edges with timestamps so that both stay in order, as many as possible within the tolerance and as
 * near as possible (an alignment by dynamic programming: leaving an edge out costs the tolerance).
 */
function matchEdges(
  timestamps_s: readonly number[],
  expected: readonly ExpectedEdge[],
  offset_s: number,
): (number | null)[] {
  const [m, n] = [expected.length, timestamps_s.length];
  const width = n + 1;
  const cost = new Float64Array((m + 1) * width);
  for (let i = 0; i <= m; i++) cost[i * width] = i * tolerance_s;
  for (let j = 0; j <= n; j++) cost[j] = j * tolerance_s;
  const distance = (i: number, j: number) =>
    Math.abs((timestamps_s[j - 1] as number) - ((expected[i - 1] as ExpectedEdge).logTime_s - offset_s));
  for (let i = 1; i <= m; i++) {
    for (let j = 1; j <= n; j++) {
      const skip = Math.min(cost[(i - 1) * width + j] as number, cost[i * width + j - 1] as number) + tolerance_s;
      const d = distance(i, j);
      const pair = d <= tolerance_s ? (cost[(i - 1) * width + j - 1] as number) + d : Number.POSITIVE_INFINITY;
      cost[i * width + j] = Math.min(skip, pair);
    }
  }
  const match: (number | null)[] = new Array(m).fill(null);
  let [i, j] = [m, n];
  while (i > 0 && j > 0) {
    const here = cost[i * width + j] as number;
    const d = distance(i, j);
    if (d <= tolerance_s && here === (cost[(i - 1) * width + j - 1] as number) + d) {
      match[--i] = --j;
    } else if (here === (cost[(i - 1) * width + j] as number) + tolerance_s) i--;
    else j--;
  }
  return match;
}

/**
 * Least-squares rate of the timestamps against the log times, with its standard uncertainty. Start and stop lines lag
 * their edges by different times, so each kind has an intercept of its own.
 */
function slope(
  timestamps_s: readonly number[],
  edges: readonly AlignedEdge[],
): Pick<Alignment, 'slope_ppm' | 'slopeUncertainty_ppm'> {
  let [n, sxx, sxy, syy] = [0, 0, 0, 0];
  for (const what of ['start', 'done']) {
    const points = edges.flatMap((e): [number, number][] =>
      e.timestamp === null || e.what !== what ? [] : [[e.logTime_s, timestamps_s[e.timestamp] as number]],
    );
    const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length;
    const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
    for (const [x, y] of points) {
      sxx += (x - meanX) ** 2;
      sxy += (x - meanX) * (y - meanY);
      syy += (y - meanY) ** 2;
    }
    n += points.length;
  }
  if (n < 4 || sxx === 0) return { slope_ppm: null, slopeUncertainty_ppm: null };
  const rate = sxy / sxx;
  const residual2 = Math.max(0, syy - rate * sxy);
  return { slope_ppm: (rate - 1) * 1e6, slopeUncertainty_ppm: Math.sqrt(residual2 / (n - 3) / sxx) * 1e6 };
}
