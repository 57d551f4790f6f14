import { dirname, resolve } from 'node:path';
import { compare, countWindows } from '../compare.ts';
import type { AuditedClaim, ClaimSite } from '../types.ts';
import { Case, medianOrNull } from './case.ts';
import { type MlcRun, readMlcRun } from './mlc-run.ts';
import { checkInputs, checkLayout, checkWindows } from './rules.ts';
import { auditWakeword } from './wakeword.ts';

interface MlcWindow {
  index: number;
  runtime_s: number | null;
  inferences: number | null;
}

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
    ...(results === null ? [] : windows.map((w) => w.index)),
    ...(results?.performanceWindows.map((w) => w.index) ?? []),
  ]);
  for (const index of [...indices].sort((a, b) => a - b)) {
    const print = results?.performanceWindows.find((w) => w.index === index);
    const w = windows.find((each) => each.index === index);
    const known = w !== undefined && w.inferences !== null && w.runtime_s !== null && w.runtime_s > 0;
    audit.windows.push([
      compare(`window ${index}: # inferences`, print?.inferences ?? null, w?.inferences ?? null),
      compare(`window ${index}: runtime`, print?.runtime_s ?? null, w?.runtime_s ?? null),
      compare(
        `window ${index}: throughput`,
        print?.throughput_ips ?? null,
        known ? (w.inferences as number) / (w.runtime_s as number) : null,
      ),
    ]);
  }
  const throughput = medianOrNull(
    windows.map((w) => (w.inferences === null || !w.runtime_s ? null : w.inferences / w.runtime_s)),
  );
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
 * Runtimes by the device's timestamps: of results.json, else of the received lines in the log. Where neither is there,
 * the runtime printed with all its digits is taken as long as it rounds to the one that was logged while it ran.
 */
function performanceWindows({ log, results, trials }: MlcRun): MlcWindow[] {
  if (trials?.some((t) => t.start_us !== null && t.end_us !== null)) {
    return trials.map((t, i) => ({
      index: i + 1,
      runtime_s: t.start_us === null || t.end_us === null ? null : (t.end_us - t.start_us) / 1e6,
      inferences: t.iterations,
    }));
  }
  const laps = log?.laps_us ?? [];
  const calls = log?.calls ?? [];
  if (calls.length > 0 && laps.length === 2 * calls.length) {
    return calls.map((call, i) => ({
      index: i + 1,
      runtime_s: ((laps[2 * i + 1] as number) - (laps[2 * i] as number)) / 1e6,
      inferences: call.inferences,
    }));
  }
  return (log?.windows ?? []).map((logged, i) => {
    const print = results?.performanceWindows.find((w) => w.index === i + 1)?.runtime_s ?? null;
    const rounds = print !== null && logged.runtime_s !== null && Math.abs(print.value - logged.runtime_s) <= 0.000_501;
    return { index: i + 1, runtime_s: rounds ? print.value : logged.runtime_s, inferences: logged.inferences };
  });
}
