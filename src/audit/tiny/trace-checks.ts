/**
 * What the numbers of an energy trace show of their origin. Measured on 115 published LPM01A traces: every sample is a
 * decimal of four significant digits rounded to float32, and every sample count is a multiple of 1,024. Traces of a
 * JS110 obey neither.
 */

/** Samples that the LPM01A sends in one block. */
export const lpm01aBlock = 1024;
/** Largest current of the LPM01A's dynamic mode (data brief: 100 nA to 50 mA). */
export const lpm01aLimit_A = 0.05;
/** Share of the samples above that limit from which the energy is no longer warranted by the instrument. */
const overRangeShare = 0.01;

/** What samples above the limit amount to: null for none. */
export function overRangeCode(over: number, samples: number): 'current.over-range' | 'current.peaks' | null {
  if (over === 0) return null;
  return over >= overRangeShare * samples ? 'current.over-range' : 'current.peaks';
}

/** Powers of ten that are exact in float64, from 1e0 to 1e22. */
const powers = Float64Array.from({ length: 23 }, (_, k) => Number(`1e${k}`));

/** True where a float32 is the nearest to some decimal number of at most four significant digits. */
export function hasFourDigits(sample: number): boolean {
  const x = Math.abs(sample);
  if (x === 0) return true;
  if (!Number.isFinite(x)) return false;
  if (x >= 1e-15 && x < 1e4) {
    // Four digits in front of the point, by the exact powers of ten.
    let shift = 0;
    while (shift < 19 && x * (powers[shift] as number) < 999.95) shift++;
    const scale = powers[shift] as number;
    if (Math.fround(Math.round(x * scale) / scale) === x) return true;
  }
  return Math.fround(Number(x.toPrecision(4))) === x;
}

/** Slots of the memory of numbers that were found to be decimals of four digits; a trace holds a few thousand of them. */
const slots = 1 << 14;

/** Running check of the samples of one trace, in mW. */
export class TraceInspector {
  samples = 0;
  /** Samples that are no decimals of four significant digits. */
  otherDigits = 0;
  negative = 0;
  highest_mW = 0;
  readonly #known: Uint32Array | null;

  /** @param digits false where the instrument is none that sends four digits */
  constructor(digits: boolean) {
    this.#known = digits ? new Uint32Array(slots) : null;
  }

  push(power_mW: Float32Array): void {
    const bits = new Uint32Array(power_mW.buffer, power_mW.byteOffset, power_mW.length);
    const known = this.#known;
    let { otherDigits, negative, highest_mW } = this;
    for (let i = 0; i < power_mW.length; i++) {
      const p = power_mW[i] as number;
      if (p < 0) negative++;
      else if (p > highest_mW) highest_mW = p;
      if (known === null) continue;
      // Zero, whose bits are those of an empty slot, is a decimal of four digits too.
      const b = bits[i] as number;
      const slot = (b ^ (b >>> 14)) & (slots - 1);
      if (known[slot] === b) continue;
      if (hasFourDigits(p)) known[slot] = b;
      else otherDigits++;
    }
    this.otherDigits = otherDigits;
    this.negative = negative;
    this.highest_mW = highest_mW;
    this.samples += power_mW.length;
  }
}
