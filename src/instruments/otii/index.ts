export { Otii, type OtiiOptions, type OtiiSettings } from './driver.ts';
export { OtiiEmulator } from './emulator.ts';
