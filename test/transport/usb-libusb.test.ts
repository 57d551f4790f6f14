import { afterEach, describe, expect, it } from 'vitest';
import { listUsb, openUsb } from '../../src/transport/usb-libusb.ts';
import { serveUsbip, type UsbipServer } from '../../src/transport/usbip-server.ts';
import { UsbCounter } from '../support/usb-counter.ts';
import { noUsbBus, UsbBedClient } from '../support/usbip/testbed.ts';

const ids = { vendorId: 0x1209, productId: 1 };

describe('USB without a device', () => {
  it('says how to install the package where it is missing', async () => {
    const missing = () => Promise.reject(new Error('Cannot find package'));
    await expect(openUsb(ids, missing)).rejects.toMatchObject({
      code: 'dependency.missing',
      remedy: 'install it with: npm install usb',
    });
    await expect(listUsb([ids], missing)).rejects.toMatchObject({ code: 'dependency.missing' });
  });

  const fakeUsb = (device: object) => async () =>
    ({
      usb: { on: () => {}, off: () => {}, unrefHotplugEvents: () => {} },
      getDeviceList: () => [
        {
          deviceDescriptor: { idVendor: 0x16d0, idProduct: 0x0e88, iSerialNumber: 3 },
          busNumber: 250,
          deviceAddress: 250,
          close: () => {},
          getStringDescriptor: (_index: number, done: (error: undefined, text: string) => void) =>
            done(undefined, '000042'),
          ...device,
        },
      ],
    }) as never;
  const failing = (message: string) => () => {
    throw new Error(message);
  };
  const js110 = { vendorId: 0x16d0, productId: 0x0e88 };

  it('names the udev rule where permission is missing', async () => {
    const loader = fakeUsb({ open: failing('LIBUSB_ERROR_ACCESS') });
    await expect(openUsb(js110, loader)).rejects.toMatchObject({
      code: 'device.permission',
      where: '16d0:0e88',
      remedy: expect.stringContaining(
        'SUBSYSTEM=="usb", ATTR{idVendor}=="16d0", ATTR{idProduct}=="0e88", TAG+="uaccess"',
      ),
    });
    expect(await listUsb([js110], loader)).toMatchObject([{ ...js110, isDenied: true, serial: null }]);
  });

  it('says that another program uses it', async () => {
    const claimed = { isKernelDriverActive: () => false, claim: failing('LIBUSB_ERROR_BUSY') };
    const loader = fakeUsb({ open: () => {}, interface: () => claimed });
    await expect(openUsb(js110, loader)).rejects.toMatchObject({ code: 'device.busy' });
  });

  it('says that there is none, or none with that serial number', async () => {
    const loader = fakeUsb({ open: () => {} });
    await expect(openUsb(ids, loader)).rejects.toMatchObject({ code: 'device.missing', where: '1209:0001' });
    await expect(openUsb({ ...js110, serial: '000043' }, loader)).rejects.toMatchObject({
      code: 'device.missing',
      where: '16d0:0e88 000043',
    });
  });
});

describe.skipIf(noUsbBus !== null)(`libusb on an emulated bus${noUsbBus ? ` (skipped: ${noUsbBus})` : ''}`, () => {
  let server: UsbipServer | null = null;
  let client: UsbBedClient | null = null;

  afterEach(async () => {
    await client?.end();
    await server?.close();
  });

  async function plugIn(): Promise<{ model: UsbCounter; client: UsbBedClient; server: UsbipServer }> {
    const model = new UsbCounter();
    server = await serveUsbip(model, { port: 0 });
    client = new UsbBedClient(server.port, 'client.mjs', ['0x1209', '1']);
    return { model, client, server };
  }

  it('lists, opens, transfers, streams and closes', async () => {
    const { model, client } = await plugIn();
    expect(await client.ask('list')).toEqual({
      result: [{ ...ids, bus: 1, address: 2, serial: 'SIM-COUNTER-1', isDenied: false }],
    });
    expect(await client.ask('open')).toEqual({
      result: { name: '1209:0001 SIM-COUNTER-1 (bus 1, address 2)', serial: 'SIM-COUNTER-1' },
    });
    await client.ask('out', 1, '0102030405');
    expect(await client.ask('in', 1, 4)).toEqual({ result: '01020304' });
    expect(await client.ask('in', 7, 4)).toMatchObject({ error: { code: 'device.refused' } });
    expect(await client.ask('silent')).toMatchObject({ error: { code: 'device.silent' } });
    await client.ask('bulkOut', '0a0b0c');
    expect(await client.ask('bulkIn', 64)).toEqual({ result: '0a0b0c' });
    expect(await client.ask('bulkIn', 64)).toMatchObject({ error: { code: 'device.silent' } });

    await client.ask('stream', 8, 16_384);
    for (let left = 100 * 64; left > 0; left -= model.emit(left))
      await new Promise((resolve) => setTimeout(resolve, 1));
    let progress = { received: 0, wrong: 0 };
    for (let tries = 0; progress.received < 100 * 64 * 512 && tries < 100; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      progress = (await client.ask('count')).result;
    }
    expect(await client.ask('stop')).toEqual({ result: { received: 100 * 64 * 512, wrong: 0 } });
    expect(await client.ask('close')).toEqual({ result: 'ok' });
    expect(await client.ask('in', 1, 4)).toMatchObject({ error: { code: 'transport.closed' } });
  });

  it('ends everything with a typed error when it is unplugged in the middle of a stream', async () => {
    const { model, client } = await plugIn();
    await client.ask('open');
    await client.ask('stream', 4, 4096);
    model.emit(64);
    const asking = client.ask('silent');
    model.unplug();
    const { error } = await asking;
    expect(error.code).toMatch(/^device\.(vanished|transfer|silent)$/);
    for (let tries = 0; client.notices.length === 0 && tries < 100; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(client.notices).toEqual([{ closed: 'lost', code: 'device.vanished' }]);
    expect(await client.ask('in', 1, 4)).toMatchObject({ error: { code: 'device.vanished' } });
    expect(await client.ask('close')).toEqual({ result: 'ok' });
  });

  it('opens only the serial number that is asked for', async () => {
    const { client } = await plugIn();
    expect(await client.ask('open', 'SIM-COUNTER-2')).toMatchObject({ error: { code: 'device.missing' } });
    expect(await client.ask('open', 'SIM-COUNTER-1')).toMatchObject({ result: { serial: 'SIM-COUNTER-1' } });
  });

  it('is served to one host at a time', async () => {
    const { client, server } = await plugIn();
    await client.ask('open');
    const second = new UsbBedClient(server.port, 'client.mjs', ['0x1209', '1']);
    expect(await second.exited).toBe(1);
  });
});
