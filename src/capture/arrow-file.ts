import { closeSync, read, readSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { FormatError } from '../signal/errors.ts';
import {
  type BatchMessage,
  type DecodedColumn,
  decodeColumns,
  decodeMessage,
  MalformedMessage,
  type SchemaMessage,
} from './arrow-decoder.ts';
import type { Column } from './columns.ts';
import { openForReading } from './files.ts';

const readAsync = promisify(read);

/** No message of ours comes near these; larger ones are damage, and are not allocated. */
const maxMetadataBytes = 1 << 20;
const maxBodyBytes = 64 << 20;

/** Reads at most this much metadata at once; ours is nearly always smaller. */
const firstReadBytes = 2048;

/** Bodies up to this size are read at once, larger ones give the event loop a turn. */
const syncBodyBytes = 64 << 10;

/** A record batch in its file. */
export interface BatchFrame {
  /** Running number of the batch in its file, from 0. */
  index: number;
  offset: number;
  bodyOffset: number;
  /** First byte after it. */
  end: number;
  message: BatchMessage;
}

/** How far an Arrow file of a capture goes. */
export interface ArrowExtent {
  /** First byte after the last whole message. */
  end: number;
  /** True where the end-of-stream marker was written: the file was closed. */
  ended: boolean;
}

/**
 * An Arrow IPC stream file, read one message at a time and never modified. A file that ends inside a message, or
 * without its end-of-stream marker, was cut off: the reader stops at the last whole record batch. Everything else that
 * breaks the format is a FormatError.
 */
export class ArrowFile {
  readonly #path: string;
  readonly #columns: Column[];
  readonly #fd: number;
  readonly #size: number;
  #syncReads = 0;
  /** Grows as `frames` walks; final when it has ended. */
  readonly extent: ArrowExtent = { end: 0, ended: false };

  /** @param limit read no further than this byte: what another process writes after it is not looked at */
  constructor(path: string, columns: Column[], limit = Number.POSITIVE_INFINITY) {
    this.#path = path;
    this.#columns = columns;
    const { fd, size } = openForReading(path);
    this.#fd = fd;
    this.#size = Math.min(size, limit);
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Walks the record batches, reading their metadata only. */
  *frames(): Generator<BatchFrame> {
    for (let offset = 0, index = -1; ; index++) {
      const frame = this.#frameAt(offset);
      if (frame === null) return;
      const { message, bodyOffset } = frame;
      const end = bodyOffset + (message.kind === 'batch' ? message.bodyLength : 0);
      if (end > this.#size) return;
      if ((message.kind === 'schema') !== (index === -1))
        this.#fail(offset, 'expected one schema and then record batches');
      if (message.kind === 'schema') this.#checkSchema(message);
      this.extent.end = end;
      if (message.kind === 'batch') yield { index, offset, bodyOffset, end, message };
      offset = end;
    }
  }

  /** The columns of a batch, in memory of their own. */
  async read(frame: BatchFrame): Promise<DecodedColumn[]> {
    const length = frame.message.bodyLength;
    if (length <= syncBodyBytes) {
      this.#syncReads += 1;
      if (this.#syncReads % 256 === 0) await setImmediate();
      return this.readSync(frame);
    }
    const body = Buffer.allocUnsafeSlow(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await readAsync(this.#fd, body, filled, length - filled, frame.bodyOffset + filled);
      if (bytesRead === 0) this.#fail(frame.offset, 'the file became shorter while it was read');
      filled += bytesRead;
    }
    return this.#decode(frame, body);
  }

  /** The same, at once: for small files and last batches. */
  readSync(frame: BatchFrame): DecodedColumn[] {
    return this.#decode(frame, this.bytes(frame.bodyOffset, frame.end));
  }

  /** The bytes of the file from one place to another. */
  bytes(from: number, to: number): Uint8Array {
    const bytes = Buffer.allocUnsafeSlow(to - from);
    if (this.#readAt(bytes, from) < bytes.length) this.#fail(from, 'the file became shorter while it was read');
    return bytes;
  }

  /** Takes a batch back that a walk has passed: the file counts as cut off before it. */
  endBefore(frame: BatchFrame): void {
    this.extent.end = frame.offset;
    this.extent.ended = false;
  }

  /** A FormatError at this place of the file. */
  error(offset: number, problem: string): FormatError {
    return new FormatError('format.arrow', {
      where: `${this.#path} at byte ${offset}`,
      problem,
      remedy:
        'The file was changed after it was written. `joulemark verify` names every changed block; use another copy.',
    });
  }

  #fail(offset: number, problem: string): never {
    throw this.error(offset, problem);
  }

  #decode(frame: BatchFrame, body: Uint8Array): DecodedColumn[] {
    try {
      return decodeColumns(this.#columns, frame.message, body);
    } catch (error) {
      if (error instanceof MalformedMessage) this.#fail(frame.offset, error.message);
      throw error;
    }
  }

  /** The message that begins at `offset`; null at the end of the file, whether closed or cut off. */
  #frameAt(offset: number): { message: SchemaMessage | BatchMessage; bodyOffset: number } | null {
    const head = Buffer.allocUnsafe(Math.max(0, Math.min(firstReadBytes, this.#size - offset)));
    this.#readAt(head, offset);
    if (head.length < 8) return null;
    const length = head.readInt32LE(4);
    if (head.readInt32LE(0) !== -1) this.#fail(offset, 'no message begins here');
    if (length === 0) {
      if (this.#size > offset + 8) this.#fail(offset + 8, 'bytes follow the end of the stream');
      this.extent.end = offset;
      this.extent.ended = true;
      return null;
    }
    if (length < 0 || length % 8 !== 0 || length > maxMetadataBytes) this.#fail(offset, `a message of ${length} bytes`);
    const bodyOffset = offset + 8 + length;
    if (bodyOffset > this.#size) return null;
    let metadata = head.subarray(8, 8 + length);
    if (metadata.length < length) {
      metadata = Buffer.allocUnsafe(length);
      this.#readAt(metadata, offset + 8);
    }
    try {
      const message = decodeMessage(metadata);
      if (message.kind === 'batch' && message.bodyLength > maxBodyBytes) {
        this.#fail(offset, `a record batch of ${message.bodyLength} bytes`);
      }
      return { message, bodyOffset };
    } catch (error) {
      if (error instanceof MalformedMessage) this.#fail(offset, error.message);
      throw error;
    }
  }

  #checkSchema(message: SchemaMessage): void {
    const found = message.columns.map(({ name, type }) => `${name} ${type}`).join(', ');
    const expected = this.#columns.map(({ name, type }) => `${name} ${type}`).join(', ');
    if (found !== expected) this.#fail(0, `columns are ${found}; run.json promises ${expected}`);
  }

  #readAt(target: Uint8Array, offset: number): number {
    let filled = 0;
    while (filled < target.length) {
      const n = readSync(this.#fd, target, filled, target.length - filled, offset + filled);
      if (n === 0) break;
      filled += n;
    }
    return filled;
  }
}
