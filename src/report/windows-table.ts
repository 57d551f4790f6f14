import { type ColumnTable, table } from 'arquero';
import type { ScoreDocument, ScoredWindow } from '../scoring/score-document.ts';

/** Columns of every score, in the order of the result JSON. */
const COLUMNS = [
  'index',
  'start_s',
  'duration_s',
  'runtime_s',
  'energy_uJ',
  'power_uW',
  'inferences',
  'energyPerInference_uJ',
  'throughput_ips',
  'inferencesPerJoule',
  'method',
  'biasBound_rel',
  'samples',
  'missingSamples',
  'saturatedSamples',
  'rangeSwitches',
] as const satisfies (keyof ScoredWindow)[];

/** Columns that stand there only if some window has them. */
const OPTIONAL_COLUMNS = ['netEnergy_uJ', 'netEnergyPerInference_uJ'] as const satisfies (keyof ScoredWindow)[];

const TRUTH_COLUMNS = ['energy_uJ', 'error_rel', 'tolerance_rel'] as const;

/**
 * The windows of a score as an Arquero table, one row a window, at full precision. Column names are those of the
 * result JSON with their units; `truth` becomes `truth_energy_uJ` and so on. What is not known is null.
 */
export function windowsTable(document: ScoreDocument): ColumnTable {
  const { windows } = document;
  const columns: Record<string, (number | string | null)[]> = {};
  for (const name of COLUMNS) columns[name] = windows.map((window) => window[name]);
  for (const name of OPTIONAL_COLUMNS) {
    if (windows.some((window) => window[name] !== undefined)) {
      columns[name] = windows.map((window) => window[name] ?? null);
    }
  }
  if (windows.some((window) => window.truth !== undefined)) {
    for (const name of TRUTH_COLUMNS) columns[`truth_${name}`] = windows.map((window) => window.truth?.[name] ?? null);
  }
  return table(columns);
}

/** The windows as CSV (RFC 4180 quoting, LF line ends, a heading line): full precision, an empty field for unknown. */
export function windowsCsv(document: ScoreDocument): string {
  return windowsTable(document).toCSV();
}
