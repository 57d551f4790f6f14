import { z } from 'zod';
import { defaultRate_Hz, leastRate_Hz, mostRate_Hz } from '../ina2xx/averaging.ts';
import { chipEntrySchema, chipsDescription } from '../ina2xx/rails.ts';
import type { CommonSettings } from '../power-instrument.ts';
import { ina228Tables } from './spec.ts';

/** Of the accumulators: a bus at 100 kHz can still follow, without which the chip's oscillator is not known. */
export const accumulatorRate_Hz = 100;

const chipSchema = chipEntrySchema.extend({
  shuntRange_mV: z
    .union([z.literal(163.84), z.literal(40.96)])
    .optional()
    .describe('Full scale across the shunt; 40.96 has steps four times as fine. Default 163.84.'),
});

/** What a rig file may say under `settings`. */
export const ina228SettingsSchema = z.strictObject({
  chips: z.array(chipSchema).min(1).max(16).describe(chipsDescription),
  rate_Hz: z
    .number()
    .min(leastRate_Hz)
    .max(mostRate_Hz(ina228Tables))
    .optional()
    .describe(
      'Least rate of each chip; the nearest longer-averaging configuration is chosen. ' +
        `Default ${defaultRate_Hz}, of the accumulators ${accumulatorRate_Hz}.`,
    ),
  output: z
    .enum(['conversions', 'accumulators'])
    .optional()
    .describe(
      'conversions (default): current and voltage of each conversion. accumulators: energy and mean current from the ' +
        "chip's registers ENERGY and CHARGE, which hold what the host does not read in time.",
    ),
});

export type Ina228Settings = CommonSettings & z.infer<typeof ina228SettingsSchema>;
