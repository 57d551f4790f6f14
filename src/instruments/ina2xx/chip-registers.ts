import { DeviceError } from '../../signal/errors.ts';
import { stalled } from '../../transport/errors.ts';
import type { I2cBus } from '../../transport/i2c.ts';
import { type TimeSource, within } from '../../transport/time.ts';

/** No transfer may take longer. */
const TRANSFER_LIMIT_MS = 500;

/** The registers of one chip on a bus, most significant byte first. Transfers are bounded in time. */
export class ChipRegisters {
  readonly #bus: I2cBus;
  readonly #address: number;
  readonly #time: TimeSource;

  constructor(bus: I2cBus, address: number, time: TimeSource) {
    this.#bus = bus;
    this.#address = address;
    this.#time = time;
  }

  /** For messages. */
  get where(): string {
    return `${this.#bus.name}, address 0x${this.#address.toString(16)}`;
  }

  now_ns(): number {
    return this.#time.now_ns();
  }

  /**
   * The unsigned number in a register of `length` bytes (at most 6).
   * @throws DeviceError `device.silent`, `device.stalled`, `device.busy`, or `device.protocol` where bytes are missing
   */
  async read(register: number, length = 2): Promise<number> {
    const bytes = await this.#bounded(this.#bus.readRegister(this.#address, register, length));
    const value = unsignedOf(bytes, length);
    if (value !== null) return value;
    throw new DeviceError('device.protocol', {
      where: this.where,
      problem: `register ${hex16(register)} gave ${bytes.length} bytes, not ${length}`,
      remedy: 'check the wiring of the bus',
    });
  }

  /** Writes a register of 16 bits. @throws DeviceError as read() */
  write(register: number, value: number): Promise<void> {
    const bytes = Uint8Array.of((value >> 8) & 0xff, value & 0xff);
    return this.#bounded(this.#bus.writeRegister(this.#address, register, bytes));
  }

  #bounded<T>(work: Promise<T>): Promise<T> {
    return within(this.#time, TRANSFER_LIMIT_MS, work, () => stalled(this.#bus.name, 'a transfer'));
  }
}

/** The unsigned number of the first `length` bytes, most significant first; null where there are fewer. */
export function unsignedOf(bytes: Uint8Array, length: number): number | null {
  if (bytes.length < length) return null;
  let value = 0;
  // Not by shifts: 40 bits do not fit into them.
  for (let k = 0; k < length; k++) value = value * 256 + bytes[k]!;
  return value;
}

export const hex16 = (word: number): string => `0x${word.toString(16).padStart(4, '0')}`;
