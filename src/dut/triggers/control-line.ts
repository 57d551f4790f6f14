import { Subject } from 'rxjs';
import { DeviceError } from '../../signal/errors.ts';
import type { EdgeBatch, Progress } from '../../signal/types.ts';
import { realTime, type TimeSource, within } from '../../transport/time.ts';
import { EdgeMaker, hostClock, type TriggerDescription, type TriggerSource } from './trigger-source.ts';

export type ControlLine = 'cts' | 'dsr';

export interface ControlLineOptions {
  /** For messages: the path of the port. */
  port: string;
  line: ControlLine;
  /** Levels of the port's input lines. */
  read(): Promise<Record<ControlLine, boolean>>;
  /** How often it is asked. A USB adapter reports changes once a millisecond at best. */
  poll_ms?: number;
  time?: TimeSource;
}

const read_ms = 1000;

/** A control line of a serial port (CTS or DSR), asked again and again: an edge lies between two answers. */
export class ControlLineSource implements TriggerSource {
  readonly edges$ = new Subject<EdgeBatch | Progress>();
  readonly #options: ControlLineOptions;
  readonly #time: TimeSource;
  readonly #poll_ms: number;
  readonly #maker: EdgeMaker;
  #isRunning = false;

  constructor(options: ControlLineOptions) {
    this.#options = options;
    this.#time = options.time ?? realTime;
    this.#poll_ms = options.poll_ms ?? 1;
    this.#maker = new EdgeMaker(hostClock.id, options.line);
  }

  describe(): TriggerDescription {
    const step_s = this.#poll_ms / 1000;
    return {
      kind: 'control-line',
      label: `${this.#options.line.toUpperCase()} of ${this.#options.port}`,
      channel: this.#options.line,
      clock: hostClock,
      resolution_s: step_s,
      latency_s: { least: 0, most: null },
      // Two questions must fall into a pulse, for the host is now and then late with one.
      shortestPulse_s: 2 * step_s,
      polarities: ['rise', 'fall'],
      isCoarse: false,
    };
  }

  async start(): Promise<void> {
    const level = await this.#read();
    this.#isRunning = true;
    this.#watch(level, this.#time.now_ns()).catch((error) => {
      if (this.#isRunning) this.edges$.error(error);
      this.#isRunning = false;
    });
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    this.edges$.complete();
  }

  async #watch(level: boolean, asked_ns: number): Promise<void> {
    for (;;) {
      await new Promise<void>((resolve) => {
        this.#time.after(this.#poll_ms, resolve);
      });
      if (!this.#isRunning) return;
      const now = await this.#read();
      const now_ns = this.#time.now_ns();
      if (!this.#isRunning) return;
      if (now !== level) {
        // Anywhere between the two answers: the middle, with the deviation of a rectangle.
        const width_ns = now_ns - asked_ns;
        const edge = this.#maker.edge(asked_ns + width_ns / 2, now ? 'rise' : 'fall', width_ns / Math.sqrt(12), now_ns);
        this.edges$.next({ kind: 'edges', edges: [edge] });
        level = now;
      }
      asked_ns = now_ns;
      this.edges$.next({ kind: 'progress', clock: hostClock.id, upTo: now_ns });
    }
  }

  async #read(): Promise<boolean> {
    const { port, line, read } = this.#options;
    const failure = (problem: string, cause?: unknown) =>
      new DeviceError('trigger.control-line', {
        where: `${line.toUpperCase()} of ${port}`,
        problem,
        remedy: 'use a serial adapter that has this line; a pseudo-terminal has none',
        cause,
      });
    const levels = await within(this.#time, read_ms, read(), () => failure('it cannot be read')).catch((cause) => {
      throw cause instanceof DeviceError ? cause : failure(`it cannot be read: ${(cause as Error).message}`, cause);
    });
    return levels[line];
  }
}
