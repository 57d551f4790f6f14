import { basename, join, resolve, sep } from 'node:path';
import { type DaemonLog, readDaemonLog } from '../../capture/formats/ptdaemon/daemon-log.ts';
import {
  type LoadgenLog,
  type LoadgenSummary,
  readLoadgenLog,
  readLoadgenSummary,
} from '../../capture/formats/ptdaemon/loadgen-log.ts';
import { type PowerLog, readPowerLog } from '../../capture/formats/ptdaemon/power-log.ts';
import { sha1OfFile } from '../../capture/formats/ptdaemon/scan.ts';
import { readSession, type SessionRecord } from '../../capture/formats/ptdaemon/session.ts';
import {
  type LoadgenFigures,
  type PowerRound,
  type PowerScenario,
  powerRound,
  powerScenario,
} from '../../scoring/profiles/mlperf-power.ts';
import type { ClaimSite, Observation } from '../types.ts';
import { reasonOf } from '../walk.ts';

/** What one mode (ranging or testing) left. */
export interface PowerMode {
  powerLog: PowerLog | null;
  loadgen: LoadgenLog | null;
  summary: LoadgenSummary | null;
}

/** Everything that the folder of a PTDaemon run holds, read. Null: missing or unreadable (then `problems` says why). */
export interface PowerRun {
  site: ClaimSite;
  round: string | null;
  rules: PowerRound | null;
  /** As the path names it. */
  scenario: PowerScenario | null;
  testing: PowerMode;
  ranging: PowerMode;
  client: SessionRecord | null;
  server: SessionRecord | null;
  daemons: DaemonLog[];
  /** SHA-1 of the files as they are, by part name. */
  sha1: Map<string, string>;
  problems: Observation[];
}

/** Full path of a part of the run; the run folder where the part is missing. */
export function partPath(site: ClaimSite, part: string): string {
  const relative = site.files[part];
  return relative === undefined ? site.path : join(site.path, relative);
}

/** Reads all files of a run, one after the other and streamed. Never throws for bad input. */
export async function readRun(site: ClaimSite): Promise<PowerRun> {
  const reader = new RunReader(site);
  const ranging = await reader.mode('ranging');
  const testing = await reader.mode('testing');
  const client = await reader.session('power/client.json');
  const server = await reader.session('power/server.json');
  const daemons = await reader.daemons();
  for (const part of ['power/client.json', 'power/client.log', 'power/server.log']) await reader.hashOnly(part);
  const round = site.place.round ?? roundOfFolder(site.path) ?? roundOfLoadgen(testing.loadgen);
  return {
    site,
    round,
    rules: powerRound(round),
    scenario: scenarioOf(site.path),
    testing,
    ranging,
    client,
    server,
    daemons,
    sha1: reader.sha1,
    problems: reader.problems,
  };
}

class RunReader {
  readonly sha1 = new Map<string, string>();
  readonly problems: Observation[] = [];
  private readonly site: ClaimSite;

  constructor(site: ClaimSite) {
    this.site = site;
  }

  async mode(mode: 'ranging' | 'testing'): Promise<PowerMode> {
    return {
      powerLog: await this.scanned(`${mode}/spl.txt`, readPowerLog),
      loadgen: await this.scanned(`${mode}/mlperf_log_detail.txt`, readLoadgenLog),
      summary: await this.scanned(`${mode}/mlperf_log_summary.txt`, readLoadgenSummary),
    };
  }

  async session(part: string): Promise<SessionRecord | null> {
    return this.attempt(part, 'power.session-unreadable', readSession);
  }

  async daemons(): Promise<DaemonLog[]> {
    const parts = Object.keys(this.site.files).filter((part) => part.startsWith('power/ptd_logs.txt'));
    const logs: DaemonLog[] = [];
    for (const part of parts) {
      const log = await this.scanned(part, readDaemonLog, 'power.daemon-log-unusable');
      if (log !== null) logs.push(log);
    }
    return logs;
  }

  async hashOnly(part: string): Promise<void> {
    const sha1 = await this.attempt(part, 'tree.unreadable', sha1OfFile);
    if (sha1 !== null) this.sha1.set(part, sha1);
  }

  private async scanned<T extends { file: { sha1: string } }>(
    part: string,
    read: (path: string) => Promise<T>,
    code = 'tree.unreadable',
  ): Promise<T | null> {
    const result = await this.attempt(part, code, read);
    if (result !== null) this.sha1.set(part, result.file.sha1);
    return result;
  }

  private async attempt<T>(part: string, code: string, read: (path: string) => Promise<T>): Promise<T | null> {
    if (this.site.files[part] === undefined) return null;
    const path = partPath(this.site, part);
    try {
      return await read(path);
    } catch (error) {
      const reason = reasonOf(error);
      this.problems.push({ code, path, message: `cannot be read (${reason})`, evidence: { reason } });
      return null;
    }
  }
}

/** `v11_...`: the folder of a run that was taken out of its repository. */
function roundOfFolder(path: string): string | null {
  const m = /^v(\d)(\d)_/i.exec(basename(resolve(path)));
  const round = m === null ? null : `v${m[1]}.${m[2]}`;
  return powerRound(round) === null ? null : round;
}

/** The release of loadgen names the round; the one of v1.0 still called itself `.5a1`. */
function roundOfLoadgen(loadgen: LoadgenLog | null): string | null {
  const version = loadgen?.values.get('loadgen_version');
  if (typeof version !== 'string') return null;
  if (version.startsWith('.5a1')) return 'v1.0';
  const release = /^(\d+\.\d+)\b/.exec(version)?.[1];
  const round = release === undefined ? null : `v${release}`;
  return powerRound(round) === null ? null : round;
}

/** `.../<benchmark>/<scenario>/performance` */
function scenarioOf(path: string): PowerScenario | null {
  const names = resolve(path).split(sep).slice(-3).reverse();
  for (const name of names) {
    const scenario = powerScenario(name);
    if (scenario !== null) return scenario;
  }
  return null;
}

/** Loadgen's figures in the form that the metrics take. */
export function loadgenFigures(loadgen: LoadgenLog | null): LoadgenFigures {
  const numeric = (key: string): number | null => {
    const value = loadgen?.values.get(key);
    return typeof value === 'number' && Number.isFinite(value) ? value : null;
  };
  const scenario = loadgen?.values.get('effective_scenario');
  return {
    scenario: powerScenario(typeof scenario === 'string' ? scenario : null),
    queryCount: numeric('result_query_count'),
    generatedQueries: numeric('generated_query_count'),
    generatedSamplesPerQuery: numeric('generated_samples_per_query'),
    samplesPerQuery: numeric('effective_samples_per_query'),
    queriesPerSecond: numeric('result_qps_with_loadgen_overhead'),
    queriesPerSecondWithoutOverhead: numeric('result_qps_without_loadgen_overhead'),
    meanQueryLatency_ns: numeric('result_mean_query_latency_ns'),
    samplesPerSecond: numeric('result_samples_per_second'),
    scheduledSamplesPerSecond: numeric('result_scheduled_samples_per_sec'),
    completedSamplesPerSecond: numeric('result_completed_samples_per_sec'),
  };
}
