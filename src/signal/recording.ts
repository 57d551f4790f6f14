import type { ClockInfo, EdgeBatch, Gap, LogLine, SampleBlock, StreamInfo } from './types.ts';
import type { Warning } from './warnings.ts';

/** How the inferences of a recording are bracketed by edges; see sync/pairing.ts. */
export type PairingRule = 'falling-pairs' | 'level-high' | 'toggle' | 'marks';

/** A run of which only the DUT's timestamps, or only its answers, are wanted: nothing measures its power. */
export type UnmeasuredMode = 'performance' | 'accuracy';

/** What a recording promised before it began: the score holds the edges against it. */
export interface RunPlan {
  /** Absent in energy runs. */
  mode?: UnmeasuredMode;
  /** Profile id (a file of scoring/profiles), e.g. `kws01`; null where none applies. */
  profile: string | null;
  pairing: PairingRule;
  /** Channel that carries the edges; with `marks`, the start channel. */
  channel: string;
  /** With `marks`, the stop channel. */
  stopChannel?: string;
  /** Accuracy runs: answers promised. */
  answers?: number;
  /** Windows promised, or null where nothing was promised. */
  windows: number | null;
  /** Inferences in each window. */
  inferencesPerWindow: number | null;
  /** Ignore further edges of the same polarity for this long after an accepted one, in s; 0 = off. */
  holdOff_s: number;
  /** Delete pulses shorter than this, in s; 0 = off. */
  minWidth_s: number;
  /** Shortest pulse of the profile, in s. */
  pulse_s: number;
  /** The coded pattern that the DUT plays at least once, on this channel and as its current (sync/sync-pattern.ts). */
  sync?: SyncPlan;
}

export interface SyncPlan {
  /** The pattern has 2^order - 1 chips: 7, 9, 10 or 11. */
  order: number;
  /** Nominal length of a chip. */
  chip_s: number;
  channel: string;
}

/** The answer of the DUT to one input, for accuracy. */
export interface InferenceResult {
  /** The input's name. */
  input: string;
  /** Scores a class, as the DUT printed them. */
  scores: number[];
  /** Index of the true class, or null where the ground truth is not known. */
  label: number | null;
}

/** What a simulated run knows of itself before any sampling: one entry a window, on the time of the simulated world. */
export interface WindowTruth {
  start_s: number;
  end_s: number;
  /** Integral of V*I from start_s to end_s. */
  energy_J: number;
  /** Mean power inside, and just outside both edges. */
  insidePower_W: number;
  outsidePower_W: number;
  /** Relative standard deviation that the instrument's noise gives this window's energy. */
  noise_rel: number;
  /** The instrument's resolution over the mean reading. */
  resolution_rel: number;
  /** The simulated world was told of something so much too late and moved it; absent where it was not. */
  late_s?: number;
}

/**
 * A recording of any kind: a run folder of Joulemark's own, or another tool's file or folder. Readers live in
 * `capture`; `scoring` needs nothing else. Samples are pulled, so a file is never in memory.
 */
export interface Recording {
  /** `joulemark-run`, `energyrunner`, `mlcommons-tiny`... */
  format: string;
  /** Path as the user gave it. */
  path: string;
  /** Null where the format cannot say. */
  simulated: boolean | null;
  clocks: ClockInfo[];
  streams: StreamInfo[];
  plan: RunPlan | null;
  /** Facts about the run, shown and passed on but not computed with: instrument, dut, supply... */
  provenance: Record<string, unknown>;
  /** True where the recording stops before its run did (cut off, unplugged): what the plan promised for the rest does not hold. */
  endedEarly: boolean;
  /** Findings of the reader (cut off, recovered, odd names...). */
  warnings: Warning[];
  /** All edges in time order, a clock at a time. */
  edges(): AsyncIterable<EdgeBatch>;
  /** Blocks and gaps of all streams, each stream in time order. */
  samples(): AsyncIterable<SampleBlock | Gap>;
  log(): AsyncIterable<LogLine>;
  /** Answers of the DUT, in order. */
  results(): AsyncIterable<InferenceResult>;
  /** Simulated runs only: the truth of each window; empty elsewhere. */
  truth(): AsyncIterable<WindowTruth>;
}
