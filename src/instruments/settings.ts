import type { z } from 'zod';
import { UsageError } from '../signal/errors.ts';

/**
 * Checks `instrument.settings` of a rig file against what a family knows.
 * @throws UsageError `instrument.settings` that names the setting
 */
export function parseSettings<T>(family: string, schema: z.ZodType<T>, settings: unknown): T {
  const parsed = schema.safeParse(settings);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new UsageError('instrument.settings', {
    where: ['instrument.settings', ...issue.path].join('.'),
    problem: `${issue.message} (${family})`,
    remedy: `docs/instruments/${family}.md lists the settings`,
  });
}
