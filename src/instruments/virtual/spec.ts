import type { RangeInfo } from '../../signal/types.ts';

// The virtual instrument is invented; its figures are of the order of a good desktop instrument.

const fullScales_A = [50e-6, 500e-6, 5e-3, 50e-3, 500e-3];
const names = ['50 uA', '500 uA', '5 mA', '50 mA', '500 mA'];

/** Current ranges: resolution 1/50,000 and noise 1/25,000 of full scale. */
export const virtualRanges: readonly (RangeInfo & { fullScale_A: number; resolution_A: number; noise_A: number })[] =
  fullScales_A.map((fullScale_A, index) => ({
    index,
    name: names[index],
    fullScale_A,
    resolution_A: fullScale_A / 50_000,
    noise_A: fullScale_A / 25_000,
  }));

/** It goes to a higher range at once above this part of full scale... */
export const rangeUpAt = 0.95;
/** ... and to a lower one after so many samples in a row below this part of the lower range's full scale. */
export const rangeDownAt = 0.8;
export const rangeDownAfterSamples = 16;
/** After a range switch so many samples are flagged `settling`; their noise is so many times the range's. */
export const settlingSamples = 3;
export const settlingNoise = 3;

/** Voltage: one range, 0 to 15 V. */
export const virtualVoltage = { fullScale_V: 15, resolution_V: 100e-6, noise_V: 150e-6 } as const;

/** The timer that captures edges counts at this rate. */
export const captureTimerHz = 1e6;

export const defaultRate_Hz = 20_000;

/** Messages to the host take this long at least. */
export const virtualLeastLatency_s = 4e-4;

/** Longest delay that the analog path can be given: the world before it is still remembered. */
export const mostDelay_s = 1e-3;
