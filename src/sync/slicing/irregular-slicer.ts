import type { Stage } from '../../signal/reducer.ts';
import {
  type Gap,
  type RangeSums,
  type SampleBlock,
  SampleFlag,
  type StreamInfo,
  type Window,
  type WindowSlice,
} from '../../signal/types.ts';
import { type EnergyMethod, energyMethodOf } from '../energy-method.ts';
import type { SlicingRule } from '../slicing.ts';
import { uniformDelay_s } from './range-delays.ts';

const ID = 'proportional-irregular/1';

/**
 * For sources whose samples have intervals of their own (INA226, PTDaemon): a sample counts with the part of its interval
 * [start, end) that lies in the window. Sums are of w*x with w in seconds of overlap; of energies a sample gives the same part.
 * What no interval covers counts nothing: `time_s` tells how much was covered.
 */
export const proportionalIrregular: SlicingRule = {
  id: ID,
  windowClock: 'stream',
  makeSlicer: (stream, windows, tickHz) => new IrregularSlicer(stream, windows, tickHz),
};

/** A window under way. */
interface Open {
  slice: WindowSlice;
  /** Ends on the stream's clock, with the group delay. */
  start: number;
  end: number;
  lastRange: number;
}

/** A gap whose end is not known before the next block. */
interface PendingGap {
  start: number;
  count: number | null;
}

/** Cuts an irregular stream into windows, sorted by their starts, on the stream's clock. Samples come in time order. */
export class IrregularSlicer implements Stage<SampleBlock | Gap, WindowSlice> {
  readonly #stream: StreamInfo;
  readonly #tickHz: number;
  readonly #method: EnergyMethod;
  readonly #windows: Open[];
  /** Windows before this one are done. */
  #next = 0;
  #gaps: PendingGap[] = [];
  #firstTick = Number.NaN;
  #position = Number.NaN;
  /** Sums over everything so far. */
  readonly totals = { energy_J: 0, outside_J: 0, samples: 0, missing: 0, missingUnknown: false };

  constructor(stream: StreamInfo, windows: Window[], tickHz: number) {
    const method = energyMethodOf(stream);
    if (method === null || stream.ticksPerSample !== null) {
      throw new TypeError(`stream ${stream.id} cannot be sliced here: it is regular or carries no power`);
    }
    this.#stream = stream;
    this.#tickHz = tickHz;
    this.#method = method;
    const delay = (uniformDelay_s(stream) ?? stream.groupDelay_s ?? 0) * tickHz;
    this.#windows = windows.map((window) => ({
      start: window.startTick + delay,
      end: window.endTick + delay,
      lastRange: -1,
      slice: {
        window,
        stream: stream.id,
        method: ID,
        dt_s: 1,
        ranges: [],
        rangeSwitches: 0,
        flagged: { interpolated: 0, saturated: 0, settling: 0 },
        missing: 0,
        missingUnknown: false,
        outside: false,
        before: null,
        after: null,
        correctedEnergy_J: null,
        biasBound_J: null,
      },
    }));
  }

  /** @throws TypeError for a block without intervals */
  push(chunk: SampleBlock | Gap): WindowSlice[] {
    if (chunk.kind === 'gap') {
      this.#gaps.push({ start: chunk.firstTick, count: chunk.count });
      if (chunk.count === null) this.totals.missingUnknown = true;
      else this.totals.missing += chunk.count;
      return [];
    }
    const { startTicks, endTicks } = chunk;
    if (!startTicks || !endTicks) throw new TypeError(`a block of ${chunk.stream} has no intervals`);
    if (chunk.length === 0) return [];
    if (Number.isNaN(this.#firstTick)) this.#firstTick = startTicks[0];
    this.#closeGaps(startTicks[0]);
    for (let k = 0; k < chunk.length; k++) this.#add(chunk, k, startTicks[k], endTicks[k]);
    this.#position = endTicks[chunk.length - 1];
    return this.#takeUpTo(this.#position);
  }

  end(): WindowSlice[] {
    this.#closeGaps(Number.POSITIVE_INFINITY);
    return this.#takeUpTo(Number.POSITIVE_INFINITY);
  }

  #add(block: SampleBlock, k: number, start: number, end: number): void {
    const whole = emptySums(block.range?.[k] ?? 0);
    addPart(whole, block, k, (end - start) / this.#tickHz, 1);
    const energy_J = this.#method.energy_J(whole, 1);
    this.totals.samples++;
    this.totals.energy_J += energy_J;
    let inside = 0;
    for (let w = this.#next; w < this.#windows.length; w++) {
      const open = this.#windows[w];
      if (open.start >= end) break;
      const overlap = Math.min(end, open.end) - Math.max(start, open.start);
      if (overlap <= 0) continue;
      const part = overlap / (end - start);
      inside += part;
      addPart(sumsOf(open, whole.range), block, k, overlap / this.#tickHz, part);
      countFlags(open.slice, block.flags?.[k] ?? 0);
    }
    this.totals.outside_J += (1 - Math.min(1, inside)) * energy_J;
  }

  /** Now that the next sample is known, so is the end of the gaps before it. */
  #closeGaps(end: number): void {
    for (const { start, count } of this.#gaps) {
      for (let w = this.#next; w < this.#windows.length; w++) {
        const { slice, ...open } = this.#windows[w];
        if (open.start >= end && open.start > start) break;
        if (open.end <= start) continue;
        const share = end > start ? (Math.min(end, open.end) - Math.max(start, open.start)) / (end - start) : 1;
        if (count === null) slice.missingUnknown = true;
        // Behind the last sample of all, the place of what is missing is not known any better.
        else slice.missing += Number.isFinite(end) ? count * share : count;
      }
    }
    this.#gaps = [];
  }

  #takeUpTo(position: number): WindowSlice[] {
    const done: WindowSlice[] = [];
    while (this.#next < this.#windows.length && this.#windows[this.#next].end <= position) {
      const { slice, start, end } = this.#windows[this.#next++];
      slice.ranges.sort((a, b) => a.range - b.range);
      slice.outside = !(start >= this.#firstTick && end <= this.#position);
      done.push(slice);
    }
    return done;
  }
}

function emptySums(range: number): RangeSums {
  return {
    range,
    n: 0,
    time_s: 0,
    current: 0,
    voltage: 0,
    power: 0,
    energy: 0,
    voltageCurrent: 0,
    currentSquared: 0,
  };
}

function sumsOf(open: Open, range: number): RangeSums {
  if (open.lastRange >= 0 && open.lastRange !== range) open.slice.rangeSwitches++;
  open.lastRange = range;
  let found = open.slice.ranges.find((sums) => sums.range === range);
  if (!found) {
    found = emptySums(range);
    open.slice.ranges.push(found);
  }
  return found;
}

/** Adds `part` of sample k, which covers `weight_s` seconds. */
function addPart(sums: RangeSums, block: SampleBlock, k: number, weight_s: number, part: number): void {
  const current = block.current?.[k] ?? 0;
  const voltage = block.voltage?.[k] ?? 0;
  sums.n += part;
  sums.time_s += weight_s;
  sums.current += weight_s * current;
  sums.voltage += weight_s * voltage;
  sums.power += weight_s * (block.power?.[k] ?? 0);
  sums.energy += part * (block.energy?.[k] ?? 0);
  sums.voltageCurrent += weight_s * (voltage * current);
  sums.currentSquared += weight_s * (current * current);
}

function countFlags({ flagged }: WindowSlice, flags: number): void {
  if (flags & SampleFlag.interpolated) flagged.interpolated++;
  if (flags & SampleFlag.saturated) flagged.saturated++;
  if (flags & SampleFlag.settling) flagged.settling++;
}
