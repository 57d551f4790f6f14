import type { Window } from '../signal/types.ts';
import type { PowerRun } from './power-view.ts';
import type { Baseline } from './score-document.ts';

/** Power is averaged over bins of this length before its distribution is looked at, so that noise counts less. */
const binLength_s = 1e-3;
/** Windows are widened by this much on both sides, so that their flanks do not count as idle. */
const guard_s = 5 * binLength_s;
/** Fewer bins than this outside the windows tell nothing. */
const fewestBins = 20;

/** Every float32 above 0 falls into one of these histogram bins, each 1/1024 of an octave-half wide (about 0.1 %). */
const mantissaBits = 10;
const histogramSize = 1 << (8 + mantissaBits);

/**
 * Distribution of the power outside the windows, in 1 ms bins, collected in one pass in bounded memory.
 * Windows come as [start_s, end_s], sorted.
 */
export class IdleCollector {
  readonly #windows: { start_s: number; end_s: number }[];
  #window = 0;
  readonly #counts = new Float64Array(histogramSize);
  readonly #sums = new Float64Array(histogramSize);
  #notPositive = { n: 0, sum: 0 };
  #n = 0;
  readonly #asFloat = new Float32Array(1);
  readonly #asBits = new Uint32Array(this.#asFloat.buffer);
  // The bin under way.
  #bin = -1;
  #sum = 0;
  #samples = 0;

  constructor(windows: readonly Window[], tickHz: number) {
    this.#windows = windows.map((window) => ({
      start_s: window.startTick / tickHz - guard_s,
      end_s: window.endTick / tickHz + guard_s,
    }));
  }

  add(run: PowerRun): void {
    for (let k = 0; k < run.length; ) {
      const bin = Math.floor((run.start_s + k * run.dt_s) / binLength_s + 1e-9);
      if (bin !== this.#bin) {
        this.#closeBin();
        this.#bin = bin;
      }
      // Samples up to the end of this bin (one sample where samples are longer than a bin).
      const rest = Math.round(((bin + 1) * binLength_s - run.start_s) / run.dt_s) - k;
      const end = Math.min(run.length, k + Math.max(1, rest));
      this.#samples += end - k;
      for (; k < end; k++) this.#sum += run.power[k];
    }
  }

  #closeBin(): void {
    if (this.#samples > 0) {
      const mean = this.#sum / this.#samples;
      const t_s = this.#bin * binLength_s;
      while (this.#window < this.#windows.length && this.#windows[this.#window].end_s <= t_s) this.#window++;
      const next = this.#windows[this.#window];
      if (next === undefined || t_s + binLength_s <= next.start_s) this.#count(mean);
    }
    this.#sum = 0;
    this.#samples = 0;
  }

  #count(power: number): void {
    this.#n++;
    if (power <= 0) {
      this.#notPositive.n++;
      this.#notPositive.sum += power;
      return;
    }
    this.#asFloat[0] = power;
    const place = this.#asBits[0] >>> (23 - mantissaBits);
    this.#counts[place]++;
    this.#sums[place] += power;
  }

  /** The baselines that the distribution gives; empty where there is too little outside the windows. */
  baselines(): Baseline[] {
    this.#closeBin();
    if (this.#n < fewestBins) return [];
    return [this.#lowQuantile(0.05), this.#twoCluster()].filter((found) => found !== null);
  }

  /** `low-quantile/1`: the 5 % quantile of everything outside the windows. Noise biases it low (specs: science 4). */
  #lowQuantile(p: number): Baseline {
    const rank = p * (this.#n - 1);
    let passed = this.#notPositive.n;
    let power_W = passed > rank ? this.#notPositive.sum / passed : null;
    for (let place = 0; power_W === null; place++) {
      passed += this.#counts[place];
      if (passed > rank) power_W = this.#sums[place] / this.#counts[place];
    }
    return { method: 'low-quantile/1', power_W, u_W: null, n: this.#n };
  }

  /**
   * `two-cluster/1`: the logarithm of the power is split in two by Otsu's threshold; the mode of the lower cluster
   * (512 logarithmic bins, smoothed over 3) is the idle power (specs: science 4c).
   */
  #twoCluster(): Baseline | null {
    const occupied: { log: number; n: number; sum: number }[] = [];
    for (let place = 0; place < histogramSize; place++) {
      const n = this.#counts[place];
      if (n > 0) occupied.push({ log: Math.log(this.#sums[place] / n), n, sum: this.#sums[place] });
    }
    if (occupied.length === 0) return null;
    const threshold = otsu(occupied);
    const low = occupied.filter((entry) => entry.log <= threshold);
    const [from, to] = [low[0].log, low[low.length - 1].log];
    const bins = 512;
    // A cluster narrower than a histogram bin is one value.
    const width = Math.max((to - from) / bins, 1e-9);
    const counts = new Float64Array(bins + 2);
    const sums = new Float64Array(bins + 2);
    for (const entry of low) {
      const bin = 1 + Math.min(bins - 1, Math.floor((entry.log - from) / width));
      counts[bin] += entry.n;
      sums[bin] += entry.sum;
    }
    let mode = 1;
    let most = -1;
    for (let bin = 1; bin <= bins; bin++) {
      const smoothed = counts[bin - 1] + counts[bin] + counts[bin + 1];
      if (smoothed > most) {
        most = smoothed;
        mode = bin;
      }
    }
    const sum = sums[mode - 1] + sums[mode] + sums[mode + 1];
    const n = low.reduce((total, entry) => total + entry.n, 0);
    return { method: 'two-cluster/1', power_W: sum / most, u_W: null, n };
  }
}

/** Clusters whose means are closer than 20 % are the noise of one state, not two states. */
const oneState = Math.log(1.2);

/** Threshold that splits weighted values so that the variance between both parts is greatest (Otsu 1979). */
function otsu(ascending: readonly { log: number; n: number }[]): number {
  let total = 0;
  let moment = 0;
  for (const entry of ascending) {
    total += entry.n;
    moment += entry.n * entry.log;
  }
  let below = 0;
  let belowMoment = 0;
  let best = -1;
  const everything = ascending[ascending.length - 1].log;
  let threshold = everything;
  let apart = 0;
  for (let k = 0; k + 1 < ascending.length; k++) {
    below += ascending[k].n;
    belowMoment += ascending[k].n * ascending[k].log;
    const above = total - below;
    const difference = belowMoment / below - (moment - belowMoment) / above;
    const between = below * above * difference * difference;
    if (between > best) {
      best = between;
      threshold = ascending[k].log;
      apart = Math.abs(difference);
    }
  }
  return apart < oneState ? everything : threshold;
}
