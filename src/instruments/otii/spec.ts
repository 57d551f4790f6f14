import { loadAccuracySheet } from '../accuracy-sheet.ts';

export const otiiPort = 1905;

/** The one protocol that is known. */
export const otiiProtocol = '0.1';

/** Samples asked for at a time, as the maker's own client does. */
export const otiiChunk = 40_000;

/** What an Arc samples, in Hz; it does not tell. An Ace does. */
export const otiiArcRates_Hz = { current: 4000, voltage: 1000 };

/** Digital inputs. */
export const otiiInputs = ['i1', 'i2'] as const;

/** @see calibration/instruments/otii.json */
export const otiiAccuracy = loadAccuracySheet('otii');
