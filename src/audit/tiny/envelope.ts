const points = 600;

/** Reduces a trace of known length to a few hundred stretches with their lowest and highest value, for plots. */
export class Envelope {
  readonly #perPoint: number;
  readonly #rate_Hz: number;
  readonly #points: [number, number, number][] = [];
  #seen = 0;

  constructor(samples: number, rate_Hz: number) {
    this.#perPoint = Math.max(1, Math.ceil(samples / points));
    this.#rate_Hz = rate_Hz;
  }

  push(values: Float32Array | Float64Array | readonly number[]): void {
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      const last = this.#points.at(-1);
      if (last === undefined || this.#seen % this.#perPoint === 0) {
        this.#points.push([this.#seen / this.#rate_Hz, value, value]);
      } else {
        if (value < last[1]) last[1] = value;
        if (value > last[2]) last[2] = value;
      }
      this.#seen++;
    }
  }

  /** [time in s, lowest, highest] of each stretch. */
  points(): [number, number, number][] {
    return this.#points;
  }
}
