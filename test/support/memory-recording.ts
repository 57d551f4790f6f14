import { inferenceResults } from '../../src/capture/replay.ts';
import type { SimulatedRun } from '../../src/rig/virtual-rig.ts';
import type { Recording, WindowTruth } from '../../src/signal/recording.ts';
import type { Chunk, Edge, Gap, LogLine, SampleBlock } from '../../src/signal/types.ts';

/** A simulated run as a recording in memory: what a run folder would give back, without the folder. */
export function memoryRecording(run: SimulatedRun): Recording {
  const chunks: Chunk[] = [...run.chunks];
  const log = chunks.filter((chunk): chunk is LogLine => chunk.kind === 'log');
  const edges: Edge[] = chunks.flatMap((chunk) => (chunk.kind === 'edges' ? chunk.edges : []));
  const samples = chunks.filter((chunk): chunk is SampleBlock | Gap => chunk.kind === 'block' || chunk.kind === 'gap');
  async function* logLines() {
    yield* log;
  }
  return {
    format: 'joulemark-run',
    path: '.',
    simulated: true,
    clocks: run.clocks,
    streams: run.streams,
    plan: run.plan,
    provenance: run.provenance,
    endedEarly: samples.some((chunk) => chunk.kind === 'gap' && chunk.cause === 'unplugged'),
    warnings: [],
    async *edges() {
      yield { kind: 'edges', edges };
    },
    async *samples() {
      yield* samples;
    },
    log: logLines,
    results: () => inferenceResults(logLines()),
    async *truth() {
      for (const line of log) {
        const match = /^m-truth-\[(.*)\]$/.exec(line.text);
        if (match) yield JSON.parse(match[1]) as WindowTruth;
      }
    },
  };
}
