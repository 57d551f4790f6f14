import { accessSync, constants, existsSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { runFolderAround } from '../capture/files.ts';
import { renderGroupDelays } from '../report/group-delays.ts';
import { renderScoreTable, terminalStyle } from '../report/terminal-table.ts';
import { windowsCsv } from '../report/windows-table.ts';
import type { ScoreDocument } from '../scoring/score-document.ts';
import { JoulemarkError, UsageError } from '../signal/errors.ts';
import type { GroupDelayReport } from '../sync/group-delay.ts';
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

/** Prints measured group delays below a score. */
export function printGroupDelays(report: GroupDelayReport): void {
  process.stdout.write(`${renderGroupDelays(report, terminalStyle(process.stdout, process.env).columns)}\n`);
}

/** A message to the person at the terminal: stderr, and not with --quiet. */
export function note(text: string, options: CommonOptions): void {
  if (!options.quiet) process.stderr.write(`${text}\n`);
}

/**
 * Checks what `--csv` asks for before the work begins.
 * @throws UsageError where stdout would hold a table and a JSON document, JoulemarkError where the file cannot be made
 */
export function assertCsv(options: CommonOptions & { csv?: string }): void {
  if (options.csv === '-' && options.json) {
    throw new UsageError('usage.csv', {
      where: '--csv -',
      problem: 'stdout holds one JSON document with --json, and no table beside it',
      remedy: 'leave out --json, or give --csv the name of a file',
    });
  }
  if (options.csv !== undefined && options.csv !== '-') assertNew(options.csv);
}

/** Writes the windows of a score as CSV to a new file, or to stdout for `-`. */
export function writeCsv(document: ScoreDocument, target: string): void {
  const csv = windowsCsv(document);
  if (target === '-') process.stdout.write(csv);
  else writeNew(target, csv);
}

/**
 * Checks that a file can be made, before the work whose outcome it is to hold.
 * @throws JoulemarkError where it exists, lies inside a run folder (whose seal it would break), or cannot be written
 */
export function assertNew(path: string): void {
  if (existsSync(path)) unwritable(path, 'exists already; nothing is overwritten');
  const around = runFolderAround(path);
  if (around !== null) unwritable(path, `lies inside the run folder ${around}, which nothing may be added to`);
  try {
    accessSync(dirname(path), constants.W_OK);
  } catch (cause) {
    unwritable(path, (cause as Error).message, cause);
  }
}

/** Writes a file that must not exist yet. @throws JoulemarkError as `assertNew` does */
export function writeNew(path: string, content: string, mode = 0o644): void {
  assertNew(path);
  try {
    writeFileSync(path, content, { flag: 'wx', mode });
  } catch (cause) {
    unwritable(path, (cause as Error).message, cause);
  }
}

function unwritable(path: string, problem: string, cause?: unknown): never {
  throw new JoulemarkError('output.unwritable', { where: path, problem, remedy: 'name another file', cause });
}
