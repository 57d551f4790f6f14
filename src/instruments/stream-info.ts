import type { StreamInfo } from '../signal/types.ts';

/** What an instrument may leave out of the description of a stream. */
type Optional = 'rail' | 'groupDelay_s' | 'scale' | 'assumedVoltage_V' | 'ranges' | 'logicInputs' | 'calibration';

/** The description of an instrument's stream: rail `main`, unscaled, and null where nothing is said. */
export function streamOf(known: Omit<StreamInfo, Optional> & Partial<StreamInfo>): StreamInfo {
  return {
    rail: 'main',
    groupDelay_s: null,
    scale: {},
    assumedVoltage_V: null,
    ranges: [],
    logicInputs: [],
    calibration: null,
    ...known,
  };
}
