import {
  type Gap,
  type GapCause,
  type RangeInfo,
  type SampleBlock,
  SampleFlag,
  type StreamInfo,
} from '../../signal/types.ts';
import { streamOf } from '../stream-info.ts';
import { IntervalBlocks } from './interval-blocks.ts';
import type { Rail } from './rails.ts';

/** What the codes of a chip mean. */
export interface CodeScale {
  /** Volts a code. */
  shuntStep_V: number;
  busStep_V: number;
  /** Largest codes; at them the voltage may be larger than what the code says. */
  fullShunt: number;
  fullBus: number;
  /** The ranges of the chip with its shunt, and the number of the one that is used. */
  ranges: readonly RangeInfo[];
  range: number;
}

/** A range of a chip with its shunt. */
export function shuntRange(index: number, step_V: number, full: number, shunt_ohm: number): RangeInfo {
  return {
    index,
    name: `${fullScale_mV(step_V, full)} mV / ${shunt_ohm} ohm`,
    fullScale_A: (full * step_V) / shunt_ohm,
    resolution_A: step_V / shunt_ohm,
    noise_A: null,
  };
}

/** Full scale as data sheets round it. */
const fullScale_mV = (step_V: number, full: number): number => Number((step_V * (full + 1) * 1e3).toFixed(3));

/** True at the ends of the scales. */
export function isSaturated({ fullShunt, fullBus }: CodeScale, shunt: number, bus: number): boolean {
  return Math.abs(shunt) >= fullShunt || bus >= fullBus;
}

/** Why a code of the shunt says less than there is, as a sentence; null where it does not. */
export function overloadOf({ fullShunt, shuntStep_V }: CodeScale, rail: Rail, shunt: number): string | null {
  if (Math.abs(shunt) < fullShunt) return null;
  return `the shunt of ${rail.name} has more than ${fullScale_mV(shuntStep_V, fullShunt)} mV across it`;
}

/** The stream of a chip whose codes are read: current from the shunt, and the bus voltage, each over its own interval. */
export function conversionStreamInfo(rail: Rail, { ranges }: CodeScale, clock: string): StreamInfo {
  return streamOf({
    id: rail.name,
    rail: rail.name,
    clock,
    ticksPerSample: null,
    quantities: ['current', 'voltage'],
    precision: 'f32',
    semantics: 'mean-forward',
    ranges: [...ranges],
  });
}

/** The number of the range as blocks carry it: not at all where there is one only. */
export const blockRange = ({ ranges, range }: CodeScale): number | null => (ranges.length > 1 ? range : null);

/** Turns the codes of one rail into blocks of amperes and volts. */
export class ConversionStream {
  readonly #rail: Rail;
  readonly #scale: CodeScale;
  readonly #blocks: IntervalBlocks;

  constructor(rail: Rail, scale: CodeScale) {
    this.#rail = rail;
    this.#scale = scale;
    this.#blocks = new IntervalBlocks({
      stream: rail.name,
      quantities: ['current', 'voltage'],
      makeArray: (length) => new Float32Array(length),
      range: blockRange(scale),
    });
  }

  /** Adds the codes of one conversion over [start, end); returns a block when it is full or has waited long enough. */
  add(start: number, end: number, shunt: number, bus: number, arrival_ns: number): SampleBlock | null {
    const { shuntStep_V, busStep_V } = this.#scale;
    const flags = isSaturated(this.#scale, shunt, bus) ? SampleFlag.saturated : 0;
    const current = (shunt * shuntStep_V) / this.#rail.shunt_ohm;
    return this.#blocks.add(start, end, current, bus * busStep_V, flags, arrival_ns);
  }

  /** @see overloadOf() */
  overload(shunt: number): string | null {
    return overloadOf(this.#scale, this.#rail, shunt);
  }

  flush(): SampleBlock | null {
    return this.#blocks.flush();
  }

  gap(tick: number, count: number | null, cause: GapCause): Gap {
    return this.#blocks.gap(tick, count, cause);
  }
}
