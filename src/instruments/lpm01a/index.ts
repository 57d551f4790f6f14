export { Lpm01a, type Lpm01aSettings } from './driver.ts';
export { Lpm01aEmulator, type Lpm01aEmulatorOptions, lpm01aFaults } from './emulator.ts';
