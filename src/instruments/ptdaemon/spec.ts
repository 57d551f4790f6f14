import { loadAccuracySheet } from '../accuracy-sheet.ts';

export const ptdaemonPort = 8888;

/** What the daemon answers to `Hello`. */
export const ptdaemonGreeting = 'Hello, PTDaemon here!';

/** Versions whose answers are known; others are told, not refused. */
export const ptdaemonVersions = ['1.9.1', '1.9.2', '1.10.0', '1.11.1'] as const;

/** A measurement ends by itself after so many samples. */
export const ptdaemonMaxSamples = 500_000;

/** What MLPerf Power measures with. */
export const ptdaemonInterval_ms = 1000;

/** The daemon is given so long to settle after a change of range (power-dev, ANALYZER_SLEEP). */
export const ptdaemonSettle_ms = 10_000;

/**
 * The testing run's current range is so much more than the largest current of the ranging run: supplies below 75 W need not
 * correct their power factor, and their peaks are higher (power-dev, `Session.stop`).
 */
export const ptdaemonCurrentReserve = (meanPower_W: number): number => (meanPower_W >= 75 ? 1.1 : 3.3);

/** @see calibration/instruments/ptdaemon.json */
export const ptdaemonAccuracy = loadAccuracySheet('ptdaemon');
