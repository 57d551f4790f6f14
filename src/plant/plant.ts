import type { SignalSource } from '../signal/signal-source.ts';
import type { Polarity } from '../signal/types.ts';
import { type Wave, Waves } from './waves.ts';

export interface PlantOptions {
  /** Voltage of the supply without load, in V. */
  supply_V: number;
  /** Resistance between the supply and the DUT's terminals in ohm: V = supply_V - sourceResistance_ohm * I. */
  sourceResistance_ohm: number;
  /** Relative ripple and drift of the current. */
  waves: readonly Wave[];
  /** Trigger lines with their levels at time 0. */
  channels: Readonly<Record<string, boolean>>;
}

const rounding_s = 1e-9;

/** One change of a trigger line, at its exact time. */
export interface PlantEdge {
  time_s: number;
  channel: string;
  polarity: Polarity;
}

/** Exact integrals over an interval. */
export interface PlantIntegrals {
  /** Integral of I dt, in C. */
  charge_C: number;
  /** Integral of V*I dt. */
  energy_J: number;
  /** Integral of I^2 dt, in A^2 s. */
  currentSquared_A2s: number;
}

/**
 * The simulated world in virtual time: one rail with its trigger lines. The current is a level that its driver sets,
 * piecewise constant, times 1 + w(t) with w the ripple and drift; the voltage follows from the supply and its source
 * resistance. Every integral is analytic, so that the truth is exact before any sampling.
 *
 * A DUT (a script, a program in an emulator) drives it by `hold` and `edge`; instruments read it. Reading and driving
 * may alternate: what lies before `horizon_s` never changes. After `finish` the last state lasts for ever.
 */
export class Plant implements SignalSource {
  readonly sourceResistance_ohm: number;
  readonly #waves: Waves;
  readonly #initialLevels: Map<string, boolean>;
  readonly #levels: Map<string, boolean>;
  #supply_V: number;
  // Segment k lasts from #start[k] to #start[k + 1] (the last: to the horizon).
  #start = new Float64Array(1024);
  #current = new Float64Array(1024);
  #voltage = new Float64Array(1024);
  #count = 0;
  #horizon_s = 0;
  #end_s: number | null = null;
  #edges: PlantEdge[] = [];
  #forgotten_s = 0;
  #driver: ((until_s: number) => void) | null = null;

  constructor(options: PlantOptions) {
    this.sourceResistance_ohm = options.sourceResistance_ohm;
    this.#waves = new Waves(options.waves);
    this.#supply_V = options.supply_V;
    this.#initialLevels = new Map(Object.entries(options.channels));
    this.#levels = new Map(this.#initialLevels);
  }

  /** Everything before this time is settled and may be read. */
  get horizon_s(): number {
    return this.#horizon_s;
  }

  /** The end of the simulation, or null while it goes on. */
  get end_s(): number | null {
    return this.#end_s;
  }

  /** Who drives the plant, asked when a reader wants to read beyond the horizon. */
  onDemand(driver: (until_s: number) => void): void {
    this.#driver = driver;
  }

  /** Changes the voltage of the supply (0 = off) from the horizon on. */
  setSupply(supply_V: number): void {
    this.#supply_V = supply_V;
  }

  /**
   * The mean level of the current is `current_A` from the horizon until `until_s`, which becomes the horizon.
   * @throws RangeError if the plant has finished or `until_s` lies before the horizon
   */
  hold(until_s: number, current_A: number): void {
    if (this.#end_s !== null) throw new RangeError('Plant: hold() after finish()');
    if (!(until_s >= this.#horizon_s)) throw new RangeError(`Plant: ${until_s} s lies before the horizon`);
    if (until_s === this.#horizon_s) return;
    const last = this.#count - 1;
    if (last < 0 || this.#current[last] !== current_A || this.#voltage[last] !== this.#supply_V) {
      if (this.#count === this.#start.length) this.#grow();
      this.#start[this.#count] = this.#horizon_s;
      this.#current[this.#count] = current_A;
      this.#voltage[this.#count] = this.#supply_V;
      this.#count++;
    }
    this.#horizon_s = until_s;
  }

  /**
   * A trigger line changes at `time_s`, at or after the horizon.
   * @throws RangeError for an unknown channel, a time before the horizon or before the last edge, or a level that it has
   */
  edge(time_s: number, channel: string, polarity: Polarity): void {
    const level = this.#levels.get(channel);
    if (level === undefined) throw new RangeError(`Plant: no trigger line ${channel}`);
    if (!(time_s >= this.#horizon_s) || time_s < (this.#edges.at(-1)?.time_s ?? 0)) {
      throw new RangeError(`Plant: an edge at ${time_s} s is too late`);
    }
    if (level === (polarity === 'rise')) throw new RangeError(`Plant: ${channel} cannot ${polarity} twice`);
    this.#levels.set(channel, !level);
    this.#edges.push({ time_s, channel, polarity });
  }

  /** The simulation ends at the horizon. */
  finish(): void {
    this.#end_s = this.#horizon_s;
  }

  /** Frees what lies before `time_s`; it can no longer be read. */
  forget(time_s: number): void {
    const keep = this.#segmentAt(time_s);
    // Moving the rest is only worth it when most of the storage is dead.
    if (keep < 1024 || keep < this.#count / 2) return;
    for (const array of [this.#start, this.#current, this.#voltage]) array.copyWithin(0, keep, this.#count);
    this.#count -= keep;
    this.#forgotten_s = this.#start[0];
    const firstKept = this.#firstEdgeFrom(this.#forgotten_s);
    for (const edge of this.#edges.splice(0, firstKept))
      this.#initialLevels.set(edge.channel, edge.polarity === 'rise');
  }

  fillMeans(t0_s: number, dt_s: number, n: number, current: Float64Array, voltage: Float64Array): void {
    if (n === 0) return;
    this.#require(t0_s, t0_s + n * dt_s);
    this.#waves.fillMeans(t0_s, dt_s, n, current);
    const resistance = this.sourceResistance_ohm;
    let segment = this.#segmentAt(t0_s);
    for (let k = 0; k < n; ) {
      const end_s = this.#segmentEnd(segment);
      // Whole intervals inside this segment.
      const inside = Math.min(n, Math.floor((end_s - t0_s) / dt_s));
      const level = this.#current[segment];
      const supply = this.#voltage[segment];
      for (; k < inside; k++) {
        const mean = level * current[k];
        current[k] = mean;
        voltage[k] = supply - resistance * mean;
      }
      if (k === n) break;
      // One interval that reaches into the next segment (or several).
      const [from, to] = [t0_s + k * dt_s, t0_s + (k + 1) * dt_s];
      let charge = 0;
      let volts = 0;
      for (;;) {
        const [a, b] = [Math.max(from, this.#start[segment]), Math.min(to, this.#segmentEnd(segment))];
        if (b > a) {
          charge += this.#current[segment] * (b - a + this.#waves.integral(a, b));
          volts += this.#voltage[segment] * (b - a);
        }
        if (this.#segmentEnd(segment) >= to) break;
        segment++;
      }
      current[k] = charge / dt_s;
      voltage[k] = volts / dt_s - resistance * current[k];
      k++;
    }
  }

  /** Exact integrals over [t0_s, t1_s). */
  integrals(t0_s: number, t1_s: number): PlantIntegrals {
    this.#require(t0_s, t1_s);
    let [charge, energy, squared] = [0, 0, 0];
    for (let k = this.#segmentAt(t0_s); k < this.#count; k++) {
      const [a, b] = [Math.max(t0_s, this.#start[k]), Math.min(t1_s, this.#segmentEnd(k))];
      if (b > a) {
        const level = this.#current[k];
        const wave = this.#waves.integral(a, b);
        const here = level * (b - a + wave);
        const hereSquared = level * level * (b - a + 2 * wave + this.#waves.integralOfSquare(a, b));
        charge += here;
        squared += hereSquared;
        energy += this.#voltage[k] * here - this.sourceResistance_ohm * hereSquared;
      }
      if (this.#segmentEnd(k) >= t1_s) break;
    }
    return { charge_C: charge, energy_J: energy, currentSquared_A2s: squared };
  }

  /** Integral of V*I over [t0_s, t1_s), exact. */
  energy_J(t0_s: number, t1_s: number): number {
    return this.integrals(t0_s, t1_s).energy_J;
  }

  currentAt(t_s: number): number {
    this.#require(t_s, t_s);
    return this.#current[this.#segmentAt(t_s)] * (1 + this.#waves.at(t_s));
  }

  voltageAt(t_s: number): number {
    this.#require(t_s, t_s);
    return this.#voltage[this.#segmentAt(t_s)] - this.sourceResistance_ohm * this.currentAt(t_s);
  }

  edgesBetween(t0_s: number, t1_s: number): PlantEdge[] {
    this.#require(t0_s, t1_s);
    return this.#edges.slice(this.#firstEdgeFrom(t0_s), this.#firstEdgeFrom(t1_s));
  }

  levelAt(channel: string, t_s: number): boolean {
    this.#require(t_s, t_s);
    for (let k = this.#edges.length - 1; k >= 0; k--) {
      const edge = this.#edges[k];
      if (edge.time_s <= t_s && edge.channel === channel) return edge.polarity === 'rise';
    }
    return this.#initialLevels.get(channel) ?? false;
  }

  #segmentEnd(k: number): number {
    if (k + 1 < this.#count) return this.#start[k + 1];
    return this.#end_s === null ? this.#horizon_s : Number.POSITIVE_INFINITY;
  }

  #segmentAt(t_s: number): number {
    let [low, high] = [0, this.#count - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#start[middle] <= t_s) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #firstEdgeFrom(t_s: number): number {
    let [low, high] = [0, this.#edges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#edges[middle].time_s < t_s) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #require(from_s: number, to_s: number): void {
    // A sample's time, computed from a count, may miss the start by rounding.
    if (from_s < this.#forgotten_s - rounding_s) throw new RangeError(`Plant: ${from_s} s is forgotten`);
    if (to_s > this.#horizon_s && this.#end_s === null) this.#driver?.(to_s);
    if (to_s > this.#horizon_s && this.#end_s === null) {
      throw new RangeError(`Plant: ${to_s} s lies beyond the horizon at ${this.#horizon_s} s`);
    }
  }

  #grow(): void {
    const larger = (array: Float64Array<ArrayBuffer>) => {
      const copy = new Float64Array(array.length * 2);
      copy.set(array);
      return copy;
    };
    this.#start = larger(this.#start);
    this.#current = larger(this.#current);
    this.#voltage = larger(this.#voltage);
  }
}
