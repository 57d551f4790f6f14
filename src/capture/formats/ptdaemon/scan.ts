import { createHash, type Hash } from 'node:crypto';
import { constants, type FileHandle, open } from 'node:fs/promises';

const CHUNK_BYTES = 1 << 18;
/** Longer lines are cut here: what PTDaemon and loadgen put first fits, and a line of any length costs no memory. */
const KEPT_LINE_BYTES = 1 << 14;
const LF = 10;
const CR = 13;

/** What a pass over a text file found beside its lines. */
export interface ScannedFile {
  size_bytes: number;
  /** SHA-1 of the bytes as they are, as lower-case hex. */
  sha1: string;
  lines: number;
  /** Lines that were longer than what is kept of a line. */
  cutLines: number;
  /** True where the bytes are no text (a NUL byte in the first 4 KiB). */
  binary: boolean;
}

/**
 * Reads a text file line by line in bounded memory and hashes it on the way.
 * Lines come as Latin-1 text without line end and without byte-order mark; a line is cut after 16 KiB.
 * Throws what the file system throws (missing, unreadable).
 */
export async function scanLines(path: string, onLine: (line: string, number: number) => void): Promise<ScannedFile> {
  const hash = createHash('sha1');
  const lines = new LineSplitter(onLine);
  let size_bytes = 0;
  await eachChunk(path, (chunk) => {
    size_bytes += chunk.length;
    hash.update(chunk);
    lines.push(chunk);
  });
  lines.end();
  return { size_bytes, sha1: hash.digest('hex'), lines: lines.count, cutLines: lines.cut, binary: lines.binary };
}

class LineSplitter {
  count = 0;
  cut = 0;
  binary = false;
  private carry = '';
  private carried = false;
  private overlong = false;
  private seen = 0;
  private readonly onLine: (line: string, number: number) => void;

  constructor(onLine: (line: string, number: number) => void) {
    this.onLine = onLine;
  }

  push(chunk: Buffer): void {
    if (this.seen < 4096 && chunk.subarray(0, 4096 - this.seen).includes(0)) this.binary = true;
    this.seen += chunk.length;
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(LF, from);
      if (end === -1) break;
      this.line(chunk, from, end);
      from = end + 1;
    }
    if (from < chunk.length) this.keep(chunk, from, chunk.length);
  }

  end(): void {
    if (this.carried) this.emit(this.carry);
  }

  private keep(chunk: Buffer, from: number, to: number): void {
    this.carried = true;
    const room = KEPT_LINE_BYTES - this.carry.length;
    if (to - from > room) this.overlong = true;
    if (room > 0) this.carry += chunk.toString('latin1', from, Math.min(to, from + room));
  }

  private line(chunk: Buffer, from: number, end: number): void {
    if (this.carried || end - from > KEPT_LINE_BYTES) {
      this.keep(chunk, from, end);
      this.emit(this.carry);
    } else {
      this.emit(chunk.toString('latin1', from, end));
    }
  }

  private emit(text: string): void {
    this.count++;
    if (this.overlong) this.cut++;
    let end = text.length;
    while (end > 0 && text.charCodeAt(end - 1) === CR) end--;
    const start = this.count === 1 && text.startsWith('\u00ef\u00bb\u00bf') ? 3 : 0;
    this.carry = '';
    this.carried = false;
    this.overlong = false;
    this.onLine(text.slice(start, end), this.count);
  }
}

/** How a file's bytes give an expected SHA-1: as they are, after a change of line ends, or not at all. */
export type HashMatch = 'equal' | 'crlf-to-lf' | 'lf-to-crlf' | 'differs';

/**
 * Tells whether a file that does not have the expected SHA-1 has it after a change of line ends (version control
 * systems change them). Never answers `equal`: that is told by `scanLines`.
 */
export async function matchHashLineEnds(path: string, expectedSha1: string): Promise<Exclude<HashMatch, 'equal'>> {
  const toLf = createHash('sha1');
  const toCrLf = createHash('sha1');
  const state = { pendingCr: false };
  await eachChunk(path, (chunk) => convertLineEnds(chunk, toLf, toCrLf, state));
  if (state.pendingCr) {
    toLf.update('\r');
    toCrLf.update('\r');
  }
  if (toLf.digest('hex') === expectedSha1) return 'crlf-to-lf';
  if (toCrLf.digest('hex') === expectedSha1) return 'lf-to-crlf';
  return 'differs';
}

/** Feeds a chunk with its line ends changed; a CR at its end is held back until the next byte is known. */
function convertLineEnds(chunk: Buffer, toLf: Hash, toCrLf: Hash, state: { pendingCr: boolean }): void {
  let text = state.pendingCr ? `\r${chunk.toString('latin1')}` : chunk.toString('latin1');
  state.pendingCr = text.endsWith('\r');
  if (state.pendingCr) text = text.slice(0, -1);
  const lf = text.replaceAll('\r\n', '\n');
  toLf.update(lf, 'latin1');
  toCrLf.update(lf.replaceAll('\n', '\r\n'), 'latin1');
}

/** SHA-1 of a file as lower-case hex. */
export async function sha1OfFile(path: string): Promise<string> {
  const hash = createHash('sha1');
  await eachChunk(path, (chunk) => hash.update(chunk));
  return hash.digest('hex');
}

/** The whole text of a small file as UTF-8 without byte-order mark, or null where it is larger than `max_bytes`. */
export async function readSmallText(path: string, max_bytes: number): Promise<string | null> {
  const file = await openRegular(path);
  try {
    const { size } = await file.stat();
    if (size > max_bytes) return null;
    const text = await file.readFile('utf8');
    return text.startsWith('\ufeff') ? text.slice(1) : text;
  } finally {
    await file.close();
  }
}

async function eachChunk(path: string, onChunk: (chunk: Buffer) => void): Promise<void> {
  const file = await openRegular(path);
  try {
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES);
      if (bytesRead === 0) return;
      onChunk(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}

/** Opens a regular file; a pipe or device of the same name would block or never end, so it is refused. */
async function openRegular(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  const stat = await file.stat();
  if (stat.isFile()) return file;
  await file.close();
  throw new Error('not a regular file');
}
