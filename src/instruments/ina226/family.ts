import type { InstrumentFamily } from '../family.ts';
import { emulatedChips, overI2c } from '../ina2xx/i2c-family.ts';
import { parseSettings } from '../settings.ts';
import { Ina226, Ina226Bridge } from './driver.ts';
import { Ina226BridgeEmulator, Ina226Emulator, ina226Faults } from './emulator.ts';
import { Ina226Hwmon } from './hwmon.ts';
import { Ina226Iio } from './iio.ts';
import { ina226SettingsSchema } from './settings.ts';
import { ina226ShuntStep_V } from './spec.ts';

export const ina226Family: InstrumentFamily = {
  id: 'ina226',
  title: 'Texas Instruments INA226',
  transport: 'i2c',
  settings: ({ settings }) => parseSettings('ina226', ina226SettingsSchema.partial({ chips: true }), settings),
  ...overI2c({
    id: 'ina226',
    name: 'INA226',
    onBus: (bus, options) => new Ina226(bus, options),
    behindBridge: (port) => new Ina226Bridge(port),
    playBus: (options) => new Ina226Emulator(options),
    playBridge: (port, options) => new Ina226BridgeEmulator(port, options),
    named: { hwmon: () => new Ina226Hwmon(), iio: () => new Ina226Iio() },
  }),
  trigger: null,
  resolution_rel: (meanCurrent_A) => ina226ShuntStep_V / emulatedChips[0]!.shunt_ohm / 2 / meanCurrent_A,
  faults: ina226Faults,
};
