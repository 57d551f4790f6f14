import type { Stage } from '../../signal/reducer.ts';
import type { Gap, OutsidePower, SampleBlock, StreamInfo, Window, WindowSlice } from '../../signal/types.ts';
import { type EnergyMethod, energyMethodOf } from '../energy-method.ts';
import type { SlicingRule } from '../slicing.ts';
import { delayOf, type EdgeDelay, RangeTrack, uniformDelay_s } from './range-delays.ts';
import { type Segment, SegmentSummer } from './segment-sums.ts';

/**
 * Samples that a guard band reaches beyond each edge, besides the part of the sample that the edge splits: two, or three
 * standard uncertainties of the edge where that is more (`guard-band/2`), so that the load's own flank stays inside.
 */
const guardSamples = 2;
/** Most and fewest samples, just outside the guard, that tell the power there. */
const outsideMost = 32;
const outsideFewest = 8;
/** Windows that are done are let go of when there are so many, and no fewer than are to come. */
const forgetPlans = 1024;

export type SlicingMode = 'auto' | 'proportional' | 'guard-band';

/**
 * Methods of slices, each with its version. `guard-band/2` reaches over what is not known of the edges. `guard-band/3` and
 * `proportional/2` count for samples of instants, and where ranges have delays of their own: the guard band keeps the
 * length of the window on the pin, whatever sample or delay its ends fall on, and both state what that leaves.
 */
const methods = {
  proportional: ['proportional/1', 'proportional/2'],
  guardBand: ['guard-band/1', 'guard-band/2', 'guard-band/3'],
} as const;

/**
 * Proportional: a sample that an edge splits counts with the part that lies inside. Windows and gaps add up to the
 * total. An integrating ADC gives a bias of at most |P_in - P_out| dt / 6 per edge on average over the phase (specs: science 3.6).
 */
export const proportional: SlicingRule = rule('proportional/1', 'proportional');

/**
 * Guard band: the integral over the window widened to whole samples on both sides, minus the power just outside times
 * the widening. Without bias where the power outside is stable. Where there is no room for it, proportional.
 */
export const guardBand: SlicingRule = rule('guard-band/1', 'guard-band');

/** Guard band where its stated bound is smaller than that of the proportional rule, else proportional. */
export const auto: SlicingRule = rule('auto/1', 'auto');

function rule(id: string, mode: SlicingMode): SlicingRule {
  return {
    id,
    windowClock: 'stream',
    makeSlicer: (stream, windows, tickHz) => makeWindowSlicer(stream, windows, tickHz, mode),
  };
}

/** Cuts a regular stream into windows that are given before the samples, or told as they come. */
export interface WindowSlicer extends Stage<SampleBlock | Gap, WindowSlice> {
  push(chunk: SampleBlock | Gap): WindowSlice[];
  end(): WindowSlice[];
  /** A window begins, not before what was promised, and not before the last one was closed. */
  openWindow(startTick: number, u_ticks: number | null): void;
  /** The open window ends. */
  closeWindow(window: Window): void;
  /** The open window was none. */
  cancelWindow(): void;
  /** No window begins or ends before this tick any more. @returns the slices that this completes */
  promise(tick: number): WindowSlice[];
  /** Sums over everything so far, of finished segments. */
  readonly totals: { energy_J: number; outside_J: number; samples: number; missing: number; missingUnknown: boolean };
  /** Windows that came too late for their samples, and the tick where the first of them begins. */
  readonly late: { windows: number; firstTick: number | null };
}

/**
 * The slicer of a stream: one that finds the delay of each edge from the ranges of the samples around it where ranges
 * have delays of their own, else the plain one.
 * @param windows all windows, or null where they are told as they come
 */
export function makeWindowSlicer(
  stream: StreamInfo,
  windows: Window[] | null,
  tickHz: number,
  mode: SlicingMode,
  lookBack?: number,
): WindowSlicer {
  if (uniformDelay_s(stream) !== null) return new StreamSlicer(stream, windows, tickHz, mode, lookBack);
  return new RangedSlicer(stream, windows, tickHz, mode, lookBack);
}

/** One window: its cuts and outside stretches, in samples. */
interface Plan {
  /** Null while it is open, and for one that was cancelled. */
  window: Window | null;
  isOpen: boolean;
  start: number;
  end: number;
  /** Where its ends lie where point samples are not taken whole. */
  exactStart: number;
  exactEnd: number;
  /** Samples that the guard reaches before the window and behind it. */
  reach: number;
  reachAfter: number;
  /** Delays of its ends, where ranges have their own. */
  startDelay: EdgeDelay | null;
  endDelay: EdgeDelay | null;
  /** The cuts up to its start are made, or all of them. */
  cut: 'none' | 'start' | 'all';
  /** Tap before the window, from when its first cuts are made; null where there is no room for a guard. */
  before: Tap | null;
  after: Tap | null;
  /** Whole-sample positions of the guard. */
  from: number;
  to: number;
  /** Segments up to and with the window, and of the whole plan. */
  inside: number;
  needed: number;
  /** The samples went on without it: it gives no slice. */
  isLost: boolean;
}

/** Samples that may wait for their windows: 128 MB of current and voltage in 32 bits. */
const lookBackSamples = 1 << 24;

/** Power of a stretch of whole samples, collected as they pass. */
class Tap {
  readonly from: number;
  readonly length: number;
  // Made when the first sample comes: with millions of windows only a few taps are open at a time.
  #values: Float64Array | null = null;

  constructor(from: number, length: number) {
    this.from = from;
    this.length = length;
  }

  add(values: Float64Array, at: number): void {
    this.#values ??= new Float64Array(this.length).fill(Number.NaN);
    this.#values.set(values, at);
  }

  /** What its last `n` samples tell; null unless all of these came. The tap is empty afterwards. */
  take(n: number): { outside: OutsidePower; slope: number } | null {
    const all = this.#values;
    this.#values = null;
    if (all === null) return null;
    const values = all.subarray(this.length - n);
    let mean = 0;
    for (const value of values) mean += value;
    mean /= n;
    // Samples are never NaN; places that none filled are.
    if (Number.isNaN(mean)) return null;
    let squares = 0;
    let moment = 0;
    for (let k = 0; k < n; k++) {
      const deviation = values[k] - mean;
      squares += deviation * deviation;
      moment += deviation * (k - (n - 1) / 2);
    }
    return {
      outside: { mean, sd: Math.sqrt(squares / (n - 1)), n },
      slope: (12 * moment) / (n * (n * n - 1)),
    };
  }
}

/**
 * Cuts a regular stream into windows by one of the three rules of our own; windows sorted, on the stream's clock.
 *
 * The windows are either all given at once, or told as they come (`openWindow`, `closeWindow`), each before the samples
 * that it needs: samples wait until `promise` says that no window begins or ends before them. Both ways cut alike, so a
 * window's slice is the same to the last bit; the totals may differ in it. Samples wait in bounded memory: where they
 * would be too many they go on, and windows that come for them later are counted in `late` and give no slice.
 */
export class StreamSlicer implements WindowSlicer {
  readonly #stream: StreamInfo;
  readonly #mode: SlicingMode;
  readonly #method: EnergyMethod;
  readonly #dt_s: number;
  readonly #ticksPerSample: number;
  /** Position of a tick among the samples, their cells and the group delay considered: where sums are cut. */
  readonly #position: (tick: number) => number;
  /** The same where point samples are not taken whole: they stand for a sample's length around their instant. */
  readonly #exactPosition: (tick: number) => number;
  readonly #summer: SegmentSummer;
  readonly #scratch = new Float64Array(outsideMost);
  /** Windows whose slices are to come; the first `#cutPlans` have all their cuts. */
  #plans: Plan[] = [];
  #plan = 0;
  #cutPlans = 0;
  #previousEnd = Number.NEGATIVE_INFINITY;
  #taps: Tap[] = [];
  #firstTap = 0;
  #segments: Segment[] = [];
  #done: WindowSlice[] = [];
  readonly #lookBack: number;
  /** No window begins or ends before this position. */
  #horizon: number;
  #mostReach = guardSamples;
  #waiting: (SampleBlock | Gap)[] = [];
  #waitingSamples = 0;
  readonly totals = { energy_J: 0, outside_J: 0, samples: 0, missing: 0, missingUnknown: false };
  readonly late: { windows: number; firstTick: number | null } = { windows: 0, firstTick: null };

  /** @param windows all windows, or null where they are told as they come */
  constructor(
    stream: StreamInfo,
    windows: Window[] | null,
    tickHz: number,
    mode: SlicingMode,
    lookBack = lookBackSamples,
  ) {
    const method = energyMethodOf(stream);
    if (method === null || stream.ticksPerSample === null) {
      throw new TypeError(`stream ${stream.id} cannot be sliced: it is irregular or carries no power`);
    }
    const { ticksPerSample } = stream;
    this.#stream = stream;
    this.#mode = mode;
    this.#method = method;
    this.#ticksPerSample = ticksPerSample;
    this.#dt_s = ticksPerSample / tickHz;
    this.#lookBack = lookBack;
    const cellOffset = stream.semantics === 'mean-centred' ? -0.5 : 0;
    const delay = ((uniformDelay_s(stream) ?? 0) * tickHz) / ticksPerSample;
    const at = (tick: number) => tick / ticksPerSample + delay - cellOffset;
    const isPoint = stream.semantics === 'point';
    // A point sample stands for its instant: it belongs to the window if it was taken inside (specs: science 3.6).
    this.#position = isPoint ? (tick) => Math.ceil(at(tick)) : at;
    this.#exactPosition = isPoint ? (tick) => at(tick) + 0.5 : at;
    this.#summer = new SegmentSummer(ticksPerSample, this.#dt_s, (segment) => this.#segmentDone(segment));
    this.#horizon = windows === null ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
    for (const window of windows ?? []) {
      this.#plans.push(this.#planOf(window.startTick, window.u_ticks, null));
      this.#close(window, null);
    }
    this.#makeCuts();
  }

  /** @param delay of its flank, where ranges have their own */
  openWindow(startTick: number, u_ticks: number | null, delay: EdgeDelay | null = null): void {
    const plan = this.#planOf(startTick, u_ticks, delay);
    this.#mostReach = Math.max(this.#mostReach, plan.reach);
    plan.isLost = plan.start < this.#horizon;
    if (plan.isLost) this.#loseWindow(startTick);
    this.#plans.push(plan);
  }

  closeWindow(window: Window, delay: EdgeDelay | null = null): void {
    const plan = this.#plans[this.#plans.length - 1];
    if (!plan.isLost && this.#position(window.endTick + (delay?.ticks ?? 0)) < this.#behind) {
      plan.isLost = true;
      this.#loseWindow(window.startTick);
    }
    if (plan.isLost) this.#drop();
    else this.#close(window, delay);
  }

  cancelWindow(): void {
    this.#drop();
  }

  promise(tick: number): WindowSlice[] {
    this.#horizon = Math.max(this.#horizon, this.#position(tick));
    this.#goOn();
    return this.#take();
  }

  #planOf(startTick: number, u_ticks: number | null, delay: EdgeDelay | null): Plan {
    const reach = this.#reach(u_ticks, delay);
    const tick = startTick + (delay?.ticks ?? 0);
    return {
      window: null,
      isOpen: true,
      start: this.#position(tick),
      end: Number.NaN,
      exactStart: this.#exactPosition(tick),
      exactEnd: Number.NaN,
      reach,
      reachAfter: reach,
      startDelay: delay,
      endDelay: null,
      cut: 'none',
      before: null,
      after: null,
      from: Number.NaN,
      to: Number.NaN,
      inside: 2,
      needed: Number.POSITIVE_INFINITY,
      isLost: false,
    };
  }

  #close(window: Window, delay: EdgeDelay | null): void {
    const plan = this.#plans[this.#plans.length - 1];
    const tick = window.endTick + (delay?.ticks ?? 0);
    plan.window = window;
    plan.isOpen = false;
    plan.end = this.#position(tick);
    plan.exactEnd = this.#exactPosition(tick);
    if (delay === null) return;
    plan.endDelay = delay;
    plan.reachAfter = this.#reach(window.u_ticks, delay);
  }

  /** Samples that a guard reaches beyond an edge: what is not known of the edge lies inside. */
  #reach(u_ticks: number | null, delay: EdgeDelay | null): number {
    const u = delay === null ? (u_ticks ?? 0) : edge_u_ticks(u_ticks, delay);
    return Math.max(guardSamples, Math.ceil((3 * u) / this.#ticksPerSample));
  }

  /** The last plan gives no slice: it goes, or ends where the samples are if cuts were made for it. */
  #drop(): void {
    const plan = this.#plans[this.#plans.length - 1];
    if (plan.cut === 'none') {
      this.#plans.pop();
      return;
    }
    plan.isLost = true;
    plan.isOpen = false;
    plan.end = Math.max(plan.start, this.#behind);
  }

  /** Position up to which samples have gone on. */
  get #behind(): number {
    const { position } = this.#summer;
    return Number.isNaN(position) ? Number.NEGATIVE_INFINITY : position;
  }

  /** Tick up to which samples have gone on. */
  get behindTick(): number {
    return this.#behind * this.#ticksPerSample;
  }

  #loseWindow(startTick: number): void {
    this.late.windows++;
    this.late.firstTick ??= startTick;
  }

  /** Makes the cuts of every window of which enough is known. */
  #makeCuts(): void {
    for (; this.#cutPlans < this.#plans.length; this.#cutPlans++) {
      const plan = this.#plans[this.#cutPlans];
      if (plan.isOpen) {
        if (plan.cut === 'none' && !plan.isLost) this.#cutStart(plan, outsideMost);
        return;
      }
      const room = plan.isLost ? 0 : this.#roomAfter(this.#cutPlans);
      if (room === null) return;
      if (plan.cut === 'none') this.#cutStart(plan, room);
      this.#cutEnd(plan, room);
      this.#previousEnd = plan.end;
    }
  }

  /** Whole samples behind the guard of a closed window that no other window needs, or null while that is not known. */
  #roomAfter(k: number): number | null {
    const { end, reachAfter } = this.#plans[k];
    const to = Math.ceil(end) + reachAfter;
    const next = this.#plans[k + 1];
    if (next !== undefined) return Math.floor((end + next.start) / 2 - to);
    return this.#horizon >= end + 2 * (reachAfter + 1 + outsideMost) ? outsideMost : null;
  }

  /** Room for a guard lies between the half-ways to the neighbouring windows. */
  #cutStart(plan: Plan, roomAfter: number): void {
    const { start, reach } = plan;
    const from = Math.floor(start) - reach;
    const before = Math.max((this.#previousEnd + start) / 2, this.#behind);
    const outside = Math.min(outsideMost, Math.floor(from - before), roomAfter);
    plan.cut = 'start';
    if (this.#mode !== 'proportional' && outside >= outsideFewest) {
      plan.from = from;
      plan.before = new Tap(from - outside, outside);
      plan.inside = 3;
      this.#taps.push(plan.before);
      this.#summer.addCut(from);
    }
    this.#summer.addCut(start);
  }

  #cutEnd(plan: Plan, roomAfter: number): void {
    plan.cut = 'all';
    this.#summer.addCut(plan.end);
    plan.needed = plan.inside;
    const outside = Math.min(plan.before?.length ?? 0, roomAfter);
    if (outside < outsideFewest) return;
    plan.to = Math.ceil(plan.end) + plan.reachAfter;
    plan.after = new Tap(plan.to, outside);
    plan.needed = plan.inside + 2;
    this.#taps.push(plan.after);
    this.#summer.addCut(plan.to);
    this.#summer.addCut(plan.to + outside);
  }

  push(chunk: SampleBlock | Gap): WindowSlice[] {
    if (this.#horizon === Number.POSITIVE_INFINITY && this.#waiting.length === 0) {
      this.#process(chunk);
    } else {
      this.#waiting.push(chunk);
      if (chunk.kind === 'block') this.#waitingSamples += chunk.length;
      this.#goOn();
    }
    return this.#take();
  }

  end(): WindowSlice[] {
    this.#horizon = Number.POSITIVE_INFINITY;
    // What was cut for a window that never ended counts as outside.
    if (this.#plans[this.#plans.length - 1]?.isOpen) this.#drop();
    this.#goOn();
    this.#summer.end();
    return this.#take();
  }

  /** Position up to which samples may go on. */
  #limit(): number {
    const plan = this.#plans[this.#cutPlans];
    const back = this.#mostReach + outsideMost + 2;
    if (plan === undefined) return this.#horizon - back;
    if (plan.isOpen) return this.#horizon;
    return plan.cut === 'none' ? Math.floor(plan.start) - plan.reach - outsideMost - 1 : Math.floor(plan.end);
  }

  #goOn(): void {
    let waiting = 0;
    for (;;) {
      this.#makeCuts();
      const limit = this.#limit();
      for (; waiting < this.#waiting.length; waiting++) {
        const chunk = this.#waiting[waiting];
        if (endOf(chunk, this.#ticksPerSample) > limit) break;
        this.#process(chunk);
        if (chunk.kind === 'block') this.#waitingSamples -= chunk.length;
      }
      if (this.#waitingSamples <= this.#lookBack || waiting === this.#waiting.length) break;
      // Too many wait. They go on, whatever windows may still come for them.
      const first = this.#waiting[waiting];
      const reach = this.#plans[this.#cutPlans]?.reach ?? guardSamples;
      const beyond = endOf(first, this.#ticksPerSample) + 2 * (reach + outsideMost + 2);
      this.#horizon = Math.max(beyond, this.#horizon + outsideMost);
    }
    this.#waiting.splice(0, waiting);
  }

  #process(chunk: SampleBlock | Gap): void {
    if (chunk.kind === 'gap') {
      this.#summer.pushGap(chunk);
    } else {
      this.#fillTaps(chunk);
      this.#summer.pushBlock(chunk);
    }
  }

  #take(): WindowSlice[] {
    const done = this.#done;
    this.#done = [];
    return done;
  }

  #fillTaps(block: SampleBlock): void {
    const first = Math.round(block.firstTick / this.#ticksPerSample);
    const end = first + block.length;
    const scratch = this.#scratch;
    while (this.#firstTap < this.#taps.length) {
      const tap = this.#taps[this.#firstTap];
      if (tap.from + tap.length > first) break;
      this.#firstTap++;
    }
    if (this.#firstTap >= forgetPlans && 2 * this.#firstTap >= this.#taps.length) {
      this.#taps.splice(0, this.#firstTap);
      this.#firstTap = 0;
    }
    for (let t = this.#firstTap; t < this.#taps.length; t++) {
      const tap = this.#taps[t];
      if (tap.from >= end) break;
      const from = Math.max(tap.from, first);
      const to = Math.min(tap.from + tap.length, end);
      this.#method.power_W(block, from - first, to - first, this.#dt_s, scratch);
      tap.add(scratch.subarray(0, to - from), from - tap.from);
    }
  }

  #segmentDone(segment: Segment): void {
    const energy = this.#energyOf(segment);
    this.totals.energy_J += energy;
    for (const range of segment.ranges) this.totals.samples += range.n;
    this.totals.missing += segment.missing;
    this.totals.missingUnknown ||= segment.missingUnknown;
    const plan = this.#plans[this.#plan];
    if (plan === undefined || plan.cut === 'none') {
      this.totals.outside_J += energy;
      return;
    }
    this.#segments.push(segment);
    // Segments of a window: the gap before it, the guard, the window, the guard, the power outside; no guard, no outside.
    const isWindow = this.#segments.length === plan.inside && !plan.isLost;
    if (!isWindow) this.totals.outside_J += energy;
    if (this.#segments.length < plan.needed) return;
    if (!plan.isLost) this.#done.push(this.#sliceOf(plan, plan.window!, this.#segments));
    this.#segments = [];
    this.#plan++;
    if (this.#plan >= forgetPlans && 2 * this.#plan >= this.#plans.length) {
      this.#plans.splice(0, this.#plan);
      this.#cutPlans -= this.#plan;
      this.#plan = 0;
    }
  }

  #energyOf(segment: Segment): number {
    let energy = 0;
    for (const range of segment.ranges) energy += this.#method.energy_J(range, this.#dt_s);
    return energy;
  }

  #sliceOf(plan: Plan, window: Window, segments: Segment[]): WindowSlice {
    const inside = segments[plan.inside - 1];
    const length = plan.after?.length ?? 0;
    const after = plan.after?.take(length) ?? null;
    const before = plan.after === null ? null : (plan.before?.take(length) ?? null);
    const slice: WindowSlice = {
      window,
      stream: this.#stream.id,
      method: methods.proportional[0],
      dt_s: this.#dt_s,
      ranges: inside.ranges,
      rangeSwitches: inside.rangeSwitches,
      flagged: inside.flagged,
      missing: inside.missing,
      missingUnknown: inside.missingUnknown,
      outside: !(plan.start >= this.#summer.firstPosition && plan.end <= this.#summer.position),
      before: before?.outside ?? null,
      after: after?.outside ?? null,
      correctedEnergy_J: null,
      biasBound_J: null,
    };
    const insideEnergy = this.#energyOf(inside);
    const duration_s = (plan.end - plan.start) * this.#dt_s;
    const { startDelay, endDelay } = plan;
    const pointwise = this.#stream.semantics === 'point';
    // The length on the pin counts where the ends of the sums are moved by themselves: to whole samples, or by delays.
    const keepsLength = pointwise || startDelay !== null;
    if (keepsLength) slice.method = methods.proportional[1];
    if (startDelay && endDelay) {
      slice.delays = {
        start: { range: startDelay.range, delay_s: startDelay.delay_s },
        end: { range: endDelay.range, delay_s: endDelay.delay_s },
        bound_J: null,
      };
    }
    if (before && after && (duration_s > 0 || (keepsLength && window.endTick > window.startTick))) {
      const left = plan.exactStart - plan.from;
      const right = plan.to - plan.exactEnd;
      const wide =
        this.#energyOf(segments[1]) +
        insideEnergy +
        this.#energyOf(segments[3]) -
        (left * before.outside.mean + right * after.outside.mean) * this.#dt_s;
      const length = keepsLength ? (window.endTick - window.startTick) / this.#ticksPerSample : 0;
      /** What the window is longer on the pin than between its delayed ends, in s. */
      const short_s = startDelay && endDelay ? this.#duration_s(startDelay.ticks - endDelay.ticks) : 0;
      const corrected = short_s === 0 ? wide : wide + (short_s * (before.outside.mean + after.outside.mean)) / 2;
      const insidePower = duration_s > 0 ? insideEnergy / duration_s : corrected / (length * this.#dt_s);
      const step = (power: OutsidePower) => Math.abs(insidePower - power.mean);
      const steps = step(before.outside) + step(after.outside);
      let proportionalBound: number;
      let bound =
        this.#guardError(before.outside, before.slope, left) + this.#guardError(after.outside, after.slope, right);
      if (pointwise) {
        // dt/(T sqrt 6) of the whole power where samples are counted, of the step with the guard band (specs: science 3.6).
        proportionalBound = (Math.abs(insidePower) * this.#dt_s) / Math.sqrt(6);
        bound += ((steps / 2) * this.#dt_s) / Math.sqrt(6);
      } else {
        proportionalBound = (steps * this.#dt_s) / 6;
      }
      // An edge that is not known to a sample may lie beside the load's flank by its uncertainty.
      proportionalBound += steps * this.#astray_s(plan, window);
      let delayBounds = { proportional: 0, guardBand: 0 };
      if (startDelay && endDelay) {
        delayBounds = this.#delayBounds(plan, inside, short_s, insidePower, before.outside, after.outside);
        proportionalBound += delayBounds.proportional;
        bound += delayBounds.guardBand;
      }
      slice.biasBound_J = proportionalBound;
      if (slice.delays) slice.delays.bound_J = delayBounds.proportional;
      const clean = segments[1].missing === 0 && segments[3].missing === 0;
      if (clean && (this.#mode === 'guard-band' || bound < proportionalBound)) {
        const isWide = Math.max(plan.reach, plan.reachAfter) > guardSamples;
        slice.method = methods.guardBand[keepsLength ? 2 : isWide ? 1 : 0];
        slice.correctedEnergy_J = corrected;
        slice.biasBound_J = bound;
        if (slice.delays) slice.delays.bound_J = delayBounds.guardBand;
      }
    }
    return slice;
  }

  /** How far an edge may lie beside the load's flank, in s; 0 where that is less than the guard band covers. */
  #astray_s({ reach, startDelay, endDelay }: Plan, { u_ticks }: Window): number {
    if (startDelay && endDelay) {
      return this.#duration_s(Math.max(edge_u_ticks(u_ticks, startDelay), edge_u_ticks(u_ticks, endDelay)));
    }
    return reach > guardSamples ? ((u_ticks ?? 0) / this.#ticksPerSample) * this.#dt_s : 0;
  }

  #duration_s(ticks: number): number {
    return (ticks / this.#ticksPerSample) * this.#dt_s;
  }

  /**
   * What ranges with different delays may leave, in J: the power of each step times the difference of the delays, once for
   * each switch, whose place is known to a sample. Whether a switch swallows or repeats that much of the signal (a delay
   * line) or not (a lag, whose charge waits in a capacitor) is not known: the guard band takes it that no charge is lost,
   * the proportional rule adds up what lies between the delayed ends.
   */
  #delayBounds(
    { startDelay, endDelay }: Plan,
    inside: Segment,
    short_s: number,
    insidePower: number,
    before: OutsidePower,
    after: OutsidePower,
  ): { proportional: number; guardBand: number } {
    const bound = (difference_s: number, step: number) =>
      difference_s === 0 ? 0 : (Math.abs(difference_s) + this.#dt_s) * Math.abs(step);
    const atStart_s = Math.max(Math.abs(short_s), this.#duration_s(startDelay!.doubt_ticks));
    const atEnd_s = this.#duration_s(endDelay!.doubt_ticks);
    const switches = Math.max(0, inside.rangeSwitches - (startDelay!.range === endDelay!.range ? 0 : 1));
    const ranges = inside.ranges.map((range) => ({
      delay_s: delayOf(this.#stream, range.range).delay_s,
      power: this.#method.energy_J(range, this.#dt_s) / range.time_s,
    }));
    const perSwitch = ranges.flatMap((a) => ranges.map((b) => bound(a.delay_s - b.delay_s, a.power - b.power)));
    const guardBand =
      bound(atStart_s, insidePower - before.mean) +
      bound(atEnd_s, insidePower - after.mean) +
      switches * Math.max(0, ...perSwitch);
    const most = Math.max(Math.abs(insidePower), Math.abs(before.mean), Math.abs(after.mean));
    return { guardBand, proportional: guardBand + Math.abs(short_s) * most };
  }

  /** Standard error and trend of the power outside, carried over the `reach` samples of the guard, in J. */
  #guardError(power: OutsidePower, slope: number, reach: number): number {
    const meanError = power.sd / Math.sqrt(power.n);
    const trend = Math.abs(slope) * (power.n / 2 + reach / 2);
    // A slope below its own standard error is noise and already counted in meanError.
    const slopeError = power.sd * Math.sqrt(12 / (power.n * (power.n * power.n - 1)));
    const drift = Math.abs(slope) > 2 * slopeError ? trend : 0;
    return reach * (meanError + drift) * this.#dt_s;
  }
}

/** What happens to the windows of a ranged slicer, in order. */
type WindowEvent =
  | { kind: 'open'; tick: number; u_ticks: number | null }
  | { kind: 'close'; tick: number; window: Window }
  | { kind: 'cancel' };

/**
 * A stream whose ranges have delays of their own. Windows and samples wait until the ranges of the samples around an edge
 * tell its delay; from there on it is a plain slicer, whose slices are the same whenever its windows are told.
 */
class RangedSlicer implements WindowSlicer {
  readonly #slicer: StreamSlicer;
  readonly #track: RangeTrack;
  /** How far before a promise the guard of a window may reach, in ticks. */
  readonly #margin_ticks: number;
  #events: WindowEvent[] = [];
  #event = 0;
  /** Of windows that were all given at once, those that are no events yet. */
  readonly #given: Window[];
  #nextGiven = 0;
  /** No edge before this tick will be told. */
  #promised: number;
  /** Where the last edge showed: the next one shows no earlier. */
  #last = Number.NEGATIVE_INFINITY;

  constructor(
    stream: StreamInfo,
    windows: Window[] | null,
    tickHz: number,
    mode: SlicingMode,
    lookBack: number | undefined,
  ) {
    this.#slicer = new StreamSlicer(stream, null, tickHz, mode, lookBack);
    this.#track = new RangeTrack(stream, tickHz, stream.ticksPerSample!);
    const { least_ticks, most_ticks } = this.#track;
    this.#margin_ticks = 3 * (most_ticks - least_ticks) + guardSamples * stream.ticksPerSample!;
    this.#given = windows ?? [];
    this.#promised = windows === null ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }

  get totals() {
    return this.#slicer.totals;
  }

  get late() {
    return this.#slicer.late;
  }

  openWindow(startTick: number, u_ticks: number | null): void {
    this.#events.push({ kind: 'open', tick: startTick, u_ticks });
  }

  closeWindow(window: Window): void {
    this.#events.push({ kind: 'close', tick: window.endTick, window });
  }

  cancelWindow(): void {
    this.#events.push({ kind: 'cancel' });
  }

  promise(tick: number): WindowSlice[] {
    this.#promised = Math.max(this.#promised, tick);
    return this.#goOn();
  }

  push(chunk: SampleBlock | Gap): WindowSlice[] {
    this.#track.add(chunk);
    const slices = this.#slicer.push(chunk);
    for (const slice of this.#goOn()) slices.push(slice);
    return slices;
  }

  end(): WindowSlice[] {
    this.#track.end();
    const slices = this.#goOn();
    for (const slice of this.#slicer.end()) slices.push(slice);
    return slices;
  }

  /** Hands on the edges whose delays are known, and promises that no earlier ones will come. */
  #goOn(): WindowSlice[] {
    let event = this.#head();
    while (event !== undefined && this.#handOn(event)) {
      this.#event++;
      event = this.#head();
    }
    const from = event === undefined || event.kind === 'cancel' ? this.#promised : Math.min(event.tick, this.#promised);
    this.#track.forget(Math.max(from, this.#slicer.behindTick - this.#track.most_ticks));
    return this.#slicer.promise(from + this.#track.least_ticks - this.#margin_ticks);
  }

  #head(): WindowEvent | undefined {
    if (this.#event < this.#events.length) return this.#events[this.#event];
    this.#events = [];
    this.#event = 0;
    for (const to = this.#nextGiven + forgetPlans; this.#nextGiven < to; this.#nextGiven++) {
      const window = this.#given[this.#nextGiven];
      if (window === undefined) break;
      this.openWindow(window.startTick, window.u_ticks);
      this.closeWindow(window);
    }
    return this.#events[0];
  }

  /** @returns false while the delay of the event's edge is not known */
  #handOn(event: WindowEvent): boolean {
    if (event.kind === 'cancel') {
      this.#slicer.cancelWindow();
      return true;
    }
    const found = this.#track.delayAt(event.tick);
    if (found === null) return false;
    // A flank cannot show before the one in front of it: a range that swallows it leaves that much doubt.
    const hidden = Math.max(0, this.#last - (event.tick + found.ticks));
    const delay = { ...found, ticks: found.ticks + hidden, doubt_ticks: Math.max(found.doubt_ticks, hidden) };
    this.#last = event.tick + delay.ticks;
    if (event.kind === 'open') this.#slicer.openWindow(event.tick, event.u_ticks, delay);
    else this.#slicer.closeWindow(event.window, delay);
    return true;
  }
}

/** Standard uncertainty of a delayed edge in ticks: its own, that of the delay, and the doubt of which range it is. */
function edge_u_ticks(u_ticks: number | null, delay: EdgeDelay): number {
  return Math.hypot(u_ticks ?? 0, delay.u_ticks ?? 0, delay.doubt_ticks / Math.sqrt(3));
}

/** Position behind a chunk; a gap of unknown length ends where it begins. */
function endOf(chunk: SampleBlock | Gap, ticksPerSample: number): number {
  return chunk.firstTick / ticksPerSample + (chunk.kind === 'block' ? chunk.length : (chunk.count ?? 0));
}
