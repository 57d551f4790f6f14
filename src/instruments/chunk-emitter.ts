import { Subject } from 'rxjs';
import type { DeviceError } from '../signal/errors.ts';
import type { GapCause } from '../signal/types.ts';
import type { TimeSource } from '../transport/time.ts';
import type { InstrumentChunk, InstrumentEvent } from './power-instrument.ts';

/** What a driver emits, all on one clock. */
export class ChunkEmitter {
  readonly #chunks = new Subject<InstrumentChunk>();
  readonly chunks$ = this.#chunks.asObservable();
  readonly #time: TimeSource;
  readonly #clock: string;

  constructor(time: TimeSource, clock: string) {
    this.#time = time;
    this.#clock = clock;
  }

  emit(chunk: InstrumentChunk): void {
    this.#chunks.next(chunk);
  }

  event(code: InstrumentEvent['code'], text: string, tick: number): void {
    this.emit({ kind: 'event', code, clock: this.#clock, tick, text, arrival_ns: this.#time.now_ns() });
  }

  /** All edges up to this tick have been emitted. */
  progress(upTo: number): void {
    this.emit({ kind: 'progress', clock: this.#clock, upTo });
  }

  /** `count` is null where it is not known how many samples are missing. */
  gap(stream: string, firstTick: number, count: number | null, cause: GapCause): void {
    this.emit({ kind: 'gap', stream, firstTick, count, cause });
  }

  complete(): void {
    this.#chunks.complete();
  }

  fail(error: DeviceError): void {
    this.#chunks.error(error);
  }
}
