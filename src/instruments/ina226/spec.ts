import { loadAccuracySheet } from '../accuracy-sheet.ts';
import type { AveragingTables } from '../ina2xx/averaging.ts';

export const ina226Register = {
  configuration: 0x00,
  shunt: 0x01,
  bus: 0x02,
  power: 0x03,
  current: 0x04,
  calibration: 0x05,
  maskEnable: 0x06,
  alertLimit: 0x07,
  manufacturer: 0xfe,
  die: 0xff,
} as const;

/** Without the low four bits, which are the revision. */
export const ina226Die = 0x2260;

export const ina226Reset = 0x8000;
/** Bits 14:12 of the configuration always read so. */
export const ina226Fixed = 0x4000;
export const ina226Mode = { powerDown: 0, continuousBoth: 7 } as const;

/** Mask/Enable: the pin ALERT follows the conversion; a conversion is ready; the arithmetic overflowed. */
export const ina226Flag = { alertOnReady: 0x0400, ready: 0x0008, overflow: 0x0004 } as const;

/** Codes of AVG, and of VBUSCT and VSHCT: typical, each chip may take up to 10 % longer. */
export const ina226Tables: AveragingTables = {
  averages: [1, 4, 16, 64, 128, 256, 512, 1024],
  times_us: [140, 204, 332, 588, 1100, 2116, 4156, 8244],
};

/** Volts a code. */
export const ina226ShuntStep_V = 2.5e-6;
export const ina226BusStep_V = 1.25e-3;
/** Largest code of either. */
export const ina226Full = 32_767;
/** The arithmetic of the chip: CAL = trunc(this / (step of the current in A * shunt in ohm)). */
export const ina226CalibrationConstant = 0.00512;

/** @see calibration/instruments/ina226.json */
export const ina226Accuracy = loadAccuracySheet('ina226');
