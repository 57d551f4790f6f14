import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readLines } from '../capture/formats/lines.ts';
import { simulatedInput, soundOfFile } from '../dut/emulators/index.ts';
import { smallNetwork, smallNetworkTestSet } from '../dut/emulators/small-network.ts';
import type { IoManager } from '../dut/io-manager.ts';
import { benchmarkRuns, type ScriptInput } from '../dut/scripts/index.ts';
import { Random } from '../plant/random.ts';
import { FormatError, UsageError } from '../signal/errors.ts';
import type { ReachedDut } from './dut-connection.ts';
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
 * The first `count` inputs of the folder that the rig names, by its y_labels.csv; without one, for a DUT that says that it is simulated,
 * the test set of its network or made-up inputs.
 * @throws UsageError where inputs are missing, FormatError where y_labels.csv is none
 */
export async function inputsOf(rig: Rig, inputBytes: number, dutName: string, count: number): Promise<Inputs> {
  const isSimulated = dutName.startsWith(simulatedMark);
  const hasSmallNetwork = isSimulated && rig.profile === smallNetwork.model;
  const folder = rig.dut.inputs ?? (hasSmallNetwork ? smallNetworkTestSet : undefined);
  if (folder === undefined) {
    if (!isSimulated) {
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

/** @throws UsageError where the rig cannot carry out a streaming run */
export function assertStreamingFits(rig: Rig): void {
  const refuse = (where: string, problem: string, remedy: string) =>
    new UsageError('rig.streaming', { where, problem: `profile ${rig.profile}: ${problem}`, remedy });
  if (rig.dut.via !== 'io-manager') {
    throw refuse('dut.via', 'the interface board must play the sound', 'add `via: io-manager` under `dut:`');
  }
  if (rig.trigger.source === 'dut-messages') {
    throw refuse(
      'trigger.source: dut-messages',
      'no message of the DUT marks the window',
      'use a pin: `instrument`, `gpio` or `recording`',
    );
  }
}

/** The interface board of a streaming run. @throws UsageError where it is none */
export function boardOf({ io }: ReachedDut): IoManager {
  if (io?.kind === 'interface-board') return io;
  throw new UsageError('rig.streaming', {
    where: io?.name ?? 'dut.via',
    problem: 'the IO manager plays no sound: it is no interface board',
    remedy: 'connect the interface board (STM32H573I-DK)',
  });
}

const soundList = z
  .array(
    z.object({
      wav_file: z.string().regex(/^[^\\/%\s]{1,60}$/),
      length_sec: z.number().positive().max(86_400),
      detection_windows: z.array(z.tuple([z.number(), z.number()])).max(10_000),
    }),
  )
  .min(1);
/** Where the MLCommons runner has the words of the whole recording. */
const soundListName = 'sww_long_test.json';
const mostBytes = 1 << 18;

/**
 * The sound of a streaming run: the first of the list that the rig names (`sww_*_test.json` of the MLCommons runner, or the
 * folder with `sww_long_test.json`); without one, the made-up sound of an emulated interface board.
 * @throws UsageError where there is no list, or the board does not have the sound; FormatError where the list is none
 */
export async function soundOf(rig: Rig, board: IoManager, dutName: string): Promise<Inputs> {
  const files = await board.files();
  const sound = rig.dut.inputs === undefined ? madeUpSound(files, dutName) : await listedSound(rig.dut.inputs);
  if (!files.includes(sound.file)) {
    throw new UsageError('rig.inputs', {
      where: board.name,
      problem: `the interface board has no file ${sound.file}; it has ${files.slice(0, 20).join(', ') || 'none'}`,
      remedy: 'copy the sound files of the benchmark onto its card',
    });
  }
  return { list: [sound], read: async () => new Uint8Array() };
}

function madeUpSound(files: readonly string[], dutName: string): ScriptInput {
  const file = dutName.startsWith(simulatedMark) ? files.find((name) => soundOfFile(name) !== null) : undefined;
  if (file === undefined) {
    throw new UsageError('rig.inputs', {
      where: 'dut.inputs',
      problem: 'nothing says which sound the interface board shall play, and when the wakeword is spoken in it',
      remedy: `add \`inputs:\` under \`dut:\`, ${soundListName} of the benchmark or the folder with it`,
    });
  }
  const { duration_s, words } = soundOfFile(file)!;
  return { file, bytes: 0, label: null, duration_s, words };
}

async function listedSound(path: string): Promise<ScriptInput> {
  const list = path.endsWith('.json') ? path : join(path, soundListName);
  if ((await sizeOf(list, `give ${soundListName} of the benchmark, or the folder with it`)) > mostBytes)
    throw malformedList(list, 'it is too long');
  let value: unknown;
  try {
    value = JSON.parse(await readFile(list, 'utf8'));
  } catch (error) {
    throw malformedList(list, (error as Error).message, error);
  }
  const found = soundList.safeParse(value);
  if (!found.success) {
    const [issue] = found.error.issues;
    throw malformedList(list, `${issue!.path.join('.') || 'the list'}: ${issue!.message}`);
  }
  const { wav_file, length_sec, detection_windows } = found.data[0]!;
  const words = detection_windows.map(([start_s, stop_s]) => ({ start_s, stop_s }));
  return { file: wav_file, bytes: 0, label: null, duration_s: length_sec, words };
}

function malformedList(where: string, problem: string, cause?: unknown): FormatError {
  return new FormatError('labels.malformed', {
    where,
    problem: `expected a list with wav_file, length_sec and detection_windows: ${problem}`,
    remedy: 'use the list of the benchmark (sww_long_test.json of the MLCommons runner)',
    cause,
  });
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

async function sizeOf(path: string, remedy = 'put the input files beside y_labels.csv'): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (cause) {
    throw new UsageError('rig.inputs', {
      where: path,
      problem: `the input cannot be read: ${(cause as Error).message}`,
      remedy,
      cause,
    });
  }
}
