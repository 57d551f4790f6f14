import { Observable } from 'rxjs';
import type { DeviceError } from '../signal/errors.ts';
import type { Chunk, LogLine } from '../signal/types.ts';
import { realTime, type TimeSource } from '../transport/time.ts';
import type { ReachedDut } from './dut-connection.ts';
import { simulatedMark } from './dut-inputs.ts';
import type { RunSource } from './run-source.ts';

/** A device that only makes noise does not fill the memory: its last lines are kept. */
const mostLines = 10_000;

/**
 * What a DUT and its IO manager say before a run begins, while they are looked for and inferences are counted. Nobody asks for it once the
 * run begins; where the device fails before, it is the log of the capture that is kept.
 */
export class Preparation {
  readonly #lines: LogLine[] = [];
  readonly #time: TimeSource;
  readonly #begun_ns: number;

  /** @param time of the DUT */
  constructor(time: TimeSource = realTime) {
    this.#time = time;
    this.#begun_ns = time.now_ns();
  }

  /** Hears a DUT until somebody else does. */
  listen(dut: ReachedDut): void {
    dut.onLine((source, { text, arrival_ns }) => this.#add(source, text, arrival_ns));
  }

  say(source: string, text: string): void {
    this.#add(source, text, this.#time.now_ns());
  }

  /** A run that tells of this and fails. */
  failed(
    error: DeviceError,
    known: Pick<RunSource, 'simulated' | 'clocks' | 'streams' | 'plan' | 'provenance'>,
  ): RunSource {
    this.say('session', `e-[${error.message.replaceAll(/[[\]]/g, ' ')}]`);
    const simulated = known.simulated || this.#lines.some(({ text }) => text.includes(`m-name-dut-[${simulatedMark}`));
    return {
      ...known,
      simulated,
      provenance: { ...known.provenance, simulated },
      isVirtualTime: false,
      chunks$: new Observable<Chunk>((out) => {
        for (const line of this.#lines) out.next(line);
        out.error(error);
      }),
    };
  }

  #add(source: string, text: string, at_ns: number): void {
    // An answer that nobody believes is none.
    const shown = text.includes('m-results-') ? `${source}-damaged` : source;
    this.#lines.push({ kind: 'log', time_s: (at_ns - this.#begun_ns) / 1e9, source: shown, text });
    if (this.#lines.length > mostLines) this.#lines.shift();
  }
}
