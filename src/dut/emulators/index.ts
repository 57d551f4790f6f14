export { DutEmulator, type DutEmulatorOptions, type DutFault, type EmulatedNetwork } from './dut.ts';
export { IoManagerEmulator, type IoManagerEmulatorOptions } from './io-manager.ts';
export { emulatedNetwork, simulatedInput } from './networks.ts';
