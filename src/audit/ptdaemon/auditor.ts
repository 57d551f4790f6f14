import { powerLogClock } from '../../capture/formats/ptdaemon/blocks.ts';
import { formatPtdTime } from '../../capture/formats/ptdaemon/time.ts';
import type {
  AuditedClaim,
  ClaimAuditor,
  ClaimDraft,
  ClaimSite,
  Comparison,
  Figures,
  Observation,
  Plot,
} from '../types.ts';
import { answersOf } from '../verdict.ts';
import { analyse, type PowerAnalysis } from './analysis.ts';
import { daemonChecks, type SessionAverage, sessionAverage } from './daemon-checks.ts';
import { fileChecks } from './file-checks.ts';
import { findRuns } from './find-runs.ts';
import { claimedThroughput, countedThroughput, loadgenChecks, summaryComparisons } from './loadgen-checks.ts';
import { loadgenFigures, type PowerRun, partPath, readRun } from './power-run.ts';
import { sessionChecks } from './session-checks.ts';
import { traceChecks } from './trace-checks.ts';

const PLOT_POINTS = 300;
/** Findings that a look at the samples explains. */
const plotted = new Set([
  'power.gap',
  'power.coverage',
  'power.samples-nonpositive',
  'power.stuck',
  'power.time-order',
  'power.window-outside',
  'power.samples-outside',
  'power.testing-below-ranging',
  'power.testing-above-ranging',
]);

/** MLPerf Power: runs measured with PTDaemon. docs/findings.md says what the three answers mean for them. */
export const powerAuditor: ClaimAuditor = {
  id: 'power',
  find: findRuns,
  audit: auditPower,
};

async function auditPower(site: ClaimSite): Promise<AuditedClaim> {
  const run = await readRun(site);
  const analysis = analyse(run);
  const averages = { testing: sessionAverage(analysis, 'testing'), ranging: sessionAverage(analysis, 'ranging') };
  const observations = [
    ...run.problems,
    ...(await fileChecks(analysis)),
    ...loadgenChecks(analysis),
    ...traceChecks(analysis),
    ...daemonChecks(analysis),
    ...sessionChecks(analysis),
    ...averageFindings(analysis, 'testing', averages.testing),
    ...averageFindings(analysis, 'ranging', averages.ranging),
    ...roundFinding(analysis),
  ];
  return {
    draft: draftOf(analysis, observations, averages.testing),
    observations,
    facts: { evidenceSha: isInferred(run) ? null : evidenceSha(run) },
  };
}

/**
 * Is the result submitted for another scenario than the run was made for? Then the rules have the run copied there, and
 * that is no second submission of it.
 */
function isInferred(run: PowerRun): boolean {
  const measured = loadgenFigures(run.testing.loadgen).scenario;
  return run.scenario !== null && measured !== null && run.scenario !== measured;
}

/** Tells whether two claims rest on one power log. */
function evidenceSha(run: PowerRun): string | null {
  const sha1 = run.sha1.get('testing/spl.txt');
  return sha1 === undefined || !run.testing.powerLog?.length ? null : `sha1:${sha1}`;
}

function averageFindings(a: PowerAnalysis, mode: 'ranging' | 'testing', average: SessionAverage | null): Observation[] {
  if (average === null) return [];
  const { comparison, line, samples, samplesInLog, verdict } = average;
  const path = partPath(a.run.site, `${mode}/spl.txt`);
  const evidence = { ...comparison, line, samples, samplesInLog };
  if (verdict === 'differs') {
    const code = mode === 'testing' ? 'power.session-average-differs' : 'power.ranging-average-differs';
    const message = `the samples of ${mode} average ${comparison.recomputed} W; PTDaemon averaged the same ${samples} samples to ${comparison.printed} W (line ${line})`;
    return [{ code, path, message, evidence }];
  }
  if (verdict !== 'other-count' || mode === 'ranging') return [];
  const message = `${samplesInLog} usable samples in spl.txt of ${mode}; PTDaemon counted ${samples} (line ${line}) and its average cannot come from these`;
  return [{ code: 'power.sample-count', path, message, evidence }];
}

function roundFinding({ run }: PowerAnalysis): Observation[] {
  if (run.rules !== null) return [];
  const message =
    run.round === null
      ? 'neither the path nor loadgen tells the round'
      : `the rules of round ${run.round} are not known to Joulemark`;
  return [{ code: 'power.round-unknown', path: run.site.path, message, evidence: { round: run.round } }];
}

function draftOf(a: PowerAnalysis, observations: Observation[], average: SessionAverage | null): ClaimDraft {
  const { run, metrics, testing } = a;
  const { site } = run;
  const power_W = testing?.power_W ?? null;
  const answers = answersOf(observations.map((o) => o.code));
  const recomputed: Figures = {
    meanPower_W: power_W,
    energyPerQuery_mJ: metrics?.energyPerQuery_mJ ?? null,
    inferencesPerJoule: metrics?.samplesPerJoule ?? null,
    throughput_ips: countedThroughput(a),
  };
  const isSupported = answers.evidence === 'supports' && answers.arithmetic !== 'none';
  const failed = a.official.filter((check) => check.verdict === 'fail');
  return {
    ...site.place,
    round: run.round,
    id: site.id,
    auditor: site.auditor,
    path: site.path,
    mode: site.mode,
    claimed: { meanPower_W: null, energyPerQuery_mJ: null, throughput_ips: claimedThroughput(a) },
    recomputed,
    supported: isSupported ? recomputed : {},
    windows: {
      claimed: 1,
      recomputable: power_W === null ? 0 : 1,
      exact: power_W !== null && answers.arithmetic === 'exact' ? 1 : 0,
    },
    officialVerdict: { pass: failed.length === 0, reasons: failed.map((check) => `${check.name}: ${check.reason}`) },
    comparisons: comparisonsOf(a, average),
    measured: measuredOf(a),
    ...(observations.some((o) => plotted.has(o.code)) ? { plots: plotsOf(a) } : {}),
  };
}

function comparisonsOf({ run }: PowerAnalysis, average: SessionAverage | null): Comparison[] {
  const { loadgen, summary } = run.testing;
  return [...(average === null ? [] : [average.comparison]), ...summaryComparisons(loadgen, summary)];
}

function measuredOf(a: PowerAnalysis): Record<string, unknown> {
  const { run, testing, ranging, metrics } = a;
  const identify = run.server?.daemonMessages[0]?.find((m) => m.cmd === 'Identify')?.reply.split(',') ?? [];
  return {
    evidenceSha: evidenceSha(run),
    duration_s: testing?.duration_s ?? null,
    samples: testing?.samples ?? null,
    samplesLeftOut: testing?.unusable ?? null,
    energy_J: metrics?.energy_J ?? null,
    queries: metrics?.queries ?? null,
    samplesPerQuery: metrics?.samplesPerQuery ?? null,
    rangingPower_W: ranging?.power_W ?? null,
    scenario: run.scenario,
    loadgenScenario: run.testing.loadgen?.values.get('effective_scenario') ?? null,
    analyzer: identify[0] ?? null,
    daemonVersion: run.daemons[0]?.version ?? null,
    clocks: a.clocks.testing,
    official: a.official,
  };
}

/** The power of the whole measurement, reduced to its extremes in equal stretches of time. */
function plotsOf(a: PowerAnalysis): Plot[] {
  const log = a.run.testing.powerLog;
  if (log === null || a.testing === null || log.length === 0) return [];
  const origin = (log.time_ms[0] as number) + a.shift_ms;
  const size = Math.max(1, Math.ceil(log.length / PLOT_POINTS));
  const points: [number, number, number][] = [];
  for (let i = 0; i < log.length; i += size) {
    const watts = [...log.watts.subarray(i, i + size)].filter((w) => !Number.isNaN(w));
    if (watts.length === 0) continue;
    const lowest = watts.reduce((m, w) => Math.min(m, w));
    const highest = watts.reduce((m, w) => Math.max(m, w));
    points.push([((log.time_ms[i] as number) + a.shift_ms - origin) / powerLogClock.tickHz, lowest, highest]);
  }
  const span = [a.testing.begin_ms, a.testing.end_ms].map((t) => (t - origin) / powerLogClock.tickHz);
  const title = `Power of the measurement from ${formatPtdTime(log.time_ms[0] as number)}`;
  const spans: Plot['spans'] = [{ label: 'claimed', from: span[0] as number, to: span[1] as number }];
  return [{ title, x: 'time in s', y: 'power in W', points, spans }];
}
