import type { FindingEntry } from './types.ts';

/** Findings of MLPerf Tiny claims (EnergyRunner and the MLCommons runner). */
export const tinyFindings: Readonly<Record<string, FindingEntry>> = {};
