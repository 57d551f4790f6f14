import type { Random } from '../../src/plant/random.ts';
import type { Recording } from '../../src/signal/recording.ts';
import type { ClockInfo, Edge } from '../../src/signal/types.ts';

/** A second clock that saw the edges instead of the instrument. */
export interface SecondClock {
  clock: ClockInfo;
  /** Counts so much faster than nominal. */
  skew: number;
  /** Its tick 0 in seconds of true time. */
  start_s: number;
  /** It looks at the line every so many ticks; 0 = exact times. */
  period_ticks: number;
  /** Delay with which an edge is told to the host, ns; null = edges carry no arrival times. */
  delay_ns: ((random: Random) => number) | null;
  /** Channels that the instrument goes on seeing too. */
  shared?: string[];
}

/** The recording with its edges as a second clock saw them. */
export async function onSecondClock(recording: Recording, second: SecondClock, random: Random): Promise<Recording> {
  const tickHz = recording.clocks[0]!.tickHz;
  const edges: Edge[] = [];
  for await (const batch of recording.edges()) {
    for (const edge of batch.edges) {
      const time_s = edge.tick / tickHz;
      const tick = (time_s - second.start_s) * second.clock.tickHz * (1 + second.skew);
      const { period_ticks } = second;
      edges.push({
        clock: second.clock.id,
        tick: period_ticks === 0 ? tick : Math.ceil(tick / period_ticks) * period_ticks - period_ticks / 2,
        u_ticks: period_ticks / Math.sqrt(12),
        channel: edge.channel,
        polarity: edge.polarity,
        seq: edge.seq,
        ...(second.delay_ns === null ? {} : { arrival_ns: time_s * 1e9 + second.delay_ns(random) }),
      });
      if (second.shared?.includes(edge.channel)) edges.push(edge);
    }
  }
  return {
    ...recording,
    clocks: [...recording.clocks, second.clock],
    async *edges() {
      yield { kind: 'edges', edges };
    },
  };
}
