import type { VirtualBenchmark } from '../virtual/benchmarks.ts';
import type { EmulatedNetwork } from './dut.ts';
import { smallNetwork } from './small-network.ts';

/**
 * An input for `firstByteNetwork`: it carries the class that the network will find in its first byte, and bytes that
 * follow from `seed`. With it the accuracy of a run over emulated DUTs is known beforehand.
 */
export function simulatedInput(bytes: number, found: number, seed: number): Uint8Array {
  const input = new Uint8Array(bytes);
  let state = (seed * 2_654_435_761 + 1) >>> 0;
  for (let k = 0; k < bytes; k++) {
    // Xorshift (Marsaglia, "Xorshift RNGs", 2003), 32 bits.
    state ^= state << 13;
    state ^= state >>> 17;
    state = (state ^ (state << 5)) >>> 0;
    input[k] = state & 0xff;
  }
  input[0] = found;
  return input;
}

/** The network that an emulated DUT runs for a benchmark: a real one where there is one. */
export function emulatedNetwork(benchmark: VirtualBenchmark): EmulatedNetwork {
  return benchmark.model === smallNetwork.model ? smallNetwork : firstByteNetwork(benchmark);
}

/** The network of a benchmark that reads its answer from the first byte of the input; see `simulatedInput`. */
export function firstByteNetwork(benchmark: VirtualBenchmark): EmulatedNetwork {
  const { model, inputBytes, inference_s, phases, classes } = benchmark;
  return {
    model,
    inputBytes,
    inference_s,
    phases,
    answer: (input) => {
      const found = input[0] ?? 0;
      const doubt = ((input[1] ?? 0) % 100) / 1000;
      // One score is an anomaly score: above 10 means anomalous.
      if (classes === 1) return [((found % 2 === 1 ? 11 : 4) + doubt).toFixed(3)];
      return Array.from({ length: classes }, (_, c) =>
        (c === found % classes ? 1 - doubt : c === (found + 1) % classes ? doubt : 0).toFixed(3),
      );
    },
  };
}
