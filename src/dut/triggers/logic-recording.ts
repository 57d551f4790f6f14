import type { ClockInfo, Edge } from '../../signal/types.ts';

/** A recording of digital lines by a logic analyser. */
export interface LogicRecording {
  path: string;
  format: 'vcd' | 'sigrok' | 'saleae-csv';
  clock: ClockInfo;
  channels: readonly string[];
  /** The lines were looked at this often, in ticks; null where only changes are recorded. */
  ticksPerSample: number | null;
  /**
   * Changes of one line in time order; where samples are given, an edge is put in the middle between two.
   * @throws FormatError with the place, at the first thing that does not follow the format
   */
  edges(channel: string): AsyncIterable<Edge[]>;
}

/** Edges handed over at a time. */
const batchEdges = 4096;

/** Collects edges into batches. */
export async function* inBatches(edges: AsyncIterable<Edge> | Iterable<Edge>): AsyncGenerator<Edge[]> {
  let batch: Edge[] = [];
  for await (const edge of edges) {
    batch.push(edge);
    if (batch.length < batchEdges) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
