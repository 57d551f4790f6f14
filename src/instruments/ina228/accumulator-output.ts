import { type Gap, type GapCause, type SampleBlock, SampleFlag, type StreamInfo } from '../../signal/types.ts';
import type { ChipRegisters } from '../ina2xx/chip-registers.ts';
import type { RailOutput, ReadTime } from '../ina2xx/chip-type.ts';
import { blockRange, type CodeScale, overloadOf } from '../ina2xx/conversion-stream.ts';
import { IntervalBlocks } from '../ina2xx/interval-blocks.ts';
import type { Rail } from '../ina2xx/rails.ts';
import { streamOf } from '../stream-info.ts';
import { accumulatorStep, signed20 } from './protocol.ts';
import { ina228EnergyStep, ina228Flag, ina228Register } from './spec.ts';

/** Most that ENERGY can go up in a second: 24 bits of power, 16 of its steps to one of energy; with some margin. */
const MOST_STEPS_PER_S = (2 ** 24 / 16) * 1.1;

/** A chip whose accumulators are read. */
export interface Accumulating {
  rail: Rail;
  scale: CodeScale;
  /** A step of CURRENT. */
  currentStep_A: number;
  /** Conversions of shunt and bus that are averaged into a result; the accumulators go on with each. */
  averages: number;
  /** Nominal time between two results. */
  period_us: number;
}

/** The stream of a chip whose accumulators are read: the energy of each interval, and the mean current from its charge. */
export function accumulatorStreamInfo({ rail, scale }: Accumulating, clock: string): StreamInfo {
  return streamOf({
    id: rail.name,
    rail: rail.name,
    clock,
    ticksPerSample: null,
    quantities: ['energy', 'current'],
    precision: 'f64',
    semantics: 'mean-forward',
    ranges: [...scale.ranges],
  });
}

/** What the accumulators held, and up to when. */
interface Standing {
  end_ns: number;
  /** Conversions that were complete by then, from the first reading on. */
  conversions: number;
  energy: number;
  charge: number;
}

/**
 * Passes on by how much ENERGY and CHARGE went up from one reading to the next: what the host did not read in time is still
 * in there. They count in seconds of the chip's own oscillator, so what is taken from them is the mean over whole
 * conversions, and its duration from the host's clock. ENERGY has no sign: an interval with a current that flowed
 * backwards is a Gap.
 */
export class AccumulatorOutput implements RailOutput {
  readonly #chip: Accumulating;
  readonly #blocks: IntervalBlocks;
  #shunt = 0;
  #flags = 0;
  #read = { at_ns: 0, energy: 0, charge: 0 };
  #last: Standing | null = null;
  #results = 0;
  #unread = 0;
  #backwards = 0;
  #resets = 0;
  #period_ns: number | null = null;

  constructor(chip: Accumulating) {
    this.#chip = chip;
    this.#blocks = new IntervalBlocks({
      stream: chip.rail.name,
      quantities: ['energy', 'current'],
      makeArray: (length) => new Float64Array(length),
      range: blockRange(chip.scale),
    });
  }

  async read(chip: ChipRegisters, flags: number): Promise<void> {
    const shunt = signed20(await chip.read(ina228Register.shunt, 3));
    const before_ns = chip.now_ns();
    const energy = await chip.read(ina228Register.energy, 5);
    const at_ns = (before_ns + chip.now_ns()) / 2;
    const charge = await chip.read(ina228Register.charge, 5);
    this.#shunt = shunt;
    this.#flags = flags;
    this.#read = { at_ns, energy, charge };
  }

  take({ end_ns: result_ns, missed, now_ns, period_ns }: ReadTime): (SampleBlock | Gap)[] {
    const { averages, period_us, currentStep_A } = this.#chip;
    const { at_ns, energy, charge } = this.#read;
    this.#period_ns = period_ns;
    // They also hold the conversions that were complete between the result and the reading.
    const beyond = Math.max(0, Math.floor(((at_ns - result_ns) / period_ns) * averages));
    const end_ns = result_ns + (beyond / averages) * period_ns;
    this.#results += missed + 1;
    const conversions = this.#results * averages + beyond;
    const last = this.#last;
    // Too close to tell apart: the next reading has it all.
    if (last !== null && (conversions <= last.conversions || end_ns <= last.end_ns)) return [];
    this.#last = { end_ns, conversions, energy, charge };
    if (last === null) return [];
    this.#unread += missed;
    const chip_s = ((conversions - last.conversions) / averages) * period_us * 1e-6;
    const [energySteps, chargeSteps] = [accumulatorStep(last.energy, energy), accumulatorStep(last.charge, charge)];
    const isBackwards = chargeSteps < 0 || this.#shunt < 0;
    const wasReset = energySteps < 0 || energySteps > chip_s * MOST_STEPS_PER_S + 1;
    if (wasReset) this.#resets++;
    else if (isBackwards) this.#backwards++;
    if (wasReset || isBackwards) return this.#with(this.gap(last.end_ns, missed + 1, 'invalid'));
    const power_W = (energySteps * ina228EnergyStep * currentStep_A) / chip_s;
    const current_A = (chargeSteps * currentStep_A) / chip_s;
    const energy_J = power_W * (end_ns - last.end_ns) * 1e-9;
    const flags = this.overload() === null ? 0 : SampleFlag.saturated;
    const block = this.#blocks.add(last.end_ns, end_ns, energy_J, current_A, flags, now_ns);
    return block === null ? [] : [block];
  }

  overload(): string | null {
    const { scale, rail } = this.#chip;
    if (this.#flags & ina228Flag.mathOverflow) return `the arithmetic of the chip of ${rail.name} overflowed (MATHOF)`;
    return overloadOf(scale, rail, this.#shunt);
  }

  flush(): SampleBlock | null {
    return this.#blocks.flush();
  }

  gap(tick: number, count: number | null, cause: GapCause): Gap {
    return this.#blocks.gap(tick, count, cause);
  }

  summary(): string[] {
    const { rail, period_us } = this.#chip;
    const found: string[] = [];
    if (this.#period_ns !== null) {
      const ratio = this.#period_ns / (period_us * 1e3);
      found.push(`conversions of ${rail.name} took ${ratio.toFixed(5)} times as long as typical, by the host's clock`);
    }
    const count = (n: number, what: string) => n > 0 && found.push(`${n} ${what}`);
    count(this.#unread, `results of ${rail.name} were not read; the accumulators hold their energy`);
    count(this.#backwards, `intervals of ${rail.name} had a current that flowed backwards, which ENERGY cannot tell`);
    count(this.#resets, `times the accumulators of ${rail.name} were set to zero by something else`);
    return found;
  }

  /** Chunks in their order: what has been collected comes first. */
  #with(gap: Gap): (SampleBlock | Gap)[] {
    const block = this.flush();
    return block === null ? [gap] : [block, gap];
  }
}
