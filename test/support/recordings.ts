import { existsSync, readdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const projectRoot = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

/** Published recordings of others, never part of the project: env JOULEMARK_RECORDINGS, else beside the project. */
export const recordingsRoot = process.env.JOULEMARK_RECORDINGS ?? resolve(projectRoot, '../shared/recordings');

/** True where the recordings are absent: give it to describe.skipIf. */
export const noRecordings = !existsSync(recordingsRoot);

/** All folders below the recordings that directly hold a file of this name, sorted. */
export function foldersWith(fileName: string, root = recordingsRoot): string[] {
  if (noRecordings) return [];
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name === fileName)
    .map((entry) => entry.parentPath)
    .sort();
}
