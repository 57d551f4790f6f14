import type { DutEmulator } from '../../src/dut/emulators/dut.ts';

/** An emulated DUT as its world is told of it, with a list of what was done to its supply. */
export function watchedSupply(emulator: DutEmulator) {
  const powers: boolean[] = [];
  const dut = {
    start_ns: emulator.start_ns,
    get settled_s() {
      return emulator.settled_s;
    },
    get isOn() {
      return powers.at(-1) ?? true;
    },
    powerOn: () => {
      powers.push(true);
      emulator.powerOn();
    },
    powerOff: () => {
      powers.push(false);
      emulator.powerOff();
    },
  };
  return { powers, dut };
}
