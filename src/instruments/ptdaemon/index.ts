export { Ptdaemon, type PtdaemonOptions, type PtdaemonSettings } from './driver.ts';
export { PtdaemonEmulator, ptdaemonFaults } from './emulator.ts';
export { PtdClient } from './protocol.ts';
export { type RangingOptions, type RangingResult, runWithRanging } from './ranging.ts';
export { ptdaemonPort } from './spec.ts';
