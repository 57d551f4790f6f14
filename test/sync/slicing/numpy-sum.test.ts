import { describe, expect, it } from 'vitest';
import { numpySum } from '../../../src/sync/slicing/numpy-sum.ts';

describe('numpySum', () => {
  // float(np.sum([1/(k+1) for k in range(n)])) of NumPy 2.4.6; from 127 on, an ordered sum gives other last digits.
  it.each([
    [0, 0],
    [1, 1],
    [7, 2.5928571428571425],
    [8, 2.7178571428571425],
    [9, 2.8289682539682537],
    [16, 3.3807289932289937],
    [127, 5.425334592589172],
    [128, 5.433147092589173],
    [129, 5.440899030573669],
    [136, 5.493542515771517],
    [257, 6.128236013400938],
    [1000, 7.485470860550345],
    [4097, 8.895347978001228],
    [10001, 9.787706026045381],
    [100000, 12.090146129863431],
  ])('adds the first %i harmonic terms as NumPy does', (n, expected) => {
    expect(numpySum(Float64Array.from({ length: n }, (_, k) => 1 / (k + 1)))).toBe(expected);
  });
});
