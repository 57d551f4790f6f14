import type { InstrumentFamily } from '../family.ts';
import { parseSettings } from '../settings.ts';
import { overUsb } from '../usb-family.ts';
import { Js110, js110SettingsSchema } from './driver.ts';
import { Js110Emulator, js110Faults } from './emulator.ts';
import { js110Accuracy, js110Rate_Hz, js110Usb } from './spec.ts';

/** A code has 14 bits, of which a pin takes the last. */
const usableCodes = 2 ** 13;

export const js110Family: InstrumentFamily = {
  id: 'js110',
  title: 'Joulescope JS110',
  transport: 'usb',
  settings({ settings, channel }) {
    return { ...parseSettings('js110', js110SettingsSchema, settings), logicInputs: [channel] };
  },
  ...overUsb({
    id: 'js110',
    usb: js110Usb,
    drive: (device, options) => new Js110(device, options),
    play: (options) => new Js110Emulator(options),
  }),
  // A pulse is seen for certain if a sample lies inside it.
  trigger: { polarities: ['rise', 'fall'], shortestPulse_s: 1 / js110Rate_Hz },
  resolution_rel(meanCurrent_A) {
    const range = js110Accuracy.ranges.findLast(({ fullScale_A }) => (fullScale_A.value ?? 0) >= meanCurrent_A);
    return range?.fullScale_A.value ? range.fullScale_A.value / usableCodes / 2 / meanCurrent_A : null;
  },
  faults: js110Faults,
};
