import { mSequence } from '../signal/m-sequence.ts';
import type { Recording, RunPlan, SyncPlan } from '../signal/recording.ts';
import type { ClockInfo, Edge, SampleBlock, StreamInfo } from '../signal/types.ts';
import { ArrivalTimes } from './arrival-times.ts';
import { arrivalClock, fitArrivals, fitPulses, type Grid, gridOf } from './clock-fit.ts';
import { ClockModel } from './clock-model.ts';
import { energyMethodOf } from './energy-method.ts';
import { type MatchedEdges, matchEdges, matchPromised } from './event-matching.ts';
import { findSignature } from './pattern-signature.ts';
import { delayOf, onlyRange, uniformDelay_s } from './slicing/range-delays.ts';
import { findPattern } from './sync-pattern.ts';

/** How the clock of trigger edges was put on the clock of the samples. */
export interface Alignment {
  /** From the clock of the edges to that of the stream. */
  model: ClockModel;
  /** `host-clock`: the edges are on the clock that arrival times are on. */
  method: 'shared-pulses' | 'sync-pattern' | 'arrival-times' | 'host-clock';
  /** Another method gave times that lie this far off, in s, more than 4 standard uncertainties; null where none did. */
  contradiction: { method: Alignment['method']; off_s: number } | null;
}

/** Longest stretch of samples in which a pattern is looked for where nothing says where it is. */
const mostSamples = 1 << 22;
/** Shared pulses that a fit uses; of more, so many evenly spread ones. */
const mostPulses = 20_000;
/** Patterns looked for in the samples. */
const mostPatterns = 32;
/** Samples around the place where a pattern is expected, in s, besides the uncertainty of that place. */
const margin_s = 0.05;
/** Crystals differ by no more than this. */
const mostSkew = 1e-3;
/** A pattern whose place in the samples is known worse than this is left out. */
const most_u_s = 1e-3;

/**
 * Relates the clock of edges to the clock of a stream by whatever the recording carries: pulses that both clocks saw
 * (channels of the same name are one wire), the sync pattern of the plan (on a pin of both, or as the stream's current),
 * and arrival times. The method with the smallest stated uncertainty counts, and the others must agree with it.
 *
 * Reads the samples where it needs them: once for arrival times, once for the pattern.
 *
 * @param edges all edges of the recording
 * @returns null where nothing relates the clocks
 */
export async function alignClocks(
  recording: Recording,
  edges: readonly Edge[],
  from: ClockInfo,
  stream: StreamInfo,
  to: ClockInfo,
): Promise<Alignment | null> {
  const theirs = inTime(edges, from.id);
  const ours = inTime(edges, to.id);
  const found: Omit<Alignment, 'contradiction'>[] = [];
  const byArrivals = await arrivalModel(recording, theirs, from, stream, to);
  if (byArrivals !== null) {
    found.push({
      model: byArrivals,
      method: isArrivalClock(from) || isArrivalClock(to) ? 'host-clock' : 'arrival-times',
    });
  }
  const shared = sharedPulses(theirs, ours, from, to, byArrivals, recording.plan);
  if (shared !== null) found.push({ model: shared, method: 'shared-pulses' });
  const sync = recording.plan?.sync;
  if (sync !== undefined) {
    const model = await patternModel(recording, theirs, ours, from, stream, to, sync, byArrivals);
    if (model !== null) found.push({ model, method: 'sync-pattern' });
  }
  if (found.length === 0) return null;
  const middle = theirs.length === 0 ? 0 : theirs[theirs.length >> 1]!.tick;
  const u = (model: ClockModel) => model.u_ticks(middle) ?? Infinity;
  found.sort((a, b) => u(a.model) - u(b.model));
  const [best, ...others] = found as [(typeof found)[number], ...typeof found];
  const contradiction = others
    .map((other) => {
      const off = Math.abs(other.model.map(middle) - best.model.map(middle));
      return {
        method: other.method,
        off_s: off / to.tickHz,
        isOff: off > 4 * Math.hypot(u(other.model), u(best.model)),
      };
    })
    .find((other) => other.isOff);
  return {
    ...best,
    contradiction: contradiction === undefined ? null : { method: contradiction.method, off_s: contradiction.off_s },
  };
}

/** An edge on the stream's clock, with its own uncertainty and that of the model. */
export function mapEdge(edge: Edge, model: ClockModel): Edge {
  const rate = model.to.tickHz / model.from.tickHz;
  const u = model.u_ticks(edge.tick);
  return {
    ...edge,
    clock: model.to.id,
    tick: model.map(edge.tick),
    u_ticks: u === null || edge.u_ticks === null ? null : Math.hypot(u, rate * edge.u_ticks),
  };
}

function inTime(edges: readonly Edge[], clock: string): Edge[] {
  return edges.filter((edge) => edge.clock === clock).sort((a, b) => a.tick - b.tick);
}

function isArrivalClock(clock: ClockInfo): boolean {
  return clock.kind === 'host' && clock.epoch_ns === null;
}

/** The clock to arrival times, from what arrived when; null where too little did. */
function toArrivals(clock: ClockInfo, arrivals: ArrivalTimes): ClockModel | null {
  if (isArrivalClock(clock)) return ClockModel.late(clock, arrivalClock, clock.latencyBound_s ?? 0);
  return fitArrivals(arrivals.points, clock, clock.latencyBound_s ?? null);
}

async function arrivalModel(
  recording: Recording,
  theirs: readonly Edge[],
  from: ClockInfo,
  stream: StreamInfo,
  to: ClockInfo,
): Promise<ClockModel | null> {
  const edgeArrivals = new ArrivalTimes(from.tickHz);
  for (const edge of theirs) if (edge.arrival_ns !== undefined) edgeArrivals.add(edge.tick, edge.arrival_ns);
  const fromModel = toArrivals(from, edgeArrivals);
  if (fromModel === null) return null;
  const blockArrivals = new ArrivalTimes(to.tickHz);
  if (!isArrivalClock(to)) {
    for await (const chunk of recording.samples()) {
      if (chunk.kind === 'block' && chunk.stream === stream.id) blockArrivals.addBlock(chunk);
    }
  }
  const toModel = toArrivals(to, blockArrivals);
  return toModel === null ? null : fromModel.followedBy(toModel.inverse());
}

function sharedPulses(
  theirs: readonly Edge[],
  ours: readonly Edge[],
  from: ClockInfo,
  to: ClockInfo,
  coarse: ClockModel | null,
  plan: RunPlan | null,
): ClockModel | null {
  const channels = new Set(ours.map((edge) => edge.channel));
  const nominal = to.tickHz / from.tickHz;
  let best: ClockModel | null = null;
  for (const channel of new Set(theirs.map((edge) => edge.channel))) {
    if (!channels.has(channel)) continue;
    const a = theirs.filter((edge) => edge.channel === channel);
    const b = ours.filter((edge) => edge.channel === channel);
    const [gridA, gridB] = [gridOf(a), gridOf(b)];
    const tolerance = nominal * gridA.period_ticks + gridB.period_ticks + 2e-6 * to.tickHz;
    // A wire that contradicts the arrival times is found without them.
    const matched =
      matchEdges(a, b, nominal, tolerance, coarse) ??
      matchEdges(a, b, nominal, tolerance, null) ??
      matchWhole(a, b, nominal, tolerance, plan);
    if (matched === null) continue;
    const stride = Math.ceil(matched.from.length / mostPulses);
    const ticks = (edges: readonly Edge[]) => edges.filter((_, k) => k % stride === 0).map((edge) => edge.tick);
    const pulses = { from: ticks(matched.from), to: ticks(matched.to) };
    const model = fitPulses(pulses, { from, to }, { from: gridA, to: gridB });
    const at = matched.from[matched.from.length >> 1]!.tick;
    if (model !== null && (best === null || model.fit_u_ticks(at) < best.fit_u_ticks(at))) best = model;
  }
  return best;
}

/** Where the samples' clock saw every edge that the plan promised, however much alike they are. */
function matchWhole(
  theirs: readonly Edge[],
  ours: readonly Edge[],
  nominal: number,
  tolerance: number,
  plan: RunPlan | null,
): MatchedEdges | null {
  if (plan === null || plan.windows === null) return null;
  const isFalling = plan.pairing === 'falling-pairs';
  const used = (edges: readonly Edge[]) => edges.filter((edge) => !isFalling || edge.polarity === 'fall');
  const promised = used(ours);
  if (promised.length !== 2 * plan.windows + (isFalling ? 1 : 0)) return null;
  return matchPromised(used(theirs), promised, nominal, tolerance);
}

async function patternModel(
  recording: Recording,
  theirs: readonly Edge[],
  ours: readonly Edge[],
  from: ClockInfo,
  stream: StreamInfo,
  to: ClockInfo,
  sync: SyncPlan,
  coarse: ClockModel | null,
): Promise<ClockModel | null> {
  const on = (edges: readonly Edge[]) => edges.filter((edge) => edge.channel === sync.channel);
  const seen = findPattern(on(theirs), sync, from).map((match) => match.model);
  if (seen.length === 0) return null;
  const onPin = findPattern(on(ours), sync, to).map((match) => match.model);
  const middle = mSequence(sync.order).length / 2;
  const pairs: { theirs: ClockModel; ours: ClockModel }[] = [];
  // Ranges that are late by different times leave in doubt which of them showed the flanks.
  let u_delay_ticks = 0;
  if (onPin.length > 0) {
    // Playings of one pattern look the same: they are paired by the coarse model, or in turn where none was missed.
    if (coarse === null && seen.length !== onPin.length) return null;
    for (const [k, theirModel] of seen.entries()) {
      const distance = (model: ClockModel) => Math.abs(model.map(middle) - coarse!.map(theirModel.map(middle)));
      const ourModel = coarse === null ? onPin[k]! : onPin.reduce((a, b) => (distance(b) < distance(a) ? b : a));
      pairs.push({ theirs: theirModel, ours: ourModel });
    }
  } else {
    const length_s = 2 * middle * sync.chip_s;
    // All playings look the same: of several, only the first has all the others behind it.
    const others_s = (seen.at(-1)!.map(middle) - seen[0]!.map(middle)) / from.tickHz;
    const end = coarse === null && others_s > 0 ? await endOf(recording, stream) : Infinity;
    const firstEnd = end - (others_s * (1 - mostSkew) - margin_s) * to.tickHz;
    const wanted = (coarse === null ? seen.slice(0, 1) : seen.slice(0, mostPatterns)).map((theirModel) => {
      if (coarse === null) return { theirs: theirModel, from: -Infinity, to: firstEnd };
      const at = theirModel.map(middle);
      const reach = (length_s * 0.55 + margin_s) * to.tickHz + 4 * (coarse.u_ticks(at) ?? to.tickHz / 2);
      return { theirs: theirModel, from: coarse.map(at) - reach, to: coarse.map(at) + reach };
    });
    const stretches = await collect(recording, stream, to, wanted);
    for (const [k, stretch] of stretches.entries()) {
      if (stretch === null) continue;
      const match = findSignature(stretch, sync, most_u_s);
      if (match.model === null) continue;
      pairs.push({ theirs: wanted[k]!.theirs, ours: match.model });
      u_delay_ticks = Math.max(u_delay_ticks, stretch.u_delay_ticks);
    }
  }
  if (pairs.length === 0) return null;
  const model =
    pairs.length === 1 ? pairs[0]!.theirs.inverse().followedBy(pairs[0]!.ours) : fitPairs(pairs, middle, from, to);
  if (coarse === null && onPin.length === 0 && model !== null && seen.length > 1) {
    // The first tells where the others are, and they tell the skew.
    return (await patternModel(recording, theirs, ours, from, stream, to, sync, model)) ?? model;
  }
  if (model === null || model.common_ticks === null || u_delay_ticks === 0) return model;
  return new ClockModel(model.from, model.to, model.pieces, Math.hypot(model.common_ticks, u_delay_ticks));
}

/** One line through several playings of the pattern. */
function fitPairs(
  pairs: readonly { theirs: ClockModel; ours: ClockModel }[],
  middle: number,
  from: ClockInfo,
  to: ClockInfo,
): ClockModel | null {
  const gridFrom = (models: ClockModel[]): Grid => ({
    period_ticks: Math.sqrt(12) * Math.max(...models.map((model) => model.fit_u_ticks(middle))),
    centred: true,
  });
  const times = (models: ClockModel[]) => models.map((model) => model.map(middle));
  const [a, b] = [pairs.map((pair) => pair.theirs), pairs.map((pair) => pair.ours)];
  return fitPulses({ from: times(a), to: times(b) }, { from, to }, { from: gridFrom(a), to: gridFrom(b) });
}

/** Tick after the last sample of a stream. */
async function endOf(recording: Recording, stream: StreamInfo): Promise<number> {
  let end = -Infinity;
  for await (const chunk of recording.samples()) {
    if (chunk.kind !== 'block' || chunk.stream !== stream.id) continue;
    end = chunk.firstTick + chunk.length * chunk.ticksPerSample;
  }
  return end;
}

/** The power of a stream in stretches of ticks, each without a gap, or null where there is one or nothing. */
async function collect(
  recording: Recording,
  stream: StreamInfo,
  clock: ClockInfo,
  wanted: readonly { from: number; to: number }[],
): Promise<((Parameters<typeof findSignature>[0] & { u_delay_ticks: number }) | null)[]> {
  const method = energyMethodOf(stream);
  const ticksPerSample = stream.ticksPerSample;
  if (method === null || ticksPerSample === null) return wanted.map(() => null);
  const parts = wanted.map(() => ({
    first: 0,
    values: [] as Float64Array[],
    length: 0,
    isBroken: false,
    /** Samples in each range. */
    inRange: new Map<number, number>(),
  }));
  const uniform_s = uniformDelay_s(stream);
  const dt_s = ticksPerSample / clock.tickHz;
  const take = (block: SampleBlock, part: (typeof parts)[number], from: number, to: number) => {
    const tick = block.firstTick + from * ticksPerSample;
    if (part.length === 0) part.first = tick;
    else if (tick !== part.first + part.length * ticksPerSample) part.isBroken = true;
    const room = Math.min(to, from + mostSamples - part.length);
    if (room <= from || part.isBroken) return;
    const values = new Float64Array(room - from);
    method.power_W(block, from, room, dt_s, values);
    part.values.push(values);
    part.length += values.length;
    if (uniform_s !== null) return;
    for (let k = from; k < room; k++) {
      const range = block.range?.[k] ?? onlyRange(stream);
      part.inRange.set(range, (part.inRange.get(range) ?? 0) + 1);
    }
  };
  for await (const chunk of recording.samples()) {
    if (chunk.kind !== 'block' || chunk.stream !== stream.id) continue;
    for (const [k, { from, to }] of wanted.entries()) {
      const first = Math.max(0, Math.ceil((from - chunk.firstTick) / ticksPerSample));
      const last = Math.min(chunk.length, Math.ceil((to - chunk.firstTick) / ticksPerSample));
      if (last > first) take(chunk, parts[k]!, first, last);
    }
  }
  return parts.map((part) => {
    if (part.isBroken || part.length === 0) return null;
    const values = new Float64Array(part.length);
    let at = 0;
    for (const piece of part.values) {
      values.set(piece, at);
      at += piece.length;
    }
    const isPoint = stream.semantics === 'point';
    const cell = stream.semantics === 'mean-forward' ? 0 : ticksPerSample / 2;
    const { delay_s, u_s } = uniform_s === null ? meanDelay(stream, part.inRange) : { delay_s: uniform_s, u_s: 0 };
    const firstTick = part.first - cell - delay_s * clock.tickHz;
    return { values, firstTick, ticksPerSample, isPoint, clock, u_delay_ticks: u_s * clock.tickHz };
  });
}

/** Mean delay of samples in several ranges, and their standard deviation, in s. */
function meanDelay(stream: StreamInfo, inRange: ReadonlyMap<number, number>): { delay_s: number; u_s: number } {
  let [n, mean, squares] = [0, 0, 0];
  for (const [range, samples] of inRange) {
    const { delay_s } = delayOf(stream, range);
    const step = delay_s - mean;
    n += samples;
    mean += (step * samples) / n;
    squares += samples * step * (delay_s - mean);
  }
  return { delay_s: mean, u_s: Math.sqrt(squares / n) };
}
