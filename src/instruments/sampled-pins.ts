import type { SignalSource } from '../signal/signal-source.ts';

/** An edge time that should fall on a sample must not miss it by rounding. */
const EDGE_SLACK = 1e-6;

/** Logic inputs of an emulator that are read at the beginning of each sample. */
export class SampledPins {
  readonly #source: SignalSource;
  readonly #inputs: readonly string[];
  readonly #sample_s: number;
  #levels = 0;
  /** By the sample that shows them first, counted from the beginning of the present batch, ascending. */
  #edges: { index: number; bit: number; rise: boolean }[] = [];
  #batch = 0;

  /** `inputs[k]` is the channel of the source that input k is wired to. */
  constructor(source: SignalSource, inputs: readonly string[], sample_s: number) {
    this.#source = source;
    this.#inputs = inputs;
    this.#sample_s = sample_s;
  }

  /** A stream begins at source time `t_s`. */
  start(t_s: number): void {
    this.#edges = [];
    this.#batch = 0;
    this.#levels = 0;
    for (const [bit, channel] of this.#inputs.entries()) {
      if (this.#source.levelAt(channel, t_s)) this.#levels |= 1 << bit;
    }
  }

  /** The next `n` samples begin at source time `t0_s`. */
  nextBatch(t0_s: number, n: number): void {
    for (const late of this.#edges) late.index -= this.#batch;
    this.#batch = n;
    for (const { time_s, channel, polarity } of this.#source.edgesBetween(t0_s, t0_s + n * this.#sample_s)) {
      const index = Math.ceil((time_s - t0_s) / this.#sample_s - EDGE_SLACK);
      for (const [bit, name] of this.#inputs.entries()) {
        if (name === channel) this.#edges.push({ index, bit, rise: polarity === 'rise' });
      }
    }
  }

  /** Levels at sample k of the batch, bit i for input i; to be asked in ascending order. */
  levelsAt(k: number): number {
    while (this.#edges.length > 0 && this.#edges[0]!.index <= k) {
      const { bit, rise } = this.#edges.shift()!;
      this.#levels = rise ? this.#levels | (1 << bit) : this.#levels & ~(1 << bit);
    }
    return this.#levels;
  }
}
