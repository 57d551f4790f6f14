import type { InstrumentFamily } from '../family.ts';
import { emulatedChips, overI2c } from '../ina2xx/i2c-family.ts';
import { parseSettings } from '../settings.ts';
import { Ina228, Ina228Bridge } from './driver.ts';
import { Ina228BridgeEmulator, Ina228Emulator, ina228Faults } from './emulator.ts';
import { ina228SettingsSchema } from './settings.ts';
import { ina228ShuntSteps_V } from './spec.ts';

export const ina228Family: InstrumentFamily = {
  id: 'ina228',
  title: 'Texas Instruments INA228',
  transport: 'i2c',
  settings: ({ settings }) => parseSettings('ina228', ina228SettingsSchema.partial({ chips: true }), settings),
  ...overI2c({
    id: 'ina228',
    name: 'INA228',
    onBus: (bus, options) => new Ina228(bus, options),
    behindBridge: (port) => new Ina228Bridge(port),
    playBus: (options) => new Ina228Emulator(options),
    playBridge: (port, options) => new Ina228BridgeEmulator(port, options),
    // The specification describes no driver of the kernel for this chip.
    named: {},
  }),
  trigger: null,
  resolution_rel: (meanCurrent_A) => ina228ShuntSteps_V[0] / emulatedChips[0]!.shunt_ohm / 2 / meanCurrent_A,
  faults: ina228Faults,
};
