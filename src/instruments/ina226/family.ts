import { existsSync, readdirSync } from 'node:fs';
import { UsageError } from '../../signal/errors.ts';
import { accessObstacle } from '../../transport/access.ts';
import { openI2c } from '../../transport/i2c-dev.ts';
import { openPty } from '../../transport/pty.ts';
import { openSerial } from '../../transport/serial.ts';
import type { FoundDevice, InstrumentFamily } from '../family.ts';
import { parseSettings } from '../settings.ts';
import { Ina226Bridge } from './bridge-driver.ts';
import { Ina226BridgeEmulator } from './bridge-emulator.ts';
import { Ina226 } from './driver.ts';
import { Ina226Emulator, ina226Faults } from './emulator.ts';
import { Ina226Hwmon } from './hwmon.ts';
import { Ina226Iio } from './iio.ts';
import { ina226SettingsSchema } from './settings.ts';
import { ina226ShuntStep_V } from './spec.ts';

/** Any, if the bridge is USB; the sketch's own, if it is not. */
const BRIDGE_BAUD = 921_600;
/** The chip that an emulator has and that settings without chips mean. */
const EMULATED = [{ address: 0x40, shunt_ohm: 0.1 }];

export const ina226Family: InstrumentFamily = {
  id: 'ina226',
  title: 'Texas Instruments INA226',
  transport: 'i2c',
  settings: ({ settings }) => parseSettings('ina226', ina226SettingsSchema.partial({ chips: true }), settings),
  emulate(options) {
    const emulator = new Ina226Emulator({ ...options, chips: EMULATED });
    return {
      emulator,
      instrument: new Ina226(emulator, { time: options.time, serial: emulator.serial, chips: EMULATED }),
    };
  },
  /** A bus cannot be served to other programs; a bridge on a serial port can. */
  async serve(options) {
    const pty = await openPty();
    const emulator = new Ina226BridgeEmulator(pty.device, options);
    return {
      emulator,
      address: pty.path,
      close: async () => {
        emulator.stop();
        await pty.device.close();
      },
    };
  },
  /** Buses are named, and what is on them is not asked: a read can disturb a chip that is something else. */
  async find(): Promise<FoundDevice[]> {
    const folder = '/dev';
    const buses = existsSync(folder) ? readdirSync(folder).filter((name) => /^i2c-\d+$/.test(name)) : [];
    return buses.map((name) => ({
      family: 'ina226',
      connection: `${folder}/${name}`,
      serial: null,
      obstacle: accessObstacle(`${folder}/${name}`),
    }));
  },
  async connect(connection) {
    if (connection === 'hwmon') return new Ina226Hwmon();
    if (connection === 'iio') return new Ina226Iio();
    if (/\/i2c-\d+$/.test(connection)) return new Ina226(await openI2c(connection));
    if (connection.startsWith('/') || /^COM\d+$/i.test(connection)) {
      return new Ina226Bridge(await openSerial(connection, { baudRate: BRIDGE_BAUD }));
    }
    throw new UsageError('instrument.connection', {
      where: `instrument.connection: ${connection}`,
      problem: 'is no connection of an INA226',
      remedy: 'write /dev/i2c-1 (a bus), hwmon or iio (a driver of the kernel), or the port of an INB1 bridge',
    });
  },
  trigger: null,
  resolution_rel: (meanCurrent_A) => ina226ShuntStep_V / EMULATED[0]!.shunt_ohm / 2 / meanCurrent_A,
  faults: ina226Faults,
};
