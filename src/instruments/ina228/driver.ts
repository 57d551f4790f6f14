import type { ByteStream } from '../../transport/byte-stream.ts';
import type { I2cBus } from '../../transport/i2c.ts';
import { type BridgeOptions, ChipsBehindBridge } from '../ina2xx/bridge-driver.ts';
import { type BusOptions, ChipsOnBus } from '../ina2xx/bus-driver.ts';
import { ina228Chip } from './chip.ts';
import type { Ina228Settings } from './settings.ts';

/** INA228 chips on an I2C bus. */
export class Ina228 extends ChipsOnBus<Ina228Settings> {
  constructor(bus: I2cBus, options: BusOptions = {}) {
    super(ina228Chip, bus, options);
  }
}

/** INA228 chips behind an INB1 bridge on a serial port. */
export class Ina228Bridge extends ChipsBehindBridge<Ina228Settings> {
  constructor(port: ByteStream, options: BridgeOptions = {}) {
    super(ina228Chip, port, options);
  }
}
