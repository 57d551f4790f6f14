import { leafSize, orderedWhole } from './ordered-sum.ts';
import type { SampleArray } from './types.ts';

/** Sum, least and greatest value of a stretch of samples. */
export interface Bin {
  /** Absolute indices: samples [from, to). */
  from: number;
  to: number;
  sum: number;
  min: number;
  max: number;
}

/** Inside a leaf the running sum is kept every so many samples: a tail then goes on from there instead of from the leaf's start. */
const stride = 128;
const stops = leafSize / stride;

/**
 * Sum, min and max of every leaf (1,024 samples) of an array. Sums over any interval are bit for bit those of
 * `orderedSum`, because the leaves are the same and are added in the same order; only the two ends are read.
 */
export class Pyramid {
  readonly #values: SampleArray;
  readonly #sums: Float64Array;
  /** Running sum of a leaf before its samples 0, 128, 256... */
  readonly #running: Float64Array;
  readonly #mins: Float64Array;
  readonly #maxs: Float64Array;

  /** `values[0]` has the absolute index 0. Reads the array once. */
  constructor(values: SampleArray) {
    const leaves = Math.ceil(values.length / leafSize);
    this.#values = values;
    this.#sums = new Float64Array(leaves);
    this.#running = new Float64Array(leaves * stops);
    this.#mins = new Float64Array(leaves);
    this.#maxs = new Float64Array(leaves);
    for (let leaf = 0; leaf < leaves; leaf++) {
      const end = Math.min(values.length, (leaf + 1) * leafSize);
      let sum = 0;
      let min = Infinity;
      let max = -Infinity;
      for (let from = leaf * leafSize, stop = leaf * stops; from < end; from += stride, stop++) {
        this.#running[stop] = sum;
        const to = Math.min(end, from + stride);
        for (let k = from; k < to; k++) {
          const value = values[k];
          sum += value;
          if (value < min) min = value;
          if (value > max) max = value;
        }
      }
      this.#sums[leaf] = sum;
      this.#mins[leaf] = min;
      this.#maxs[leaf] = max;
    }
  }

  /** Ordered sum over [from, to), fractional ends allowed; equals `orderedSum(values, from, to)` bit for bit. */
  sum(from: number, to: number): number {
    return orderedWhole(this.#values, from, to, 0, (a, b, sum) => this.#addWhole(a, b, sum));
  }

  /** Adds the whole samples [a, b): head of a leaf, whole leaves, tail of a leaf. */
  #addWhole(a: number, b: number, sum: number): number {
    const values = this.#values;
    const firstLeaf = Math.ceil(a / leafSize);
    const lastLeaf = Math.floor(b / leafSize);
    if (firstLeaf > lastLeaf) {
      let only = 0;
      for (let k = a; k < b; k++) only += values[k];
      return sum + only;
    }
    const headEnd = firstLeaf * leafSize;
    let head = 0;
    for (let k = a; k < headEnd; k++) head += values[k];
    const whole = Math.floor((b - lastLeaf * leafSize) / stride);
    let tail = 0;
    if (lastLeaf * leafSize < b) {
      tail = this.#running[lastLeaf * stops + whole];
      for (let k = lastLeaf * leafSize + whole * stride; k < b; k++) tail += values[k];
    }
    if (a < headEnd) sum += head;
    for (let leaf = firstLeaf; leaf < lastLeaf; leaf++) sum += this.#sums[leaf];
    if (lastLeaf * leafSize < b) sum += tail;
    return sum;
  }

  /**
   * A view of at most `count` bins over everything, each made of whole leaves, so that nothing but the pyramid is
   * read. Min and max are exact.
   */
  view(count: number): Bin[] {
    const leaves = this.#sums.length;
    const perBin = Math.max(1, Math.ceil(leaves / count));
    const bins: Bin[] = [];
    for (let first = 0; first < leaves; first += perBin) {
      const last = Math.min(leaves, first + perBin);
      const bin: Bin = {
        from: first * leafSize,
        to: Math.min(this.#values.length, last * leafSize),
        sum: 0,
        min: Infinity,
        max: -Infinity,
      };
      for (let leaf = first; leaf < last; leaf++) {
        bin.sum += this.#sums[leaf];
        if (this.#mins[leaf] < bin.min) bin.min = this.#mins[leaf];
        if (this.#maxs[leaf] > bin.max) bin.max = this.#maxs[leaf];
      }
      bins.push(bin);
    }
    return bins;
  }
}
