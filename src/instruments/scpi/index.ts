export { Dmm34465aEmulator } from './34465a-emulator.ts';
export { ScpiInstrument, type ScpiSettings } from './driver.ts';
export { N6705Emulator } from './n6705-emulator.ts';
export { messageLink, streamLink } from './session.ts';
export { Wt310Emulator } from './wt310-emulator.ts';
