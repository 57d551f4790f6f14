import { z } from 'zod';
import { RefusalError } from '../signal/errors.ts';
import type { InferenceResult, Recording, RunPlan, WindowTruth } from '../signal/recording.ts';
import type { ClockInfo, Edge, StreamInfo, Window, WindowSlice } from '../signal/types.ts';
import { type Warning, warning } from '../signal/warnings.ts';
import { median } from '../stats/quantile.ts';
import { type Alignment, alignClocks, mapEdge } from '../sync/align.ts';
import { ClockWatch } from '../sync/clock-watch.ts';
import { energyMethodOf } from '../sync/energy-method.ts';
import type { HiddenLoss } from '../sync/loss-detection.ts';
import { pairEdges } from '../sync/pairing.ts';
import { restoreLosses } from '../sync/restored-losses.ts';
import { type IrregularSlicer, proportionalIrregular } from '../sync/slicing/irregular-slicer.ts';
import { auto, guardBand, proportional, type WindowSlicer } from '../sync/slicing/stream-slicer.ts';
import { withoutPatterns } from '../sync/sync-pattern.ts';
import { accuracyOf } from './accuracy.ts';
import { IdleCollector } from './baseline.ts';
import { gatesOf } from './gates.ts';
import { medianOf, windowFigures } from './metrics.ts';
import { idleOf, netOf } from './net-energy.ts';
import { type PowerBin, PowerReader, PowerView } from './power-view.ts';
import { findProfile } from './profiles/index.ts';
import { quantitiesOf } from './quantities.ts';
import type { MeasuredWindow, ScoreDocument, ScoredAlignment } from './score-document.ts';
import { scoreUnmeasured } from './score-unmeasured.ts';
import { streamingFigures } from './streaming.ts';

export const slicingRules = { auto, proportional, 'guard-band': guardBand } as const;

export type SlicingName = keyof typeof slicingRules;

export interface ScoreRunOptions {
  slicing?: SlicingName;
  /** Add net energy above this baseline. */
  net?: 'low-quantile' | 'two-cluster';
  /** Called with the share of the recording that has been read, where it is known. */
  onProgress?: (samples: number) => void;
}

export interface ScoredRun {
  document: ScoreDocument;
  /** The power of the rail in at most 2,000 bins with min and max kept, for plots; null where there is none. */
  trace: { rail: string; bins: PowerBin[] } | null;
  /** The edges of the windows where the samples are; null for recordings that are not scored by their edges. */
  placed: PlacedEdges | null;
}

/** Edges on the clock of the stream that carries power. */
export interface PlacedEdges {
  edges: Edge[];
  /** How they came there; empty where they were stamped on that clock. */
  alignments: Alignment[];
}

/** Most bins of a power trace that is handed on for plots. */
export const traceBins = 2000;

const scoringSchema = z.object({
  slicing: z.enum(['auto', 'proportional', 'guard-band']),
  net: z.enum(['low-quantile', 'two-cluster']).nullable(),
});

/**
 * Scores a recording of our own kind: edges to windows by its plan, one pass over the samples, figures a window.
 * An impossible edge sequence gives a document without windows and with the reason in `refusal`: never a guess.
 * The same code serves a live run (which is scored from its own capture) and every later re-scoring.
 *
 * @throws RefusalError where the recording cannot be scored at all (no plan, no rail with power)
 */
export async function scoreRun(recorded: Recording, options: ScoreRunOptions = {}): Promise<ScoredRun> {
  const plan = recorded.plan;
  if (plan === null) {
    throw new RefusalError('plan.none', {
      where: recorded.path,
      problem: 'the recording does not say how its inferences are bracketed',
      remedy: 'record it with `joulemark run`, which writes the plan into run.json',
    });
  }
  if (plan.mode !== undefined) {
    return { document: await scoreUnmeasured(recorded, plan, plan.mode), trace: null, placed: null };
  }
  const stream = powerStreamOf(recorded);
  const clock = clockOf(recorded, stream.clock);
  const { recording, losses: hidden } = await restoreLosses(recorded, stream, clock);
  const warnings: Warning[] = [...recording.warnings];
  if (stream.assumedVoltage_V !== null && !stream.quantities.includes('voltage')) {
    warnings.push(warning('voltage.assumed', `${stream.assumedVoltage_V} V is assumed on rail ${stream.rail}`));
  }
  if ((recording.provenance.trigger as { isCoarse?: unknown } | undefined)?.isCoarse === true) {
    warnings.push(warning('trigger.coarse', 'the ends of each window are as coarse as the messages of the DUT'));
  }

  const { edges, alignments } = await edgesOn(recording, plan, stream, clock);
  warnings.push(...alignments.flatMap(alignmentWarnings));
  const pairing = pairEdges(edges, plan, clock.tickHz, recording.endedEarly);
  warnings.push(...pairing.warnings);

  const wanted = { ...scoringOf(recording), ...options };
  // Samples with intervals of their own have one rule.
  const rule = stream.ticksPerSample === null ? proportionalIrregular : slicingRules[wanted.slicing ?? 'auto'];
  const slicer = rule.makeSlicer(stream, pairing.windows, clock.tickHz) as WindowSlicer | IrregularSlicer;
  const reader = new PowerReader(stream, clock.tickHz);
  const view = new PowerView(traceBins);
  const idle = new IdleCollector(pairing.windows, clock.tickHz);
  const watch = new ClockWatch(clock.tickHz);
  const slices: WindowSlice[] = [];
  const losses = new Map<string, { gaps: number; samples: number; unknown: boolean; at_s: number }>();
  let saturated = 0;
  let samples = 0;
  let covered_s = 0;
  for await (const chunk of recording.samples()) {
    if (chunk.stream !== stream.id) continue;
    if (chunk.kind === 'gap') {
      const loss = losses.get(chunk.cause) ?? {
        gaps: 0,
        samples: 0,
        unknown: false,
        at_s: chunk.firstTick / clock.tickHz,
      };
      loss.gaps++;
      if (chunk.count === null) loss.unknown = true;
      else loss.samples += chunk.count;
      losses.set(chunk.cause, loss);
    } else {
      for (const run of reader.runs(chunk)) {
        view.add(run);
        idle.add(run);
        covered_s += run.length * run.dt_s;
      }
      watch.add(chunk);
      saturated += countSaturated(chunk.flags);
      samples += chunk.length;
      options.onProgress?.(samples);
    }
    for (const slice of slicer.push(chunk)) slices.push(slice);
  }
  for (const slice of slicer.end()) slices.push(slice);

  warnings.push(...lossWarnings(losses), ...hidden.map((loss) => hiddenLossWarning(loss, stream, clock)));
  if (saturated > 0) {
    warnings.push(warning('samples.saturated', `${saturated} samples reached the end of their range`));
  }
  const skew = watch.skew();
  if (skew?.significant) {
    warnings.push(
      warning(
        'clock.skew',
        `the instrument's clock runs ${(skew.skew * 1e6).toFixed(0)} ppm (u ${(skew.u * 1e6).toFixed(0)} ppm) against the host's; which one is right is not known`,
      ),
    );
  }

  const profile = plan.profile === null ? null : findProfile(plan.profile);
  const truths: WindowTruth[] = [];
  for await (const truth of recording.truth()) truths.push(truth);
  for (const [index, { late_s }] of truths.entries()) {
    if (late_s === undefined) continue;
    const text = `window ${index}: something in or before it was moved by up to ${(late_s * 1e3).toPrecision(3)} ms`;
    warnings.push(warning('simulation.late', text));
  }
  const dt_s = stream.ticksPerSample === null ? covered_s / Math.max(1, samples) : stream.ticksPerSample / clock.tickHz;
  const windows: MeasuredWindow[] = [];
  warnings.push(...delayWarnings(slices, clock));
  for (const slice of slices) {
    if (slice.outside) {
      warnings.push(
        warning('window.incomplete', `window ${slice.window.index} reaches beyond the samples and is left out`),
      );
      continue;
    }
    if (hidden.some((loss) => mayMiss(slice.window, loss))) slice.missingUnknown = true;
    windows.push(scoredWindow(slice, stream, clock, plan, truths[slice.window.index], dt_s));
  }
  for (const window of windows) {
    if ((window.missingSamples ?? 1) > 0) {
      const text = window.missingSamples === null ? 'an unknown number of' : String(window.missingSamples);
      warnings.push(
        warning(
          'window.missing-samples',
          `window ${window.index}: ${text} samples are missing; its energy is a lower bound`,
        ),
      );
    }
  }

  const baselines = idle.baselines();
  const activePower_W = median(windows.map((window) => window.power_uW * 1e-6));
  const idleFigures = idleOf(baselines, activePower_W);
  const net = wanted.net === undefined ? null : netOf(wanted.net, baselines, activePower_W, windows, warnings);
  const results: InferenceResult[] = [];
  for await (const result of recording.results()) results.push(result);
  const streaming = profile?.task === 'streaming-wakeword' ? await streamingFigures(recording) : null;
  const accuracy = streaming === null ? accuracyOf(results) : streaming.accuracy;
  if (streaming !== null) {
    // The whole recording counts as one inference; how fast the device is, its frames tell.
    for (const window of windows) window.throughput_ips = streaming.throughput_ips;
  }

  const medians = {
    energyPerInference_uJ: medianOf(windows.map((window) => window.energyPerInference_uJ)),
    throughput_ips: medianOf(windows.map((window) => window.throughput_ips)),
    inferencesPerJoule: medianOf(windows.map((window) => window.inferencesPerJoule)),
  };
  const refusal =
    pairing.refusal ??
    (windows.length === 0 ? { code: 'windows.none', message: 'the recording holds no complete window' } : null);
  const document: ScoreDocument = {
    schema: 'joulemark.score/1',
    // Relative to the run folder, so that the result is the same bytes wherever the folder lies.
    source: { format: recording.format, path: '.' },
    simulated: recording.simulated,
    profile: plan.profile,
    slicing: rule.id,
    windows,
    median: medians,
    quantities: quantitiesOf(windows, medians, slices, energyMethodOf(stream)?.id ?? '', stream, baselines, alignments),
    refusal,
    idle: idleFigures,
    net,
    accuracy,
    gates: profile === null ? [] : gatesOf(profile, plan, windows, accuracy, results.length),
    totals: {
      energy_uJ: slicer.totals.energy_J * 1e6,
      windows_uJ: (slicer.totals.energy_J - slicer.totals.outside_J) * 1e6,
      outside_uJ: slicer.totals.outside_J * 1e6,
      duration_s: samples * dt_s,
      samples,
      missingSamples: slicer.totals.missingUnknown ? null : slicer.totals.missing,
    },
    provenance: recording.provenance,
    warnings,
  };
  if (streaming !== null) {
    const power_uW = windows[0]?.power_uW;
    document.wakeword = { ...streaming.wakeword, power_mW: power_uW === undefined ? null : power_uW / 1000 };
  }
  if (alignments.length > 0) document.alignments = alignments.map((alignment) => describeAlignment(alignment, edges));
  const bins = view.bins();
  return {
    document,
    trace: bins.length === 0 ? null : { rail: stream.rail, bins },
    placed: { edges, alignments },
  };
}

/** How the run itself asked to be scored; a later scoring does the same unless it is told otherwise. */
function scoringOf(recording: Recording): Pick<ScoreRunOptions, 'slicing' | 'net'> {
  const asked = scoringSchema.safeParse(recording.provenance.scoring);
  return asked.success ? { slicing: asked.data.slicing, net: asked.data.net ?? undefined } : {};
}

/** The one stream that carries power. */
function powerStreamOf(recording: Recording): StreamInfo {
  const found = recording.streams.filter((stream) => energyMethodOf(stream) !== null);
  if (found.length === 1) return found[0];
  throw new RefusalError(found.length === 0 ? 'streams.none' : 'streams.several', {
    where: recording.path,
    problem:
      found.length === 0
        ? 'no stream carries power, energy, or current with a voltage'
        : `${found.length} streams carry power (${found.map((stream) => stream.id).join(', ')})`,
    remedy: 'record one rail with current and voltage, power or energy',
  });
}

function clockOf(recording: Recording, id: string): ClockInfo {
  const clock = recording.clocks.find((candidate) => candidate.id === id);
  if (clock === undefined) {
    throw new RefusalError('clocks.missing', {
      where: recording.path,
      problem: `the clock ${id} is not described`,
      remedy: 'the header of the recording is damaged: run `joulemark verify` on it',
    });
  }
  return clock;
}

/**
 * The edges that bracket inferences, on the stream's clock. Where they came on another clock, it is fitted to the
 * stream's by what the recording carries.
 * @throws RefusalError where nothing relates the clocks
 */
async function edgesOn(
  recording: Recording,
  plan: RunPlan,
  stream: StreamInfo,
  clock: ClockInfo,
): Promise<PlacedEdges> {
  const all: Edge[] = [];
  for await (const batch of recording.edges()) for (const edge of batch.edges) all.push(edge);
  const own = all.filter((edge) => edge.clock === clock.id);
  const brackets = (edge: Edge) => edge.channel === plan.channel || edge.channel === plan.stopChannel;
  const foreign = new Set(all.filter((edge) => edge.clock !== clock.id && brackets(edge)).map((edge) => edge.clock));
  const { sync } = plan;
  // A pattern on the line that brackets inferences is no window.
  const bracketing = (edges: Edge[]) =>
    sync?.channel === plan.channel ? withoutPatterns(edges, sync, sync.channel, clock) : edges;
  if (foreign.size === 0 || own.some(brackets)) return { edges: bracketing(own.sort(byTick)), alignments: [] };
  const alignments: Alignment[] = [];
  const edges: Edge[] = [];
  for (const id of foreign) {
    const alignment = await alignClocks(recording, all, clockOf(recording, id), stream, clock);
    if (alignment === null) {
      throw new RefusalError('clocks.unrelated', {
        where: recording.path,
        problem: `edges are on clock ${id}, samples on clock ${clock.id}, and nothing relates the two`,
        remedy: 'let both see the same pulses or a sync pattern, or record the arrival times of edges and samples',
      });
    }
    alignments.push(alignment);
    const mapped = all.filter((edge) => edge.clock === id).map((edge) => mapEdge(edge, alignment.model));
    // A recording goes on before and after the trace: what it shows there belongs to no window.
    const isFile = clockOf(recording, id).kind === 'file';
    const extent = isFile ? await extentOf(recording, stream) : { from: -Infinity, to: Infinity };
    edges.push(...mapped.filter(({ tick }) => tick >= extent.from && tick <= extent.to));
  }
  return { edges: bracketing(edges.sort(byTick)), alignments };
}

/** First and last tick that samples of the stream reach. */
async function extentOf(recording: Recording, stream: StreamInfo): Promise<{ from: number; to: number }> {
  const extent = { from: Infinity, to: -Infinity };
  for await (const chunk of recording.samples()) {
    if (chunk.kind !== 'block' || chunk.stream !== stream.id) continue;
    extent.from = Math.min(extent.from, chunk.firstTick);
    extent.to = Math.max(extent.to, chunk.firstTick + chunk.length * chunk.ticksPerSample);
  }
  return extent;
}

function byTick(a: Edge, b: Edge): number {
  return a.tick - b.tick;
}

function alignmentWarnings({ model, contradiction }: Alignment): Warning[] {
  const found: Warning[] = [];
  const clocks = `clock ${model.from.id} of the edges and clock ${model.to.id} of the samples`;
  if (model.common_ticks === null) {
    found.push(
      warning(
        'clock.offset-unknown',
        `${clocks} are related by arrival times without a declared bound of their latency`,
      ),
    );
  }
  if (contradiction !== null) {
    const off = `${(contradiction.off_s * 1e3).toPrecision(3)} ms`;
    found.push(warning('clock.contradiction', `${clocks}: ${contradiction.method} puts the edges ${off} elsewhere`));
  }
  return found;
}

/** An alignment as the document states it, at the middle one of the edges (on the samples' clock). */
function describeAlignment({ model, method }: Alignment, edges: readonly Edge[]): ScoredAlignment {
  const at = model.inverse().map(edges[edges.length >> 1]?.tick ?? 0);
  const { skew, u } = model.skewAt(at);
  const u_ticks = model.u_ticks(at);
  return {
    edges: model.from.id,
    samples: model.to.id,
    method,
    u_s: u_ticks === null ? null : u_ticks / model.to.tickHz,
    skew_ppm: skew * 1e6,
    u_skew_ppm: u * 1e6,
    pieces: model.pieces.length,
  };
}

function hiddenLossWarning({ afterTick, ticks, step_s }: HiddenLoss, stream: StreamInfo, clock: ClockInfo): Warning {
  const at = `after ${(afterTick / clock.tickHz).toFixed(3)} s`;
  const lost = ticks === null ? 'something' : `${ticks / stream.ticksPerSample!} samples`;
  return warning(
    'samples.dropped',
    `${lost} lost that no counter shows ${at}: everything arrives ${(step_s * 1e3).toFixed(3)} ms later from there on`,
  );
}

/** May some of what a hidden loss took belong to the window? Its place is only known to lie between two messages. */
function mayMiss({ startTick, endTick }: Window, { afterTick, beforeTick, ticks }: HiddenLoss): boolean {
  const isBetween = (tick: number) => tick > afterTick && tick <= beforeTick;
  return ticks === null ? startTick <= beforeTick && endTick > afterTick : isBetween(startTick) || isBetween(endTick);
}

function countSaturated(flags: Uint8Array | undefined): number {
  if (flags === undefined) return 0;
  let count = 0;
  for (let k = 0; k < flags.length; k++) if (flags[k] & 2) count++;
  return count;
}

/** Windows of which a difference of group delays is more than half. */
function delayWarnings(slices: readonly WindowSlice[], clock: ClockInfo): Warning[] {
  return slices.flatMap(({ window, delays }) => {
    if (delays === undefined) return [];
    const length_s = (window.endTick - window.startTick) / clock.tickHz;
    const difference_s = Math.abs(delays.start.delay_s - delays.end.delay_s);
    if (difference_s <= length_s / 2) return [];
    const text = `window ${window.index} lasts ${(length_s * 1e6).toPrecision(3)} us, and the delays of the ranges at its ends differ by ${(difference_s * 1e6).toPrecision(3)} us`;
    return [warning('window.group-delay', text)];
  });
}

function lossWarnings(
  losses: ReadonlyMap<string, { gaps: number; samples: number; unknown: boolean; at_s: number }>,
): Warning[] {
  const found: Warning[] = [];
  for (const [cause, loss] of losses) {
    const at = `the first at ${loss.at_s.toFixed(6)} s`;
    const lost = loss.unknown ? `at least ${loss.samples} samples` : `${loss.samples} samples`;
    const text = `${lost} in ${loss.gaps} gaps (${cause}), ${at}`;
    if (cause === 'unplugged')
      found.push(warning('instrument.unplugged', `the instrument vanished at ${loss.at_s.toFixed(6)} s`));
    else if (cause === 'host-overrun') found.push(warning('samples.host-overrun', text));
    else if (cause !== 'cut-off') found.push(warning('samples.dropped', text));
  }
  return found;
}

function scoredWindow(
  slice: WindowSlice,
  stream: StreamInfo,
  clock: ClockInfo,
  plan: RunPlan,
  truth: WindowTruth | undefined,
  dt_s: number,
): MeasuredWindow {
  const method = energyMethodOf(stream)!;
  const duration_s = (slice.window.endTick - slice.window.startTick) / clock.tickHz;
  let energy_J = slice.correctedEnergy_J ?? 0;
  if (slice.correctedEnergy_J === null) {
    for (const range of slice.ranges) energy_J += method.energy_J(range, slice.dt_s);
  }
  const figures = windowFigures({
    energy_uJ: energy_J * 1e6,
    duration_s,
    runtime_s: duration_s,
    inferences: plan.inferencesPerWindow,
  });
  const window: MeasuredWindow = {
    index: slice.window.index,
    start_s: slice.window.startTick / clock.tickHz,
    duration_s,
    runtime_s: duration_s,
    energy_uJ: energy_J * 1e6,
    inferences: plan.inferencesPerWindow,
    ...figures,
    method: slice.method,
    biasBound_rel: slice.biasBound_J === null || energy_J === 0 ? null : slice.biasBound_J / energy_J,
    samples: slice.ranges.reduce((sum, range) => sum + range.n, 0),
    missingSamples: slice.missingUnknown ? null : slice.missing,
    saturatedSamples: slice.flagged.saturated,
    rangeSwitches: slice.rangeSwitches,
  };
  if (truth !== undefined) {
    // Instants that are counted are wrong by whole samples; else only the step of the power is (specs: science 3.6).
    const isCounted = stream.semantics === 'point' && !slice.method.startsWith('guard-band');
    const step_rel = isCounted ? 1 : Math.abs(1 - truth.outsidePower_W / truth.insidePower_W);
    const edges_rel = (step_rel * dt_s) / ((truth.end_s - truth.start_s) * Math.sqrt(6));
    const delays_rel = (slice.delays?.bound_J ?? 0) / truth.energy_J;
    window.truth = {
      energy_uJ: truth.energy_J * 1e6,
      error_rel: energy_J / truth.energy_J - 1,
      tolerance_rel: 4 * Math.sqrt(truth.noise_rel ** 2 + edges_rel ** 2) + truth.resolution_rel + delays_rel,
    };
  }
  return window;
}
