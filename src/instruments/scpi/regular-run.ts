import { DeviceError } from '../../signal/errors.ts';
import type { SampleBlock, StreamInfo } from '../../signal/types.ts';
import type { InstrumentEvent } from '../power-instrument.ts';
import type { ScpiContext } from './model.ts';

/** Records may lag behind the wall clock by so much before they count as lost: the instrument needs time to answer. */
const LAG_S = 1;

/** What instruments share that take samples at a fixed rate into a memory that is emptied by and by. */
export abstract class RegularRun {
  abstract readonly stream: StreamInfo;
  readonly #context: ScpiContext;
  readonly #period_s: number;
  #start_ns = 0;
  #lastFetch_ns = 0;
  #count = 0;
  #isOverloaded = false;

  constructor(context: ScpiContext, period_s: number) {
    this.#context = context;
    this.#period_s = period_s;
  }

  /** Tick after the last sample. */
  get nextTick(): number {
    return this.#count * this.stream.ticksPerSample!;
  }

  protected begin(): void {
    this.#start_ns = this.#context.time.now_ns();
    this.#lastFetch_ns = this.#start_ns;
  }

  protected event(code: InstrumentEvent['code'], text: string): void {
    const arrival_ns = this.#context.time.now_ns();
    this.#context.emit({ kind: 'event', code, clock: this.stream.clock, tick: this.nextTick, text, arrival_ns });
  }

  /** Emits samples; readings that are no number become Gaps, overloads an event as well. */
  protected samples(
    columns: Partial<Record<'current' | 'voltage', Float32Array | Float64Array>>,
    arrival_ns: number,
  ): void {
    const arrays = Object.values(columns);
    const length = arrays[0]!.length;
    const isValid = (i: number) => arrays.every((values) => Number.isFinite(values[i]));
    for (let from = 0; from < length; ) {
      const valid = isValid(from);
      let to = from + 1;
      while (to < length && isValid(to) === valid) to++;
      if (valid) this.#emitBlock(columns, from, to, arrival_ns);
      else {
        const isOver = arrays.some((values) =>
          values.slice(from, to).some((value) => Math.abs(value) === Number.POSITIVE_INFINITY),
        );
        this.#context.emit({
          kind: 'gap',
          stream: 'main',
          firstTick: this.nextTick,
          count: to - from,
          cause: 'invalid',
        });
        if (isOver && !this.#isOverloaded) this.event('overload', 'a reading is over its range');
        this.#isOverloaded = isOver;
        this.#count += to - from;
      }
      from = to;
    }
    if (length > 0) {
      this.#context.emit({ kind: 'progress', clock: this.stream.clock, upTo: this.nextTick });
    }
  }

  #emitBlock(
    columns: Partial<Record<'current' | 'voltage', Float32Array | Float64Array>>,
    from: number,
    to: number,
    arrival_ns: number,
  ): void {
    const block: SampleBlock = {
      kind: 'block',
      stream: 'main',
      firstTick: this.nextTick,
      ticksPerSample: this.stream.ticksPerSample!,
      length: to - from,
      arrival_ns,
    };
    for (const [name, values] of Object.entries(columns)) block[name as 'current' | 'voltage'] = values.slice(from, to);
    this.#context.emit(block);
    this.#isOverloaded = false;
    this.#count += to - from;
  }

  /**
   * Holds the number of samples against the wall clock, when the instrument has just given all that it had.
   * @throws DeviceError `device.overrun` where the memory must have overflowed, `device.stalled` where samples do not come
   */
  protected checkElapsed(now_ns: number, memory_s: number, where: string): void {
    const silence_s = (now_ns - this.#lastFetch_ns) / 1e9;
    this.#lastFetch_ns = now_ns;
    const missing_s = (now_ns - this.#start_ns) / 1e9 - this.#count * this.#period_s;
    if (silence_s >= memory_s) {
      throw overrun(where, `it was not read for ${silence_s.toFixed(1)} s and keeps ${memory_s.toFixed(1)} s`);
    }
    if (missing_s <= LAG_S + this.#period_s) return;
    throw new DeviceError('device.stalled', {
      where,
      problem: `${missing_s.toFixed(1)} s of samples have not come`,
      remedy: 'check that nobody stopped the measurement at the front panel, lower the rate, and start again',
    });
  }
}

/** The instrument overwrote samples before they were read, and does not tell how many. */
export function overrun(where: string, problem: string): DeviceError {
  return new DeviceError('device.overrun', {
    where,
    problem: `the memory of the instrument has overflowed: ${problem}`,
    remedy: 'lower the rate, or give the computer and the network less to do',
  });
}
