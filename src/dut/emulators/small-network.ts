import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { virtualBenchmarks } from '../virtual/benchmarks.ts';
import type { EmulatedNetwork } from './dut.ts';

interface Layer {
  weights: readonly number[];
  bias: readonly number[];
  multiplier: number;
  shift: number;
}

interface Convolution {
  kernel: number;
  stride: number;
  channels: number;
}

interface Weights {
  shape: { frames: number; features: number; classes: number; conv1: Convolution; conv2: Convolution };
  /** Two convolutions over time, a dense layer. */
  layers: readonly [Layer, Layer, Layer];
  /** Of the distance to the largest logit, for the softmax. */
  exp: readonly number[];
}

const network = new URL('../../../firmware-hooks/network/', import.meta.url);

/** The inputs whose answers are known: the network finds 115 of these 120. */
export const smallNetworkTestSet: string = fileURLToPath(new URL('test-set', network));

let weights: Weights | null = null;

/**
 * The int8 network of firmware-hooks/network, which the firmware in QEMU runs too: integer arithmetic, so that the answers are the
 * same to the last digit. Times and currents are those of the virtual `kws01`.
 */
export const smallNetwork: EmulatedNetwork = {
  model: virtualBenchmarks.kws01.model,
  inputBytes: virtualBenchmarks.kws01.inputBytes,
  inference_s: virtualBenchmarks.kws01.inference_s,
  phases: virtualBenchmarks.kws01.phases,
  answer: (input) => {
    weights ??= JSON.parse(readFileSync(new URL('weights.json', network), 'utf8')) as Weights;
    return answerOf(weights, input);
  },
};

/** @param input 49 frames of 10 features; what is missing is 0, what is too much is left out */
function answerOf({ shape, layers, exp }: Weights, input: Uint8Array): string[] {
  const features = new Int8Array(shape.frames * shape.features);
  features.set(new Int8Array(input).subarray(0, features.length));
  const hidden1 = convolution(features, shape.features, layers[0], shape.conv1);
  const hidden2 = convolution(hidden1, shape.conv1.channels, layers[1], shape.conv2);
  const logits = Array.from({ length: shape.classes }, (_, c) => rescaled(layers[2], dot(hidden2, c, layers[2])));
  const largest = Math.max(...logits);
  const powers = logits.map((logit) => exp[largest - logit]!);
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => {
    const share = Math.min(255, Math.floor((256 * power + Math.floor(sum / 2)) / sum));
    // Three decimals of share / 256, as the firmware rounds them.
    return (Math.floor((share * 1000 + 128) / 256) / 1000).toFixed(3);
  });
}

/** Over time, with a ReLU. */
function convolution(
  input: Int8Array,
  width: number,
  layer: Layer,
  { kernel, stride, channels }: Convolution,
): Int8Array {
  const frames = Math.floor((input.length / width - kernel) / stride) + 1;
  const output = new Int8Array(frames * channels);
  for (let t = 0; t < frames; t++) {
    const patch = input.subarray(t * stride * width, (t * stride + kernel) * width);
    for (let c = 0; c < channels; c++) output[t * channels + c] = Math.max(0, rescaled(layer, dot(patch, c, layer)));
  }
  return output;
}

/** Bias and weights of output `c` over the whole of `input`. */
function dot(input: Int8Array, c: number, { weights, bias }: Layer): number {
  const from = c * input.length;
  let sum = bias[c]!;
  for (let k = 0; k < input.length; k++) sum += input[k]! * weights[from + k]!;
  return sum;
}

/** sum x multiplier / 2^shift, rounded half away from zero, clipped to 127. No product reaches 2^53. */
function rescaled({ multiplier, shift }: Layer, sum: number): number {
  const scaled = Math.min(127, Math.floor((Math.abs(sum) * multiplier + 2 ** (shift - 1)) / 2 ** shift));
  return sum < 0 ? -scaled : scaled;
}
