import type { ScoreDocument, ScoredWindow } from '../scoring/score-document.ts';
import type { Coverage } from '../signal/quantity.ts';
import { quantileOfSorted } from '../stats/quantile.ts';

/** A figure that stands at the top of a report. */
export interface HeadlineFigure {
  id: 'energyPerInference' | 'throughput' | 'inferencesPerJoule' | 'power' | 'top1' | 'auc' | 'f1';
  label: string;
  value: number | null;
  unit: string;
  /** In the same unit; null while unknown. */
  u: number | null;
  coverage: Coverage | null;
}

/** Where the uncertainty of a figure stands: the name of a quantity, its unit, and what turns it into the figure's. */
const QUANTITY_OF = {
  energyPerInference: { unit: 'J', factor: 1e6 },
  throughput: { unit: '1/s', factor: 1 },
  inferencesPerJoule: { unit: '1/J', factor: 1 },
  power: { unit: 'W', factor: 1e3 },
  top1: { unit: '%', factor: 1 },
  auc: { unit: '', factor: 1 },
  f1: { unit: '', factor: 1 },
} as const;

/**
 * The figures of a score that everybody asks for, with the uncertainty that stands in `quantities` under the same
 * name. Accuracy is there only where it was measured.
 */
export function headlineFigures(document: ScoreDocument): HeadlineFigure[] {
  const { median, accuracy } = document;
  const figure = (id: HeadlineFigure['id'], label: string, value: number | null, unit: string): HeadlineFigure => {
    const quantity = document.quantities[id];
    const known = QUANTITY_OF[id];
    if (quantity === undefined || quantity.unit !== known.unit)
      return { id, label, value, unit, u: null, coverage: null };
    const { u, coverage } = quantity;
    return {
      id,
      label,
      value,
      unit,
      u: u === null ? null : u * known.factor,
      coverage: coverage === null ? null : { ...coverage, U: coverage.U * known.factor },
    };
  };
  const throughput = figure('throughput', 'Throughput', median.throughput_ips, 'inf/s');
  const figures: HeadlineFigure[] = [];
  if (document.mode === 'performance') figures.push(throughput);
  else if (document.mode === undefined) {
    figures.push(
      figure('energyPerInference', 'Energy per inference', median.energyPerInference_uJ, 'uJ'),
      throughput,
      figure('inferencesPerJoule', 'Inferences per joule', median.inferencesPerJoule, 'inf/J'),
    );
  }
  const power_mW = document.wakeword?.power_mW;
  if (power_mW != null) figures.push(figure('power', 'Mean power', power_mW, 'mW'));
  if (accuracy?.top1_pct != null) figures.push(figure('top1', 'Top-1 accuracy', accuracy.top1_pct, '%'));
  if (accuracy?.auc != null) figures.push(figure('auc', 'AUC', accuracy.auc, ''));
  if (accuracy?.f1 != null) figures.push(figure('f1', 'F1', accuracy.f1, ''));
  return figures;
}

/** How the windows of a run differ in one figure. */
export interface Spread {
  n: number;
  min: number;
  q1: number;
  median: number;
  q3: number;
  max: number;
  /** (max - min) / |median|; null where the median is 0. */
  range_rel: number | null;
}

/** Spread of the numbers that are known; null where none is. Quantiles are type 7. */
export function spreadOf(values: Iterable<number | null>): Spread | null {
  const known: number[] = [];
  for (const value of values) if (value !== null) known.push(value);
  if (known.length === 0) return null;
  const ascending = Float64Array.from(known).sort();
  const min = ascending[0]!;
  const max = ascending.at(-1)!;
  const median = quantileOfSorted(ascending, 0.5)!;
  return {
    n: ascending.length,
    min,
    q1: quantileOfSorted(ascending, 0.25)!,
    median,
    q3: quantileOfSorted(ascending, 0.75)!,
    max,
    range_rel: median === 0 ? null : (max - min) / Math.abs(median),
  };
}

/** How a simulated run compares with its own truth; null where no window knows its truth. */
export function truthSummary(
  document: ScoreDocument,
): { windows: number; within: number; largestError_rel: number } | null {
  const truths = document.windows.flatMap((window) => window.truth ?? []);
  if (truths.length === 0) return null;
  const within = truths.filter((truth) => Math.abs(truth.error_rel) <= truth.tolerance_rel).length;
  const largestError_rel = truths.reduce((largest, truth) => Math.max(largest, Math.abs(truth.error_rel)), 0);
  return { windows: truths.length, within, largestError_rel };
}

/** The columns of a table of windows, in the order of reading. */
const windowColumns: {
  id: string;
  label: string;
  unit: string;
  digits: number;
  value: (window: ScoredWindow) => number | null;
}[] = [
  { id: 'start', label: 'start', unit: 's', digits: 5, value: (window) => window.start_s },
  { id: 'duration', label: 'duration', unit: 's', digits: 5, value: (window) => window.duration_s },
  { id: 'energy', label: 'energy', unit: 'uJ', digits: 5, value: (window) => window.energy_uJ },
  { id: 'power', label: 'power', unit: 'uW', digits: 4, value: (window) => window.power_uW },
  { id: 'inferences', label: 'inferences', unit: '', digits: 1, value: (window) => window.inferences },
  {
    id: 'energyPerInference',
    label: 'energy/inf',
    unit: 'uJ',
    digits: 5,
    value: (window) => window.energyPerInference_uJ,
  },
  { id: 'throughput', label: 'inf/s', unit: '', digits: 4, value: (window) => window.throughput_ips },
];

/** Those columns that a run of this kind can fill: one that measures no power has none for it. */
export function windowColumnsOf(document: ScoreDocument): typeof windowColumns {
  if (document.mode === undefined) return windowColumns;
  return windowColumns.filter(({ id }) => !['energy', 'power', 'energyPerInference'].includes(id));
}

export const SIMULATED_MARK =
  'SIMULATED. No real device was measured: every figure on this page comes from a virtual one.';

/** The last `parts` parts of a recording's path, which tell it from its neighbours. */
export function recordingName(path: string, parts: number): string {
  const named = path.split(/[/\\]+/).filter((part) => part !== '' && part !== '.');
  return named.slice(-parts).join('/') || path;
}
