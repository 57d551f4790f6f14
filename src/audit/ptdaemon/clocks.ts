import type { PowerLog } from '../../capture/formats/ptdaemon/power-log.ts';
import type { PhaseMarks, SessionRecord } from '../../capture/formats/ptdaemon/session.ts';
import type { PowerMode, PowerRun } from './power-run.ts';

const HOUR_S = 3600;
const QUARTER_S = 900;
/** Zones lie between UTC-12 and UTC+14; one hour more for daylight saving. */
const FARTHEST_S = 15 * HOUR_S;
/** Client and loadgen run on one host; where only the server's marks are left, its clock may differ this much. */
const LOADGEN_SLACK_S = 1;
/** The first reading comes up to one interval after `Go`, the last one up to one after `Stop`. */
const SAMPLE_SLACK_S = 3;

/**
 * How a clock that names no time zone relates to UTC: `expected` as the round prescribes, `zone` local time where UTC
 * is prescribed (or the other way round), `dst` exactly one hour beside one of both, `other` another whole number of
 * quarter hours, `outside` none that fits, `unknown` nothing to compare with.
 */
export interface ClockFit {
  kind: 'expected' | 'zone' | 'dst' | 'other' | 'outside' | 'unknown';
  /** Add to the clock's times to get UTC; null where no offset fits. */
  offset_s: number | null;
}

/** The clocks of one mode and the shift that brings its power samples onto the clock of loadgen. */
export interface ModeClocks {
  loadgen: ClockFit;
  samples: ClockFit;
  shift_ms: number;
  /** The shift that the published arithmetic applies. */
  publishedShift_ms: number;
}

/** Fits both clocks of a mode to the phase marks in the session records. */
export function modeClocks(run: PowerRun, mode: 'ranging' | 'testing'): ModeClocks {
  const { client, server, rules } = run;
  const data: PowerMode = run[mode];
  const isUtc = rules?.timesAreUtc ?? null;
  const loadgen = fitLoadgen(data, client?.[mode] ?? server?.[mode] ?? null, zoneOf(client), isUtc);
  const samples = fitSamples(data.powerLog, server?.[mode] ?? client?.[mode] ?? null, zoneOf(server), isUtc);
  const published_s = isUtc === false ? (zoneOf(server) ?? 0) - (zoneOf(client) ?? 0) : 0;
  const isKnown = loadgen.offset_s !== null && samples.offset_s !== null;
  const shift_s = isKnown ? (samples.offset_s as number) - (loadgen.offset_s as number) : published_s;
  return { loadgen, samples, shift_ms: shift_s * 1000, publishedShift_ms: published_s * 1000 };
}

function zoneOf(session: SessionRecord | null): number | null {
  return session?.timezone_s ?? null;
}

function fitLoadgen(mode: PowerMode, phases: PhaseMarks | null, zone: number | null, isUtc: boolean | null): ClockFit {
  const begin = mode.loadgen?.powerBegin_ms ?? null;
  const end = mode.loadgen?.powerEnd_ms ?? null;
  if (begin === null || end === null || phases === null || phases.length < 4)
    return { kind: 'unknown', offset_s: null };
  const [, from, to] = phases as [number, number, number];
  return fitOffset(begin / 1000, end / 1000, from - LOADGEN_SLACK_S, to + LOADGEN_SLACK_S, zone, isUtc);
}

function fitSamples(
  log: PowerLog | null,
  phases: PhaseMarks | null,
  zone: number | null,
  isUtc: boolean | null,
): ClockFit {
  if (log === null || log.length === 0 || phases === null || phases.length < 4)
    return { kind: 'unknown', offset_s: null };
  // A few samples with a wrong time must not hide the offset of all others.
  const sorted = log.time_ms.slice().sort();
  const first = sorted[Math.floor(log.length * 0.02)] as number;
  const last = sorted[Math.ceil(log.length * 0.98) - 1] as number;
  const [from, , , to] = phases as [number, number, number, number];
  return fitOffset(first / 1000, last / 1000, from - SAMPLE_SLACK_S, to + SAMPLE_SLACK_S, zone, isUtc);
}

function fitOffset(
  first: number,
  last: number,
  from: number,
  to: number,
  zone_s: number | null,
  isUtc: boolean | null,
): ClockFit {
  const zone = zone_s === null || !Number.isFinite(zone_s) || Math.abs(zone_s) > FARTHEST_S ? 0 : zone_s;
  const expected = isUtc === false ? zone : 0;
  const other = isUtc === false ? 0 : zone;
  const fits = (offset: number) => first + offset > from && last + offset < to;
  if (fits(expected)) return { kind: 'expected', offset_s: expected };
  if (fits(other)) return { kind: isUtc === null ? 'expected' : 'zone', offset_s: other };
  for (const base of [expected, other]) {
    for (const dst of [-HOUR_S, HOUR_S]) if (fits(base + dst)) return { kind: 'dst', offset_s: base + dst };
  }
  for (let step = QUARTER_S; step <= FARTHEST_S; step += QUARTER_S) {
    for (const offset of [expected - step, expected + step])
      if (fits(offset)) return { kind: 'other', offset_s: offset };
  }
  return { kind: 'outside', offset_s: null };
}

/**
 * Shift in ms that brings the daemon's log onto the clock of the power samples that it wrote: 0 normally, whole
 * quarter hours where one of them was converted to UTC.
 */
export function daemonShift_ms(go_ms: number, log: PowerLog | null): number {
  if (log === null || log.length === 0) return 0;
  const difference = (log.time_ms[0] as number) - go_ms;
  const shift = Math.round(difference / (QUARTER_S * 1000)) * QUARTER_S * 1000;
  if (Math.abs(difference - shift) > 60_000 || Math.abs(shift) > FARTHEST_S * 1000) return 0;
  return shift;
}
