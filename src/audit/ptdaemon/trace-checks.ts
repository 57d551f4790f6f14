import type { PowerColumn, PowerLog } from '../../capture/formats/ptdaemon/power-log.ts';
import { formatPtdTime } from '../../capture/formats/ptdaemon/time.ts';
import { powerLimits } from '../../scoring/profiles/mlperf-power.ts';
import type { Observation } from '../types.ts';
import type { Check, PowerAnalysis } from './analysis.ts';
import { partPath } from './power-run.ts';
import type { WindowPower } from './window-power.ts';

/** A gap: more than one and a half intervals without a sample. */
const GAP_INTERVALS = 1.5;
const STUCK_SAMPLES = 5;
/** Columns are printed with six decimals each; analyzers print five digits. */
const CHANNEL_SUM_REL = 1e-3;
const CHANNEL_SUM_W = 0.01;
const LISTED = 10;

/** Checks of the power samples inside the test window. */
export const traceChecks: Check = (analysis) => {
  const log = analysis.run.testing.powerLog;
  const window = analysis.testing;
  if (log === null || window === null || log.length === 0) return [];
  const inside = insideWindow(log, window, analysis.shift_ms);
  return [
    ...coverage(analysis, log, window, inside),
    ...gaps(analysis, log, window, inside),
    ...unusable(analysis, log, window, inside),
    ...timeOrder(analysis, log),
    ...stuck(analysis, log, inside),
    ...columnSums(analysis, log, inside),
    ...readerFindings(analysis, log),
  ];
};

/** Indices of the samples strictly inside the window, in file order. */
function insideWindow(log: PowerLog, window: WindowPower, shift_ms: number): number[] {
  const indices: number[] = [];
  for (let i = 0; i < log.length; i++) {
    const t = (log.time_ms[i] as number) + shift_ms;
    if (t > window.begin_ms && t < window.end_ms) indices.push(i);
  }
  return indices;
}

function interval_s({ run }: PowerAnalysis): number {
  for (const { cmd } of run.server?.daemonMessages[0] ?? []) {
    const ms = Number(/^Go,(\d+),/.exec(cmd)?.[1] ?? 'x');
    if (ms > 0) return ms / 1000;
  }
  return 1;
}

function at(log: PowerLog, i: number): string {
  return formatPtdTime(log.time_ms[i] as number);
}

function logPath({ run }: PowerAnalysis): string {
  return partPath(run.site, 'testing/spl.txt');
}

function coverage(a: PowerAnalysis, _log: PowerLog, window: WindowPower, inside: number[]): Observation[] {
  if (window.samples === 0 || window.duration_s <= 0) return [];
  const covered_s = Math.min(window.samples * interval_s(a), window.duration_s);
  const missing_pct = 100 * (1 - covered_s / window.duration_s);
  if (missing_pct <= powerLimits.material_pct) return [];
  return [
    {
      code: 'power.coverage',
      path: logPath(a),
      message: `usable samples cover ${(100 - missing_pct).toFixed(2)} % of the test window (${window.samples} of about ${Math.round(window.duration_s / interval_s(a))})`,
      evidence: { usable: window.samples, inWindow: inside.length, duration_s: window.duration_s, missing_pct },
    },
  ];
}

function gaps(a: PowerAnalysis, log: PowerLog, window: WindowPower, inside: number[]): Observation[] {
  const limit_ms = GAP_INTERVALS * interval_s(a) * 1000;
  const found: { after: string; length_s: number }[] = [];
  let count = 0;
  let longest_s = 0;
  const add = (after: string, length_ms: number) => {
    count++;
    longest_s = Math.max(longest_s, length_ms / 1000);
    if (found.length < LISTED) found.push({ after, length_s: length_ms / 1000 });
  };
  if (inside.length === 0) return [];
  const first = inside[0] as number;
  const last = inside[inside.length - 1] as number;
  for (let i = Math.max(1, first); i <= Math.min(last + 1, log.length - 1); i++) {
    const length_ms = (log.time_ms[i] as number) - (log.time_ms[i - 1] as number);
    if (length_ms > limit_ms) add(at(log, i - 1), length_ms);
  }
  const start_ms = (log.time_ms[first] as number) + a.shift_ms - window.begin_ms;
  if (first === 0 && start_ms > limit_ms) add('the start of the window', start_ms);
  const end_ms = window.end_ms - ((log.time_ms[last] as number) + a.shift_ms);
  if (last === log.length - 1 && end_ms > limit_ms) add(at(log, last), end_ms);
  if (count === 0) return [];
  return [
    {
      code: 'power.gap',
      path: logPath(a),
      message: `${count} ${count === 1 ? 'gap' : 'gaps'} of more than ${limit_ms / 1000} s between samples of the test window, the longest ${longest_s.toFixed(3)} s`,
      evidence: { gaps: count, longest_s, first: found },
    },
  ];
}

function unusable(a: PowerAnalysis, log: PowerLog, window: WindowPower, inside: number[]): Observation[] {
  const odd = inside.filter((i) => !((log.watts[i] as number) > 0));
  if (odd.length === 0) return [];
  const numbers = odd.map((i) => log.watts[i] as number).filter((w) => !Number.isNaN(w));
  const sum = inside.reduce((total, i) => total + (Number.isNaN(log.watts[i]) ? 0 : (log.watts[i] as number)), 0);
  const all_W = sum / (inside.length - odd.length + numbers.length);
  return [
    {
      code: 'power.samples-nonpositive',
      path: logPath(a),
      message: `${odd.length} of ${inside.length} samples of the test window are at or below zero (or no number) and are left out of the average`,
      evidence: {
        count: odd.length,
        inWindow: inside.length,
        lowest_W: numbers.length === 0 ? null : Math.min(...numbers.slice(0, 10_000)),
        noNumber: odd.length - numbers.length,
        meanWithout_W: window.power_W,
        meanWith_W: Number.isFinite(all_W) ? all_W : null,
        first: odd.slice(0, LISTED).map((i) => ({ time: at(log, i), watts: log.watts[i] })),
        official: {
          check: 'submission checker',
          verdict: 'pass',
          reason: 'it leaves out samples at or below zero without a word and averages the others',
        },
      },
    },
  ];
}

function timeOrder(a: PowerAnalysis, log: PowerLog): Observation[] {
  let count = 0;
  const first: { line: string; step_s: number }[] = [];
  for (let i = 1; i < log.length; i++) {
    const step = (log.time_ms[i] as number) - (log.time_ms[i - 1] as number);
    if (step > 0) continue;
    count++;
    if (first.length < LISTED) first.push({ line: at(log, i), step_s: step / 1000 });
  }
  if (count === 0) return [];
  return [
    {
      code: 'power.time-order',
      path: logPath(a),
      message: `${count} samples are not later than the one before`,
      evidence: { count, first },
    },
  ];
}

function stuck(a: PowerAnalysis, log: PowerLog, inside: number[]): Observation[] {
  let runs = 0;
  let longest = 0;
  const first: { time: string; samples: number; watts: number }[] = [];
  let length = 1;
  const close = (end: number) => {
    if (length >= STUCK_SAMPLES) {
      runs++;
      longest = Math.max(longest, length);
      const start = inside[end - length + 1] as number;
      if (first.length < LISTED)
        first.push({ time: at(log, start), samples: length, watts: log.watts[start] as number });
    }
    length = 1;
  };
  for (let k = 1; k < inside.length; k++) {
    const i = inside[k] as number;
    // Repeated failures (-1) are told by power.samples-nonpositive.
    if (log.repeated[i] === 1 && (log.watts[i] as number) > 0) length++;
    else close(k - 1);
  }
  if (inside.length > 0) close(inside.length - 1);
  if (runs === 0) return [];
  return [
    {
      code: 'power.stuck',
      path: logPath(a),
      message: `${runs} ${runs === 1 ? 'stretch' : 'stretches'} of ${STUCK_SAMPLES} or more samples with the same power, voltage, current and power factor, the longest ${longest} samples`,
      evidence: { stretches: runs, longest, first },
    },
  ];
}

/** Channels add up to the total, and so do the analyzers of a merged log (whose -1 readings do not count). */
function columnSums(a: PowerAnalysis, log: PowerLog, inside: number[]): Observation[] {
  const groups: [string, PowerColumn[]][] =
    log.analyzers.length > 0 ? [['analyzers', log.analyzers]] : [['channels', log.channels]];
  return groups.flatMap(([name, columns]) => (columns.length === 0 ? [] : columnSum(a, log, inside, name, columns)));
}

function columnSum(
  a: PowerAnalysis,
  log: PowerLog,
  inside: number[],
  name: string,
  columns: PowerColumn[],
): Observation[] {
  let count = 0;
  let total = 0;
  let summed = 0;
  const first: { time: string; total_W: number; sum_W: number }[] = [];
  for (const i of inside) {
    const watts = log.watts[i] as number;
    const parts = columns.map((c) => c.watts[i] as number);
    if (!(watts > 0) || parts.some(Number.isNaN)) continue;
    const sum = name === 'analyzers' ? sumOfAnalyzers(parts) : parts.reduce((s, p) => s + p, 0);
    total += watts;
    summed += sum;
    if (Math.abs(sum - watts) <= Math.max(CHANNEL_SUM_W, CHANNEL_SUM_REL * watts)) continue;
    count++;
    if (first.length < LISTED) first.push({ time: at(log, i), total_W: watts, sum_W: sum });
  }
  if (count === 0) return [];
  const difference_pct = 100 * (summed / total - 1);
  const isMaterial = Math.abs(difference_pct) > powerLimits.material_pct;
  return [
    {
      code: isMaterial ? 'power.channel-sum-material' : 'power.channel-sum',
      path: logPath(a),
      message: `the ${name} (${columns.map((c) => c.name).join(', ')}) do not add up to the total in ${count} of ${inside.length} samples; over the window they give ${difference_pct.toFixed(3)} % of difference`,
      evidence: { count, inWindow: inside.length, difference_pct, columns: columns.map((c) => c.name), first },
    },
  ];
}

function sumOfAnalyzers(parts: number[]): number {
  return parts.reduce((sum, part) => sum + (part === -1 ? 0 : Math.abs(part)), 0);
}

function readerFindings(a: PowerAnalysis, log: PowerLog): Observation[] {
  const found: Observation[] = [];
  if (log.badLines > 0) {
    found.push({
      code: 'power.log-garbled',
      path: logPath(a),
      message: `${log.badLines} lines are no power sample (first: line ${log.firstBadLines.join(', ')})`,
      evidence: { lines: log.badLines, first: log.firstBadLines },
    });
  }
  if (log.dropped > 0) {
    found.push({
      code: 'power.log-too-long',
      path: logPath(a),
      message: `${log.length + log.dropped} samples, of which the first ${log.length} were read`,
      evidence: { read: log.length, leftOut: log.dropped },
    });
  }
  return found;
}
