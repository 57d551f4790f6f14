export { Monsoon, type MonsoonOptions, type MonsoonSettings } from './driver.ts';
export { MonsoonEmulator, monsoonFaults } from './emulator.ts';
export { monsoonUsb } from './spec.ts';
