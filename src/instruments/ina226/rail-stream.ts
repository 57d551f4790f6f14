import { type Gap, type GapCause, type SampleBlock, SampleFlag, type StreamInfo } from '../../signal/types.ts';
import { streamOf } from '../stream-info.ts';
import { isSaturated } from './protocol.ts';
import type { Rail } from './settings.ts';
import { ina226BusStep_V, ina226Range, ina226ShuntStep_V } from './spec.ts';

/** Samples of one rail in a block, at most. */
const MAX_BLOCK = 64;
/** A block waits for more samples no longer than this. */
const MAX_WAIT_NS = 50e6;

/** The stream of a chip whose codes are read: current from the shunt, and the bus voltage, each over its own interval. */
export function railStreamInfo(rail: Rail, clock: string): StreamInfo {
  return streamOf({
    id: rail.name,
    rail: rail.name,
    clock,
    ticksPerSample: null,
    quantities: ['current', 'voltage'],
    precision: 'f32',
    semantics: 'mean-forward',
    ranges: [ina226Range(rail.shunt_ohm)],
  });
}

/** Collects the samples of one rail into blocks. */
export class RailStream {
  readonly #rail: Rail;
  readonly #start = new Float64Array(MAX_BLOCK);
  readonly #end = new Float64Array(MAX_BLOCK);
  readonly #current = new Float32Array(MAX_BLOCK);
  readonly #voltage = new Float32Array(MAX_BLOCK);
  readonly #flags = new Uint8Array(MAX_BLOCK);
  #length = 0;
  #isFlagged = false;
  #firstArrival_ns = 0;
  #arrival_ns = 0;

  constructor(rail: Rail) {
    this.#rail = rail;
  }

  /** Adds the codes of one conversion over [start, end); returns a block when it is full or has waited long enough. */
  add(start: number, end: number, shunt: number, bus: number, arrival_ns: number): SampleBlock | null {
    const k = this.#length++;
    if (k === 0) this.#firstArrival_ns = arrival_ns;
    this.#arrival_ns = arrival_ns;
    this.#start[k] = start;
    this.#end[k] = end;
    this.#current[k] = (shunt * ina226ShuntStep_V) / this.#rail.shunt_ohm;
    this.#voltage[k] = bus * ina226BusStep_V;
    this.#flags[k] = isSaturated(shunt, bus) ? SampleFlag.saturated : 0;
    this.#isFlagged ||= this.#flags[k] !== 0;
    const isDue = this.#length === MAX_BLOCK || arrival_ns - this.#firstArrival_ns >= MAX_WAIT_NS;
    return isDue ? this.flush() : null;
  }

  /** What has been collected, or null if nothing has. */
  flush(): SampleBlock | null {
    const n = this.#length;
    if (n === 0) return null;
    const block: SampleBlock = {
      kind: 'block',
      stream: this.#rail.name,
      firstTick: Math.round(this.#start[0]!),
      ticksPerSample: 0,
      length: n,
      startTicks: this.#start.slice(0, n),
      endTicks: this.#end.slice(0, n),
      current: this.#current.slice(0, n),
      voltage: this.#voltage.slice(0, n),
      arrival_ns: this.#arrival_ns,
    };
    if (this.#isFlagged) block.flags = this.#flags.slice(0, n);
    this.#length = 0;
    this.#isFlagged = false;
    return block;
  }

  gap(tick: number, count: number | null, cause: GapCause): Gap {
    return { kind: 'gap', stream: this.#rail.name, firstTick: Math.round(tick), count, cause };
  }
}
