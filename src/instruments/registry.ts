import type { z } from 'zod';
import type { ByteStream } from '../transport/byte-stream.ts';
import type { SerialPortInfo } from '../transport/serial.ts';
import type { TimeSource } from '../transport/time.ts';
import type { Emulator, EmulatorOptions, FaultCatalogue } from './emulator.ts';
import {
  Lpm01a,
  Lpm01aEmulator,
  lpm01aBaudRate,
  lpm01aFaults,
  lpm01aSettingsSchema,
  lpm01aUsb,
} from './lpm01a/index.ts';
import type { CommonSettings, PowerInstrument } from './power-instrument.ts';
import { Ppk2, Ppk2Emulator, ppk2BaudRate, ppk2Faults, ppk2SettingsSchema, ppk2Usb } from './ppk2/index.ts';

/** A family of instruments behind a serial port, with all that is needed to find, drive and emulate one. */
export interface SerialFamily {
  /** Name of its folder, and what a rig file calls it. */
  family: string;
  transport: 'serial';
  usb: { vendorId: number; productId: number };
  baudRate: number;
  /** What a rig file may say under `settings`. */
  settingsSchema: z.ZodType<CommonSettings>;
  faults: FaultCatalogue;
  /** `serial` is the USB serial number of the port, or null where it has none. */
  createDriver(port: ByteStream, options: { serial: string | null; time?: TimeSource }): PowerInstrument<never>;
  /** `port` is the device's side of a connection. */
  createEmulator(port: ByteStream, options: EmulatorOptions): Emulator;
}

export const serialFamilies: readonly SerialFamily[] = [
  {
    family: 'ppk2',
    transport: 'serial',
    usb: ppk2Usb,
    baudRate: ppk2BaudRate,
    settingsSchema: ppk2SettingsSchema,
    faults: ppk2Faults,
    createDriver: (port, options) => new Ppk2(port, options),
    createEmulator: (port, options) => new Ppk2Emulator(port, options),
  },
  {
    family: 'lpm01a',
    transport: 'serial',
    usb: lpm01aUsb,
    baudRate: lpm01aBaudRate,
    settingsSchema: lpm01aSettingsSchema,
    faults: lpm01aFaults,
    createDriver: (port, { time }) => new Lpm01a(port, { time }),
    createEmulator: (port, options) => new Lpm01aEmulator(port, options),
  },
];

/**
 * The ports among `ports` that belong to instruments of a family, one an instrument: a PPK2 has two, of which the first
 * (the lowest USB interface) carries the samples.
 */
export function instrumentPorts(family: SerialFamily, ports: readonly SerialPortInfo[]): SerialPortInfo[] {
  const own = ports.filter((port) => port.vendorId === family.usb.vendorId && port.productId === family.usb.productId);
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
