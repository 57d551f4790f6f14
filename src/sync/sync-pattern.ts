import { mSequence, patternEdges } from '../signal/m-sequence.ts';
import type { Edge, Polarity } from '../signal/types.ts';
import { fitPulses, gridOf } from './clock-fit.ts';
import type { ClockModel, ClockRef } from './clock-model.ts';

/**
 * A coded sync pattern: the DUT plays one period of an m-sequence, a chip at a time, on a pin (high for 1) or as its
 * current (more for 1). firmware-hooks/include/jm_sync.h plays the same ones.
 */
export interface SyncPattern {
  /** 2^order - 1 chips; 7, 9, 10 or 11. */
  order: number;
  /** Nominal length of a chip. */
  chip_s: number;
}

/** The clock that a pattern keeps: one tick a chip, 0 at its beginning. */
export function patternClock(pattern: SyncPattern): ClockRef {
  return { id: 'pattern', tickHz: 1 / pattern.chip_s };
}

/** One playing of a pattern that was found among edges. */
export interface PatternMatch {
  /** From the pattern's clock (chips) to the clock of the edges. */
  model: ClockModel;
  /** Edges of the pattern that were seen, of how many. */
  seen: number;
  of: number;
  /** Score against that of the next best place in the same stretch of time. */
  ratio: number;
}

/** Below this the place is ambiguous (specs: science 3.3). */
export const leastRatio = 3;
/** An edge belongs to a chip boundary if it is at most this far away. */
const reach_chips = 0.3;
/** Its first and its last edge are at most this far away from where they should be. */
const beside_chips = 0.1;
/** The DUT's chips may be longer or shorter than nominal by this: RC oscillators are a few percent off. */
const chipTolerance = 0.05;

/**
 * Finds the playings of a pattern among edges of one line (both polarities, or one), in time order. Two neighbouring gaps tell a place by their
 * ratio, whatever the chips' length; from there a line grows outwards over the edges that are where the pattern has
 * them. Missing edges cost little, edges where the pattern has none cost as much as a right one earns.
 * Places that are not clearly better than the next best one that overlaps them are left out.
 */
export function findPattern(edges: readonly Edge[], pattern: SyncPattern, clock: ClockRef): PatternMatch[] {
  if (edges.length === 0) return [];
  // Some sources show falling edges only.
  const polarities = new Set(edges.map(({ polarity }) => polarity));
  const template = patternEdges(pattern.order).filter(({ polarity }) => polarities.has(polarity));
  const nominal = clock.tickHz * pattern.chip_s;
  const candidates: Candidate[] = [];
  const recent: Candidate[] = [];
  for (let i = 0; i + 2 < edges.length; i++) {
    const first = edges[i + 1]!.tick - edges[i]!.tick;
    const both = edges[i + 2]!.tick - edges[i]!.tick;
    for (let j = 0; j + 2 < template.length; j++) {
      if (template[j]!.polarity !== edges[i]!.polarity) continue;
      const chips = template[j + 2]!.chip - template[j]!.chip;
      const chip = both / chips;
      if (!(Math.abs(chip / nominal - 1) <= chipTolerance)) continue;
      if (Math.abs(first / chip - (template[j + 1]!.chip - template[j]!.chip)) > reach_chips) continue;
      // A place that a neighbouring pair of gaps has led to already is not looked at again.
      const start = edges[i]!.tick - template[j]!.chip * chip;
      const isKnown = (place: Candidate) =>
        i <= place.lastEdge && Math.abs(place.start - start) < reach_chips * nominal;
      if (recent.some(isKnown)) continue;
      const candidate = grow(edges, template, i, j, nominal);
      recent.push(candidate);
      if (recent.length > 64) recent.shift();
      if (candidate.score > 1) candidates.push(candidate);
    }
  }
  candidates.sort((a, b) => b.score - a.score);
  const length = template.at(-1)!.chip * nominal;
  const matches: PatternMatch[] = [];
  const taken: Candidate[] = [];
  for (const best of candidates) {
    const overlaps = (other: Candidate) => Math.abs(other.start - best.start) < length;
    if (taken.some(overlaps)) continue;
    taken.push(best);
    if (best.chips.length < Math.max(6, template.length / 2)) continue;
    const second = candidates.find((other) => overlaps(other) && Math.abs(other.start - best.start) > nominal / 2);
    const ratio = best.score / Math.max(1, second?.score ?? 1);
    if (ratio < leastRatio) continue;
    const model = fitPulses(
      { from: best.chips, to: best.edges.map((edge) => edge.tick) },
      { from: patternClock(pattern), to: clock },
      {
        from: { period_ticks: 0, centred: true },
        to: gridOf(best.edges),
      },
    );
    if (model !== null) matches.push({ model, seen: best.chips.length, of: template.length, ratio });
  }
  return matches.sort((a, b) => a.model.map(0) - b.model.map(0));
}

/** The edges without those of the pattern's line while it was played: a line that brackets inferences otherwise. */
export function withoutPatterns(
  edges: readonly Edge[],
  pattern: SyncPattern,
  channel: string,
  clock: ClockRef,
): Edge[] {
  const matches = findPattern(
    edges.filter((edge) => edge.channel === channel),
    pattern,
    clock,
  );
  const length = mSequence(pattern.order).length;
  const isInside = ({ tick }: Edge) =>
    matches.some(({ model }) => tick > model.map(-beside_chips) && tick < model.map(length + beside_chips));
  return edges.filter((edge) => edge.channel !== channel || !isInside(edge));
}

interface Candidate {
  start: number;
  score: number;
  chips: number[];
  edges: Edge[];
  /** Index of the last edge that it takes in. */
  lastEdge: number;
}

/** Follows the pattern in both directions from where edge i is its edge j. */
function grow(
  edges: readonly Edge[],
  template: readonly { chip: number; polarity: Polarity }[],
  i: number,
  j: number,
  nominal: number,
): Candidate {
  const at = new Map<number, number>();
  // Running sums of the line through what has been matched, about the first match.
  let [n, sx, sy, sxx, sxy] = [0, 0, 0, 0, 0];
  const [chip0, tick0] = [template[j]!.chip, edges[i]!.tick];
  const take = (edge: number, place: number) => {
    const x = template[place]!.chip - chip0;
    const y = edges[edge]!.tick - tick0;
    [n, sx, sy, sxx, sxy] = [n + 1, sx + x, sy + y, sxx + x * x, sxy + x * y];
    at.set(place, edge);
  };
  const predict = (place: number) => {
    const slope = (n * sxy - sx * sy) / (n * sxx - sx * sx);
    return tick0 + sy / n + slope * (template[place]!.chip - chip0 - sx / n);
  };
  for (let k = 0; k < 3; k++) take(i + k, j + k);
  const follow = (step: 1 | -1, edge: number, place: number) => {
    for (; place >= 0 && place < template.length; place += step) {
      const expected = predict(place);
      const limit = reach_chips * nominal;
      while (edge >= 0 && edge < edges.length && (expected - edges[edge]!.tick) * step > limit) edge += step;
      for (let k = edge; k >= 0 && k < edges.length && (edges[k]!.tick - expected) * step <= limit; k += step) {
        if (edges[k]!.polarity !== template[place]!.polarity) continue;
        take(k, place);
        edge = k + step;
        break;
      }
    }
  };
  follow(1, i + 3, j + 3);
  follow(-1, i - 1, j - 1);
  const places = [...at.keys()].sort((a, b) => a - b);
  const start = predict(0);
  const end = predict(template.length - 1);
  let inside = 0;
  let [from, lastEdge] = [i, i];
  while (from > 0 && edges[from - 1]!.tick >= start - reach_chips * nominal) from--;
  for (let k = from; k < edges.length && edges[k]!.tick <= end + reach_chips * nominal; k++) {
    inside++;
    lastEdge = k;
  }
  return {
    start: start - template[0]!.chip * nominal,
    score: 2 * at.size - inside,
    chips: places.map((place) => template[place]!.chip),
    edges: places.map((place) => edges[at.get(place)!]!),
    lastEdge,
  };
}
