import { readFile, stat } from 'node:fs/promises';
import { FormatError } from '../../../signal/errors.ts';
import { type Warning, warning } from '../../../signal/warnings.ts';
import { unreadable } from '../lines.ts';

/** A timestamps file holds about a dozen numbers; beyond this size it is something else. */
const maxSize_bytes = 16 * 1024 * 1024;

export interface Timestamps {
  /** Seconds, in the file's own order and as its own numbers: the published arithmetic compares these very values. */
  seconds: number[];
  warnings: Warning[];
}

/**
 * Parses a `trace1-timestamps.json`: an array of seconds. Comments, trailing commas, a byte-order mark and CR LF are
 * tolerated with a warning; anything else that is not an array of numbers is a FormatError that names the place.
 * @param where path for messages
 */
export function parseTimestamps(text: string, where: string): Timestamps {
  const warnings: Warning[] = [];
  const repairs: string[] = [];
  if (text.startsWith('\ufeff')) repairs.push('a byte-order mark');
  if (text.includes('\r')) repairs.push('CR LF line ends');
  const body = text.replace(/^\ufeff/, '');
  if (body.trim() === '') throw malformed(where, 'is empty');
  let parsed = tryJson(body);
  if (parsed.error !== null) {
    const repaired = withoutComments(body);
    const again = tryJson(repaired.replace(/,(\s*\])/g, '$1'));
    if (again.error === null) repairs.push(repaired === body ? 'a trailing comma' : 'comments');
    else throw malformed(where, `is not JSON (${again.error})`);
    parsed = again;
  }
  if (!Array.isArray(parsed.value)) throw malformed(where, 'holds no array');
  const seconds: number[] = [];
  for (const [index, value] of parsed.value.entries()) {
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      throw malformed(where, `entry ${index} is ${brief(value)}, not a finite number`);
    }
    seconds.push(value);
  }
  if (repairs.length > 0) {
    warnings.push(warning('timestamps.repaired', `${where}: holds ${repairs.join(' and ')}; read all the same`));
  }
  warnings.push(...orderWarnings(seconds, where));
  return { seconds, warnings };
}

/** Reads and parses a timestamps file. */
export async function readTimestamps(path: string): Promise<Timestamps> {
  let text: string;
  try {
    const { size } = await stat(path);
    if (size > maxSize_bytes) throw malformed(path, `is ${size} bytes long; a timestamps file is a few hundred`);
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof FormatError) throw error;
    throw unreadable(path, error);
  }
  return parseTimestamps(text, path);
}

function orderWarnings(seconds: readonly number[], where: string): Warning[] {
  for (let k = 1; k < seconds.length; k++) {
    const before = seconds[k - 1]!;
    const now = seconds[k]!;
    if (now <= before) {
      const how = now === before ? 'equals' : 'is earlier than';
      return [warning('timestamps.unsorted', `${where}: entry ${k} (${now}) ${how} entry ${k - 1} (${before})`)];
    }
  }
  return [];
}

function tryJson(text: string): { value: unknown; error: string | null } {
  try {
    return { value: JSON.parse(text), error: null };
  } catch (error) {
    return { value: null, error: (error as Error).message };
  }
}

/** The text with comments left out. There are no strings to spare in a valid file. */
function withoutComments(text: string): string {
  let kept = '';
  let at = 0;
  while (at < text.length) {
    const next = text.slice(at).search(/\/[/*]|#/);
    if (next < 0) break;
    kept += text.slice(at, at + next);
    const start = at + next;
    const block = text.startsWith('/*', start);
    const end = block ? text.indexOf('*/', start + 2) : text.indexOf('\n', start);
    if (end < 0) return kept;
    at = block ? end + 2 : end;
  }
  return kept + text.slice(at);
}

function brief(value: unknown): string {
  const text = typeof value === 'object' && value !== null ? (Array.isArray(value) ? 'an array' : 'an object') : null;
  return text ?? JSON.stringify(value)?.slice(0, 40) ?? String(value);
}

function malformed(where: string, problem: string): FormatError {
  return new FormatError('timestamps.malformed', {
    where,
    problem,
    remedy: 'Expected is a JSON array of seconds, such as [0.014, 2.77, 13.925]. Take the file as the runner wrote it.',
  });
}
