export { Ptdaemon, type PtdaemonSettings } from './driver.ts';
export { PtdaemonEmulator } from './emulator.ts';
export { PtdClient } from './protocol.ts';
export { runWithRanging } from './ranging.ts';
