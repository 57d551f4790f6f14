import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../../signal/errors.ts';

/** Name of the file that marks a simulated run in the layout of another tool. */
export const simulatedMark = 'SIMULATED';

/** Adds a file to a layout; none is written over. */
export type AddFile = (name: string, bytes: string | Uint8Array) => void;

/**
 * A new folder for a run in the layout of another tool, with the mark of a simulated run in it.
 * @throws UsageError where the folder exists or cannot be made
 */
export function makeLayoutFolder(folder: string, simulated: boolean): AddFile {
  try {
    mkdirSync(folder);
  } catch (cause) {
    throw new UsageError('export.folder', {
      where: folder,
      problem: `cannot be made: ${(cause as Error).message}`,
      remedy: 'name a folder that does not exist yet, on a disk that can be written',
      cause,
    });
  }
  const add: AddFile = (name, bytes) => writeFileSync(join(folder, name), bytes, { flag: 'wx' });
  // First of all, so that no part of the layout is ever without its mark.
  if (simulated) {
    add(simulatedMark, 'This run was simulated, its instrument or its device under test. It is no measurement.\n');
  }
  return add;
}

/** Adds results.txt to a layout. */
export function writeResults(folder: string, text: string): void {
  writeFileSync(join(folder, 'results.txt'), text, { flag: 'wx' });
}
