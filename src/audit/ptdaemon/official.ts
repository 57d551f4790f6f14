import type { PowerLog } from '../../capture/formats/ptdaemon/power-log.ts';
import type { SessionMessage } from '../../capture/formats/ptdaemon/session.ts';
import { powerAnalyzers } from '../../scoring/profiles/mlperf-power.ts';
import { requiredFiles } from './find-runs.ts';
import type { PowerMode, PowerRun } from './power-run.ts';

/**
 * The checks of the official checker (compliance/check.py of mlcommons/power-dev, the same file as
 * tools/submission/power/power_checker.py of mlcommons/inference), reproduced with their defects, so that an audit can
 * say where its answer differs and why. The lists of source hashes change with each release and are not evaluated.
 */
export type OfficialCheckName =
  | 'ptd-messages'
  | 'uuid'
  | 'session-name'
  | 'phases'
  | 'messages'
  | 'results'
  | 'ptd-logs'
  | 'ptd-config'
  | 'debug';

export interface OfficialCheck {
  name: OfficialCheckName;
  /** `warning` counts as passed. */
  verdict: 'pass' | 'warning' | 'fail';
  reason: string;
}

export type OfficialReport = OfficialCheck[];

/** TIME_DELTA_TOLERANCE = 800, meant as milliseconds. */
const TOLERANCE_MS = 800;
const SUPPORTED_VERSION = '1.11.1';
const ACCEPTED_RANGING_ERRORS = [
  "Can't evaluate uncertainty of this sample!",
  'Bad watts reading nan from ',
  'Bad amps reading nan from ',
  'Bad pf reading nan from ',
  'Bad volts reading nan from ',
  'Current appears to be too high for set range',
];

/** The official checker's verdict on each of its checks. */
export function officialReport(run: PowerRun): OfficialReport {
  const checks: [OfficialCheckName, (run: PowerRun) => Answer][] = [
    ['ptd-messages', daemonMessages],
    ['uuid', uuids],
    ['session-name', sessionNames],
    ['phases', phases],
    ['messages', messages],
    ['results', results],
    ['ptd-logs', daemonLog],
    ['ptd-config', daemonConfig],
    ['debug', debug],
  ];
  return checks.map(([name, check]) => {
    const { verdict, reason } = check(run);
    return { name, verdict, reason };
  });
}

/** The `official` field of a finding's evidence. */
export function officialOn(report: OfficialReport, name: OfficialCheckName, because?: string) {
  const check = report.find((c) => c.name === name) as OfficialCheck;
  return { check: name, verdict: check.verdict, reason: because ?? check.reason };
}

interface Answer {
  verdict: OfficialCheck['verdict'];
  reason: string;
}

const pass = (reason: string): Answer => ({ verdict: 'pass', reason });
const warn = (reason: string): Answer => ({ verdict: 'warning', reason });
const fail = (reason: string): Answer => ({ verdict: 'fail', reason });
const noRecords = fail('ends with an exception: client.json or server.json cannot be read');

function daemonMessages(run: PowerRun): Answer {
  if (run.server === null) return noRecords;
  const list = run.server.daemonMessages[0] ?? [];
  const identify = list.find((m) => m.cmd === 'Identify')?.reply ?? '';
  const version = versionOf(identify);
  if (version !== SUPPORTED_VERSION) {
    return fail(
      `accepts PTDaemon ${SUPPORTED_VERSION} only, found ${version ?? 'none'} (every older round fails this)`,
    );
  }
  const model = identify.split(',')[0] as string;
  if (!Object.hasOwn(powerAnalyzers, model)) return fail(`analyzer ${model} is not in its list`);
  const wrong = wrongReply(list);
  return wrong === null ? pass('version, analyzer and replies are as it expects') : fail(wrong);
}

/** `version=1.9.2-e8c7a49a-20201208` */
export function versionOf(identify: string): string | null {
  return /version=([^,-]+)-/.exec(identify)?.[1] ?? null;
}

/** The first reply of the analyzer that is not the one expected, or null. */
export function wrongReply(list: SessionMessage[]): string | null {
  let stops = 0;
  for (const { cmd, reply } of list) {
    const expected = expectedReply(cmd, cmd === 'Stop' ? ++stops : stops);
    if (expected !== null && reply.trim() !== expected)
      return `${cmd}: expected "${expected}", found "${reply.slice(0, 120)}"`;
  }
  return null;
}

function expectedReply(cmd: string, stops: number): string | null {
  if (cmd.startsWith('SR,A')) return 'Range A changed';
  if (cmd.startsWith('SR,V')) return 'Range V changed';
  if (cmd.startsWith('Go,1000,')) {
    return 'Starting untimed measurement, maximum 500000 samples at 1000ms with 0 rampup samples';
  }
  if (cmd === 'Stop') return stops === 3 ? 'Error: no measurement to stop' : 'Stopping untimed measurement';
  return null;
}

function uuids({ client, server }: PowerRun): Answer {
  if (client?.uuid == null || server?.uuid == null) return noRecords;
  const same = client.uuid.client === server.uuid.client && client.uuid.server === server.uuid.server;
  return same ? pass('the identifiers are equal') : fail('the identifiers differ');
}

function sessionNames({ client, server }: PowerRun): Answer {
  if (client === null || server === null) return noRecords;
  return client.sessionName === server.sessionName ? pass('the names are equal') : fail('the names differ');
}

function phases(run: PowerRun): Answer {
  const { client, server } = run;
  if (client === null || server === null) return noRecords;
  for (const mode of ['ranging', 'testing'] as const) {
    const problem = phaseProblem(run, mode);
    if (problem !== null) return fail(problem);
  }
  const lengths = [run.ranging, run.testing].map((mode) => duration_s(mode)) as [number, number];
  if ((lengths[0] - lengths[1]) / lengths[0] > 0.5) return warn('testing is over 50 % shorter than ranging');
  const delta = officialDelta_pct(run);
  if (delta === null) return fail('no average power for ranging or testing');
  return delta > -5
    ? pass(`testing is ${delta} % against ranging; only less than -5 % would fail`)
    : fail(`testing is ${delta} % against ranging`);
}

function phaseProblem(run: PowerRun, mode: 'ranging' | 'testing'): string | null {
  const c = run.client?.[mode];
  const s = run.server?.[mode];
  if (!c || !s || c.length !== s.length || c.length < 4) return `the phase marks of ${mode} are missing or not as many`;
  for (const [k, t] of c.entries()) {
    const difference = Math.abs(t - (s[k] as number)) * 1000;
    if (difference > TOLERANCE_MS) return `phase ${k + 1} of ${mode}: clocks ${difference.toFixed(0)} ms apart`;
  }
  const { powerBegin_ms, powerEnd_ms } = run[mode].loadgen ?? { powerBegin_ms: null, powerEnd_ms: null };
  if (powerBegin_ms === null || powerEnd_ms === null) return `no power_begin or power_end in ${mode}`;
  const [, from, to] = c as [number, number, number];
  const inside = (t: number) => (from < t && t < to) || (from < t - 3600 && t - 3600 < to);
  if (!inside(powerBegin_ms / 1000)) return `power_begin of ${mode}, read as UTC, is not within the phase`;
  if (!inside(powerEnd_ms / 1000)) return `power_end of ${mode}, read as UTC, is not within the phase`;
  return null;
}

function duration_s(mode: PowerMode): number {
  return ((mode.loadgen?.powerEnd_ms ?? 0) - (mode.loadgen?.powerBegin_ms ?? 0)) / 1000;
}

/** Average power of testing against ranging as the checker rounds it; no time zone is applied. */
function officialDelta_pct(run: PowerRun): number | null {
  const [ranging, testing] = [run.ranging, run.testing].map((mode) => officialMean(mode)) as [number, number];
  if (!(ranging > 0) || !(testing > 0)) return null;
  return Math.round((testing / ranging - 1) * 10_000) / 100;
}

function officialMean({ powerLog, loadgen }: PowerMode): number {
  const begin = loadgen?.powerBegin_ms ?? null;
  const end = loadgen?.powerEnd_ms ?? null;
  if (powerLog === null || begin === null || end === null) return -1;
  return meanAboveZero(powerLog, begin, end);
}

function meanAboveZero(log: PowerLog, begin: number, end: number): number {
  let sum = 0;
  let n = 0;
  for (let i = 0; i < log.length; i++) {
    const t = log.time_ms[i] as number;
    const w = log.watts[i] as number;
    if (t > begin && t < end && w > 0) {
      sum += w;
      n++;
    }
  }
  return n === 0 ? -1 : sum / n;
}

function messages({ client, server }: PowerRun): Answer {
  const mc = client?.messages;
  const ms = server?.messages;
  if (mc == null || ms == null) return noRecords;
  if (mc.length !== ms.length) return fail(`${mc.length} messages of the client, ${ms.length} of the server`);
  for (const [i, m] of mc.entries()) {
    const other = ms[i] as SessionMessage;
    if (m.cmd !== other.cmd) return fail(`command ${i} differs`);
    if (m.cmd !== 'time' && m.reply !== other.reply) return fail(`reply ${i} differs`);
  }
  const clientVersion = /mlcommons\/power client v(\d+)$/.exec(ms[0]?.cmd ?? '')?.[1];
  const serverVersion = /mlcommons\/power server v(\d+)$/.exec(ms[0]?.reply ?? '')?.[1];
  const same = clientVersion !== undefined && clientVersion === serverVersion;
  return same ? pass('commands and replies are equal') : fail('client and server speak different versions');
}

/** The nine files whose SHA-1 it demands, as they are. */
function results(run: PowerRun): Answer {
  const { client, server, site } = run;
  if (client?.results == null || server?.results == null) return noRecords;
  const expected = { ...client.results, ...server.results };
  for (const part of requiredFiles) {
    if (part === 'power/client.json' || part === 'power/server.json') continue;
    const name = part.replace(/^testing\//, 'run_1/');
    const found = run.sha1.get(part);
    if (site.files[part] === undefined || found === undefined) return fail(`${name} is missing`);
    if (!Object.hasOwn(expected, name)) return fail(`no SHA-1 of ${name} in the records`);
    if (expected[name] !== found) return fail(`SHA-1 of ${name} differs`);
  }
  return pass('all SHA-1 are equal');
}

function daemonLog(run: PowerRun): Answer {
  const log = run.daemons[0];
  if (log === undefined || run.server === null)
    return fail('ends with an exception: ptd_logs.txt or server.json is missing');
  const ranging = log.measurements.find((m) => m.mark === `${run.server?.sessionName}_ranging`);
  if (ranging === undefined || ranging.completed_ms === null) return fail('no ranging time in ptd_logs.txt');
  if (log.uncertaintyActivated === null) return fail('no line that says that uncertainty checking is activated');
  if (!(log.uncertaintyActivated.time_ms < ranging.go_ms))
    return fail('uncertainty checking was activated after ranging began');
  const begin = run.testing.loadgen?.powerBegin_ms ?? null;
  const end = run.testing.loadgen?.powerEnd_ms ?? null;
  if (begin === null || end === null) return fail('no power_begin or power_end in run_1');
  return firstMessage(run, ranging.go_ms, ranging.completed_ms, begin, end);
}

/** Reads warnings and errors in their order and stops at the first that raises anything, as the checker does. */
function firstMessage(run: PowerRun, rangingFrom: number, rangingTo: number, begin: number, end: number): Answer {
  const log = run.daemons[0] as NonNullable<PowerRun['daemons'][0]>;
  // The tolerance is in milliseconds, the times in the checker are in seconds.
  const from = begin + TOLERANCE_MS * 1000;
  const to = end - TOLERANCE_MS * 1000;
  const reads = to > from ? `reads warnings only from begin + ${TOLERANCE_MS} s to end - ${TOLERANCE_MS} s` : null;
  const span = reads ?? `reads warnings from begin + ${TOLERANCE_MS} s to end - ${TOLERANCE_MS} s, which is empty here`;
  const events: { time_ms: number; answer: Answer }[] = [];
  const warning = (time_ms: number, answer: Answer) => {
    if (time_ms > from && time_ms < to) events.push({ time_ms, answer });
  };
  const { uncertain } = log;
  const isNewer = uncertain.newerWording > 0;
  for (const t of uncertain.time_ms) {
    warning(
      t,
      isNewer
        ? fail('uncertainty above 1.00 % in the load window')
        : warn('an uncertainty warning that it only warns of'),
    );
  }
  for (const t of log.unknown_ms) warning(t, warn('uncertainty unknown in the load window'));
  for (const w of log.warnings) warning(w.time_ms, warn(`warning in the load window: ${w.text}`));
  const errors = [
    ...log.errors,
    ...[...log.notEvaluated_ms].map((time_ms) => ({ time_ms, text: ACCEPTED_RANGING_ERRORS[0] as string })),
  ];
  for (const { time_ms, text } of errors) {
    if (text.startsWith('USB.')) events.push({ time_ms, answer: warn('an accepted USB error') });
    else if (!(time_ms > rangingFrom && time_ms < rangingTo)) {
      events.push({ time_ms, answer: fail(`error outside ranging: ${text}`) });
    } else if (!ACCEPTED_RANGING_ERRORS.some((accepted) => text.startsWith(accepted))) {
      events.push({ time_ms, answer: warn(`unusual error while ranging: ${text}`) });
    }
  }
  events.sort((a, b) => a.time_ms - b.time_ms);
  return events[0]?.answer ?? pass(span);
}

function daemonConfig({ server }: PowerRun): Answer {
  if (server === null) return noRecords;
  if (!server.analyzersAreList) return fail('ends with an exception: it expects ptd_config to be a list of analyzers');
  const known = Object.values(powerAnalyzers);
  const odd = server.analyzers.find((a) => a.device_type === null || !known.includes(a.device_type));
  if (odd !== undefined) return fail(`device number ${odd.device_type} is not in its list`);
  const narrow = server.analyzers.find((a) => a.device_type === 77 && a.channel.length !== 2);
  return narrow === undefined ? pass('device numbers are in its list') : fail('device 77 needs two channels');
}

function debug({ server }: PowerRun): Answer {
  if (server === null) return noRecords;
  return server.debug ? fail('the server ran in debug mode') : pass('debug is off');
}
