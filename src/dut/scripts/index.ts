export { benchmarkRuns, makeScript, type ScriptOptions } from './benchmarks.ts';
export { inferencesFor } from './iterations.ts';
export { type InstrumentControls, type PlayerRig, ScriptPlayer } from './player.ts';
export type { Script, ScriptInput, ScriptMode } from './script.ts';
