import type { Recording } from '../signal/recording.ts';
import type { ClockInfo, Gap, SampleBlock, StreamInfo } from '../signal/types.ts';
import { ArrivalTimes } from './arrival-times.ts';
import { findHiddenLosses, type HiddenLoss } from './loss-detection.ts';

/** A recording with the losses of one stream put where they belong. */
export interface RestoredLosses {
  recording: Recording;
  /** What was found, in time order; ticks are those of the restored recording. */
  losses: HiddenLoss[];
}

/**
 * Losses that a short counter hides (`StreamInfo.hiddenLossUnit`) leave everything after them too early on the instrument's clock. They
 * are looked for by arrival times (`findHiddenLosses`, one more pass over the samples), and the recording that comes back has a Gap for each
 * of them and later ticks for all that follows: blocks and gaps of the stream, and edges on its clock. A loss whose size is not
 * known moves nothing.
 */
export async function restoreLosses(
  recording: Recording,
  stream: StreamInfo,
  clock: ClockInfo,
): Promise<RestoredLosses> {
  const { hiddenLossUnit, ticksPerSample } = stream;
  if (hiddenLossUnit === undefined || ticksPerSample === null) return { recording, losses: [] };
  const arrivals = new ArrivalTimes(clock.tickHz);
  for await (const chunk of recording.samples()) {
    if (chunk.kind === 'block' && chunk.stream === stream.id) arrivals.addBlock(chunk);
  }
  const found = findHiddenLosses(arrivals.points, clock.tickHz, hiddenLossUnit * ticksPerSample).losses;
  const known = found.filter((loss) => loss.ticks !== null);
  /** Ticks lost before something that happened at a tick as counted. */
  const lostBefore = (tick: number) =>
    known.reduce((lost, { afterTick, ticks }) => (afterTick <= tick ? lost + ticks! : lost), 0);
  const losses = found.map((loss): HiddenLoss => {
    const before = lostBefore(loss.afterTick) - (loss.ticks ?? 0);
    return { ...loss, afterTick: loss.afterTick + before, beforeTick: loss.beforeTick + lostBefore(loss.afterTick) };
  });
  if (known.length === 0) return { recording, losses };
  const restored: Recording = {
    ...recording,
    async *edges() {
      for await (const batch of recording.edges()) {
        const edges = batch.edges.map((edge) =>
          edge.clock === clock.id ? { ...edge, tick: edge.tick + lostBefore(edge.tick) } : edge,
        );
        yield { ...batch, edges };
      }
    },
    async *samples() {
      let next = 0;
      for await (const chunk of recording.samples()) {
        if (chunk.stream !== stream.id) {
          yield chunk;
          continue;
        }
        for (; next < known.length && known[next]!.afterTick <= chunk.firstTick; next++) {
          yield gapOf(known[next]!, stream, lostBefore(known[next]!.afterTick));
        }
        yield moved(chunk, lostBefore(chunk.firstTick));
      }
    },
  };
  return { recording: restored, losses };
}

/** `lost`: ticks lost up to and with this loss. */
function gapOf({ afterTick, ticks }: HiddenLoss, stream: StreamInfo, lost: number): Gap {
  const firstTick = afterTick + lost - ticks!;
  return { kind: 'gap', stream: stream.id, firstTick, count: ticks! / stream.ticksPerSample!, cause: 'dropped' };
}

function moved(chunk: SampleBlock | Gap, ticks: number): SampleBlock | Gap {
  return ticks === 0 ? chunk : { ...chunk, firstTick: chunk.firstTick + ticks };
}
