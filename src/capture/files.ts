import { closeSync, fstatSync, fsyncSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FormatError, UsageError } from '../signal/errors.ts';
import { isSafeName } from './run-header.ts';

export interface NamedFile {
  /** Name inside the run folder, `/` between folders. */
  name: string;
  bytes: Uint8Array;
}

/**
 * Opens a file of a run folder.
 * @throws FormatError where it cannot be read or is no file
 */
export function openForReading(path: string): { fd: number; size: number } {
  const fail = (problem: string, cause?: unknown): never => {
    throw new FormatError('format.unreadable', {
      where: path,
      problem,
      remedy: 'Check its permissions, or use another copy of the folder.',
      cause,
    });
  };
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (cause) {
    return fail(`cannot be read: ${(cause as Error).message}`, cause);
  }
  const stat = fstatSync(fd);
  if (!stat.isFile()) {
    closeSync(fd);
    fail('is no file');
  }
  return { fd, size: stat.size };
}

/** Makes a folder for a run; a folder that exists is never written into. */
export function makeRunFolder(folder: string): void {
  try {
    mkdirSync(dirname(folder), { recursive: true });
    mkdirSync(folder);
  } catch (cause) {
    const exists = (cause as NodeJS.ErrnoException).code === 'EEXIST';
    throw new UsageError(exists ? 'capture.folder-exists' : 'capture.folder', {
      where: folder,
      problem: exists ? 'exists already; a run never writes into a folder that exists' : (cause as Error).message,
      remedy: 'Name a folder that does not exist yet, on a disk that can be written.',
      cause,
    });
  }
}

/** Writes a file that must not exist yet into a run folder, with the folders that its name asks for. */
export function writeNewFile(folder: string, file: NamedFile): void {
  if (!isSafeName(file.name)) throw new TypeError(`${JSON.stringify(file.name)} is no name for a file of a run folder`);
  const path = join(folder, file.name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, file.bytes, { flag: 'wx' });
}

/** Writes a new file and waits until the disk has it. */
export function writeDurably(path: string, bytes: Uint8Array): void {
  const fd = openSync(path, 'wx');
  try {
    for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
