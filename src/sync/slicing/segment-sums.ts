import { leafSize } from '../../signal/ordered-sum.ts';
import { type Gap, type RangeSums, type SampleBlock, SampleFlag } from '../../signal/types.ts';

/** What lies between two neighbouring cuts of one stream. */
export interface Segment {
  ranges: RangeSums[];
  rangeSwitches: number;
  flagged: { interpolated: number; saturated: number; settling: number };
  missing: number;
  missingUnknown: boolean;
}

/** Running sums of one range inside one segment: finished leaves in `sums`, the leaf under way in `leaf`. */
class RangeAccumulator {
  readonly range: number;
  /** Whole samples and parts of samples are counted apart, so that where blocks end never changes the count. */
  whole = 0;
  parts = 0;
  readonly sums = new Float64Array(6);
  readonly leaf = new Float64Array(6);
  leafIndex = -1;

  constructor(range: number) {
    this.range = range;
  }

  closeLeaf(): void {
    const { sums, leaf } = this;
    for (let q = 0; q < 6; q++) {
      sums[q] += leaf[q];
      leaf[q] = 0;
    }
  }
}

// Places in the sums arrays.
const CURRENT = 0;
const VOLTAGE = 1;
const POWER = 2;
const ENERGY = 3;
const VOLTAGE_CURRENT = 4;
const CURRENT_SQUARED = 5;

/** Cuts that lie behind are let go of when there are so many, and no fewer than lie ahead. */
const forgetCuts = 4096;

/**
 * Sums one regular stream between cuts, in one pass, in the one order of summation, whatever the block boundaries are.
 * Cuts are sample positions (fractional) in ascending order; a sample that a cut splits counts on both sides with the
 * part that lies there. Cuts may be added as long as they lie ahead of the samples. Finished segments are handed over at
 * once, so memory does not grow with the number of cuts.
 */
export class SegmentSummer {
  readonly #cuts: number[] = [];
  readonly #onSegment: (segment: Segment) => void;
  readonly #ticksPerSample: number;
  readonly #dt_s: number;
  #cut = 0;
  #ranges: RangeAccumulator[] = [];
  #active: RangeAccumulator | null = null;
  #switches = 0;
  #lastRange = -1;
  #interpolated = 0;
  #saturated = 0;
  #settling = 0;
  #missing = 0;
  #missingUnknown = false;
  #firstPosition = Number.NaN;
  #position = Number.NaN;

  constructor(ticksPerSample: number, dt_s: number, onSegment: (segment: Segment) => void) {
    this.#ticksPerSample = ticksPerSample;
    this.#dt_s = dt_s;
    this.#onSegment = onSegment;
  }

  /** @throws RangeError for a cut that lies behind the samples */
  addCut(position: number): void {
    if (position < this.#position) throw new RangeError(`a cut at ${position} lies behind sample ${this.#position}`);
    this.#cuts.push(position);
  }

  /** Position of a tick of the stream's clock, in samples. */
  #positionOf(tick: number): number {
    return tick / this.#ticksPerSample;
  }

  /** Position of the first sample ever seen; NaN before it. */
  get firstPosition(): number {
    return this.#firstPosition;
  }

  /** Position behind the last sample or counted gap; NaN before the first. */
  get position(): number {
    return this.#position;
  }

  /** @throws RangeError if the block begins before the end of what came earlier */
  pushBlock(block: SampleBlock): void {
    const start = this.#positionOf(block.firstTick);
    const n = block.length;
    if (Number.isNaN(this.#position)) {
      this.#firstPosition = start;
      while (this.#cut < this.#cuts.length && this.#cuts[this.#cut] <= start) this.#closeSegment();
    } else if (start < this.#position) {
      throw new RangeError(`a block of ${block.stream} begins at sample ${start}, before ${this.#position}`);
    } else {
      this.#skipTo(start);
    }
    this.#position = start + n;
    let k = 0;
    /** Part of sample k that earlier segments have taken. */
    let taken = 0;
    while (this.#cut < this.#cuts.length && this.#cuts[this.#cut] <= start) this.#closeSegment();
    while (this.#cut < this.#cuts.length) {
      const x = this.#cuts[this.#cut] - start;
      if (x >= n) break;
      const whole = Math.floor(x);
      const part = x - whole;
      if (whole > k) {
        if (taken > 0) {
          this.#addPart(block, k, 1 - taken);
          k++;
          taken = 0;
        }
        this.#addWhole(block, k, whole, start);
        k = whole;
      }
      if (part > taken) {
        this.#addPart(block, k, part - taken);
        taken = part;
      }
      this.#closeSegment();
    }
    if (taken > 0) {
      this.#addPart(block, k, 1 - taken);
      k++;
    }
    this.#addWhole(block, k, n, start);
  }

  pushGap(gap: Gap): void {
    if (Number.isNaN(this.#position)) {
      this.#position = this.#positionOf(gap.firstTick);
      this.#firstPosition = this.#position;
    }
    // The tick of the next block tells how long a gap of unknown length was.
    if (gap.count === null) this.#missingUnknown = true;
    else this.#skipTo(this.#position + gap.count);
  }

  /** Counts everything up to `end` as missing, each part in the segment that it lies in. */
  #skipTo(end: number): void {
    while (this.#cut < this.#cuts.length && this.#cuts[this.#cut] <= end) {
      const cut = Math.max(this.#position, this.#cuts[this.#cut]);
      this.#missing += cut - this.#position;
      this.#position = cut;
      this.#closeSegment();
    }
    if (end > this.#position) {
      this.#missing += end - this.#position;
      this.#position = end;
    }
  }

  /** The stream has ended: hands over what is still open, up to the segment behind the last cut. */
  end(): void {
    while (this.#cut < this.#cuts.length) this.#closeSegment();
    this.#closeSegment();
  }

  #closeSegment(): void {
    const ranges: RangeSums[] = [];
    for (const range of this.#ranges) {
      range.closeLeaf();
      const { sums } = range;
      const n = range.whole + range.parts;
      ranges.push({
        range: range.range,
        n,
        time_s: n * this.#dt_s,
        current: sums[CURRENT],
        voltage: sums[VOLTAGE],
        power: sums[POWER],
        energy: sums[ENERGY],
        voltageCurrent: sums[VOLTAGE_CURRENT],
        currentSquared: sums[CURRENT_SQUARED],
      });
    }
    ranges.sort((a, b) => a.range - b.range);
    this.#onSegment({
      ranges,
      rangeSwitches: this.#switches,
      flagged: { interpolated: this.#interpolated, saturated: this.#saturated, settling: this.#settling },
      missing: this.#missing,
      missingUnknown: this.#missingUnknown,
    });
    this.#cut++;
    if (this.#cut >= forgetCuts && 2 * this.#cut >= this.#cuts.length) {
      this.#cuts.splice(0, this.#cut);
      this.#cut = 0;
    }
    this.#ranges = [];
    this.#active = null;
    this.#switches = 0;
    this.#interpolated = 0;
    this.#saturated = 0;
    this.#settling = 0;
    this.#missing = 0;
    this.#missingUnknown = false;
  }

  #accumulator(range: number): RangeAccumulator {
    if (range !== this.#lastRange) {
      if (this.#lastRange >= 0) this.#switches++;
      this.#lastRange = range;
    }
    if (this.#active?.range === range) return this.#active;
    let found = this.#ranges.find((candidate) => candidate.range === range);
    if (found === undefined) {
      found = new RangeAccumulator(range);
      this.#ranges.push(found);
    }
    this.#active = found;
    return found;
  }

  /** Adds the fraction `weight` of sample k. */
  #addPart(block: SampleBlock, k: number, weight: number): void {
    const into = this.#accumulator(block.range ? block.range[k] : 0);
    into.closeLeaf();
    const { sums } = into;
    const current = block.current ? block.current[k] : 0;
    const voltage = block.voltage ? block.voltage[k] : 0;
    into.parts += weight;
    sums[CURRENT] += weight * current;
    sums[VOLTAGE] += weight * voltage;
    if (block.power) sums[POWER] += weight * block.power[k];
    if (block.energy) sums[ENERGY] += weight * block.energy[k];
    sums[VOLTAGE_CURRENT] += weight * (voltage * current);
    sums[CURRENT_SQUARED] += weight * (current * current);
    if (block.flags) this.#countFlags(block.flags, k, k + 1);
  }

  /** Adds whole samples [from, to), a run of one range and one leaf at a time. */
  #addWhole(block: SampleBlock, from: number, to: number, start: number): void {
    if (from >= to) return;
    if (block.flags) this.#countFlags(block.flags, from, to);
    const first = Math.floor(start);
    const { range } = block;
    for (let k = from; k < to; ) {
      const leafIndex = Math.floor((first + k) / leafSize);
      let end = Math.min(to, (leafIndex + 1) * leafSize - first);
      let code = 0;
      if (range) {
        code = range[k];
        let same = k + 1;
        while (same < end && range[same] === code) same++;
        end = same;
      }
      const into = this.#accumulator(code);
      if (into.leafIndex !== leafIndex) {
        into.closeLeaf();
        into.leafIndex = leafIndex;
      }
      into.whole += end - k;
      addRun(block, k, end, into.leaf);
      k = end;
    }
  }

  #countFlags(flags: Uint8Array, from: number, to: number): void {
    for (let k = from; k < to; k++) {
      const flag = flags[k];
      if (flag === 0) continue;
      if (flag & SampleFlag.interpolated) this.#interpolated++;
      if (flag & SampleFlag.saturated) this.#saturated++;
      if (flag & SampleFlag.settling) this.#settling++;
    }
  }
}

/** Continues the leaf's running sums over samples [from, to), left to right. */
function addRun(block: SampleBlock, from: number, to: number, leaf: Float64Array): void {
  const { current, voltage, power, energy } = block;
  if (current && voltage) {
    let sumI = leaf[CURRENT];
    let sumV = leaf[VOLTAGE];
    let sumVI = leaf[VOLTAGE_CURRENT];
    let sumII = leaf[CURRENT_SQUARED];
    for (let k = from; k < to; k++) {
      const i = current[k];
      const v = voltage[k];
      sumI += i;
      sumV += v;
      sumVI += v * i;
      sumII += i * i;
    }
    leaf[CURRENT] = sumI;
    leaf[VOLTAGE] = sumV;
    leaf[VOLTAGE_CURRENT] = sumVI;
    leaf[CURRENT_SQUARED] = sumII;
  } else if (current) {
    let sumI = leaf[CURRENT];
    let sumII = leaf[CURRENT_SQUARED];
    for (let k = from; k < to; k++) {
      const i = current[k];
      sumI += i;
      sumII += i * i;
    }
    leaf[CURRENT] = sumI;
    leaf[CURRENT_SQUARED] = sumII;
  } else if (voltage) {
    leaf[VOLTAGE] = continueSum(voltage, from, to, leaf[VOLTAGE]);
  }
  if (power) leaf[POWER] = continueSum(power, from, to, leaf[POWER]);
  if (energy) leaf[ENERGY] = continueSum(energy, from, to, leaf[ENERGY]);
}

function continueSum(values: ArrayLike<number>, from: number, to: number, sum: number): number {
  for (let k = from; k < to; k++) sum += values[k];
  return sum;
}
