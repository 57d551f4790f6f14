import type { SampleBlock } from '../signal/types.ts';
import { type Arrivals, ArrivalTimes } from './arrival-times.ts';
import { fitArrivalLine } from './clock-fit.ts';

/** Skew of the instrument's clock against the host's. */
export interface Skew {
  /** Relative: +1e-3 means that the instrument counts 1.001 s of its own in one second of the host. */
  skew: number;
  /** Standard uncertainty from the scatter of the arrival times. */
  u: number;
  /** Larger than crystals explain, and than the scatter. */
  significant: boolean;
}

/** Crystal oscillators stay below 200 ppm (measured on public recordings: at most 261 ppm, specs: audit 1.9); more is a slip. */
const suspicious = 1000e-6;

/** Watches the arrival times of live blocks. */
export class ClockWatch {
  readonly #tickHz: number;
  readonly #arrivals: ArrivalTimes;

  constructor(tickHz: number) {
    this.#tickHz = tickHz;
    this.#arrivals = new ArrivalTimes(tickHz);
  }

  add(block: SampleBlock): void {
    this.#arrivals.addBlock(block);
  }

  get arrivals(): Arrivals {
    return this.#arrivals.points;
  }

  /** Null where too few blocks carry an arrival time or they span less than a second. */
  skew(): Skew | null {
    const line = fitArrivalLine(this.#arrivals.points, { id: 'instrument', tickHz: this.#tickHz });
    if (line === null) return null;
    const skew = 1 / (1 + line.skew) - 1;
    const u = Math.sqrt(line.covariance.skew);
    return { skew, u, significant: Math.abs(skew) > Math.max(suspicious, 5 * u) };
  }
}
