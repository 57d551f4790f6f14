export { benchmarkRuns, makeScript } from './benchmarks.ts';
export { inferencesFor } from './iterations.ts';
export { assertRuns, type InstrumentControls, ScriptPlayer } from './player.ts';
export type { Script, ScriptInput } from './script.ts';
export { withSync } from './with-sync.ts';
