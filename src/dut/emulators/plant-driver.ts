import type { Plant } from '../../plant/plant.ts';
import type { Polarity } from '../../signal/types.ts';

type Item = { at_s: number; current_A: number } | { at_s: number; channel: string; polarity: Polarity };

/** Pulses up to this long keep their length. */
const keptPulse_s = 1e-3;
/** Times that travel as nanoseconds are rounded by less than this. */
const rounding_s = 1e-9;

/** Puts an item behind all that are not later. Most come last. */
export function insertByTime<T extends { at_s: number }>(items: T[], item: T, from = 0): void {
  let place = items.length;
  while (place > from && items[place - 1]!.at_s > item.at_s) place--;
  items.splice(place, 0, item);
}

/**
 * Lets a DUT that lives in real time drive a plant: it says ahead what happens when, and the plant is settled as far as its readers
 * ask. What readers have seen never changes: an item that comes too late happens at the horizon, and is told of.
 */
export class PlantDriver {
  readonly plant: Plant;
  #items: Item[] = [];
  #next = 0;
  #current_A: number;
  #lateness_s = 0;
  /** The last edge of each channel: when it should have been, and when it was. */
  readonly #last = new Map<string, { polarity: Polarity; wanted_s: number; at_s: number }>();

  /** @param current_A level from the beginning */
  constructor(plant: Plant, current_A: number) {
    this.plant = plant;
    this.#current_A = current_A;
    plant.onDemand((until_s) => this.#settle(until_s));
  }

  /** How many items wait for a reader. */
  get ahead(): number {
    return this.#items.length - this.#next;
  }

  /** The current has this level from `at_s` on. */
  level(at_s: number, current_A: number): void {
    insertByTime(this.#items, { at_s, current_A }, this.#next);
  }

  edge(at_s: number, channel: string, polarity: Polarity): void {
    insertByTime(this.#items, { at_s, channel, polarity }, this.#next);
  }

  /** Nothing of what was said for later than `at_s` happens. */
  cancelAfter(at_s: number): void {
    this.#items = this.#items.slice(this.#next).filter((item) => item.at_s <= at_s);
    this.#next = 0;
  }

  /** By how much the latest item since the last call was moved; 0 where none was. */
  takeLateness_s(): number {
    const lateness_s = this.#lateness_s;
    this.#lateness_s = 0;
    return lateness_s;
  }

  #settle(until_s: number): void {
    const { plant } = this;
    for (; this.#next < this.#items.length; this.#next++) {
      const item = this.#items[this.#next]!;
      const at_s = Math.max(this.#timeOf(item), plant.horizon_s);
      if (at_s >= until_s) break;
      const late_s = at_s - item.at_s;
      if (late_s > rounding_s) this.#lateness_s = Math.max(this.#lateness_s, late_s);
      plant.hold(at_s, this.#current_A);
      if ('current_A' in item) this.#current_A = item.current_A;
      else if (plant.levelAt(item.channel, plant.horizon_s) !== (item.polarity === 'rise')) {
        // A pulse whose end was cancelled leaves the line where it is.
        this.#last.set(item.channel, { polarity: item.polarity, wanted_s: item.at_s, at_s });
        plant.edge(at_s, item.channel, item.polarity);
      }
    }
    if (this.#next > 4096) {
      this.#items = this.#items.slice(this.#next);
      this.#next = 0;
    }
    if (until_s > plant.horizon_s) plant.hold(until_s, this.#current_A);
  }

  /** A short pulse keeps its length where its beginning was late. */
  #timeOf(item: Item): number {
    const last = 'channel' in item ? this.#last.get(item.channel) : undefined;
    return last === undefined
      ? item.at_s
      : Math.max(item.at_s, last.at_s + Math.min(item.at_s - last.wanted_s, keptPulse_s));
  }
}
