import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hooks } from './c-compiler.ts';

interface Layer {
  weights: number[];
  bias: number[];
  multiplier: number;
  shift: number;
}

interface Convolution {
  kernel: number;
  stride: number;
  channels: number;
}

const network: {
  shape: { frames: number; features: number; classes: number; conv1: Convolution; conv2: Convolution };
  layers: Layer[];
  exp: number[];
} = JSON.parse(readFileSync(join(hooks, 'network/weights.json'), 'utf8'));

/** One input of the committed test set. */
export interface TestInput {
  name: string;
  label: number;
  bytes: Uint8Array;
}

/** The synthetic test set of the firmware's network, in the order of its y_labels.csv. */
export function testSet(): TestInput[] {
  const folder = join(hooks, 'network/test-set');
  return readFileSync(join(folder, 'y_labels.csv'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const [name, , label] = line.split(',').map((field) => field.trim());
      return { name, label: Number(label), bytes: new Uint8Array(readFileSync(join(folder, name))) };
    });
}

/** sum * multiplier / 2^shift, half away from zero, clipped. All products stay below 2^53. */
function rescale(sum: number, { multiplier, shift }: Layer): number {
  const scaled = Math.floor((Math.abs(sum) * multiplier + 2 ** (shift - 1)) / 2 ** shift);
  return Math.sign(sum) * Math.min(127, scaled);
}

/** One output for each channel at each position. */
function convolve(input: number[], features: number, layer: Layer, { kernel, stride, channels }: Convolution) {
  const positions = Math.floor((input.length / features - kernel) / stride) + 1;
  const n = kernel * features;
  const output: number[] = [];
  for (let t = 0; t < positions; t++) {
    for (let c = 0; c < channels; c++) {
      let sum = layer.bias[c];
      for (let k = 0; k < n; k++) sum += input[t * stride * features + k] * layer.weights[c * n + k];
      output.push(Math.max(0, rescale(sum, layer)));
    }
  }
  return output;
}

/**
 * The network of firmware-hooks/network as a second implementation, written from its definition: the answer as the
 * firmware prints it, a probability a class with three decimals.
 */
export function referenceAnswer(bytes: Uint8Array): string[] {
  const { shape, layers, exp } = network;
  const input = Array.from(new Int8Array(bytes));
  const hidden1 = convolve(input, shape.features, layers[0], shape.conv1);
  const hidden2 = convolve(hidden1, shape.conv1.channels, layers[1], shape.conv2);
  const logits = Array.from({ length: shape.classes }, (_, c) => {
    const n = hidden2.length;
    let sum = layers[2].bias[c];
    for (let k = 0; k < n; k++) sum += hidden2[k] * layers[2].weights[c * n + k];
    return rescale(sum, layers[2]);
  });
  const largest = Math.max(...logits);
  const weights = logits.map((logit) => exp[largest - logit]);
  const total = weights.reduce((a, b) => a + b);
  return weights.map((weight) => {
    const share = Math.min(255, Math.floor((256 * weight + Math.floor(total / 2)) / total));
    return (Math.floor((share * 1000 + 128) / 256) / 1000).toFixed(3);
  });
}

/** Correct answers of the network in its test set: measured once, and the same everywhere. */
export const knownCorrect = 115;
