import type { Averaging } from '../ina2xx/averaging.ts';
import { ina226CalibrationConstant, ina226Fixed, ina226Mode } from './spec.ts';

/** Two's complement. */
export const signed16 = (word: number): number => (word << 16) >> 16;

/** The configuration register: continuous conversion of shunt and bus. */
export function encodeConfiguration({ averages, busTime, shuntTime }: Averaging): number {
  return ina226Fixed | (averages << 9) | (busTime << 6) | (shuntTime << 3) | ina226Mode.continuousBoth;
}

/**
 * The calibration register for a step of the current register in A; it only serves others that read the current and
 * power registers, for samples are computed from the voltages.
 */
export function calibrationRegister(currentStep_A: number, shunt_ohm: number): number {
  // Rounding must not push an exact quotient below itself.
  return Math.min(0x7fff, Math.trunc(ina226CalibrationConstant / (currentStep_A * shunt_ohm) + 1e-9));
}
