import type { ByteStream } from '../../transport/byte-stream.ts';
import type { FaultCatalogue } from '../emulator.ts';
import { BridgeEmulator, type BridgeEmulatorOptions } from '../ina2xx/bridge-emulator.ts';
import { BusEmulator, type BusEmulatorOptions, busFaults } from '../ina2xx/bus-emulator.ts';
import type { EmulatedType } from '../ina2xx/emulated-chip.ts';
import { Ina226Model } from './chip-model.ts';
import { ina226Register } from './spec.ts';

export const ina226Faults: FaultCatalogue = {
  ...busFaults,
  'new-revision': 'identifies itself as an unknown revision',
};

/** An INA226 as its emulators play it. */
export const emulatedIna226: EmulatedType<Ina226Model> = {
  family: 'ina226',
  die: 0x2260,
  makeModel: (options, now_s) => new Ina226Model(options, now_s),
  registers: { manufacturer: ina226Register.manufacturer, die: ina226Register.die, ready: ina226Register.maskEnable },
  readyMask: 0x0008,
  widthOf: () => 2,
  configuration: [ina226Register.configuration],
  slow_rel: 0.013,
  bridge: { model: 0x26, codeBytes: 2 },
};

/** INA226 chips on an I2C bus, seen from the host. */
export class Ina226Emulator extends BusEmulator<Ina226Model> {
  constructor(options: BusEmulatorOptions) {
    super(emulatedIna226, ina226Faults, options);
  }

  protected override shown(register: number, value: number): number {
    const isRevised = register === ina226Register.die && this.faults.has('new-revision');
    return super.shown(register, value) | (isRevised ? 0x0003 : 0);
  }
}

/** An INB1 bridge with INA226 chips, seen from its serial port. */
export class Ina226BridgeEmulator extends BridgeEmulator {
  constructor(port: ByteStream, options: BridgeEmulatorOptions) {
    super(emulatedIna226, port, options);
  }
}
