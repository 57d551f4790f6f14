import { type EnergyRunnerRecording, isEnergyRunnerRecording } from '../capture/formats/energyrunner/index.ts';
import type { EnergyRunnerSession } from '../capture/formats/energyrunner/session.ts';
import { isMlcRecording, type MlcRecording } from '../capture/formats/mlcommons/index.ts';
import type { MlcTrial } from '../capture/formats/mlcommons/results-json.ts';
import { RefusalError } from '../signal/errors.ts';
import { quantity } from '../signal/quantity.ts';
import type { Recording } from '../signal/recording.ts';
import type { StreamInfo, Window } from '../signal/types.ts';
import { type Warning, warning } from '../signal/warnings.ts';
import { energyRunnerRule, type PublishedSlice } from '../sync/slicing/energyrunner.ts';
import { mlcRunnerRule } from '../sync/slicing/mlc-runner.ts';
import { medianOf, windowFigures } from './metrics.ts';
import type { MeasuredWindow, ScoreDocument } from './score-document.ts';

/** What both runners demand of a window; EnergyRunner demands 10 iterations too (a wakeword run has but one). */
const minimumRuntime_s = 10;
const minimumInferences = 10;

export interface ScorePublishedOptions {
  /** Called with the number of samples read so far. */
  onProgress?: (samples: number) => void;
}

/** True where a recording is scored by the published arithmetic of the tool that made it. */
export function hasPublishedArithmetic(recording: Recording): boolean {
  return isEnergyRunnerRecording(recording) || isMlcRecording(recording);
}

/**
 * Scores another tool's recording by its own published arithmetic, to the printed digit (specs: EnergyRunner windows
 * 2, 4, 6...; MLCommons trials 0, 1, 2...). Edge problems are warnings, and the figures stay the published ones.
 *
 * @throws RefusalError where no honest figure can be given: no trace, no timestamps, timestamps out of order
 */
export async function scorePublished(
  recording: Recording,
  options: ScorePublishedOptions = {},
): Promise<ScoreDocument> {
  if (isEnergyRunnerRecording(recording)) return scoreEnergyRunner(recording, options);
  if (isMlcRecording(recording)) return scoreMlcommons(recording, options);
  throw new Error(`no published arithmetic for recordings of format ${recording.format}`);
}

async function scoreEnergyRunner(
  recording: EnergyRunnerRecording,
  options: ScorePublishedOptions,
): Promise<ScoreDocument> {
  const { trace, files } = recording;
  if (trace === null) {
    throw new RefusalError('trace.missing', {
      where: files.folder,
      problem: `no trace: expected trace1-energy.bin, found ${listed(files.found)}`,
      remedy: 'Without the trace there is no energy to compute. Add the file, or give the folder that holds it.',
    });
  }
  const timestamps = usableTimestamps(recording);
  const warnings: Warning[] = [];
  const rule = energyRunnerRule(trace.rate_Hz);
  const stream = recording.streams[0]!;
  // Every interval between neighbours, so that an odd count can show which ones look like inferences.
  const intervals: Window[] = timestamps.slice(1).map((endTick, k) => ({
    index: k + 1,
    startTick: timestamps[k]!,
    endTick,
    u_ticks: null,
  }));
  const { slices, total } = await sliceStream(recording, stream, rule.makeSlicer(stream, intervals), options);
  // uJ per interval, or mW: at 1 kHz the same number.
  const toMicrojoule = stream.quantities[0] === 'energy' ? 1 : 1000 / trace.rate_Hz;
  const energyOf = (slice: PublishedSlice) => toMicrojoule * sumOf(slice);
  const claimed = slices.filter((slice) => slice.window.index % 2 === 0);
  const inside = claimed.filter((slice) => !slice.outside);
  warnings.push(...beyondTrace(timestamps, trace.samples / trace.rate_Hz, claimed, files.timestamps!));
  if (inside.length === 0) {
    throw new RefusalError('windows.none', {
      where: files.timestamps!,
      problem: `no window lies inside the trace of ${trace.samples} samples (${(trace.samples / trace.rate_Hz).toFixed(3)} s)`,
      remedy: 'Check that trace and timestamps belong to one run and that the trace is whole.',
    });
  }
  const counts = inferencesOf(
    recording,
    claimed.map((slice) => slice.window.index),
  );
  warnings.push(...counts.warnings);
  const windows = inside.map((slice) => {
    const runtime_s = slice.window.endTick - slice.window.startTick;
    return scoredWindow(slice, runtime_s, energyOf(slice), counts.of.get(slice.window.index) ?? null);
  });
  warnings.push(...edgeCountWarnings(recording, timestamps.length, slices, energyOf));
  warnings.push(...droppedWarnings(recording));
  warnings.push(...tooShort(windows, minimumInferences));
  return document(recording, rule.id, windows, warnings, {
    samples: trace.samples,
    duration_s: trace.samples / trace.rate_Hz,
    energy_uJ: toMicrojoule * total,
  });
}

function usableTimestamps(recording: EnergyRunnerRecording): number[] {
  const { timestamps, files } = recording;
  if (timestamps === null) {
    throw new RefusalError('timestamps.missing', {
      where: files.folder,
      problem: `no timestamps: expected trace1-timestamps.json, found ${listed(files.found)}`,
      remedy: 'Without the timestamps the windows cannot be told. Add the file.',
    });
  }
  if (timestamps.length < 3) {
    throw new RefusalError('timestamps.too-few', {
      where: files.timestamps!,
      problem: `holds ${timestamps.length} timestamps; one window needs the handshake and two more`,
      remedy: 'The edges of the inferences were not seen: check the wiring of the timestamp pin and run again.',
    });
  }
  for (let k = 1; k < timestamps.length; k++) {
    const before = timestamps[k - 1]!;
    const now = timestamps[k]!;
    if (now < before) {
      throw new RefusalError('timestamps.unsorted', {
        where: `${files.timestamps} at entry ${k}`,
        problem: `${now} comes after ${before}: which timestamps bracket an inference cannot be told`,
        remedy: 'Take the file as the runner wrote it; its timestamps ascend.',
      });
    }
    if (k % 2 === 0 && now === before) {
      throw new RefusalError('timestamps.duplicate', {
        where: `${files.timestamps} at entry ${k}`,
        problem: `window ${k} begins and ends at ${now} s`,
        remedy: 'A window without duration has no power and no throughput: an edge was recorded twice.',
      });
    }
  }
  return timestamps;
}

function beyondTrace(timestamps: number[], end_s: number, claimed: PublishedSlice[], where: string): Warning[] {
  const beyond = timestamps.filter((time) => time < 0 || time >= end_s);
  if (beyond.length === 0) return [];
  const lost = claimed.filter((slice) => slice.outside).map((slice) => slice.window.index);
  const consequence =
    lost.length > 0 ? `; no energy can be given for window ${lost.join(', ')}` : '; no window is affected';
  return [
    warning(
      'edges.beyond-trace',
      `${where}: ${beyond.length} timestamps lie outside the trace, which ends at ${end_s.toFixed(3)} s (first: ${beyond[0]})${consequence}`,
    ),
  ];
}

/** An odd number of edges after the handshake, and a number that differs from what the script asked for. */
function edgeCountWarnings(
  recording: EnergyRunnerRecording,
  timestamps: number,
  slices: PublishedSlice[],
  energyOf: (slice: PublishedSlice) => number,
): Warning[] {
  const warnings: Warning[] = [];
  const edges = timestamps - 1;
  const calls = recording.session?.calls.length ?? 0;
  if (edges % 2 === 1) {
    const meanPower_uW = (parity: number) => {
      const chosen = slices.filter((slice) => slice.window.index % 2 === parity && !slice.outside);
      const time_s = chosen.reduce((sum, slice) => sum + slice.gridEnd_s - slice.gridStart_s, 0);
      return chosen.reduce((sum, slice) => sum + energyOf(slice), 0) / time_s;
    };
    warnings.push(
      warning(
        'edges.odd',
        `${timestamps} timestamps: after the handshake ${edges} edges, an odd number, so at least one is lost or too many, ` +
          'and the windows (intervals 2, 4, 6...) may be the gaps between the inferences. ' +
          `Mean power in them ${meanPower_uW(0).toFixed(0)} uW, in the intervals 1, 3, 5... ${meanPower_uW(1).toFixed(0)} uW. ` +
          'The figures are what the runner publishes for such a run; they are suspicious.',
      ),
    );
  }
  if (calls > 0 && edges < 2 * calls) {
    warnings.push(warning('edges.lost', `${calls} inputs need ${2 * calls} edges after the handshake, found ${edges}`));
  } else if (calls > 0 && edges > 2 * calls) {
    warnings.push(
      warning('edges.extra', `${calls} inputs make ${2 * calls} edges after the handshake, found ${edges}`),
    );
  }
  return warnings;
}

function droppedWarnings(recording: EnergyRunnerRecording): Warning[] {
  const dropped = recording.session?.dropped;
  if (!dropped || dropped.packets === 0) return [];
  return [
    warning(
      'samples.dropped',
      `the log says that the instrument dropped ${dropped.packets} of ${dropped.total} packets (${dropped.percent} %)`,
    ),
  ];
}

/**
 * Inferences of each window: from the `infer N W` of the log, else from results.txt, else from the run's
 * configuration in the log.
 */
function inferencesOf(
  recording: EnergyRunnerRecording,
  indices: number[],
): { of: Map<number, number | null>; warnings: Warning[] } {
  const logged = loggedInferences(recording.session, indices.length);
  const printed = new Map(
    (recording.printed?.performanceWindows ?? []).map((window) => [window.index, window.inferences?.value ?? null]),
  );
  const configured = configuredInferences(recording.session);
  const of = new Map<number, number | null>();
  const warnings: Warning[] = [];
  const disagreeing: string[] = [];
  indices.forEach((index, k) => {
    const fromLog = logged?.[k] ?? null;
    const fromResults = printed.get(index) ?? null;
    if (fromLog !== null && fromResults !== null && fromLog !== fromResults) {
      disagreeing.push(`window ${index}: log ${fromLog}, results ${fromResults}`);
    }
    of.set(index, positive(fromLog) ?? positive(fromResults) ?? positive(configured));
  });
  if (disagreeing.length > 0) {
    warnings.push(warning('inferences.disagree', `${disagreeing.join('; ')}. The log is believed.`));
  }
  const unknown = indices.filter((index) => of.get(index) === null);
  if (unknown.length > 0) {
    warnings.push(
      warning(
        'inferences.unknown',
        `neither the log nor the results file says how many inferences window ${unknown.join(', ')} holds; energy per inference and throughput cannot be given`,
      ),
    );
  }
  return { of, warnings };
}

/** N a window in the order of the windows; null where the log holds none or it cannot be told which is whose. */
function loggedInferences(session: EnergyRunnerSession | null, windows: number): number[] | null {
  const counts = session?.calls.map((call) => call.inferences) ?? [];
  if (counts.length === 0) return null;
  if (counts.every((count) => count === counts[0])) return Array.from({ length: windows }, () => counts[0]!);
  return counts.length === windows ? counts : null;
}

function configuredInferences(session: EnergyRunnerSession | null): number | null {
  if (session?.config.runMode !== 'bmark') return null;
  const count = Number(session.config.iterInfer);
  return Number.isSafeInteger(count) ? count : null;
}

/** No count of 0 or less divides an energy. */
function positive(count: number | null): number | null {
  return count !== null && count > 0 ? count : null;
}

async function scoreMlcommons(recording: MlcRecording, options: ScorePublishedOptions): Promise<ScoreDocument> {
  const { trials, files } = recording;
  if (trials === null) {
    throw new RefusalError('trace.missing', {
      where: files.folder,
      problem: `no results.json, found ${listed(files.found)}`,
      remedy: 'The samples of the run stand in results.json; without it nothing can be recomputed.',
    });
  }
  const measured = trials.filter((trial) => trial.power !== null);
  if (measured.length === 0) {
    throw new RefusalError('trace.missing', {
      where: files.json!,
      problem: `holds no power samples in its ${trials.length} trials: it is no energy run`,
      remedy: 'Give the results.json of an energy run (mode e).',
    });
  }
  const warnings: Warning[] = [];
  const windows: MeasuredWindow[] = [];
  let samples = 0;
  let total = 0;
  for (const [k, trial] of measured.entries()) {
    const stream = recording.streams[k]!;
    const window = lastWindow(trial, files.json!, warnings);
    const slicer = mlcRunnerRule.makeSlicer(stream, window === null ? [] : [window]);
    const sliced = await sliceStream(recording, stream, slicer, options);
    samples += trial.power!.samples_J.length;
    total += sliced.total;
    const slice = sliced.slices[0];
    if (slice === undefined) continue;
    if (slice.outside) {
      warnings.push(
        warning(
          'edges.beyond-trace',
          `${files.json} trial ${trial.index}: the last event is at sample ${slice.window.endTick}, the trace holds ${trial.power!.samples_J.length}; no energy can be given`,
        ),
      );
      continue;
    }
    windows.push(trialWindow(slice, trial));
  }
  if (windows.length === 0) {
    throw new RefusalError('windows.none', {
      where: files.json!,
      problem: `none of the ${measured.length} trials has a window: ${warnings.map((each) => each.message).join('; ')}`,
      remedy: 'Two consecutive events inside the samples are needed in a trial.',
    });
  }
  const unknown = windows.filter((window) => window.inferences === null).map((window) => window.index);
  if (unknown.length > 0) {
    warnings.push(warning('inferences.unknown', `trial ${unknown.join(', ')} does not say how many inferences it ran`));
  }
  warnings.push(...mlcDisagreements(recording, windows));
  warnings.push(...tooShort(windows, null));
  return document(recording, mlcRunnerRule.id, windows, warnings, {
    samples,
    duration_s: samples / 1000,
    energy_uJ: total * 1e6,
  });
}

/** The last two events of a trial bracket its inferences; there is sometimes extra activity on the pin before. */
function lastWindow(trial: MlcTrial, path: string, warnings: Warning[]): Window | null {
  const { events } = trial.power!;
  const where = `${path} trial ${trial.index}`;
  const start = events.at(-2);
  const end = events.at(-1);
  if (start === undefined || end === undefined) {
    warnings.push(
      warning('edges.lost', `${where}: ${events.length} events, a window needs two; the trial has no figure`),
    );
    return null;
  }
  if (end.counter !== start.counter + 1 || end.sample <= start.sample) {
    warnings.push(
      warning(
        'edges.lost',
        `${where}: the last two events are number ${start.counter} at sample ${start.sample} and number ${end.counter} at sample ${end.sample}, not consecutive; the trial has no figure`,
      ),
    );
    return null;
  }
  const broken = events.findIndex((event, k) => k > 0 && event.counter !== events[k - 1]!.counter + 1);
  if (broken > 0) {
    warnings.push(
      warning(
        'edges.lost',
        `${where}: event counter ${events[broken]!.counter} follows ${events[broken - 1]!.counter}; the runner refuses such a trial, here its last two events are used`,
      ),
    );
  }
  // The firmware gives one timestamp when it starts, which the first trial sees.
  if (events.length > (trial.index === 0 ? 3 : 2)) {
    warnings.push(warning('edges.extra', `${where}: ${events.length} events, the last two are used`));
  }
  return { index: trial.index, startTick: start.sample, endTick: end.sample, u_ticks: null };
}

function trialWindow(slice: PublishedSlice, trial: MlcTrial): MeasuredWindow {
  const inferences = positive(trial.iterations);
  const energy_J = sumOf(slice);
  const elapsed_s = slice.gridEnd_s - slice.gridStart_s;
  return {
    ...scoredWindow(slice, elapsed_s, energy_J * 1e6, inferences),
    // The runner divides before it scales.
    energyPerInference_uJ: inferences === null ? null : (energy_J / inferences) * 1e6,
  };
}

function mlcDisagreements(recording: MlcRecording, windows: MeasuredWindow[]): Warning[] {
  const calls = recording.session?.calls ?? [];
  const differing = windows.filter((window) => {
    const printed = recording.printed?.trials.find((trial) => trial.index === window.index)?.inferences?.value;
    const logged = calls.length === recording.trials?.length ? calls[window.index]?.inferences : undefined;
    return (
      window.inferences !== null &&
      [printed, logged].some((count) => (count ?? window.inferences) !== window.inferences)
    );
  });
  if (differing.length === 0) return [];
  const indices = differing.map((window) => window.index).join(', ');
  return [
    warning(
      'inferences.disagree',
      `results.json and the texts beside it give different numbers of inferences for trial ${indices}. results.json is believed.`,
    ),
  ];
}

/** One pass over a stream: its slices, and the sum of all its samples in the source's unit. */
async function sliceStream(
  recording: Recording,
  stream: StreamInfo,
  slicer: ReturnType<(typeof mlcRunnerRule)['makeSlicer']>,
  options: ScorePublishedOptions,
): Promise<{ slices: PublishedSlice[]; total: number }> {
  const name = stream.quantities[0] === 'power' ? 'power' : 'energy';
  const slices: PublishedSlice[] = [];
  let total = 0;
  let samples = 0;
  for await (const chunk of recording.samples()) {
    if (chunk.stream !== stream.id) continue;
    for (const slice of slicer.push(chunk)) slices.push(slice);
    if (chunk.kind !== 'block') continue;
    const values = chunk[name]!;
    for (let k = 0; k < values.length; k++) total += values[k]!;
    samples += chunk.length;
    options.onProgress?.(samples);
  }
  for (const slice of slicer.end()) slices.push(slice);
  return { slices, total };
}

function sumOf(slice: PublishedSlice): number {
  const [range] = slice.ranges;
  return range!.energy + range!.power;
}

function scoredWindow(
  slice: PublishedSlice,
  runtime_s: number,
  energy_uJ: number,
  inferences: number | null,
): MeasuredWindow {
  const duration_s = slice.gridEnd_s - slice.gridStart_s;
  return {
    index: slice.window.index,
    start_s: slice.gridStart_s,
    duration_s,
    runtime_s,
    energy_uJ,
    inferences,
    ...windowFigures({ energy_uJ, duration_s, runtime_s, inferences }),
    method: slice.method,
    biasBound_rel: null,
    samples: slice.endSample - slice.firstSample,
    missingSamples: null,
    saturatedSamples: 0,
    rangeSwitches: slice.rangeSwitches,
  };
}

function tooShort(windows: MeasuredWindow[], fewest: number | null): Warning[] {
  const short = windows.filter(
    ({ runtime_s, inferences }) =>
      runtime_s < minimumRuntime_s || (fewest !== null && inferences !== null && inferences < fewest),
  );
  if (short.length === 0) return [];
  const shortest_s = Math.min(...short.map((window) => window.runtime_s));
  const iterations = fewest === null ? '' : ` and ${fewest} inferences`;
  return [
    warning(
      'window.too-short',
      `window ${short.map((window) => window.index).join(', ')}: a valid window takes at least ${minimumRuntime_s} s${iterations}; the shortest takes ${shortest_s.toFixed(3)} s`,
    ),
  ];
}

function document(
  recording: Recording,
  method: string,
  windows: MeasuredWindow[],
  warnings: Warning[],
  whole: { samples: number; duration_s: number; energy_uJ: number },
): ScoreDocument {
  const median = {
    energyPerInference_uJ: medianOf(windows.map((window) => window.energyPerInference_uJ)),
    throughput_ips: medianOf(windows.map((window) => window.throughput_ips)),
    inferencesPerJoule: medianOf(windows.map((window) => window.inferencesPerJoule)),
  };
  const toJoule = (value: number | null) => (value === null ? null : value * 1e-6);
  const statistic = `${method}+median/1`;
  const windowsEnergy_uJ = windows.reduce((sum, window) => sum + window.energy_uJ, 0);
  return {
    schema: 'joulemark.score/1',
    source: { format: recording.format, path: recording.path },
    simulated: recording.simulated,
    profile: null,
    slicing: method.split('/')[0]!,
    windows,
    median,
    quantities: {
      energyPerInference: quantity(toJoule(median.energyPerInference_uJ), 'J', statistic, windows.length),
      throughput: quantity(median.throughput_ips, '1/s', 'median/1', windows.length),
      inferencesPerJoule: quantity(median.inferencesPerJoule, '1/J', statistic, windows.length),
      power: quantity(toJoule(medianOf(windows.map((window) => window.power_uW))), 'W', statistic, windows.length),
    },
    refusal: null,
    idle: null,
    net: null,
    accuracy: null,
    gates: [],
    totals: {
      energy_uJ: whole.energy_uJ,
      windows_uJ: windowsEnergy_uJ,
      outside_uJ: whole.energy_uJ - windowsEnergy_uJ,
      duration_s: whole.duration_s,
      samples: whole.samples,
      missingSamples: null,
    },
    provenance: recording.provenance,
    // The reader's own come first; some of them are known only after the pass over the samples.
    warnings: [...recording.warnings, ...warnings],
  };
}

function listed(found: string[]): string {
  if (found.length === 0) return 'no files';
  return found.slice(0, 20).join(', ') + (found.length > 20 ? ` and ${found.length - 20} more` : '');
}
