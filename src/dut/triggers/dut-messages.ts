import { Subject } from 'rxjs';
import type { EdgeBatch, Progress } from '../../signal/types.ts';
import type { TimedLine } from '../line-queue.ts';
import { parseDutLine } from '../protocol.ts';
import { EdgeMaker, hostClock, type TriggerDescription, type TriggerSource } from './trigger-source.ts';

const channel = 'uart';
/** `m-infer-start-N`, at most nine digits, and `m-infer-done`, with their line ends. */
const messageCharacters = 25;

/**
 * The messages of the DUT as edges: `m-infer-start` is a rise, `m-infer-done` a fall, at their arrival at this computer. Coarse: they say
 * when the host heard of a window, not when it was.
 */
export class DutMessageSource implements TriggerSource {
  readonly edges$ = new Subject<EdgeBatch | Progress>();
  readonly #maker = new EdgeMaker(hostClock.id, channel);
  readonly #line_s: number;
  #isRunning = false;

  /** @param baud of the DUT's port */
  constructor(baud: number) {
    this.#line_s = (messageCharacters * 10) / baud;
  }

  describe(): TriggerDescription {
    return {
      kind: 'dut-messages',
      label: 'messages of the DUT',
      channel,
      clock: hostClock,
      resolution_s: 1e-9,
      latency_s: { least: 0, most: null },
      // Shorter windows end before their beginning has been told.
      shortestPulse_s: this.#line_s,
      polarities: ['rise', 'fall'],
      isCoarse: true,
    };
  }

  /** Takes a line of the DUT; wire it to the client's `onLine`. */
  heard(line: TimedLine): void {
    if (!this.#isRunning) return;
    for (const { kind } of parseDutLine(line).messages) {
      if (kind !== 'infer-start' && kind !== 'infer-done') continue;
      const polarity = kind === 'infer-start' ? 'rise' : 'fall';
      this.edges$.next({ kind: 'edges', edges: [this.#maker.edge(line.arrival_ns, polarity, null, line.arrival_ns)] });
    }
  }

  async start(): Promise<void> {
    this.#isRunning = true;
  }

  async stop(): Promise<void> {
    this.#isRunning = false;
    this.edges$.complete();
  }
}
