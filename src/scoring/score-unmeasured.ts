import { quantity } from '../signal/quantity.ts';
import type { InferenceResult, Recording, RunPlan, UnmeasuredMode } from '../signal/recording.ts';
import type { Edge, Window } from '../signal/types.ts';
import { type Warning, warning } from '../signal/warnings.ts';
import { pairEdges } from '../sync/pairing.ts';
import { accuracyOf, dataSetAccuracyOf } from './accuracy.ts';
import { accuracyGatesOf, gatesOf } from './gates.ts';
import { medianOf } from './metrics.ts';
import { findProfile } from './profiles/index.ts';
import type { Profile } from './profiles/profile.ts';
import { refusedDocument, type ScoreDocument, type ScoredWindow } from './score-document.ts';
import { streamingFigures } from './streaming.ts';

const method = 'dut-laps/1';
/** The counter of a DUT has 32 bits of microseconds; its ticks are unwrapped. */
export const lapWrap_us = 2 ** 32;

/**
 * Scores a run that measured no power: the windows of a performance run lie between the timestamps of the DUT's own counter,
 * in falling pairs behind the handshake; an accuracy run has answers alone. What a window would need an instrument for is null.
 */
export async function scoreUnmeasured(
  recording: Recording,
  plan: RunPlan,
  mode: UnmeasuredMode,
): Promise<ScoreDocument> {
  const profile = plan.profile === null ? null : findProfile(plan.profile);
  if (profile?.task === 'streaming-wakeword') return scoreStreaming(recording, profile, mode);
  const results: InferenceResult[] = [];
  for await (const result of recording.results()) results.push(result);
  return mode === 'performance' ? scorePerformance(recording, plan, results) : scoreAccuracy(recording, plan, results);
}

async function scoreStreaming(recording: Recording, profile: Profile, mode: UnmeasuredMode): Promise<ScoreDocument> {
  const figures = await streamingFigures(recording);
  if (figures === null) {
    const refusal = { code: 'answers.none', message: 'the recording does not say what the device heard' };
    return { ...refusedDocument(recording, refusal), mode };
  }
  const { accuracy, wakeword, throughput_ips } = figures;
  return {
    ...refusedDocument(recording, null),
    mode,
    median: { energyPerInference_uJ: null, throughput_ips, inferencesPerJoule: null },
    quantities: { throughput: quantity(throughput_ips, '1/s', 'duty-cycle/1', 1) },
    accuracy,
    gates: accuracyGatesOf(profile, accuracy, true),
    wakeword,
  };
}

async function scorePerformance(
  recording: Recording,
  plan: RunPlan,
  results: readonly InferenceResult[],
): Promise<ScoreDocument> {
  const laps: Edge[] = [];
  for await (const { edges } of recording.edges())
    laps.push(...edges.filter(({ channel }) => channel === plan.channel));
  laps.sort((a, b) => a.tick - b.tick);
  const tickHz = recording.clocks.find(({ id }) => id === laps[0]?.clock)?.tickHz ?? 1;
  // A timestamp that is lost ends the run: where some are missing, they were never asked for.
  const promised = 1 + 2 * (plan.windows ?? 0);
  const endedEarly = laps.length < promised;
  const pairing = pairEdges(laps, plan, tickHz, endedEarly);
  const warnings = [...recording.warnings, ...pairing.warnings];
  if (endedEarly) warnings.push(endedEarlyWarning(laps.length, promised, 'timestamps'));
  const empty = pairing.windows.find(({ startTick, endTick }) => startTick === endTick);
  const refusal =
    pairing.refusal ??
    (empty !== undefined
      ? { code: 'window.empty', message: `window ${empty.index} begins and ends at the same count of the DUT's clock` }
      : pairing.windows.length === 0
        ? { code: 'windows.none', message: 'the recording holds no complete window' }
        : null);
  if (refusal !== null) return { ...refusedDocument(recording, refusal, warnings), mode: 'performance' };

  const windows = pairing.windows.map((window) => scoredWindow(window, tickHz, plan.inferencesPerWindow));
  const throughput_ips = medianOf(windows.map((window) => window.throughput_ips));
  const resolution_s = resolutionOf(laps) / tickHz;
  const profile = plan.profile === null ? null : findProfile(plan.profile);
  const accuracy = accuracyOf(results);
  return {
    ...refusedDocument(recording, null, warnings),
    mode: 'performance',
    slicing: 'dut-laps',
    windows,
    median: { energyPerInference_uJ: null, throughput_ips, inferencesPerJoule: null },
    quantities: {
      throughput: {
        ...quantity(throughput_ips, '1/s', `${method}+median/1`, windows.length),
        components: [
          {
            id: 'dut-clock-resolution',
            u: throughput_ips === null ? null : throughput_ips * relativeResolution(windows, resolution_s),
            distribution: 'rectangular',
            nu: null,
            scope: 'window',
            provenance: 'steps of the timestamps',
          },
          {
            id: 'dut-clock-rate',
            u: null,
            distribution: 'normal',
            nu: null,
            scope: 'instrument',
            provenance: "the error of the DUT's clock is not known",
          },
        ],
      },
    },
    accuracy,
    gates: profile === null ? [] : gatesOf(profile, plan, windows, accuracy, results.length),
    laps: { resolution_s, wraps: Math.floor(laps.at(-1)!.tick / lapWrap_us) },
  };
}

function scoreAccuracy(recording: Recording, plan: RunPlan, results: readonly InferenceResult[]): ScoreDocument {
  const warnings = [...recording.warnings];
  const accuracy = dataSetAccuracyOf(results);
  const isWhole = plan.answers === undefined || results.length >= plan.answers;
  if (!isWhole) warnings.push(endedEarlyWarning(results.length, plan.answers!, 'answers'));
  const refusal =
    accuracy === null
      ? { code: 'answers.none', message: 'the recording holds no answer to an input whose true class is known' }
      : null;
  const profile = plan.profile === null ? null : findProfile(plan.profile);
  return {
    ...refusedDocument(recording, refusal, warnings),
    mode: 'accuracy',
    accuracy,
    gates: profile === null ? [] : accuracyGatesOf(profile, accuracy, isWhole),
  };
}

function scoredWindow(window: Window, tickHz: number, inferences: number | null): ScoredWindow {
  const duration_s = (window.endTick - window.startTick) / tickHz;
  return {
    index: window.index,
    start_s: window.startTick / tickHz,
    duration_s,
    runtime_s: duration_s,
    energy_uJ: null,
    power_uW: null,
    inferences,
    energyPerInference_uJ: null,
    throughput_ips: inferences === null ? null : inferences / duration_s,
    inferencesPerJoule: null,
    method,
    biasBound_rel: null,
    samples: 0,
    missingSamples: 0,
    saturatedSamples: 0,
    rangeSwitches: 0,
  };
}

/** The greatest step, in ticks, of which every timestamp is a multiple. */
function resolutionOf(laps: readonly Edge[]): number {
  return laps.reduce((step, { tick }) => greatestCommonDivisor(step, tick), 0) || 1;
}

function greatestCommonDivisor(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}

/** Standard uncertainty that the steps of the counter give the duration of the shortest window, relative to it. */
function relativeResolution(windows: readonly ScoredWindow[], resolution_s: number): number {
  // Two ends, each anywhere inside a step: (resolution^2 / 12) twice.
  return resolution_s / Math.sqrt(6) / Math.min(...windows.map(({ duration_s }) => duration_s));
}

function endedEarlyWarning(found: number, promised: number, what: string): Warning {
  return warning('run.ended-early', `${found} of ${promised} ${what} came`);
}
