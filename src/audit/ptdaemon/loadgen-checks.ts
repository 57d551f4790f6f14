import type { LoadgenLog, LoadgenSummary } from '../../capture/formats/ptdaemon/loadgen-log.ts';
import { powerLimits, statedSamplesPerSecond } from '../../scoring/profiles/mlperf-power.ts';
import type { Comparison, Observation } from '../types.ts';
import type { Check, PowerAnalysis } from './analysis.ts';
import { loadgenFigures, partPath } from './power-run.ts';

/** Summary and detail log print the same number with six and with more digits. */
const SAME_NUMBER_REL = 1e-4;

/** Lines of the summary and the keys of the detail log that they repeat. */
const repeated: [string, string][] = [
  ['Samples per second', 'result_samples_per_second'],
  ['Scheduled samples per second', 'result_scheduled_samples_per_sec'],
  ['Completed samples per second', 'result_completed_samples_per_sec'],
  ['90th percentile latency (ns)', 'result_90.00_percentile_latency_ns'],
  ['90.0th percentile latency (ns)', 'result_90.00_percentile_latency_ns'],
  ['99th percentile latency (ns)', 'result_99.00_percentile_per_query_latency_ns'],
];

/** Checks of what loadgen says: the window, validity, and its figures against each other. */
export const loadgenChecks: Check = (a) => {
  const { loadgen, summary } = a.run.testing;
  if (loadgen === null) return unreadable(a);
  return [
    ...window(a, loadgen),
    ...samplesInWindow(a),
    ...validity(a, loadgen, summary),
    ...throughput(a),
    ...summaryDiffers(a, loadgen, summary),
  ];
};

const detailPath = (a: PowerAnalysis) => partPath(a.run.site, 'testing/mlperf_log_detail.txt');

function window(a: PowerAnalysis, loadgen: LoadgenLog): Observation[] {
  const { powerBegin_ms, powerEnd_ms } = loadgen;
  const path = detailPath(a);
  if (powerBegin_ms === null || powerEnd_ms === null) {
    const missing = [powerBegin_ms === null ? 'power_begin' : [], powerEnd_ms === null ? 'power_end' : []].flat();
    const message = `no readable ${missing.join(' and ')} in the log`;
    return [{ code: 'power.no-window', path, message, evidence: { missing, records: loadgen.records } }];
  }
  if (powerEnd_ms <= powerBegin_ms) {
    const message = 'power_end is not later than power_begin';
    return [{ code: 'power.no-window', path, message, evidence: { powerBegin_ms, powerEnd_ms } }];
  }
  return [];
}

/** A detail log that is there and cannot be read gives no window; a missing one has its own finding. */
function unreadable(a: PowerAnalysis): Observation[] {
  if (a.run.site.files['testing/mlperf_log_detail.txt'] === undefined) return [];
  return [{ code: 'power.no-window', path: detailPath(a), message: 'the log cannot be read' }];
}

function samplesInWindow(a: PowerAnalysis): Observation[] {
  const { testing, run } = a;
  if (testing === null || testing.power_W !== null || testing.duration_s <= 0) return [];
  if (run.site.files['testing/spl.txt'] === undefined) return [];
  const samples = run.testing.powerLog?.length ?? 0;
  const message = `none of the ${samples} power samples is above zero and lies in the test window`;
  const evidence = { samples, leftOut: testing.unusable };
  return [{ code: 'power.no-samples', path: partPath(run.site, 'testing/spl.txt'), message, evidence }];
}

function validity(a: PowerAnalysis, loadgen: LoadgenLog, summary: LoadgenSummary | null): Observation[] {
  const said = [loadgen.values.get('result_validity'), summary?.values.get('Result is')];
  if (!said.includes('INVALID')) return [];
  const message = 'loadgen itself calls the result INVALID';
  return [
    { code: 'power.result-invalid', path: detailPath(a), message, evidence: { detail: said[0], summary: said[1] } },
  ];
}

/** Samples a second of the test window, counted; null where the log holds no count. Offline issues one single query. */
export function countedThroughput(a: PowerAnalysis): number | null {
  const { testing, run } = a;
  const figures = loadgenFigures(run.testing.loadgen);
  if (testing === null || !(testing.duration_s > 0)) return null;
  if (figures.scenario === 'Offline') {
    if (figures.generatedQueries === null || figures.generatedSamplesPerQuery === null) return null;
    return (figures.generatedQueries * figures.generatedSamplesPerQuery) / testing.duration_s;
  }
  if (figures.queryCount === null) return null;
  if (figures.scenario === 'SingleStream') return figures.queryCount / testing.duration_s;
  if (figures.scenario === 'MultiStream') {
    return (figures.queryCount * (figures.generatedSamplesPerQuery ?? 8)) / testing.duration_s;
  }
  return null;
}

/** What the folder claims in samples (SingleStream: queries) a second; null where the scenario has no such figure. */
export function claimedThroughput({ run }: PowerAnalysis): number | null {
  const figures = loadgenFigures(run.testing.loadgen);
  const submitted = run.scenario ?? figures.scenario;
  return submitted === 'SingleStream'
    ? figures.queriesPerSecond
    : statedSamplesPerSecond(submitted, figures, run.rules);
}

function throughput(a: PowerAnalysis): Observation[] {
  const figures = loadgenFigures(a.run.testing.loadgen);
  if (figures.scenario !== 'Offline') return [];
  const claimed = figures.samplesPerSecond;
  const counted = countedThroughput(a);
  if (claimed === null || counted === null || !(claimed > 0) || !(counted > 0)) return [];
  const difference_pct = (claimed / counted - 1) * 100;
  if (Math.abs(difference_pct) <= powerLimits.material_pct) return [];
  return [
    {
      code: 'power.throughput-differs',
      path: detailPath(a),
      message: `loadgen states ${claimed} samples/s; its samples over the test window give ${counted.toPrecision(6)}`,
      evidence: { claimed, counted, difference_pct },
    },
  ];
}

/** The figures that the summary repeats, held against the detail log. */
export function summaryComparisons(loadgen: LoadgenLog | null, summary: LoadgenSummary | null): Comparison[] {
  if (loadgen === null || summary === null) return [];
  const found: Comparison[] = [];
  for (const [line, key] of repeated) {
    const text = summary.values.get(line);
    const value = loadgen.values.get(key);
    if (text === undefined || typeof value !== 'number') continue;
    const printed = Number(text);
    const exact = Math.abs(printed - value) <= SAME_NUMBER_REL * Math.abs(value);
    found.push({ field: `summary: ${line}`, printed: text, recomputed: String(value), exact });
  }
  const validity = summary.values.get('Result is');
  const detail = loadgen.values.get('result_validity');
  if (validity !== undefined && typeof detail === 'string') {
    found.push({ field: 'summary: Result is', printed: validity, recomputed: detail, exact: validity === detail });
  }
  return found;
}

function summaryDiffers(a: PowerAnalysis, loadgen: LoadgenLog, summary: LoadgenSummary | null): Observation[] {
  const differing = summaryComparisons(loadgen, summary).filter((c) => c.exact === false);
  if (differing.length === 0) return [];
  const text = differing
    .map((c) => `${c.field.slice(9)} is ${c.printed}, in the detail log ${c.recomputed}`)
    .join('; ');
  const path = partPath(a.run.site, 'testing/mlperf_log_summary.txt');
  return [{ code: 'power.summary-differs', path, message: text, evidence: { differing } }];
}
