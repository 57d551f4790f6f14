import type { Gap, SampleBlock, StreamInfo } from '../signal/types.ts';
import { ArrowEncoder, type ColumnValues } from './arrow-encoder.ts';
import { type ByteColumn, type Column, rowBytes, sampleColumns } from './columns.ts';

/** A record batch holds at most this many bytes of samples. */
export const maxBatchBytes = 4 << 20;

/** And the arrival times of at most this many blocks, so that its metadata stays small. */
const maxArrivals = 4096;

const byteColumns: readonly string[] = ['range', 'flags', 'logic'] satisfies ByteColumn[];

/**
 * The record batch of one stream that is being filled. Samples are copied once, in bulk, into arrays that live as
 * long as the stream; the batch on disk is written straight from them.
 */
export class SampleBatch {
  readonly stream: StreamInfo;
  readonly encoder: ArrowEncoder;
  readonly capacity: number;
  readonly #columns: Column[];
  readonly #arrays: (Float32Array | Float64Array | Uint8Array)[];
  #length = 0;
  #firstTick = 0;
  #nextTick: number | null = null;
  #rows = 0;
  #arrivals: [row: number, arrival_ns: number][] = [];
  /** Writer time at which the first sample of this batch came. */
  since_ms = 0;

  constructor(stream: StreamInfo) {
    this.stream = stream;
    this.#columns = sampleColumns(stream);
    this.encoder = sampleEncoder(stream);
    this.capacity = Math.floor(maxBatchBytes / rowBytes(this.#columns));
    this.#arrays = this.#columns.map(({ type }) =>
      type === 'f32'
        ? new Float32Array(this.capacity)
        : type === 'f64'
          ? new Float64Array(this.capacity)
          : new Uint8Array(this.capacity),
    );
  }

  get length(): number {
    return this.#length;
  }

  /** Rows written before this batch. */
  get rows(): number {
    return this.#rows;
  }

  /** True where a batch with this block would be too large. */
  overflows(block: SampleBlock): boolean {
    return this.#length + block.length > this.capacity || this.#arrivals.length >= maxArrivals;
  }

  /** True where the block does not follow the sample before it without a break, so that a new segment begins. */
  breaksAt(block: SampleBlock): boolean {
    if (this.#nextTick === null) return true;
    if (this.stream.ticksPerSample === null) return false;
    return block.firstTick !== this.#nextTick;
  }

  /** A gap came: whatever follows is a new segment. */
  breakHere(): void {
    this.#nextTick = null;
  }

  /** Copies samples [from, to) of a block behind those already held. There must be room. */
  append(block: SampleBlock, from: number, to: number, now_ms: number): void {
    const at = this.#length;
    const firstTick = tickOfSample(block, from);
    if (at === 0) {
      this.since_ms = now_ms;
      this.#firstTick = firstTick;
    }
    for (let i = 0; i < this.#columns.length; i++) {
      const source = block[this.#columns[i]!.name as keyof SampleBlock] as Float32Array | undefined;
      const target = this.#arrays[i] as Float32Array;
      if (source === undefined) target.fill(0, at, at + to - from);
      else target.set(to - from === source.length ? source : source.subarray(from, to), at);
    }
    if (block.arrival_ns !== undefined) this.#arrivals.push([at, block.arrival_ns]);
    this.#length = at + to - from;
    this.#nextTick = firstTick + (to - from) * block.ticksPerSample;
  }

  /** The bytes of the batch; the next one starts empty. Write them before the next append. */
  take(): Uint8Array[] {
    const metadata = new Map([
      ['firstRow', String(this.#rows)],
      ['firstTick', String(this.#firstTick)],
    ]);
    if (this.#arrivals.length > 0) metadata.set('arrivals', JSON.stringify(this.#arrivals));
    const values: ColumnValues[] = this.#arrays.map((array) => array.subarray(0, this.#length));
    const chunks = this.encoder.batch(values, this.#length, metadata);
    this.#rows += this.#length;
    this.#length = 0;
    this.#arrivals = [];
    return chunks;
  }
}

/** The encoder of a stream's sample file. */
export function sampleEncoder(stream: StreamInfo): ArrowEncoder {
  return new ArrowEncoder(sampleColumns(stream), new Map([['joulemark', `samples/1 ${stream.id}`]]));
}

/** Tick of sample i: for an irregular block, the whole tick in which its interval begins. */
function tickOfSample(block: SampleBlock, i: number): number {
  if (i === 0) return block.firstTick;
  return block.startTicks === undefined ? block.firstTick + i * block.ticksPerSample : Math.floor(block.startTicks[i]!);
}

/** Throws where a block does not carry what its stream announced: that is a bug of the driver, not of the data. */
export function assertBlockFits(block: SampleBlock, stream: StreamInfo, columns: Column[]): void {
  const fail = (problem: string): never => {
    throw new TypeError(`stream ${stream.id}, block at tick ${block.firstTick}: ${problem}`);
  };
  if (!Number.isSafeInteger(block.firstTick)) fail('firstTick is no safe integer');
  if (stream.ticksPerSample !== null && block.ticksPerSample !== stream.ticksPerSample) {
    fail(`ticksPerSample is ${block.ticksPerSample}, announced was ${stream.ticksPerSample}`);
  }
  for (const { name, type } of columns) {
    const array = block[name as keyof SampleBlock] as unknown as ArrayBufferView | undefined;
    if (array === undefined) {
      if (!byteColumns.includes(name)) fail(`${name} is missing`);
      continue;
    }
    const fits =
      type === 'f32'
        ? array instanceof Float32Array
        : type === 'f64'
          ? array instanceof Float64Array
          : array instanceof Uint8Array;
    if (!fits) fail(`${name} is not ${type}`);
    if ((array as Uint8Array).length !== block.length) fail(`${name} does not hold ${block.length} samples`);
  }
  const known = columns.map(({ name }) => name);
  for (const name of ['current', 'voltage', 'power', 'energy', ...byteColumns, 'startTicks', 'endTicks']) {
    if (block[name as keyof SampleBlock] !== undefined && !known.includes(name)) fail(`${name} was not announced`);
  }
}

/** One row of the segments table: where a contiguous run of samples begins, or where samples are missing. */
export interface SegmentRow {
  stream: string;
  kind: 'segment' | 'gap';
  /** Samples of the stream before it. */
  firstRow: number;
  firstTick: number;
  /** Segments only; null for an irregular stream. */
  ticksPerSample: number | null;
  /** Gaps only: how many samples are missing, null where unknown. */
  count: number | null;
  cause: Gap['cause'] | null;
}

/** The segments table's columns of some rows, in the order of `segmentColumns`. */
export function segmentValues(rows: SegmentRow[]): ColumnValues[] {
  return [
    rows.map((row) => row.stream),
    rows.map((row) => row.kind),
    Float64Array.from(rows, (row) => row.firstRow),
    Float64Array.from(rows, (row) => row.firstTick),
    rows.map((row) => row.ticksPerSample),
    rows.map((row) => row.count),
    rows.map((row) => row.cause),
  ];
}
