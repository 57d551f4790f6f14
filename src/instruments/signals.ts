import type { SignalSource } from '../signal/signal-source.ts';
import type { Polarity } from '../signal/types.ts';

/** A trigger line that is high for `width_s` at start_s, start_s + period_s... */
export interface PulseTrain {
  channel: string;
  start_s: number;
  period_s: number;
  width_s: number;
}

interface Options {
  voltage_V: number;
  pulses?: readonly PulseTrain[];
}

/** What all of them share: a constant voltage and trigger lines. */
abstract class SimpleSignal implements SignalSource {
  readonly #voltage_V: number;
  readonly #pulses: readonly PulseTrain[];

  constructor(options: Options) {
    this.#voltage_V = options.voltage_V;
    this.#pulses = options.pulses ?? [];
  }

  /** Integral of the current from 0 to t_s, in C. */
  protected abstract charge_C(t_s: number): number;

  /** The current if it is the same all over [a_s, b_s], else null. */
  protected abstract constantOver(a_s: number, b_s: number): number | null;

  fillMeans(t0_s: number, dt_s: number, n: number, current: Float64Array, voltage: Float64Array): void {
    for (let k = 0; k < n; k++) {
      const [a, b] = [t0_s + k * dt_s, t0_s + (k + 1) * dt_s];
      current[k] = this.constantOver(a, b) ?? (this.charge_C(b) - this.charge_C(a)) / (b - a);
      voltage[k] = this.#voltage_V;
    }
  }

  edgesBetween(t0_s: number, t1_s: number): { time_s: number; channel: string; polarity: Polarity }[] {
    const edges: { time_s: number; channel: string; polarity: Polarity }[] = [];
    for (const { channel, start_s, period_s, width_s } of this.#pulses) {
      const first = Math.max(0, Math.floor((t0_s - start_s) / period_s) - 1);
      for (let k = first; start_s + k * period_s < t1_s; k++) {
        const rise_s = start_s + k * period_s;
        for (const [time_s, polarity] of [
          [rise_s, 'rise'],
          [rise_s + width_s, 'fall'],
        ] as const) {
          if (time_s >= t0_s && time_s < t1_s) edges.push({ time_s, channel, polarity });
        }
      }
    }
    return edges.sort((a, b) => a.time_s - b.time_s);
  }

  levelAt(channel: string, t_s: number): boolean {
    const train = this.#pulses.find((pulses) => pulses.channel === channel);
    if (!train || t_s < train.start_s) return false;
    return (t_s - train.start_s) % train.period_s < train.width_s;
  }
}

/** A current that repeats a list of levels, each for its own time: DC, steps, spikes. */
export class SteppedSignal extends SimpleSignal {
  readonly #levels_A: readonly number[];
  readonly #ends_s: readonly number[];
  readonly #charges_C: readonly number[];
  readonly #period_s: number;

  constructor(levels: readonly { current_A: number; duration_s: number }[], options: Options) {
    super(options);
    this.#levels_A = levels.map((level) => level.current_A);
    const [ends, charges]: [number[], number[]] = [[], [0]];
    for (const { current_A, duration_s } of levels) {
      ends.push((ends.at(-1) ?? 0) + duration_s);
      charges.push(charges.at(-1)! + current_A * duration_s);
    }
    this.#ends_s = ends;
    this.#charges_C = charges;
    this.#period_s = ends.at(-1)!;
  }

  /** @returns the number of whole periods before t_s, the level at t_s, and where in the period t_s lies */
  #locate(t_s: number): { periods: number; level: number; phase_s: number } {
    const periods = Math.floor(t_s / this.#period_s);
    const phase_s = t_s - periods * this.#period_s;
    const level = this.#ends_s.findIndex((end_s) => phase_s < end_s);
    return { periods, level: level < 0 ? this.#levels_A.length - 1 : level, phase_s };
  }

  protected charge_C(t_s: number): number {
    const { periods, level, phase_s } = this.#locate(t_s);
    const start_s = level === 0 ? 0 : this.#ends_s[level - 1]!;
    return periods * this.#charges_C.at(-1)! + this.#charges_C[level]! + this.#levels_A[level]! * (phase_s - start_s);
  }

  protected constantOver(a_s: number, b_s: number): number | null {
    // Sample borders that should fall on a step must not miss it by rounding.
    const slack_s = (b_s - a_s) * 1e-6;
    const [from, to] = [this.#locate(a_s + slack_s), this.#locate(b_s - slack_s)];
    const isSame = from.periods === to.periods && from.level === to.level;
    return isSame || this.#levels_A.length === 1 ? this.#levels_A[from.level]! : null;
  }
}

export class SineSignal extends SimpleSignal {
  readonly #offset_A: number;
  readonly #amplitude_A: number;
  readonly #omega: number;

  constructor(sine: { offset_A: number; amplitude_A: number; frequency_Hz: number }, options: Options) {
    super(options);
    this.#offset_A = sine.offset_A;
    this.#amplitude_A = sine.amplitude_A;
    this.#omega = 2 * Math.PI * sine.frequency_Hz;
  }

  protected charge_C(t_s: number): number {
    return this.#offset_A * t_s + (this.#amplitude_A * (1 - Math.cos(this.#omega * t_s))) / this.#omega;
  }

  protected constantOver(): null {
    return null;
  }
}
