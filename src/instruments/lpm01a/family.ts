import type { InstrumentFamily } from '../family.ts';
import { overSerial } from '../serial-family.ts';
import { parseSettings } from '../settings.ts';
import { Lpm01a, lpm01aSettingsSchema } from './driver.ts';
import { Lpm01aEmulator, lpm01aFaults } from './emulator.ts';
import { lpm01aBaudRate, lpm01aUsb } from './spec.ts';

/** Samples have four significant digits: half a step of the last is at most this. */
const halfDigit_rel = 0.5e-3;

export const lpm01aFamily: InstrumentFamily = {
  id: 'lpm01a',
  title: 'ST X-NUCLEO-LPM01A PowerShield',
  transport: 'serial',
  settings({ settings, supply, channel }) {
    const own = parseSettings('lpm01a', lpm01aSettingsSchema, settings);
    return { ...own, logicInputs: [channel], ...(supply && { maxVoltage_V: supply.max_voltage_V }) };
  },
  ...overSerial({
    id: 'lpm01a',
    usb: lpm01aUsb,
    baudRate: lpm01aBaudRate,
    drive: (port, options) => new Lpm01a(port, options),
    play: (port, options) => new Lpm01aEmulator(port, options),
  }),
  // An interrupt on falling edges of D7; EnergyRunner's rules let a device hold the line for 1 us.
  trigger: { polarities: ['fall'], shortestPulse_s: 1e-6 },
  resolution_rel: () => halfDigit_rel,
  faults: lpm01aFaults,
};
