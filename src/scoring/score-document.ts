import type { Quantity } from '../signal/quantity.ts';
import type { Recording, UnmeasuredMode } from '../signal/recording.ts';
import type { Warning } from '../signal/warnings.ts';

/** Figures of one window, in the units that their names end in. Null is "not known", never 0. */
export interface ScoredWindow {
  /** The number that the source prints (EnergyRunner 2, 4, 6...; MLCommons 0, 1, 2...; our own 0, 1, 2...). */
  index: number;
  start_s: number;
  duration_s: number;
  runtime_s: number;
  /** Null where nothing measured the power: performance and accuracy runs. */
  energy_uJ: number | null;
  power_uW: number | null;
  inferences: number | null;
  energyPerInference_uJ: number | null;
  throughput_ips: number | null;
  /** FPS/W, which is the same thing. */
  inferencesPerJoule: number | null;
  netEnergy_uJ?: number;
  netEnergyPerInference_uJ?: number;
  /** Method that gave the window, e.g. `guard-band/1`; `dut-laps/1` for one by the DUT's own timestamps. */
  method: string;
  /** Largest relative error that the slicing rule may leave (proportional rule); null where the rule leaves none or it is not known. */
  biasBound_rel: number | null;
  samples: number;
  missingSamples: number | null;
  saturatedSamples: number;
  rangeSwitches: number;
  /** Simulated runs only. */
  truth?: { energy_uJ: number; error_rel: number; tolerance_rel: number };
}

/** A window over which an instrument measured. */
export interface MeasuredWindow extends ScoredWindow {
  energy_uJ: number;
  power_uW: number;
}

export interface ScoreMedian {
  energyPerInference_uJ: number | null;
  throughput_ips: number | null;
  inferencesPerJoule: number | null;
}

/** One idle baseline. */
export interface Baseline {
  method: string;
  power_W: number;
  u_W: number | null;
  n: number;
}

/** How the clock of the trigger edges was put on the clock of the samples. */
export interface ScoredAlignment {
  /** Ids of the clocks. */
  edges: string;
  samples: string;
  method: 'shared-pulses' | 'sync-pattern' | 'arrival-times' | 'host-clock';
  /** Standard uncertainty of a mapped time half-way through the edges; null where unknown. */
  u_s: number | null;
  /** How much faster the samples' clock counts than the edges', against the nominal rates. */
  skew_ppm: number;
  u_skew_ppm: number;
  /** Straight pieces of the fitted relation. */
  pieces: number;
}

export interface ScoreDocument {
  schema: 'joulemark.score/1';
  source: { format: string; path: string };
  simulated: boolean | null;
  /** Only runs that measure no power. */
  mode?: UnmeasuredMode;
  /** Profile id, or null. */
  profile: string | null;
  /** Slicing rule asked for: `auto`, `proportional`, `guard-band`, `energyrunner`, `mlc-runner`. */
  slicing: string;
  windows: ScoredWindow[];
  median: ScoreMedian;
  quantities: Record<string, Quantity>;
  /** Why there is no figure, or null. */
  refusal: { code: string; message: string } | null;
  idle: { baselines: Baseline[]; spread_W: number | null; activePower_W: number | null } | null;
  /** Net energy a inference above the named baseline, only on request. */
  net: { baseline: string; power_W: number; energyPerInference_uJ: number | null } | null;
  /** `n` counts inputs; of a streaming run the words that were spoken, with the counts of what was heard. */
  accuracy: {
    top1_pct: number | null;
    auc: number | null;
    n: number;
    tp?: number;
    fn?: number;
    fp?: number;
    f1?: number | null;
  } | null;
  /** Demands of the profile, each met or not; null where it cannot be told. */
  gates: { id: string; demand: string; found: string; met: boolean | null }[];
  /** All samples: windows plus gaps add up to `total`. */
  totals: {
    energy_uJ: number;
    windows_uJ: number;
    outside_uJ: number;
    duration_s: number;
    samples: number;
    missingSamples: number | null;
  } | null;
  /** Only performance runs: the DUT's own counter, whose timestamps are the windows. */
  laps?: { resolution_s: number; wraps: number };
  /** Only streaming runs. */
  wakeword?: {
    /** The first marks the beginning of the sound and is not counted. */
    detections: number;
    /** Of the first hundred frames: mean processing time, mean period, and their ratio. */
    processing_s: number | null;
    period_s: number | null;
    dutyCycle: number | null;
    /** Mean over the window; null where nothing measured it. */
    power_mW: number | null;
    /** Counts with 1 s of grace (README of the MLCommons runner) beside those of `accuracy` with 2 s (its code). */
    grace1?: { tp: number; fn: number; fp: number; clockScale: number | null };
  };
  /** Only where edges came on another clock than samples. */
  alignments?: ScoredAlignment[];
  provenance: Record<string, unknown>;
  warnings: Warning[];
}

/** The document of a recording of our own without any figure. `refusal` says why there is none. */
export function refusedDocument(
  recording: Recording,
  refusal: ScoreDocument['refusal'],
  warnings: Warning[] = recording.warnings,
): ScoreDocument {
  return {
    schema: 'joulemark.score/1',
    // Relative to the run folder, so that the result is the same bytes wherever the folder lies.
    source: { format: recording.format, path: '.' },
    simulated: recording.simulated,
    profile: recording.plan?.profile ?? null,
    slicing: 'none',
    windows: [],
    median: { energyPerInference_uJ: null, throughput_ips: null, inferencesPerJoule: null },
    quantities: {},
    refusal,
    idle: null,
    net: null,
    accuracy: null,
    gates: [],
    totals: null,
    provenance: recording.provenance,
    warnings,
  };
}
