/**
 * A seeded source of random numbers, the same on every machine: xoshiro128** 1.1 (D. Blackman and S. Vigna,
 * "Scrambled linear pseudorandom number generators", ACM TOMS 47(4), 2021), its state filled by splitmix64
 * (G. Steele, D. Lea and C. Flood, OOPSLA 2014) as its authors recommend. Not for secrets.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;
  readonly #seed: bigint;

  /** @param seed an integer; `label` names one of many independent streams of that seed */
  constructor(seed: number | bigint, label = '') {
    this.#seed = BigInt.asUintN(64, BigInt(seed) ^ fnv1a(label));
    const next = splitmix64(this.#seed);
    const [first, second] = [next(), next()];
    this.#a = Number(first & 0xffffffffn) | 0;
    this.#b = Number(first >> 32n) | 0;
    this.#c = Number(second & 0xffffffffn) | 0;
    this.#d = Number(second >> 32n) | 0;
  }

  /** An independent stream: drawing from one never changes what another gives. */
  fork(label: string): Random {
    return new Random(splitmix64(this.#seed)(), label);
  }

  /** Uniform signed 32-bit integer. */
  int32(): number {
    const b = this.#b;
    const scrambled = Math.imul(b, 5);
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9);
    const c = this.#c ^ this.#a;
    const d = this.#d ^ b;
    this.#b = b ^ c;
    this.#a ^= d;
    this.#c = c ^ (b << 9);
    this.#d = (d << 11) | (d >>> 21);
    return result;
  }

  /** Uniform in [0, 1), 53 bits. */
  uniform(): number {
    return ((this.int32() >>> 5) * 0x4000000 + (this.int32() >>> 6)) / 0x20000000000000;
  }

  /** Uniform in [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  /** Uniform integer in [0, n). */
  below(n: number): number {
    return Math.floor(this.uniform() * n);
  }

  /**
   * Standard normal variate by the ziggurat method with 128 layers (G. Marsaglia and W. W. Tsang, J. Stat. Softw. 5(8),
   * 2000), with the layer and the abscissa drawn from different bits (J. A. Doornik, 2005).
   */
  normal(): number {
    for (;;) {
      const bits = this.int32();
      const layer = bits & 127;
      const signed = bits >> 7;
      const x = signed * zigguratScale[layer];
      if (Math.abs(signed) < zigguratInside[layer]) return x;
      if (layer === 0) return this.#tail(signed < 0);
      const [low, high] = [zigguratHeight[layer], zigguratHeight[layer + 1]];
      if (low + this.uniform() * (high - low) < Math.exp(-0.5 * x * x)) return x;
    }
  }

  #tail(negative: boolean): number {
    for (;;) {
      const x = -Math.log(1 - this.uniform()) / zigguratEdge;
      const y = -Math.log(1 - this.uniform());
      if (y + y > x * x) return negative ? -(zigguratEdge + x) : zigguratEdge + x;
    }
  }
}

function splitmix64(seed: bigint): () => bigint {
  let state = seed;
  return () => {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let z = state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return z ^ (z >> 31n);
  };
}

/** FNV-1a, 64 bits; 0 for the empty label, so that an unlabelled seed is the seed. */
function fnv1a(label: string): bigint {
  if (label === '') return 0n;
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(label)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return hash;
}

// Layers of equal area v under exp(-x*x/2), for 128 layers (Marsaglia and Tsang 2000).
const zigguratEdge = 3.442619855899;
const zigguratArea = 9.91256303526217e-3;
/** Right end of each layer; layer 0 is the base strip with the tail folded in. */
const zigguratX = new Float64Array(129);
const zigguratHeight = new Float64Array(129);
/** Abscissae are signed 25-bit integers: x = integer * scale. */
const zigguratScale = new Float64Array(128);
const zigguratInside = new Float64Array(128);
{
  const density = (x: number) => Math.exp(-0.5 * x * x);
  zigguratX[0] = zigguratArea / density(zigguratEdge);
  zigguratX[1] = zigguratEdge;
  for (let k = 2; k < 128; k++) {
    zigguratX[k] = Math.sqrt(-2 * Math.log(zigguratArea / zigguratX[k - 1] + density(zigguratX[k - 1])));
  }
  zigguratX[128] = 0;
  for (let k = 0; k <= 128; k++) zigguratHeight[k] = density(zigguratX[k]);
  for (let k = 0; k < 128; k++) {
    zigguratScale[k] = zigguratX[k] / 0x1000000;
    zigguratInside[k] = (zigguratX[k + 1] / zigguratX[k]) * 0x1000000;
  }
}
