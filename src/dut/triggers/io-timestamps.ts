import { Subject } from 'rxjs';
import type { EdgeBatch, Polarity, Progress } from '../../signal/types.ts';
import type { IoManager, TimerMode } from '../io-manager.ts';
import { EdgeMaker, type TriggerDescription, type TriggerSource } from './trigger-source.ts';

const channel = 'D3';
const clock = { id: 'io-manager', tickHz: 1e6, kind: 'instrument', epoch_ns: null } as const;
/** Its counter has 32 bits: 71.6 minutes. */
const wrap_us = 2 ** 32;
/** What the rules of MLPerf Tiny demand of a DUT, and the board sees. */
const shortestPulse_s = 1e-6;

/**
 * Edges that the UNO stamps (`m-lap-us-N` of its own timer), on its clock. Each comes a second time under the name of the input of
 * the instrument that may be on the same wire: where it is, that relates the two clocks.
 */
export class IoTimestampSource implements TriggerSource {
  readonly edges$ = new Subject<EdgeBatch | Progress>();
  readonly #manager: IoManager;
  readonly #mode: TimerMode;
  readonly #makers: EdgeMaker[];
  #removeListener: (() => void) | null = null;
  #last_us = 0;
  #wraps = 0;
  #next: Polarity = 'fall';

  /** @param input of the instrument, where it has one */
  constructor(manager: IoManager, mode: TimerMode, input: string | null = null) {
    this.#manager = manager;
    this.#mode = mode;
    const wires = input === null || input === channel ? [channel] : [channel, input];
    this.#makers = wires.map((wire) => new EdgeMaker(clock.id, wire));
  }

  describe(): TriggerDescription {
    return {
      kind: 'io-manager',
      label: `timer of the IO manager ${this.#manager.name}`,
      channel,
      clock: { ...clock, latencyBound_s: this.#manager.roundTrip_s },
      // It prints microseconds; how fine its counter really is, nobody says.
      resolution_s: null,
      latency_s: { least: 0, most: null },
      shortestPulse_s,
      polarities: this.#mode === 'falling' ? ['fall'] : ['rise', 'fall'],
      isCoarse: false,
    };
  }

  async start(): Promise<void> {
    this.#removeListener = this.#manager.onTimestamp((time_us, arrival_ns) => {
      if (time_us < this.#last_us) this.#wraps++;
      this.#last_us = time_us;
      const tick = time_us + this.#wraps * wrap_us;
      const polarity = this.#polarity();
      this.edges$.next({
        kind: 'edges',
        edges: this.#makers.map((maker) => maker.edge(tick, polarity, null, arrival_ns)),
      });
      this.edges$.next({ kind: 'progress', clock: clock.id, upTo: tick });
    });
    await this.#manager.enableTimer(this.#mode);
  }

  async stop(): Promise<void> {
    this.#removeListener?.();
    await this.#manager.disableTimer().catch(() => {});
    this.edges$.complete();
  }

  /** In mode `change` the board does not say which edge it was: the line idles high, so they take turns from a fall on. */
  #polarity(): Polarity {
    if (this.#mode === 'falling') return 'fall';
    const polarity = this.#next;
    this.#next = polarity === 'fall' ? 'rise' : 'fall';
    return polarity;
  }
}
