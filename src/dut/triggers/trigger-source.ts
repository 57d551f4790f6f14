import type { Observable } from 'rxjs';
import { UsageError } from '../../signal/errors.ts';
import type { ClockInfo, Edge, EdgeBatch, Polarity, Progress } from '../../signal/types.ts';

/** What a source of trigger edges says of itself before it starts. Unknown is null. */
export interface TriggerDescription {
  kind: 'instrument-pin' | 'gpio' | 'io-manager' | 'dut-messages' | 'control-line' | 'recording';
  /** For people. */
  label: string;
  channel: string;
  /** The clock of its edges. */
  clock: ClockInfo;
  /** Step between neighbouring times, in s. */
  resolution_s: number | null;
  /** An edge's time lies this much after the edge, at least and at most. */
  latency_s: { least: number; most: number | null };
  /** Every pulse of at least this length shows both of its edges. */
  shortestPulse_s: number | null;
  polarities: readonly Polarity[];
  /** True where the times are those of messages and not of edges. */
  isCoarse: boolean;
}

/** A live source of trigger edges. The order of calls is subscribe, start, stop. */
export interface TriggerSource {
  describe(): TriggerDescription;
  /** Hot. Completes after stop(), errors with a DeviceError when the source vanishes. */
  readonly edges$: Observable<EdgeBatch | Progress>;
  /** @throws DeviceError where it cannot be opened */
  start(): Promise<void>;
  /** Idempotent; never rejects. */
  stop(): Promise<void>;
}

/**
 * Refuses pulses that the source may miss.
 * @param pulse_s shortest pulse of the profile
 * @throws UsageError `trigger.pulse-too-short`, `trigger.pulse-unknown`
 */
export function checkPulse(description: TriggerDescription, pulse_s: number, profile: string): void {
  const { shortestPulse_s, label } = description;
  const where = `trigger source ${label}`;
  if (shortestPulse_s === null) {
    throw new UsageError('trigger.pulse-unknown', {
      where,
      problem: `nothing says how short a pulse it sees; ${profile} has pulses of ${inMicroseconds(pulse_s)}`,
      remedy: 'measure it and set it in the rig file, or choose another source',
    });
  }
  if (pulse_s >= shortestPulse_s) return;
  throw new UsageError('trigger.pulse-too-short', {
    where,
    problem: `it sees pulses of ${inMicroseconds(shortestPulse_s)} and more; ${profile} has pulses of ${inMicroseconds(pulse_s)}`,
    remedy:
      'make the pulse of the DUT longer and say so (`trigger.pulse_s`), or choose a source that sees it (a faster rate, a pin that the instrument samples)',
  });
}

function inMicroseconds(time_s: number): string {
  return `${Number((time_s * 1e6).toPrecision(3))} us`;
}

/** The host's monotonic clock in nanoseconds, the one that arrival times are on. */
export const hostClock: ClockInfo = { id: 'host', tickHz: 1e9, kind: 'host', epoch_ns: null };

/** Numbers edges and makes batches of them. */
export class EdgeMaker {
  readonly #clock: string;
  readonly #channel: string;
  #seq = 0;

  constructor(clock: string, channel: string) {
    this.#clock = clock;
    this.#channel = channel;
  }

  edge(tick: number, polarity: Polarity, u_ticks: number | null, arrival_ns?: number): Edge {
    return {
      clock: this.#clock,
      tick,
      u_ticks,
      channel: this.#channel,
      polarity,
      seq: this.#seq++,
      ...(arrival_ns === undefined ? {} : { arrival_ns }),
    };
  }
}
