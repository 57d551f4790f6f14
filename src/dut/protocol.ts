/**
 * The MLPerf Tiny DUT protocol as values: commands end with `%` and hold at most 80 characters, answers are lines, and
 * every command's answer ends with `m-ready`. Source: EEMBC monitor and th_* API of MLPerf Tiny (benchmark/api).
 */

/** Most characters of a command that a DUT keeps; the terminator comes on top. */
export const maxCommandLength = 80;
/** Longest input that the reference firmware takes: 96 x 96 x 3. */
export const maxInputBytes = 27_648;
/** Bytes in one `db` command, directly and behind an IO manager. */
export const directBlockBytes = 31;
export const relayedBlockBytes = 26;

/** One complete message of a DUT. */
export type DutMessage =
  | { kind: 'ready' | 'init-done' | 'load-done' | 'warmup-done' | 'infer-done' }
  | { kind: 'timestamp-mode'; mode: DutMode }
  | { kind: 'name' | 'profile' | 'model'; text: string }
  | { kind: 'expecting'; bytes: number }
  | { kind: 'warmup-start'; warmups: number }
  | { kind: 'infer-start'; inferences: number }
  /** A timestamp of the DUT's own counter. */
  | { kind: 'lap'; time_us: number }
  /** Bytes of the input buffer (`db print`). */
  | { kind: 'buffer'; bytes: Uint8Array }
  /** The answer to one input; `fields` are the numbers as printed. */
  | { kind: 'results'; values: number[]; fields: string[] }
  | { kind: 'error'; text: string };

/** Energy mode pulses a pin where performance mode prints `m-lap-us-N`. */
export type DutMode = 'energy' | 'performance';

/** What is wrong with a line. */
export type LineOddity =
  | 'damaged' // bytes that no DUT prints: above 0x7E, or control characters
  | 'cut' // too long; only its beginning is here
  | 'merged' // several messages in one line
  | 'text-before' // a message behind other text
  | 'broken'; // it looks like a message and is none

/** A line as it came over the wire. */
export interface ReceivedLine {
  /** Printable ASCII; what else came is left out. */
  text: string;
  /** Bytes were left out, or a carriage return stood inside the line. */
  isDamaged: boolean;
  isCut: boolean;
}

/** What a line says. Text that is no message gives neither messages nor oddities. */
export interface ParsedLine {
  messages: DutMessage[];
  oddities: LineOddity[];
}

/** Longest line kept; a long list of features or activations has some thousands of characters. */
const maxLineLength = 65_536;

const LF = 0x0a;
const CR = 0x0d;

/** Cuts bytes into lines at LF, in bounded memory, whatever comes. */
export class LineCutter {
  #held: number[] = [];
  #isDamaged = false;
  #isCut = false;
  #endsWithReturn = false;

  /** The beginning of a line whose end has not come yet. */
  get pending(): string {
    return String.fromCharCode(...this.#held.slice(0, 200));
  }

  push(bytes: Uint8Array): ReceivedLine[] {
    const lines: ReceivedLine[] = [];
    for (const byte of bytes) {
      if (byte === LF) {
        lines.push(this.#take());
        continue;
      }
      // A carriage return belongs to the line end; inside a line it means that something is missing.
      if (this.#endsWithReturn) this.#isDamaged = true;
      this.#endsWithReturn = byte === CR;
      if (byte === CR) continue;
      const isTab = byte === 0x09;
      if ((byte < 0x20 && !isTab) || byte > 0x7e) this.#isDamaged = true;
      else if (this.#held.length < maxLineLength) this.#held.push(byte);
      else this.#isCut = true;
    }
    return lines;
  }

  #take(): ReceivedLine {
    const text = Buffer.from(this.#held).toString('latin1');
    const line = { text, isDamaged: this.#isDamaged, isCut: this.#isCut };
    this.#held = [];
    this.#isDamaged = false;
    this.#isCut = false;
    this.#endsWithReturn = false;
    return line;
  }
}

const number = String.raw`[+-]?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:[eE][+-]?\d{1,3})?`;

/** Every message, each at the place where it is looked for. Sticky, so that a line is read without being copied. */
const messagePattern = new RegExp(
  [
    'm-(?<plain>ready|init-done|load-done|warmup-done|infer-done)',
    'm-timestamp-mode-(?<mode>energy|performance)',
    String.raw`m-name-dut-\[(?<name>[^\]]{1,200})\]`,
    String.raw`m-profile-\[(?<profile>[^\]]{1,200})\]`,
    String.raw`m-model-\[(?<model>[^\]]{1,200})\]`,
    String.raw`(?:m-\[)?Expecting (?<expecting>\d{1,9}) bytes\]?`,
    String.raw`m-warmup-start-(?<warmups>\d{1,9})`,
    String.raw`m-infer-start-(?<inferences>\d{1,9})`,
    String.raw`m-lap-us-(?<lap>\d{1,15})`,
    'm-buffer-(?<buffer>[0-9a-fA-F]{2}(?:-[0-9a-fA-F]{2}){0,15})',
    String.raw`m-results-\[(?<results>${number}(?:, ?${number}){0,9999}),?\]`,
    String.raw`e-\[(?<error>[^\]]{0,300})\]`,
  ].join('|'),
  'y',
);

/** Messages that may stand behind other text and are then still believed: nothing is computed with what they say. */
const believedBehindText: readonly DutMessage['kind'][] = ['ready', 'warmup-start', 'warmup-done', 'infer-done'];
/** Looked for behind other text. */
const mostMergedMessages = 8;
const messageStart = /[me]-[a-z[]/g;
const looksLikeMessage = /m-(?:res|lap|nam|mod|prof|war|inf|rea|init|load|tim|buf|\[E)|e-[[?]|esults-|lap-us/;

/**
 * The messages in a line. A line that is nothing but messages is taken whole, also where a lost line end merged two.
 * Behind other text only messages are believed that carry no measured value. Results, laps and names count only where the line is
 * intact from end to end: a false one is worse than none, for it can be asked for again.
 */
export function parseDutLine(line: ReceivedLine): ParsedLine {
  const text = line.text.trim();
  const oddities: LineOddity[] = [];
  if (line.isDamaged) oddities.push('damaged');
  if (line.isCut) oddities.push('cut');
  if (text === '') return { messages: [], oddities };
  if (!line.isDamaged && !line.isCut) {
    const messages = tiled(text, 0);
    if (messages !== null) {
      if (messages.length > 1) oddities.push('merged');
      return { messages, oddities };
    }
  }
  const starts = [...text.matchAll(messageStart)].slice(-mostMergedMessages);
  for (const { index } of starts) {
    const messages = line.isCut ? null : tiled(text, index);
    if (messages?.every(({ kind }) => believedBehindText.includes(kind))) {
      oddities.push('text-before');
      return { messages, oddities };
    }
  }
  if (looksLikeMessage.test(text)) oddities.push('broken');
  return { messages: [], oddities };
}

/** The messages that fill `text` from `from` to its end without a rest, or null where they do not. */
function tiled(text: string, from: number): DutMessage[] | null {
  const messages: DutMessage[] = [];
  for (let at = from; at < text.length; ) {
    messagePattern.lastIndex = at;
    const match = messagePattern.exec(text);
    if (match === null) return null;
    const message = messageOf(match.groups!);
    if (message === null) return null;
    messages.push(message);
    at = messagePattern.lastIndex;
  }
  return messages;
}

function messageOf(found: Record<string, string | undefined>): DutMessage | null {
  if (found.plain !== undefined) return { kind: found.plain as 'ready' };
  if (found.mode !== undefined) return { kind: 'timestamp-mode', mode: found.mode as DutMode };
  for (const kind of ['name', 'profile', 'model'] as const) {
    if (found[kind] !== undefined) return { kind, text: found[kind] };
  }
  if (found.expecting !== undefined) return { kind: 'expecting', bytes: Number(found.expecting) };
  if (found.warmups !== undefined) return { kind: 'warmup-start', warmups: Number(found.warmups) };
  if (found.inferences !== undefined) return { kind: 'infer-start', inferences: Number(found.inferences) };
  if (found.lap !== undefined) return { kind: 'lap', time_us: Number(found.lap) };
  if (found.buffer !== undefined)
    return { kind: 'buffer', bytes: Buffer.from(found.buffer.replaceAll('-', ''), 'hex') };
  if (found.results !== undefined) {
    const fields = found.results.split(',').map((field) => field.trim());
    const values = fields.map(Number);
    return values.every(Number.isFinite) ? { kind: 'results', values, fields } : null;
  }
  return { kind: 'error', text: found.error! };
}

/**
 * Are these numbers printed alike, and as `printf` does? Firmware prints all of them with one format; another count of decimals in
 * one of them, a zero in front of its integer part or none of the latter (`00.5`, `.5`) is the trace of a lost or doubled character.
 */
export function printedAlike(fields: readonly string[]): boolean {
  const shape = (field: string) => `${/[eE]/.test(field)} ${/\.(\d*)/.exec(field)?.[1]?.length ?? -1}`;
  const isPlain = (field: string) => /^[+-]?(?:0|[1-9]\d*)(?!\d)/.test(field);
  return fields.every((field) => isPlain(field) && shape(field) === shape(fields[0]!));
}

/** The `db` commands that carry an input, after `db load N`. */
export function* blockCommands(input: Uint8Array, blockBytes: number): Generator<{ command: string; sent: number }> {
  for (let at = 0; at < input.length; at += blockBytes) {
    const block = input.subarray(at, at + blockBytes);
    yield { command: `db ${Buffer.from(block).toString('hex')}`, sent: at + block.length };
  }
}
