import type { SampleBlock } from '../signal/types.ts';

/** When things arrived: ticks of a source's clock (ascending) and host-monotonic nanoseconds. */
export interface Arrivals {
  ticks: Float64Array;
  arrivals_ns: Float64Array;
}

/** Kept points stay between this and its half once it has been reached. */
const mostPoints = 8192;

/**
 * Collects arrival times of one source in bounded memory. Messages only ever come late, so of neighbours that must be
 * merged the one with the smaller delay is kept: it says more about the clock than the others do.
 */
export class ArrivalTimes {
  readonly #tick_ns: number;
  #ticks: number[] = [];
  #arrivals_ns: number[] = [];
  /** Messages that a kept point stands for. */
  #perPoint = 1;
  #inLast = 0;
  #lastArrival_ns = Number.NaN;

  constructor(tickHz: number) {
    this.#tick_ns = 1e9 / tickHz;
  }

  /** `tick`: the end of what the message tells of, which is when it can be sent at the earliest. Messages in time order. */
  add(tick: number, arrival_ns: number): void {
    if (!Number.isFinite(tick) || !Number.isFinite(arrival_ns)) return;
    const last = this.#ticks.length - 1;
    // What comes at once is one message: only its end was not waiting for the rest of it.
    const isSameMessage = arrival_ns === this.#lastArrival_ns;
    this.#lastArrival_ns = arrival_ns;
    if (last >= 0 && (isSameMessage || this.#inLast < this.#perPoint)) {
      if (!isSameMessage) this.#inLast++;
      if (this.#isLater(last, tick, arrival_ns)) {
        this.#ticks[last] = tick;
        this.#arrivals_ns[last] = arrival_ns;
      }
      return;
    }
    if (this.#ticks.length === mostPoints) this.#halve();
    this.#ticks.push(tick);
    this.#arrivals_ns.push(arrival_ns);
    this.#inLast = 1;
  }

  /** A block arrives with its last sample: what earlier ones waited for it does not enter. Without an arrival time it says nothing. */
  addBlock(block: SampleBlock): void {
    if (block.arrival_ns === undefined) return;
    const end = block.endTicks?.at(-1) ?? block.firstTick + block.length * block.ticksPerSample;
    this.add(end, block.arrival_ns);
  }

  /** Was kept point `k` delayed by more than a message at `tick`? */
  #isLater(k: number, tick: number, arrival_ns: number): boolean {
    return this.#arrivals_ns[k]! - arrival_ns > (this.#ticks[k]! - tick) * this.#tick_ns;
  }

  #halve(): void {
    const keep = (k: number) => (this.#isLater(k, this.#ticks[k + 1]!, this.#arrivals_ns[k + 1]!) ? k + 1 : k);
    const kept = Array.from({ length: mostPoints / 2 }, (_, k) => keep(2 * k));
    this.#ticks = kept.map((k) => this.#ticks[k]!);
    this.#arrivals_ns = kept.map((k) => this.#arrivals_ns[k]!);
    this.#perPoint *= 2;
  }

  get points(): Arrivals {
    return { ticks: Float64Array.from(this.#ticks), arrivals_ns: Float64Array.from(this.#arrivals_ns) };
  }
}
