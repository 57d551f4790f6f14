import type { ByteStream } from '../../transport/byte-stream.ts';
import { type FaultCatalogue, parseFault } from '../emulator.ts';
import { BridgeEmulator, type BridgeEmulatorOptions } from '../ina2xx/bridge-emulator.ts';
import { BusEmulator, type BusEmulatorOptions, busFaults } from '../ina2xx/bus-emulator.ts';
import type { EmulatedType } from '../ina2xx/emulated-chip.ts';
import { Ina228Model } from './chip-model.ts';
import { ina228Register, ina228Width } from './spec.ts';

export const ina228Faults: FaultCatalogue = {
  ...busFaults,
  wrap: 'ENERGY and CHARGE stand just below where they wrap',
  'clear-accumulators': 'another program sets ENERGY and CHARGE to zero',
  'math-overflow': 'says from now on that its arithmetic overflowed (MATHOF)',
  'bad-memory': 'says that its calibration memory fails its checksum (MEMSTAT)',
};

const MATH_OVERFLOW = 0x0200;
const MEMORY_IS_GOOD = 0x0001;

/** An INA228 as its emulators play it. */
export const emulatedIna228: EmulatedType<Ina228Model> = {
  family: 'ina228',
  die: 0x2281,
  makeModel: (options, now_s) => new Ina228Model(options, now_s),
  registers: {
    manufacturer: ina228Register.manufacturer,
    die: ina228Register.die,
    ready: ina228Register.diagnostics,
  },
  readyMask: 0x0002,
  widthOf: (register) => ina228Width[register] ?? 2,
  configuration: [ina228Register.configuration, ina228Register.adcConfiguration],
  slow_rel: 0.004,
  bridge: { model: 0x28, codeBytes: 4 },
};

/** INA228 chips on an I2C bus, seen from the host. */
export class Ina228Emulator extends BusEmulator<Ina228Model> {
  constructor(options: BusEmulatorOptions) {
    super(emulatedIna228, ina228Faults, options);
  }

  override inject(fault: string): void {
    const { name } = parseFault(fault, ina228Faults);
    const chips = [...this.chips.values()];
    if (name === 'wrap') for (const chip of chips) chip.fillAccumulators(this.now_s());
    else if (name === 'clear-accumulators') for (const chip of chips) chip.clearAccumulators();
    else super.inject(fault);
  }

  protected override shown(register: number, value: number): number {
    let shown = super.shown(register, value);
    if (register !== ina228Register.diagnostics) return shown;
    if (this.faults.has('math-overflow')) shown |= MATH_OVERFLOW;
    if (this.faults.has('bad-memory')) shown &= ~MEMORY_IS_GOOD;
    return shown;
  }
}

/** An INB1 bridge with INA228 chips, seen from its serial port. */
export class Ina228BridgeEmulator extends BridgeEmulator {
  constructor(port: ByteStream, options: BridgeEmulatorOptions) {
    super(emulatedIna228, port, options);
  }
}
