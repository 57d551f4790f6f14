import { dirname, resolve } from 'node:path';
import { Case, maxWindows, medianOrNull } from '../case.ts';
import { compare, countWindows } from '../compare.ts';
import type { AuditedClaim, ClaimSite } from '../types.ts';
import { type MlcRun, readMlcRun } from './mlc-run.ts';
import { checkInputs, checkLayout, checkWindows } from './rules.ts';
import { auditWakeword } from './wakeword.ts';

interface MlcWindow {
  index: number;
  runtime_s: number | null;
  inferences: number | null;
  throughput_ips: number | null;
}

/** Half of the last digit that the runner logs of a window while it runs. */
const rounding = 0.000_5;

/** Audits a performance run of the MLCommons runner. */
export async function auditMlcPerformance(site: ClaimSite): Promise<AuditedClaim> {
  const audit = new Case(site);
  const run = await readMlcRun(audit);
  const { log, results, profile, resultsPath } = run;
  audit.facts.run = dirname(resolve(site.path));
  if (profile?.task === 'streaming-wakeword' || (results?.wakeword ?? null) !== null) {
    auditWakeword(audit, run);
    audit.judgeArithmetic('without the detections of the run');
    checkLayout(audit, 'mlcommons');
    return audit.result(countWindows(audit.windows));
  }
  const windows = performanceWindows(run);
  const indices = new Set([
    ...(results?.performanceWindows.length ? windows.map((w) => w.index) : []),
    ...(results?.performanceWindows.map((w) => w.index) ?? []),
  ]);
  for (const index of [...indices].sort((a, b) => a - b).slice(0, maxWindows)) {
    const print = results?.performanceWindows.find((w) => w.index === index);
    const w = windows.find((each) => each.index === index);
    audit.windows.push([
      compare(`window ${index}: # inferences`, print?.inferences ?? null, w?.inferences ?? null),
      compare(`window ${index}: runtime`, print?.runtime_s ?? null, w?.runtime_s ?? null),
      compare(`window ${index}: throughput`, print?.throughput_ips ?? null, w?.throughput_ips ?? null),
    ]);
  }
  const throughput = medianOrNull(windows.map((w) => w.throughput_ips));
  audit.figure('throughput_ips', 'median throughput', results?.medianThroughput_ips ?? null, throughput);
  audit.judgeArithmetic('without the timestamps of the device');
  audit.supported.throughput_ips = throughput;
  const ran = windows.map((w) => ({ index: w.index, duration_s: w.runtime_s, iterations: w.inferences }));
  checkWindows(audit, profile, ran, resultsPath);
  if (log) checkInputs(audit, profile, log.calls, site.files['mlc-log'] ?? site.path);
  checkLayout(audit, 'mlcommons');
  audit.facts.throughput_ips = throughput ?? audit.claimed.throughput_ips ?? null;
  return audit.result(countWindows(audit.windows));
}

/**
 * Runtimes by the device's timestamps: of results.json, else of the log. Where neither holds them, the figures with
 * all their digits are taken as long as they round to those that were logged while the window ran.
 */
function performanceWindows({ log, results, trials }: MlcRun): MlcWindow[] {
  if (trials?.some((t) => t.start_us !== null && t.end_us !== null)) {
    return trials.map((t, i) => {
      const runtime_s = t.start_us === null || t.end_us === null ? null : (t.end_us - t.start_us) / 1e6;
      return windowOf(i, runtime_s, t.iterations);
    });
  }
  const laps = log?.laps_us ?? [];
  const calls = log?.calls ?? [];
  if (calls.length > 0 && laps.length === 2 * calls.length) {
    return calls.map((call, i) =>
      windowOf(i, ((laps[2 * i + 1] as number) - (laps[2 * i] as number)) / 1e6, call.inferences),
    );
  }
  return (log?.windows ?? []).map((logged, i) => {
    const print = results?.performanceWindows.find((w) => w.index === i + 1)?.runtime_s ?? null;
    const rounds =
      print !== null && logged.runtime_s !== null && Math.abs(print.value - logged.runtime_s) <= rounding + 1e-9;
    const window = windowOf(i, rounds ? print.value : logged.runtime_s, logged.inferences);
    if (rounds || window.throughput_ips === null || logged.throughput_ips === null || !window.runtime_s) return window;
    // The logged throughput has more digits than one over the logged runtime, which must allow it.
    const slack = (window.throughput_ips * rounding) / window.runtime_s + rounding;
    const allowed = Math.abs(logged.throughput_ips - window.throughput_ips) <= 1.001 * slack;
    return allowed ? { ...window, throughput_ips: logged.throughput_ips } : window;
  });
}

function windowOf(i: number, runtime_s: number | null, inferences: number | null): MlcWindow {
  const known = runtime_s !== null && runtime_s > 0 && inferences !== null;
  return { index: i + 1, runtime_s, inferences, throughput_ips: known ? inferences / runtime_s : null };
}
