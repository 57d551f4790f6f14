import { afterEach, describe, expect, it } from 'vitest';
import { Js110Emulator } from '../../../src/instruments/js110/index.ts';
import { SineSignal, SteppedSignal } from '../../../src/instruments/signals.ts';
import type { SignalSource } from '../../../src/signal/signal-source.ts';
import { realTime, wait } from '../../../src/transport/time.ts';
import { serveUsbip, type UsbipServer } from '../../../src/transport/usbip-server.ts';
import { noUsbBus, UsbBedClient } from '../../support/usbip/testbed.ts';

describe.skipIf(noUsbBus !== null)(`a JS110 on an emulated bus${noUsbBus ? ` (skipped: ${noUsbBus})` : ''}`, () => {
  let server: UsbipServer | null = null;
  let client: UsbBedClient | null = null;
  let emulator: Js110Emulator | null = null;

  afterEach(async () => {
    await client?.end();
    emulator?.stop();
    await server?.close();
  });

  async function measure(source: SignalSource, seconds: number, inputs: string[] = []) {
    emulator = new Js110Emulator({ source, time: realTime, inputs });
    server = await serveUsbip(emulator, { port: 0 });
    client = new UsbBedClient(server.port, 'js110.mjs', [String(seconds), ...inputs]);
    return { emulator, client };
  }

  it('delivers every sample through libusb, with edges at the exact sample', async () => {
    const pulses = [{ channel: 'trigger', start_s: 0.5, period_s: 0.05, width_s: 0.01 }];
    const source = new SteppedSignal([{ current_A: 0.01, duration_s: 1 }], { voltage_V: 3, pulses });
    const { emulator, client } = await measure(source, 2, ['trigger']);
    const { result } = await client.reply();
    expect(result.identity).toMatchObject({ serial: 'SIM-JS110-0001', simulated: true });
    // A busy machine may starve the emulator itself, which then loses frames and says so.
    expect(result.missing).toBeLessThanOrEqual(126 * emulator.lostFrames);
    expect(result.unknownGaps).toBe(0);
    expect(result.samples + result.missing).toBeGreaterThan(1_000_000);
    expect(result.charge_C / (result.samples * 0.5e-6) / 0.01).toBeCloseTo(1, 3);
    if (emulator.lostFrames > 0) return;
    const first_s = emulator.firstSample_s!;
    const ticks = result.edges.map(([tick]: [number, string]) => tick);
    for (const [tick, polarity] of result.edges as [number, string][]) {
      const phase_s = (((first_s + (tick + 0.5) * 0.5e-6 - (polarity === 'rise' ? 0.5 : 0.51)) % 0.05) + 0.05) % 0.05;
      // The first sample at or after the edge.
      expect(Math.min(phase_s, Math.abs(0.05 - phase_s))).toBeLessThan(0.5e-6);
    }
    expect(ticks.length).toBeGreaterThan(20);
  });

  it('ends within 2 s with a typed error when it is unplugged', async () => {
    const source = new SineSignal({ offset_A: 0.01, amplitude_A: 0.005, frequency_Hz: 50 }, { voltage_V: 3 });
    const { emulator, client } = await measure(source, 30);
    while (emulator.firstSample_s === null) await wait(realTime, 20);
    await wait(realTime, 300);
    emulator.inject('unplug');
    const start_ns = realTime.now_ns();
    const { result } = await client.reply();
    expect(result.failure).toMatchObject({ code: 'device.vanished' });
    expect(result.unknownGaps).toBe(1);
    expect(realTime.now_ns() - start_ns).toBeLessThan(4e9);
  });
});
