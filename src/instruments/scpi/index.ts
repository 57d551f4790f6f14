export { Dmm34465aEmulator, dmm34465aFaults } from './34465a-emulator.ts';
export { ScpiInstrument, type ScpiOptions, type ScpiSettings } from './driver.ts';
export { N6705Emulator, n6705Faults } from './n6705-emulator.ts';
export { messageLink, type ScpiLink, streamLink } from './session.ts';
export { scpiPort } from './spec.ts';
export { Wt310Emulator, wt310Faults } from './wt310-emulator.ts';
