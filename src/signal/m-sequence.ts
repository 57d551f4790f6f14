import type { Polarity } from './types.ts';

/** Taps of the primitive polynomials: x^7 + x^6 + 1, x^9 + x^5 + 1, x^10 + x^7 + 1, x^11 + x^9 + 1 (P. Alfke, Xilinx XAPP052, 1996). */
export const polynomials: Readonly<Record<number, readonly number[]>> = {
  7: [7, 6],
  9: [9, 5],
  10: [10, 7],
  11: [11, 9],
};

/**
 * One period of the m-sequence: a Fibonacci shift register of `order` stages, all 1 at the start. Each chip is the last
 * stage; then the sum modulo 2 of the tapped stages enters the first.
 * @throws RangeError for an order without a polynomial
 */
export function mSequence(order: number): Uint8Array {
  const taps = polynomials[order];
  if (taps === undefined) throw new RangeError(`there is no sync pattern of order ${order}`);
  const mask = 2 ** order - 1;
  let stages = mask;
  return Uint8Array.from({ length: mask }, () => {
    const chip = (stages >> (order - 1)) & 1;
    let sum = 0;
    for (const tap of taps) sum ^= (stages >> (tap - 1)) & 1;
    stages = ((stages << 1) | sum) & mask;
    return chip;
  });
}

/** Where a line that idles low changes in a pattern, in chips from its beginning. */
export function patternEdges(order: number): { chip: number; polarity: Polarity }[] {
  const chips = mSequence(order);
  const edges: { chip: number; polarity: Polarity }[] = [];
  let level = 0;
  for (let k = 0; k <= chips.length; k++) {
    const next = k < chips.length ? chips[k]! : 0;
    if (next !== level) edges.push({ chip: k, polarity: next === 1 ? 'rise' : 'fall' });
    level = next;
  }
  return edges;
}
