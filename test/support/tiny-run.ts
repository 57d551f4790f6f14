import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ic01 } from '../../src/scoring/profiles/ic01.ts';
import { kws01 } from '../../src/scoring/profiles/kws01.ts';
import { traceBytes } from './energyrunner-folder.ts';

/**
 * Runs as the runners of MLPerf Tiny write them, made by the tests. The arithmetic of the printed figures is written
 * out here a second time, so that a slip in the code under test cannot hide.
 */
export interface EnergyRunOptions {
  model?: string;
  inputs?: string[];
  inferences?: number;
  warmups?: number;
  /** Length of each inference window and of the loading before it. */
  window_s?: number;
  load_s?: number;
  active_mW?: number;
  idle_mW?: number;
  voltage_mV?: number;
  instrument?: 'lpm01a' | 'js110';
  /** Edges (index into the true list, 0 = handshake) that the timestamper lost. */
  lost?: number[];
  /** Edges that nothing in the log explains, in s. */
  extra?: number[];
  dutName?: string;
  /** Lines put into the log before the session ends, without their time. */
  logLines?: string[];
  /** Trace clock against host clock. */
  slope?: number;
}

export interface EnergyRun {
  log: string;
  results: string;
  timestamps: number[];
  trace_mW: Float32Array;
  /** Median over the windows that really held inferences. */
  trueMedian_uJ: number;
}

const round3 = (t: number) => Math.round(t * 1000) / 1000;

/** The files of one energy run. */
export function energyRun(options: EnergyRunOptions = {}): EnergyRun {
  const {
    model = 'kws01',
    inputs = [...(model === 'ic01' ? ic01 : kws01).labels[0]!.firstInputs],
    inferences = 250,
    warmups = 1,
    window_s = 10.5,
    load_s = 2,
    active_mW = 24.37,
    idle_mW = 7.311,
    voltage_mV = 1800,
    instrument = 'lpm01a',
    lost = [],
    extra = [],
    slope = 1,
  } = options;
  const edges = [0.015];
  let t = 0.5;
  for (let k = 0; k < inputs.length; k++) {
    const start = t + load_s * (1 + 0.01 * k);
    edges.push(round3(start), round3(start + window_s * (1 + 0.001 * k)));
    t = edges.at(-1)! + 0.1;
  }
  const seconds = t + 1;
  const samples = Math.ceil((seconds * 1000) / 1024) * 1024;
  const trace_mW = new Float32Array(samples);
  for (let s = 0; s < samples; s++) {
    const at = s / 1000;
    let active = false;
    for (let k = 1; k + 1 < edges.length; k += 2) if (at > edges[k]! && at <= edges[k + 1]!) active = true;
    const ripple = 1 + 0.01 * Math.sin(s * 0.37);
    const value = (active ? active_mW : idle_mW) * ripple;
    trace_mW[s] = instrument === 'lpm01a' ? Number(value.toPrecision(4)) : value * (1 + 1e-6 * Math.cos(s));
  }
  const timestamps = [...edges.filter((_, i) => !lost.includes(i)), ...extra].sort((a, b) => a - b);
  const results = energyResults(trace_mW, timestamps, inferences);
  const pairs: [number, number][] = [];
  for (let k = 1; k + 1 < edges.length; k += 2) {
    if (!lost.includes(k) && !lost.includes(k + 1)) pairs.push([edges[k]!, edges[k + 1]!]);
  }
  const log = energyLog(
    { ...options, model, inputs, inferences, warmups, voltage_mV, instrument, slope },
    edges,
    samples,
  );
  return {
    log,
    results,
    timestamps,
    trace_mW,
    trueMedian_uJ: medianOf(pairs.map(([a, b]) => energyOf(trace_mW, a, b).energy_uJ / inferences)),
  };
}

/** Sum over (a, b] of the accumulated grid, as the published figures prove it. */
function energyOf(trace: Float32Array, t0: number, t1: number): { energy_uJ: number; start: number; end: number } {
  let grid = 0;
  let [sum, start, end] = [0, 0, 0];
  // Sample s lies at G[s]; s = 0 is never summed because G[0] = 0 <= t0.
  for (let s = 0; s < trace.length; s++) {
    if (grid <= t0) start = grid;
    else if (grid <= t1) sum += trace[s]!;
    if (grid <= t1) end = grid;
    grid += 1 / 1000;
  }
  return { energy_uJ: sum, start, end };
}

function medianOf(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function energyResults(trace: Float32Array, timestamps: number[], n: number): string {
  const energy: string[] = [];
  const performance: string[] = [];
  const perInference: number[] = [];
  const throughput: number[] = [];
  for (let k = 2; k < timestamps.length; k += 2) {
    const [t0, t1] = [timestamps[k - 1]!, timestamps[k]!];
    const { energy_uJ, start, end } = energyOf(trace, t0, t1);
    perInference.push(energy_uJ / n);
    throughput.push(n / (t1 - t0));
    energy.push(
      `Energy data for window ${k} at time ${start.toFixed(2)} for ${(end - start).toFixed(2)} sec.:`,
      `  Energy       : ${energy_uJ.toFixed(3).padStart(12)} uJ`,
      `  Power        : ${(energy_uJ / (end - start)).toFixed(3).padStart(12)} uW`,
      `  Energy/Inf.  : ${(energy_uJ / n).toFixed(3).padStart(12)} uJ/inf.`,
    );
    performance.push(...performanceWindow(k, n, t1 - t0));
  }
  const rule = '---------------------------------------------------------';
  const lines = [
    ...energy,
    rule,
    `Median energy cost is ${medianOf(perInference).toFixed(3)} uJ/inf.`,
    rule,
    ...performance,
    rule,
    `Median throughput is ${medianOf(throughput).toFixed(3)} inf./sec.`,
    rule,
    'Cannot compute accuracy metrics in single-run mode.',
  ];
  return lines.map((line) => `00300.000 ulp-ml: ${line}\n`).join('');
}

function performanceWindow(k: number, n: number, runtime_s: number): string[] {
  return [
    `Performance results for window ${k}:`,
    `  # Inferences : ${String(n).padStart(12)}`,
    `  Runtime      : ${runtime_s.toFixed(3).padStart(12)} sec.`,
    `  Throughput   : ${(n / runtime_s).toFixed(3).padStart(12)} inf./sec.`,
    runtime_s >= 10 && n >= 10
      ? 'Runtime requirements have been met.'
      : 'e-[The run must take at least 10 seconds and 10 iterations to be valid]',
  ];
}

type Timed = [time_s: number, text: string];

function energyLog(
  o: Required<
    Pick<EnergyRunOptions, 'model' | 'inputs' | 'inferences' | 'warmups' | 'voltage_mV' | 'instrument' | 'slope'>
  > &
    EnergyRunOptions,
  edges: number[],
  samples: number,
): string {
  const offset = 100;
  const at = (trace_s: number) => offset + trace_s / o.slope;
  const lines: Timed[] = [
    [99, 'session: m-session-start-id[20240101120000]'],
    [99, 'parser: m-bmark-run-name[ML Energy 1.0.1]-code[ulp-ml]'],
    [99, 'sequencer: m-sequencer-start'],
    [99, 'parser: m-version[3.0.10]'],
    [99.1, `parser: m-bm-cfg-name[ulp-ml]-key[iterInfer]-val[${o.inferences}]`],
    [99.1, 'parser: m-bm-cfg-name[ulp-ml]-key[runMode]-val[bmark]'],
    [99.1, `parser: m-bm-cfg-name[ulp-ml]-key[model]-val[${o.model}]`],
    [99.2, 'emon: m-power[on]'],
    [99.3, 'io: [dut]: m-timestamp-mode-energy'],
    ...(o.dutName ? [[99.3, `io: [dut]: m-name-dut-[${o.dutName}]`] as Timed] : []),
    [99.4, `io: [dut]: m-model-[${o.model}]`],
    [100, 'emon: m-trace[on]'],
    [at(edges[0]!), 'io: m-dut-passthrough(timestamp)'],
  ];
  o.inputs.forEach((input, k) => {
    const [start, stop] = [edges[2 * k + 1]!, edges[2 * k + 2]!];
    lines.push(
      [at(start) - 0.5, `parser: Command "bloadp "/data/${o.model}/${input}""`],
      [at(start) - 0.1, `parser: Command "io dut infer ${o.inferences} ${o.warmups}"`],
      [at(start) - 0.08, `io: m-dut-passthrough(infer ${o.inferences} ${o.warmups})`],
      [at(start) - 0.05, `io: [dut]: m-warmup-start-${o.warmups}`],
      [at(start) - 0.01, 'io: [dut]: m-warmup-done'],
      [at(start) + 0.004, `io: [dut]: m-infer-start-${o.inferences}`],
      [at(stop) + 0.025, 'io: [dut]: m-infer-done'],
      [at(stop) + 0.05, 'io: [dut]: m-results-[0.1,0.9]'],
      [at(stop) + 0.05, 'io: [dut]: m-ready'],
    );
  });
  const end = at(samples / 1000) + 0.2;
  for (const text of o.logLines ?? []) lines.push([end, text]);
  lines.push(
    [end, `emon: m-regfile-fn[trace1-energy.bin]-type[emon]-name[${o.instrument}]`],
    [end, 'emon: m-trace[off]'],
    [end, `emon: m-voltage-mv[${o.voltage_mV}]`],
    [end, 'session: m-session-stop-id[20240101120000]'],
  );
  return lines.map(([time_s, text]) => `${time_s.toFixed(3).padStart(9, '0')} ${text}\n`).join('');
}

/** Writes an energy run into `<root>/<round>/closed/Acme/results/Board/<benchmark>/energy`; gives the folder. */
export function writeEnergyRun(
  root: string,
  run: EnergyRun,
  place = 'v1.1/closed/Acme/results/Board/kws/energy',
): string {
  const folder = join(root, place);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'log.txt'), run.log);
  writeFileSync(join(folder, 'results.txt'), run.results);
  writeFileSync(join(folder, 'script.async'), "[\n    {\n        cmd: 'version'\n    }\n]\n");
  writeFileSync(join(folder, 'trace1-energy.bin'), traceBytes(run.trace_mW));
  writeFileSync(join(folder, 'trace1-timestamps.json'), JSON.stringify(run.timestamps, null, '\t'));
  return folder;
}

export interface PerformanceRunOptions {
  inferences?: number;
  runtime_us?: number[];
  /** Rate of the device's clock against the host's. */
  clock?: number;
}

/** Log and results of an EnergyRunner performance run. */
export function performanceRun(options: PerformanceRunOptions = {}): { log: string; results: string } {
  const {
    inferences = 250,
    runtime_us = [10_512_345, 10_512_001, 10_513_777, 10_511_900, 10_512_400],
    clock = 1,
  } = options;
  const lines: Timed[] = [
    [10, 'session: m-session-start-id[20240101130000]'],
    [10, 'parser: m-bmark-run-name[ML Performance 1.0.1]-code[ulp-mlperf]'],
    [10, 'sequencer: m-sequencer-start'],
    [10, 'parser: m-bm-cfg-name[ulp-mlperf]-key[runMode]-val[bmark]'],
    [10, 'parser: m-bm-cfg-name[ulp-mlperf]-key[model]-val[kws01]'],
    [10.1, 'dut: m-model-[kws01]'],
    [10.2, 'dut: m-lap-us-5000000'],
  ];
  let [host_s, dut_us] = [10.2, 5_000_000];
  runtime_us.forEach((runtime, k) => {
    lines.push([host_s, `parser: Command "bload dut "/data/kws01/${kws01.labels[0]!.firstInputs[k]}""`]);
    lines.push([host_s + 0.3, `parser: Command "dut infer ${inferences} 1"`]);
    host_s += 0.4;
    dut_us += 400_000;
    lines.push([host_s, `dut: m-infer-start-${inferences}`], [host_s, `dut: m-lap-us-${dut_us}`]);
    host_s += runtime / 1e6 / clock;
    dut_us += runtime;
    lines.push(
      [host_s, `dut: m-lap-us-${dut_us}`],
      [host_s, 'dut: m-infer-done'],
      [host_s, 'dut: m-results-[0.1,0.9]'],
    );
  });
  lines.push([host_s, 'session: m-session-stop-id[20240101130000]']);
  const log = lines.map(([t, text]) => `${t.toFixed(3).padStart(9, '0')} ${text}\n`).join('');
  const printed = runtime_us.flatMap((runtime, k) => performanceWindow(2 * (k + 1), inferences, runtime / 1e6));
  const median = medianOf(runtime_us.map((runtime) => inferences / (runtime / 1e6)));
  const results = [...printed, `Median throughput is ${median.toFixed(3)} inf./sec.`];
  return { log, results: results.map((line) => `00090.000 ulp-mlperf: ${line}\n`).join('') };
}

/** Writes text files into a folder below the root; gives the folder. */
export function writeTexts(root: string, place: string, files: Record<string, string>): string {
  const folder = join(root, place);
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}
