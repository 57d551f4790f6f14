import type { Edge } from '../signal/types.ts';
import { huberLine } from '../stats/robust-line.ts';
import type { ClockModel } from './clock-model.ts';

/** Edges of one wire as two clocks saw them, pair by pair. */
export interface MatchedEdges {
  from: Edge[];
  to: Edge[];
}

/** Edges in a row that tell the offset between the clocks. */
const groupSize = 24;
/** Two clocks differ by at most this in rate (specs: audit 1.9: at most 261 ppm a clock). */
const skewMost = 600e-6;
/** The drift between the clocks is known about this well from pair to pair, relative. */
const driftError = 20e-6;
/** Edges compared with a group; a wire with more of them is told by these. */
const mostEdges = 20_000;

/**
 * Pairs the edges of one wire that two clocks saw, where either may have missed some, by the gaps between them: the
 * offset at which most edges of a stretch of one list meet edges of the other. Then both lists are walked through from
 * there, with a line that follows their relation.
 *
 * @param nominal ticks of `to` in one of `from`
 * @param tolerance_ticks how far apart two sightings of one edge may be besides skew, in ticks of `to`
 * @param coarse a model that is known already; with it, repeating edges are unambiguous if it is better than their period
 * @returns null where too few meet, or where a second offset does half as well
 */
export function matchEdges(
  from: readonly Edge[],
  to: readonly Edge[],
  nominal: number,
  tolerance_ticks: number,
  coarse: ClockModel | null,
): MatchedEdges | null {
  if (from.length < 2 || to.length < 2) return null;
  const later = to.slice(0, mostEdges);
  for (const part of [0, 0.5, 0.25, 0.75]) {
    const start = Math.max(0, Math.floor(Math.min(from.length, mostEdges) * part) - groupSize / 2);
    const group = from.slice(start, start + groupSize);
    const difference = differenceOf(group, later, nominal, tolerance_ticks, coarse);
    if (difference !== null) return follow(from, to, start, difference, nominal, tolerance_ticks);
  }
  return null;
}

/**
 * Pairs the edges of one wire where one clock saw exactly as many as the run promised, so that it missed none: the one stretch
 * of the other clock's edges with the same gaps. It tells apart what repeats, such as windows of equal length.
 *
 * @param to the edges of that clock, all of which were promised
 * @returns null where no stretch fits, or several do
 */
export function matchPromised(
  from: readonly Edge[],
  to: readonly Edge[],
  nominal: number,
  tolerance_ticks: number,
): MatchedEdges | null {
  if (to.length < 2) return null;
  let found: number | null = null;
  for (let start = 0; start + to.length <= from.length; start++) {
    if (!hasSameGaps(from, start, to, nominal, tolerance_ticks)) continue;
    if (found !== null) return null;
    found = start;
  }
  return found === null ? null : { from: from.slice(found, found + to.length), to: [...to] };
}

/** Are the gaps of `from` from `start` on those of `to`? */
function hasSameGaps(
  from: readonly Edge[],
  start: number,
  to: readonly Edge[],
  nominal: number,
  tolerance: number,
): boolean {
  const span = nominal * (from[start + to.length - 1]!.tick - from[start]!.tick);
  const rate = (to.at(-1)!.tick - to[0]!.tick) / span;
  if (!(Math.abs(rate - 1) <= skewMost + (2 * tolerance) / span)) return false;
  return to.every((edge, k) => {
    const other = from[start + k]!;
    if (edge.polarity !== other.polarity) return false;
    if (k === 0) return true;
    const gap = nominal * (other.tick - from[start + k - 1]!.tick);
    return Math.abs(edge.tick - to[k - 1]!.tick - rate * gap) <= 2 * tolerance + driftError * gap;
  });
}

/** What a clock shows more than the scaled other one: at a tick of `from`, and how that drifts from there. */
interface Difference {
  at: number;
  here: number;
  drift: number;
}

/** The difference between the clocks at which most of the group's edges meet one of `to`. */
function differenceOf(
  group: readonly Edge[],
  to: readonly Edge[],
  nominal: number,
  tolerance: number,
  coarse: ClockModel | null,
): Difference | null {
  const meetings: { tick: number; offset: number }[] = [];
  for (const edge of group) {
    const expected = coarse === null ? null : coarse.map(edge.tick);
    const most = coarse === null ? 0 : 4 * (coarse.u_ticks(edge.tick) ?? coarse.to.tickHz / 2) + tolerance;
    for (const other of to) {
      if (other.polarity !== edge.polarity) continue;
      if (expected !== null && Math.abs(other.tick - expected) > most) continue;
      meetings.push({ tick: edge.tick, offset: other.tick - nominal * edge.tick });
    }
  }
  if (meetings.length === 0) return null;
  meetings.sort((a, b) => a.offset - b.offset);
  const width = 2 * tolerance + skewMost * nominal * (group.at(-1)!.tick - group[0]!.tick);
  const counts = new Int32Array(meetings.length);
  let best = 0;
  for (let k = 0, end = 0; k < meetings.length; k++) {
    while (end < meetings.length && meetings[end]!.offset - meetings[k]!.offset <= width) end++;
    counts[k] = end - k;
    if (counts[k]! > counts[best]!) best = k;
  }
  const most = counts[best]!;
  let second = 0;
  for (let k = 0; k < meetings.length; k++) {
    const isApart = Math.abs(meetings[k]!.offset - meetings[best]!.offset) > width;
    if (isApart) second = Math.max(second, counts[k]!);
  }
  if (most < Math.max(2, 0.5 * group.length) || 2 * second > most) return null;
  const met = meetings.slice(best, best + most).sort((a, b) => a.tick - b.tick);
  const line = huberLine(
    met.map((meeting) => meeting.tick),
    met.map((meeting) => meeting.offset),
  );
  if (line === null) return null;
  const at = group[0]!.tick;
  return { at, here: line.y0 + line.slope * (at - line.x0), drift: line.slope };
}

/** Walks through both lists from edge `start` of `from` on, in both directions. */
function follow(
  from: readonly Edge[],
  to: readonly Edge[],
  start: number,
  difference: Difference,
  nominal: number,
  tolerance: number,
): MatchedEdges | null {
  const pairs: { a: Edge; b: Edge }[] = [];
  const walk = (step: 1 | -1, first: number) => {
    // The difference between the clocks drifts slowly: the last pairs tell where the next one is.
    let { at, here, drift } = difference;
    let j = step === 1 ? 0 : to.length - 1;
    for (let i = first; i >= 0 && i < from.length; i += step) {
      const a = from[i]!;
      const waited = a.tick - at;
      const expected = nominal * a.tick + here + drift * waited;
      const reach = 2 * tolerance + driftError * nominal * Math.abs(waited);
      while (j >= 0 && j < to.length && (expected - to[j]!.tick) * step > reach) j += step;
      let nearest: Edge | null = null;
      for (let k = j; k >= 0 && k < to.length && (to[k]!.tick - expected) * step <= reach; k += step) {
        if (to[k]!.polarity !== a.polarity) continue;
        if (nearest === null || Math.abs(to[k]!.tick - expected) < Math.abs(nearest.tick - expected)) nearest = to[k]!;
      }
      if (nearest === null) continue;
      pairs.push({ a, b: nearest });
      if (waited === 0) continue;
      const found = nearest.tick - nominal * a.tick;
      // Short waits tell the drift badly.
      const weight = Math.abs(waited) / (Math.abs(waited) + tolerance / (driftError * nominal));
      drift += 0.5 * weight * ((found - here) / waited - drift);
      here = found;
      at = a.tick;
    }
  };
  walk(1, start + 1);
  walk(-1, start);
  pairs.sort((p, q) => p.a.tick - q.a.tick);
  const kept = pairs.filter((pair, k) => k === 0 || pair.b.tick > pairs[k - 1]!.b.tick);
  return kept.length < 2 ? null : { from: kept.map((pair) => pair.a), to: kept.map((pair) => pair.b) };
}
