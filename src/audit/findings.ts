import { commonFindings } from './findings-common.ts';
import { joulemarkFindings } from './findings-joulemark.ts';
import { powerFindings } from './findings-ptdaemon.ts';
import { tinyFindings } from './findings-tiny.ts';
import type { FindingEntry } from './types.ts';

/** Every finding code with its meaning. docs/findings.md is generated from it; a test keeps the two the same. */
export const findingCatalogue: Readonly<Record<string, FindingEntry>> = {
  ...commonFindings,
  ...tinyFindings,
  ...powerFindings,
  ...joulemarkFindings,
};

/** The entry of a code. Throws for a code that is not in the catalogue: that is a bug, not an input. */
export function findingEntry(code: string): FindingEntry {
  const entry = Object.hasOwn(findingCatalogue, code) ? findingCatalogue[code] : undefined;
  if (entry === undefined) throw new Error(`finding code ${code} is not in the catalogue`);
  return entry;
}
