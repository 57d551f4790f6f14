import { afterEach, describe, expect, it } from 'vitest';
import { MonsoonEmulator } from '../../../src/instruments/monsoon/index.ts';
import { SteppedSignal } from '../../../src/instruments/signals.ts';
import { realTime, wait } from '../../../src/transport/time.ts';
import { serveUsbip, type UsbipServer } from '../../../src/transport/usbip-server.ts';
import { noUsbBus, UsbBedClient } from '../../support/usbip/testbed.ts';

describe.skipIf(noUsbBus !== null)(`a Monsoon on an emulated bus${noUsbBus ? ` (skipped: ${noUsbBus})` : ''}`, () => {
  let server: UsbipServer | null = null;
  let client: UsbBedClient | null = null;
  let emulator: MonsoonEmulator | null = null;

  afterEach(async () => {
    await client?.end();
    emulator?.stop();
    await server?.close();
  });

  async function measure(seconds: number) {
    const source = new SteppedSignal([{ current_A: 0.01, duration_s: 1 }], { voltage_V: 3.3 });
    emulator = new MonsoonEmulator({ source, time: realTime });
    server = await serveUsbip(emulator, { port: 0 });
    client = new UsbBedClient(server.port, 'monsoon.mjs', [String(seconds)]);
    return { emulator, client };
  }

  it('delivers every sample through libusb, and the supply is off at the end', async () => {
    const { emulator, client } = await measure(2);
    const { result } = await client.reply();
    expect(result.identity).toMatchObject({ serial: 'SIM-HVPM-0001', simulated: true });
    expect(result.failure).toBeNull();
    // The calibrations at the start, and one pair every 1.25 s. (A busy machine may make the emulator drop samples.)
    expect(result.gaps.filter(([, cause]: [number, string]) => cause !== 'dropped')).toEqual([
      [12, 'invalid'],
      [2, 'invalid'],
    ]);
    expect(result.samples).toBeGreaterThan(9000);
    expect(result.charge_C / (result.samples * 200e-6) / 0.01).toBeCloseTo(1, 3);
    expect(emulator.output_V).toBe(0);
  });

  it('ends within 2 s with a typed error when it is unplugged', async () => {
    const { emulator, client } = await measure(30);
    while (emulator.firstSample_s === null) await wait(realTime, 20);
    await wait(realTime, 300);
    emulator.inject('unplug');
    const start_ns = realTime.now_ns();
    const { result } = await client.reply();
    expect(result.failure).toMatchObject({ code: 'device.vanished' });
    expect(result.gaps.at(-1)).toEqual([null, 'unplugged']);
    expect(realTime.now_ns() - start_ns).toBeLessThan(4e9);
  });
});
