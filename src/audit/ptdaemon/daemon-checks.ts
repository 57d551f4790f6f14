import type { DaemonLog, DaemonMeasurement, DaemonStatistics } from '../../capture/formats/ptdaemon/daemon-log.ts';
import type { PowerLog } from '../../capture/formats/ptdaemon/power-log.ts';
import { powerLimits } from '../../scoring/profiles/mlperf-power.ts';
import { compare } from '../compare.ts';
import type { Comparison, Observation } from '../types.ts';
import type { Check, PowerAnalysis } from './analysis.ts';
import { daemonShift_ms } from './clocks.ts';
import { type OfficialReport, officialOn } from './official.ts';
import { partPath } from './power-run.ts';
import type { WindowPower } from './window-power.ts';

const LISTED = 10;
/** Share of the window's samples above which an unknown uncertainty leaves the measurement unsupported. */
const UNVERIFIED_SHARE = 0.05;
/**
 * Share of uncertain samples that is only noted: even with twice the power in these, the average would not change by a
 * material amount. Many windows begin with one or two, because readings lag behind the load.
 */
const NOTED_SHARE = powerLimits.material_pct / 100;
/** A message about a sample follows its time stamp at once; half an interval keeps neighbours apart. */
const MESSAGE_DELAY_MS = 500;
/** The extract of the power log is made while the last samples are still being written. */
const TOLERATED_MISSING = 5;
/** PTDaemon prints six decimals of samples that have six decimals themselves. */
const PRINTED_W = 1e-6;

/** Checks of what PTDaemon says about the session in `ptd_logs.txt`. */
export const daemonChecks: Check = (analysis) => [
  ...analysis.run.daemons.flatMap((log, k) => oneDaemon(analysis, log, daemonPart(k))),
  ...uncertainty(analysis),
];

function daemonPart(k: number): string {
  return k === 0 ? 'power/ptd_logs.txt' : `power/ptd_logs.txt#${k + 1}`;
}

/** The measurement of a mode: by the session's mark, else by the ending of the mark, the last one if several. */
export function measurementOf(a: PowerAnalysis, log: DaemonLog, mode: 'ranging' | 'testing'): DaemonMeasurement | null {
  const session = a.run.server?.sessionName ?? a.run.client?.sessionName ?? null;
  const named = log.measurements.filter((m) => m.mark === `${session}_${mode}`);
  const ending = log.measurements.filter((m) => m.mark.endsWith(`_${mode}`));
  return named.at(-1) ?? ending.at(-1) ?? null;
}

/** Shift from the daemon's log to the clock of loadgen, by the start of testing. */
function shiftToLoadgen_ms(a: PowerAnalysis, log: DaemonLog): number {
  const testing = measurementOf(a, log, 'testing');
  return testing === null ? a.shift_ms : daemonShift_ms(testing.go_ms, a.run.testing.powerLog) + a.shift_ms;
}

function oneDaemon(a: PowerAnalysis, log: DaemonLog, part: string): Observation[] {
  const path = partPath(a.run.site, part);
  if (log.timedLines === 0 || measurementOf(a, log, 'testing') === null) {
    const message = log.timedLines === 0 ? 'holds no line of PTDaemon' : 'does not hold the tested measurement';
    const marks = log.measurements.slice(0, LISTED).map((m) => m.mark);
    return [{ code: 'power.daemon-log-unusable', path, message, evidence: { lines: log.file.lines, marks } }];
  }
  return [...activation(a, log, path), ...errors(a, log, path), ...warnings(a, log, path)];
}

function activation(a: PowerAnalysis, log: DaemonLog, path: string): Observation[] {
  const ranging = measurementOf(a, log, 'ranging');
  const official = officialOn(a.official, 'ptd-logs');
  if (log.uncertaintyActivated === null) {
    const message = 'no line says that PTDaemon was checking the uncertainty of the samples';
    return [{ code: 'power.uncertainty-not-checked', path, message, evidence: { official } }];
  }
  if (ranging === null || log.uncertaintyActivated.time_ms < ranging.go_ms) return [];
  const message = `uncertainty checking began in line ${log.uncertaintyActivated.line}, after ranging (line ${ranging.goLine})`;
  return [{ code: 'power.uncertainty-not-checked', path, message, evidence: { official } }];
}

function errors(a: PowerAnalysis, log: DaemonLog, path: string): Observation[] {
  const ranging = measurementOf(a, log, 'ranging');
  const inRanging = (t: number) =>
    ranging !== null && t >= ranging.go_ms && (ranging.completed_ms === null || t <= ranging.completed_ms);
  const outside = log.errors.filter((e) => !inRanging(e.time_ms));
  const usb = outside.filter((e) => e.text.startsWith('USB.'));
  const serious = outside.filter((e) => !e.text.startsWith('USB.'));
  const notEvaluated = log.notEvaluated_ms.reduce((n, t) => n + (inRanging(t) ? 0 : 1), 0);
  const found: Observation[] = [];
  if (serious.length > 0 || notEvaluated > 0) {
    const texts = serious.slice(0, LISTED).map((e) => ({ line: e.line, text: e.text }));
    found.push({
      code: 'power.daemon-error',
      path,
      message: `PTDaemon reports ${serious.length + notEvaluated} errors outside ranging${texts[0] === undefined ? '' : `, first: ${texts[0].text}`}`,
      evidence: { errors: serious.length, notEvaluated, first: texts, official: officialOn(a.official, 'ptd-logs') },
    });
  }
  if (usb.length > 0) {
    found.push({
      code: 'power.daemon-note',
      path,
      message: `PTDaemon reports ${usb.length} USB errors, which the rules accept`,
      evidence: { lines: usb.slice(0, LISTED).map((e) => e.line) },
    });
  }
  return found;
}

/** Other warnings inside the test window, such as missed samples. */
function warnings(a: PowerAnalysis, log: DaemonLog, path: string): Observation[] {
  const shift = shiftToLoadgen_ms(a, log);
  if (a.testing === null) return [];
  const inside = log.warnings.filter((w) => isInside(w.time_ms + shift, a.testing as WindowPower));
  if (inside.length === 0) return [];
  return [
    {
      code: 'power.daemon-warning',
      path,
      message: `PTDaemon warns ${inside.length} times in the test window, first: ${inside[0]?.text}`,
      evidence: {
        count: inside.length,
        first: inside.slice(0, LISTED).map((w) => ({ line: w.line, text: w.text })),
        official: officialOn(a.official, 'ptd-logs'),
      },
    },
  ];
}

function isInside(time_ms: number, window: WindowPower): boolean {
  return time_ms > window.begin_ms && time_ms < window.end_ms;
}

/** Uncertainty over the whole test window, in both wordings, with seconds as seconds. */
function uncertainty(a: PowerAnalysis): Observation[] {
  const window = a.testing;
  if (window === null || a.run.daemons.length === 0) return [];
  const sampleOf = sampleFinder(a, window);
  const above = new Set<number>();
  const unknown = new Set<number>();
  const pct = { highest: 0, sum: 0, n: 0 };
  for (const log of a.run.daemons) {
    const shift = shiftToLoadgen_ms(a, log);
    const { uncertain } = log;
    for (let i = 0; i < uncertain.length; i++) {
      const sample = sampleOf((uncertain.time_ms[i] as number) + shift);
      if (sample === null) continue;
      above.add(sample);
      pct.highest = Math.max(pct.highest, uncertain.uncertainty_pct[i] as number);
      pct.sum += uncertain.uncertainty_pct[i] as number;
      pct.n++;
    }
    for (const t of log.unknown_ms) {
      const sample = sampleOf(t + shift);
      if (sample !== null) unknown.add(sample);
    }
  }
  return [...aboveLimit(a, window, above.size, pct), ...unknownUncertainty(a, window, unknown.size)];
}

/**
 * Which sample of the test window a message is about, or null for none: each channel and each analyzer has its own
 * message for the same sample, up to some milliseconds after its time stamp. Samples are told by their index, seconds
 * without a sample by a negative number.
 */
function sampleFinder(a: PowerAnalysis, window: WindowPower): (time_ms: number) => number | null {
  const times = a.run.testing.powerLog?.time_ms.slice().sort() ?? new Float64Array();
  return (time_ms) => {
    const t = time_ms - a.shift_ms;
    let low = 0;
    let high = times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((times[middle] as number) < t) low = middle + 1;
      else high = middle;
    }
    const before = low > 0 ? t - (times[low - 1] as number) : Number.POSITIVE_INFINITY;
    const after = low < times.length ? (times[low] as number) - t : Number.POSITIVE_INFINITY;
    if (Math.min(before, after) > MESSAGE_DELAY_MS) return isInside(time_ms, window) ? -1 - Math.floor(t / 1000) : null;
    const nearest = before < after ? low - 1 : low;
    return isInside((times[nearest] as number) + a.shift_ms, window) ? nearest : null;
  };
}

function aboveLimit(
  a: PowerAnalysis,
  window: WindowPower,
  count: number,
  pct: { highest: number; sum: number; n: number },
): Observation[] {
  if (count === 0) return [];
  const samples = window.samples + window.unusable;
  const isNewer = a.run.daemons.some((log) => log.uncertain.newerWording > 0);
  return [
    {
      code: count > NOTED_SHARE * samples ? 'power.uncertainty' : 'power.uncertainty-few',
      path: partPath(a.run.site, 'power/ptd_logs.txt'),
      message: `${count} of ${samples} samples of the test window have an uncertainty above ${powerLimits.uncertainty_pct} % (up to ${pct.highest} %)`,
      evidence: {
        count,
        samples,
        limit_pct: powerLimits.uncertainty_pct,
        highest_pct: pct.highest,
        mean_pct: pct.sum / pct.n,
        wording: isNewer ? 'newer' : 'older',
        firstLine: a.run.daemons.find((log) => log.uncertain.firstLine !== null)?.uncertain.firstLine ?? null,
        official: officialOn(a.official, 'ptd-logs', blindSpot(a.official, window, isNewer)),
      },
    },
  ];
}

function unknownUncertainty(a: PowerAnalysis, window: WindowPower, count: number): Observation[] {
  if (count === 0) return [];
  const samples = window.samples + window.unusable;
  const share = count / Math.max(1, samples);
  return [
    {
      code: share > UNVERIFIED_SHARE ? 'power.uncertainty-unverified' : 'power.uncertainty-unknown',
      path: partPath(a.run.site, 'power/ptd_logs.txt'),
      message: `PTDaemon could not tell the uncertainty of ${count} of ${samples} samples of the test window`,
      evidence: { count, samples, official: officialOn(a.official, 'ptd-logs') },
    },
  ];
}

/** Why the official checker says what it says about uncertain samples. */
function blindSpot(report: OfficialReport, window: WindowPower, newerWording: boolean): string {
  const check = report.find((c) => c.name === 'ptd-logs');
  if (check?.verdict === 'fail') return check.reason;
  const from = 800;
  const to = window.duration_s - 800;
  const span = to > from ? `only the time from 800 s to ${to.toFixed(3)} s of the window` : 'nothing';
  const unit = `it takes its tolerance of 800 (milliseconds) as seconds on both sides, so that of this window of ${window.duration_s.toFixed(3)} s it reads ${span}`;
  const wording = newerWording
    ? ''
    : '; and its pattern knows only the wording "Uncertainty x%, which is above 1.00% limit for the last sample!", not "Uncertainty x% above 1.00% limit for the last measurement sample!" as PTDaemon 1.9 writes, so that a warning it does read is never made an error';
  return `${unit}${wording}`;
}

/** What PTDaemon printed as the average of a measurement, held against its own samples. */
export interface SessionAverage {
  comparison: Comparison;
  line: number;
  samples: number;
  samplesInLog: number;
  verdict: 'equal' | 'differs' | 'last-missing' | 'other-count' | 'not-compared';
}

/** Holds PTDaemon's printed average of a whole measurement against `spl.txt`; null where one of them is missing. */
export function sessionAverage(a: PowerAnalysis, mode: 'ranging' | 'testing'): SessionAverage | null {
  const log = a.run[mode].powerLog;
  const daemon = a.run.daemons[0];
  if (log === null || log.length === 0 || log.dropped > 0 || daemon === undefined) return null;
  const statistics = measurementOf(a, daemon, mode)?.statistics ?? [];
  const printed = statistics[0];
  if (printed === undefined) return null;
  const field = `${mode}: PTDaemon's average over the whole measurement, in W`;
  const several = statistics.length > 1 || a.run.daemons.length > 1 || log.channels.length + log.analyzers.length > 0;
  const candidates = [
    meanOf(log, (w) => w > 0),
    meanOf(log, (w) => w >= 0),
    meanOf(log, (w) => w !== -1 && w !== -2),
    meanOf(log, () => true),
  ];
  const match = candidates.find((c) => isPrinted(c, statistics));
  const best = match ?? (candidates[0] as Mean);
  const base = { line: printed.line, samples: printed.valid, samplesInLog: best.n };
  const print = { text: printed.average, value: printed.average_W };
  if (match !== undefined) {
    const comparison = compare(field, print, match.mean);
    return { ...base, comparison: { ...comparison, exact: true }, verdict: 'equal' };
  }
  const open = { field, printed: printed.average, recomputed: null, exact: null };
  if (candidates.some((c) => isLastMissing(c, printed))) return { ...base, comparison: open, verdict: 'last-missing' };
  // Equal counts need not be of the same samples where PTDaemon left some out: in ranging, errors come in all forms.
  const isAmbiguous = printed.errors > 0 && (mode === 'ranging' || log.length < printed.samples);
  if (several || isAmbiguous) return { ...base, comparison: open, verdict: 'not-compared' };
  if (candidates.every((c) => c.n !== printed.valid)) {
    // An error of one quantity can leave a usable power, so more samples than valid ones say nothing.
    const isOdd = best.n < printed.valid || best.n > printed.samples;
    return { ...base, comparison: open, verdict: isOdd ? 'other-count' : 'not-compared' };
  }
  const sameCount = candidates.find((c) => c.n === printed.valid) as Mean;
  return { ...base, samplesInLog: sameCount.n, comparison: compare(field, print, sameCount.mean), verdict: 'differs' };
}

interface Mean {
  n: number;
  sum: number;
  mean: number;
}

function meanOf(log: PowerLog, counts: (watts: number) => boolean): Mean {
  let sum = 0;
  let n = 0;
  for (const watts of log.watts) {
    if (Number.isNaN(watts) || !counts(watts)) continue;
    sum += watts;
    n++;
  }
  return { n, sum, mean: n === 0 ? Number.NaN : sum / n };
}

function isPrinted(mean: Mean, statistics: DaemonStatistics[]): boolean {
  return statistics.some((s) => s.valid === mean.n && Math.abs(s.average_W - mean.mean) <= 1.5 * PRINTED_W);
}

/** The extract of the log often ends a sample before the measurement: what is missing must lie between min and max. */
function isLastMissing(mean: Mean, printed: DaemonStatistics): boolean {
  const missing = printed.valid - mean.n;
  if (missing < 1 || missing > TOLERATED_MISSING) return false;
  const implied = (printed.average_W * printed.valid - mean.sum) / missing;
  const rounding = (printed.valid * PRINTED_W) / missing;
  return implied >= printed.min_W - rounding && implied <= printed.max_W + rounding;
}
