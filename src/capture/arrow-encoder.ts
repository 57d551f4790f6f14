import {
  type Data,
  Field,
  Float32,
  Float64,
  makeData,
  RecordBatch,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  Uint8,
  Utf8,
  vectorFromArray,
} from 'apache-arrow';
import type { Column } from './columns.ts';

/** The values of one column: typed arrays are used as they are, without a copy; plain arrays may hold nulls. */
export type ColumnValues = Float32Array | Float64Array | Uint8Array | (string | null)[] | (number | null)[];

const types = { f32: () => new Float32(), f64: () => new Float64(), u8: () => new Uint8(), utf8: () => new Utf8() };

/** apache-arrow's own stream writer with its output queue replaced by a list, so that a batch is written without a copy. */
class ChunkWriter extends RecordBatchStreamWriter {
  chunks: Uint8Array[] = [];

  protected override _write(chunk: Uint8Array | ArrayBufferView): this {
    const { buffer, byteOffset, byteLength } = chunk;
    if (byteLength > 0) this.chunks.push(new Uint8Array(buffer, byteOffset, byteLength));
    return this;
  }

  /** apache-arrow keeps the place of every batch for a footer that streams do not have; the list would grow without end. */
  forgetBlocks(): void {
    this._recordBatchBlocks = [];
  }
}

/** Turns columns into the messages of an Arrow IPC stream, each as a list of byte chunks in file order. */
export class ArrowEncoder {
  readonly #columns: Column[];
  readonly #schema: Schema;
  readonly #writer = new ChunkWriter({ autoDestroy: false });

  /** @param metadata key-value pairs for the Arrow schema, for readers other than ours */
  constructor(columns: Column[], metadata: Map<string, string>) {
    this.#columns = columns;
    this.#schema = new Schema(
      columns.map(({ name, type, nullable }) => new Field(name, types[type](), nullable)),
      metadata,
    );
  }

  /** The schema message; it comes first, once. */
  schema(): Uint8Array[] {
    this.#writer.reset(undefined, this.#schema);
    return this.#take();
  }

  /** One record batch. The chunks are views of the given arrays: write them before the arrays change. */
  batch(values: ColumnValues[], length: number, metadata: Map<string, string>): Uint8Array[] {
    const children = this.#columns.map((column, i) => columnData(column, values[i]!, length));
    const data = makeData({ type: new Struct(this.#schema.fields), length, nullCount: 0, children });
    this.#writer.write(new RecordBatch(this.#schema, data, metadata));
    return this.#take();
  }

  #take(): Uint8Array[] {
    const { chunks } = this.#writer;
    this.#writer.chunks = [];
    this.#writer.forgetBlocks();
    return chunks;
  }
}

/** The end-of-stream marker of Arrow IPC. */
export const endOfStream: Uint8Array = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0);

function columnData(column: Column, values: ColumnValues, length: number): Data {
  if (Array.isArray(values)) {
    return vectorFromArray(values as (number | string | null)[], types[column.type]() as Utf8).data[0]!;
  }
  return makeData({ type: types[column.type]() as Float32, length, nullCount: 0, data: values as Float32Array });
}
