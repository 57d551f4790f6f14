import { loadAccuracySheet } from '../accuracy-sheet.ts';
import type { AveragingTables } from '../ina2xx/averaging.ts';

export const ina228Register = {
  configuration: 0x00,
  adcConfiguration: 0x01,
  shuntCalibration: 0x02,
  shuntTemperature: 0x03,
  shunt: 0x04,
  bus: 0x05,
  dieTemperature: 0x06,
  current: 0x07,
  power: 0x08,
  energy: 0x09,
  charge: 0x0a,
  diagnostics: 0x0b,
  manufacturer: 0x3e,
  die: 0x3f,
} as const;

/** Bytes of the registers that are longer than a word. */
export const ina228Width: Readonly<Record<number, number>> = {
  [ina228Register.shunt]: 3,
  [ina228Register.bus]: 3,
  [ina228Register.current]: 3,
  [ina228Register.power]: 3,
  [ina228Register.energy]: 5,
  [ina228Register.charge]: 5,
};

/** Without the low four bits, which are the revision. */
export const ina228Die = 0x2280;

/** CONFIG: everything to its state at power-on, the accumulators to zero, the finer of the two ranges. */
export const ina228Config = { reset: 0x8000, resetAccumulators: 0x4000, fineRange: 0x0010 } as const;

/** ADC_CONFIG 15:12. */
export const ina228Mode = { shutdown: 0x0, continuousBoth: 0xb } as const;

/** DIAG_ALRT: flags stay until it is read; the pin ALERT follows the conversions; and what can be read there. */
export const ina228Flag = {
  latch: 0x8000,
  alertOnReady: 0x4000,
  mathOverflow: 0x0200,
  ready: 0x0002,
  memoryIsGood: 0x0001,
} as const;

/** Codes of AVG, and of VBUSCT, VSHCT and VTCT: typical. */
export const ina228Tables: AveragingTables = {
  averages: [1, 4, 16, 64, 128, 256, 512, 1024],
  times_us: [50, 84, 150, 280, 540, 1052, 2074, 4120],
};

/** Volts a code of the shunt, by ADCRANGE. */
export const ina228ShuntSteps_V = [312.5e-9, 78.125e-9] as const;
export const ina228BusStep_V = 195.3125e-6;
/** Codes have 20 bits, in two's complement. */
export const ina228Full = 2 ** 19 - 1;

/** SHUNT_CAL = this * step of the current in A * shunt in ohm, four times that in the finer range. */
export const ina228CalibrationConstant = 13_107.2e6;
/** Steps of the power and of the energy register, in steps of the current. */
export const ina228PowerStep = 3.2;
export const ina228EnergyStep = 16 * ina228PowerStep;
/** ENERGY and CHARGE have 40 bits. */
export const ina228Modulus = 2 ** 40;

/** @see calibration/instruments/ina228.json */
export const ina228Accuracy = loadAccuracySheet('ina228');
