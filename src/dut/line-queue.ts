import { realTime, type TimeSource } from '../transport/time.ts';
import type { ReceivedLine } from './protocol.ts';

/** A line with the host's monotonic nanoseconds at which its end arrived. */
export interface TimedLine extends ReceivedLine {
  arrival_ns: number;
}

/** What a talkative device may send ahead before its oldest lines are dropped. */
const maxQueuedLines = 100_000;

/** Lines between the port that receives them and the one reader that waits for them. */
export class LineQueue {
  readonly #time: TimeSource;
  #lines: TimedLine[] = [];
  #reader: { resolve(line: TimedLine): void; reject(error: Error): void } | null = null;
  #failure: Error | null = null;

  constructor(time: TimeSource = realTime) {
    this.#time = time;
  }

  push(line: TimedLine): void {
    const reader = this.#reader;
    this.#reader = null;
    if (reader) reader.resolve(line);
    else if (this.#lines.push(line) > maxQueuedLines) this.#lines.shift();
  }

  /** No further line will come; what came before can still be read. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#reader?.reject(this.#failure);
    this.#reader = null;
  }

  /** The next line in order. @throws what `fail` was given, or `onTimeout()` after `limit_ms` */
  next(limit_ms: number, onTimeout: () => Error): Promise<TimedLine> {
    if (this.#reader !== null) throw new Error('LineQueue: two readers');
    const line = this.#lines.shift();
    if (line !== undefined) return Promise.resolve(line);
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      const cancel = this.#time.after(limit_ms, () => {
        this.#reader = null;
        reject(onTimeout());
      });
      this.#reader = {
        resolve: (text) => {
          cancel();
          resolve(text);
        },
        reject: (error) => {
          cancel();
          reject(error);
        },
      };
    });
  }

  /** All lines that wait. */
  take(): TimedLine[] {
    const lines = this.#lines;
    this.#lines = [];
    return lines;
  }
}
