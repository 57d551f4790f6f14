import type { Averaging } from '../ina2xx/averaging.ts';
import { ina228CalibrationConstant, ina228Config, ina228Mode, ina228Modulus } from './spec.ts';

/** A result of 20 bits in two's complement, in bits 23:4 of its register. */
export const signed20 = (register: number): number => ((register & 0xff_ffff) << 8) >> 12;

/** CHARGE: 40 bits in two's complement. */
export const signed40 = (register: number): number =>
  register >= ina228Modulus / 2 ? register - ina228Modulus : register;

/** How far an accumulator of 40 bits has gone on since `before`, if it wrapped at most once: less than 0 is backwards. */
export function accumulatorStep(before: number, now: number): number {
  const step = (now - before + ina228Modulus) % ina228Modulus;
  return signed40(step);
}

/** CONFIG with one of the two ranges. */
export const encodeConfig = (adcRange: 0 | 1): number => (adcRange === 1 ? ina228Config.fineRange : 0);

/** ADC_CONFIG: shunt and bus continuously, no temperature. */
export function encodeAdcConfig({ averages, busTime, shuntTime }: Averaging): number {
  return (ina228Mode.continuousBoth << 12) | (busTime << 9) | (shuntTime << 6) | averages;
}

/**
 * SHUNT_CAL for a step of CURRENT in A. The chip computes CURRENT, POWER, ENERGY and CHARGE with it; samples are computed
 * from the voltages.
 */
export function shuntCalibration(currentStep_A: number, shunt_ohm: number, adcRange: 0 | 1): number {
  const exact = ina228CalibrationConstant * currentStep_A * shunt_ohm * (adcRange === 1 ? 4 : 1);
  return Math.min(0x7fff, Math.round(exact));
}
