/**
 * Reads the messages of an Arrow IPC stream from bytes that may be anything. apache-arrow's own decoder trusts the
 * lengths that it finds and can loop or allocate without end on a damaged file; here every offset and length is
 * checked against the bytes that are there. Layout: https://arrow.apache.org/docs/format/Columnar.html and the
 * flatbuffers schemas Message.fbs and Schema.fbs.
 */
import type { Column, ColumnType } from './columns.ts';

/** What is wrong with the bytes; the caller adds file and offset. */
export class MalformedMessage extends Error {}

export interface SchemaMessage {
  kind: 'schema';
  columns: { name: string; type: ColumnType | 'other' }[];
}

export interface BatchMessage {
  kind: 'batch';
  length: number;
  bodyLength: number;
  metadata: Map<string, string>;
  nodes: { length: number; nullCount: number }[];
  buffers: { offset: number; length: number }[];
}

/** One column's values: views of the body where the type allows it. */
export type DecodedColumn = Float32Array | Float64Array | Uint8Array | (string | null)[] | (number | null)[];

/**
 * Decodes the flatbuffer of one message.
 * @throws MalformedMessage where it is no schema and no plain record batch
 */
export function decodeMessage(bytes: Uint8Array): SchemaMessage | BatchMessage {
  try {
    const flat = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const message = new Table(flat, flat.getUint32(0, true));
    const headerType = message.uint8(1);
    const header = message.table(2);
    if (header === null) throw new MalformedMessage('a message without a header');
    if (headerType === 1) return { kind: 'schema', columns: header.tables(1).map(decodeField) };
    if (headerType !== 3) throw new MalformedMessage(`a message of type ${headerType}, expected a record batch`);
    if (header.table(3) !== null) throw new MalformedMessage('a compressed record batch');
    return {
      kind: 'batch',
      length: header.int64(0),
      bodyLength: message.int64(3),
      metadata: new Map(message.tables(4).map((pair) => [pair.text(0), pair.text(1)])),
      nodes: header.pairs(1).map(([length, nullCount]) => ({ length, nullCount })),
      buffers: header.pairs(2).map(([offset, length]) => ({ offset, length })),
    };
  } catch (error) {
    // DataView's own bounds check: an offset pointed outside the message.
    if (error instanceof RangeError) throw new MalformedMessage('a message whose offsets point outside it');
    throw error;
  }
}

/**
 * The columns of a record batch. Numbers without nulls come as views of `body`, the others as arrays.
 * @throws MalformedMessage where the batch does not hold these columns
 */
export function decodeColumns(columns: Column[], batch: BatchMessage, body: Uint8Array): DecodedColumn[] {
  let next = 0;
  const takeBuffer = (bytesNeeded: number): Uint8Array => {
    const region = batch.buffers[next++];
    if (region === undefined) throw new MalformedMessage('a record batch with too few buffers');
    const { offset, length } = region;
    if (offset + length > body.length) throw new MalformedMessage('a buffer that reaches outside its record batch');
    if (length < bytesNeeded) throw new MalformedMessage('a buffer that is too short for its rows');
    return body.subarray(offset, offset + length);
  };
  return columns.map(({ name, type, nullable }, i) => {
    const node = batch.nodes[i];
    if (node === undefined || node.length !== batch.length || node.nullCount > (nullable ? batch.length : 0)) {
      throw new MalformedMessage(`column ${name} does not have ${batch.length} rows`);
    }
    const n = batch.length;
    const validity = takeBuffer(node.nullCount > 0 ? Math.ceil(n / 8) : 0);
    const isNull = (row: number): boolean => node.nullCount > 0 && ((validity[row >> 3]! >> (row & 7)) & 1) === 0;
    if (type === 'utf8') {
      const entries = n === 0 ? 0 : n + 1;
      const offsets = new Int32Array(...placed(takeBuffer(4 * entries), 4, entries));
      const data = takeBuffer(0);
      return Array.from({ length: n }, (_, row) => (isNull(row) ? null : text(data, offsets[row]!, offsets[row + 1]!)));
    }
    if (type === 'u8') return takeBuffer(n).subarray(0, n);
    const values =
      type === 'f32'
        ? new Float32Array(...placed(takeBuffer(4 * n), 4, n))
        : new Float64Array(...placed(takeBuffer(8 * n), 8, n));
    return nullable ? Array.from(values, (value, row) => (isNull(row) ? null : value)) : values;
  });
}

function decodeField(field: Table): { name: string; type: ColumnType | 'other' } {
  const name = field.text(0);
  const typeId = field.uint8(2);
  const type = field.table(3);
  if (typeId === 5) return { name, type: 'utf8' };
  if (typeId === 2 && type?.int32(0) === 8 && type.uint8(1) === 0) return { name, type: 'u8' };
  if (typeId === 3 && type?.int16(0) === 1) return { name, type: 'f32' };
  if (typeId === 3 && type?.int16(0) === 2) return { name, type: 'f64' };
  return { name, type: 'other' };
}

/** Place of n numbers for a typed array; copied only where their bytes are not aligned. */
function placed(bytes: Uint8Array, size: number, n: number): [ArrayBuffer, number, number] {
  if (bytes.byteOffset % size === 0) return [bytes.buffer as ArrayBuffer, bytes.byteOffset, n];
  return [bytes.slice(0, n * size).buffer, 0, n];
}

function text(data: Uint8Array, from: number, to: number): string {
  if (from < 0 || to < from || to > data.length) throw new MalformedMessage('text that reaches outside its buffer');
  return Buffer.from(data.buffer, data.byteOffset + from, to - from).toString();
}

/** A flatbuffers table. Reading outside the bytes throws the RangeError of DataView. */
class Table {
  readonly #flat: DataView;
  readonly #at: number;
  readonly #vtable: number;

  constructor(flat: DataView, at: number) {
    this.#flat = flat;
    this.#at = at;
    this.#vtable = at - flat.getInt32(at, true);
  }

  /** Place of field `id`, or 0 where the table does not have it. */
  #field(id: number): number {
    const slot = 4 + 2 * id;
    if (slot >= this.#flat.getUint16(this.#vtable, true)) return 0;
    const offset = this.#flat.getUint16(this.#vtable + slot, true);
    return offset === 0 ? 0 : this.#at + offset;
  }

  uint8(id: number): number {
    const at = this.#field(id);
    return at === 0 ? 0 : this.#flat.getUint8(at);
  }

  int16(id: number): number {
    const at = this.#field(id);
    return at === 0 ? 0 : this.#flat.getInt16(at, true);
  }

  int32(id: number): number {
    const at = this.#field(id);
    return at === 0 ? 0 : this.#flat.getInt32(at, true);
  }

  int64(id: number): number {
    const at = this.#field(id);
    return at === 0 ? 0 : this.#length64(at);
  }

  table(id: number): Table | null {
    const at = this.#field(id);
    return at === 0 ? null : new Table(this.#flat, this.#follow(at));
  }

  text(id: number): string {
    const at = this.#field(id);
    if (at === 0) return '';
    const start = this.#follow(at);
    const length = this.#count(start, 1);
    return Buffer.from(this.#flat.buffer, this.#flat.byteOffset + start + 4, length).toString();
  }

  tables(id: number): Table[] {
    const at = this.#field(id);
    if (at === 0) return [];
    const start = this.#follow(at);
    return Array.from({ length: this.#count(start, 4) }, (_, i) => {
      return new Table(this.#flat, this.#follow(start + 4 + 4 * i));
    });
  }

  /** A vector of structs of two int64. */
  pairs(id: number): [number, number][] {
    const at = this.#field(id);
    if (at === 0) return [];
    const start = this.#follow(at);
    return Array.from({ length: this.#count(start, 16) }, (_, i) => {
      const item = start + 4 + 16 * i;
      return [this.#length64(item), this.#length64(item + 8)];
    });
  }

  #follow(at: number): number {
    return at + this.#flat.getUint32(at, true);
  }

  /** Length of the vector at `start`, which must fit into the bytes. */
  #count(start: number, itemSize: number): number {
    const count = this.#flat.getUint32(start, true);
    if (start + 4 + count * itemSize > this.#flat.byteLength)
      throw new MalformedMessage('a list longer than its message');
    return count;
  }

  #length64(at: number): number {
    const value = Number(this.#flat.getBigInt64(at, true));
    if (!Number.isSafeInteger(value) || value < 0) throw new MalformedMessage(`an impossible length ${value}`);
    return value;
  }
}
