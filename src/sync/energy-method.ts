import type { RangeSums, SampleBlock, StreamInfo } from '../signal/types.ts';

/**
 * How a stream's numbers become joules. There are four ways and each has a name, because they are not interchangeable:
 * from energy per interval, from power, from V*I sample by sample, and from I with an assumed constant voltage.
 */
export interface EnergyMethod {
  id: 'energy.from-energy/1' | 'energy.from-power/1' | 'energy.from-voltage-current/1' | 'energy.from-current/1';
  /** Energy in J of sums over samples of `dt_s` seconds. */
  energy_J(sums: Omit<RangeSums, 'range'>, dt_s: number): number;
  /** Power in W of samples [from, to) of a block, written to `out` from its start. */
  power_W(block: SampleBlock, from: number, to: number, dt_s: number, out: Float64Array): void;
}

/** The energy method of a stream: the most direct of what it carries; null where it carries no power at all. */
export function energyMethodOf(stream: StreamInfo): EnergyMethod | null {
  const scale = (quantity: keyof StreamInfo['scale']) => stream.scale[quantity] ?? 1;
  const has = (quantity: StreamInfo['quantities'][number]) => stream.quantities.includes(quantity);
  if (has('energy')) {
    const factor = scale('energy');
    return {
      id: 'energy.from-energy/1',
      energy_J: (sums) => sums.energy * factor,
      power_W(block, from, to, dt_s, out) {
        const energy = block.energy!;
        for (let k = from; k < to; k++) out[k - from] = (energy[k] * factor) / dt_s;
      },
    };
  }
  if (has('power')) {
    const factor = scale('power');
    return {
      id: 'energy.from-power/1',
      energy_J: (sums, dt_s) => sums.power * dt_s * factor,
      power_W(block, from, to, _dt_s, out) {
        const power = block.power!;
        for (let k = from; k < to; k++) out[k - from] = power[k] * factor;
      },
    };
  }
  if (has('current') && has('voltage')) {
    const factor = scale('current') * scale('voltage');
    return {
      id: 'energy.from-voltage-current/1',
      energy_J: (sums, dt_s) => sums.voltageCurrent * dt_s * factor,
      power_W(block, from, to, _dt_s, out) {
        const current = block.current!;
        const voltage = block.voltage!;
        for (let k = from; k < to; k++) out[k - from] = voltage[k] * current[k] * factor;
      },
    };
  }
  if (has('current') && stream.assumedVoltage_V !== null) {
    const factor = scale('current') * stream.assumedVoltage_V;
    return {
      id: 'energy.from-current/1',
      energy_J: (sums, dt_s) => sums.current * dt_s * factor,
      power_W(block, from, to, _dt_s, out) {
        const current = block.current!;
        for (let k = from; k < to; k++) out[k - from] = current[k] * factor;
      },
    };
  }
  return null;
}
