import type { InstrumentFamily } from '../family.ts';
import { overSerial } from '../serial-family.ts';
import { parseSettings } from '../settings.ts';
import { Ppk2, ppk2SettingsSchema } from './driver.ts';
import { Ppk2Emulator, ppk2Faults } from './emulator.ts';
import { ppk2BaudRate, ppk2DefaultModifiers, ppk2Rate_Hz, ppk2Usb, ppk2Volts } from './spec.ts';

/** A sample word carries the code in steps of 4. */
const codeStep = 4;

export const ppk2Family: InstrumentFamily = {
  id: 'ppk2',
  title: 'Nordic Power Profiler Kit II',
  transport: 'serial',
  settings({ settings, supply, channel }) {
    // With a supply voltage in the rig it is the PPK2 that supplies.
    const mode = supply === null ? 'ampere' : 'source';
    const own = parseSettings('ppk2', ppk2SettingsSchema, { mode, ...settings });
    return { ...own, logicInputs: [channel], ...(supply && { maxVoltage_V: supply.max_voltage_V }) };
  },
  ...overSerial({
    id: 'ppk2',
    usb: ppk2Usb,
    baudRate: ppk2BaudRate,
    drive: (port, options) => new Ppk2(port, options),
    play: (port, options) => new Ppk2Emulator(port, options),
  }),
  // A pulse is seen for certain if a sample lies inside it.
  trigger: { polarities: ['rise', 'fall'], shortestPulse_s: 1 / ppk2Rate_Hz },
  resolution_rel(meanCurrent_A) {
    const full = 4 * 16_383 * ppk2Volts;
    const shunt = ppk2DefaultModifiers.R.find((ohm) => full / ohm >= meanCurrent_A);
    return shunt === undefined ? null : (codeStep * ppk2Volts) / shunt / 2 / meanCurrent_A;
  },
  faults: ppk2Faults,
};
