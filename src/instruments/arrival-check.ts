import type { Gap, SampleBlock } from '../signal/types.ts';

/** What a decoder puts out: blocks, gaps and notes that stand at a tick. */
type Item = SampleBlock | Gap | { kind: string; tick: number };

/** From here on samples arrive later than before, too irregularly to tell whether some were lost. */
export interface LateNote {
  kind: 'late';
  tick: number;
  late_ns: number;
}

export interface ArrivalCheckOptions {
  stream: string;
  tickHz: number;
  /** Losses come in multiples of this: what no counter shows. */
  unit: number;
}

interface Held {
  items: Item[];
  /** Tick after the last sample of the items. */
  endTick: number;
  arrival_ns: number;
}

/** Lags are judged against the earliest arrivals of so many spans. */
const SPANS = 10;
const SPAN_NS = 100e6;
/** How long samples stay late until a loss is declared. */
const PATIENCE_NS = 1e9;
/** The chunk in which samples are missing shows only a part of the loss: the level counts from here on. */
const SETTLING_NS = 20e6;
/** The held time is looked at in so many parts, whose earliest arrivals must agree. */
const PARTS = 5;
/** From so many units on, a loss need not be a clean multiple of the unit. */
const PLAIN_UNITS = 8;

/**
 * Finds losses that leave no trace in a counter, by the wall clock: sample k cannot arrive before it was taken, and a
 * transport that has caught up delivers after about the same delay each time. If from some chunk on the smallest delay
 * stays larger by n units for 1 s, n units are missing before that chunk, and a Gap `dropped` is put there.
 *
 * Chunks that are late are held back until they either catch up (nothing was lost) or the second is over; ticks of what
 * follows a loss are shifted, so that emitted blocks are never revised. A host that reads irregularly delays samples too:
 * where the delays scatter too much to tell, nothing is invented, and a note says so. The place of a loss is known to one
 * chunk.
 */
export class ArrivalCheck {
  readonly #stream: string;
  readonly #tick_ns: number;
  readonly #unit: number;
  #shift = 0;
  #held: Held[] = [];
  #spanStart_ns: number | null = null;
  #spanLeast = Number.POSITIVE_INFINITY;
  /** Smallest lag of each of the last spans. */
  #least: number[] = [];

  constructor(options: ArrivalCheckOptions) {
    this.#stream = options.stream;
    this.#tick_ns = 1e9 / options.tickHz;
    this.#unit = options.unit;
  }

  /** Ticks that the check has added so far. */
  get shift(): number {
    return this.#shift;
  }

  /**
   * Takes what one chunk of bytes was decoded to; `endTick` is the tick after the last sample that has arrived, as
   * decoded (samples that the decoder still holds back included). Returns what may go on, with ticks shifted.
   */
  push(items: Item[], endTick: number, arrival_ns: number): Item[] {
    const entry: Held = { items, endTick, arrival_ns };
    const lag = this.#lag(entry);
    const late = this.#isLate(lag);
    if (!late && this.#held.length === 0) {
      this.#learn(lag, arrival_ns);
      return this.#release([entry]);
    }
    const last = this.#held.at(-1);
    if (last?.arrival_ns === arrival_ns) {
      last.items.push(...items);
      last.endTick = endTick;
    } else this.#held.push(entry);
    if (!late) {
      // It has caught up, so whatever came before it was only late.
      this.#learn(lag, arrival_ns);
      return this.#release(this.#held.splice(0));
    }
    const out: Item[] = [];
    while (this.#held.length > 0 && arrival_ns - this.#held[0]!.arrival_ns >= PATIENCE_NS) {
      out.push(...this.#settle());
    }
    return out;
  }

  /** The stream has ended: what is still held back goes on, after a Gap if it was late long enough to tell. */
  end(): Item[] {
    const out: Item[] = [];
    while (this.#held.length > 0) {
      const span_ns = this.#held.at(-1)!.arrival_ns - this.#held[0]!.arrival_ns;
      out.push(...(span_ns >= PATIENCE_NS / 4 ? this.#settle() : this.#release(this.#held.splice(0))));
    }
    return out;
  }

  #lag(entry: Held): number {
    return entry.arrival_ns - (entry.endTick + this.#shift) * this.#tick_ns;
  }

  get #base(): number {
    return Math.min(this.#spanLeast, ...this.#least);
  }

  #isLate(lag: number): boolean {
    return this.#base !== Number.POSITIVE_INFINITY && lag - this.#base > 0.75 * this.#unit * this.#tick_ns;
  }

  #learn(lag: number, arrival_ns: number): void {
    this.#spanStart_ns ??= arrival_ns;
    if (arrival_ns - this.#spanStart_ns >= SPAN_NS) {
      if (this.#spanLeast !== Number.POSITIVE_INFINITY) this.#least.push(this.#spanLeast);
      if (this.#least.length > SPANS) this.#least.shift();
      this.#spanLeast = Number.POSITIVE_INFINITY;
      this.#spanStart_ns = arrival_ns;
    }
    this.#spanLeast = Math.min(this.#spanLeast, lag);
  }

  /** Decides on what is held: where a loss lies, and what may go on. */
  #settle(): Item[] {
    const unit_ns = this.#unit * this.#tick_ns;
    const base = this.#base;
    const parts = this.#leastOfParts();
    const excess = Math.min(...parts) - base;
    // Lost samples delay for good; a slow host is sometimes faster again.
    const noise = Math.max(...parts.map((least, i) => least - Math.min(...parts.slice(i))));
    const units = Math.round(excess / unit_ns);
    const isClean = Math.abs(excess - units * unit_ns) < 0.25 * unit_ns;
    if (units < 1 || !(isClean || units >= PLAIN_UNITS) || noise > Math.max(0.25 * unit_ns, excess / 8)) {
      this.#least = [];
      this.#spanLeast = Math.min(...parts);
      const late: LateNote = { kind: 'late', tick: firstTickOf(this.#held[0]!) + this.#shift, late_ns: excess };
      return [late, ...this.#release(this.#held.splice(0))];
    }
    const after = this.#held.findIndex((entry) => this.#lag(entry) > base + (units - 0.5) * unit_ns);
    const before = this.#release(this.#held.splice(0, after));
    const firstTick = firstTickOf(this.#held[0]!) + this.#shift;
    const gap: Gap = { kind: 'gap', stream: this.#stream, firstTick, count: units * this.#unit, cause: 'dropped' };
    this.#shift += units * this.#unit;
    const inTime = this.#held.findLastIndex((entry) => !this.#isLate(this.#lag(entry)));
    // Rounding may leave the rest just above the threshold: one chunk at least goes on, so that this ends.
    return [...before, gap, ...this.#release(this.#held.splice(0, Math.max(inTime + 1, 1)))];
  }

  /** Smallest lag in each part of the held time, less its beginning; parts without an arrival are left out. */
  #leastOfParts(): number[] {
    const end_ns = this.#held.at(-1)!.arrival_ns;
    const start_ns = Math.min(this.#held[0]!.arrival_ns + SETTLING_NS, end_ns);
    const parts: number[] = new Array(PARTS).fill(Number.POSITIVE_INFINITY);
    for (const entry of this.#held) {
      if (entry.arrival_ns < start_ns) continue;
      const part = Math.min(PARTS - 1, Math.floor(((entry.arrival_ns - start_ns) / (end_ns - start_ns)) * PARTS) || 0);
      parts[part] = Math.min(parts[part]!, this.#lag(entry));
    }
    return parts.filter(Number.isFinite);
  }

  #release(entries: Held[]): Item[] {
    const items = entries.flatMap((entry) => entry.items);
    if (this.#shift > 0) {
      for (const item of items) {
        if ('firstTick' in item) item.firstTick += this.#shift;
        else item.tick += this.#shift;
      }
    }
    return items;
  }
}

function firstTickOf(entry: Held): number {
  const first = entry.items[0];
  if (!first) return entry.endTick;
  return 'firstTick' in first ? first.firstTick : first.tick;
}
