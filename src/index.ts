/**
 * The public API: read or make a recording, score it, report it, verify it. The command line uses nothing else that a
 * program could not use too.
 */
export { CaptureWriter } from './capture/capture-writer.ts';
export { openRecording, recordingFormats } from './capture/formats/index.ts';
export { recoverRunFolder } from './capture/recover.ts';
export { openRunFolder } from './capture/run-folder.ts';
export { type VerifyReport, verifyRunFolder } from './capture/verify.ts';
export { renderComparison } from './report/comparison.ts';
export { type ReportInput, renderReport } from './report/html.ts';
export { windowsTable } from './report/windows-table.ts';
export { parseRig, type Rig } from './rig/rig-file.ts';
export { type RunOptions, type RunOutcome, runBenchmark } from './rig/run-benchmark.ts';
export { type SimulatedRun, simulateRun } from './rig/virtual-rig.ts';
export { scoreRecording } from './scoring/score.ts';
export type { ScoreDocument, ScoredWindow } from './scoring/score-document.ts';
export { ExitCode, JoulemarkError } from './signal/errors.ts';
export { leafSize, orderedSum } from './signal/ordered-sum.ts';
export { type Bin, Pyramid } from './signal/pyramid.ts';
export type { Quantity } from './signal/quantity.ts';
export type { InferenceResult, Recording, RunPlan, WindowTruth } from './signal/recording.ts';
export { type Stage, stageOperator, stageOver } from './signal/reducer.ts';
export type * from './signal/types.ts';
export { type Warning, type WarningCode, warningCatalogue } from './signal/warnings.ts';
export { type Arrivals, ArrivalTimes } from './sync/arrival-times.ts';
export { fitArrivals, fitPulses, type Grid } from './sync/clock-fit.ts';
export { type ClockLine, ClockModel, type ClockPiece, type ClockRef } from './sync/clock-model.ts';
export {
  BitEdges,
  type PulseWidths,
  pulseWidths,
  type SampledLine,
  SchmittEdges,
  type SchmittThresholds,
} from './sync/edge-extraction.ts';
export { holdOff, minWidth } from './sync/edge-filters.ts';
export {
  type FlankDelay,
  type GroupDelayOptions,
  type GroupDelayReport,
  measureGroupDelays,
  type RangeGroupDelay,
} from './sync/group-delay.ts';
export { CounterUnwrap, findHiddenLosses, type HiddenLoss, type LossSearch } from './sync/loss-detection.ts';
export { pairEdges } from './sync/pairing.ts';
export { findSignature, type SignatureMatch, type SignatureSamples } from './sync/pattern-signature.ts';
export { auto, guardBand, proportional } from './sync/slicing/stream-slicer.ts';
export type { SlicingRule } from './sync/slicing.ts';
export { findPattern, type PatternMatch, type SyncPattern } from './sync/sync-pattern.ts';
