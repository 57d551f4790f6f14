export { Ppk2, type Ppk2Settings } from './driver.ts';
export { Ppk2Emulator, ppk2Faults } from './emulator.ts';
export { ppk2BaudRate } from './spec.ts';
