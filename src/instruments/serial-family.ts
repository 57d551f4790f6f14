import { accessObstacle } from '../transport/access.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import { listSerial, openSerial, type SerialPortInfo } from '../transport/serial.ts';
import type { TimeSource } from '../transport/time.ts';
import type { Emulator, EmulatorOptions } from './emulator.ts';
import { emulatedWire } from './emulator-parts.ts';
import type { EmulatedInstrument, FoundDevice, InstrumentFamily } from './family.ts';
import type { PowerInstrument } from './power-instrument.ts';
import { servedOnPty } from './serve-pty.ts';

interface SerialFamily {
  id: string;
  usb: { vendorId: number; productId: number };
  baudRate: number;
  drive(port: ByteStream, options: { time?: TimeSource; serial?: string | null }): PowerInstrument<never>;
  play(port: ByteStream, options: EmulatorOptions): Emulator;
}

/** What all families on a serial port have in common: finding, connecting, emulating in memory and on a PTY. */
export function overSerial(family: SerialFamily): Pick<InstrumentFamily, 'emulate' | 'serve' | 'find' | 'connect'> {
  const ports = async () => instrumentPorts(family.usb, await listSerial());
  return {
    emulate(options): EmulatedInstrument {
      const [host, device] = emulatedWire(family.id, options);
      const emulator = family.play(device, options);
      return { emulator, instrument: family.drive(host, { time: options.time, serial: emulator.serial }) };
    },
    serve: (options) => servedOnPty((device) => family.play(device, options)),
    async find(): Promise<FoundDevice[]> {
      return (await ports()).map(({ path, serial }) => ({
        family: family.id,
        connection: path,
        serial,
        obstacle: accessObstacle(path),
      }));
    },
    async connect(connection) {
      const known = (await ports().catch(() => [])).find((port) => port.path === connection);
      const port = await openSerial(connection, { baudRate: family.baudRate });
      return family.drive(port, { serial: known?.serial ?? null });
    },
  };
}

/**
 * The ports among `ports` that belong to instruments with these USB ids, one an instrument: a PPK2 has two, of which the
 * first (the lowest USB interface) carries the samples.
 */
export function instrumentPorts(
  usb: { vendorId: number; productId: number },
  ports: readonly SerialPortInfo[],
): SerialPortInfo[] {
  const own = ports.filter((port) => port.vendorId === usb.vendorId && port.productId === usb.productId);
  const order = (port: SerialPortInfo) => port.usbInterface ?? Number.POSITIVE_INFINITY;
  own.sort((a, b) => order(a) - order(b) || a.path.localeCompare(b.path, 'en', { numeric: true }));
  const seen = new Set<string>();
  return own.filter((port) => {
    if (port.serial === null) return true;
    if (seen.has(port.serial)) return false;
    seen.add(port.serial);
    return true;
  });
}
