import { readLines, type TextLine } from '../lines.ts';
import { countOddities, type LineOddities, noOddities } from '../printed.ts';

/** What a line of the MLCommons runner's log says, where it says something known. */
export type MlcLogEvent =
  /** The first line of every log. */
  | { kind: 'logging'; file: string }
  | { kind: 'serial-port'; port: string; baud: number }
  | { kind: 'dut-name' | 'dut-profile' | 'dut-model'; text: string }
  | { kind: 'load'; file: string; segment: number }
  | { kind: 'load-done' }
  | { kind: 'infer'; warmups: number; inferences: number }
  | { kind: 'captured'; samples: number; timestamps: number }
  | { kind: 'received'; text: string; dut: boolean }
  | { kind: 'sent'; command: string }
  | { kind: 'result-values'; values: number[] | null; text: string }
  /** Validity errors go to the log only, never to results.txt. */
  | { kind: 'error'; text: string }
  | { kind: 'warning'; text: string };

/** One line of an MLCommons runner log. Only some lines carry a time (`MMDD.HHMMSS `); it has no year. */
export interface MlcLogEntry {
  line: number;
  timeText: string | null;
  text: string;
  event: MlcLogEvent | null;
}

const timePrefix = /^(\d{4}\.\d{6}) (?:ulp-mlperf: ?)?/;

type Rule = [RegExp, (match: RegExpExecArray) => MlcLogEvent];

const rules: Rule[] = [
  [/^Logging initialized\. Writing output to (.*)$/, (m) => ({ kind: 'logging', file: m[1]! })],
  [
    /^Initializing SerialDevice on port: (\S+) at (\d{1,9}) baud/,
    (m) => ({ kind: 'serial-port', port: m[1]!, baud: Number(m[2]) }),
  ],
  [/^Device name retrieved: (.*)$/, (m) => ({ kind: 'dut-name', text: m[1]! })],
  [/^Device profile retrieved: (.*)$/, (m) => ({ kind: 'dut-profile', text: m[1]! })],
  [/^Device model retrieved: (.*)$/, (m) => ({ kind: 'dut-model', text: m[1]! })],
  [/^Loading file (.*) segment (\d{1,9})$/, (m) => ({ kind: 'load', file: m[1]!, segment: Number(m[2]) })],
  [/^Load complete\./, () => ({ kind: 'load-done' })],
  [
    /^Running inference with (\d{1,15})\/(\d{1,15}) \(warmup\/measured\)/,
    (m) => ({ kind: 'infer', warmups: Number(m[1]), inferences: Number(m[2]) }),
  ],
  [
    /^Captured samples:(\d{1,15}) timestamps:(\d{1,15})/,
    (m) => ({ kind: 'captured', samples: Number(m[1]), timestamps: Number(m[2]) }),
  ],
  [/^RX: ?\[dut\]: ?(.*)$/, (m) => ({ kind: 'received', text: m[1]!, dut: true })],
  [/^RX: ?(.*)$/, (m) => ({ kind: 'received', text: m[1]!, dut: false })],
  [/^m-results\s*: \[(.*)\]$/, (m) => ({ kind: 'result-values', values: numbers(m[1]!), text: m[1]! })],
  [/^(ERROR\b.*)$/, (m) => ({ kind: 'error', text: m[1]! })],
  [/^(WARNING\b.*)$/, (m) => ({ kind: 'warning', text: m[1]! })],
  [/^([^%]{1,100})%$/, (m) => ({ kind: 'sent', command: m[1]! })],
];

/** One line of the log; every text is a line of it, most say nothing known. */
export function parseMlcLogLine(text: string, line = 0): MlcLogEntry {
  const time = timePrefix.exec(text);
  const message = (time ? text.slice(time[0].length) : text).trim();
  for (const [pattern, event] of rules) {
    const match = pattern.exec(message);
    if (match) return { line, timeText: time?.[1] ?? null, text: message, event: event(match) };
  }
  return { line, timeText: time?.[1] ?? null, text: message, event: null };
}

function numbers(text: string): number[] | null {
  const values = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  return values.every(Number.isFinite) ? values : null;
}

/** What an MLCommons runner log says of its session as a whole. */
export interface MlcSession {
  dutName: string | null;
  dutProfile: string | null;
  dutModel: string | null;
  /** Every "Running inference with W/N", in order, with the file of the last load. */
  calls: { inferences: number; warmups: number; file: string | null }[];
  captured: { samples: number; timestamps: number }[];
  errors: string[];
  counts: LineOddities;
}

const maxCalls = 100_000;

/** The entries of a log file, streamed. Throws a FormatError only where the file cannot be read. */
export async function* readMlcLog(path: string, counts: LineOddities = noOddities()): AsyncGenerator<MlcLogEntry> {
  for await (const line of readLines(path)) yield entryOf(line, counts);
}

/** Reads a log file and gathers its session. */
export async function readMlcSession(path: string): Promise<MlcSession> {
  const counts = noOddities();
  const session: MlcSession = {
    dutName: null,
    dutProfile: null,
    dutModel: null,
    calls: [],
    captured: [],
    errors: [],
    counts,
  };
  let file: string | null = null;
  for await (const { event } of readMlcLog(path, counts)) {
    if (event === null) continue;
    if (event.kind === 'dut-name') session.dutName ??= event.text;
    else if (event.kind === 'dut-profile') session.dutProfile ??= event.text;
    else if (event.kind === 'dut-model') session.dutModel ??= event.text;
    else if (event.kind === 'load') file = event.file;
    else if (event.kind === 'infer' && session.calls.length < maxCalls) {
      session.calls.push({ inferences: event.inferences, warmups: event.warmups, file });
    } else if (event.kind === 'captured' && session.captured.length < maxCalls) {
      session.captured.push({ samples: event.samples, timestamps: event.timestamps });
    } else if (event.kind === 'error' && session.errors.length < 1000) session.errors.push(event.text);
  }
  return session;
}

function entryOf(line: TextLine, counts: LineOddities): MlcLogEntry {
  countOddities(counts, line);
  return parseMlcLogLine(line.text, line.number);
}
