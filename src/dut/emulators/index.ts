export { DutEmulator, type DutEmulatorOptions, type DutFault } from './dut.ts';
export { IoManagerEmulator } from './io-manager.ts';
export { emulatedNetwork, simulatedInput } from './networks.ts';
