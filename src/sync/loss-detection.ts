import { median } from '../stats/quantile.ts';
import { huberLine } from '../stats/robust-line.ts';
import type { Arrivals } from './arrival-times.ts';

/**
 * Counts on where a short counter starts again from 0, and says what is missing between two blocks as far as the counter
 * can tell: the loss modulo 2^bits.
 */
export class CounterUnwrap {
  readonly #modulus: number;
  #expected: number | null = null;
  #count = 0;

  /** @throws RangeError unless 1 <= bits <= 48 */
  constructor(bits: number) {
    if (!(Number.isInteger(bits) && bits >= 1 && bits <= 48)) throw new RangeError(`a counter of ${bits} bits`);
    this.#modulus = 2 ** bits;
  }

  /**
   * A block of `items` items arrives whose first one carries the counter value `value`.
   * @returns the running number of that item (the first ever is its own counter value) and how many are missing before it
   */
  push(value: number, items: number): { first: number; missing: number } {
    const m = this.#modulus;
    const here = ((value % m) + m) % m;
    const missing = this.#expected === null ? 0 : (((here - this.#expected) % m) + m) % m;
    const first = this.#expected === null ? here : this.#count + missing;
    this.#count = first + items;
    this.#expected = (here + items) % m;
    return { first, missing };
  }
}

/** A loss that no counter shows. */
export interface HiddenLoss {
  /** The end of the last message that came before the loss for certain, in ticks as counted (losses not added). */
  afterTick: number;
  /** The end of a message that came after the loss for certain, counted in the same way. */
  beforeTick: number;
  /** Ticks lost: a multiple of the unit; null where the step is none, so that something else has changed. */
  ticks: number | null;
  /** By how much later everything arrives from there on. */
  step_s: number;
}

export interface LossSearch {
  losses: HiddenLoss[];
  /** False where arrivals scatter too much to see a loss of one unit: then none found does not mean none. */
  resolved: boolean;
}

/** Arrivals are looked at in stretches of this length first, then in longer ones, whose earliest messages scatter less. */
const shortest_s = 0.25;
const longest_s = 8;
/** Least number of stretches in which a step can be told from scatter. */
const fewest = 8;
/** Stretches on either side of a step whose earliest messages are compared. */
const beside = 4;
/** A busy host catches up within this time; lost samples never come back. */
const patience_s = 10;
/** The skew is found anew so many times with the steps found so far taken out. */
const passes = 4;

/**
 * Finds losses of whole multiples of `unit_ticks` (what a short counter cannot show: 64 samples for 6 bits) by the step
 * that they leave in the clock: from the loss on, everything seems to arrive later, for good. The earliest message of
 * each stretch of time tells the level; the skew is fitted together with the steps. The counter gives the loss modulo the
 * unit, the step gives the multiple. A small loss less than 2 s before the end is not seen.
 *
 * `arrivals` has ticks as counted, with the losses that the counter does show already put in.
 */
export function findHiddenLosses(arrivals: Arrivals, tickHz: number, unit_ticks: number): LossSearch {
  const unit_ns = (unit_ticks / tickHz) * 1e9;
  for (let length_s = shortest_s; length_s <= longest_s; length_s *= 2) {
    const levels = new Levels(arrivals, tickHz, length_s * 1e9);
    if (levels.count < fewest) break;
    if (levels.scatter_ns() > unit_ns / 6) continue;
    let steps: Step[] = [];
    for (let pass = 0; pass < passes; pass++) {
      levels.removeSkew(steps, unit_ns);
      // While steps are still missing from the skew, it makes the others look smaller.
      steps = refined(levels, stepsOf(levels, unit_ns, pass < passes - 1 ? 0.5 : 0.7));
    }
    const losses = steps.map(({ stretch, before_ns, step_ns }): HiddenLoss => {
      const units = Math.round(step_ns / unit_ns);
      const isWhole = Math.abs(step_ns - units * unit_ns) < 0.3 * unit_ns;
      return {
        ...levels.placeOf(stretch, before_ns + step_ns - unit_ns / 2),
        ticks: isWhole ? units * unit_ticks : null,
        step_s: step_ns / 1e9,
      };
    });
    return { losses, resolved: true };
  }
  return { losses: [], resolved: false };
}

/** How late messages came, and the earliest message of each stretch of time. */
class Levels {
  readonly #ticks: Float64Array;
  readonly #lag_ns: Float64Array;
  readonly #time_ns: Float64Array;
  /** The message that was earliest in each stretch, and the first of each stretch. */
  readonly #earliest: number[] = [];
  readonly #first: number[] = [];
  /** Stretches within which a busy host has caught up. */
  readonly patience: number;

  constructor(arrivals: Arrivals, tickHz: number, length_ns: number) {
    const { ticks, arrivals_ns } = arrivals;
    this.#ticks = ticks;
    this.#time_ns = arrivals_ns.map((arrival) => arrival - arrivals_ns[0]!);
    this.#lag_ns = this.#time_ns.map((time, k) => time - ((ticks[k]! - ticks[0]!) / tickHz) * 1e9);
    this.patience = Math.ceil((patience_s * 1e9) / length_ns);
    let last = -1;
    for (let k = 0; k < ticks.length; k++) {
      const at = Math.floor(this.#time_ns[k]! / length_ns);
      // Stretches without a message do not exist: a pause is no step.
      if (at > last) {
        this.#earliest.push(k);
        this.#first.push(k);
        last = at;
      } else if (this.#lag_ns[k]! < this.level(this.count - 1)) {
        this.#earliest[this.count - 1] = k;
      }
    }
  }

  get count(): number {
    return this.#earliest.length;
  }

  /** How late the earliest message of a stretch came. */
  level(stretch: number): number {
    return this.#lag_ns[this.#earliest[stretch]!]!;
  }

  /** Least level of stretches [from, to). */
  least(from: number, to: number): number {
    let least = Infinity;
    for (let j = Math.max(0, from); j < Math.min(to, this.count); j++) least = Math.min(least, this.level(j));
    return least;
  }

  scatter_ns(): number {
    const steps = Array.from({ length: this.count - 1 }, (_, j) => Math.abs(this.level(j + 1) - this.level(j)));
    return (1.4826 * median(steps)!) / Math.SQRT2;
  }

  /** Takes the skew out of all lags, as the line through the levels without the steps tells it. */
  removeSkew(steps: readonly Step[], unit_ns: number): void {
    const x = this.#earliest.map((k) => this.#time_ns[k]!);
    // What the skew takes from a step measured with it is given back by rounding.
    const whole = (step_ns: number) => {
      const units = Math.max(1, Math.round(step_ns / unit_ns));
      return Math.abs(step_ns - units * unit_ns) < 0.3 * unit_ns ? units * unit_ns : step_ns;
    };
    const y = x.map((_, j) => {
      return steps.reduce((level, step) => (step.stretch + 1 < j ? level - whole(step.step_ns) : level), this.level(j));
    });
    let rate = huberLine(x, y)?.slope ?? 0;
    if (steps.length === 0) {
      // Before any step is known, the median over short distances: few of them span a step.
      const far = Math.max(1, Math.floor(this.count / 16));
      const rates = x.slice(far).map((time, j) => (y[j + far]! - y[j]!) / (time - x[j]!));
      rate = median(rates.filter(Number.isFinite)) ?? 0;
    }
    for (let k = 0; k < this.#lag_ns.length; k++) this.#lag_ns[k]! -= rate * this.#time_ns[k]!;
  }

  /**
   * Between which messages a step lies: it comes after the last message up to the end of the stretch after next whose lag is
   * below `limit_ns`, and before the stretch after next, as everything in there is late.
   */
  placeOf(stretch: number, limit_ns: number): { afterTick: number; beforeTick: number } {
    let k = (this.#first[stretch + 3] ?? this.#ticks.length) - 1;
    while (k > 0 && this.#lag_ns[k]! >= limit_ns) k--;
    const after = Math.max(k + 1, this.#first[stretch + 2] ?? 0);
    return { afterTick: this.#ticks[k]!, beforeTick: this.#ticks[Math.min(after, this.#ticks.length - 1)]! };
  }
}

/** The level rises, for good, from `before_ns` up to this stretch to that and `step_ns` after the next, which has some of both. */
interface Step {
  stretch: number;
  before_ns: number;
  step_ns: number;
}

function stepsOf(levels: Levels, unit_ns: number, least_units: number): Step[] {
  const steps: Step[] = [];
  /** Everything before this stretch belongs to an earlier step. */
  let start = 0;
  const stepAt = (stretch: number): Step => {
    const before_ns = levels.least(Math.max(start, stretch + 1 - beside), stretch + 1);
    return { stretch, before_ns, step_ns: levels.least(stretch + 2, stretch + 2 + beside) - before_ns };
  };
  // A small step wants a second of arrivals behind it.
  const isSeen = ({ stretch, step_ns }: Step) =>
    step_ns > 4 * unit_ns || (step_ns > least_units * unit_ns && stretch + 2 + beside <= levels.count);
  const isForGood = ({ stretch, before_ns }: Step) =>
    levels.least(stretch + 2, stretch + 2 + levels.patience) > before_ns + unit_ns / 2;
  for (let j = 0; j + 3 < levels.count; j++) {
    let step = stepAt(j);
    if (!isSeen(step) || !isForGood(step)) continue;
    // A stretch with both early and late messages makes two small steps of a large one; it belongs between.
    for (let next = j + 1; next <= j + 2 && next + 3 < levels.count; next++) {
      const later = stepAt(next);
      if (later.step_ns > step.step_ns && isForGood(later)) step = later;
    }
    steps.push(step);
    start = step.stretch + 2;
    j = step.stretch + 1;
  }
  return steps;
}

/** The steps measured once more, each against as much as lies between it and its neighbours, 16 stretches at most. */
function refined(levels: Levels, steps: readonly Step[]): Step[] {
  const reach = 4 * beside;
  return steps.map(({ stretch }, k) => {
    const from = k === 0 ? 0 : steps[k - 1]!.stretch + 2;
    const to = steps[k + 1]?.stretch ?? levels.count - 1;
    const before_ns = levels.least(Math.max(from, stretch + 1 - reach), stretch + 1);
    const after_ns = levels.least(stretch + 2, Math.min(to + 1, stretch + 2 + reach));
    return { stretch, before_ns, step_ns: after_ns - before_ns };
  });
}
