import { RefusalError } from '../signal/errors.ts';
import type { Recording } from '../signal/recording.ts';
import type { ClockInfo, Gap, SampleBlock, SampleSemantics, StreamInfo } from '../signal/types.ts';
import { huberMean } from '../stats/huber.ts';
import { sharedVariance } from './clock-fit.ts';
import { type EnergyMethod, energyMethodOf } from './energy-method.ts';
import { onlyRange } from './slicing/range-delays.ts';

/** The delay of one kind of flank in one range. */
export interface FlankDelay {
  delay_s: number;
  /** Standard uncertainty. */
  u_s: number;
  steps: number;
  /** Standard deviation of single steps. */
  scatter_s: number;
}

/** Group delay of the analog path in one range, t(50 % of a current step) - t(edge that drives it). */
export interface RangeGroupDelay {
  /** Range index, and name as the instrument calls it (null where the stream does not list it). */
  range: number;
  name: string | null;
  /** Mean of both flanks, or the one that there is; null where it is refused. */
  delay_s: number | null;
  /** Standard uncertainty; it covers the difference of the flanks where that is no chance. */
  u_s: number | null;
  /** Rising and falling current; null with too few steps. */
  rise: FlankDelay | null;
  fall: FlankDelay | null;
  /** Steps that were left out: the range changed meanwhile, too small against the noise, or none to be seen. */
  skipped: { switched: number; small: number; unseen: number };
  refusal: { code: 'group-delay.few-steps' | 'group-delay.small-steps'; message: string } | null;
}

export interface GroupDelayReport {
  stream: string;
  channel: string;
  /** `step-delay/1` */
  method: string;
  /** Edges with gaps or other edges too near. */
  crowded: number;
  /** Ranges through which edges of the channel were seen, ascending. */
  ranges: RangeGroupDelay[];
}

export interface GroupDelayOptions {
  /** Pin that drives the load. Absent: the channel of the run's plan. */
  channel?: string;
  /** Longest delay that is looked for, in s. */
  longest_s?: number;
}

/** Fewer steps of a kind than this tell nothing. */
const fewestSteps = 8;
/** Steps smaller than so many standard deviations of the noise are left out. */
const leastStep = 10;
/** Samples that tell the level before an edge and after its step, and samples kept away from edges. */
const levelSamples = 16;
const awaySamples = 4;
const toEdge = levelSamples + awaySamples;
/** Edges that are looked at; of more, so many evenly spread ones. */
const mostEdges = 20_000;

/**
 * Measures the group delay between the analog path and a pin, range by range, from load steps that the pin drives
 * (specs: science 3.2): per edge the place where the current passes the middle between its levels before and after, to a
 * fraction of a sample, less the time of the edge; Huber's mean over the steps of a kind. The uncertainty comes from the scatter
 * and is never smaller than the grids of the edges (and of point samples) allow: what the steps should scatter by these
 * and do not is an error that all of them share (steps in phase with the grid).
 *
 * Reads the edges, then the samples once, in memory that does not grow with the samples.
 *
 * @throws RefusalError where edges and samples have no common clock, or there is no channel or regular stream with power
 */
export async function measureGroupDelays(
  recording: Recording,
  { channel = recording.plan?.channel, longest_s = 1e-3 }: GroupDelayOptions = {},
): Promise<GroupDelayReport> {
  const refuse = (code: string, problem: string, remedy: string): never => {
    throw new RefusalError(code, { where: recording.path, problem, remedy });
  };
  const stream = recording.streams.find((one) => one.ticksPerSample !== null && energyMethodOf(one) !== null);
  const clock = recording.clocks.find(({ id }) => id === stream?.clock);
  if (stream === undefined || clock === undefined) {
    return refuse(
      'streams.none',
      'no stream of a fixed rate carries current or power',
      'record the load steps with one',
    );
  }
  if (channel === undefined) return refuse('plan.none', 'nothing says which pin drives the load', 'name its channel');
  const { ticks, u_ticks } = await edgesOf(recording, channel, clock);
  if (ticks.length === 0) {
    return refuse(
      'group-delay.no-edges',
      `no edges of ${channel} are on the clock of the samples, ${clock.id}`,
      'let the instrument itself see the pin that drives the load',
    );
  }
  const steps = new StepReader(stream, clock, ticks, longest_s);
  for await (const chunk of recording.samples()) if (chunk.stream === stream.id) steps.push(chunk);
  const edges2 = (u_ticks / stream.ticksPerSample!) ** 2;
  const dt_s = stream.ticksPerSample! / clock.tickHz;
  const ranges = [...steps.ranges].sort(([a], [b]) => a - b);
  return {
    stream: stream.id,
    channel,
    method: 'step-delay/1',
    crowded: steps.crowded,
    ranges: ranges.map(([range, found]) => rangeDelay(stream, range, found, edges2, dt_s)),
  };
}

/** Ticks of the channel's edges in time order, and the root mean square of their standard uncertainties. */
async function edgesOf(recording: Recording, channel: string, clock: ClockInfo) {
  const ticks: number[] = [];
  let squares = 0;
  for await (const { edges } of recording.edges()) {
    for (const edge of edges) {
      if (edge.clock !== clock.id || edge.channel !== channel) continue;
      ticks.push(edge.tick);
      squares += (edge.u_ticks ?? 0) ** 2;
    }
  }
  return { ticks: Float64Array.from(ticks).sort(), u_ticks: Math.sqrt(squares / Math.max(1, ticks.length)) };
}

/** A step: how late it is, in samples, and the variances that the noise of the samples and their being points give that. */
interface Step {
  delay: number;
  noise2: number;
  points2: number;
}

interface RangeSteps {
  rise: Step[];
  fall: Step[];
  skipped: RangeGroupDelay['skipped'];
}

/** Samples around an edge. */
interface Stretch {
  /** Position of the edge and of the first sample. */
  edge: number;
  first: number;
  values: Float64Array;
  /** Range of each sample. */
  ranges: Uint8Array;
  filled: number;
}

/** Takes the samples around each edge out of a stream and measures the step there. */
class StepReader {
  readonly ranges = new Map<number, RangeSteps>();
  crowded = 0;
  readonly #stream: StreamInfo;
  readonly #method: EnergyMethod;
  readonly #dt_s: number;
  readonly #ticksPerSample: number;
  readonly #longest: number;
  /** Positions of the edges among the samples, each sample covering [k, k + 1). */
  readonly #edges: Float64Array;
  readonly #stride: number;
  #next = 0;
  #open: Stretch[] = [];

  constructor(stream: StreamInfo, clock: ClockInfo, ticks: Float64Array, longest_s: number) {
    this.#stream = stream;
    this.#method = energyMethodOf(stream)!;
    this.#ticksPerSample = stream.ticksPerSample!;
    this.#dt_s = this.#ticksPerSample / clock.tickHz;
    this.#longest = Math.ceil(longest_s / this.#dt_s);
    const cell = stream.semantics === 'mean-centred' ? 0.5 : 0;
    this.#edges = ticks.map((tick) => tick / this.#ticksPerSample + cell);
    this.#stride = Math.ceil(ticks.length / mostEdges);
  }

  push(chunk: SampleBlock | Gap): void {
    if (chunk.kind === 'gap' || chunk.length === 0) return;
    const first = Math.round(chunk.firstTick / this.#ticksPerSample);
    const end = first + chunk.length;
    for (; this.#next < this.#edges.length; this.#next += this.#stride) {
      const stretch = this.#stretchOf(this.#next);
      if (stretch === null) {
        this.crowded++;
        continue;
      }
      if (stretch.first >= end) break;
      this.#open.push(stretch);
    }
    for (const stretch of this.#open) this.#fill(stretch, chunk, first);
    this.#open = this.#open.filter((stretch) => {
      const isOver = stretch.first + stretch.values.length <= end;
      if (isOver) this.#measure(stretch);
      return !isOver;
    });
  }

  /** From the level before an edge to the level after the longest delay, or to the next edge; null without room for these. */
  #stretchOf(k: number): Stretch | null {
    const edge = this.#edges[k]!;
    const before = edge - (this.#edges[k - 1] ?? Number.NEGATIVE_INFINITY);
    const room = Math.floor((this.#edges[k + 1] ?? Number.POSITIVE_INFINITY) - edge) - awaySamples;
    const after = Math.min(this.#longest + awaySamples + levelSamples, room);
    if (before < 3 * levelSamples || after < 2 * levelSamples) return null;
    const length = toEdge + after;
    const first = Math.floor(edge) - toEdge;
    return { edge, first, values: new Float64Array(length), ranges: new Uint8Array(length), filled: 0 };
  }

  #fill(stretch: Stretch, block: SampleBlock, first: number): void {
    const from = Math.max(stretch.first, first);
    const to = Math.min(stretch.first + stretch.values.length, first + block.length);
    if (to <= from) return;
    const into = stretch.values.subarray(from - stretch.first, to - stretch.first);
    // The step of the current is what is looked for, if there is a current.
    if (block.current) into.set(block.current.subarray(from - first, to - first));
    else this.#method.power_W(block, from - first, to - first, this.#dt_s, into);
    if (block.range) stretch.ranges.set(block.range.subarray(from - first, to - first), from - stretch.first);
    else stretch.ranges.fill(onlyRange(this.#stream), from - stretch.first, to - stretch.first);
    stretch.filled += to - from;
  }

  #measure({ edge, first, values, ranges, filled }: Stretch): void {
    const n = values.length;
    if (filled < n) {
      this.crowded++;
      return;
    }
    // The flank cannot have changed the range of the sample before the edge's.
    const range = ranges[toEdge - 1]!;
    const found = this.#rangeSteps(range);
    const before = levelOf(values, 0);
    const after = levelOf(values, n - levelSamples);
    const noise = Math.hypot(before.sd, after.sd) / Math.SQRT2;
    const height = after.mean - before.mean;
    if (Math.abs(height) < leastStep * noise || height === 0) {
      found.skipped.small++;
      return;
    }
    const part = (k: number) => (values[k]! - before.mean) / height;
    let k = levelSamples;
    while (k < n - levelSamples && part(k) < 0.5) k++;
    if (k === levelSamples || k === n - levelSamples) {
      found.skipped.unseen++;
      return;
    }
    if (ranges.subarray(Math.min(toEdge - 1, k), Math.max(toEdge, k) + 2).some((other) => other !== range)) {
      found.skipped.switched++;
      return;
    }
    const { position, slope } = crossing(part, k, this.#stream.semantics);
    found[height > 0 ? 'rise' : 'fall'].push({
      delay: first + position - edge,
      noise2: 2 * (noise / height / slope) ** 2,
      // Between two points a step may lie anywhere, a slow flank where they say.
      points2: this.#stream.semantics === 'point' ? slope ** 2 / 12 : 0,
    });
  }

  #rangeSteps(range: number): RangeSteps {
    let found = this.ranges.get(range);
    if (found === undefined) {
      found = { rise: [], fall: [], skipped: { switched: 0, small: 0, unseen: 0 } };
      this.ranges.set(range, found);
    }
    return found;
  }
}

function levelOf(values: Float64Array, from: number): { mean: number; sd: number } {
  const level = values.subarray(from, from + levelSamples);
  let mean = 0;
  for (const value of level) mean += value / levelSamples;
  let squares = 0;
  for (const value of level) squares += (value - mean) ** 2;
  return { mean, sd: Math.sqrt(squares / (levelSamples - 1)) };
}

/**
 * Where a signal from 0 to 1 passes 1/2, in samples, each covering [k, k + 1); `k` is the first sample that is not below.
 * For means over a sample: y_k with its neighbours y_-, y_+ puts it at k + (1 - y_- - y_k) / (y_+ - y_-), which is exact for a
 * step inside sample k and for a straight flank. Points are interpolated.
 */
function crossing(
  part: (k: number) => number,
  k: number,
  semantics: SampleSemantics,
): { position: number; slope: number } {
  if (semantics === 'point') {
    const slope = part(k) - part(k - 1);
    return { position: k - 1 + (0.5 - part(k - 1)) / slope, slope };
  }
  for (const at of [k, k - 1]) {
    const slope = part(at + 1) - part(at - 1);
    const position = (1 - part(at - 1) - part(at)) / slope;
    if (position >= 0 && position <= 1) return { position: at + position, slope };
  }
  // Noise on a slow flank: between the middles of the two samples.
  const slope = part(k) - part(k - 1);
  return { position: k - 0.5 + (0.5 - part(k - 1)) / slope, slope };
}

function rangeDelay(
  stream: StreamInfo,
  range: number,
  { rise, fall, skipped }: RangeSteps,
  edges2: number,
  dt_s: number,
): RangeGroupDelay {
  const flanks = { rise: flankDelay(rise, edges2, dt_s), fall: flankDelay(fall, edges2, dt_s) };
  const name = stream.ranges.find(({ index }) => index === range)?.name ?? null;
  const known = [flanks.rise, flanks.fall].filter((flank) => flank !== null);
  if (known.length === 0) {
    const message = `${rise.length} rising and ${fall.length} falling steps, and ${fewestSteps} of a kind are needed; left out: ${skipped.switched} that change the range, ${skipped.small} too small against the noise, ${skipped.unseen} without a step`;
    const code = skipped.small > rise.length + fall.length ? 'group-delay.small-steps' : 'group-delay.few-steps';
    return { range, name, delay_s: null, u_s: null, ...flanks, skipped, refusal: { code, message } };
  }
  const mean = (pick: (flank: FlankDelay) => number) =>
    known.reduce((sum, flank) => sum + pick(flank), 0) / known.length;
  // Errors of the grid may be common to both flanks, so their mean is not better than they are.
  let u_s = mean((flank) => flank.u_s);
  const difference_s = known.length < 2 ? 0 : Math.abs(known[0]!.delay_s - known[1]!.delay_s);
  if (difference_s > 3 * Math.hypot(...known.map((flank) => flank.u_s)))
    u_s = Math.hypot(u_s, difference_s / Math.sqrt(12));
  return { range, name, delay_s: mean((flank) => flank.delay_s), u_s, ...flanks, skipped, refusal: null };
}

function flankDelay(steps: readonly Step[], edges2: number, dt_s: number): FlankDelay | null {
  const n = steps.length;
  if (n < fewestSteps) return null;
  const { value, variance } = huberMean(steps.map(({ delay }) => delay))!;
  let [squares, noise2, grid2] = [0, 0, edges2];
  for (const step of steps) {
    squares += (step.delay - value) ** 2;
    noise2 += step.noise2;
    grid2 += step.points2 / n;
  }
  // What the noise of the samples scatters says nothing of the grids.
  const shared = grid2 > 0 ? sharedVariance(Math.max(0, squares - noise2), n - 1, grid2) : 0;
  const u2 = Math.max(variance, grid2 / n, noise2 / n ** 2) + shared;
  return {
    delay_s: value * dt_s,
    u_s: Math.sqrt(u2) * dt_s,
    steps: n,
    scatter_s: Math.sqrt(squares / (n - 1)) * dt_s,
  };
}
