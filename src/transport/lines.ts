import { DeviceError } from '../signal/errors.ts';
import type { ByteStream } from './byte-stream.ts';
import { silent } from './errors.ts';
import { realTime, type TimeSource } from './time.ts';

/** What a talkative device may send ahead before its oldest lines are dropped. */
const MAX_QUEUED_LINES = 100_000;

export interface LineOptions {
  /** Sent after each line. Default `\n`. */
  lineEnd?: string;
  /** A longer line is an error. Default 1 Mi characters. */
  maxLength?: number;
  time?: TimeSource;
}

interface Reader {
  resolve(line: string): void;
  reject(error: Error): void;
}

/**
 * Lines of text over a byte stream (UTF-8). Incoming lines end with `\n`; a `\r` before it is dropped. Used for
 * instruments with a command language over TCP or serial.
 */
export class LineChannel {
  readonly #stream: ByteStream;
  readonly #lineEnd: string;
  readonly #maxLength: number;
  readonly #time: TimeSource;
  readonly #decoder = new TextDecoder();
  #partial = '';
  #lines: string[] = [];
  #readers: Reader[] = [];
  #failure: DeviceError | null = null;

  constructor(stream: ByteStream, options: LineOptions = {}) {
    this.#stream = stream;
    this.#lineEnd = options.lineEnd ?? '\n';
    this.#maxLength = options.maxLength ?? 1 << 20;
    this.#time = options.time ?? realTime;
    stream.onData((chunk) => this.#receive(chunk));
    stream.closed.then((reason) => {
      this.#fail(
        reason.kind === 'lost'
          ? reason.error
          : new DeviceError('transport.closed', {
              where: stream.name,
              problem: 'the connection has been closed',
              remedy: 'open it again',
            }),
      );
    });
  }

  /** Sends one line. @throws DeviceError as ByteStream.write() */
  async writeLine(line: string): Promise<void> {
    await this.#stream.write(new TextEncoder().encode(line + this.#lineEnd));
  }

  /**
   * The next line, in order. Lines that came before the connection was lost can still be read.
   * @throws DeviceError `device.silent` after `limit_ms`, `device.protocol` after an overlong line, `device.vanished`
   */
  readLine(limit_ms: number): Promise<string> {
    const line = this.#lines.shift();
    if (line !== undefined) return Promise.resolve(line);
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      const reader: Reader = {
        resolve: (text) => {
          cancel();
          resolve(text);
        },
        reject: (error) => {
          cancel();
          reject(error);
        },
      };
      const cancel = this.#time.after(limit_ms, () => {
        this.#readers = this.#readers.filter((other) => other !== reader);
        reject(silent(this.#stream.name, 'a command', limit_ms));
      });
      this.#readers.push(reader);
    });
  }

  #receive(chunk: Uint8Array): void {
    if (this.#failure) return;
    const text = this.#decoder.decode(chunk, { stream: true });
    const parts = text.split('\n');
    parts[0] = this.#partial + parts[0]!;
    this.#partial = parts.pop()!;
    for (const part of parts) this.#deliver(part.endsWith('\r') ? part.slice(0, -1) : part);
    if (this.#partial.length > this.#maxLength) {
      this.#partial = '';
      this.#fail(
        new DeviceError('device.protocol', {
          where: this.#stream.name,
          problem: `a line of more than ${this.#maxLength} characters`,
          remedy: 'check that this is the right device and the right port',
        }),
      );
    }
  }

  #deliver(line: string): void {
    const reader = this.#readers.shift();
    if (reader) {
      reader.resolve(line);
      return;
    }
    this.#lines.push(line);
    if (this.#lines.length > MAX_QUEUED_LINES) this.#lines.shift();
  }

  #fail(error: DeviceError): void {
    this.#failure ??= error;
    for (const reader of this.#readers) reader.reject(this.#failure);
    this.#readers = [];
  }
}
