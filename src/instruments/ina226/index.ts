export { Ina226Bridge } from './bridge-driver.ts';
export { Ina226BridgeEmulator, type Ina226BridgeEmulatorOptions } from './bridge-emulator.ts';
export { Ina226, type Ina226Options } from './driver.ts';
export { Ina226Emulator, type Ina226EmulatorOptions, ina226Faults } from './emulator.ts';
export { Ina226Hwmon } from './hwmon.ts';
export { Ina226Iio } from './iio.ts';
export type { Ina226Settings } from './settings.ts';
