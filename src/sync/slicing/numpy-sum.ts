/** Fewer than 8 numbers are added one by one; up to 128 in eight interleaved partial sums; more are halved. */
const block = 128;

/**
 * The sum as NumPy's `np.sum` gives it over a contiguous float64 array: pairwise summation, bit for bit.
 * A published figure that was rounded for printing may depend on this order of additions.
 * @param from first index summed
 * @param n how many numbers are summed
 */
export function numpySum(values: Float64Array, from = 0, n = values.length - from): number {
  if (n < 8) {
    let sum = 0;
    for (let k = from; k < from + n; k++) sum += values[k]!;
    return sum;
  }
  if (n <= block) return blockSum(values, from, n);
  let half = Math.floor(n / 2);
  half -= half % 8;
  return numpySum(values, from, half) + numpySum(values, from + half, n - half);
}

function blockSum(values: Float64Array, from: number, n: number): number {
  const lanes = values.slice(from, from + 8);
  const whole = n - (n % 8);
  for (let k = 8; k < whole; k += 8) {
    for (let lane = 0; lane < 8; lane++) lanes[lane]! += values[from + k + lane]!;
  }
  const left = lanes[0]! + lanes[1]! + (lanes[2]! + lanes[3]!);
  const right = lanes[4]! + lanes[5]! + (lanes[6]! + lanes[7]!);
  let sum = left + right;
  for (let k = whole; k < n; k++) sum += values[from + k]!;
  return sum;
}
