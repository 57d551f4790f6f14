import { writeFileSync } from 'node:fs';
import { renderScoreTable, terminalStyle } from '../report/terminal-table.ts';
import { windowsCsv } from '../report/windows-table.ts';
import type { ScoreDocument } from '../scoring/score-document.ts';
import { JoulemarkError } from '../signal/errors.ts';
import type { CommonOptions } from './options.ts';

/** Prints one JSON document on stdout, numbers at full precision. */
export function printJson(document: unknown): void {
  process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
}

/** Prints a score as a table that fits the terminal; `path` is what the user called the recording. */
export function printScore(document: ScoreDocument, path: string): void {
  const named = { ...document, source: { ...document.source, path } };
  process.stdout.write(`${renderScoreTable(named, terminalStyle(process.stdout, process.env))}\n`);
}

/** A message to the person at the terminal: stderr, and not with --quiet. */
export function note(text: string, options: CommonOptions): void {
  if (!options.quiet) process.stderr.write(`${text}\n`);
}

/** An error message on stderr. */
export function printError(text: string): void {
  process.stderr.write(`error: ${text}\n`);
}

/** Writes the windows of a score as CSV to a new file, or to stdout for `-`. */
export function writeCsv(document: ScoreDocument, target: string): void {
  const csv = windowsCsv(document);
  if (target === '-') process.stdout.write(csv);
  else writeNew(target, csv);
}

/** Writes a file that must not exist yet. @throws JoulemarkError where it exists or cannot be written */
export function writeNew(path: string, content: string, mode = 0o644): void {
  try {
    writeFileSync(path, content, { flag: 'wx', mode });
  } catch (cause) {
    const exists = (cause as NodeJS.ErrnoException).code === 'EEXIST';
    throw new JoulemarkError('output.unwritable', {
      where: path,
      problem: exists ? 'exists already; nothing is overwritten' : (cause as Error).message,
      remedy: 'name another file',
      cause,
    });
  }
}
