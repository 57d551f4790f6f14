import { existsSync } from 'node:fs';
import {
  formatAccuracyResults,
  formatPerformanceResults,
  writeEnergyRunnerResults,
  writeEnergyRunnerRun,
} from '../capture/formats/energyrunner/write.ts';
import { benchmarkRuns, inferencesFor, makeScript, type ScriptMode, ScriptPlayer } from '../dut/scripts/index.ts';
import { energyRunnerAuc, rankAuc } from '../scoring/auc.ts';
import { medianOf } from '../scoring/metrics.ts';
import { findProfile } from '../scoring/profiles/index.ts';
import { top1_pct } from '../scoring/top1.ts';
import { RefusalError, UsageError } from '../signal/errors.ts';
import type { LogLine } from '../signal/types.ts';
import { realTime } from '../transport/time.ts';
import { openDut } from './dut-connection.ts';
import { inputsOf, simulatedMark } from './dut-inputs.ts';
import type { Rig } from './rig-file.ts';

/** A window by the DUT's own timestamps. */
interface LapWindow {
  /** 2, 4, 6... as EnergyRunner counts. */
  index: number;
  inferences: number;
  runtime_s: number;
  throughput_ips: number;
}

/** What a performance or accuracy run shows; null and empty where the run has none of it. */
export interface UnmeasuredOutcome {
  mode: ScriptMode;
  model: string;
  simulated: boolean;
  /** In the layout of EnergyRunner. */
  folder: string;
  windows: LapWindow[];
  median: { throughput_ips: number | null };
  accuracy: { top1_pct: number | null; auc: number | null; n: number } | null;
  /** Demands of the benchmark that are not met, a sentence each. */
  unmet: string[];
  interrupted: boolean;
}

export interface UnmeasuredOptions {
  /** The folder to make; it must not exist. */
  folder: string;
  version: string;
  interrupt?: AbortSignal;
  onProgress?: (share: number) => void;
}

/** The counter of a DUT has 32 bits. */
const wrap_us = 2 ** 32;

/**
 * A performance or accuracy run of a DUT on a serial port, without an instrument. It is written in the layout of EnergyRunner,
 * its figures by the published arithmetic; the log of a run that fails under way is kept.
 *
 * @throws UsageError for a benchmark without such a run, or inputs that are missing; DeviceError as port and DUT do
 */
export async function unmeasuredRun(
  rig: Rig,
  mode: 'performance' | 'accuracy',
  options: UnmeasuredOptions,
): Promise<UnmeasuredOutcome> {
  const runs = benchmarkRuns[rig.profile];
  const profile = findProfile(rig.profile);
  if (runs === undefined || runs.inputBytes === null || profile === null) {
    throw new UsageError('rig.profile', {
      where: `profile ${rig.profile}`,
      problem: `there is no ${mode} run of it for a DUT on a serial port`,
      remedy: 'choose kws01, ic01, ad01 or vww01',
    });
  }
  if (['auto', 'emulated', 'qemu'].includes(rig.dut.connection)) {
    throw new UsageError('rig.invalid', {
      where: `dut.mode: ${mode}`,
      problem: 'needs a DUT on a serial port',
      remedy: 'name its port under `dut.connection`; `joulemark emulate dut` serves an emulated one',
    });
  }
  if (existsSync(options.folder)) {
    throw new UsageError('export.folder', {
      where: options.folder,
      problem: 'exists already',
      remedy: 'name a folder that does not exist yet',
    });
  }
  const dut = await openDut(rig, 'performance', runs.scores);
  const log: LogLine[] = [];
  let simulated = false;
  let isWritten = false;
  const writeLog = () => {
    isWritten = true;
    writeEnergyRunnerRun(options.folder, { simulated, log, isRelayed: dut.io !== null });
  };
  try {
    const identity = await dut.client.open();
    simulated = identity.name.startsWith(simulatedMark);
    const count = mode === 'accuracy' ? Number.POSITIVE_INFINITY : runs.windows;
    const inputs = await inputsOf(rig, runs.inputBytes, identity.name, count);
    let inferences = rig.dut.inferences;
    if (mode === 'performance' && inferences === undefined && inputs.list[0] !== undefined) {
      await dut.client.load((await inputs.read(inputs.list[0])).subarray(0, runs.inputBytes));
      inferences = await inferencesFor(dut.client, profile.minimumDuration_s, profile.minimumIterations);
    }
    const script = makeScript(mode, rig.profile, inputs.list, {
      ...(inferences === undefined ? {} : { inferences }),
      isRelayed: dut.io !== null,
      hasIoTimer: false,
    });
    const player = new ScriptPlayer(script, {
      dut: dut.client,
      instrument: null,
      io: dut.io,
      readInput: inputs.read,
      version: options.version,
      sessionId: new Date().toISOString().replace(/\D/g, '').slice(0, 14),
      start_ns: realTime.now_ns(),
      emit: (line) => log.push(line),
      ...(options.onProgress ? { onProgress: options.onProgress } : {}),
      ...(options.interrupt ? { interrupt: options.interrupt } : {}),
    });
    dut.onLine((source, line) => player.heard(source, line));
    const outcome = await player.play();
    const time_s = log.at(-1)?.time_s ?? 0;
    writeLog();
    const basis = { mode, model: rig.profile, simulated, folder: options.folder, interrupted: outcome.interrupted };
    if (mode === 'performance') {
      const windows = windowsOf(outcome.laps_us, script.inferences!);
      const throughput_ips = medianOf(windows.map((window) => window.throughput_ips));
      if (throughput_ips !== null) {
        writeEnergyRunnerResults(options.folder, formatPerformanceResults(windows, throughput_ips, time_s));
      }
      const short = windows.filter(
        ({ runtime_s }) => runtime_s < profile.minimumDuration_s || script.inferences! < profile.minimumIterations,
      );
      const unmet = short.map(
        ({ index, runtime_s }) =>
          `window ${index} takes ${runtime_s.toFixed(3)} s over ${script.inferences} inferences; it must take ${profile.minimumDuration_s} s and ${profile.minimumIterations} inferences`,
      );
      return { ...basis, windows, median: { throughput_ips }, accuracy: null, unmet };
    }
    const labelled = outcome.answers.filter(({ input }) => input.label !== null);
    const accuracy = accuracyOf(
      labelled.map(({ input, scores }) => ({ file: input.file, label: input.label!, scores })),
    );
    writeEnergyRunnerResults(options.folder, formatAccuracyResults(accuracy.top1_pct, accuracy.auc, time_s));
    const unmet = profile.quality.flatMap(({ metric, sense, value }) => {
      const figure = metric === 'top1_pct' ? accuracy.top1_pct : metric === 'auc' ? accuracy.auc : null;
      const isMet = figure !== null && (sense === 'at-least' ? figure >= value : figure <= value);
      return isMet ? [] : [`${metric} is ${figure ?? 'unknown'}, ${sense.replace('-', ' ')} ${value} is asked for`];
    });
    return { ...basis, windows: [], median: { throughput_ips: null }, accuracy, unmet };
  } catch (error) {
    // What the DUT said before is the way to find out why.
    if (log.length > 0 && !isWritten) writeLog();
    throw error;
  } finally {
    await dut.client.close();
  }
}

/** Windows lie between the laps after the handshake: 1 and 2, 3 and 4... */
function windowsOf(laps_us: readonly number[], inferences: number): LapWindow[] {
  const windows: LapWindow[] = [];
  for (let k = 2; k < laps_us.length; k += 2) {
    const runtime_us = laps_us[k]! - laps_us[k - 1]!;
    const runtime_s = (runtime_us < 0 ? runtime_us + wrap_us : runtime_us) / 1e6;
    if (runtime_s === 0) {
      throw new RefusalError('window.empty', {
        where: `window ${k}`,
        problem: 'begins and ends at the same count of the clock of the DUT',
        remedy: 'let a window hold more inferences',
      });
    }
    windows.push({ index: k, inferences, runtime_s, throughput_ips: inferences / runtime_s });
  }
  return windows;
}

/** One score an answer is an anomaly score: a file's is the mean over its parts. */
function accuracyOf(answers: readonly { file: string; label: number; scores: number[] }[]) {
  const n = answers.length;
  if (answers.every(({ scores }) => scores.length === 1)) {
    const files = new Map<string, { label: number; sum: number; parts: number }>();
    for (const { file, label, scores } of answers) {
      const entry = files.get(file) ?? { label, sum: 0, parts: 0 };
      entry.sum += scores[0]!;
      entry.parts++;
      files.set(file, entry);
    }
    const all = [...files.values()];
    const auc = rankAuc(
      all.map(({ sum, parts }) => sum / parts),
      all.map(({ label }) => label === 1),
    );
    return { top1_pct: null, auc, n };
  }
  const scores = answers.map((answer) => answer.scores);
  const labels = answers.map(({ label }) => label);
  return { top1_pct: top1_pct(scores, labels), auc: energyRunnerAuc(scores, labels), n };
}
