import { createReadStream } from 'node:fs';
import { FormatError } from '../../signal/errors.ts';

/** One line of a text file from outside, made safe to match against: no NUL, no ANSI escape, no line end. */
export interface TextLine {
  /** 1-based. */
  number: number;
  text: string;
  /** The line held bytes above 0x7F. */
  nonAscii: boolean;
  /** The line held NUL bytes, which were taken out. */
  nul: boolean;
  /** The line held ANSI escape sequences, which were taken out. */
  ansi: boolean;
  /** The line was longer than the limit; only its beginning is here. */
  cut: boolean;
}

/** Longest line kept, in bytes. The longest real one is a few hundred bytes. */
const maxLine_bytes = 65_536;

const LF = 0x0a;
const CR = 0x0d;
const ansiEscape = /\u001b\[[0-9;?]*[ -/]*[@-~]/g;

/**
 * Cuts bytes into lines at LF (CR LF too). Memory stays bounded whatever comes in: a line beyond the limit is cut, and
 * bytes that are not UTF-8 become U+FFFD.
 */
export class LineSplitter {
  private held: Uint8Array[] = [];
  private heldLength = 0;
  private overflow = false;
  private number = 0;
  private readonly decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  *push(bytes: Uint8Array): Generator<TextLine> {
    let start = 0;
    for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, start)) {
      this.hold(bytes.subarray(start, end));
      yield this.take();
      start = end + 1;
    }
    this.hold(bytes.subarray(start));
  }

  *end(): Generator<TextLine> {
    if (this.heldLength > 0) yield this.take();
  }

  private hold(bytes: Uint8Array): void {
    const room = maxLine_bytes - this.heldLength;
    if (bytes.length > room) this.overflow = true;
    const kept = bytes.subarray(0, room);
    if (kept.length === 0) return;
    // A copy, because the reader may use its buffer again.
    this.held.push(kept.slice());
    this.heldLength += kept.length;
  }

  private take(): TextLine {
    let bytes = this.held.length === 1 ? this.held[0]! : Buffer.concat(this.held);
    const cut = this.overflow;
    this.held = [];
    this.heldLength = 0;
    this.overflow = false;
    this.number++;
    if (bytes.at(-1) === CR) bytes = bytes.subarray(0, -1);
    let text = this.decoder.decode(bytes);
    if (this.number === 1 && text.startsWith('\ufeff')) text = text.slice(1);
    const nonAscii = bytes.some((byte) => byte > 0x7f);
    const nul = text.includes('\0');
    if (nul) text = text.replaceAll('\0', '');
    const ansi = text.includes('\u001b');
    if (ansi) text = text.replace(ansiEscape, '');
    return { number: this.number, text, nonAscii, nul, ansi, cut };
  }
}

/** The lines of a text in memory. */
export function* linesOf(text: string): Generator<TextLine> {
  const splitter = new LineSplitter();
  yield* splitter.push(Buffer.from(text, 'utf8'));
  yield* splitter.end();
}

/** The lines of a file, streamed. Throws a FormatError where the file cannot be read. */
export async function* readLines(path: string): AsyncGenerator<TextLine> {
  const splitter = new LineSplitter();
  try {
    for await (const chunk of createReadStream(path)) yield* splitter.push(chunk as Uint8Array);
  } catch (cause) {
    throw unreadable(path, cause);
  }
  yield* splitter.end();
}

/** The FormatError for a file that the operating system does not let us read. */
export function unreadable(path: string, cause: unknown): FormatError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new FormatError('file.unreadable', {
    where: path,
    problem: `cannot be read (${reason})`,
    remedy: 'Check that the path exists and that you may read it.',
    cause,
  });
}
