export { Ina228, Ina228Bridge } from './driver.ts';
export { Ina228BridgeEmulator, Ina228Emulator } from './emulator.ts';
export type { Ina228Settings } from './settings.ts';
