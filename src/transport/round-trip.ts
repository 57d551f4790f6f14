import { type TimeSource, wait } from './time.ts';

/** The shortest of several round trips says the most: computers and links are late now and then, never early. */
const attempts = 8;
/** Between two of them, so that not all fall into one bad moment. */
const pause_ms = 1;

/**
 * The shortest round trip of a question over a link, in s: from just before it is asked until its answer is there. What comes
 * over the same link by itself is then taken to need no more than this at least (docs/architecture.md, Time).
 *
 * @param ask asks something cheap and resolves with its answer
 * @throws what `ask` throws
 */
export async function leastRoundTrip_s(time: TimeSource, ask: () => Promise<unknown>): Promise<number> {
  let least_ns = Number.POSITIVE_INFINITY;
  for (let k = 0; k < attempts; k++) {
    await wait(time, pause_ms);
    const start_ns = time.now_ns();
    await ask();
    least_ns = Math.min(least_ns, time.now_ns() - start_ns);
  }
  return least_ns / 1e9;
}
