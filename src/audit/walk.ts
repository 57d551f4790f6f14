import { closeSync, openSync, readdirSync, readSync, realpathSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, join, sep } from 'node:path';
import { JoulemarkError, UsageError } from '../signal/errors.ts';
import type { FileEntry, Folder, Observation } from './types.ts';

/** How much of a file its reader may look at to tell what it is. */
const headLength_bytes = 8192;
const headBuffer = Buffer.alloc(headLength_bytes);
/** A path longer than this cannot be opened on any system that we know; the walk stops there and says so. */
const maxDepth = 512;

/** What a walk meets: folders, and what it had to leave out. */
export type WalkItem =
  /** `only` is set where the path named one file of the folder. */
  { kind: 'folder'; folder: Folder; only?: string } | { kind: 'observation'; observation: Observation };

/**
 * Every folder below a path, parents before children, in the order of their names. A path to a file gives its folder
 * and the file. Links to folders are not followed (so there are no loops); links to files are, as long as their
 * target lies below the path. Whatever cannot be read is an observation and never ends the walk.
 *
 * @throws UsageError if the path itself does not exist or is neither a folder nor a regular file
 */
export async function* walk(path: string): AsyncGenerator<WalkItem> {
  const info = inspect(path);
  if (info.isFile()) {
    const parent = dirname(path);
    const { folder } = list(parent, '', realpathSync(parent));
    if (folder === null) throw notThere(path, 'lies in a folder that cannot be read');
    yield { kind: 'folder', folder, only: join(parent, basename(path)) };
    return;
  }
  if (!info.isDirectory()) throw notThere(path, 'is neither a folder nor a regular file');
  const root = realpathSync(path);
  const waiting: { path: string; relative: string; depth: number }[] = [{ path, relative: '', depth: 0 }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const { folder, observations } = list(next.path, next.relative, root);
    for (const observation of observations) yield { kind: 'observation', observation };
    if (folder === null) continue;
    yield { kind: 'folder', folder };
    if (next.depth >= maxDepth) {
      if (folder.folders.length > 0) yield { kind: 'observation', observation: tooDeep(next.path) };
      continue;
    }
    for (const name of folder.folders.toReversed()) {
      waiting.push({ path: join(next.path, name), relative: below(next.relative, name), depth: next.depth + 1 });
    }
  }
}

/** Lists one folder. */
function list(path: string, relative: string, root: string): { folder: Folder | null; observations: Observation[] } {
  const observations: Observation[] = [];
  const files: FileEntry[] = [];
  const folders: string[] = [];
  let entries: { name: string; isFile(): boolean; isDirectory(): boolean; isSymbolicLink(): boolean }[];
  try {
    entries = readdirSync(path, { withFileTypes: true });
  } catch (error) {
    return { folder: null, observations: [unreadable(path, error)] };
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const { name } = entry;
    // AppleDouble files hold the metadata of a file of the same name on other file systems.
    if (name.startsWith('._') || name === '.DS_Store' || name === '__MACOSX') continue;
    const full = join(path, name);
    try {
      if (entry.isDirectory()) {
        if (name !== '.git') folders.push(name);
      } else if (entry.isFile()) {
        files.push({ name, size_bytes: statSync(full).size });
      } else if (entry.isSymbolicLink()) {
        const target = statSync(full);
        const real = realpathSync(full);
        if (target.isFile() && real.startsWith(root + sep)) files.push({ name, size_bytes: target.size });
        else observations.push(notFollowed(full, real, target.isDirectory()));
      } else observations.push(special(full));
    } catch (error) {
      observations.push(unreadable(full, error));
    }
    if (hasOddName(name)) observations.push(oddName(full, name));
  }
  return { folder: new TreeFolder(path, relative, files, folders, root), observations };
}

class TreeFolder implements Folder {
  readonly path: string;
  readonly relative: string;
  readonly files: FileEntry[];
  readonly folders: string[];
  readonly #root: string;
  readonly #heads = new Map<string, string | null>();

  constructor(path: string, relative: string, files: FileEntry[], folders: string[], root: string) {
    this.path = path;
    this.relative = relative;
    this.files = files;
    this.folders = folders;
    this.#root = root;
  }

  async head(name: string): Promise<string | null> {
    let head = this.#heads.get(name);
    if (head === undefined) {
      head = this.files.some((f) => f.name === name) ? readHead(join(this.path, name)) : null;
      this.#heads.set(name, head);
    }
    return head;
  }

  async sub(name: string): Promise<Folder | null> {
    if (!this.folders.includes(name)) return null;
    return list(join(this.path, name), below(this.relative, name), this.#root).folder;
  }
}

// Synchronous calls: a walk makes thousands of short ones, and each would cost ten times as much as a round trip.
function readHead(path: string): string | null {
  try {
    const file = openSync(path, 'r');
    try {
      const length = readSync(file, headBuffer, 0, headLength_bytes, 0);
      return headBuffer.toString('latin1', 0, length);
    } finally {
      closeSync(file);
    }
  } catch {
    return null;
  }
}

function inspect(path: string): Stats {
  try {
    return statSync(path);
  } catch (cause) {
    throw notThere(path, `cannot be read (${reasonOf(cause)})`);
  }
}

function below(relative: string, name: string): string {
  return relative === '' ? name : `${relative}/${name}`;
}

/** Control characters and the marks that turn the direction of writing: a name that does not read as what it is. */
const misleading = /[\u0000-\u001f\u007f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffd]/;

function hasOddName(name: string): boolean {
  return misleading.test(name);
}

/** Reason of a failure of the operating system, or the text of any other error. */
export function reasonOf(error: unknown): string {
  if (error instanceof JoulemarkError) return error.message;
  if (error instanceof Error) return (error as NodeJS.ErrnoException).code ?? error.message;
  return String(error);
}

function notThere(path: string, problem: string): UsageError {
  return new UsageError('audit.path', {
    where: path,
    problem,
    remedy: 'Give the path of a results repository, a submission, a run or one of its files.',
  });
}

function unreadable(path: string, error: unknown): Observation {
  const reason = reasonOf(error);
  return { code: 'tree.unreadable', path, message: `cannot be read (${reason})`, evidence: { reason } };
}

function notFollowed(path: string, target: string, isFolder: boolean): Observation {
  const message = isFolder ? 'is a link to a folder and was not followed' : 'is a link that leads out of the tree';
  return { code: 'tree.link', path, message, evidence: { target } };
}

function special(path: string): Observation {
  return { code: 'tree.special-file', path, message: 'is no regular file (a pipe, socket or device) and was left out' };
}

function oddName(path: string, name: string): Observation {
  const evidence = { name: JSON.stringify(name) };
  return { code: 'tree.odd-name', path, message: 'has invisible or control characters in its name', evidence };
}

function tooDeep(path: string): Observation {
  return { code: 'tree.too-deep', path, message: `lies ${maxDepth} folders deep; what is below was left out` };
}
