export { Otii, type OtiiOptions, type OtiiSettings } from './driver.ts';
export { OtiiEmulator, otiiFaults } from './emulator.ts';
export { otiiPort } from './spec.ts';
