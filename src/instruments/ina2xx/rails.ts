import { z } from 'zod';
import { UsageError } from '../../signal/errors.ts';

/** Addresses that the pins A0 and A1 can give. */
export const chipAddresses = { first: 0x40, last: 0x4f };

/** One chip, which measures one rail: what a rig file says of it. */
export const chipEntrySchema = z.strictObject({
  address: z
    .int()
    .min(chipAddresses.first)
    .max(chipAddresses.last)
    .describe('Address on the bus, 0x40 to 0x4f. With a bridge: number of the chip, counted from 0x40.'),
  shunt_ohm: z.number().positive().describe('The shunt resistor. There is no default.'),
  rail: z
    .string()
    .regex(/^[A-Za-z0-9_-]+$/)
    .optional()
    .describe('Name of the rail and of its stream. Absent: `main` for the first chip, `rail-0x41`... for others.'),
});

export type ChipEntry = z.infer<typeof chipEntrySchema>;

/** The chips of a rig. */
export const chipsDescription = 'The chips to measure with.';

/** A chip with its stream. */
export interface Rail {
  address: number;
  shunt_ohm: number;
  /** Id of the stream and name of the rail. */
  name: string;
}

/**
 * The rails of chips, one stream each.
 * @throws UsageError `instrument.settings` where two have the same address or name
 */
export function railsOf(chips: readonly ChipEntry[]): Rail[] {
  const rails = chips.map(({ address, shunt_ohm, rail }, k) => ({
    address,
    shunt_ohm,
    name: rail ?? (k === 0 ? 'main' : `rail-0x${address.toString(16)}`),
  }));
  for (const key of ['address', 'name'] as const) {
    if (new Set(rails.map((rail) => rail[key])).size === rails.length) continue;
    throw refusedSetting(
      'chips',
      `two chips have the same ${key === 'name' ? 'rail' : key}`,
      'give each chip an address and a rail of its own',
    );
  }
  return rails;
}

export function refusedSetting(setting: string, problem: string, remedy: string): UsageError {
  return new UsageError('instrument.settings', { where: `instrument.settings.${setting}`, problem, remedy });
}
