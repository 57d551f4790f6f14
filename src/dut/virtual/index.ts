export { virtualAnswers } from './answers.ts';
export { virtualBenchmarks, virtualCurrents_A } from './benchmarks.ts';
export { energyRun, perInferenceRun } from './scripts.ts';
export {
  type InferenceWindow,
  type ScriptEvent,
  timestampPulse_s,
  VirtualDut,
} from './virtual-dut.ts';
