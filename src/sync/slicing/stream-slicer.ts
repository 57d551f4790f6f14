import type { Stage } from '../../signal/reducer.ts';
import type { Gap, OutsidePower, SampleBlock, StreamInfo, Window, WindowSlice } from '../../signal/types.ts';
import { type EnergyMethod, energyMethodOf } from '../energy-method.ts';
import type { SlicingRule } from '../slicing.ts';
import { type Segment, SegmentSummer } from './segment-sums.ts';

/**
 * Samples that a guard band reaches beyond each edge, besides the part of the sample that the edge splits: two, or three
 * standard uncertainties of the edge where that is more (`guard-band/2`), so that the load's own flank stays inside.
 */
const guardSamples = 2;
/** Most and fewest samples, just outside the guard, that tell the power there. */
const outsideMost = 32;
const outsideFewest = 8;

type Mode = 'auto' | 'proportional' | 'guard-band';

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

function rule(id: string, mode: Mode): SlicingRule {
  return {
    id,
    windowClock: 'stream',
    makeSlicer: (stream, windows, tickHz) => new StreamSlicer(stream, windows, tickHz, mode),
  };
}

/** The cuts and outside stretches of one window, in samples. */
interface Plan {
  window: Window;
  start: number;
  end: number;
  /** Whole-sample positions of the guard, or null where there is no room. */
  guard: { from: number; to: number; before: Tap; after: Tap } | null;
  /** Samples that the guard reaches. */
  reach: number;
}

/** Power of a stretch of whole samples, collected as they pass. */
class Tap {
  readonly from: number;
  readonly length: number;
  // Made when the first sample comes: with millions of windows only a few taps are open at a time.
  #values: Float64Array | null = null;
  #filled = 0;

  constructor(from: number, length: number) {
    this.from = from;
    this.length = length;
  }

  add(values: Float64Array, at: number): void {
    this.#values ??= new Float64Array(this.length);
    this.#values.set(values, at);
    this.#filled += values.length;
  }

  /** Null unless every sample came. The tap is empty afterwards. */
  take(): { outside: OutsidePower; slope: number } | null {
    const values = this.#values;
    this.#values = null;
    const n = this.length;
    if (values === null || this.#filled !== n) return null;
    let mean = 0;
    for (const value of values) mean += value;
    mean /= n;
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

/** Cuts a regular stream into windows by one of the three rules of our own; windows sorted, on the stream's clock. */
export class StreamSlicer implements Stage<SampleBlock | Gap, WindowSlice> {
  readonly #stream: StreamInfo;
  readonly #mode: Mode;
  readonly #method: EnergyMethod;
  readonly #dt_s: number;
  readonly #ticksPerSample: number;
  /** Where a sample's cell begins against its tick, in samples. */
  readonly #cellOffset: number;
  readonly #plans: Plan[];
  readonly #summer: SegmentSummer;
  readonly #taps: Tap[] = [];
  readonly #scratch = new Float64Array(outsideMost);
  #firstTap = 0;
  #segments: Segment[] = [];
  #plan = 0;
  #done: WindowSlice[] = [];
  /** Sums over everything so far, of finished segments. */
  readonly totals = { energy_J: 0, outside_J: 0, samples: 0, missing: 0, missingUnknown: false };

  constructor(stream: StreamInfo, windows: Window[], tickHz: number, mode: Mode) {
    const method = energyMethodOf(stream);
    if (method === null || stream.ticksPerSample === null) {
      throw new TypeError(`stream ${stream.id} cannot be sliced: it is irregular or carries no power`);
    }
    this.#stream = stream;
    this.#mode = mode;
    this.#method = method;
    this.#ticksPerSample = stream.ticksPerSample;
    this.#dt_s = stream.ticksPerSample / tickHz;
    this.#cellOffset = stream.semantics === 'mean-centred' ? -0.5 : 0;
    const delay = ((stream.groupDelay_s ?? 0) * tickHz) / stream.ticksPerSample;
    // A point sample stands for its instant: it belongs to the window if it was taken inside (specs: science 3.6).
    const position = (tick: number) => {
      const at = tick / this.#ticksPerSample + delay - this.#cellOffset;
      return stream.semantics === 'point' ? Math.ceil(at) : at;
    };
    this.#plans = windows.map((window) => ({
      window,
      start: position(window.startTick),
      end: position(window.endTick),
      guard: null,
      reach: Math.max(guardSamples, Math.ceil((3 * (window.u_ticks ?? 0)) / this.#ticksPerSample)),
    }));
    const cuts: number[] = [];
    for (let k = 0; k < this.#plans.length; k++) {
      const plan = this.#plans[k];
      if (mode !== 'proportional') plan.guard = this.#guardOf(k);
      if (plan.guard) {
        const { from, to, before, after } = plan.guard;
        cuts.push(from, plan.start, plan.end, to, after.from + after.length);
        this.#taps.push(before, after);
      } else {
        cuts.push(plan.start, plan.end);
      }
    }
    this.#summer = new SegmentSummer(Float64Array.from(cuts), this.#ticksPerSample, this.#dt_s, (segment) =>
      this.#segmentDone(segment),
    );
  }

  /** Room for a guard lies between the half-ways to the neighbouring windows. */
  #guardOf(k: number): Plan['guard'] {
    const { start, end, reach } = this.#plans[k];
    const before = k === 0 ? Number.NEGATIVE_INFINITY : (this.#plans[k - 1].end + start) / 2;
    const after = k + 1 === this.#plans.length ? Number.POSITIVE_INFINITY : (end + this.#plans[k + 1].start) / 2;
    const from = Math.floor(start) - reach;
    const to = Math.ceil(end) + reach;
    const outside = Math.min(outsideMost, Math.floor(from - before), Math.floor(after - to));
    if (outside < outsideFewest) return null;
    return { from, to, before: new Tap(from - outside, outside), after: new Tap(to, outside) };
  }

  push(chunk: SampleBlock | Gap): WindowSlice[] {
    if (chunk.kind === 'gap') {
      this.#summer.pushGap(chunk);
    } else {
      this.#fillTaps(chunk);
      this.#summer.pushBlock(chunk);
    }
    return this.#take();
  }

  end(): WindowSlice[] {
    this.#summer.end();
    return this.#take();
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
    if (plan === undefined) {
      this.totals.outside_J += energy;
      return;
    }
    this.#segments.push(segment);
    // Segments of a window: the gap before it, then (guard, window, guard, power outside) or the window alone.
    const needed = plan.guard ? 5 : 2;
    const isWindow = this.#segments.length === (plan.guard ? 3 : 2);
    if (!isWindow) this.totals.outside_J += energy;
    if (this.#segments.length < needed) return;
    this.#done.push(this.#sliceOf(plan, this.#segments));
    this.#segments = [];
    this.#plan++;
  }

  #energyOf(segment: Segment): number {
    let energy = 0;
    for (const range of segment.ranges) energy += this.#method.energy_J(range, this.#dt_s);
    return energy;
  }

  #sliceOf(plan: Plan, segments: Segment[]): WindowSlice {
    const inside = segments[plan.guard ? 2 : 1];
    const before = plan.guard?.before.take() ?? null;
    const after = plan.guard?.after.take() ?? null;
    const slice: WindowSlice = {
      window: plan.window,
      stream: this.#stream.id,
      method: 'proportional/1',
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
    if (before && after && duration_s > 0) {
      const insidePower = insideEnergy / duration_s;
      const step = (power: OutsidePower) => Math.abs(insidePower - power.mean);
      const pointwise = this.#stream.semantics === 'point';
      const steps = step(before.outside) + step(after.outside);
      // An edge that is not known to a sample may lie beside the load's flank by its uncertainty.
      const astray_s = plan.reach > guardSamples ? ((plan.window.u_ticks ?? 0) / this.#ticksPerSample) * this.#dt_s : 0;
      const proportionalBound = (pointwise ? 0 : (steps * this.#dt_s) / 6) + steps * astray_s;
      slice.biasBound_J = proportionalBound;
      if (plan.guard) {
        const left = plan.start - plan.guard.from;
        const right = plan.guard.to - plan.end;
        const bound =
          this.#guardError(before.outside, before.slope, left) + this.#guardError(after.outside, after.slope, right);
        const clean = segments[1].missing === 0 && segments[3].missing === 0;
        if (clean && (this.#mode === 'guard-band' || bound < proportionalBound)) {
          slice.method = plan.reach > guardSamples ? 'guard-band/2' : 'guard-band/1';
          slice.correctedEnergy_J =
            this.#energyOf(segments[1]) +
            insideEnergy +
            this.#energyOf(segments[3]) -
            (left * before.outside.mean + right * after.outside.mean) * this.#dt_s;
          slice.biasBound_J = bound;
        }
      }
    }
    return slice;
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
