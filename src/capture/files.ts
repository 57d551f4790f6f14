import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { FormatError, UsageError } from '../signal/errors.ts';
import { captureFiles, isSafeName } from './run-header.ts';

export interface NamedFile {
  /** Name inside the run folder, `/` between folders. */
  name: string;
  bytes: Uint8Array;
}

/** Headers are a few kilobytes; the manifest of a long report a few more. */
const maxSmallFileBytes = 256 << 20;

// Without it, opening a named pipe would wait for a writer. Windows does not have it.
const nonBlocking = constants.O_NONBLOCK ?? 0;

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
    fd = openSync(path, constants.O_RDONLY | nonBlocking);
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

/**
 * A whole file that must be small enough for memory.
 * @throws FormatError where it cannot be read
 */
export function readSmallFile(path: string): Uint8Array {
  const { fd, size } = openForReading(path);
  try {
    if (size > maxSmallFileBytes) {
      throw new FormatError('format.unreadable', {
        where: path,
        problem: `is ${size} bytes long, expected less than ${maxSmallFileBytes}`,
        remedy: 'This is no file of a run folder; use another copy.',
      });
    }
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** The run folder that a path lies in, at any depth, or null. What is put there breaks its seal. */
export function runFolderAround(path: string): string | null {
  for (let folder = dirname(resolve(path)); ; folder = dirname(folder)) {
    if ([captureFiles.header, captureFiles.chain].every((name) => existsSync(join(folder, name)))) return folder;
    if (folder === dirname(folder)) return null;
  }
}

/** Makes a folder for a run; a folder that exists is never written into, and no run folder holds another. */
export function makeRunFolder(folder: string): void {
  const fail = (code: string, problem: string, cause?: unknown): never => {
    const remedy = 'Name a folder that does not exist yet, on a disk that can be written.';
    throw new UsageError(code, { where: folder, problem, remedy, cause });
  };
  const around = runFolderAround(folder);
  if (around !== null) fail('capture.folder', `lies inside the run folder ${around}, which nothing may be added to`);
  try {
    mkdirSync(dirname(folder), { recursive: true });
    mkdirSync(folder);
  } catch (cause) {
    if (existsSync(folder)) {
      fail('capture.folder-exists', 'exists already; a run never writes into a folder that exists', cause);
    }
    fail('capture.folder', `cannot be made: ${(cause as Error).message}`, cause);
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
