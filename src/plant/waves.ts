/** One sinusoid of the relative ripple of the current: `amplitude * sin(2 pi frequency_Hz t + phase_rad)`. */
export interface Wave {
  amplitude: number;
  frequency_Hz: number;
  phase_rad: number;
}

/**
 * The relative ripple w(t): a sum of sinusoids, with the exact integrals of w and of w^2. Slow drift is one more
 * sinusoid, of a very low frequency.
 */
export class Waves {
  readonly #amplitude: Float64Array;
  readonly #omega: Float64Array;
  readonly #phase: Float64Array;

  /** @param waves frequencies must be positive and different from each other */
  constructor(waves: readonly Wave[]) {
    this.#amplitude = Float64Array.from(waves, (wave) => wave.amplitude);
    this.#omega = Float64Array.from(waves, (wave) => 2 * Math.PI * wave.frequency_Hz);
    this.#phase = Float64Array.from(waves, (wave) => wave.phase_rad);
    if (this.#omega.some((omega) => !(omega > 0)) || new Set(this.#omega).size !== waves.length) {
      throw new RangeError('Waves: frequencies must be positive and different from each other');
    }
  }

  /** w(t). */
  at(t_s: number): number {
    let sum = 0;
    for (let j = 0; j < this.#omega.length; j++) {
      sum += this.#amplitude[j] * Math.sin(this.#omega[j] * t_s + this.#phase[j]);
    }
    return sum;
  }

  /** Integral of w from t0_s to t1_s, in s. */
  integral(t0_s: number, t1_s: number): number {
    let sum = 0;
    for (let j = 0; j < this.#omega.length; j++) {
      const omega = this.#omega[j];
      sum += this.#amplitude[j] * integralOfSine(omega, this.#phase[j], t0_s, t1_s);
    }
    return sum;
  }

  /** Integral of w^2 from t0_s to t1_s, in s: sin a sin b = (cos(a - b) - cos(a + b)) / 2, a pair at a time. */
  integralOfSquare(t0_s: number, t1_s: number): number {
    const n = this.#omega.length;
    const quarter = Math.PI / 2;
    let sum = 0;
    for (let j = 0; j < n; j++) {
      const [omega, phase, amplitude] = [this.#omega[j], this.#phase[j], this.#amplitude[j]];
      const double = integralOfSine(2 * omega, 2 * phase + quarter, t0_s, t1_s);
      sum += 0.5 * amplitude * amplitude * (t1_s - t0_s - double);
      for (let k = j + 1; k < n; k++) {
        const difference = integralOfSine(
          Math.abs(omega - this.#omega[k]),
          Math.sign(omega - this.#omega[k]) * (phase - this.#phase[k]) + quarter,
          t0_s,
          t1_s,
        );
        const total = integralOfSine(omega + this.#omega[k], phase + this.#phase[k] + quarter, t0_s, t1_s);
        sum += amplitude * this.#amplitude[k] * (difference - total);
      }
    }
    return sum;
  }

  /** `out[k]` = 1 + mean of w over [t0_s + k*dt_s, t0_s + (k+1)*dt_s), for k < n. */
  fillMeans(t0_s: number, dt_s: number, n: number, out: Float64Array): void {
    out.fill(1, 0, n);
    for (let j = 0; j < this.#omega.length; j++) {
      const omega = this.#omega[j];
      const half = (omega * dt_s) / 2;
      // The mean of a sine over an interval is its value at the middle times sin(h)/h; one rotation an interval.
      const factor = (this.#amplitude[j] * Math.sin(half)) / half;
      const cosStep = Math.cos(2 * half);
      const sinStep = Math.sin(2 * half);
      for (let start = 0; start < n; start += 4096) {
        const middle = omega * (t0_s + (start + 0.5) * dt_s) + this.#phase[j];
        let sin = factor * Math.sin(middle);
        let cos = factor * Math.cos(middle);
        const end = Math.min(n, start + 4096);
        for (let k = start; k < end; k++) {
          out[k] += sin;
          const next = sin * cosStep + cos * sinStep;
          cos = cos * cosStep - sin * sinStep;
          sin = next;
        }
      }
    }
  }
}

/** Integral of sin(omega t + phase): written as a product, which keeps its digits when the interval is short. */
function integralOfSine(omega: number, phase: number, t0_s: number, t1_s: number): number {
  const half = (omega * (t1_s - t0_s)) / 2;
  if (half === 0) return Math.sin(omega * t0_s + phase) * (t1_s - t0_s);
  return ((t1_s - t0_s) * Math.sin((omega * (t0_s + t1_s)) / 2 + phase) * Math.sin(half)) / half;
}
