export { Js220, type Js220Settings } from './driver.ts';
export { Js220Emulator } from './emulator.ts';
