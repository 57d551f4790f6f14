export { DutEmulator, type DutEmulatorOptions, type DutFault } from './dut.ts';
export { IoManagerEmulator } from './io-manager.ts';
export { emulatedNetwork, firstByteNetwork, simulatedInput } from './networks.ts';
export { soundOfFile } from './wakeword.ts';
