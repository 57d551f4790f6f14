/**
 * The vocabulary of Joulemark: clocks, streams, sample blocks, gaps, edges and windows.
 * Everything that flows between an instrument (or a recording) and a score is one of these.
 */

/** A time base. `tick` counts of a clock never reset; an Edge's tick may be fractional, a block's first tick is a safe integer. */
export interface ClockInfo {
  /** Unique within a recording, e.g. `instrument`, `timestamps`. */
  id: string;
  /** Ticks a second, nominal. */
  tickHz: number;
  /** Where the ticks come from. A clock of kind `host` without an epoch is the one that arrival times are on. */
  kind: 'instrument' | 'host' | 'dut' | 'file' | 'virtual';
  /** Unix time of tick 0 in nanoseconds as a decimal string (it exceeds a safe integer), or null where unknown. */
  epoch_ns: string | null;
  /**
   * The delay that every message from this clock to the host has at least lies between 0 and this, in s. Arrival times
   * cannot tell it, so half of it is the uncertainty of any time that is mapped by them. Absent or null where unknown.
   */
  latencyBound_s?: number | null;
}

/** What a block can carry; one array each. `energy` is joules (times scale) per sample interval. */
export type SampleQuantity = 'current' | 'voltage' | 'power' | 'energy';

/**
 * What one sample says about time: the mean over [k, k+1) (`mean-forward`), the mean over [k-1/2, k+1/2)
 * (`mean-centred`), or the value at k (`point`).
 */
export type SampleSemantics = 'mean-forward' | 'mean-centred' | 'point';

/** A measuring range of an instrument. `u` values are in SI units of the stream's current; null where not known. */
export interface RangeInfo {
  /** The number that appears in `SampleBlock.range`. */
  index: number;
  /** As the instrument calls it, e.g. `18 mA`. */
  name: string;
  /** Full scale in A, or null where unknown. */
  fullScale_A: number | null;
  /** The step between neighbouring readings in A, or null where unknown. */
  resolution_A: number | null;
  /** Standard deviation of one sample's noise in A, or null where unknown. */
  noise_A: number | null;
  /**
   * Delay of the analog path in this range against the pins, in s: t(50 % of a current step) - t(edge of the pin that
   * drives it), positive where the samples show the step later (specs: science 3.2). It comes from a measurement with
   * such steps (`sync/group-delay.ts`, a calibration) or is declared in the rig file. Absent or null where not
   * calibrated: the stream's own value counts.
   */
  groupDelay_s?: number | null;
  /** Standard uncertainty of `groupDelay_s` in s; absent or null where unknown. */
  u_groupDelay_s?: number | null;
}

/** One rail at one rate. */
export interface StreamInfo {
  /** Unique within a recording; also the name of its file in a run folder: letters, digits, `-`, `_`. */
  id: string;
  /** The supply rail that it measures, e.g. `main`. */
  rail: string;
  /** Id of the clock that `firstTick` counts on. */
  clock: string;
  /** Ticks between samples; null for an irregular source, whose blocks carry startTicks and endTicks. */
  ticksPerSample: number | null;
  /** The arrays that each block carries. */
  quantities: SampleQuantity[];
  /** Precision of the arrays: `f64` where the source is decimal text. */
  precision: 'f32' | 'f64';
  semantics: SampleSemantics;
  /** Delay of the analog path against the pins in s, in every range without its own, or null where not calibrated. */
  groupDelay_s: number | null;
  /** Standard uncertainty of `groupDelay_s` in s; absent or null where unknown. */
  u_groupDelay_s?: number | null;
  /** Multiply sums (never samples) by these to get SI units. A missing entry is 1. */
  scale: Partial<Record<SampleQuantity, number>>;
  /** Voltage in V to assume where no voltage is measured; null where one is measured or none is needed. */
  assumedVoltage_V: number | null;
  ranges: RangeInfo[];
  /** What bit k of `logic` is wired to; empty where the stream has no logic inputs. */
  logicInputs: string[];
  /** Id of the calibration record in force, or null. */
  calibration: string | null;
  /** Losses of whole multiples of so many samples leave no trace in the source's counter (PPK2: 64); absent where every loss shows. */
  hiddenLossUnit?: number;
}

/** Bits of `SampleBlock.flags`. */
export const SampleFlag = { interpolated: 1, saturated: 2, settling: 4 } as const;

export type SampleArray = Float32Array | Float64Array;

/** A contiguous run of samples. It holds the source's own numbers and no NaN; a Gap stands between blocks where some are missing. */
export interface SampleBlock {
  kind: 'block';
  /** StreamInfo.id */
  stream: string;
  /** Tick of the first sample on the stream's clock: a safe integer that never resets. */
  firstTick: number;
  /** Ticks between samples (0 for irregular blocks, which carry startTicks and endTicks). */
  ticksPerSample: number;
  /** Number of samples. */
  length: number;
  current?: SampleArray;
  voltage?: SampleArray;
  power?: SampleArray;
  energy?: SampleArray;
  /** Range index a sample, or absent where the stream has one range. */
  range?: Uint8Array;
  /** SampleFlag bits a sample, or absent where none is set. */
  flags?: Uint8Array;
  /** Bit k = logic input k. */
  logic?: Uint8Array;
  /** Irregular sources only: each sample is integrated over [startTicks[i], endTicks[i]). */
  startTicks?: Float64Array;
  endTicks?: Float64Array;
  /** Relative uncertainty of each sample where the source itself states one (PTDaemon); absent where it does not. */
  u_rel?: Float64Array;
  /** Host-monotonic nanoseconds at which the block arrived, live only. Without it no clock fit can be redone. */
  arrival_ns?: number;
}

/** Why samples are missing. */
export type GapCause =
  | 'dropped' // the instrument says that it dropped them
  | 'link-loss' // a counter or sequence number on the link jumped
  | 'host-overrun' // our own queue was full
  | 'unplugged' // the instrument vanished
  | 'invalid' // the source holds no usable number there
  | 'cut-off' // the recording ends here without being closed
  | 'unknown';

/** Samples that are missing. It stands between two blocks (or at the end of a stream). */
export interface Gap {
  kind: 'gap';
  stream: string;
  firstTick: number;
  /** How many samples are missing, or null where that cannot be known. */
  count: number | null;
  cause: GapCause;
}

export type Polarity = 'rise' | 'fall';

/** One change of a trigger line. */
export interface Edge {
  /** ClockInfo.id */
  clock: string;
  /** May be fractional. */
  tick: number;
  /** Standard uncertainty of `tick` in ticks; null where unknown. */
  u_ticks: number | null;
  channel: string;
  polarity: Polarity;
  /** Running number at its source, so that lost edges show. */
  seq: number;
  /** Host-monotonic nanoseconds at which it arrived, live only. */
  arrival_ns?: number;
}

/** Edges of one source in time order. */
export interface EdgeBatch {
  kind: 'edges';
  edges: Edge[];
}

/** A promise of an edge source: no edge earlier than `upTo` will come any more. */
export interface Progress {
  kind: 'progress';
  clock: string;
  upTo: number;
}

/** One line of the run's text log (DUT messages, instrument events), on the clock of the run. */
export interface LogLine {
  kind: 'log';
  /** Seconds on the run's own clock. */
  time_s: number;
  /** `dut`, `instrument`, `session`... */
  source: string;
  text: string;
}

/** Everything that flows through a run. */
export type Chunk = SampleBlock | Gap | EdgeBatch | Progress | LogLine;

/** A stretch of time in which inferences ran. Ticks are on the stream's clock and may be fractional. */
export interface Window {
  /** The number that the source prints (EnergyRunner 2, 4, 6...; MLCommons 0, 1, 2...; our own 0, 1, 2...). */
  index: number;
  startTick: number;
  endTick: number;
  /** Standard uncertainty of each end in ticks; null where unknown. */
  u_ticks: number | null;
}

/**
 * Sums over the samples of one range inside a window, in the source's own units: sum of w*x, where w is 1 for a
 * sample that lies inside and a fraction for one that a boundary splits. Irregular streams: w is the overlap in seconds.
 * Multiply by `WindowSlice.dt_s` for the integral over time (not `energy`, which is a plain sum).
 */
export interface RangeSums {
  range: number;
  /** Samples, fractional where the slicing rule splits boundary samples. */
  n: number;
  /** Time that these samples cover, in s. */
  time_s: number;
  /** One entry for each quantity; absent quantities are 0. */
  current: number;
  voltage: number;
  power: number;
  energy: number;
  /** Sum of V*I, and of I*I. */
  voltageCurrent: number;
  currentSquared: number;
}

/** What one stream shows of one window. The uncertainty needs nothing else. */
export interface WindowSlice {
  window: Window;
  stream: string;
  /** Method id with its version, e.g. `guard-band/1`. */
  method: string;
  /** Turns the sums into integrals over time: seconds a sample (regular streams), 1 (irregular streams). */
  dt_s: number;
  /** One entry for each range that occurs, ascending. */
  ranges: RangeSums[];
  rangeSwitches: number;
  /** Samples with each SampleFlag inside the window. */
  flagged: { interpolated: number; saturated: number; settling: number };
  /** Samples known to be missing inside the window. */
  missing: number;
  /** True where a gap of unknown length lies inside the window. */
  missingUnknown: boolean;
  /** True where the window reaches beyond the first or last sample. */
  outside: boolean;
  /** Mean power in W just outside both edges; null where there is none or the rule does not look at it. */
  before: OutsidePower | null;
  after: OutsidePower | null;
  /** Energy in J, where the rule corrects the plain sums (guard band); null where the sums are the answer. */
  correctedEnergy_J: number | null;
  /** Bound of the bias that the rule may leave, in J; null where it is not known. */
  biasBound_J: number | null;
  /** Only where the stream's ranges have delays of their own. */
  delays?: SliceDelays;
}

/** Where the analog path of a window's ranges put its ends in the samples. */
export interface SliceDelays {
  /** Range index and delay in s of the flanks at both ends. */
  start: { range: number; delay_s: number };
  end: { range: number; delay_s: number };
  /** Part of the slice's `biasBound_J` that ranges with different delays leave, in J; null where it is not known. */
  bound_J: number | null;
}

export interface OutsidePower {
  mean: number;
  sd: number;
  n: number;
}
