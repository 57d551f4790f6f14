import { existsSync, readdirSync } from 'node:fs';
import { UsageError } from '../../signal/errors.ts';
import { accessObstacle } from '../../transport/access.ts';
import type { ByteStream } from '../../transport/byte-stream.ts';
import type { I2cBus } from '../../transport/i2c.ts';
import { openI2c } from '../../transport/i2c-dev.ts';
import { openSerial } from '../../transport/serial.ts';
import type { EmulatorOptions } from '../emulator.ts';
import type { FoundDevice, InstrumentFamily } from '../family.ts';
import type { PowerInstrument } from '../power-instrument.ts';
import { servedOnPty } from '../serve-pty.ts';
import type { BridgeEmulator } from './bridge-emulator.ts';
import type { BusOptions } from './bus-driver.ts';
import type { BusEmulator, BusEmulatorOptions } from './bus-emulator.ts';
import type { ChipModel } from './emulated-chip.ts';

/** Any, if the bridge is USB; the sketch's own, if it is not. */
const BRIDGE_BAUD = 921_600;
/** The chip that an emulator has and that settings without chips mean. */
export const emulatedChips = [{ address: 0x40, shunt_ohm: 0.1 }];

/** A family of chips that are reached on a bus, or behind a bridge on a serial port. */
interface I2cFamily {
  id: string;
  /** As it is called in messages. */
  name: string;
  onBus(bus: I2cBus, options?: BusOptions): PowerInstrument<never>;
  behindBridge(port: ByteStream): PowerInstrument<never>;
  playBus(options: BusEmulatorOptions): BusEmulator<ChipModel>;
  playBridge(port: ByteStream, options: EmulatorOptions): BridgeEmulator;
  /** Connections that are words, besides. */
  named: Readonly<Record<string, () => PowerInstrument<never>>>;
}

/** How such a family is emulated, served, found and connected. */
export function overI2c(family: I2cFamily): Pick<InstrumentFamily, 'emulate' | 'serve' | 'find' | 'connect'> {
  return {
    emulate(options) {
      const emulator = family.playBus({ ...options, chips: emulatedChips });
      const { serial } = emulator;
      return { emulator, instrument: family.onBus(emulator, { time: options.time, serial, chips: emulatedChips }) };
    },
    /** A bus cannot be served to other programs; a bridge on a serial port can. */
    serve: (options) => servedOnPty((device) => family.playBridge(device, options)),
    /** Buses are named, and what is on them is not asked: a read can disturb a chip that is something else. */
    async find(): Promise<FoundDevice[]> {
      const folder = '/dev';
      const buses = existsSync(folder) ? readdirSync(folder).filter((name) => /^i2c-\d+$/.test(name)) : [];
      return buses.map((name) => ({
        family: family.id,
        connection: `${folder}/${name}`,
        serial: null,
        obstacle: accessObstacle(`${folder}/${name}`),
      }));
    },
    async connect(connection) {
      const named = Object.hasOwn(family.named, connection) ? family.named[connection] : undefined;
      if (named) return named();
      if (/\/i2c-\d+$/.test(connection)) return family.onBus(await openI2c(connection));
      if (connection.startsWith('/') || /^COM\d+$/i.test(connection)) {
        return family.behindBridge(await openSerial(connection, { baudRate: BRIDGE_BAUD }));
      }
      const words = Object.keys(family.named);
      throw new UsageError('instrument.connection', {
        where: `instrument.connection: ${connection}`,
        problem: `is no connection of an ${family.name}`,
        remedy: [
          'write /dev/i2c-1 (a bus)',
          ...(words.length > 0 ? [`${words.join(' or ')} (a driver of the kernel)`] : []),
          'or the port of an INB1 bridge',
        ].join(', '),
      });
    },
  };
}
