import { z } from 'zod';
import type { InstrumentFamily } from '../family.ts';
import { parseSettings } from '../settings.ts';
import { overUsb } from '../usb-family.ts';
import { Js220 } from './driver.ts';
import { Js220Emulator, js220Faults } from './emulator.ts';
import { js220Tick_Hz, js220Usb } from './spec.ts';

const settingsSchema = z.strictObject({
  rate_Hz: z.number().positive().optional(),
  currentRange: z.string().optional(),
  voltageRange: z.string().optional(),
  gpioReference: z.string().optional(),
  power: z.boolean().optional(),
  statistics_Hz: z.number().positive().optional(),
});

/** Samples are float32 in SI units: half a step of the last bit. */
const float32_rel = 2 ** -25;

export const js220Family: InstrumentFamily = {
  id: 'js220',
  title: 'Joulescope JS220',
  transport: 'usb',
  settings: ({ settings, channel }) => ({
    ...parseSettings('js220', settingsSchema, settings),
    logicInputs: [channel],
  }),
  ...overUsb({
    id: 'js220',
    usb: js220Usb,
    drive: (usb, options) => new Js220(usb, options),
    play: (options) => new Js220Emulator(options),
  }),
  trigger: { polarities: ['rise', 'fall'], shortestPulse_s: 1 / js220Tick_Hz },
  resolution_rel: () => float32_rel,
  faults: js220Faults,
};
