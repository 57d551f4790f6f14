import { describe, expect, it } from 'vitest';
import { openFailure } from '../../src/transport/errors.ts';
import { openPty } from '../../src/transport/pty.ts';
import { listSerial, openSerial } from '../../src/transport/serial.ts';
import { noPty } from '../support/pty.ts';

const missing = () => Promise.reject(new Error("Cannot find package 'serialport'"));

describe('serial ports without the serialport package', () => {
  it('say which package is missing and how to install it', async () => {
    const expected = {
      code: 'dependency.missing',
      where: 'serialport',
      remedy: expect.stringContaining('npm install'),
    };
    await expect(openSerial('/dev/ttyACM0', { baudRate: 9600 }, missing)).rejects.toMatchObject(expected);
    await expect(listSerial(missing)).rejects.toMatchObject(expected);
  });
});

describe('the answer of the operating system', () => {
  it.each([
    ['Error: No such file or directory, cannot open /dev/ttyACM0', 'device.missing'],
    ['Error: Permission denied, cannot open /dev/ttyACM0', 'device.permission'],
    ['Error: Resource temporarily unavailable Cannot lock port', 'device.busy'],
    ['Error: Device or resource busy, cannot open /dev/ttyACM0', 'device.busy'],
    ['Error: Something else', 'device.open'],
  ])('%s is %s', (message, code) => {
    expect(openFailure('/dev/ttyACM0', new Error(message))).toMatchObject({ code, where: '/dev/ttyACM0' });
  });
});

describe.skipIf(noPty !== null)(`a serial port on a PTY${noPty ? ` (skipped: ${noPty})` : ''}`, () => {
  const open = async () => {
    const pty = await openPty();
    return { pty, port: await openSerial(pty.path, { baudRate: 115200, signals: { dtr: true } }) };
  };

  it('carries every byte unchanged both ways, also CR, LF, 0 and control characters', { retry: 3 }, async () => {
    const { pty, port } = await open();
    const all = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 7) & 255);
    const collect = (stream: typeof pty.device) =>
      new Promise<Uint8Array>((resolve) => {
        const got = new Uint8Array(all.length);
        let n = 0;
        stream.onData((chunk) => {
          got.set(chunk, n);
          n += chunk.length;
          if (n === all.length) resolve(got);
        });
      });
    const [toHost, toDevice] = [collect(port), collect(pty.device)];
    await pty.device.write(all);
    expect(await toHost).toEqual(all);
    await port.write(all);
    expect(await toDevice).toEqual(all);
    await port.close();
    await pty.device.close();
    expect(await port.closed).toEqual({ kind: 'closed' });
  });

  it('is lost when the device vanishes, and a write after that rejects at once', async () => {
    const { pty, port } = await open();
    port.onData(() => {});
    await pty.device.close();
    expect(await port.closed).toMatchObject({ kind: 'lost', error: { code: 'device.vanished' } });
    await expect(port.write(Uint8Array.of(1))).rejects.toMatchObject({ code: 'device.vanished' });
    await port.close();
  });

  it('is lost when the device vanishes while data flows', async () => {
    const { pty, port } = await open();
    let received = 0;
    port.onData((chunk) => {
      received += chunk.length;
    });
    const flow = (async () => {
      for (;;) await pty.device.write(new Uint8Array(4096));
    })().catch((error) => error.code);
    while (received < 100_000) await new Promise((resolve) => setTimeout(resolve, 1));
    await pty.device.close();
    expect(await flow).toBe('transport.closed');
    const start = performance.now();
    expect(await port.closed).toMatchObject({ kind: 'lost', error: { code: 'device.vanished' } });
    expect(performance.now() - start).toBeLessThan(2000);
  });

  it('can be opened once at a time', async () => {
    const { pty, port } = await open();
    await expect(openSerial(pty.path, { baudRate: 9600 })).rejects.toMatchObject({ code: 'device.busy' });
    await port.close();
    const again = await openSerial(pty.path, { baudRate: 9600 });
    await again.close();
    await pty.device.close();
  });

  it('of a device that reads nothing: writing rejects within seconds', async () => {
    const { pty, port } = await open();
    await expect(port.write(new Uint8Array(1 << 20))).rejects.toMatchObject({ code: 'device.stalled' });
    await pty.device.close();
    await port.close();
  });

  it('that does not exist is missing', async () => {
    await expect(openSerial('/dev/there-is-no-such-port', { baudRate: 9600 })).rejects.toMatchObject({
      code: 'device.missing',
    });
  });

  it('listing gives USB ids as numbers or null', async () => {
    for (const port of await listSerial()) {
      expect(port.vendorId === null || Number.isInteger(port.vendorId)).toBe(true);
    }
  });
});
