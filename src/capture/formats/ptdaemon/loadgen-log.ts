import { type ScannedFile, scanLines } from './scan.ts';
import { parsePtdTime_ms } from './time.ts';

/** Keys of `mlperf_log_detail.txt` that an audit needs, beside power_begin and power_end. */
const KEYS = new Set([
  'loadgen_version',
  'test_datetime',
  'effective_scenario',
  'effective_test_mode',
  'effective_samples_per_query',
  'effective_min_duration_ms',
  'generated_query_count',
  'generated_samples_per_query',
  'result_validity',
  'result_query_count',
  'result_samples_per_second',
  'result_scheduled_samples_per_sec',
  'result_completed_samples_per_sec',
  'result_qps_with_loadgen_overhead',
  'result_qps_without_loadgen_overhead',
  'result_mean_query_latency_ns',
  'result_max_latency_ns',
  'result_90.00_percentile_latency_ns',
  'result_99.00_percentile_per_query_latency_ns',
]);

/** `mlperf_log_detail.txt`: what loadgen says about one run. */
export interface LoadgenLog {
  file: ScannedFile;
  /** First value of each wanted key. */
  values: Map<string, string | number | boolean>;
  /** Milliseconds on the clock that loadgen wrote, read as UTC; null where the log has none. */
  powerBegin_ms: number | null;
  powerEnd_ms: number | null;
  /** `:::MLLOG` lines, and lines that carry the mark but are no JSON. */
  records: number;
  badRecords: number;
}

const KEY = /"key":\s*"([^"]{1,100})"/;
const SIMPLE_VALUE = /"value":\s*("(?:[^"\\]|\\.)*"|-?[\d.eE+-]+|true|false)/;
const TIME = /\d{1,2}-\d{1,2}-\d{4} \d{1,2}:\d{1,2}:\d{1,2}\.\d{1,6}/;

/** Reads `mlperf_log_detail.txt`, streamed. Lines of other kinds are skipped. Throws what the file system throws. */
export async function readLoadgenLog(path: string): Promise<LoadgenLog> {
  const values: LoadgenLog['values'] = new Map();
  let powerBegin_ms: number | null = null;
  let powerEnd_ms: number | null = null;
  let records = 0;
  let badRecords = 0;
  const file = await scanLines(path, (line) => {
    const isRecord = line.startsWith(':::MLLOG');
    if (isRecord) records++;
    const key = KEY.exec(line.slice(0, 300))?.[1];
    if (key === undefined) {
      if (isRecord) badRecords++;
      return;
    }
    if (key === 'power_begin') powerBegin_ms ??= timeIn(line);
    else if (key === 'power_end') powerEnd_ms ??= timeIn(line);
    else if (KEYS.has(key) && !values.has(key)) {
      const value = simpleValue(line);
      if (value === null) badRecords++;
      else values.set(key, value);
    }
  });
  return { file, values, powerBegin_ms, powerEnd_ms, records, badRecords };
}

function timeIn(line: string): number | null {
  const time_ms = parsePtdTime_ms(TIME.exec(line)?.[0] ?? '');
  return Number.isNaN(time_ms) ? null : time_ms;
}

function simpleValue(line: string): string | number | boolean | null {
  const text = SIMPLE_VALUE.exec(line)?.[1];
  if (text === undefined) return null;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null;
  } catch {
    return null;
  }
}

/** `mlperf_log_summary.txt`: `name : value` lines, first of each name, at most 200. */
export interface LoadgenSummary {
  file: ScannedFile;
  values: Map<string, string>;
}

/** Reads `mlperf_log_summary.txt`, streamed. Throws what the file system throws. */
export async function readLoadgenSummary(path: string): Promise<LoadgenSummary> {
  const values = new Map<string, string>();
  const file = await scanLines(path, (line) => {
    const colon = line.indexOf(':');
    if (colon <= 0 || colon > 100 || values.size >= 200) return;
    const name = line.slice(0, colon).trim();
    if (!values.has(name)) values.set(name, line.slice(colon + 1, colon + 300).trim());
  });
  return { file, values };
}
