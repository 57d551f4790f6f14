import { Observable } from 'rxjs';
import type { RunPlan } from '../signal/recording.ts';
import type { Chunk, ClockInfo, EdgeBatch, StreamInfo } from '../signal/types.ts';

/** A run that is about to begin: what is known of it, and everything that will flow from it. */
export interface RunSource {
  simulated: boolean;
  clocks: readonly ClockInfo[];
  streams: readonly StreamInfo[];
  plan: RunPlan;
  provenance: Record<string, unknown>;
  /** True where the run has a time of its own that the capture follows, so that the same seed gives the same bytes. */
  isVirtualTime: boolean;
  /** True where the log follows EnergyRunner's grammar, so that the run is written in that layout too. */
  hasEnergyRunnerLayout?: boolean;
  /** True for a streaming energy run, which the MLCommons runner does. */
  hasMlcommonsLayout?: boolean;
  /** Cold: the run begins when it is subscribed to, and ends (supply off) when the subscription does. */
  chunks$: Observable<Chunk>;
  /**
   * Interrupts the run: what is under way ends, the supply goes off, and `chunks$` completes after the lines that tell of it, or fails
   * as they do. Absent: a run that is over as soon as nobody listens.
   */
  interrupt?(): void;
  /** Edges that come in a file when all of that has ended. A failure leaves a capture that is whole but for them. */
  lateEdges?(interrupt?: AbortSignal): AsyncIterable<EdgeBatch>;
}

/** Time on the run's own clock, in s, at which a chunk is complete; 0 where it does not say. */
export function chunkTime_s(chunk: Chunk, tickHzOfStream: ReadonlyMap<string, number>): number {
  switch (chunk.kind) {
    case 'block':
      return (chunk.firstTick + chunk.length * chunk.ticksPerSample) / tickHzOfStream.get(chunk.stream)!;
    case 'gap':
      return chunk.firstTick / tickHzOfStream.get(chunk.stream)!;
    case 'log':
      return chunk.time_s;
    default:
      return 0;
  }
}

/** Ticks a second of each stream's clock. */
export function streamRates(run: Pick<RunSource, 'clocks' | 'streams'>): Map<string, number> {
  const rates = new Map(run.clocks.map((clock) => [clock.id, clock.tickHz]));
  return new Map(run.streams.map((stream) => [stream.id, rates.get(stream.clock)!]));
}

/** How long chunks are pulled without letting timers and signals in. */
const slice_ms = 10;

/**
 * Chunks of a pulled run as a stream, at `pace` virtual seconds a real second, or as fast as they go. Between slices
 * the event loop runs, so that a signal or a timer is never kept waiting.
 */
export function paced(
  chunks: Iterator<Chunk>,
  pace: number | undefined,
  time_s: (chunk: Chunk) => number,
): Observable<Chunk> {
  return new Observable((subscriber) => {
    const start_ms = performance.now();
    let held: Chunk | null = null;
    const step = () => {
      const slice = performance.now();
      while (!subscriber.closed && performance.now() - slice < slice_ms) {
        let chunk = held;
        held = null;
        if (chunk === null) {
          const next = chunks.next();
          if (next.done) {
            subscriber.complete();
            return;
          }
          chunk = next.value;
          const due_ms = pace === undefined ? 0 : (time_s(chunk) * 1000) / pace;
          const wait_ms = start_ms + due_ms - performance.now();
          if (pace !== undefined && wait_ms > 0) {
            held = chunk;
            setTimeout(step, wait_ms);
            return;
          }
        }
        subscriber.next(chunk);
      }
      if (!subscriber.closed) setImmediate(step);
    };
    step();
    return () => chunks.return?.();
  });
}
