import { readdir, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { FormatError } from '../../signal/errors.ts';
import { unreadable } from './lines.ts';

/** The files beside a recording. */
export interface FolderListing {
  folder: string;
  /** Name of the file that the path named, or null where it named the folder. */
  given: string | null;
  /** Regular files and links, sorted. Pipes and devices are left out, because opening one can block for ever. */
  fileNames: string[];
}

/** Lists a folder, or the folder of a file. Throws a FormatError where the path is neither or cannot be read. */
export async function listFolder(path: string): Promise<FolderListing> {
  try {
    const stats = await stat(path);
    if (!stats.isDirectory() && !stats.isFile()) {
      throw new FormatError('file.unreadable', {
        where: path,
        problem: 'is neither a file nor a folder',
        remedy: 'Give the folder that holds the recording, or one of its files.',
      });
    }
    const folder = stats.isDirectory() ? path : dirname(path);
    const entries = await readdir(folder, { withFileTypes: true });
    const fileNames = entries.filter((entry) => entry.isFile() || entry.isSymbolicLink()).map((entry) => entry.name);
    return { folder, given: stats.isDirectory() ? null : basename(path), fileNames: fileNames.sort() };
  } catch (error) {
    if (error instanceof FormatError) throw error;
    throw unreadable(path, error);
  }
}

/** True for a file of 0 bytes. Throws a FormatError where it cannot be looked at. */
export async function isEmptyFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).size === 0;
  } catch (cause) {
    throw unreadable(path, cause);
  }
}
