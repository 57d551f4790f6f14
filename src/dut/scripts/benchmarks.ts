import { UsageError } from '../../signal/errors.ts';
import type { Script, ScriptInput, ScriptMode, ScriptStep } from './script.ts';

/** What the runs of one benchmark share. */
export interface BenchmarkRuns {
  /** Model id as the DUT prints it. */
  model: string;
  /** Bytes of one download; null for a streaming benchmark. */
  inputBytes: number | null;
  /** Numbers in an answer; null where there is none. */
  scores: number | null;
  /**
   * A file holds several inputs, `stride_bytes` apart: an accuracy run takes all of them, the others the first
   * (MLCommons benchmark/runner; EnergyRunner `bloadp "file" 0 2560`).
   */
  stride_bytes: number | null;
  /** Inputs of an energy or performance run; an accuracy run takes all that there are. */
  windows: number;
  /** Warm-up inferences before a window, and before an answer of an accuracy run (EnergyRunner logs). */
  warmups: number;
  accuracyWarmups: number;
}

const fiveInputs = { stride_bytes: null, windows: 5, warmups: 1, accuracyWarmups: 0 };

/** Runs of MLPerf Tiny (EnergyRunner logs; MLCommons benchmark/runner). */
export const benchmarkRuns: Readonly<Record<string, BenchmarkRuns>> = {
  kws01: { model: 'kws01', inputBytes: 490, scores: 12, ...fiveInputs },
  ic01: { model: 'ic01', inputBytes: 3072, scores: 10, ...fiveInputs },
  ad01: { model: 'ad01', inputBytes: 2560, scores: 1, ...fiveInputs, stride_bytes: 512 },
  vww01: { model: 'vww01', inputBytes: 27_648, scores: 2, ...fiveInputs },
  sww01: {
    model: 'sww01',
    inputBytes: null,
    scores: null,
    stride_bytes: null,
    windows: 1,
    warmups: 0,
    accuracyWarmups: 0,
  },
};

const parserReady = '/parser: m-ready/';
const emonReady = '/emon: m-ready/';
const ioReady = '/io: m-ready/';
/** EnergyRunner's time for a download. */
const msPerByte = 16;

export interface ScriptOptions {
  /** Inferences of each window; needed but for accuracy and streaming runs. */
  inferences?: number;
  /** The DUT is behind an IO manager. */
  isRelayed: boolean;
  /** The IO manager stamps edges. */
  hasIoTimer: boolean;
}

/**
 * The run of a benchmark, step by step.
 * @throws UsageError for a benchmark without such a run, too few inputs, inputs of another size, or no inferences
 */
export function makeScript(
  mode: ScriptMode,
  model: string,
  inputs: readonly ScriptInput[],
  options: ScriptOptions,
): Script {
  const runs = benchmarkRuns[model];
  const refuse = (problem: string, remedy: string) =>
    new UsageError('script.impossible', { where: `${mode} run of ${model}`, problem, remedy });
  if (runs === undefined) {
    throw refuse('there is no such benchmark', `choose one of ${Object.keys(benchmarkRuns).join(', ')}`);
  }
  const isAccuracy = mode === 'accuracy';
  const used = isAccuracy ? inputs : inputs.slice(0, runs.windows);
  if (used.length < (isAccuracy ? 1 : runs.windows)) {
    throw refuse(`${inputs.length} inputs; it takes ${isAccuracy ? 'one at least' : runs.windows}`, 'give more inputs');
  }
  for (const { file, bytes } of used) {
    const { inputBytes, stride_bytes } = runs;
    if (inputBytes === null || bytes === inputBytes || (stride_bytes !== null && bytes > inputBytes)) continue;
    throw refuse(`${file} holds ${bytes} bytes, an input has ${inputBytes}`, 'give the inputs of this benchmark');
  }
  const inferences = runs.inputBytes === null ? null : isAccuracy ? 1 : (options.inferences ?? 0);
  if (inferences !== null && inferences < 1) throw refuse('nothing says how many inferences', 'give their number');

  const code = mode === 'energy' ? 'ulp-ml' : 'ulp-mlperf';
  const dut = options.isRelayed ? 'io dut' : 'dut';
  const dutReady = options.isRelayed ? '/dut.: m-ready/' : '/dut: m-ready/';
  const step = (action: ScriptStep['action'], command: string, ack: string, ms = 5000): ScriptStep => ({
    action,
    command,
    ack,
    ms,
  });
  const downloads = used.flatMap((input, k) =>
    partsOf(input, runs, isAccuracy).flatMap(({ offset, length }) => {
      const part = offset === null ? '' : ` ${offset} ${length}`;
      const action = { do: 'load', input: k, ...(offset === null ? {} : { offset, length }) } as const;
      const load = options.isRelayed ? 'bloadp' : 'bload dut';
      const warmups = isAccuracy ? runs.accuracyWarmups : runs.warmups;
      return [
        step(action, `${load} "${nameOf(input.file)}"${part}`, parserReady, msPerByte * input.bytes),
        step(
          { do: 'infer', inferences: inferences!, warmups },
          `${dut} infer ${inferences} ${warmups}`,
          '/dut.?: m-ready/',
          -1,
        ),
      ];
    }),
  );
  const isStreaming = runs.inputBytes === null;
  const streams = used.map((input, k) => step({ do: 'stream', input: k }, `io play ${input.file}`, ioReady, -1));
  const body = isStreaming ? streams : downloads;
  // A streaming DUT marks time by itself, at `start` and `stop`.
  const handshake = isStreaming ? [] : [step({ do: 'timestamp' }, `${dut} timestamp`, dutReady)];
  const begin = [
    step({ do: 'version' }, 'version', parserReady),
    step({ do: 'configure' }, `bm cfg ${code}`, parserReady),
  ];
  const timerOn = options.hasIoTimer
    ? [step({ do: 'timer-mode' }, 'io tm 0', ioReady), step({ do: 'io-timer', on: true }, 'io enable-timer', ioReady)]
    : [];
  const timerOff = options.hasIoTimer ? [step({ do: 'io-timer', on: false }, 'io disable-timer', ioReady)] : [];
  const steps =
    mode === 'energy'
      ? [
          ...begin,
          step({ do: 'power', on: true }, 'emon power on', dutReady),
          step({ do: 'profile' }, `${dut} profile`, dutReady),
          ...timerOn,
          step({ do: 'timer', on: true }, 'emon timer on', emonReady),
          step({ do: 'trace', on: true }, 'emon trace on trace1', emonReady),
          ...handshake,
          step({ do: 'echo', label: 'head', delay_ms: 1000 }, 'echo head 1000', '/echo-message\\[head\\]/'),
          ...body,
          step({ do: 'echo', label: 'tail', delay_ms: 1000 }, 'echo tail 1000', '/echo-message\\[tail\\]/'),
          step({ do: 'trace', on: false }, 'emon trace off', emonReady, -1),
          step({ do: 'timer', on: false }, 'emon timer off', emonReady),
          ...timerOff,
          step({ do: 'voltage' }, 'emon voltage', emonReady),
          step({ do: 'power', on: false }, 'emon power off', emonReady),
        ]
      : [...begin, step({ do: 'profile' }, `${dut} profile`, dutReady), ...handshake, ...body];
  return {
    mode,
    model,
    runName: mode === 'energy' ? 'ML Energy 1.0.1' : 'ML Performance 1.0.1',
    code,
    config: {
      iterWarmup: String(isAccuracy ? runs.accuracyWarmups : runs.warmups),
      iterInfer: String(inferences ?? 1),
      runMode: isAccuracy ? 'multi' : 'bmark',
      model,
      singleInputFn: nameOf(used[0]!.file),
    },
    inputs: used,
    inferences,
    windows: isStreaming ? used.length : downloads.length / 2,
    steps,
  };
}

/** File name without its folder, whichever system wrote the path: a log holds no paths of the machine. */
export function nameOf(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
}

/** The downloads of one file: the whole, or parts of it. */
function partsOf(
  input: ScriptInput,
  runs: BenchmarkRuns,
  isAccuracy: boolean,
): { offset: number | null; length: number }[] {
  const { inputBytes, stride_bytes } = runs;
  if (inputBytes === null || stride_bytes === null || input.bytes === inputBytes) {
    return [{ offset: null, length: input.bytes }];
  }
  const count = isAccuracy ? Math.floor((input.bytes - inputBytes) / stride_bytes) + 1 : 1;
  return Array.from({ length: count }, (_, k) => ({ offset: k * stride_bytes, length: inputBytes }));
}
