import { realTime, type TimeSource } from '../transport/time.ts';
import type { UsbDevice } from '../transport/usb.ts';
import { udevRule } from '../transport/usb-errors.ts';
import { listUsb, openUsb } from '../transport/usb-libusb.ts';
import { memoryUsb } from '../transport/usb-memory.ts';
import type { UsbModel } from '../transport/usb-model.ts';
import { serveUsbip } from '../transport/usbip-server.ts';
import type { Emulator, EmulatorOptions } from './emulator.ts';
import type { EmulatedInstrument, FoundDevice, InstrumentFamily } from './family.ts';
import type { PowerInstrument } from './power-instrument.ts';

interface UsbFamily {
  id: string;
  usb: { vendorId: number; productId: number };
  drive(usb: UsbDevice, options: { time?: TimeSource }): PowerInstrument<never>;
  play(options: EmulatorOptions): Emulator & UsbModel;
}

/** What all families on USB have in common: finding, connecting, emulating in memory and over USB/IP. */
export function overUsb(family: UsbFamily): Pick<InstrumentFamily, 'emulate' | 'serve' | 'find' | 'connect'> {
  const { vendorId, productId } = family.usb;
  return {
    emulate(options): EmulatedInstrument {
      const emulator = family.play(options);
      return {
        emulator,
        instrument: family.drive(memoryUsb(emulator, options.time, options.delay_ms), { time: options.time }),
      };
    },
    async serve(options) {
      const emulator = family.play(options);
      const server = await serveUsbip(emulator);
      return {
        emulator,
        address: `usbip attach -r ${server.host} -b ${server.busId} (port ${server.port})`,
        close: async () => {
          emulator.stop();
          await server.close();
        },
      };
    },
    async find(): Promise<FoundDevice[]> {
      return (await listUsb([family.usb])).map(({ serial, bus, address, isDenied }) => ({
        family: family.id,
        connection: serial ?? 'auto',
        serial,
        obstacle: isDenied
          ? `no permission to open USB device ${bus}:${address}: ${udevRule(vendorId, productId)}`
          : null,
      }));
    },
    async connect(connection) {
      const usb = await openUsb({ vendorId, productId, ...(connection !== 'auto' && { serial: connection }) });
      return family.drive(usb, { time: realTime });
    },
  };
}
