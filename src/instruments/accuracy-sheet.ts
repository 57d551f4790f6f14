import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import type { RangeInfo } from '../signal/types.ts';

/** A figure with its source, or null where none was found: unknown is never a default. */
const figure = z.union([
  z.strictObject({
    value: z.number(),
    /** A bound, or what is typical of the type. Absent for what is neither (a resolution). */
    kind: z.enum(['limit', 'typical']).optional(),
    source: z.string().min(10),
  }),
  z.strictObject({ value: z.null(), source: z.null() }),
]);

const sheetSchema = z.strictObject({
  schema: z.literal('joulemark.accuracy-sheet/1'),
  family: z.string(),
  model: z.string(),
  /** One entry a measuring range of the current, in the order of their numbers. `_rel` figures are fractions of the reading. */
  ranges: z.array(
    z.strictObject({
      index: z.int().nonnegative(),
      name: z.string(),
      fullScale_A: figure,
      resolution_A: figure,
      noise_A: figure,
      gain_rel: figure,
      offset_A: figure,
      notes: z.string().optional(),
    }),
  ),
  voltage: z.strictObject({
    measured: z.boolean(),
    gain_rel: figure.optional(),
    offset_V: figure.optional(),
    resolution_V: figure.optional(),
    /** Tolerance of a supply that is set and not measured. */
    set_rel: figure.optional(),
    range_V: z.strictObject({ min: z.number(), max: z.number(), source: z.string().min(10) }).optional(),
  }),
  /** Rounding of the format in which samples travel, as a fraction of the reading. */
  format_rel: figure.optional(),
  timebase_rel: figure,
  bandwidth_Hz: figure,
});

/** What is known of an instrument type's accuracy (calibration/instruments/<family>.json, the only home of these numbers). */
export type AccuracySheet = z.infer<typeof sheetSchema>;

/**
 * Loads the accuracy sheet of a family.
 * @throws ZodError if the sheet that Joulemark ships is malformed, which is a bug
 */
export function loadAccuracySheet(family: string): AccuracySheet {
  const sheet = `calibration/instruments/${family}.json`;
  // Benchmarks are built one folder deeper than the package.
  const places = ['../../', '../../../'].map((up) => new URL(up + sheet, import.meta.url));
  return sheetSchema.parse(JSON.parse(readFileSync(places.find((file) => existsSync(file)) ?? places[0]!, 'utf8')));
}

/** The ranges of a sheet as a stream announces them. */
export function rangesOf(sheet: AccuracySheet): RangeInfo[] {
  return sheet.ranges.map((range) => ({
    index: range.index,
    name: range.name,
    fullScale_A: range.fullScale_A.value,
    resolution_A: range.resolution_A.value,
    noise_A: range.noise_A.value,
  }));
}
