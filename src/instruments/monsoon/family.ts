import type { InstrumentFamily } from '../family.ts';
import { parseSettings } from '../settings.ts';
import { overUsb } from '../usb-family.ts';
import { Monsoon, monsoonSettingsSchema } from './driver.ts';
import { MonsoonEmulator, monsoonFaults, monsoonSteps_A } from './emulator.ts';
import {
  monsoonCalibrationInterval_ms,
  monsoonCalibrationSamples,
  monsoonFineThreshold,
  monsoonRate_Hz,
  monsoonUsb,
} from './spec.ts';

/**
 * Energy of the samples that calibrations replace, which are missing: two in each interval, and up to one pair more at
 * the end of a window of at least eight intervals (10 s).
 */
const missing_rel = ((monsoonCalibrationSamples * 1000) / (monsoonCalibrationInterval_ms * monsoonRate_Hz)) * (9 / 8);

export const monsoonFamily: InstrumentFamily = {
  id: 'monsoon',
  title: 'Monsoon HVPM, LVPM',
  transport: 'usb',
  settings({ settings, supply }) {
    return {
      ...parseSettings('monsoon', monsoonSettingsSchema, settings),
      ...(supply && { maxVoltage_V: supply.max_voltage_V }),
    };
  },
  ...overUsb({
    id: 'monsoon',
    usb: monsoonUsb,
    drive: (device, options) => new Monsoon(device, options),
    play: (options) => new MonsoonEmulator(options),
  }),
  trigger: null,
  resolution_rel(meanCurrent_A) {
    const { mainFine, mainCoarse } = monsoonSteps_A;
    const step_A = meanCurrent_A < monsoonFineThreshold.HVPM.main * mainFine ? mainFine : mainCoarse;
    return step_A / 2 / meanCurrent_A + missing_rel;
  },
  faults: monsoonFaults,
};
