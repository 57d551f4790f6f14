/** 32 random bits at a time, the same in every run. */
function randomBits(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state;
  };
}

/** Random numbers in [0, 1), the same in every run. */
export function randomFractions(seed: number): () => number {
  const bits = randomBits(seed);
  return () => bits() / 2 ** 32;
}

/** Random whole numbers from 0 to below n, the same in every run. */
export function randomBelow(seed: number): (n: number) => number {
  const fraction = randomFractions(seed);
  return (n) => Math.floor(fraction() * n);
}

/** Sizes of chunks from 1 to `most` bytes; with `merges` now and then 0, which merges writes. */
export function randomChunks(most: number, { merges = false, seed = 1 } = {}): () => number {
  const bits = randomBits(seed);
  return () => {
    const drawn = bits();
    return merges && (drawn >>> 8) % 8 === 0 ? 0 : 1 + ((drawn >>> 11) % most);
  };
}
