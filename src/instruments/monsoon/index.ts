export { Monsoon, type MonsoonSettings } from './driver.ts';
export { MonsoonEmulator } from './emulator.ts';
