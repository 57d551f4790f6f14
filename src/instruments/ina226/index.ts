export { Ina226, Ina226Bridge } from './driver.ts';
export { Ina226BridgeEmulator, Ina226Emulator, ina226Faults } from './emulator.ts';
export { Ina226Hwmon } from './hwmon.ts';
export { Ina226Iio } from './iio.ts';
