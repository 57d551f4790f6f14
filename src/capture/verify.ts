import { createHash, type Hash, hash } from 'node:crypto';
import { closeSync, existsSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { FormatError } from '../signal/errors.ts';
import type { ChainEnd, ChainedFileSummary, ChainLink } from './chain.ts';
import { edgeColumns, segmentColumns } from './columns.ts';
import { openForReading, readSmallFile } from './files.ts';
import {
  checkSignature,
  decodeManifest,
  type FolderEntry,
  fileBlockBytes,
  hashFile,
  listFiles,
  type Manifest,
  type PlainFileEntry,
} from './manifest.ts';
import { replayEdges, replaySegments, wholeLines } from './replay.ts';
import {
  assertRunFolder,
  logSnapshot,
  measureStream,
  readRunHeader,
  type StreamExtent,
  tableSnapshot,
} from './run-folder.ts';
import { captureFiles, chainedFiles, type RunHeaderFile, samplesFile } from './run-header.ts';

/** One thing inside a run folder that is not as it was written. */
export interface VerifyProblem {
  /** Name inside the folder, `/` between folders. */
  file: string;
  /**
   * The block that holds it: record batches (and the schema before them) of an Arrow file, batches of lines of the
   * log, lines of the chain, 64 KiB of any other file, all from 0. Null where the whole file is meant.
   */
  block: number | null;
  /** Where that block begins, in bytes. */
  offset: number | null;
  problem: string;
}

export interface VerifyReport {
  /** True where everything is as it was sealed. */
  ok: boolean;
  /** True where the folder holds a manifest. */
  closed: boolean;
  /** True where the capture stopped without being closed. */
  cutOff: boolean;
  /** Null where the header cannot be read. */
  simulated: boolean | null;
  /** `valid`: signed by a trusted key; `untrusted`: the signature holds, but the key is none of the trusted ones. */
  signature: 'none' | 'valid' | 'invalid' | 'untrusted';
  /** Public key of the signer in hexadecimal, or null. */
  signer: string | null;
  /** Streams that can be read. */
  streams: StreamExtent[];
  problems: VerifyProblem[];
}

export interface VerifyOptions {
  /** Public keys (Ed25519, PEM). With any, a folder that none of them signed is a problem. */
  trustedKeys?: string[];
  /** Share of the chain that has been walked, from 0 to 1. */
  onProgress?: (share: number) => void;
}

/** At most this many blocks of one file are named one by one. */
const maxProblemsPerFile = 20;

/** No block of ours comes near this size; a larger one is damage, and is not allocated. */
const maxBlockBytes = 80 << 20;

/**
 * Checks a run folder against its manifest and its chain: everything changed, missing, extra, unreadable, re-ordered
 * or cut off is a problem that names file and block. Each file is read once.
 * @throws JoulemarkError where the path is no run folder
 */
export async function verifyRunFolder(path: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  assertRunFolder(path);
  const problems = new ProblemList();
  const entries = listFiles(path);
  const closed = existsSync(join(path, captureFiles.manifest));
  const manifest = closed ? readManifest(path, problems) : null;
  if (!closed) problems.add(captureFiles.manifest, null, null, 'is missing: the run folder was never sealed');
  if (manifest !== null) checkEntries(entries, manifest, problems);
  const plain = manifest === null ? new Map<string, PlainFileEntry>() : checkPlainFiles(path, manifest, problems);
  const header = attempt(problems, captureFiles.header, () => readRunHeader(path));
  if (manifest === null && header !== null) checkAttachments(path, header, problems);

  const chainEntry = plain.get(captureFiles.chain);
  const trusted = chainEntry !== undefined && isSameFile(chainEntry, manifest?.files[captureFiles.chain]);
  const names = manifest === null ? chainedFiles(header?.streams ?? []) : chainedNames(manifest);
  const ended = await new ChainCheck(path, names, manifest, trusted, problems).run(options.onProgress);
  if (chainEntry !== undefined && !trusted && !problems.concern(captureFiles.chain)) {
    problems.add(captureFiles.chain, null, null, 'was changed');
  }

  // What a changed header says of the other files is no fault of theirs.
  const headerHolds = header !== null && !problems.concern(captureFiles.header);
  const { streams, cutOff } = headerHolds ? measure(path, header, problems) : { streams: [], cutOff: false };
  const signature = manifest === null ? 'none' : checkSignature(manifest, options.trustedKeys ?? []);
  if (signature === 'invalid') problems.add(captureFiles.manifest, 0, 0, 'its signature does not fit its content');
  else if ((options.trustedKeys ?? []).length > 0 && signature !== 'valid') {
    problems.add(captureFiles.manifest, null, null, 'is not signed by a trusted key');
  }
  return {
    ok: problems.list.length === 0,
    closed,
    cutOff: cutOff || !ended,
    simulated: header?.simulated ?? null,
    signature,
    signer: manifest?.signature?.publicKey ?? null,
    streams,
    problems: problems.list,
  };
}

function chainedNames(manifest: Manifest): string[] {
  return Object.entries(manifest.files).flatMap(([name, entry]) => ('blocksSha256' in entry ? [name] : []));
}

class ProblemList {
  readonly list: VerifyProblem[] = [];
  readonly #counts = new Map<string, number>();

  add(file: string, block: number | null, offset: number | null, problem: string): void {
    const count = (this.#counts.get(file) ?? 0) + 1;
    this.#counts.set(file, count);
    if (count <= maxProblemsPerFile) this.list.push({ file, block, offset, problem });
    else if (count === maxProblemsPerFile + 1) {
      this.list.push({ file, block: null, offset: null, problem: 'further blocks were changed' });
    }
  }

  /** True where something was found in this file. */
  concern(file: string): boolean {
    return this.#counts.has(file);
  }
}

/** Runs one check; a file that breaks its format becomes a problem, once. */
function attempt<T>(problems: ProblemList, file: string, check: () => T): T | null {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    if (!problems.concern(file)) problems.add(file, null, null, withoutPath(error.message, file));
    return null;
  }
}

/** A message that begins with the path of a file, without it: the problem names the file already. */
function withoutPath(message: string, file: string): string {
  const end = message.indexOf(file) + file.length;
  return message.slice(end).replace(/^:? /, '') || message;
}

function readManifest(path: string, problems: ProblemList): Manifest | null {
  const decoded = attempt(problems, captureFiles.manifest, () =>
    decodeManifest(readSmallFile(join(path, captureFiles.manifest))),
  );
  if (decoded === null || 'manifest' in decoded) return decoded?.manifest ?? null;
  problems.add(captureFiles.manifest, 0, 0, decoded.problem);
  return null;
}

/** Names every file that is missing or extra. */
function checkEntries(entries: FolderEntry[], manifest: Manifest, problems: ProblemList): void {
  const found = new Set(entries.filter(({ kind }) => kind === 'file').map(({ name }) => name));
  const sealed = Object.keys(manifest.files);
  for (const name of sealed) if (!found.has(name)) problems.add(name, null, null, 'is missing');
  for (const { name, kind } of entries) {
    const known =
      kind === 'file' ? Object.hasOwn(manifest.files, name) : sealed.some((file) => file.startsWith(`${name}/`));
    if (kind === 'unreadable folder') problems.add(name, null, null, 'is a folder that cannot be read');
    else if (kind === 'no file') problems.add(name, null, null, 'is neither a file nor a folder');
    else if (!known) problems.add(name, null, null, `is extra: no such ${kind} was sealed`);
  }
}

/** Compares the files that the chain does not cover, and returns what they are now. */
function checkPlainFiles(path: string, manifest: Manifest, problems: ProblemList): Map<string, PlainFileEntry> {
  const found = new Map<string, PlainFileEntry>();
  for (const [name, sealed] of Object.entries(manifest.files)) {
    if (!('sha256' in sealed) || problems.concern(name)) continue;
    const entry = attempt(problems, name, () => hashFile(join(path, name)));
    if (entry === null) continue;
    found.set(name, entry);
    // The blocks of the chain are its lines: ChainCheck locates what was changed there.
    if (name === captureFiles.chain || isSameFile(entry, sealed)) continue;
    const blocks = Math.max(entry.blocks.length, sealed.blocks.length);
    for (let block = 0; block < blocks; block++) {
      if (entry.blocks[block] === sealed.blocks[block]) continue;
      const size = entry.size === sealed.size ? '' : `; the file has ${entry.size} bytes, sealed were ${sealed.size}`;
      problems.add(name, block, block * fileBlockBytes, `was changed${size}`);
    }
  }
  return found;
}

function isSameFile(a: PlainFileEntry, b: PlainFileEntry | ChainedFileSummary | undefined): boolean {
  return b !== undefined && 'sha256' in b && a.sha256 === b.sha256 && a.size === b.size;
}

/** Without a manifest, the header still binds the files that the run started with. */
function checkAttachments(path: string, header: RunHeaderFile, problems: ProblemList): void {
  for (const { name, size, sha256 } of header.attachments) {
    if (!existsSync(join(path, name))) {
      problems.add(name, null, null, 'is missing');
      continue;
    }
    const entry = attempt(problems, name, () => hashFile(join(path, name)));
    if (entry !== null && (entry.size !== size || entry.sha256 !== sha256)) {
      problems.add(name, null, null, 'is not the file that the run started with');
    }
  }
}

/** How far the streams go, and whether the capture was closed. */
function measure(
  path: string,
  header: RunHeaderFile,
  problems: ProblemList,
): { streams: StreamExtent[]; cutOff: boolean } {
  const { segments: segmentsName, edges, log } = captureFiles;
  const segments = attempt(problems, segmentsName, () => {
    const snapshot = tableSnapshot(path, segmentsName, segmentColumns, false);
    for (const _ of replaySegments(snapshot));
    return snapshot;
  });
  const snapshots = [
    segments,
    attempt(problems, edges, () => {
      const snapshot = tableSnapshot(path, edges, edgeColumns, false);
      for (const _ of replayEdges(snapshot));
      return snapshot;
    }),
    attempt(problems, log, () => logSnapshot(path, false)),
  ];
  // Samples that contradict a changed segments table are not at fault.
  const streamProblems = problems.concern(segmentsName) ? new ProblemList() : problems;
  const streams: StreamExtent[] = [];
  for (const stream of segments === null ? [] : header.streams) {
    const name = samplesFile(stream.id);
    const measured = attempt(streamProblems, name, () => measureStream(stream, join(path, name), segments!, false));
    if (measured === null) continue;
    snapshots.push(measured.snapshot);
    streams.push(measured.extent);
  }
  return { streams, cutOff: snapshots.some((snapshot) => snapshot !== null && !snapshot.ended) };
}

/** A line of the chain, with what it and the block that it names show before the next line is known. */
interface CheckedLine {
  index: number;
  offset: number;
  sha256: string;
  /** Null where the text is no line of a chain. */
  link: ChainLink | ChainEnd | null;
  /** True where it holds the hash of the line before it. */
  tied: boolean;
  /** What is wrong with the line itself, or null. */
  fault: string | null;
  /** How it does not follow the lines before it, or null; means nothing behind a line that was changed. */
  disorder: string | null;
  /** How the block on disk differs from what the line says, or null. */
  difference: VerifyProblem | null;
}

interface CheckedFile {
  fd: number;
  size: number;
  /** Where the next block must begin. */
  nextOffset: number;
  nextBlock: number;
  digests: Hash;
}

/**
 * Walks the chain and hashes the block that each line names. Where a line and its block disagree, the next line tells
 * which of the two was changed, because it holds the hash of the line before it.
 */
class ChainCheck {
  readonly #path: string;
  readonly #manifest: Manifest | null;
  readonly #trusted: boolean;
  readonly #problems: ProblemList;
  readonly #files = new Map<string, CheckedFile | null>();
  readonly #names: string[];
  #buffer = Buffer.alloc(0);
  /** True once a line was found to be changed: what needs all lines is no longer judged. */
  #broken = false;
  #ended = false;

  /**
   * @param names files that the chain may name
   * @param trusted true where the manifest says that the chain is as it was sealed
   */
  constructor(path: string, names: string[], manifest: Manifest | null, trusted: boolean, problems: ProblemList) {
    this.#path = path;
    this.#names = names;
    this.#manifest = manifest;
    this.#trusted = trusted;
    this.#problems = problems;
  }

  /** @returns true where the chain has its end line */
  async run(onProgress?: (share: number) => void): Promise<boolean> {
    const { chain } = captureFiles;
    if (!existsSync(join(this.#path, chain))) {
      if (!this.#problems.concern(chain)) this.#problems.add(chain, null, null, 'is missing');
      return false;
    }
    try {
      await this.#walk(onProgress);
      if (!this.#broken) this.#checkEnds();
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      this.#problems.add(chain, null, null, error.message);
    } finally {
      for (const file of this.#files.values()) if (file !== null) closeSync(file.fd);
    }
    return this.#ended;
  }

  async #walk(onProgress?: (share: number) => void): Promise<void> {
    const { chain, header } = captureFiles;
    const chainPath = join(this.#path, chain);
    const headerBytes = attempt(this.#problems, header, () => readSmallFile(join(this.#path, header)));
    const headerHash = headerBytes === null ? null : hash('sha256', headerBytes);
    const { fd, size } = openForReading(chainPath);
    closeSync(fd);
    let before: CheckedLine | null = null;
    let end = 0;
    for await (const [text, number, offset] of wholeLines(chainPath, Number.POSITIVE_INFINITY)) {
      const line = this.#check(text, number - 1, offset, before === null ? headerHash : before.sha256);
      if (before !== null) this.#judge(before, line);
      before = line;
      end = offset + Buffer.byteLength(text) + 1;
      onProgress?.(end / size);
    }
    if (before !== null) this.#judge(before, null);
    if (this.#broken || (this.#ended && this.#trusted)) return;
    const lines = before === null ? 0 : before.index + 1;
    if (size > end) this.#problems.add(chain, lines, end, 'ends inside a line: it was cut off');
    else if (!this.#ended) this.#problems.add(chain, lines, end, 'has no end line: the capture was cut off');
  }

  #check(text: string, index: number, offset: number, previous: string | null): CheckedLine {
    const link = this.#ended ? null : parseLink(text);
    const line: CheckedLine = {
      index,
      offset,
      sha256: hash('sha256', text),
      link,
      tied: link !== null && link.previous === previous,
      fault: null,
      disorder: null,
      difference: null,
    };
    if (link === null) line.fault = this.#ended ? 'follows the end line' : 'is no line of a chain';
    else if (link.n !== index) line.disorder = `has number ${link.n}, expected ${index}`;
    if (link === null) return line;
    if ('end' in link) this.#ended = true;
    else if (this.#names.includes(link.file)) this.#checkBlock(line, link);
    else line.fault = `names ${JSON.stringify(link.file)}, which is no file of this capture`;
    return line;
  }

  #checkBlock(line: CheckedLine, link: ChainLink): void {
    const file = this.#open(link.file);
    if (file === null) return;
    if (link.block !== file.nextBlock || link.offset !== file.nextOffset) {
      line.disorder = `names block ${link.block} of ${link.file} at byte ${link.offset}, expected block ${file.nextBlock} at byte ${file.nextOffset}`;
    }
    const differs = (problem: string): void => {
      line.difference = { file: link.file, block: link.block, offset: link.offset, problem };
    };
    file.nextOffset = link.offset + link.length;
    file.nextBlock = link.block + 1;
    if (link.length > maxBlockBytes) {
      line.fault = `names a block of ${link.length} bytes`;
    } else if (file.size < file.nextOffset) {
      // Only the block in which the file ends is named, not all those that are gone behind it.
      if (file.size >= link.offset)
        differs(`was changed: the file ends after ${file.size - link.offset} of ${link.length} bytes`);
    } else {
      const sha256 = createHash('sha256')
        .update(this.#read(file.fd, link.offset, link.length))
        .digest();
      file.digests.update(sha256);
      if (sha256.toString('hex') !== link.sha256) differs('was changed');
    }
  }

  /** Says of a line what is wrong, once the next line (null: there is none) is known. */
  #judge(line: CheckedLine, next: CheckedLine | null): void {
    const { header } = captureFiles;
    const untied = next !== null && next.link !== null && !next.tied;
    const genuine = this.#trusted || (next?.tied ?? false);
    const firstIsUntied = line.index === 0 && line.link !== null && !line.tied;
    if (!this.#broken) line.fault ??= line.disorder;
    if (untied && !genuine) {
      if (line.difference !== null) line.fault ??= 'was changed: it names another hash than its block has';
      else if (firstIsUntied) line.fault ??= 'does not hold the hash of run.json';
      else if (line.fault === null) next.fault ??= 'does not hold the hash of the line before it';
    }
    if (line.fault !== null) {
      this.#broken = true;
      this.#problems.add(captureFiles.chain, line.index, line.offset, line.fault);
      return;
    }
    if (line.difference !== null) {
      const { file, block, offset, problem } = line.difference;
      this.#problems.add(file, block, offset, problem);
    }
    if (firstIsUntied && !this.#problems.concern(header)) {
      this.#problems.add(header, 0, 0, 'is not the header that the chain begins with');
    }
  }

  /** Compares where the files end with where their last blocks end, and with the manifest. */
  #checkEnds(): void {
    for (const name of this.#names) {
      const file = this.#open(name);
      const sealed = this.#manifest?.files[name];
      if (file === null || this.#problems.concern(name)) continue;
      const { size, nextBlock, nextOffset } = file;
      if (size > nextOffset) {
        const why = this.#ended ? 'were added' : 'have no link in the chain: the capture was cut off here';
        this.#problems.add(name, nextBlock, nextOffset, `${size - nextOffset} bytes ${why}`);
      } else if (sealed !== undefined && 'blocksSha256' in sealed) {
        const fits =
          sealed.size === size && sealed.blocks === nextBlock && sealed.blocksSha256 === file.digests.digest('hex');
        if (!fits) this.#problems.add(name, null, null, 'chain and manifest do not agree about it');
      }
    }
  }

  #open(name: string): CheckedFile | null {
    let file = this.#files.get(name);
    if (file === undefined) {
      const path = join(this.#path, name);
      const opened =
        this.#problems.concern(name) || !existsSync(path)
          ? null
          : attempt(this.#problems, name, () => openForReading(path));
      file = opened === null ? null : { ...opened, nextOffset: 0, nextBlock: 0, digests: createHash('sha256') };
      this.#files.set(name, file);
      if (file === null && !this.#problems.concern(name)) this.#problems.add(name, null, null, 'is missing');
    }
    return file;
  }

  #read(fd: number, offset: number, length: number): Uint8Array {
    if (this.#buffer.length < length) this.#buffer = Buffer.allocUnsafeSlow(length);
    let filled = 0;
    for (let n = -1; n !== 0 && filled < length; filled += n) {
      n = readSync(fd, this.#buffer, filled, length - filled, offset + filled);
    }
    return this.#buffer.subarray(0, filled);
  }
}

/** Reads one line of the chain; null where it is not byte for byte what the writer would have written. */
function parseLink(text: string): ChainLink | ChainEnd | null {
  let json: Partial<ChainLink & ChainEnd> | null;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof json !== 'object' || json === null) return null;
  const { n, end, file, block, offset, length, sha256, previous } = json;
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  if (!isCount(n) || typeof previous !== 'string') return null;
  if (end === true) return JSON.stringify({ n, end, previous }) === text ? { n, end, previous } : null;
  if (typeof file !== 'string' || typeof sha256 !== 'string') return null;
  if (!isCount(block) || !isCount(offset) || !isCount(length) || !isCount(offset + length)) return null;
  const link: ChainLink = { n, file, block, offset, length, sha256, previous };
  return JSON.stringify(link) === text ? link : null;
}
