import type { Gap, GapCause, SampleArray, SampleBlock, SampleQuantity } from '../../signal/types.ts';

/** Samples of one rail in a block, at most. */
const MAX_BLOCK = 64;
/** A block waits for more samples no longer than this. */
const MAX_WAIT_NS = 50e6;

/** What the blocks of a stream carry: two quantities, and the number of the range where the stream has several. */
export interface BlockShape {
  stream: string;
  quantities: readonly [SampleQuantity, SampleQuantity];
  makeArray: (length: number) => SampleArray;
  range: number | null;
}

/** Collects samples that have intervals of their own into blocks. */
export class IntervalBlocks {
  readonly #shape: BlockShape;
  readonly #start = new Float64Array(MAX_BLOCK);
  readonly #end = new Float64Array(MAX_BLOCK);
  readonly #values: readonly [SampleArray, SampleArray];
  readonly #flags = new Uint8Array(MAX_BLOCK);
  #length = 0;
  #isFlagged = false;
  #firstArrival_ns = 0;
  #arrival_ns = 0;

  constructor(shape: BlockShape) {
    this.#shape = shape;
    this.#values = [shape.makeArray(MAX_BLOCK), shape.makeArray(MAX_BLOCK)];
  }

  /** Adds a sample over [start, end) with the stream's two quantities; returns a block when it is full or has waited long enough. */
  add(
    start: number,
    end: number,
    first: number,
    second: number,
    flags: number,
    arrival_ns: number,
  ): SampleBlock | null {
    const k = this.#length++;
    if (k === 0) this.#firstArrival_ns = arrival_ns;
    this.#arrival_ns = arrival_ns;
    this.#start[k] = start;
    this.#end[k] = end;
    this.#values[0][k] = first;
    this.#values[1][k] = second;
    this.#flags[k] = flags;
    this.#isFlagged ||= flags !== 0;
    const isDue = this.#length === MAX_BLOCK || arrival_ns - this.#firstArrival_ns >= MAX_WAIT_NS;
    return isDue ? this.flush() : null;
  }

  /** What has been collected, or null if nothing has. */
  flush(): SampleBlock | null {
    const n = this.#length;
    if (n === 0) return null;
    const { stream, quantities, range } = this.#shape;
    const block: SampleBlock = {
      kind: 'block',
      stream,
      firstTick: Math.round(this.#start[0]!),
      ticksPerSample: 0,
      length: n,
      startTicks: this.#start.slice(0, n),
      endTicks: this.#end.slice(0, n),
      arrival_ns: this.#arrival_ns,
    };
    block[quantities[0]] = this.#values[0].slice(0, n);
    block[quantities[1]] = this.#values[1].slice(0, n);
    if (range !== null) block.range = new Uint8Array(n).fill(range);
    if (this.#isFlagged) block.flags = this.#flags.slice(0, n);
    this.#length = 0;
    this.#isFlagged = false;
    return block;
  }

  gap(tick: number, count: number | null, cause: GapCause): Gap {
    return { kind: 'gap', stream: this.#shape.stream, firstTick: Math.round(tick), count, cause };
  }
}
