import { filter, type Observable, Subject, type Subscription } from 'rxjs';
import type { ClockInfo, EdgeBatch, Progress } from '../../signal/types.ts';
import type { TriggerDescription, TriggerSource } from './trigger-source.ts';

export interface InstrumentPin {
  /** As the instrument calls its input. */
  channel: string;
  clock: ClockInfo;
  /** The instrument looks at the pin this often; a timer's count where it captures edges. */
  resolution_s: number;
  /** Absent: one step of the resolution, as with a pin that is sampled. */
  shortestPulse_s?: number;
}

/** A pin that the instrument itself samples or captures: its edges are among what the instrument emits, on its own clock. */
export class InstrumentPinSource implements TriggerSource {
  readonly edges$: Observable<EdgeBatch | Progress>;
  readonly #pin: InstrumentPin;
  readonly #out = new Subject<EdgeBatch | Progress>();
  readonly #chunks$: Observable<{ kind: string }>;
  #subscription: Subscription | null = null;

  /** @param chunks$ everything that the instrument emits */
  constructor(chunks$: Observable<{ kind: string }>, pin: InstrumentPin) {
    this.#chunks$ = chunks$;
    this.#pin = pin;
    this.edges$ = this.#out;
  }

  describe(): TriggerDescription {
    const { channel, clock, resolution_s, shortestPulse_s } = this.#pin;
    return {
      kind: 'instrument-pin',
      label: `input ${channel} of the instrument`,
      channel,
      clock,
      resolution_s,
      latency_s: { least: 0, most: resolution_s },
      shortestPulse_s: shortestPulse_s ?? resolution_s,
      polarities: ['rise', 'fall'],
      isCoarse: false,
    };
  }

  async start(): Promise<void> {
    const { channel, clock } = this.#pin;
    this.#subscription = this.#chunks$
      .pipe(filter((chunk): chunk is EdgeBatch | Progress => chunk.kind === 'edges' || chunk.kind === 'progress'))
      .subscribe({
        next: (chunk) => {
          if (chunk.kind === 'progress') {
            if (chunk.clock === clock.id) this.#out.next(chunk);
            return;
          }
          const edges = chunk.edges.filter((edge) => edge.clock === clock.id && edge.channel === channel);
          if (edges.length > 0) this.#out.next({ kind: 'edges', edges });
        },
        error: (error) => this.#out.error(error),
        complete: () => this.#out.complete(),
      });
  }

  async stop(): Promise<void> {
    this.#subscription?.unsubscribe();
    this.#out.complete();
  }
}
