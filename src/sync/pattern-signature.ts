import { mSequence, patternEdges } from '../signal/m-sequence.ts';
import { type ClockLine, ClockModel, type ClockRef } from './clock-model.ts';
import { leastRatio, patternClock, type SyncPattern } from './sync-pattern.ts';

/** A stretch of a stream without gaps: what each sample says about time, and where it stands on its clock. */
export interface SignatureSamples {
  /** Current or power, in any unit. */
  values: Float64Array;
  /** Where the cell of the first sample begins, in ticks: half a sample before its tick for mean-centred and point samples. */
  firstTick: number;
  ticksPerSample: number;
  /** True where samples are values at an instant, not means over their cell. */
  isPoint: boolean;
  clock: ClockRef;
}

/** Where a pattern was found in samples, or why it was not. */
export type SignatureMatch =
  | { model: ClockModel; ratio: number; correlation: number; refusal: null }
  | { model: null; ratio: number | null; correlation: number | null; refusal: string };

/** Samples a chip; fewer tell nothing of its flanks. */
const fewestPerChip = 2;
/** The DUT's chips may be this much longer or shorter than nominal. */
const chipTolerance = 0.02;

/**
 * Finds a pattern that the DUT played as its current, for instruments without a pin (specs: science 3.3). There must be
 * one playing in the samples.
 *
 * First the correlation coefficient of the samples with the pattern at every place: the pattern is made of a few
 * boxes, so prefix sums give it exactly, cheaper than a Fourier transform. The highest peak must be three times the next
 * one, more than a chip away. Then the place and the length of the chips are refined below a sample by least squares
 * (Gauss and Newton) of the pattern averaged over each sample's cell, with amplitude and base line free; the residuals
 * give the covariance (the Cramer-Rao bound for white noise).
 *
 * @param most_u_s refused where the standard uncertainty of the place is larger
 */
export function findSignature(samples: SignatureSamples, pattern: SyncPattern, most_u_s: number): SignatureMatch {
  const { values, ticksPerSample, clock } = samples;
  const perChip = (pattern.chip_s * clock.tickHz) / ticksPerSample;
  const chips = mSequence(pattern.order).length;
  const none = (refusal: string): SignatureMatch => ({ model: null, ratio: null, correlation: null, refusal });
  if (perChip < fewestPerChip) return none(`a chip has ${perChip.toFixed(1)} samples, fewer than ${fewestPerChip}`);
  if (values.length < chips * perChip * (1 + chipTolerance) + 2) return none('the pattern is longer than the samples');

  const correlator = new Correlator(values, pattern);
  let best: Peak = { place: 0, perChip, correlation: -Infinity };
  // Chips that are off by half a chip over the whole pattern would blur the peak.
  const scales = Math.ceil(chipTolerance * chips * 2);
  for (let k = -scales; k <= scales; k++) {
    const peak = correlator.highest(perChip * (1 + k / (2 * chips)));
    if (peak.correlation > best.correlation) best = peak;
  }
  const second = correlator.highest(best.perChip, best.place).correlation;
  const ratio = best.correlation / Math.max(second, Number.MIN_VALUE);
  const found = { ratio, correlation: best.correlation };
  if (!(best.correlation > 0) || ratio < leastRatio) {
    return {
      model: null,
      ...found,
      refusal: `the highest peak is ${ratio.toFixed(1)} times the next one, not ${leastRatio}`,
    };
  }
  const fit = refine(values, pattern, best);
  if (fit === null) return { model: null, ...found, refusal: 'no pattern fits at the highest peak' };
  const middle = chips / 2;
  // Instants that all fall into one phase of the chips share an error of up to half a sample.
  const instant = samples.isPoint ? 1 / 12 : 0;
  const line: ClockLine = {
    reference: middle,
    offset: samples.firstTick + fit.middle * ticksPerSample,
    skew: fit.perChip / perChip - 1,
    covariance: {
      offset: (fit.covariance.middle + instant) * ticksPerSample ** 2,
      skew: fit.covariance.perChip / perChip ** 2,
      cross: (fit.covariance.cross * ticksPerSample) / perChip,
    },
  };
  const u_s = Math.sqrt(line.covariance.offset) / clock.tickHz;
  if (!(u_s <= most_u_s)) {
    return {
      model: null,
      ...found,
      refusal: `the place is known to ${(u_s * 1e6).toPrecision(2)} us, not to ${(most_u_s * 1e6).toPrecision(2)} us`,
    };
  }
  const model = new ClockModel(patternClock(pattern), clock, [{ from: -Infinity, line }], 0);
  return { model, ...found, refusal: null };
}

interface Peak {
  /** Sample at which the pattern begins. */
  place: number;
  perChip: number;
  correlation: number;
}

/** Correlation coefficients of samples with a pattern at any place, by prefix sums. */
class Correlator {
  readonly #sums: Float64Array;
  readonly #squares: Float64Array;
  /** Where the pattern's level changes, in chips, and by how much the prefix sum there counts. */
  readonly #at: number[];
  readonly #weights: number[];
  readonly #chips: number;
  /** Mean level of the pattern, -1 for 0 and 1 for 1. */
  readonly #mean: number;

  constructor(values: Float64Array, pattern: SyncPattern) {
    const n = values.length;
    let mean = 0;
    for (let k = 0; k < n; k++) mean += values[k]!;
    mean /= n;
    this.#sums = new Float64Array(n + 1);
    this.#squares = new Float64Array(n + 1);
    for (let k = 0; k < n; k++) {
      const value = values[k]! - mean;
      this.#sums[k + 1] = this.#sums[k]! + value;
      this.#squares[k + 1] = this.#squares[k]! + value * value;
    }
    const bits = mSequence(pattern.order);
    this.#chips = bits.length;
    const level = (k: number) => (k < 0 || k >= bits.length ? 0 : 2 * bits[k]! - 1);
    const changes = Array.from({ length: bits.length + 1 }, (_, k) => k).filter((k) => level(k - 1) !== level(k));
    this.#at = changes;
    this.#weights = changes.map((k) => level(k - 1) - level(k));
    this.#mean = bits.reduce((sum, bit) => sum + 2 * bit - 1, 0) / bits.length;
  }

  /** The highest peak, or the highest that is more than a chip away from `except`. */
  highest(perChip: number, except: number | null = null): Peak {
    const length = Math.round(this.#chips * perChip);
    const at = this.#at.map((chip) => Math.round(chip * perChip));
    const last = this.#sums.length - 1 - length;
    const isExcepted = (place: number) => except !== null && Math.abs(place - except) <= perChip;
    let best: Peak = { place: 0, perChip, correlation: -Infinity };
    const look = (place: number) => {
      if (isExcepted(place)) return;
      const correlation = this.#coefficient(place, at, length);
      if (correlation > best.correlation) best = { place, perChip, correlation };
    };
    const stride = Math.max(1, Math.floor(perChip / 8));
    for (let place = 0; place <= last; place += stride) look(place);
    const around = best.place;
    if (stride > 1) {
      for (let place = Math.max(0, around - stride); place <= Math.min(last, around + stride); place++) look(place);
    }
    return best;
  }

  #coefficient(place: number, at: readonly number[], length: number): number {
    const sums = this.#sums;
    let product = 0;
    for (let j = 0; j < at.length; j++) product += this.#weights[j]! * sums[place + at[j]!]!;
    const mean = (sums[place + length]! - sums[place]!) / length;
    const variance = (this.#squares[place + length]! - this.#squares[place]!) / length - mean * mean;
    const spread = variance * (1 - this.#mean * this.#mean);
    return spread > 0 ? (product / length - this.#mean * mean) / Math.sqrt(spread) : 0;
  }
}

interface Fit {
  /** Sample position of the pattern's middle. */
  middle: number;
  perChip: number;
  covariance: { middle: number; perChip: number; cross: number };
}

/** Normal equations of base line, amplitude, middle and chip length at one point, with the residual sum of squares. */
interface Equations {
  squares: number;
  matrix: Float64Array;
  vector: Float64Array;
  amplitude: number;
  n: number;
}

/** Where descent starts again: samples by which the middle, and both ends against it, are moved. */
const restarts = [0.5, 0.15, 0.05].flatMap((by) => [
  [by, 0],
  [-by, 0],
  [0, by],
  [0, -by],
]) as [number, number][];

function refine(values: Float64Array, pattern: SyncPattern, peak: Peak): Fit | null {
  const edges = patternEdges(pattern.order);
  const chips = mSequence(pattern.order).length;
  const inner = edges.filter((edge) => edge.chip > 0 && edge.chip < chips);
  // The same samples throughout: those that lie inside the pattern with a chip to spare for its moving ends.
  const from = Math.ceil(peak.place + peak.perChip / 2);
  const to = Math.floor(peak.place + (chips - 0.5) * peak.perChip);
  const place = inner.map((edge) => edge.chip - chips / 2);
  const change = inner.map((edge) => (edge.polarity === 'rise' ? 1 : -1));
  const model = new Float64Array(to - from);
  const flank = new Float64Array(to - from);
  const lever = new Float64Array(to - from);

  const equationsAt = (middle: number, perChip: number): Equations => {
    // The pattern begins with 1; every edge adds or takes 1 from its place on, a part of it in its own cell.
    flank.fill(0);
    lever.fill(0);
    let level = 1;
    let k = from;
    model.fill(0);
    for (let j = 0; j < place.length; j++) {
      const at = middle + place[j]! * perChip;
      const cell = Math.floor(at);
      for (; k < Math.min(cell, to); k++) model[k - from]! += level;
      if (cell >= from && cell < to) {
        // Of this cell, what follows the edge; the rest of the level comes when the cell is passed.
        model[cell - from]! += change[j]! * (cell + 1 - at);
        flank[cell - from]! -= change[j]!;
        lever[cell - from]! -= change[j]! * place[j]!;
        if (k === cell) {
          model[cell - from]! += level;
          k++;
        }
      }
      level += change[j]!;
    }
    for (; k < to; k++) model[k - from]! += level;
    return normalEquations(values, from, to, model, flank, lever);
  };

  const descend = (middle: number, perChip: number): { middle: number; perChip: number; equations: Equations } => {
    let here = equationsAt(middle, perChip);
    for (let pass = 0; pass < 50; pass++) {
      const step = here.amplitude > 0 ? solve(here.matrix, here.vector) : null;
      if (step === null) break;
      // No edge may jump over more than a sample at once.
      const farthest = Math.abs(step[2]!) + (chips / 2) * Math.abs(step[3]!);
      let factor = Math.min(1, 1 / farthest);
      let next = equationsAt(middle + factor * step[2]!, perChip + factor * step[3]!);
      while (next.squares > here.squares && factor * farthest > 1e-6) {
        factor /= 2;
        next = equationsAt(middle + factor * step[2]!, perChip + factor * step[3]!);
      }
      if (!(next.squares < here.squares)) break;
      middle += factor * step[2]!;
      perChip += factor * step[3]!;
      here = next;
      if (factor * farthest < 1e-6) break;
    }
    return { middle, perChip, equations: here };
  };

  // The sum of squares has a kink wherever an edge passes from sample to sample, and descent may end in one: it starts
  // again from beside the best place until nothing better is found there.
  let best = descend(peak.place + (chips / 2) * peak.perChip, peak.perChip);
  for (let pass = 0; pass < 20; pass++) {
    const before = best.equations.squares;
    for (const [shift, stretch] of restarts) {
      const next = descend(best.middle + shift, best.perChip + (2 * stretch) / chips);
      if (next.equations.squares < best.equations.squares) best = next;
    }
    if (!(best.equations.squares < before)) break;
  }
  const { middle, perChip, equations: here } = best;
  if (!(here.amplitude > 0)) return null;
  const inverse = invert(here.matrix);
  if (inverse === null) return null;
  const variance = here.squares / (here.n - 4);
  // The bound holds for places known much better than a sample. In simulations (5 kS/s, 127 chips of 2 ms) weak patterns
  // scatter by 1.4 times the bound where that is 0.13 samples, strong ones by 1.09 times where it is 0.026.
  const u = Math.sqrt(inverse[10]! * variance);
  const wider = (1 + 3 * u) ** 2;
  return {
    middle,
    perChip,
    covariance: {
      middle: wider * inverse[10]! * variance,
      perChip: wider * inverse[15]! * variance,
      cross: wider * inverse[11]! * variance,
    },
  };
}

/** `vector` is for the step of (base line, amplitude, middle, chip length) from the best base line and amplitude here. */
function normalEquations(
  values: Float64Array,
  from: number,
  to: number,
  model: Float64Array,
  flank: Float64Array,
  lever: Float64Array,
): Equations {
  const n = to - from;
  let [sm, sv] = [0, 0];
  for (let k = 0; k < n; k++) {
    sm += model[k]!;
    sv += values[from + k]!;
  }
  let [smm, smv] = [0, 0];
  for (let k = 0; k < n; k++) {
    smm += (model[k]! - sm / n) ** 2;
    smv += (model[k]! - sm / n) * (values[from + k]! - sv / n);
  }
  const amplitude = smv / smm;
  const base = sv / n - (amplitude * sm) / n;
  const matrix = new Float64Array(16);
  const vector = new Float64Array(4);
  const row = [1, 0, 0, 0];
  let squares = 0;
  for (let k = 0; k < n; k++) {
    const rest = values[from + k]! - base - amplitude * model[k]!;
    squares += rest * rest;
    row[1] = model[k]!;
    row[2] = amplitude * flank[k]!;
    row[3] = amplitude * lever[k]!;
    for (let i = 0; i < 4; i++) {
      vector[i]! += row[i]! * rest;
      for (let j = 0; j < 4; j++) matrix[4 * i + j]! += row[i]! * row[j]!;
    }
  }
  return { squares, matrix, vector, amplitude, n };
}

function solve(matrix: Float64Array, vector: Float64Array): Float64Array | null {
  const inverse = invert(matrix);
  if (inverse === null) return null;
  return Float64Array.from({ length: 4 }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < 4; j++) sum += inverse[4 * i + j]! * vector[j]!;
    return sum;
  });
}

/** Inverse of a symmetric 4 x 4 matrix by Gauss and Jordan with scaling; null where it has none. */
function invert(matrix: Float64Array): Float64Array | null {
  const scale = [0, 5, 10, 15].map((k) => Math.sqrt(matrix[k]!));
  if (!scale.every((value) => value > 0)) return null;
  const a = matrix.map((value, k) => value / (scale[k >> 2]! * scale[k & 3]!));
  const b = new Float64Array(16);
  for (let k = 0; k < 4; k++) b[5 * k] = 1;
  for (let c = 0; c < 4; c++) {
    let pivot = c;
    for (let r = c + 1; r < 4; r++) if (Math.abs(a[4 * r + c]!) > Math.abs(a[4 * pivot + c]!)) pivot = r;
    if (Math.abs(a[4 * pivot + c]!) < 1e-12) return null;
    for (let k = 0; k < 4; k++) {
      [a[4 * c + k], a[4 * pivot + k]] = [a[4 * pivot + k]!, a[4 * c + k]!];
      [b[4 * c + k], b[4 * pivot + k]] = [b[4 * pivot + k]!, b[4 * c + k]!];
    }
    const divisor = a[5 * c]!;
    for (let k = 0; k < 4; k++) {
      a[4 * c + k]! /= divisor;
      b[4 * c + k]! /= divisor;
    }
    for (let r = 0; r < 4; r++) {
      if (r === c) continue;
      const factor = a[4 * r + c]!;
      for (let k = 0; k < 4; k++) {
        a[4 * r + k]! -= factor * a[4 * c + k]!;
        b[4 * r + k]! -= factor * b[4 * c + k]!;
      }
    }
  }
  return b.map((value, k) => value / (scale[k >> 2]! * scale[k & 3]!));
}
