import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readLines } from '../capture/formats/lines.ts';
import { simulatedInput } from '../dut/emulators/index.ts';
import { benchmarkRuns, type ScriptInput } from '../dut/scripts/index.ts';
import { Random } from '../plant/random.ts';
import { FormatError, UsageError } from '../signal/errors.ts';
import type { Rig } from './rig-file.ts';

/** So begins the name of an emulated DUT. */
export const simulatedMark = 'SIMULATED';
/** Made-up inputs of an accuracy run. */
const mostSimulated = 200;

export interface Inputs {
  list: ScriptInput[];
  read(input: ScriptInput): Promise<Uint8Array>;
}

/**
 * The first `count` inputs of the folder that the rig names, by its y_labels.csv; without one, made-up inputs for a DUT that says that it is
 * simulated.
 * @throws UsageError where inputs are missing, FormatError where y_labels.csv is none
 */
export async function inputsOf(rig: Rig, inputBytes: number, dutName: string, count: number): Promise<Inputs> {
  const folder = rig.dut.inputs;
  if (folder === undefined) {
    if (!dutName.startsWith(simulatedMark)) {
      throw new UsageError('rig.inputs', {
        where: 'dut.inputs',
        problem: 'nothing says where the inputs of the benchmark are',
        remedy: 'add `inputs:` under `dut:`, the folder with y_labels.csv and the input files',
      });
    }
    return simulatedInputs(rig, inputBytes, Math.min(count, mostSimulated));
  }
  const list: ScriptInput[] = [];
  const labels = join(folder, 'y_labels.csv');
  for await (const { text, number } of readLines(labels)) {
    if (list.length === count) break;
    const [name, , label] = text.split(',').map((field) => field.trim());
    if (!name) continue;
    if (!/^\d{1,6}$/.test(label ?? '') || /[\\/]/.test(name)) {
      throw new FormatError('labels.malformed', {
        where: `${labels} line ${number}`,
        problem: `expected "file,classes,class", found ${JSON.stringify(text.slice(0, 60))}`,
        remedy: 'use the y_labels.csv of the benchmark',
      });
    }
    const file = join(folder, name);
    list.push({ file, bytes: await sizeOf(file), label: Number(label) });
  }
  return { list, read: ({ file }) => readFile(file) };
}

/**
 * Inputs that carry the class that an emulated network will find: the true one, but for exactly round(error_rate x count) of
 * them, drawn from the seed.
 */
function simulatedInputs(rig: Rig, inputBytes: number, count: number): Inputs {
  const scores = benchmarkRuns[rig.profile]?.scores ?? 1;
  const classes = Math.max(2, scores);
  const random = new Random(rig.seed);
  let wrongLeft = Math.round(rig.dut.error_rate * count);
  const found = new Map<string, number>();
  const list = Array.from({ length: count }, (_, k): ScriptInput => {
    // Selection sampling (Knuth, TAOCP 2, 3.4.2, algorithm S).
    const isWrong = random.uniform() * (count - k) < wrongLeft;
    if (isWrong) wrongLeft--;
    const label = k % classes;
    const file = `sim_${rig.profile}_${String(k).padStart(6, '0')}_${label}.bin`;
    found.set(file, isWrong ? (label + 1) % classes : label);
    return { file, bytes: inputBytes, label };
  });
  return { list, read: async ({ file, bytes }) => simulatedInput(bytes, found.get(file)!, rig.seed) };
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (cause) {
    throw new UsageError('rig.inputs', {
      where: path,
      problem: `the input cannot be read: ${(cause as Error).message}`,
      remedy: 'put the input files beside y_labels.csv',
      cause,
    });
  }
}
