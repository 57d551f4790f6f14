import { loadAccuracySheet } from '../accuracy-sheet.ts';

/** Samples a second; the instrument has no other rate. */
export const ppk2Rate_Hz = 100_000;

export const ppk2Usb = { vendorId: 0x1915, productId: 0xc00a };

/** Any: the port is USB CDC. */
export const ppk2BaudRate = 115_200;

export const ppk2Opcode = {
  averageStart: 0x06,
  averageStop: 0x07,
  deviceRunning: 0x0c,
  regulatorSet: 0x0d,
  powerMode: 0x11,
  spikeFilteringOn: 0x15,
  spikeFilteringOff: 0x16,
  getMetadata: 0x19,
  reset: 0x20,
  setUserGain: 0x25,
} as const;

export const ppk2PowerMode = { ampere: 1, source: 2 } as const;

/** The one hardware number that Nordic's software knows. */
export const ppk2Hardware = '9173';

/** Volts a step of the 16-bit code. */
export const ppk2Volts = 1.8 / 163_840;

export const ppk2Ranges = 5;

export const ppk2Supply_V = { min: 0.8, max: 5 };

/** Coefficients of the current, one a range. */
export interface Ppk2Modifiers {
  /** Shunt in ohm. */
  R: readonly number[];
  GS: readonly number[];
  GI: readonly number[];
  O: readonly number[];
  S: readonly number[];
  I: readonly number[];
  UG: readonly number[];
}

/** What Nordic's app uses where the metadata gives nothing (or 0, or NaN). */
export const ppk2DefaultModifiers: Ppk2Modifiers = {
  R: [1031.64, 101.65, 10.15, 0.94, 0.043],
  GS: [1, 1, 1, 1, 1],
  GI: [1, 1, 1, 1, 1],
  O: [0, 0, 0, 0, 0],
  S: [0, 0, 0, 0, 0],
  I: [0, 0, 0, 0, 0],
  UG: [1, 1, 1, 1, 1],
};

/** @see calibration/instruments/ppk2.json */
export const ppk2Accuracy = loadAccuracySheet('ppk2');
