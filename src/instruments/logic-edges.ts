import type { Edge, EdgeBatch, Gap, SampleBlock } from '../signal/types.ts';

/** A pin that is sampled with the current shows an edge at k that happened in (k-1, k]: k - 1/2, rectangular. */
const HALF_SAMPLE_U = 1 / Math.sqrt(12);

/**
 * Edges of the logic bits of a stream's blocks, on the stream's own clock: tick k - 1/2 where sample k is the first with the
 * new level (specs: 1-bit sampled GPIO), standard uncertainty 1/sqrt(12) of a sample. Levels before the first block and
 * across a gap are not known: a level that differs after a gap is taken at the gap's end, and its uncertainty says so.
 */
export class LogicEdges {
  readonly #clock: string;
  readonly #channels: readonly string[];
  #last: number | null = null;
  /** Samples that are missing just before the next block; null where their number is not known. */
  #missing: number | null = 0;
  #seq: number[];

  /** `channels[k]` names bit k; a bit without a name is ignored. */
  constructor(clock: string, channels: readonly string[]) {
    this.#clock = clock;
    this.#channels = channels;
    this.#seq = channels.map(() => 0);
  }

  /** Samples are missing before the next block. */
  gap(gap: Gap): void {
    this.#missing = this.#missing === null || gap.count === null ? null : this.#missing + gap.count;
  }

  /** The edges of one block, or null where there are none. */
  push(block: SampleBlock): EdgeBatch | null {
    const logic = block.logic;
    if (!logic || logic.length === 0) return null;
    const edges: Edge[] = [];
    let last = this.#last ?? logic[0]!;
    for (let i = 0; i < logic.length; i++) {
      const bits = logic[i]!;
      if (bits === last) continue;
      const step = block.ticksPerSample * (i === 0 && this.#missing !== 0 ? (this.#missing ?? Number.NaN) + 1 : 1);
      for (let k = 0; k < this.#channels.length; k++) {
        if ((((bits ^ last) >> k) & 1) === 0) continue;
        const known = !Number.isNaN(step);
        edges.push({
          clock: this.#clock,
          tick: block.firstTick + i * block.ticksPerSample - (known ? step / 2 : 0),
          u_ticks: known ? step * HALF_SAMPLE_U : null,
          channel: this.#channels[k]!,
          polarity: (bits >> k) & 1 ? 'rise' : 'fall',
          seq: this.#seq[k]!++,
          ...(block.arrival_ns === undefined ? {} : { arrival_ns: block.arrival_ns }),
        });
      }
      last = bits;
    }
    this.#last = last;
    this.#missing = 0;
    return edges.length > 0 ? { kind: 'edges', edges } : null;
  }
}
