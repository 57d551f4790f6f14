import { describe, expect, it } from 'vitest';
import { openI2c } from '../../src/transport/i2c-dev.ts';

/** The package i2c-bus, with one chip at 0x40 whose registers are words as SMBus has them (low byte first). */
function fakeModule(failure?: string) {
  const words = new Map<number, number>();
  const fail = () => Object.assign(new Error(`${failure}: failed`), { code: failure });
  const bus = {
    readWord: async (address: number, register: number) => {
      if (failure) throw fail();
      if (address !== 0x40) throw Object.assign(new Error('ENXIO'), { code: 'ENXIO' });
      return words.get(register) ?? 0;
    },
    writeWord: async (_address: number, register: number, word: number) => void words.set(register, word),
    readI2cBlock: async (_address: number, register: number, length: number, buffer: Buffer) => {
      for (let k = 0; k < length; k++) buffer[k] = register + k;
      return { bytesRead: length };
    },
    writeI2cBlock: async () => undefined,
    close: async () => {},
  };
  const opened: number[] = [];
  const loader = async () => ({
    openPromisified: async (busNumber: number) => {
      opened.push(busNumber);
      return bus;
    },
  });
  return { loader, words, opened };
}

describe('an I2C bus of Linux', () => {
  it('hides that SMBus words are the low byte first', async () => {
    const { loader, words, opened } = fakeModule();
    const bus = await openI2c('/dev/i2c-7', loader);
    expect(opened).toEqual([7]);
    await bus.writeRegister(0x40, 0, Uint8Array.of(0x41, 0x27));
    expect(words.get(0)).toBe(0x2741);
    expect([...(await bus.readRegister(0x40, 0, 2))]).toEqual([0x41, 0x27]);
    expect([...(await bus.readRegister(0x40, 5, 3))]).toEqual([5, 6, 7]);
  });

  it.each([
    ['EBUSY', 'device.busy'],
    ['ENXIO', 'device.silent'],
    ['EREMOTEIO', 'device.silent'],
    ['EACCES', 'device.permission'],
  ])('turns %s into %s', async (failure, code) => {
    const bus = await openI2c('/dev/i2c-1', fakeModule(failure).loader);
    await expect(bus.readRegister(0x40, 0, 2)).rejects.toMatchObject({
      code,
      where: expect.stringContaining('/dev/i2c-1, address 0x40'),
    });
  });

  it('says what is missing, not allowed or no bus', async () => {
    const failing = (error: Error) => async () => ({ openPromisified: () => Promise.reject(error) });
    await expect(openI2c('/dev/i2c-1', () => Promise.reject(new Error('no bindings')))).rejects.toMatchObject({
      code: 'dependency.missing',
      remedy: 'install it with: npm install i2c-bus',
    });
    await expect(openI2c('/dev/i2c-1', failing(new Error('EACCES: permission denied')))).rejects.toMatchObject({
      code: 'device.permission',
      remedy: expect.stringContaining('group i2c'),
    });
    await expect(openI2c('/dev/i2c-9', failing(new Error('ENOENT: no such file')))).rejects.toMatchObject({
      code: 'device.missing',
    });
    await expect(openI2c('/dev/ttyUSB0')).rejects.toMatchObject({ code: 'device.missing' });
  });

  it('refuses everything after close()', async () => {
    const bus = await openI2c('/dev/i2c-1', fakeModule().loader);
    await bus.close();
    await bus.close();
    await expect(bus.readRegister(0x40, 0, 2)).rejects.toMatchObject({ code: 'transport.closed' });
  });
});
