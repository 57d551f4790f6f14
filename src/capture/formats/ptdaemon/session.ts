import { z } from 'zod';
import { FormatError } from '../../../signal/errors.ts';
import { readSmallText } from './scan.ts';

const MAX_JSON_BYTES = 32 * 1024 * 1024;
const MAX_JSON_DEPTH = 64;

export interface SessionMessage {
  cmd: string;
  reply: string;
}

export interface AnalyzerConfig {
  device_type: number | null;
  command: string[];
  channel: number[];
}

/** Clock marks of one mode: before start, after start, before stop, after stop; seconds since 1970, UTC. */
export type PhaseMarks = number[];

/** `client.json` or `server.json`. Null (or empty) where the file does not hold a field, or not in a usable form. */
export interface SessionRecord {
  /** Seconds west of UTC without daylight saving, as the writer's host says. */
  timezone_s: number | null;
  sources: Record<string, string> | null;
  messages: SessionMessage[] | null;
  uuid: { client: string; server: string } | null;
  sessionName: string | null;
  /** SHA-1 of files by path. */
  results: Record<string, string> | null;
  ranging: PhaseMarks | null;
  testing: PhaseMarks | null;
  /** server.json only: the talk with PTDaemon, one list an analyzer. */
  daemonMessages: SessionMessage[][];
  analyzers: AnalyzerConfig[];
  /** True where `ptd_config` is a list (newer servers). */
  analyzersAreList: boolean;
  debug: boolean;
  /** Fields that are missing or have another form than the format demands. */
  problems: string[];
}

const hashes = z.record(z.string(), z.string());
/** A command that got no answer has null. */
const reply = z
  .string()
  .nullish()
  .transform((text) => text ?? '');
const message = z.object({ cmd: z.string(), reply });
const marks = z.array(z.tuple([z.number()], z.unknown())).max(1000);
const analyzer = z.object({
  device_type: z.number().nullish(),
  command: z.array(z.string()).nullish(),
  channel: z.union([z.array(z.number()), z.number()]).nullish(),
});

/**
 * Reads `client.json` or `server.json` of an MLPerf Power session. Fields in an unusable form become null and are
 * named in `problems`. Throws FormatError where the file is no JSON object, too large (32 MiB) or too deeply nested
 * (64), and what the file system throws.
 */
export async function readSession(path: string): Promise<SessionRecord> {
  const text = await readSmallText(path, MAX_JSON_BYTES);
  if (text === null) {
    throw new FormatError('format.too-large', {
      where: path,
      problem: 'larger than 32 MiB; a session record has a few kilobytes',
      remedy: 'submit the file that the client or the server wrote',
    });
  }
  return parseSession(text, path);
}

/** As `readSession`, from text; `where` names the source in errors. */
export function parseSession(text: string, where: string): SessionRecord {
  const root = parseJson(text, where);
  const problems: string[] = [];
  const field = <T>(name: string, schema: z.ZodType<T, unknown>, required = true): T | null => {
    if (!Object.hasOwn(root, name) || root[name] === null) {
      if (required) problems.push(`${name} is missing`);
      return null;
    }
    const parsed = schema.safeParse(root[name]);
    if (parsed.success) return parsed.data;
    problems.push(`${name} has another form than the format demands`);
    return null;
  };
  const phases = field('phases', z.object({ ranging: marks.nullish(), testing: marks.nullish() }));
  const config = field('ptd_config', z.union([analyzer, z.array(analyzer)]), false);
  return {
    timezone_s: field('timezone', z.number()),
    sources: field('sources', hashes),
    messages: field('messages', z.array(message)),
    uuid: field('uuid', z.object({ client: z.string(), server: z.string() })),
    sessionName: field('session_name', z.string()),
    results: field('results', hashes),
    ranging: phases?.ranging?.map((mark) => mark[0]) ?? null,
    testing: phases?.testing?.map((mark) => mark[0]) ?? null,
    daemonMessages: daemonMessages(root.ptd_messages),
    analyzers: (config === null ? [] : Array.isArray(config) ? config : [config]).map((a) => ({
      device_type: a.device_type ?? null,
      command: a.command ?? [],
      channel: typeof a.channel === 'number' ? [a.channel] : (a.channel ?? []),
    })),
    analyzersAreList: Array.isArray(config),
    debug: root.debug !== undefined && root.debug !== false && root.debug !== null,
    problems,
  };
}

/** One list of messages, or (several analyzers) a list or an object of such lists. */
function daemonMessages(value: unknown): SessionMessage[][] {
  const flat = z.array(message).safeParse(value);
  if (flat.success) return flat.data.length === 0 ? [] : [flat.data];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap((inner) => {
    const list = z.array(message).safeParse(inner);
    return list.success && list.data.length > 0 ? [list.data] : [];
  });
}

function parseJson(text: string, where: string): Record<string, unknown> {
  const refuse = (problem: string): never => {
    throw new FormatError('format.json', {
      where,
      problem,
      remedy: 'submit the file that the client or the server wrote',
    });
  };
  if (nestingDepth(text) > MAX_JSON_DEPTH) refuse(`nested more than ${MAX_JSON_DEPTH} levels deep`);
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch (error) {
    refuse(`no JSON: ${(error as Error).message.slice(0, 200)}`);
  }
  if (typeof root !== 'object' || root === null || Array.isArray(root)) refuse('not a JSON object');
  return root as Record<string, unknown>;
}

/** Deepest nesting of brackets outside strings; stops counting above the limit. */
function nestingDepth(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (inString) {
      if (c === 92) i++;
      else if (c === 34) inString = false;
    } else if (c === 34) inString = true;
    else if (c === 91 || c === 123) {
      deepest = Math.max(deepest, ++depth);
      if (deepest > MAX_JSON_DEPTH) return deepest;
    } else if (c === 93 || c === 125) depth--;
  }
  return deepest;
}
