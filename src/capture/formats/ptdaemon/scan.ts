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

/**
 * How the text of a file gives an expected SHA-1 after a change of line ends: all CR LF changed to LF, all LF to CR LF,
 * `mixed` as PTDaemon on Linux writes its log (CR LF only behind what came over a wire), or not at all.
 */
export type LineEndMatch = 'crlf-to-lf' | 'lf-to-crlf' | 'mixed' | 'differs';

/**
 * Tells whether a file that does not have the expected SHA-1 has it after a change of line ends: version control
 * systems change them.
 */
export async function matchHashLineEnds(path: string, expectedSha1: string): Promise<LineEndMatch> {
  const changer = new LineEndChanger();
  await eachChunk(path, (chunk) => changer.push(chunk.toString('latin1')));
  return changer.match(expectedSha1);
}

/** Lines of ptd_logs.txt that end in CR LF on Linux: replies to the client, and those of some analyzers. */
const FROM_DAEMON = /^(\d\d-\d\d-\d{4} [\d:.]{12}: (Response to client sent: |Avg watts )|Time,)/;
const FROM_ANALYZER = /^(\d\d-\d\d-\d{4} [\d:.]{12}: )?(Analyzer identity response of |\.\.\.response of )/;
const PREFIX_CHARS = 100;
const FLUSH_CHARS = 1 << 20;

class LineEndChanger {
  private readonly hashes: { match: LineEndMatch; hash: Hash; end: (prefix: string, hadCr: boolean) => string }[] = [
    { match: 'crlf-to-lf', hash: createHash('sha1'), end: () => '\n' },
    { match: 'lf-to-crlf', hash: createHash('sha1'), end: () => '\r\n' },
    // Windows writes every LF as CR LF, also the LF of a CR LF.
    { match: 'lf-to-crlf', hash: createHash('sha1'), end: (_, hadCr) => (hadCr ? '\r\r\n' : '\r\n') },
    { match: 'mixed', hash: createHash('sha1'), end: (prefix) => (FROM_DAEMON.test(prefix) ? '\r\n' : '\n') },
    {
      match: 'mixed',
      hash: createHash('sha1'),
      end: (prefix) => (FROM_DAEMON.test(prefix) || FROM_ANALYZER.test(prefix) ? '\r\n' : '\n'),
    },
    // The same log from Windows, after a tool that took away every CR.
    { match: 'lf-to-crlf', hash: createHash('sha1'), end: (prefix) => (FROM_DAEMON.test(prefix) ? '\r\r\n' : '\r\n') },
    {
      match: 'lf-to-crlf',
      hash: createHash('sha1'),
      end: (prefix) => (FROM_DAEMON.test(prefix) || FROM_ANALYZER.test(prefix) ? '\r\r\n' : '\r\n'),
    },
  ];
  private carry = '';
  /** Beginning of the current line. */
  private prefix = '';

  push(text: string): void {
    let from = 0;
    for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', from)) {
      this.line(this.carry + text.slice(from, end));
      this.carry = '';
      this.prefix = '';
      from = end + 1;
    }
    this.carry += text.slice(from);
    if (this.carry.length > FLUSH_CHARS) this.flush();
  }

  /** A line of any length costs no memory: all but its last character (perhaps the CR of its end) is hashed early. */
  private flush(): void {
    if (this.prefix === '') this.prefix = this.carry.slice(0, PREFIX_CHARS);
    const text = this.carry.slice(0, -1);
    for (const { hash } of this.hashes) hash.update(text, 'latin1');
    this.carry = this.carry.slice(-1);
  }

  private line(line: string): void {
    const hadCr = line.endsWith('\r');
    const text = hadCr ? line.slice(0, -1) : line;
    const prefix = this.prefix === '' ? text.slice(0, PREFIX_CHARS) : this.prefix;
    for (const { hash, end } of this.hashes) hash.update(text + end(prefix, hadCr), 'latin1');
  }

  match(expectedSha1: string): LineEndMatch {
    for (const { hash } of this.hashes) hash.update(this.carry, 'latin1');
    return this.hashes.find(({ hash }) => hash.digest('hex') === expectedSha1)?.match ?? 'differs';
  }
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
