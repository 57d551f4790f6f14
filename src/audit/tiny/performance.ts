import { dirname, resolve } from 'node:path';
import { type EnergyRunnerResults, readResults } from '../../capture/formats/energyrunner/results.ts';
import { findProfile } from '../../scoring/profiles/index.ts';
import { Case, maxWindows, medianOrNull } from '../case.ts';
import { compare, countWindows } from '../compare.ts';
import type { AuditedClaim, ClaimSite } from '../types.ts';
import { checkInputs, checkLayout, checkLog, checkModel, checkWindows, simulatedMark } from './rules.ts';
import { type RunLog, readRunLog } from './run-log.ts';

/** A window of a performance run by the timestamps that the device printed. */
interface LapWindow {
  index: number;
  runtime_s: number;
  inferences: number | null;
  /** Between the log lines of both timestamps, by the host's clock. */
  host_s: number;
}

/**
 * How far the device's clock and the host's may differ over one window. Both lines of a window travel over the same
 * UART at the same speed, so their delays cancel but for the queue in front of them.
 */
const lapTolerance_s = 1;
const lapTolerance_rel = 0.1;

/** Audits a performance run of EnergyRunner: the windows between the timestamps that the device printed. */
export async function auditPerformance(site: ClaimSite): Promise<AuditedClaim> {
  const audit = new Case(site);
  const logPath = site.files['er-log'];
  const resultsPath = audit.resultsFile(site.files['er-results'], logPath);
  const log = logPath ? await audit.read('log.unreadable', logPath, () => readRunLog(logPath)) : null;
  const results = resultsPath
    ? await audit.read('results.unreadable', resultsPath, () => readResults(resultsPath))
    : null;
  const windows = log ? lapWindows(log) : [];
  comparePerformance(audit, results, windows);
  if (!logPath) audit.observe('log.missing', site.path, 'there is no log');
  audit.judgeArithmetic(log === null ? 'without the log' : 'timestamps of the device are missing in the log');
  if (log && logPath) {
    checkLog(audit, log, logPath);
    checkModel(audit, log.config.model ?? null, log.dutModel, log.calls, logPath);
    checkLaps(audit, log, windows, logPath);
  }
  const profile = findProfile(site.place.benchmark ?? log?.config.model ?? log?.dutModel ?? '');
  const ran =
    windows.length > 0
      ? windows.map((w) => ({ index: w.index, duration_s: w.runtime_s, iterations: w.inferences }))
      : (results?.performanceWindows ?? []).map((w) => ({
          index: w.index,
          duration_s: w.runtime_s?.value ?? null,
          iterations: w.inferences?.value ?? null,
        }));
  checkWindows(audit, profile, ran, resultsPath ?? site.path);
  if (log && logPath) checkInputs(audit, profile, log.calls, logPath);
  checkLayout(audit, 'energyrunner');
  const mark = simulatedMark(audit, log?.dutName ?? null);
  if (mark !== null) audit.observe('claim.simulated', site.path, `marked as simulated: ${mark}`, { mark });
  if (!audit.has('clock.lap-vs-host') && !audit.has('log.laps-lost')) {
    audit.supported.throughput_ips = audit.recomputed.throughput_ips ?? null;
  }
  audit.facts.run = dirname(resolve(site.path));
  audit.facts.throughput_ips = audit.recomputed.throughput_ips ?? audit.claimed.throughput_ips ?? null;
  audit.measured.session = log?.sessionId ?? null;
  audit.measured.runnerVersion = log?.runnerVersion ?? null;
  return audit.result(countWindows(audit.windows));
}

/**
 * Windows of the published pairing: all timestamps of the device in order, the first is the handshake; window k
 * (2, 4, 6...) lies between k - 1 and k.
 */
function lapWindows(log: RunLog): LapWindow[] {
  const laps = log.laps.flatMap((lap, i) =>
    lap.from === 'dut' ? [{ microseconds: lap.microseconds, time_s: log.lapTimes_s[i] as number }] : [],
  );
  const windows: LapWindow[] = [];
  for (let k = 2; k < laps.length; k += 2) {
    const [from, to] = [laps[k - 1], laps[k]] as [(typeof laps)[0], (typeof laps)[0]];
    windows.push({
      index: k,
      // The counter has 32 bits and may have begun anew in between.
      runtime_s: ((to.microseconds < from.microseconds ? 2 ** 32 : 0) + to.microseconds - from.microseconds) / 1e6,
      inferences: log.calls[k / 2 - 1]?.inferences ?? null,
      host_s: to.time_s - from.time_s,
    });
  }
  return windows;
}

function comparePerformance(audit: Case, results: EnergyRunnerResults | null, windows: LapWindow[]): void {
  const indices = new Set([
    ...(results?.performanceWindows.length ? windows.map((w) => w.index) : []),
    ...(results?.performanceWindows.map((w) => w.index) ?? []),
  ]);
  for (const index of [...indices].sort((a, b) => a - b).slice(0, maxWindows)) {
    const print = results?.performanceWindows.find((w) => w.index === index);
    const found = windows.find((w) => w.index === index);
    const runtime_s = found?.runtime_s ?? null;
    const n = found?.inferences ?? null;
    audit.windows.push([
      compare(`window ${index}: # inferences`, print?.inferences ?? null, n),
      compare(`window ${index}: runtime`, print?.runtime_s ?? null, runtime_s),
      compare(
        `window ${index}: throughput`,
        print?.throughput_ips ?? null,
        runtime_s === null || n === null ? null : n / runtime_s,
      ),
    ]);
  }
  // Of a single window EnergyRunner prints no median.
  const only = results?.performanceWindows.length === 1 ? results.performanceWindows[0] : undefined;
  const throughput = medianOrNull(windows.map((w) => (w.inferences === null ? null : w.inferences / w.runtime_s)));
  audit.figure(
    'throughput_ips',
    'median throughput',
    results?.medianThroughput_ips ?? only?.throughput_ips ?? null,
    throughput,
  );
}

/** Timestamps of the device against the inferences of the script, and its clock against the host's. */
function checkLaps(audit: Case, log: RunLog, windows: LapWindow[], path: string): void {
  const laps = log.laps.filter((lap) => lap.from === 'dut').length;
  const expected = 1 + 2 * log.calls.length;
  if (laps !== expected) {
    const message = `${laps} timestamps of the device where ${log.calls.length} inferences and a handshake make ${expected}`;
    audit.observe('log.laps-lost', path, message, { laps, expected });
  }
  const off = windows.filter(
    (w) => Math.abs(w.host_s - w.runtime_s) > Math.max(lapTolerance_s, lapTolerance_rel * w.host_s),
  );
  const worst = off.toSorted((a, b) => Math.abs(b.host_s - b.runtime_s) - Math.abs(a.host_s - a.runtime_s))[0];
  if (worst !== undefined) {
    const message = `window ${worst.index} lasts ${worst.runtime_s.toFixed(3)} s by the device's clock, ${worst.host_s.toFixed(3)} s by the log's`;
    audit.observe('clock.lap-vs-host', path, message, { windows: off.slice(0, 20) });
  }
}
