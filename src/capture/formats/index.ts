import { readdir, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { FormatError } from '../../signal/errors.ts';
import type { Recording } from '../../signal/recording.ts';
import { isRunFolder, openRunFolder } from '../run-folder.ts';
import { findEnergyRunnerFiles } from './energyrunner/files.ts';
import { type EnergyRunnerOptions, openEnergyRunner } from './energyrunner/index.ts';
import { readLog } from './energyrunner/log.ts';
import { readResults } from './energyrunner/results.ts';
import { unreadable } from './lines.ts';
import { findMlcFiles, looksLikeMlcommons, openMlcommons } from './mlcommons/index.ts';

export type OpenOptions = EnergyRunnerOptions;

/** A kind of recording. A new kind is one more entry in `recordingFormats`. */
export interface RecordingFormat {
  id: string;
  /** What is looked for, for the message when nothing fits. */
  lookedFor: string;
  /** True where the path (a file or a folder) holds this kind, judged by content. */
  detect(path: string): Promise<boolean>;
  open(path: string, options: OpenOptions): Promise<Recording>;
}

/** Every kind of recording that Joulemark reads, in the order in which they are tried. */
export const recordingFormats: RecordingFormat[] = [
  {
    id: 'joulemark-run',
    lookedFor: 'a run folder of Joulemark (run.json)',
    detect: async (path) => isRunFolder(path),
    open: (path) => openRunFolder(path),
  },
  {
    id: 'energyrunner',
    lookedFor: 'an EnergyRunner folder (trace1-energy.bin, trace1-timestamps.json, log.txt, results.txt)',
    detect: holdsEnergyRunner,
    open: openEnergyRunner,
  },
  {
    id: 'mlcommons-tiny',
    lookedFor: 'a folder of the MLCommons runner (results.json, log.txt, results.txt)',
    detect: async (path) => looksLikeMlcommons(await findMlcFiles(path)),
    open: openMlcommons,
  },
];

/**
 * The kind of a recording, judged by content.
 * @throws FormatError where the path cannot be read or holds no kind that is known
 */
export async function detectFormat(path: string): Promise<RecordingFormat> {
  const found = await contentsOf(path);
  for (const format of recordingFormats) {
    if (await format.detect(path)) return format;
  }
  const lookedFor = recordingFormats.map((format) => format.lookedFor).join('; ');
  throw new FormatError('recording.unknown', {
    where: path,
    problem: `no recording that Joulemark knows. Looked for: ${lookedFor}. Found: ${found}`,
    remedy: 'Give the folder that directly holds the files of one run.',
  });
}

/** Opens a recording of any known kind. */
export async function openRecording(path: string, options: OpenOptions = {}): Promise<Recording> {
  const format = await detectFormat(path);
  return format.open(path, options);
}

async function holdsEnergyRunner(path: string): Promise<boolean> {
  const files = await findEnergyRunnerFiles(path);
  if (files.trace !== null || files.timestamps !== null) return true;
  if (files.log !== null) {
    let entries = 0;
    for await (const entry of readLog(files.log)) {
      if (entry.source === 'session' || entry.source === 'sequencer') return true;
      if (++entries >= 20) break;
    }
  }
  if (files.results === null) return false;
  const results = await readResults(files.results);
  return results.energyWindows.length > 0;
}

/** What stands at the path, in a few words. */
async function contentsOf(path: string): Promise<string> {
  try {
    if (!(await stat(path)).isDirectory()) return `${basename(path)} in ${dirname(path)}`;
    const entries = await readdir(path, { withFileTypes: true });
    const listed = entries.slice(0, 20).map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name));
    if (listed.length === 0) return 'an empty folder';
    return listed.join(', ') + (entries.length > listed.length ? ` and ${entries.length - listed.length} more` : '');
  } catch (cause) {
    throw unreadable(path, cause);
  }
}
