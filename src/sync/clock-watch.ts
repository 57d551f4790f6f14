import type { SampleBlock } from '../signal/types.ts';

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

/**
 * Watches the arrival times of live blocks. Messages only ever come late, so the line under all points tells the
 * rate: the lower half of the residuals is fitted again until it settles.
 */
export class ClockWatch {
  readonly #tickHz: number;
  #times: number[] = [];
  #arrivals: number[] = [];
  /** Only every #keep-th block is kept, so that memory stays bounded. */
  #keep = 1;
  #seen = 0;

  constructor(tickHz: number) {
    this.#tickHz = tickHz;
  }

  add(block: SampleBlock): void {
    if (block.arrival_ns === undefined) return;
    if (this.#seen++ % this.#keep !== 0) return;
    this.#times.push((block.firstTick + block.length * block.ticksPerSample) / this.#tickHz);
    this.#arrivals.push(block.arrival_ns * 1e-9);
    if (this.#times.length > 4096) {
      this.#times = this.#times.filter((_, k) => k % 2 === 0);
      this.#arrivals = this.#arrivals.filter((_, k) => k % 2 === 0);
      this.#keep *= 2;
    }
  }

  /** Null where too few blocks carry an arrival time or they span less than a second. */
  skew(): Skew | null {
    let points = this.#times.map((x, k) => ({ x, y: this.#arrivals[k] }));
    if (points.length < 16 || points[points.length - 1].x - points[0].x < 1) return null;
    let line = fitLine(points);
    for (let pass = 0; pass < 4 && points.length >= 32; pass++) {
      const below = points.filter((point) => point.y <= line.a + line.b * point.x);
      if (below.length < 16) break;
      points = below;
      line = fitLine(points);
    }
    const skew = 1 / line.b - 1;
    return { skew, u: line.u, significant: Math.abs(skew) > Math.max(suspicious, 5 * line.u) };
  }
}

/** Least squares y = a + b x with the standard uncertainty of b. */
function fitLine(points: readonly { x: number; y: number }[]): { a: number; b: number; u: number } {
  const n = points.length;
  const meanX = points.reduce((sum, point) => sum + point.x, 0) / n;
  const meanY = points.reduce((sum, point) => sum + point.y, 0) / n;
  let xx = 0;
  let xy = 0;
  for (const { x, y } of points) {
    xx += (x - meanX) ** 2;
    xy += (x - meanX) * (y - meanY);
  }
  const b = xy / xx;
  const a = meanY - b * meanX;
  const squares = points.reduce((sum, { x, y }) => sum + (y - a - b * x) ** 2, 0);
  return { a, b, u: Math.sqrt(squares / (n - 2) / xx) };
}
