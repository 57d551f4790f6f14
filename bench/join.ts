/**
 * An hour of 1 kHz inferences (3.6 M windows, 7.2 M edges) joins a stream of current and voltage at 2 MS/s: edges come in
 * batches behind their samples, windows are cut as soon as they are known. Prints the ratio to real time and the resident
 * memory, which must not grow with the run. `JOULEMARK_BENCH_SECONDS=60` ends earlier.
 */
import type { RunPlan } from '../src/signal/recording.ts';
import type { Edge, SampleBlock, StreamInfo } from '../src/signal/types.ts';
import { WindowJoin } from '../src/sync/window-joiner.ts';

const seconds = Number(process.env.JOULEMARK_BENCH_SECONDS ?? 3600);
const rate_Hz = 2e6;
const blockLength = 20_000;
const perInference = 2_000;
/** Edges come so many blocks after the samples. */
const lagBlocks = 5;

const clock = { id: 'instrument', tickHz: rate_Hz };
const stream: StreamInfo = {
  id: 'main',
  rail: 'main',
  clock: clock.id,
  ticksPerSample: 1,
  quantities: ['current', 'voltage'],
  precision: 'f32',
  semantics: 'mean-forward',
  groupDelay_s: null,
  scale: {},
  assumedVoltage_V: null,
  ranges: [],
  logicInputs: [],
  calibration: null,
};
const plan: RunPlan = {
  profile: null,
  pairing: 'level-high',
  channel: 'D0',
  windows: null,
  inferencesPerWindow: 1,
  holdOff_s: 50e-6,
  minWidth_s: 5e-6,
  pulse_s: 1e-6,
};
const blocks: SampleBlock[] = Array.from({ length: 16 }, (_, k) => ({
  kind: 'block',
  stream: stream.id,
  firstTick: 0,
  ticksPerSample: 1,
  length: blockLength,
  current: Float32Array.from({ length: blockLength }, (_, i) => {
    const load = (i + perInference - 400) % perInference < perInference / 2 ? 9e-3 : 0;
    return 1e-3 + load + 1e-5 * Math.sin(i * 0.7 + k);
  }),
  voltage: Float32Array.from({ length: blockLength }, (_, i) => 3.3 + 1e-3 * Math.cos(i * 0.02 + k)),
}));
const join = new WindowJoin({ plan, stream, clock, slicing: 'auto' });
let edgeNumber = 0;
let slices = 0;
let guarded = 0;
let energy_J = 0;
let resident = 0;
const count = (found: ReturnType<typeof join.push>) => {
  for (const slice of found) {
    slices++;
    if (slice.correctedEnergy_J !== null) {
      guarded++;
      energy_J += slice.correctedEnergy_J;
    }
  }
};
const all = Math.floor((seconds * rate_Hz) / blockLength);
const begin = performance.now();
for (let k = 0; k < all; k++) {
  count(join.push({ ...blocks[k % blocks.length]!, firstTick: k * blockLength }));
  const upTo = (k + 1 - lagBlocks) * blockLength;
  count(join.push({ kind: 'edges', edges: edgesUntil(upTo) }));
  count(join.push({ kind: 'progress', clock: clock.id, upTo }));
  if (k % 1000 === 0) resident = Math.max(resident, process.memoryUsage.rss());
}
count(join.push({ kind: 'edges', edges: edgesUntil(all * blockLength) }));
count(join.end());
const time_s = (performance.now() - begin) / 1000;
const report = join.report!;
const windows = Math.floor((all * blockLength) / perInference);
if (slices !== windows || report.lateWindows.windows > 0 || report.warnings.length > 0) {
  throw new Error(`${slices} of ${windows} windows; ${JSON.stringify(report)}`);
}
const rate = (all * blockLength) / time_s;
console.log(`${slices} windows of 1 kHz inferences in ${seconds} s of a 2 MS/s stream, ${guarded} by the guard band:`);
console.log(`  ${(rate / 1e6).toFixed(0)} M samples/s, ${(rate / rate_Hz).toFixed(0)} times real time`);
console.log(
  `  resident at most ${(resident / 1e6).toFixed(0)} MB; mean energy ${((energy_J / guarded) * 1e6).toFixed(3)} uJ`,
);

/** Edges with a tick below `upTo` that have not come yet: 500 us high in every ms, at no whole sample. */
function edgesUntil(upTo: number): Edge[] {
  const edges: Edge[] = [];
  for (;;) {
    const tick = Math.floor(edgeNumber / 2) * perInference + (edgeNumber % 2) * (perInference / 2) + 400.37;
    if (tick >= upTo) return edges;
    edges.push({
      clock: clock.id,
      tick,
      u_ticks: 0.29,
      channel: 'D0',
      polarity: edgeNumber % 2 ? 'fall' : 'rise',
      seq: edgeNumber++,
    });
  }
}
