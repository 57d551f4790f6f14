import type { SessionMessage, SessionRecord } from '../../capture/formats/ptdaemon/session.ts';
import { powerAnalyzers, powerLimits } from '../../scoring/profiles/mlperf-power.ts';
import type { Observation } from '../types.ts';
import type { Check, PowerAnalysis } from './analysis.ts';
import type { ClockFit } from './clocks.ts';
import { officialOn, versionOf, wrongReply } from './official.ts';
import { partPath } from './power-run.ts';

/** Clocks further apart than this are named in every round; the early rounds refused them. */
const NOTED_CLOCK_MS = 200;
/** Both ends of the window are printed in milliseconds. */
const PRINTED_S = 0.001;

/** Checks of the session records of client and server against each other and against the logs. */
export const sessionChecks: Check = (a) => [
  ...incompleteRecords(a),
  ...identity(a),
  ...sources(a),
  ...messages(a),
  ...daemonTalk(a),
  ...daemonConfig(a),
  ...debug(a),
  ...phaseClocks(a),
  ...timeZones(a),
  ...lengths(a),
  ...testingAgainstRanging(a),
  ...marks(a),
];

const clientPath = (a: PowerAnalysis) => partPath(a.run.site, 'power/client.json');
const serverPath = (a: PowerAnalysis) => partPath(a.run.site, 'power/server.json');

function incompleteRecords(a: PowerAnalysis): Observation[] {
  const records: [SessionRecord | null, string][] = [
    [a.run.client, clientPath(a)],
    [a.run.server, serverPath(a)],
  ];
  return records.flatMap(([record, path]) =>
    record === null || record.problems.length === 0
      ? []
      : [
          {
            code: 'power.session-incomplete',
            path,
            message: record.problems.join('; '),
            evidence: { problems: record.problems },
          },
        ],
  );
}

function identity(a: PowerAnalysis): Observation[] {
  const { client, server } = a.run;
  if (client === null || server === null) return [];
  const differing: string[] = [];
  if (client.uuid !== null && server.uuid !== null) {
    if (!sameUuid(client.uuid.client, server.uuid.client)) differing.push('the uuid of the client differs');
    if (!sameUuid(client.uuid.server, server.uuid.server)) differing.push('the uuid of the server differs');
  }
  if (client.sessionName !== null && server.sessionName !== null && client.sessionName !== server.sessionName) {
    differing.push('the session name differs');
  }
  for (const record of [client, server]) differing.push(...ownContradictions(record));
  if (differing.length === 0) return [];
  return [
    {
      code: 'power.session-differs',
      path: clientPath(a),
      message: `client.json and server.json are not of one session: ${differing.join(', ')}`,
      evidence: {
        differing,
        client: { uuid: client.uuid, session: client.sessionName },
        server: { uuid: server.uuid, session: server.sessionName },
        official: officialOn(a.official, differing[0] === 'the session name differs' ? 'session-name' : 'uuid'),
      },
    },
  ];
}

/** What the messages of a record say about its session: `new,<label>,<uuid>` is answered `OK <session>,<uuid>`. */
function ownContradictions({ messages, uuid, sessionName, daemonMessages }: SessionRecord): string[] {
  const found: string[] = [];
  const opened = messages?.find((m) => m.cmd.startsWith('new,'));
  const asked = opened?.cmd.split(',').at(-1);
  const [name, answered] = opened?.reply.replace(/^OK /, '').split(',') ?? [];
  if (uuid !== null && asked !== undefined && !sameUuid(asked, uuid.client))
    found.push('its messages name another client');
  if (uuid !== null && answered !== undefined && !sameUuid(answered, uuid.server))
    found.push('its messages name another server');
  if (sessionName === null) return found;
  if (answered !== undefined && name !== sessionName) found.push('its messages name another session');
  const marks = daemonMessages.flat().flatMap((m) => /^Go,[^,]*,[^,]*,(.*)$/.exec(m.cmd)?.[1] ?? []);
  if (marks.some((mark) => !mark.startsWith(sessionName))) found.push('PTDaemon was given the mark of another session');
  return found;
}

function sameUuid(a: string, b: string): boolean {
  const plain = (uuid: string) => uuid.toLowerCase().replace(/[^0-9a-f]/g, '');
  return plain(a) === plain(b);
}

function sources(a: PowerAnalysis): Observation[] {
  const { client, server } = a.run;
  if (client?.sources == null || server?.sources == null) return [];
  const names = new Set([...Object.keys(client.sources), ...Object.keys(server.sources)]);
  const differing = [...names].filter((n) => client.sources?.[n] !== server.sources?.[n]).sort();
  if (differing.length === 0) return [];
  return [
    {
      code: 'power.sources-differ',
      path: serverPath(a),
      message: `client and server ran different sources: ${differing.slice(0, 10).join(', ')}`,
      evidence: {
        differing: differing.slice(0, 50),
        official: {
          check: 'sources',
          verdict: 'unknown',
          reason:
            'it compares each side with its own list of hashes, which changes with every release, and never the two with each other',
        },
      },
    },
  ];
}

function messages(a: PowerAnalysis): Observation[] {
  const { client, server, rules } = a.run;
  if (client?.messages == null || server?.messages == null) return [];
  const isUpload = (m: SessionMessage) => /^session,[^,]*,upload,/.test(m.cmd);
  const strip = (list: SessionMessage[]) => (rules?.clientUploads === false ? list : list.filter((m) => !isUpload(m)));
  const difference = firstDifference(strip(client.messages), strip(server.messages));
  if (difference === null) return [];
  return [
    {
      code: 'power.messages-differ',
      path: clientPath(a),
      message: `the talk of client and server is recorded differently: ${difference}`,
      evidence: { difference, official: officialOn(a.official, 'messages') },
    },
  ];
}

function firstDifference(client: SessionMessage[], server: SessionMessage[]): string | null {
  const length = Math.min(client.length, server.length);
  for (let i = 0; i < length; i++) {
    const c = client[i] as SessionMessage;
    const s = server[i] as SessionMessage;
    if (c.cmd !== s.cmd) return `message ${i}: "${c.cmd.slice(0, 100)}" and "${s.cmd.slice(0, 100)}"`;
    if (c.cmd !== 'time' && c.reply !== s.reply) {
      return `reply to ${c.cmd.slice(0, 60)}: "${c.reply.slice(0, 100)}" and "${s.reply.slice(0, 100)}"`;
    }
  }
  if (client.length !== server.length) return `${client.length} messages of the client, ${server.length} of the server`;
  const hello = server[0];
  const c = /client v(\d+)$/.exec(hello?.cmd ?? '')?.[1];
  const s = /server v(\d+)$/.exec(hello?.reply ?? '')?.[1];
  return hello !== undefined && c !== s ? `protocol versions v${c} and v${s}` : null;
}

/** PTDaemon's version, its replies, and whether the ranges were restored. */
function daemonTalk(a: PowerAnalysis): Observation[] {
  return (a.run.server?.daemonMessages ?? []).flatMap((list) => [
    ...daemonVersion(a, list),
    ...daemonReplies(a, list),
    ...rangesRestored(a, list),
  ]);
}

function daemonVersion(a: PowerAnalysis, list: SessionMessage[]): Observation[] {
  const identify = list.find((m) => m.cmd === 'Identify')?.reply ?? '';
  const version = versionOf(identify);
  const model = identify.split(',')[0] as string;
  const official = officialOn(a.official, 'ptd-messages');
  const found: Observation[] = [];
  if (version === null) {
    const message = 'PTDaemon did not answer Identify with its version';
    found.push({ code: 'power.daemon-version', path: serverPath(a), message, evidence: { identify, official } });
  } else if (a.run.rules !== null && !a.run.rules.daemonVersions.includes(version)) {
    const allowed = a.run.rules.daemonVersions;
    const message = `PTDaemon ${version}, where round ${a.run.round} knows ${allowed.join(', ')}`;
    found.push({
      code: 'power.daemon-version',
      path: serverPath(a),
      message,
      evidence: { version, allowed, official },
    });
  }
  if (version !== null && !Object.hasOwn(powerAnalyzers, model)) {
    const message = `analyzer ${model.slice(0, 60)} is not on the list of accepted analyzers`;
    found.push({ code: 'power.analyzer', path: serverPath(a), message, evidence: { model, official } });
  }
  return found;
}

function daemonReplies(a: PowerAnalysis, list: SessionMessage[]): Observation[] {
  const wrong = wrongReply(list);
  if (wrong === null) return [];
  const evidence = { wrong, official: officialOn(a.official, 'ptd-messages') };
  return [
    {
      code: 'power.daemon-replies',
      path: serverPath(a),
      message: `PTDaemon answered otherwise than expected: ${wrong}`,
      evidence,
    },
  ];
}

function rangesRestored(a: PowerAnalysis, list: SessionMessage[]): Observation[] {
  const ranges = list.find((m) => m.cmd === 'RR')?.reply.split(',');
  const settings = list.filter((m) => /^SR,[AV],[^,]*$/.test(m.cmd)).map((m) => m.cmd);
  // Settings of single channels have an own RR each; they are not followed here.
  if (ranges?.[0] !== 'Ranges' || ranges.length !== 5 || settings.length === 0) return [];
  const initial = { A: initialRange(ranges[1], ranges[2]), V: initialRange(ranges[3], ranges[4]) };
  const differing = (['A', 'V'] as const).filter((unit) => {
    const last = settings
      .filter((cmd) => cmd.startsWith(`SR,${unit},`))
      .at(-1)
      ?.slice(5);
    return last !== undefined && last !== initial[unit] && Number(last) !== Number(initial[unit]);
  });
  if (differing.length === 0) return [];
  const message = `the analyzer's first ranges (${initial.A} A, ${initial.V} V) were not set again after the session`;
  const evidence = { initial, last: settings.slice(-2), official: officialOn(a.official, 'ptd-messages') };
  return [{ code: 'power.ranges-not-restored', path: serverPath(a), message, evidence }];
}

function initialRange(auto: string | undefined, range: string | undefined): string {
  return auto === '0' && Number(range) > 0 ? (range as string) : 'Auto';
}

function daemonConfig(a: PowerAnalysis): Observation[] {
  const known = Object.values(powerAnalyzers);
  return (a.run.server?.analyzers ?? []).flatMap((config): Observation[] => {
    const type = config.device_type;
    const official = officialOn(a.official, 'ptd-config');
    if (type === null || !known.includes(type)) {
      const message = `device number ${type} is not on the list of accepted analyzers`;
      return [{ code: 'power.analyzer', path: serverPath(a), message, evidence: { device_type: type, official } }];
    }
    if (type !== 77 || config.channel.length === 2) return [];
    const message = `device number 77 needs two channels, found ${config.channel.length}`;
    return [{ code: 'power.analyzer', path: serverPath(a), message, evidence: { channel: config.channel, official } }];
  });
}

function debug(a: PowerAnalysis): Observation[] {
  if (a.run.server?.debug !== true) return [];
  const evidence = { official: officialOn(a.official, 'debug') };
  return [{ code: 'power.debug', path: serverPath(a), message: 'the server ran in debug mode', evidence }];
}

function phaseClocks(a: PowerAnalysis): Observation[] {
  const { client, server, rules } = a.run;
  let worst = { ms: 0, at: '' };
  let unequal: string | null = null;
  for (const mode of ['ranging', 'testing'] as const) {
    const c = client?.[mode];
    const s = server?.[mode];
    if (!c || !s) continue;
    if (c.length !== s.length) unequal = mode;
    for (let k = 0; k < Math.min(c.length, s.length); k++) {
      const ms = Math.abs((c[k] as number) - (s[k] as number)) * 1000;
      if (ms > worst.ms) worst = { ms, at: `phase ${k + 1} of ${mode}` };
    }
  }
  const official = officialOn(a.official, 'phases');
  const found: Observation[] = [];
  if (unequal !== null) {
    const message = `client and server recorded different numbers of phase marks for ${unequal}`;
    found.push({
      code: 'power.phases-incomplete',
      path: clientPath(a),
      message,
      evidence: { mode: unequal, official },
    });
  }
  if (worst.ms <= NOTED_CLOCK_MS) return found;
  const limit_ms = rules?.clockTolerance_ms ?? null;
  const isOver = limit_ms !== null && worst.ms > limit_ms;
  const allowed = limit_ms === null ? '' : ` (round ${a.run.round} allows ${limit_ms} ms)`;
  found.push({
    code: isOver ? 'power.clock-limit' : 'power.clock-difference',
    path: clientPath(a),
    message: `the clocks of client and server are ${worst.ms.toFixed(0)} ms apart at ${worst.at}${allowed}`,
    evidence: { difference_ms: worst.ms, at: worst.at, limit_ms, official },
  });
  return found;
}

/** One finding a kind of offset: the clocks of loadgen and of the power log are usually off together, in both modes. */
function timeZones(a: PowerAnalysis): Observation[] {
  const seen = (['testing', 'ranging'] as const).flatMap((mode) => [
    { mode, clock: 'loadgen', fit: a.clocks[mode].loadgen, part: `${mode}/mlperf_log_detail.txt` },
    { mode, clock: 'power log', fit: a.clocks[mode].samples, part: `${mode}/spl.txt` },
  ]);
  const codes = new Set(seen.map(zoneCode).filter((code) => code !== null));
  return [...codes].map((code) => {
    const clocks = seen.filter((s) => zoneCode(s) === code);
    const first = clocks[0] as ClockSeen;
    const names = clocks.map((c) => `${c.clock} (${c.mode})`).join(', ');
    return {
      code,
      path: partPath(a.run.site, first.part),
      message: `${zoneMessage(code, first.fit)}: ${names}`,
      evidence: {
        clocks: clocks.map((c) => ({ clock: c.clock, mode: c.mode, offset_s: c.fit.offset_s })),
        zones: { client_s: a.run.client?.timezone_s ?? null, server_s: a.run.server?.timezone_s ?? null },
        official: officialOn(a.official, 'phases'),
      },
    };
  });
}

interface ClockSeen {
  mode: 'testing' | 'ranging';
  clock: string;
  fit: ClockFit;
  part: string;
}

function zoneCode({ clock, fit }: ClockSeen): string | null {
  switch (fit.kind) {
    case 'dst':
      return 'power.dst';
    case 'zone':
      return 'power.time-zone';
    case 'other':
      return 'power.time-offset';
    case 'outside':
      return clock === 'loadgen' ? 'power.window-outside' : 'power.samples-outside';
    default:
      return null;
  }
}

function zoneMessage(code: string, fit: ClockFit): string {
  const hours = `${(fit.offset_s ?? 0) / 3600} h`;
  switch (code) {
    case 'power.dst':
      return `times are exactly one hour off the time zones in the records (daylight saving), ${hours} to UTC were applied`;
    case 'power.time-zone':
      return `times are ${fit.offset_s === 0 ? 'UTC' : 'local time'}, otherwise than in the round, ${hours} to UTC were applied`;
    case 'power.time-offset':
      return `times agree with the session records only when shifted by ${hours}, which was applied`;
    default:
      return 'times do not lie within the phase that the session records state, in any time zone';
  }
}

function lengths(a: PowerAnalysis): Observation[] {
  const { testing, ranging } = a;
  if (testing === null) return [];
  const path = partPath(a.run.site, 'testing/mlperf_log_detail.txt');
  const found: Observation[] = [];
  if (testing.duration_s < powerLimits.minDuration_s - PRINTED_S) {
    found.push({
      code: 'power.short-window',
      path,
      message: `the test window lasts ${testing.duration_s.toFixed(3)} s; at least ${powerLimits.minDuration_s} s are demanded`,
      evidence: { duration_s: testing.duration_s, minimum_s: powerLimits.minDuration_s },
    });
  }
  if (ranging !== null && ranging.duration_s > 0 && testing.duration_s < 0.5 * ranging.duration_s) {
    found.push({
      code: 'power.testing-shorter',
      path,
      message: `testing lasts ${testing.duration_s.toFixed(1)} s, less than half of ranging (${ranging.duration_s.toFixed(1)} s)`,
      evidence: {
        testing_s: testing.duration_s,
        ranging_s: ranging.duration_s,
        official: officialOn(a.official, 'phases'),
      },
    });
  }
  return found;
}

/** Average power of testing against ranging, in both directions. */
function testingAgainstRanging(a: PowerAnalysis): Observation[] {
  const testing = a.testing?.power_W ?? null;
  const ranging = a.ranging?.power_W ?? null;
  if (testing === null || ranging === null) return [];
  const difference_pct = (testing / ranging - 1) * 100;
  if (Math.abs(difference_pct) < powerLimits.testingToRanging_pct) return [];
  const isBelow = difference_pct < 0;
  const reason = isBelow ? undefined : 'it refuses only less than -5 %; any increase satisfies "delta > -5"';
  return [
    {
      code: isBelow ? 'power.testing-below-ranging' : 'power.testing-above-ranging',
      path: partPath(a.run.site, 'testing/spl.txt'),
      message: `testing used ${testing.toFixed(6)} W, ${difference_pct.toFixed(2)} % against ranging (${ranging.toFixed(6)} W)`,
      evidence: {
        testing_W: testing,
        ranging_W: ranging,
        difference_pct,
        official: officialOn(a.official, 'phases', reason),
      },
    },
  ];
}

/** The marks of the samples name the session and the mode. */
function marks(a: PowerAnalysis): Observation[] {
  const session = a.run.server?.sessionName ?? a.run.client?.sessionName ?? null;
  return (['ranging', 'testing'] as const).flatMap((mode) => {
    const log = a.run[mode].powerLog;
    if (log === null) return [];
    const odd = log.marks.filter(
      (mark) => !mark.endsWith(`_${mode}`) || (session !== null && !mark.startsWith(session)),
    );
    if (odd.length === 0) return [];
    const message = `samples are marked ${odd.slice(0, 3).join(', ')}, not ${session ?? '<session>'}_${mode}`;
    const code = mode === 'testing' ? 'power.mark-differs' : 'power.ranging-mark-differs';
    return [{ code, path: partPath(a.run.site, `${mode}/spl.txt`), message, evidence: { marks: odd, session } }];
  });
}
