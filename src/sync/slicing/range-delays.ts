import type { Gap, SampleBlock, StreamInfo } from '../../signal/types.ts';

/** The delay of a range, in s; `u_s` is null where its uncertainty is not known. */
interface RangeDelay {
  delay_s: number;
  u_s: number | null;
}

/** The delay that counts in a range: its own, else the stream's, else 0 of unknown uncertainty. */
export function delayOf(stream: StreamInfo, range: number): RangeDelay {
  const own = stream.ranges.find(({ index }) => index === range);
  if (typeof own?.groupDelay_s === 'number') return { delay_s: own.groupDelay_s, u_s: own.u_groupDelay_s ?? null };
  return { delay_s: stream.groupDelay_s ?? 0, u_s: stream.u_groupDelay_s ?? null };
}

/** The range of samples that name none. */
export function onlyRange({ ranges }: StreamInfo): number {
  return ranges.length === 1 ? ranges[0]!.index : 0;
}

/** The one delay of all ranges of a stream, in s (0 where nothing is known); null where ranges differ. */
export function uniformDelay_s(stream: StreamInfo): number | null {
  const delays = new Set(stream.ranges.map(({ index }) => delayOf(stream, index).delay_s));
  if (delays.size > 1) return null;
  return delays.size === 1 ? [...delays][0]! : (stream.groupDelay_s ?? 0);
}

/** Where a flank that the pin's edge makes shows in the samples. Times in ticks of the stream's clock. */
export interface EdgeDelay {
  /** The range through which the flank is first seen. */
  range: number;
  delay_s: number;
  ticks: number;
  /** Standard uncertainty of the delay; null where unknown. */
  u_ticks: number | null;
  /** How far off the delayed edge may lie because the range changes around it. */
  doubt_ticks: number;
}

/**
 * Tells the delays of edges from the ranges of the samples around them (`range-delay/1`). The range of an edge is that of
 * the last sample before the one in which the undelayed edge lies: the flank cannot have changed it, and is first seen through
 * it. (Where a range has a negative delay, that much earlier.) The samples from there to the one behind the delayed edge
 * tell whether the range changes meanwhile; the largest difference to a delay among these is doubt. Before the first sample
 * its range counts; in a gap, the range before it.
 */
export class RangeTrack {
  readonly #stream: StreamInfo;
  readonly #tickHz: number;
  readonly #ticksPerSample: number;
  /** Samples between an edge and the cell that it lies in, as the slicer counts positions. */
  readonly #cellOffset: number;
  /** Runs of one range: position of the first sample, and range. */
  #from: number[] = [];
  #range: number[] = [];
  /** Position behind the last sample. */
  #end = Number.NEGATIVE_INFINITY;
  #isEnded = false;
  readonly #delays = new Map<number, RangeDelay>();
  /** Least and largest delay that an edge may have, in ticks. */
  readonly least_ticks: number;
  readonly most_ticks: number;

  constructor(stream: StreamInfo, tickHz: number, ticksPerSample: number) {
    this.#stream = stream;
    this.#tickHz = tickHz;
    this.#ticksPerSample = ticksPerSample;
    this.#cellOffset = stream.semantics === 'mean-centred' ? -0.5 : 0;
    const delays = stream.ranges.map(({ index }) => delayOf(stream, index).delay_s * tickHz);
    // A range that the stream does not list has the stream's delay.
    delays.push((stream.groupDelay_s ?? 0) * tickHz);
    this.least_ticks = Math.min(...delays);
    this.most_ticks = Math.max(...delays);
  }

  add(chunk: SampleBlock | Gap): void {
    if (chunk.kind === 'gap' || chunk.length === 0) return;
    const first = Math.round(chunk.firstTick / this.#ticksPerSample);
    const { range } = chunk;
    let last = this.#range.at(-1) ?? -1;
    if (range === undefined) {
      const only = onlyRange(this.#stream);
      if (only !== last) this.#begin(first, only);
    } else {
      for (let k = 0; k < chunk.length; k++) {
        if (range[k] === last) continue;
        last = range[k]!;
        this.#begin(first + k, last);
      }
    }
    this.#end = first + chunk.length;
  }

  /** No samples come any more: what is not known by now never will be. */
  end(): void {
    this.#isEnded = true;
  }

  /** Where the flank of an edge at `tick` shows; null while the samples that tell it have not come. */
  delayAt(tick: number): EdgeDelay | null {
    const at = tick / this.#ticksPerSample - this.#cellOffset;
    const untouched = Math.floor(at + Math.min(0, this.least_ticks) / this.#ticksPerSample) - 1;
    if (!this.#isEnded && this.#end <= untouched) return null;
    const range = this.#range[this.#runAt(untouched)] ?? 0;
    const { delay_s, u_s } = this.#delay(range);
    const ticks = delay_s * this.#tickHz;
    const last = Math.floor(Math.max(at, at + ticks / this.#ticksPerSample)) + 1;
    if (!this.#isEnded && this.#end <= last) return null;
    let doubt_s = 0;
    for (let run = this.#runAt(untouched); run < this.#from.length && this.#from[run]! <= last; run++) {
      doubt_s = Math.max(doubt_s, Math.abs(this.#delay(this.#range[run]!).delay_s - delay_s));
    }
    return {
      range,
      delay_s,
      ticks,
      u_ticks: u_s === null ? null : u_s * this.#tickHz,
      doubt_ticks: doubt_s * this.#tickHz,
    };
  }

  /** Lets go of what edges from `tick` on do not need. */
  forget(tick: number): void {
    const run = this.#runAt((tick + Math.min(0, this.least_ticks)) / this.#ticksPerSample - 2);
    if (run < 1024) return;
    this.#from.splice(0, run);
    this.#range.splice(0, run);
  }

  #begin(position: number, range: number): void {
    this.#from.push(position);
    this.#range.push(range);
  }

  /** The run that holds a position: the first one for what lies before it. */
  #runAt(position: number): number {
    let low = 0;
    let high = this.#from.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#from[middle]! <= position) low = middle;
      else high = middle;
    }
    return low;
  }

  #delay(range: number): RangeDelay {
    let found = this.#delays.get(range);
    if (found === undefined) {
      found = delayOf(this.#stream, range);
      this.#delays.set(range, found);
    }
    return found;
  }
}
