import { DeviceError } from '../signal/errors.ts';
import { alreadyClosed, missingModule, openFailure, silent } from './errors.ts';
import type { I2cBus } from './i2c.ts';

/** What is used of the optional package i2c-bus. */
interface OpenedBus {
  readWord(address: number, register: number): Promise<number>;
  writeWord(address: number, register: number, word: number): Promise<void>;
  readI2cBlock(address: number, register: number, length: number, buffer: Buffer): Promise<{ bytesRead: number }>;
  writeI2cBlock(address: number, register: number, length: number, buffer: Buffer): Promise<unknown>;
  close(): Promise<void>;
}
interface I2cModule {
  openPromisified(busNumber: number): Promise<OpenedBus>;
}
type LoadI2c = () => Promise<I2cModule>;

// The package has no types; its CommonJS exports are the default.
const loadI2c: LoadI2c = async () => {
  const name = 'i2c-bus';
  const module = (await import(name)) as { default: I2cModule };
  return module.default;
};

/**
 * Opens an I2C bus of Linux, e.g. `/dev/i2c-1`.
 * @throws DeviceError `device.missing`, `device.permission`, `device.open` or `dependency.missing`
 */
export async function openI2c(path: string, loader: LoadI2c = loadI2c): Promise<I2cBus> {
  const [, number] = /i2c-(\d+)$/.exec(path) ?? [];
  if (number === undefined) throw openFailure(path, new Error('no such bus: the path ends in i2c- and a number'));
  let module: I2cModule;
  try {
    module = await loader();
  } catch (cause) {
    throw missingModule('i2c-bus', 'chips on an I2C bus', cause);
  }
  try {
    return new I2cDev(path, await module.openPromisified(Number(number)));
  } catch (cause) {
    const failure = openFailure(path, cause);
    if (failure.code !== 'device.permission') throw failure;
    throw new DeviceError(failure.code, {
      where: path,
      problem: 'no permission to open the bus',
      remedy: 'add yourself to the group i2c (sudo usermod -aG i2c $USER) and log in again',
      cause,
    });
  }
}

class I2cDev implements I2cBus {
  readonly name: string;
  readonly #bus: OpenedBus;
  #isClosed = false;

  constructor(name: string, bus: OpenedBus) {
    this.name = name;
    this.#bus = bus;
  }

  async readRegister(address: number, register: number, length: number): Promise<Uint8Array> {
    return this.#carryOut(address, async () => {
      if (length === 2) {
        // An SMBus word is the low byte first; every adapter can read one, which is not true of blocks.
        const word = await this.#bus.readWord(address, register);
        return Uint8Array.of(word & 0xff, word >> 8);
      }
      const buffer = Buffer.alloc(length);
      const { bytesRead } = await this.#bus.readI2cBlock(address, register, length, buffer);
      return new Uint8Array(buffer.subarray(0, bytesRead));
    });
  }

  async writeRegister(address: number, register: number, bytes: Uint8Array): Promise<void> {
    await this.#carryOut<unknown>(address, () =>
      bytes.length === 2
        ? this.#bus.writeWord(address, register, bytes[0]! | (bytes[1]! << 8))
        : this.#bus.writeI2cBlock(address, register, bytes.length, Buffer.from(bytes)),
    );
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#bus.close().catch(() => {});
  }

  async #carryOut<T>(address: number, work: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw alreadyClosed(this.name);
    try {
      return await work();
    } catch (cause) {
      throw this.#failure(address, cause);
    }
  }

  #failure(address: number, cause: unknown): DeviceError {
    const where = `${this.name}, address 0x${address.toString(16)}`;
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    if (code === 'EBUSY') {
      return new DeviceError('device.busy', {
        where,
        problem: 'a driver of the kernel owns this address',
        remedy: 'measure through that driver (backend hwmon or iio), or unbind it',
        cause,
      });
    }
    if (/^(ENXIO|EREMOTEIO|ETIMEDOUT|ENODEV|EIO)$/.test(code)) return silent(where, 'a transfer', 0);
    return openFailure(where, cause);
  }
}
