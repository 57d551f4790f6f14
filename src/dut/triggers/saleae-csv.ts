import { readLines } from '../../capture/formats/lines.ts';
import { FormatError } from '../../signal/errors.ts';
import type { ClockInfo, Edge } from '../../signal/types.ts';
import { inBatches, type LogicRecording } from './logic-recording.ts';
import { EdgeMaker } from './trigger-source.ts';

/** Times have nine decimals. */
const clock: ClockInfo = { id: 'logic-analyser', tickHz: 1e9, kind: 'file', epoch_ns: null };

/**
 * Opens a CSV of digital channels that Saleae Logic 2 exported: `Time [s],Channel 0,...`, the initial state and then a row
 * a change. Times are relative seconds, or ISO 8601, which count from the first row.
 * @throws FormatError where the heading names no channel
 */
export async function openSaleaeCsv(path: string): Promise<LogicRecording> {
  const channels = await headingOf(path);
  return {
    path,
    format: 'saleae-csv',
    clock,
    channels,
    ticksPerSample: null,
    edges: (channel) => inBatches(changes(path, channel, channels.indexOf(channel) + 1)),
  };
}

async function headingOf(path: string): Promise<string[]> {
  for await (const { text } of readLines(path)) {
    const [, ...channels] = fieldsOf(text);
    if (channels.length > 0) return channels;
    break;
  }
  throw malformed(path, 1, 'expected a heading such as Time [s],Channel 0');
}

async function* changes(path: string, channel: string, column: number): AsyncGenerator<Edge> {
  const maker = new EdgeMaker(clock.id, channel);
  let level: string | null = null;
  let zero_s: bigint | null = null;
  let last = Number.NEGATIVE_INFINITY;
  for await (const { text, number } of readLines(path)) {
    if (number === 1 || text.trim() === '') continue;
    const fields = fieldsOf(text);
    const now = fields[column];
    if (now !== '0' && now !== '1') throw malformed(path, number, `expected 0 or 1 for ${channel}`);
    const time = timeOf(fields[0]!);
    if (time === null) throw malformed(path, number, `${JSON.stringify(fields[0]!.slice(0, 40))} is no time`);
    if (time.whole_s !== null) zero_s ??= time.whole_s;
    const tick = time.ns + (time.whole_s === null ? 0 : Number(time.whole_s - zero_s!) * 1e9);
    if (tick < last) throw malformed(path, number, 'time goes back');
    last = tick;
    if (level !== null && level !== now) yield maker.edge(tick, now === '1' ? 'rise' : 'fall', null);
    level = now;
  }
}

/** Seconds to nanoseconds without rounding in between; of ISO 8601 the whole seconds stand apart. */
function timeOf(text: string): { ns: number; whole_s: bigint | null } | null {
  const relative = /^(-?)(\d{1,9})(?:\.(\d{1,12}))?$/.exec(text);
  if (relative) {
    const ns = Number(relative[2]) * 1e9 + nanosecondsOf(relative[3]);
    return { ns: relative[1] === '-' ? -ns : ns, whole_s: null };
  }
  const scientific = /^-?\d+(?:\.\d+)?[eE][+-]?\d{1,2}$/.test(text) ? Number(text) * 1e9 : Number.NaN;
  if (Number.isFinite(scientific)) return { ns: scientific, whole_s: null };
  const iso = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,12}))?(Z|[+-]\d{2}:\d{2})?$/.exec(text);
  const date_ms = iso ? Date.parse(iso[1]! + (iso[3] ?? 'Z')) : Number.NaN;
  if (Number.isNaN(date_ms)) return null;
  return { ns: nanosecondsOf(iso![2]), whole_s: BigInt(date_ms) / 1000n };
}

function nanosecondsOf(decimals: string | undefined): number {
  return decimals === undefined ? 0 : Number(decimals.padEnd(12, '0')) / 1000;
}

/** Channel names may stand in quotes. */
function fieldsOf(line: string): string[] {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain]) =>
    (quoted?.replaceAll('""', '"') ?? plain ?? '').trim(),
  );
}

function malformed(path: string, line: number, problem: string): FormatError {
  return new FormatError('saleae.malformed', {
    where: `${path} line ${line}`,
    problem,
    remedy: 'export the digital channels again as CSV, every change in one row',
  });
}
