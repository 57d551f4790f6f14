import type { ByteStream } from '../../transport/byte-stream.ts';
import type { I2cBus } from '../../transport/i2c.ts';
import { type BridgeOptions, ChipsBehindBridge } from '../ina2xx/bridge-driver.ts';
import { type BusOptions, ChipsOnBus } from '../ina2xx/bus-driver.ts';
import { ina226Chip } from './chip.ts';
import type { Ina226Settings } from './settings.ts';

/** INA226 chips on an I2C bus. */
export class Ina226 extends ChipsOnBus<Ina226Settings> {
  constructor(bus: I2cBus, options: BusOptions = {}) {
    super(ina226Chip, bus, options);
  }
}

/** INA226 chips behind an INB1 bridge on a serial port. */
export class Ina226Bridge extends ChipsBehindBridge<Ina226Settings> {
  constructor(port: ByteStream, options: BridgeOptions = {}) {
    super(ina226Chip, port, options);
  }
}
