export { Js110, type Js110Settings } from './driver.ts';
export { Js110Emulator, js110Faults } from './emulator.ts';
