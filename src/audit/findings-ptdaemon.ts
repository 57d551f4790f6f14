import type { FindingEntry } from './types.ts';

/** Findings of MLPerf Power (PTDaemon) claims. */
export const powerFindings: Readonly<Record<string, FindingEntry>> = {};
