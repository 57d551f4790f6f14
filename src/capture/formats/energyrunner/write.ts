import type { LogLine } from '../../../signal/types.ts';
import { makeLayoutFolder, simulatedMark } from '../layout-folder.ts';
import type { LogSource } from './log.ts';
import { TRACE_MARK } from './trace.ts';

/** The one rate at which it is settled that a value means uJ a sample (which is mW). */
export const writtenRate_Hz = 1000;

/** A run as the EnergyRunner layout tells it. */
export interface EnergyRunnerRun {
  /** True marks the layout: a file `SIMULATED`, and `m-name-dut-[SIMULATED ...]`. */
  simulated: boolean;
  /** In time order, times from 0. Lines of a source outside the grammar are left out. */
  log: Iterable<LogLine>;
  /** Lines of source `dut` came through an IO manager (`io: [dut]: `) or directly (`dut: `). */
  isRelayed: boolean;
  /** Energy runs: uJ in each millisecond. */
  trace_uJ?: Float32Array;
  /** Energy runs: falling edges in s since the first sample of the trace. */
  timestamps_s?: readonly number[];
}

/** One window as results.txt prints it. */
export interface WrittenWindow {
  /** 2, 4, 6... */
  index: number;
  start_s: number;
  duration_s: number;
  runtime_s: number;
  energy_uJ: number;
  power_uW: number;
  energyPerInference_uJ: number;
  inferences: number;
  throughput_ips: number;
}

type PerformanceWindow = Pick<WrittenWindow, 'index' | 'inferences' | 'runtime_s' | 'throughput_ips'>;

const grammarSources: readonly string[] = [
  'session',
  'parser',
  'sequencer',
  'emon',
  'io',
  'dut',
  'ulp-ml',
  'ulp-mlperf',
] satisfies LogSource[];

const nameMessage = /^m-name-dut-\[(.*)\]$/;

const timeText = (time_s: number): string => Math.max(0, time_s).toFixed(3).padStart(9, '0');

/**
 * The text of a log.txt, without a line end at its end (as the runner writes it). A simulated run names its DUT
 * `SIMULATED ...`, whatever the DUT said.
 */
export function formatEnergyRunnerLog(run: Pick<EnergyRunnerRun, 'log' | 'simulated' | 'isRelayed'>): string {
  const dut = run.isRelayed ? 'io: [dut]:' : 'dut:';
  const lines: string[] = [];
  let isMarked = !run.simulated;
  const mark = (time_s: number, name: string) => {
    isMarked = true;
    return `${timeText(time_s)} ${dut} m-name-dut-[${name}]`;
  };
  let last_s = 0;
  for (const { time_s, source, text } of run.log) {
    last_s = time_s;
    // One line stays one line, and one that a reader could split stays whole.
    const message = text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, ' ');
    const name = source === 'dut' ? nameMessage.exec(message.trim())?.[1] : undefined;
    if (run.simulated && name !== undefined) {
      lines.push(mark(time_s, name.startsWith(simulatedMark) ? name : `${simulatedMark} ${name}`));
    } else if (source === 'dut') lines.push(`${timeText(time_s)} ${dut} ${message}`);
    else if (source === 'dut-damaged') {
      lines.push(`${timeText(time_s)} parser: m-[A damaged line of the DUT is left out]`);
    } else if (grammarSources.includes(source)) lines.push(`${timeText(time_s)} ${source}: ${message}`);
  }
  if (!isMarked) lines.push(mark(last_s, simulatedMark));
  return lines.join('\n');
}

const sequenced = /^m-sequencing-i\[\d+\]-command\[(.*)\]-ack\[(.*)\]-ms\[(-?\d+)\]-acc\[-?\d+\]-total_ms\[-?\d+\]$/;

/**
 * The text of a script.async: the steps that the log tells, each with what is not the runner's default. Without a
 * sequencer in the log it is the commands alone.
 */
export function formatScript(log: Iterable<LogLine>): string {
  const steps: { command: string; ack: string; ms: string }[] = [];
  const commands: string[] = [];
  for (const { source, text } of log) {
    const step = source === 'sequencer' ? sequenced.exec(text) : null;
    if (step) steps.push({ command: step[1]!, ack: step[2]!, ms: step[3]! });
    const command = source === 'parser' ? /^Command "(.*)"$/.exec(text)?.[1] : undefined;
    if (command !== undefined) commands.push(command);
  }
  const entries =
    steps.length === 0
      ? commands.map((command) => [property('cmd', quoted(command))])
      : steps.map(({ command, ack, ms }) => [
          property('cmd', quoted(command)),
          ...(ms === steps[0]!.ms ? [] : [property('ms', ms)]),
          ...(ack === defaultAck(command) ? [] : [property('ack', ack)]),
        ]);
  const objects = entries.map((lines) => `    {\n${lines.join(',\n')}\n    }`);
  return objects.length === 0 ? '[]' : `[\n${objects.join(',\n')}\n]`;
}

/** What ends a step unless the script says otherwise. */
function defaultAck(command: string): string {
  const word = /^(?:io|emon|dut)(?= )/.exec(command)?.[0] ?? 'parser';
  return `/${word}: m-ready/`;
}

const property = (name: string, value: string): string => `        ${name}: ${value}`;

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

/** The bytes of a trace1-energy.bin. */
export function formatTrace(values: Float32Array): Uint8Array {
  const bytes = Buffer.alloc(5 + 4 * values.length);
  bytes[0] = TRACE_MARK;
  bytes.writeFloatLE(writtenRate_Hz, 1);
  for (let k = 0; k < values.length; k++) bytes.writeFloatLE(values[k]!, 5 + 4 * k);
  return bytes;
}

/** The text of a trace1-timestamps.json: seconds to three decimals, one a line behind a tab. */
export function formatTimestamps(timestamps_s: readonly number[]): string {
  return JSON.stringify(
    timestamps_s.map((time_s) => Number(time_s.toFixed(3))),
    null,
    '\t',
  );
}

/** Figures of an energy run as results.txt prints them. `time_s`: the host's clock after the run. */
export function formatEnergyResults(
  windows: readonly WrittenWindow[],
  median: { energyPerInference_uJ: number; throughput_ips: number },
  time_s: number,
): string {
  return print('ulp-ml', time_s, [
    ...windows.flatMap((window) => [
      `Energy data for window ${window.index} at time ${window.start_s.toFixed(2)} for ${window.duration_s.toFixed(2)} sec.:`,
      `  Energy       : ${wide(window.energy_uJ)} uJ`,
      `  Power        : ${wide(window.power_uW)} uW`,
      `  Energy/Inf.  : ${wide(window.energyPerInference_uJ)} uJ/inf.`,
    ]),
    rule,
    `Median energy cost is ${median.energyPerInference_uJ.toFixed(3)} uJ/inf.`,
    rule,
    ...performanceLines(windows, median.throughput_ips),
  ]);
}

/** Figures of a performance run as results.txt prints them. */
export function formatPerformanceResults(
  windows: readonly PerformanceWindow[],
  medianThroughput_ips: number,
  time_s: number,
): string {
  return print('ulp-mlperf', time_s, performanceLines(windows, medianThroughput_ips));
}

/** Figures of an accuracy run as results.txt prints them; a figure that there is not is left out. */
export function formatAccuracyResults(top1_pct: number | null, auc: number | null, time_s: number): string {
  return print('ulp-mlperf', time_s, [
    ...(top1_pct === null ? [] : [`Top-1: ${top1_pct.toFixed(1)}%`]),
    ...(auc === null ? [] : [`AUC: ${auc.toFixed(2)}`]),
  ]);
}

/**
 * Writes log.txt and script.async, and for an energy run the trace and its timestamps, into a new folder; results.txt is added by
 * `writeResults` once they have been scored.
 * @throws UsageError where the folder exists or cannot be made
 */
export function writeEnergyRunnerRun(folder: string, run: EnergyRunnerRun): void {
  const add = makeLayoutFolder(folder, run.simulated);
  const log = [...run.log];
  add('log.txt', formatEnergyRunnerLog({ ...run, log }));
  add('script.async', formatScript(log));
  if (run.trace_uJ !== undefined) add('trace1-energy.bin', formatTrace(run.trace_uJ));
  if (run.timestamps_s !== undefined) add('trace1-timestamps.json', formatTimestamps(run.timestamps_s));
}

const rule = '-'.repeat(57);
const requirement_s = 10;
const requiredInferences = 10;

function performanceLines(windows: readonly PerformanceWindow[], medianThroughput_ips: number): string[] {
  return [
    ...windows.flatMap((window) => [
      `Performance results for window ${window.index}:`,
      `  # Inferences : ${String(window.inferences).padStart(12)}`,
      `  Runtime      : ${wide(window.runtime_s)} sec.`,
      `  Throughput   : ${wide(window.throughput_ips)} inf./sec.`,
      window.runtime_s >= requirement_s && window.inferences >= requiredInferences
        ? 'Runtime requirements have been met.'
        : 'e-[The run must take at least 10 seconds and 10 iterations to be valid]',
    ]),
    rule,
    `Median throughput is ${medianThroughput_ips.toFixed(3)} inf./sec.`,
    rule,
    'Cannot compute accuracy metrics in single-run mode.',
  ];
}

/** printf %12.3f. */
function wide(value: number): string {
  return value.toFixed(3).padStart(12);
}

function print(source: string, time_s: number, lines: string[]): string {
  return lines.map((line) => `${timeText(time_s)} ${source}: ${line}\n`).join('');
}
