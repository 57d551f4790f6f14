import { z } from 'zod';
import { UsageError } from '../../signal/errors.ts';
import type { CommonSettings } from '../power-instrument.ts';
import { parseSettings } from '../settings.ts';
import { ina226LeastRate_Hz, ina226MostRate_Hz } from './configuration.ts';
import { ina226Addresses } from './spec.ts';

/** One chip, which measures one rail. */
const chipSchema = z.strictObject({
  address: z
    .int()
    .min(ina226Addresses.first)
    .max(ina226Addresses.last)
    .describe('Address on the bus, 0x40 to 0x4f. With a bridge: number of the chip, counted from 0x40.'),
  shunt_ohm: z.number().positive().describe('The shunt resistor. There is no default.'),
  rail: z
    .string()
    .regex(/^[A-Za-z0-9_-]+$/)
    .optional()
    .describe('Name of the rail and of its stream. Absent: `main` for the first chip, `rail-0x41`... for others.'),
});

/** What a rig file may say under `settings`. */
export const ina226SettingsSchema = z.strictObject({
  chips: z.array(chipSchema).min(1).max(16).describe('The chips to measure with.'),
  rate_Hz: z
    .number()
    .min(ina226LeastRate_Hz)
    .max(Math.ceil(ina226MostRate_Hz))
    .optional()
    .describe('Least rate of each chip; the nearest longer-averaging configuration is chosen. Default 500.'),
});

export type Ina226Settings = CommonSettings & z.infer<typeof ina226SettingsSchema>;

export const ina226DefaultRate_Hz = 500;

/** A chip with its stream. */
export interface Rail {
  address: number;
  shunt_ohm: number;
  /** Id of the stream and name of the rail. */
  name: string;
}

/**
 * The rails that settings ask for, one stream each.
 * @throws UsageError `instrument.settings`
 */
export function railsOf({ logicInputs: _, maxVoltage_V: __, ...own }: Ina226Settings): Rail[] {
  const { chips } = parseSettings('ina226', ina226SettingsSchema, own);
  const rails = chips.map(({ address, shunt_ohm, rail }, k) => ({
    address,
    shunt_ohm,
    name: rail ?? (k === 0 ? 'main' : `rail-0x${address.toString(16)}`),
  }));
  for (const key of ['address', 'name'] as const) {
    if (new Set(rails.map((rail) => rail[key])).size === rails.length) continue;
    throw new UsageError('instrument.settings', {
      where: 'instrument.settings.chips',
      problem: `two chips have the same ${key === 'name' ? 'rail' : key}`,
      remedy: 'give each chip an address and a rail of its own',
    });
  }
  return rails;
}
