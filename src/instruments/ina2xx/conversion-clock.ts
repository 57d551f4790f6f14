/** When a conversion was seen to be complete. */
export interface Sighting {
  /** It was not complete yet at this host time; null if nobody looked. */
  notBefore_ns: number | null;
  /** It was complete at this host time. */
  notAfter_ns: number;
}

/** The interval over which a result was averaged, on the host's clock. */
export interface ConversionTime {
  start_ns: number;
  end_ns: number;
  /** Half of the time in which its end may have been, in ns. */
  u_ns: number;
  /** Results that were overwritten before anybody read them, just before this one. */
  missed: number;
}

/** Weight of each sighting in the estimate of the period. */
const FOLLOW = 0.05;
/** The chip's own oscillator is within this of typical; the estimate never leaves it. */
const TOLERANCE_REL = 0.15;
/** Rounding when whole periods are counted without a lower bound. */
const COUNT_SLACK = 0.03;

/**
 * Turns sightings of a chip's ready flag into intervals. A chip converts without pause, so intervals follow each other
 * without holes: where the end of a conversion is only known to lie between two looks, it is put where the chip's own
 * period says, within these bounds. A result that nobody read is told by the time since the last one.
 */
export class ConversionClock {
  readonly #nominal_ns: number;
  #period_ns: number;
  #lastEnd_ns: number | null = null;

  constructor(nominal_ns: number) {
    this.#nominal_ns = nominal_ns;
    this.#period_ns = nominal_ns;
  }

  get period_ns(): number {
    return this.#period_ns;
  }

  /** When the next conversion should be complete; null before the first. */
  get expected_ns(): number | null {
    return this.#lastEnd_ns === null ? null : this.#lastEnd_ns + this.#period_ns;
  }

  /** The interval of the latest result. */
  see({ notBefore_ns, notAfter_ns }: Sighting): ConversionTime {
    const last_ns = this.#lastEnd_ns;
    // Whatever was complete earlier has been overwritten since.
    const latest_ns = notAfter_ns - this.#period_ns;
    const least_ns = Math.max(latest_ns, notBefore_ns ?? last_ns ?? latest_ns);
    const middle_ns = (least_ns + notAfter_ns) / 2;
    const u_ns = (notAfter_ns - least_ns) / 2;
    if (last_ns === null) {
      this.#lastEnd_ns = middle_ns;
      return { start_ns: middle_ns - this.#period_ns, end_ns: middle_ns, u_ns, missed: 0 };
    }
    const isSharp = u_ns < this.#period_ns / 4;
    const periods = isSharp
      ? Math.round((middle_ns - last_ns) / this.#period_ns)
      : Math.floor((notAfter_ns - last_ns) / this.#period_ns + COUNT_SLACK);
    const count = Math.max(1, periods);
    const predicted_ns = last_ns + count * this.#period_ns;
    const end_ns = Math.min(notAfter_ns, Math.max(least_ns, predicted_ns));
    // Only a look just before and one just after tell something of the period.
    if (isSharp) this.#follow((middle_ns - last_ns) / count);
    this.#lastEnd_ns = end_ns;
    const start_ns = count === 1 ? last_ns : end_ns - this.#period_ns;
    return { start_ns, end_ns, u_ns, missed: count - 1 };
  }

  #follow(observed_ns: number): void {
    const followed = this.#period_ns + FOLLOW * (observed_ns - this.#period_ns);
    const [least, most] = [this.#nominal_ns * (1 - TOLERANCE_REL), this.#nominal_ns * (1 + TOLERANCE_REL)];
    this.#period_ns = Math.min(most, Math.max(least, followed));
  }
}
