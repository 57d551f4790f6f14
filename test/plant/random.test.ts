import { describe, expect, it } from 'vitest';
import { Random } from '../../src/plant/random.ts';

describe('Random', () => {
  it('is splitmix64 followed by xoshiro128**, bit for bit', () => {
    // Plain BigInt transcription of the two published generators.
    const mask = 0xffffffffffffffffn;
    let state = 12345n;
    const splitmix = () => {
      state = (state + 0x9e3779b97f4a7c15n) & mask;
      let z = state;
      z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
      z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask;
      return z ^ (z >> 31n);
    };
    const [first, second] = [splitmix(), splitmix()];
    const s = [first & 0xffffffffn, first >> 32n, second & 0xffffffffn, second >> 32n];
    const rotl = (x: bigint, k: bigint) => ((x << k) | (x >> (32n - k))) & 0xffffffffn;
    const next = () => {
      const result = (rotl((s[1] * 5n) & 0xffffffffn, 7n) * 9n) & 0xffffffffn;
      const t = (s[1] << 9n) & 0xffffffffn;
      s[2] ^= s[0];
      s[3] ^= s[1];
      s[1] ^= s[2];
      s[0] ^= s[3];
      s[2] ^= t;
      s[3] = rotl(s[3], 11n);
      return Number(BigInt.asIntN(32, result));
    };
    const random = new Random(12345);
    for (let k = 0; k < 1000; k++) expect(random.int32()).toBe(next());
  });

  it('starts splitmix64 from seed 0 with its published first number, 0xe220a8397b1dcdaf', () => {
    // The first result of xoshiro128** is rotl(s1 * 5, 7) * 9, and s1 is the upper half of that number.
    const scrambled = (0xe220a839n * 5n) & 0xffffffffn;
    const rotated = ((scrambled << 7n) | (scrambled >> 25n)) & 0xffffffffn;
    expect(new Random(0).int32()).toBe(Number(BigInt.asIntN(32, rotated * 9n)));
  });

  it('gives normal variates with the moments and the tails of the normal distribution', () => {
    const random = new Random(7);
    const n = 1_000_000;
    let [sum, square, cube, fourth, beyond2, beyond4] = [0, 0, 0, 0, 0, 0];
    for (let k = 0; k < n; k++) {
      const x = random.normal();
      sum += x;
      square += x * x;
      cube += x ** 3;
      fourth += x ** 4;
      if (Math.abs(x) > 2) beyond2++;
      if (Math.abs(x) > 3.5) beyond4++;
    }
    expect(Math.abs(sum / n)).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(square / n - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
    expect(Math.abs(cube / n)).toBeLessThan(5 * Math.sqrt(15 / n));
    expect(Math.abs(fourth / n - 3)).toBeLessThan(5 * Math.sqrt(96 / n));
    // 2 (1 - Phi(2)) = 0.0455003, 2 (1 - Phi(3.5)) = 4.6526e-4: the second lies in the tail beyond the last layer.
    expect(Math.abs(beyond2 / n - 0.0455003)).toBeLessThan(5 * Math.sqrt(0.0455 / n));
    expect(Math.abs(beyond4 / n - 4.6526e-4)).toBeLessThan(5 * Math.sqrt(4.65e-4 / n));
  });

  it('draws uniform numbers in [0, 1) without bias', () => {
    const random = new Random(3);
    let [sum, low, high] = [0, 1, 0];
    for (let k = 0; k < 100_000; k++) {
      const x = random.uniform();
      sum += x;
      low = Math.min(low, x);
      high = Math.max(high, x);
    }
    expect(low).toBeGreaterThanOrEqual(0);
    expect(high).toBeLessThan(1);
    expect(Math.abs(sum / 100_000 - 0.5)).toBeLessThan(5 / Math.sqrt(12 * 100_000));
  });

  it('forks streams that do not depend on what was drawn from the parent', () => {
    const drawn = new Random(5);
    drawn.uniform();
    expect(drawn.fork('noise').int32()).toBe(new Random(5).fork('noise').int32());
    expect(new Random(5).fork('noise').int32()).not.toBe(new Random(5).fork('dut').int32());
  });
});
