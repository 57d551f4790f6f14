import type { LogLine } from '../signal/types.ts';

/** What would break a line, hide text on a terminal, or not survive UTF-8; the backslash itself starts an escape. */
const unsafe =
  /[\\\u0000-\u001f\u007f-\u009f\u2028\u2029]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const unsafeInSource = /[\\:\s\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff]/g;

const escapeCharacter = (character: string): string =>
  character === '\\' ? '\\\\' : `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;

const unescapeText = (text: string): string =>
  text.replace(/\\(?:\\|u([0-9a-f]{4}))/g, (_, code?: string) =>
    code === undefined ? '\\' : String.fromCharCode(Number.parseInt(code, 16)),
  );

/**
 * One line of `log.txt` with its line feed: `SSSSS.mmm source: text`, seconds on the run's clock rounded to
 * milliseconds. Control characters and backslashes are written as `\uXXXX` and `\\`, so that a line stays one line.
 */
export function formatLogLine(line: LogLine): string {
  const time = `${line.time_s < 0 ? '-' : ''}${Math.abs(line.time_s).toFixed(3).padStart(9, '0')}`;
  return `${time} ${line.source.replace(unsafeInSource, escapeCharacter)}: ${line.text.replace(unsafe, escapeCharacter)}\n`;
}

/** Reads one line of `log.txt`, given without its line feed; null where it does not follow the grammar. */
export function parseLogLine(text: string): LogLine | null {
  const match = /^(-?\d+\.\d{3}) ([^\s:]*): (.*)$/s.exec(text);
  if (match === null) return null;
  return { kind: 'log', time_s: Number(match[1]), source: unescapeText(match[2]!), text: unescapeText(match[3]!) };
}
