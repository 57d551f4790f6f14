import { loadAccuracySheet } from '../accuracy-sheet.ts';

export const lpm01aUsb = { vendorId: 0x0483, productId: 0x5740 };

/** Without effect on USB CDC; the board's second UART uses 921,600. */
export const lpm01aBaudRate = 3_686_400;

/** Sampling rates of the `freq` command, in Hz, ascending. */
export const lpm01aRates_Hz = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000,
] as const;

/** The fastest rate that the ASCII format sustains without a time limit. */
export const lpm01aAsciiMax_Hz = 5000;

/** A time-stamp comes before the first sample and after each so many. */
export const lpm01aTimestampSamples = 1000;

export const lpm01aSupply_V = { min: 1.8, max: 3.3 };

/** The first firmware with events on D7 and a `pwr off` that works. */
export const lpm01aFirmware = '1.0.6';

export const lpm01aPrompt = 'PowerShield > ';

/** Second bytes of a binary metadata frame `F0 xx ... FF FF`. */
export const lpm01aTag = {
  error: 0xf1,
  info: 0xf2,
  timestamp: 0xf3,
  end: 0xf4,
  /** The manual reserves it (and lists F4 twice); implementations send it for an overcurrent. */
  overcurrent: 0xf5,
  targetOff: 0xf6,
  voltage: 0xf7,
  temperature: 0xf8,
  power: 0xf9,
  reserved: 0xfe,
} as const;

/** Currents at which the board stops, by acquisition mode. */
export const lpm01aLimit_A = { dyn: 0.05, stat: 0.2 } as const;

/** @see calibration/instruments/lpm01a.json */
export const lpm01aAccuracy = loadAccuracySheet('lpm01a');
