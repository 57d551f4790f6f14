import { scanByteChanges, scanPackedChanges } from '../signal/bit-changes.ts';
import type { Edge, Polarity, SampleArray } from '../signal/types.ts';

/** Where edges come from: a line that is looked at every `ticksPerSample` ticks of a clock. */
export interface SampledLine {
  /** ClockInfo.id */
  clock: string;
  channel: string;
  ticksPerSample: number;
}

/**
 * Edges of a line whose level is sampled, one byte or one bit a sample. Sample k is the first with the new level, so the
 * edge lies in (k-1, k]: it is put at k - 1/2 with the standard uncertainty 1/sqrt(12) of a sample (specs: science 3.4).
 * Where samples are missing before k, the edge may lie anywhere among them, and its uncertainty says so.
 */
export class BitEdges {
  readonly #line: SampledLine;
  #level = -1;
  #seq = 0;
  /** Samples missing before the next ones; null where their number is not known. */
  #missing: number | null = 0;

  constructor(line: SampledLine) {
    this.#line = line;
  }

  /** Bytes with the line at the bit of `mask`. */
  push(logic: Uint8Array, mask: number, firstTick: number): Edge[] {
    const changes: number[] = [];
    const before = this.#level;
    this.#level = scanByteChanges(logic, mask, before, changes);
    return this.#edges(changes, before, firstTick, logic.length);
  }

  /** One bit a sample, least significant first; `n` samples. */
  pushPacked(bits: Uint8Array, n: number, firstTick: number): Edge[] {
    const changes: number[] = [];
    const before = this.#level;
    this.#level = scanPackedChanges(bits, n, before, changes);
    return this.#edges(changes, before, firstTick, n);
  }

  /** So many samples are missing before the next ones; null where that is not known. */
  gap(count: number | null): void {
    this.#missing = this.#missing === null || count === null ? null : this.#missing + count;
  }

  #edges(changes: readonly number[], before: number, firstTick: number, n: number): Edge[] {
    const { clock, channel, ticksPerSample } = this.#line;
    // An even number of changes lies between two equal levels, so the first one follows from the last.
    let level = before < 0 ? this.#level ^ (changes.length & 1) : before;
    const edges = changes.map((k): Edge => {
      level ^= 1;
      const missing = k === 0 ? this.#missing : 0;
      const step = ticksPerSample * ((missing ?? 0) + 1);
      return {
        clock,
        tick: firstTick + k * ticksPerSample - (missing === null ? 0 : step / 2),
        u_ticks: missing === null ? null : step / Math.sqrt(12),
        channel,
        polarity: level === 1 ? 'rise' : 'fall',
        seq: this.#seq++,
      };
    });
    if (n > 0) this.#missing = 0;
    return edges;
  }
}

/** The two thresholds of an analog line, in the unit of its samples. */
export interface SchmittThresholds {
  low: number;
  high: number;
  /** Standard deviation of one sample's noise, or null where unknown. */
  noise: number | null;
}

/**
 * Edges of an analog line: it is high from where it rises above `high` until it falls below `low`. The edge is where the
 * signal last passed the middle of the two on its way, interpolated between samples:
 * t = t_k + dt (thr - x_k) / (x_{k+1} - x_k) (specs: science 3.4). Its uncertainty is the noise over the slope there, and
 * dt / sqrt(12) where the noise is not known.
 */
export class SchmittEdges {
  readonly #line: SampledLine;
  readonly #thresholds: SchmittThresholds;
  readonly #middle: number;
  #isHigh: boolean | null = null;
  #last = Number.NaN;
  #lastTick = 0;
  /** Last passage of the middle: up in [0], down in [1]; NaN where there was none since the last edge. */
  #passages: [{ tick: number; u: number }, { tick: number; u: number }] = [nowhere, nowhere];
  #seq = 0;

  /** @throws RangeError unless low < high */
  constructor(line: SampledLine, thresholds: SchmittThresholds) {
    if (!(thresholds.low < thresholds.high)) {
      throw new RangeError(`the thresholds ${thresholds.low} and ${thresholds.high} leave no hysteresis`);
    }
    this.#line = line;
    this.#thresholds = thresholds;
    this.#middle = (thresholds.low + thresholds.high) / 2;
  }

  /** Samples are missing before the next ones: what the line did meanwhile is not known. */
  gap(): void {
    this.#last = Number.NaN;
    this.#isHigh = null;
    this.#passages = [nowhere, nowhere];
  }

  /** Values at firstTick, firstTick + ticksPerSample... */
  push(values: SampleArray, firstTick: number): Edge[] {
    const { low, high } = this.#thresholds;
    const { ticksPerSample } = this.#line;
    const middle = this.#middle;
    const edges: Edge[] = [];
    let last = this.#last;
    let isHigh = this.#isHigh;
    for (let k = 0; k < values.length; k++) {
      const value = values[k]!;
      if (last < middle !== value < middle && !Number.isNaN(last)) {
        const from = k === 0 ? this.#lastTick : firstTick + (k - 1) * ticksPerSample;
        this.#passages[value < middle ? 1 : 0] = this.#passage(from, last, value);
      }
      last = value;
      if (isHigh !== true && value >= high) {
        if (isHigh === false) edges.push(this.#edge(this.#passages[0], 'rise'));
        isHigh = true;
      } else if (isHigh !== false && value <= low) {
        if (isHigh === true) edges.push(this.#edge(this.#passages[1], 'fall'));
        isHigh = false;
      }
    }
    if (values.length > 0) this.#lastTick = firstTick + (values.length - 1) * ticksPerSample;
    this.#last = last;
    this.#isHigh = isHigh;
    return edges;
  }

  #passage(from: number, a: number, b: number): { tick: number; u: number } {
    const { ticksPerSample } = this.#line;
    const { noise } = this.#thresholds;
    const part = (this.#middle - a) / (b - a);
    const most = ticksPerSample / Math.sqrt(12);
    const u = noise === null ? most : (noise * Math.hypot(1 - part, part) * ticksPerSample) / Math.abs(b - a);
    return { tick: from + part * ticksPerSample, u: Math.min(u, most) };
  }

  #edge(passage: { tick: number; u: number }, polarity: Polarity): Edge {
    const { clock, channel } = this.#line;
    return { clock, tick: passage.tick, u_ticks: passage.u, channel, polarity, seq: this.#seq++ };
  }
}

const nowhere = { tick: Number.NaN, u: Number.NaN };

/** Statistics of pulse widths as an oscilloscope shows them (specs: science M1), in s. */
export interface PulseWidths {
  /** Level of the pulses. */
  level: 'high' | 'low';
  /** The last one. */
  value_s: number;
  mean_s: number;
  min_s: number;
  max_s: number;
  /** Sample standard deviation; null for a single pulse. */
  sdev_s: number | null;
  num: number;
}

/**
 * Widths of the high (or low) pulses of one channel: from each edge into that level to the next edge of the channel, if
 * that is the edge out of it. Edges in time order. Null where there is no whole pulse.
 */
export function pulseWidths(
  edges: readonly Edge[],
  channel: string,
  level: 'high' | 'low',
  tickHz: number,
): PulseWidths | null {
  const begins: Polarity = level === 'high' ? 'rise' : 'fall';
  let open: Edge | null = null;
  let [num, value, mean, squares, min, max] = [0, 0, 0, 0, Infinity, -Infinity];
  for (const edge of edges) {
    if (edge.channel !== channel) continue;
    if (edge.polarity === begins) {
      open = edge;
    } else if (open !== null) {
      value = (edge.tick - open.tick) / tickHz;
      open = null;
      num++;
      // Welford's running mean and sum of squares.
      const step = value - mean;
      mean += step / num;
      squares += step * (value - mean);
      min = Math.min(min, value);
      max = Math.max(max, value);
    }
  }
  if (num === 0) return null;
  const sdev_s = num > 1 ? Math.sqrt(squares / (num - 1)) : null;
  return { level, value_s: value, mean_s: mean, min_s: min, max_s: max, sdev_s, num };
}
