export { Js220, type Js220Options, type Js220Settings } from './driver.ts';
export { Js220Emulator, js220Faults } from './emulator.ts';
export { js220Usb } from './spec.ts';
