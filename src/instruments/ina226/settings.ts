import { z } from 'zod';
import { defaultRate_Hz, leastRate_Hz, mostRate_Hz } from '../ina2xx/averaging.ts';
import { chipEntrySchema, chipsDescription } from '../ina2xx/rails.ts';
import type { CommonSettings } from '../power-instrument.ts';
import { parseSettings } from '../settings.ts';
import { ina226Tables } from './spec.ts';

/** What a rig file may say under `settings`. */
export const ina226SettingsSchema = z.strictObject({
  chips: z.array(chipEntrySchema).min(1).max(16).describe(chipsDescription),
  rate_Hz: z
    .number()
    .min(leastRate_Hz)
    .max(Math.ceil(mostRate_Hz(ina226Tables)))
    .optional()
    .describe(
      `Least rate of each chip; the nearest longer-averaging configuration is chosen. Default ${defaultRate_Hz}.`,
    ),
});

export type Ina226Settings = CommonSettings & z.infer<typeof ina226SettingsSchema>;

/** The settings that are the family's own. @throws UsageError `instrument.settings` */
export function checkedSettings({ logicInputs: _, maxVoltage_V: __, ...own }: Ina226Settings) {
  return parseSettings('ina226', ina226SettingsSchema, own);
}
