import type { SampleBlock, StreamInfo } from '../signal/types.ts';
import { energyMethodOf } from '../sync/energy-method.ts';

/** Least, greatest and mean power of a stretch of time. */
export interface PowerBin {
  t0_s: number;
  t1_s: number;
  min: number;
  max: number;
  mean: number;
}

/** Power in W of the chunk just read, sample by sample; the array is used again for the next chunk. */
export interface PowerRun {
  power: Float64Array;
  length: number;
  /** Time of the first sample. */
  start_s: number;
  dt_s: number;
}

const runLength = 4096;

/** Turns blocks of a stream into runs of power; blocks of streams that carry no power give none. */
export class PowerReader {
  readonly #method;
  readonly #tickHz: number;
  readonly #power = new Float64Array(runLength);

  constructor(stream: StreamInfo, tickHz: number) {
    this.#method = energyMethodOf(stream);
    this.#tickHz = tickHz;
  }

  *runs(block: SampleBlock): Generator<PowerRun> {
    if (this.#method === null) return;
    const { startTicks, endTicks } = block;
    if (startTicks !== undefined && endTicks !== undefined) {
      // Each sample has an interval of its own.
      for (let k = 0; k < block.length; k++) {
        const dt_s = (endTicks[k] - startTicks[k]) / this.#tickHz;
        this.#method.power_W(block, k, k + 1, dt_s, this.#power);
        yield { power: this.#power, length: 1, start_s: startTicks[k] / this.#tickHz, dt_s };
      }
      return;
    }
    const dt_s = block.ticksPerSample / this.#tickHz;
    const start_s = block.firstTick / this.#tickHz;
    for (let from = 0; from < block.length; from += runLength) {
      const to = Math.min(block.length, from + runLength);
      this.#method.power_W(block, from, to, dt_s, this.#power);
      yield { power: this.#power, length: to - from, start_s: start_s + from * dt_s, dt_s };
    }
  }
}

/**
 * A view of a whole stream in at most `most` bins with exact min and max, in one pass and without knowing how long the
 * stream will be: when the bins are full, neighbours are merged and the bins are twice as wide from then on.
 */
export class PowerView {
  readonly #most: number;
  #bins: PowerBin[] = [];
  #samples: number[] = [];
  #perBin = 1;

  constructor(most: number) {
    this.#most = most;
  }

  add(run: PowerRun): void {
    for (let k = 0; k < run.length; ) {
      let last = this.#bins.length - 1;
      const t_s = run.start_s + k * run.dt_s;
      const fits = last >= 0 && this.#samples[last] < this.#perBin && t_s - this.#bins[last].t1_s < run.dt_s / 2;
      if (!fits) {
        if (this.#bins.length === this.#most) this.#fold();
        this.#bins.push({ t0_s: t_s, t1_s: t_s, min: Infinity, max: -Infinity, mean: 0 });
        this.#samples.push(0);
        last = this.#bins.length - 1;
      }
      const bin = this.#bins[last];
      const had = this.#samples[last];
      const take = Math.min(run.length - k, this.#perBin - had);
      let sum = bin.mean * had;
      for (let end = k + take; k < end; k++) {
        const power = run.power[k];
        sum += power;
        if (power < bin.min) bin.min = power;
        if (power > bin.max) bin.max = power;
      }
      this.#samples[last] = had + take;
      bin.mean = sum / (had + take);
      bin.t1_s = run.start_s + k * run.dt_s;
    }
  }

  #fold(): void {
    const bins: PowerBin[] = [];
    const samples: number[] = [];
    for (let k = 0; k < this.#bins.length; k += 2) {
      const [a, b] = [this.#bins[k], this.#bins[k + 1]];
      if (b === undefined) {
        bins.push(a);
        samples.push(this.#samples[k]);
        continue;
      }
      const [na, nb] = [this.#samples[k], this.#samples[k + 1]];
      bins.push({
        t0_s: a.t0_s,
        t1_s: b.t1_s,
        min: Math.min(a.min, b.min),
        max: Math.max(a.max, b.max),
        mean: (a.mean * na + b.mean * nb) / (na + nb),
      });
      samples.push(na + nb);
    }
    this.#bins = bins;
    this.#samples = samples;
    this.#perBin *= 2;
  }

  bins(): PowerBin[] {
    return this.#bins;
  }
}
