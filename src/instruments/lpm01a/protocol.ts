import { lpm01aPrompt, lpm01aTag } from './spec.ts';

/** What the board sends, in order. */
export type Lpm01aItem =
  /** Consecutive samples: A, or J per sampling interval. */
  | { kind: 'samples'; values: Float64Array }
  /** Characters that are no sample and stand where samples should: about so many were in them. */
  | { kind: 'bad'; samples: number; text: string }
  /** Binary samples since the last time-stamp may be shifted by a byte; the border has been found again. */
  | { kind: 'desync' }
  | { kind: 'timestamp'; time_ms: number; buffer_pct: number }
  /** A falling edge on D7, with its running number. */
  | { kind: 'event'; number: number }
  /** The answer to a command: `ack`, or `err` / `error`. */
  | { kind: 'answer'; ok: boolean; text: string }
  /** The line after a refusal that says why. */
  | { kind: 'detail'; text: string }
  /** An error that is no answer. */
  | { kind: 'error'; text: string }
  | { kind: 'overcurrent' }
  /** The acquisition has ended. */
  | { kind: 'end' }
  | { kind: 'power'; on: boolean }
  | { kind: 'voltage'; voltage_V: number }
  | { kind: 'temperature'; temperature_C: number }
  /** Any other line. */
  | { kind: 'text'; text: string };

export type Lpm01aFormat = 'ascii_dec' | 'bin_hexa';

/** A sample line is `DDDDsEE`: 4 digits of mantissa, sign and 2 digits of the decimal exponent. */
const SAMPLE_CHARS = 7;
const SAMPLE_ANYWHERE = /\d{4}[+-]\d{2}/g;
const TIMESTAMP = /^time ?stamp:\s*(\d{1,6})s\s*(\d{1,3})\s*ms[\s,<>]*buff\s*(\d{1,3})\s*%$/i;
const EVENT = /event\s+(\d{1,9})\s+(?:ris|fal)[a-z]*/i;
const ANSWER = /^(ack|error|err)\b\s*(.*)$/i;
/** No line of the board is longer. */
const MAX_LINE = 256;
const MAX_SUMMARY_LINES = 20;
/** Longest text in a binary error or information frame. */
const MAX_FRAME_TEXT = 512;
/** Exponents up to here keep mantissa * 10^e correctly rounded. */
const POWERS_OF_10 = Float64Array.from({ length: 23 }, (_, e) => Number(`1e${e}`));
const POWERS_OF_16 = Float64Array.from({ length: 16 }, (_, pow) => 16 ** -pow);

const NUL = 0;
const LF = 10;
const CR = 13;
const DIGIT_0 = 48;
const DIGIT_9 = 57;
const PLUS = 43;
const MINUS = 45;
/** First byte of a metadata frame; no text contains it. */
const FRAME = 0xf0;
const FRAME_END = 0xff;

/** Length of the frames that have a fixed one, with F0 and FF FF. */
const FRAME_BYTES: Readonly<Record<number, number>> = {
  [lpm01aTag.timestamp]: 9,
  [lpm01aTag.end]: 4,
  [lpm01aTag.overcurrent]: 4,
  [lpm01aTag.targetOff]: 4,
  [lpm01aTag.voltage]: 6,
  [lpm01aTag.temperature]: 6,
  [lpm01aTag.power]: 5,
};

/** Value of a binary sample: 12 bits of mantissa times 16^-pow, pow in the upper 4 bits. */
export function binarySample(byte0: number, byte1: number): number {
  return (((byte0 & 15) << 8) | byte1) * POWERS_OF_16[byte0 >> 4]!;
}

/** A number as commands take it: plain, or with `m` for milli. Voltages go as whole millivolts. */
export const milli = (value: number): string => `${Math.trunc(value * 1000 + 1e-6)}m`;

/** Growing list of samples, handed out as one array. */
class SampleRun {
  #values = new Float64Array(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const larger = new Float64Array(this.#length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#length++] = value;
  }

  take(): Float64Array {
    const values = this.#values.slice(0, this.#length);
    this.#length = 0;
    return values;
  }
}

/**
 * Bytes to items, for both formats. Text is parsed line by line (`\0` and `\r` are dropped, the prompt is stripped);
 * binary begins at the first F0 and ends with the end-of-acquisition frame. What is no sample becomes `bad` or `desync`,
 * never a value.
 */
export class Lpm01aParser {
  #isBinary = false;
  readonly #format: Lpm01aFormat;
  readonly #run = new SampleRun();
  #items: Lpm01aItem[] = [];
  #line = '';
  #isOverlong = false;
  #summaryLines = 0;
  /** The bad lines under way: whole numbers in them, and characters of parts of numbers. */
  #bad: { numbers: number; characters: number; text: string } | null = null;
  #bytes = new Uint8Array(0);
  /** The byte before `#bytes`. */
  #before = new Uint8Array(0);
  #isSearching = false;

  constructor(format: Lpm01aFormat) {
    this.#format = format;
  }

  push(chunk: Uint8Array): Lpm01aItem[] {
    let rest = chunk;
    while (rest.length > 0) rest = this.#isBinary ? this.#pushBinary(rest) : this.#pushText(rest);
    this.#flushRun();
    const items = this.#items;
    this.#items = [];
    return items;
  }

  #emit(item: Lpm01aItem): void {
    this.#flushBad();
    this.#flushRun();
    this.#items.push(item);
  }

  #flushRun(): void {
    if (this.#run.length > 0) this.#items.push({ kind: 'samples', values: this.#run.take() });
  }

  #flushBad(): void {
    if (!this.#bad) return;
    const { numbers, characters, text } = this.#bad;
    this.#bad = null;
    this.#flushRun();
    this.#items.push({ kind: 'bad', samples: Math.max(1, numbers + Math.round(characters / SAMPLE_CHARS)), text });
  }

  /** @returns what follows the text, once binary begins */
  #pushText(chunk: Uint8Array): Uint8Array {
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]!;
      if (byte === LF) this.#endLine();
      else if (byte === FRAME && this.#format === 'bin_hexa' && this.#line === '') {
        this.#isBinary = true;
        return chunk.subarray(i);
      } else if (byte !== CR && byte !== NUL) {
        if (this.#line.length < MAX_LINE) this.#line += String.fromCharCode(byte);
        else this.#isOverlong = true;
      }
    }
    return new Uint8Array(0);
  }

  #endLine(): void {
    const line = this.#line;
    this.#line = '';
    if (this.#isOverlong) {
      this.#isOverlong = false;
      this.#badText(line);
    } else if (line !== '') this.#parseLine(line);
  }

  #parseLine(line: string): void {
    const value = asciiSample(line);
    if (value !== null && this.#summaryLines === 0) {
      this.#flushBad();
      this.#run.push(value);
      return;
    }
    const isPrompt = line.startsWith(lpm01aPrompt.trimEnd());
    const text = (isPrompt ? line.slice(lpm01aPrompt.trimEnd().length) : line).trim();
    if (text === '') return;
    if (this.#summaryLines > 0 || /^summary beg/i.test(text)) {
      this.#summaryLines =
        /^summary end/i.test(text) || this.#summaryLines >= MAX_SUMMARY_LINES ? 0 : this.#summaryLines + 1;
      this.#emit({ kind: 'text', text });
      return;
    }
    const timestamp = TIMESTAMP.exec(text);
    const answer = ANSWER.exec(text);
    if (timestamp) {
      const time_ms = 1000 * Number(timestamp[1]) + Number(timestamp[2]);
      this.#emit({ kind: 'timestamp', time_ms, buffer_pct: Number(timestamp[3]) });
    } else if (/^acquisition completed/i.test(text) || text === 'end') this.#emit({ kind: 'end' });
    else if (/^error detail/i.test(text)) this.#emit({ kind: 'detail', text: text.replace(/^error detail:?\s*/i, '') });
    else if (answer && (isPrompt || answer[1]!.toLowerCase() !== 'error')) {
      this.#emit({ kind: 'answer', ok: answer[1]!.toLowerCase() === 'ack', text: answer[2]! });
    } else if (/^error/i.test(text)) this.#emitError(text);
    else if (/^pwr (on|off)$/i.test(text)) this.#emit({ kind: 'power', on: /on$/i.test(text) });
    else this.#parseOther(text, isPrompt);
  }

  #emitError(text: string): void {
    if (/over[ -]?current/i.test(text)) this.#emit({ kind: 'overcurrent' });
    else this.#emit({ kind: 'error', text: text.replace(/^error[:\s]*/i, '') });
  }

  /** An event, alone or merged with something; a damaged sample; or any other text. */
  #parseOther(text: string, isPrompt: boolean): void {
    const event = EVENT.exec(text);
    if (event) {
      const before = text.slice(0, event.index);
      const after = text.slice(event.index + event[0].length);
      if (before.trim() !== '') this.#badText(before);
      this.#emit({ kind: 'event', number: Number(event[1]) });
      if (after.trim() !== '') this.#badText(after);
    } else if (!isPrompt && (/^[\d+-]/.test(text) || text.search(SAMPLE_ANYWHERE) >= 0)) this.#badText(text);
    else this.#emit({ kind: 'text', text });
  }

  #badText(text: string): void {
    this.#flushRun();
    this.#bad ??= { numbers: 0, characters: 0, text: '' };
    this.#bad.numbers += text.match(SAMPLE_ANYWHERE)?.length ?? 0;
    this.#bad.characters += text.replaceAll(SAMPLE_ANYWHERE, '').replaceAll(/[^\d+-]/g, '').length;
    if (this.#bad.text.length < MAX_LINE) this.#bad.text += text;
  }

  /** @returns what follows the end of the acquisition */
  #pushBinary(chunk: Uint8Array): Uint8Array {
    let bytes = this.#bytes.length === 0 ? chunk : concat(this.#bytes, chunk);
    let at = 0;
    for (;;) {
      if (this.#isSearching) {
        at = this.#findFrame(bytes, at);
        if (this.#isSearching) break;
      }
      const byte = bytes[at];
      if (byte === undefined || at + 1 >= bytes.length) break;
      const text = textLength(bytes, at);
      if (text === 'incomplete') break;
      if (text > 0) {
        // An answer to a command between binary samples: text, never samples.
        for (const line of Buffer.from(bytes.subarray(at, at + text))
          .toString('latin1')
          .split(/[\r\n]+/)) {
          if (line !== '') this.#parseLine(line);
        }
        at += text;
        continue;
      }
      if (byte < FRAME) {
        this.#run.push(binarySample(byte, bytes[at + 1]!));
        at += 2;
        continue;
      }
      const length = frameLength(bytes, at);
      if (length === 'incomplete') break;
      if (length === 'invalid') {
        this.#isSearching = true;
        // Shifted by one byte, the F0 of a frame has just been taken for the second half of a sample.
        if (at > 0) at--;
        else bytes = concat(this.#before, bytes);
        continue;
      }
      this.#parseFrame(bytes.subarray(at, at + length));
      at += length;
      if (!this.#isBinary) {
        this.#bytes = new Uint8Array(0);
        return bytes.slice(at);
      }
    }
    if (at > 0) this.#before = bytes.slice(at - 1, at);
    this.#bytes = bytes.slice(at);
    return new Uint8Array(0);
  }

  /** Looks for the next whole frame. Clears the search when it has found one. */
  #findFrame(bytes: Uint8Array, from: number): number {
    for (let at = from; at < bytes.length; at++) {
      if (bytes[at] !== FRAME) continue;
      const length = frameLength(bytes, at);
      if (length === 'incomplete') return at;
      if (length === 'invalid') continue;
      this.#isSearching = false;
      this.#emit({ kind: 'desync' });
      return at;
    }
    return bytes.length;
  }

  #parseFrame(frame: Uint8Array): void {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    switch (frame[1]) {
      case lpm01aTag.error:
        this.#emitError(frameText(frame));
        break;
      case lpm01aTag.info:
        this.#emitInfo(frameText(frame));
        break;
      case lpm01aTag.timestamp:
        // Bit 31 says that the counter has overflowed.
        this.#emit({ kind: 'timestamp', time_ms: view.getUint32(2) & 0x7fffffff, buffer_pct: frame[6]! });
        break;
      case lpm01aTag.end:
        this.#isBinary = false;
        this.#emit({ kind: 'end' });
        break;
      case lpm01aTag.overcurrent:
        this.#emit({ kind: 'overcurrent' });
        break;
      case lpm01aTag.targetOff:
        this.#emit({ kind: 'power', on: false });
        break;
      case lpm01aTag.voltage:
        this.#emit({ kind: 'voltage', voltage_V: view.getUint16(2) / 1000 });
        break;
      case lpm01aTag.temperature:
        this.#emit({ kind: 'temperature', temperature_C: view.getInt16(2) });
        break;
      case lpm01aTag.power:
        this.#emit({ kind: 'power', on: frame[2] === 1 });
        break;
    }
  }

  /** Information frames carry the lines that the ASCII format has between its samples. */
  #emitInfo(text: string): void {
    const event = EVENT.exec(text);
    this.#emit(event ? { kind: 'event', number: Number(event[1]) } : { kind: 'text', text });
  }
}

/** The value of a line that is a sample and nothing else, else null. */
function asciiSample(line: string): number | null {
  if (line.length !== SAMPLE_CHARS) return null;
  let mantissa = 0;
  for (let i = 0; i < 4; i++) {
    const digit = line.charCodeAt(i);
    if (digit < DIGIT_0 || digit > DIGIT_9) return null;
    mantissa = 10 * mantissa + digit - DIGIT_0;
  }
  const sign = line.charCodeAt(4);
  const [tens, ones] = [line.charCodeAt(5) - DIGIT_0, line.charCodeAt(6) - DIGIT_0];
  if ((sign !== PLUS && sign !== MINUS) || tens < 0 || tens > 9 || ones < 0 || ones > 9) return null;
  const exponent = 10 * tens + ones;
  if (exponent >= POWERS_OF_10.length) return Number(`${mantissa}e${sign === MINUS ? -exponent : exponent}`);
  return sign === MINUS ? mantissa / POWERS_OF_10[exponent]! : mantissa * POWERS_OF_10[exponent]!;
}

const PROMPT_LINES = [lpm01aPrompt, `\r\n${lpm01aPrompt}`].map((text) => Buffer.from(text, 'latin1'));

/** Length of the line with a prompt that begins at `at` in a binary stream; 0 where none does. */
function textLength(bytes: Uint8Array, at: number): number | 'incomplete' {
  for (const prompt of PROMPT_LINES) {
    let same = 0;
    while (same < prompt.length && bytes[at + same] === prompt[same]) same++;
    if (same < prompt.length && at + same < bytes.length) continue;
    if (same === 0) continue;
    const end = same < prompt.length ? -1 : bytes.indexOf(LF, at + prompt.length);
    if (end >= 0) return end + 1 - at;
    if (bytes.length - at < MAX_LINE) return 'incomplete';
  }
  return 0;
}

/** Length of the metadata frame at `at`. */
function frameLength(bytes: Uint8Array, at: number): number | 'incomplete' | 'invalid' {
  const left = bytes.length - at;
  if (bytes[at] !== FRAME) return 'invalid';
  if (left < 2) return 'incomplete';
  const tag = bytes[at + 1]!;
  const fixed = FRAME_BYTES[tag];
  if (fixed !== undefined) {
    if (left < fixed) return 'incomplete';
    return bytes[at + fixed - 2] === FRAME_END && bytes[at + fixed - 1] === FRAME_END ? fixed : 'invalid';
  }
  if (tag !== lpm01aTag.error && tag !== lpm01aTag.info && tag !== lpm01aTag.reserved) return 'invalid';
  for (let end = at + 2; end + 1 < Math.min(bytes.length, at + MAX_FRAME_TEXT); end++) {
    if (bytes[end] === FRAME_END && bytes[end + 1] === FRAME_END) return end + 2 - at;
  }
  return left < MAX_FRAME_TEXT ? 'incomplete' : 'invalid';
}

const frameText = (frame: Uint8Array): string =>
  Buffer.from(frame.subarray(2, frame.length - 2))
    .toString('latin1')
    .replaceAll('\0', '')
    .trim();

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

/** The version in the answer to `version`, e.g. [1, 0, 6], or null where it is none. */
export function parseVersion(text: string): [number, number, number] | null {
  const match = /(\d{1,5})\.(\d{1,5})\.(\d{1,5})/.exec(text);
  return match ? [Number(match[1]), Number(match[2]), Number(match[3])] : null;
}

/** Negative if version `a` is older than `b`, 0 if they are the same. */
export function compareVersions(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < 3; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
}
