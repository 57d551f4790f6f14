import { UsageError } from '../../signal/errors.ts';
import { ina226Averages, ina226CalibrationConstant, ina226Fixed, ina226Mode, ina226Times_us } from './spec.ts';

/** How often a chip gives a pair of shunt and bus voltage, and over which time both are averaged. */
export interface Ina226Configuration {
  /** Codes of AVG, VBUSCT and VSHCT. */
  averages: number;
  busTime: number;
  shuntTime: number;
}

/** The least rate: a slower chip could not be told from a dead one within 2 s. */
export const ina226LeastRate_Hz = 1;
/** Both conversions at their shortest, without averaging. */
export const ina226MostRate_Hz = 1e6 / (2 * ina226Times_us[0]);

/** Nominal time between results, in us: (VBUSCT + VSHCT) * AVG. */
export function periodOf_us({ averages, busTime, shuntTime }: Ina226Configuration): number {
  return (ina226Times_us[busTime]! + ina226Times_us[shuntTime]!) * ina226Averages[averages]!;
}

/**
 * The configuration that fills the time between samples best: the longest period that is no longer than 1 / rate, with
 * the longest conversions among equals. Shunt and bus get the same time.
 * @throws UsageError `instrument.settings` outside 1 Hz to 3571 Hz
 */
export function configurationFor(rate_Hz: number): Ina226Configuration {
  if (!(rate_Hz >= ina226LeastRate_Hz && rate_Hz <= Math.ceil(ina226MostRate_Hz))) {
    throw new UsageError('instrument.settings', {
      where: 'instrument.settings.rate_Hz',
      problem: `${rate_Hz} Hz is outside ${ina226LeastRate_Hz} Hz to ${Math.floor(ina226MostRate_Hz)} Hz`,
      remedy: 'choose a rate that an INA226 can convert at',
    });
  }
  let best: Ina226Configuration = { averages: 0, busTime: 0, shuntTime: 0 };
  for (let time = 0; time < ina226Times_us.length; time++) {
    for (let averages = 0; averages < ina226Averages.length; averages++) {
      const candidate = { averages, busTime: time, shuntTime: time };
      if (periodOf_us(candidate) * rate_Hz <= 1e6 && periodOf_us(candidate) >= periodOf_us(best)) best = candidate;
    }
  }
  return best;
}

/** The configuration register: continuous conversion of shunt and bus. */
export function encodeConfiguration({ averages, busTime, shuntTime }: Ina226Configuration): number {
  return ina226Fixed | (averages << 9) | (busTime << 6) | (shuntTime << 3) | ina226Mode.continuousBoth;
}

/** The configuration in a register value. */
export function decodeConfiguration(register: number): Ina226Configuration {
  return { averages: (register >> 9) & 7, busTime: (register >> 6) & 7, shuntTime: (register >> 3) & 7 };
}

/**
 * The calibration register for a step of the current register in A; it only serves others that read the current and
 * power registers, for samples are computed from the voltages.
 */
export function calibrationRegister(currentStep_A: number, shunt_ohm: number): number {
  // Rounding must not push an exact quotient below itself.
  return Math.min(0x7fff, Math.trunc(ina226CalibrationConstant / (currentStep_A * shunt_ohm) + 1e-9));
}
