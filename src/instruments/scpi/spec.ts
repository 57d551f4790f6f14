import { loadAccuracySheet } from '../accuracy-sheet.ts';

/** Port of raw SCPI sockets on Keysight instruments. */
export const scpiPort = 5025;

/** What RS-232 ports are set to when they leave the factory. */
export const scpiBaudRate = 9600;

/** Update intervals of WT310 and WT330 that all of them have. */
export const wt310Intervals_ms = [100, 250, 500, 1000, 2000, 5000] as const;

/** The external log of an N6705 counts in steps of this. */
export const n6705Step_s = 20.48e-6;

/** Shortest period of an external log for each parameter that it logs. */
export const n6705MinPeriod_s = 102.4e-6;

/** The external log holds about so much; older records are overwritten without a word. */
export const n6705Buffer_s = 20;

/** Bits of the N6705's questionable status that say that an output is off (Operating and Service Guide N6705C, page 350). */
export const n6705Trips: Readonly<Record<number, string>> = {
  0: 'over-voltage protection',
  1: 'over-current protection',
  2: 'power failure',
  4: 'over-temperature',
  6: 'negative over-voltage protection',
  9: 'inhibited by an external signal',
  11: 'a protection of another channel that this one is coupled to',
  12: 'oscillation detector',
};

/** Readings that a 34465A keeps without the option MEM. */
export const dmm34465aMemory = 50_000;

/** Bit of the 34465A's questionable status: the memory has overflowed. */
export const dmm34465aOverflow = 1 << 14;

/** Shortest aperture of a 34465A. */
export const dmm34465aMinAperture_s = 20e-6;

/** @see calibration/instruments/wt310.json, n6705.json, 34465a.json */
export const scpiAccuracy = {
  wt310: loadAccuracySheet('wt310'),
  n6705: loadAccuracySheet('n6705'),
  dmm34465a: loadAccuracySheet('34465a'),
};
