import type { LogLine } from '../../../signal/types.ts';
import { readLines, type TextLine } from '../lines.ts';
import { countOddities, type LineOddities, noOddities } from '../printed.ts';

/** Who wrote a line of an EnergyRunner log. `io` also carries the DUT's lines in energy mode, `dut` in performance mode. */
export type LogSource = 'session' | 'parser' | 'sequencer' | 'emon' | 'io' | 'dut' | 'ulp-ml' | 'ulp-mlperf';

/** What a line of the log says, where it says something known. Unknown text gives no event. */
export type LogEvent =
  | { kind: 'session-start' | 'session-stop' | 'session-saved'; id: string }
  | { kind: 'run-name'; name: string; code: string }
  | { kind: 'runner-version'; version: string }
  | { kind: 'config'; benchmark: string; key: string; value: string }
  /** A command of the script, as the runner echoes it: never garbled by a UART. */
  | { kind: 'command'; text: string }
  /** What the IO manager passed on to the DUT. */
  | { kind: 'passthrough'; text: string }
  /** `infer N W`, from a command or a passthrough; warmups is null where W is left out. */
  | { kind: 'infer'; inferences: number; warmups: number | null; from: 'command' | 'passthrough' }
  /** `bload` and `bloadp`: the input file as the script names it. */
  | { kind: 'load'; file: string; offset: number | null; length: number | null }
  | { kind: 'load-size'; bytes: number }
  | { kind: 'load-done' }
  | { kind: 'step'; step: number; command: string }
  | { kind: 'sequencer'; on: boolean }
  | { kind: 'power' | 'timer' | 'trace'; on: boolean }
  | { kind: 'voltage'; millivolts: number }
  /** A file that the instrument driver wrote; `instrument` is `lpm01a` or `js110`. */
  | { kind: 'instrument-file'; file: string; type: string; instrument: string }
  | { kind: 'drop-threshold'; percent: number }
  | { kind: 'dropped-packets'; dropped: number; total: number; percent: number }
  | { kind: 'edge-polarity'; polarity: 'FALLING' | 'RISING' }
  | { kind: 'timestamp-mode'; mode: 'energy' | 'performance' }
  | { kind: 'dut-name' | 'dut-profile' | 'dut-model'; text: string }
  | { kind: 'init-done' | 'warmup-done' | 'infer-done' }
  | { kind: 'ready'; command: string | null }
  | { kind: 'warmup-start'; warmups: number }
  | { kind: 'infer-start'; inferences: number }
  /** A timestamp in microseconds: of the DUT (performance mode), the IO manager or the instrument. */
  | { kind: 'lap'; microseconds: number; text: string }
  /** The DUT's answer; `values` is null where one of them is no number. */
  | { kind: 'results'; values: number[] | null; text: string }
  /** e-[...] of whoever wrote the line. */
  | { kind: 'error'; text: string };

/** One line of an EnergyRunner log (specs: `SSSSS.mmm source: message`). */
export interface LogEntry {
  /** 1-based; entries split from a merged line share it. */
  line: number;
  /** Seconds on the host's clock, as a number and as printed. */
  time_s: number;
  timeText: string;
  source: LogSource;
  /** The line came from the DUT, behind the IO manager or directly. */
  dut: boolean;
  /** The message, for the DUT without `[dut]: `. */
  text: string;
  /** Known messages in the line; several where a DUT merged its lines. */
  events: LogEvent[];
}

/** What a log holds besides entries. */
export interface LogCounts extends LineOddities {
  entries: number;
  /** Lines without the grammar's prefix. */
  unprefixed: number;
  /** Lines that held more than one entry. */
  merged: number;
}

const sources = 'session|parser|sequencer|emon|io|dut|ulp-ml|ulp-mlperf';
const prefix = new RegExp(`^(\\d{5,9}\\.\\d{3}) (${sources}): ?`);
const innerPrefix = new RegExp(`\\d{5}\\.\\d{3} (?:${sources}): `, 'g');

/**
 * One line of a log. Null where it does not begin with the grammar's prefix.
 * @param line 1-based line number to put into the entry
 */
export function parseLogLine(text: string, line = 0): LogEntry | null {
  const match = prefix.exec(text);
  if (!match) return null;
  const source = match[2] as LogSource;
  let message = text.slice(match[0].length);
  let dut = source === 'dut';
  if (source === 'io' && /^\[dut\]: ?/.test(message)) {
    dut = true;
    message = message.replace(/^\[dut\]: ?/, '');
  }
  return {
    line,
    time_s: Number(match[1]),
    timeText: match[1]!,
    source,
    dut,
    text: message,
    events: dut ? dutEvents(message) : runnerEvents(source, message),
  };
}

/**
 * Reads a log line by line. Lines that a lost line end merged are split again. A line without a prefix continues the
 * one before it: a DUT can print line feeds of its own, and a message behind one of them. Nothing that a log can hold
 * makes it throw.
 */
export class LogParser {
  readonly counts: LogCounts = { ...noOddities(), entries: 0, unprefixed: 0, merged: 0 };
  private last: LogEntry | null = null;

  *push(line: TextLine): Generator<LogEntry> {
    countOddities(this.counts, line);
    if (line.text.trim() === '') return;
    let entries = 0;
    for (const part of splitMerged(line.text)) {
      const entry = parseLogLine(part, line.number);
      if (entry) {
        entries++;
        this.last = entry;
        yield entry;
        continue;
      }
      this.counts.unprefixed++;
      const events = this.last?.dut ? dutEvents(part) : [];
      if (this.last !== null && events.length > 0) yield { ...this.last, line: line.number, text: part, events };
    }
    this.counts.entries += entries;
    if (entries > 1) this.counts.merged++;
  }
}

/** The entries of a log file, streamed; give a parser to read its counts afterwards. */
export async function* readLog(path: string, parser = new LogParser()): AsyncGenerator<LogEntry> {
  for await (const line of readLines(path)) yield* parser.push(line);
}

/** The entry as a line of the vocabulary: sources `session`, `instrument`, `dut`... */
export function toLogLine(entry: LogEntry): LogLine {
  return { kind: 'log', time_s: entry.time_s, source: entry.dut ? 'dut' : entry.source, text: entry.text };
}

/** The parts of a line at each prefix inside it. */
function splitMerged(text: string): string[] {
  const first = prefix.exec(text)?.[0].length ?? 0;
  const parts: string[] = [];
  let start = 0;
  for (const match of text.slice(first).matchAll(innerPrefix)) {
    const at = first + match.index;
    if (at > start) parts.push(text.slice(start, at));
    start = at;
  }
  parts.push(text.slice(start));
  return parts;
}

const dutMessage =
  /m-(?:timestamp-mode-(?<mode>energy|performance)|name-dut-\[(?<name>[^\]]*)\]|profile-\[(?<profile>[^\]]*)\]|model-\[(?<model>[^\]]*)\]|warmup-start-(?<warmups>\d{1,15})|infer-start-(?<inferences>\d{1,15})|lap-us-(?<lap>\d{1,16})|results-\[(?<results>[^\]]*)\]|(?<plain>init-done|warmup-done|infer-done|ready))|e-\[(?<error>.*)\]/g;

/** A DUT may print other text in front of a message or merge two, so its messages are looked for anywhere in the line. */
function dutEvents(text: string): LogEvent[] {
  const events: LogEvent[] = [];
  for (const match of text.matchAll(dutMessage)) {
    const found = match.groups!;
    if (found.mode) events.push({ kind: 'timestamp-mode', mode: found.mode as 'energy' | 'performance' });
    else if (found.name !== undefined) events.push({ kind: 'dut-name', text: found.name });
    else if (found.profile !== undefined) events.push({ kind: 'dut-profile', text: found.profile });
    else if (found.model !== undefined) events.push({ kind: 'dut-model', text: found.model });
    else if (found.warmups) events.push({ kind: 'warmup-start', warmups: Number(found.warmups) });
    else if (found.inferences) events.push({ kind: 'infer-start', inferences: Number(found.inferences) });
    else if (found.lap) events.push({ kind: 'lap', microseconds: Number(found.lap), text: found.lap });
    else if (found.results !== undefined) {
      events.push({ kind: 'results', values: numbers(found.results), text: found.results });
    } else if (found.error !== undefined) events.push({ kind: 'error', text: found.error });
    else if (found.plain === 'ready') events.push({ kind: 'ready', command: null });
    else events.push({ kind: found.plain as 'init-done' | 'warmup-done' | 'infer-done' });
  }
  return events;
}

function numbers(text: string): number[] | null {
  const values = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  // Some DUTs print a comma after the last value.
  if (values.length > 1 && /,\s*$/.test(text)) values.pop();
  return values.every(Number.isFinite) ? values : null;
}

type Rule = [RegExp, (match: RegExpExecArray) => LogEvent[]];

const sessionRules: Rule[] = [
  [/^m-session-start-id\[([^\]]*)\]/, (m) => [{ kind: 'session-start', id: m[1]! }]],
  [/^m-session-stop-id\[([^\]]*)\]/, (m) => [{ kind: 'session-stop', id: m[1]! }]],
  [/^Saved this run to session ID (\S+)/, (m) => [{ kind: 'session-saved', id: m[1]! }]],
];

const parserRules: Rule[] = [
  [/^Command "(.*)"$/, (m) => [{ kind: 'command', text: m[1]! }, ...commandEvents(m[1]!, 'command')]],
  [/^m-ready-finished\[([^\]]*)\]/, (m) => [{ kind: 'ready', command: m[1]! }]],
  [
    /^m-bm-cfg-name\[([^\]]*)\]-key\[([^\]]*)\]-val\[(.*)\]$/,
    (m) => [{ kind: 'config', benchmark: m[1]!, key: m[2]!, value: m[3]! }],
  ],
  [/^m-bmark-run-name\[([^\]]*)\]-code\[([^\]]*)\]/, (m) => [{ kind: 'run-name', name: m[1]!, code: m[2]! }]],
  [/^m-version\[([^\]]*)\]/, (m) => [{ kind: 'runner-version', version: m[1]! }]],
  [/^File size is (\d{1,15}),/, (m) => [{ kind: 'load-size', bytes: Number(m[1]) }]],
  [/^m-bloadp?-done/, () => [{ kind: 'load-done' }]],
];

const sequencerRules: Rule[] = [
  [/^m-sequencing-i\[(\d{1,9})\]-command\[(.*)\]-ack\[/, (m) => [{ kind: 'step', step: Number(m[1]), command: m[2]! }]],
  [/^m-sequencer-(start|stop)/, (m) => [{ kind: 'sequencer', on: m[1] === 'start' }]],
];

const lapRule: Rule = [/^m-lap-us-(\d{1,16})/, (m) => [{ kind: 'lap', microseconds: Number(m[1]), text: m[1]! }]];
const readyRule: Rule = [/^m-ready/, () => [{ kind: 'ready', command: null }]];

const emonRules: Rule[] = [
  lapRule,
  readyRule,
  [/^m-(power|timer|trace)\[(on|off)\]/, (m) => [{ kind: m[1] as 'power' | 'timer' | 'trace', on: m[2] === 'on' }]],
  [/^m-voltage-mv\[(\d{1,9}(?:\.\d+)?)\]/, (m) => [{ kind: 'voltage', millivolts: Number(m[1]) }]],
  [
    /^m-regfile-fn\[([^\]]*)\]-type\[([^\]]*)\]-name\[([^\]]*)\]/,
    (m) => [{ kind: 'instrument-file', file: m[1]!, type: m[2]!, instrument: m[3]! }],
  ],
  [/^m-dropthresh\[(\d{1,9}(?:\.\d+)?)\]/, (m) => [{ kind: 'drop-threshold', percent: Number(m[1]) }]],
  [
    /^m-\[Dropped (\d{1,15}) packets out of (\d{1,15}), ([\d.eE+-]{1,20})%\]/,
    (m) => [{ kind: 'dropped-packets', dropped: Number(m[1]), total: Number(m[2]), percent: Number(m[3]) }],
  ],
];

const ioRules: Rule[] = [
  lapRule,
  readyRule,
  [/^m-dut-passthrough\((.*)\)/, (m) => [{ kind: 'passthrough', text: m[1]! }, ...commandEvents(m[1]!, 'passthrough')]],
  [
    /^m-timest(?:a)?mp-mode-(FALLING|RISING)/,
    (m) => [{ kind: 'edge-polarity', polarity: m[1] as 'FALLING' | 'RISING' }],
  ],
];

const rulesOf: Partial<Record<LogSource, Rule[]>> = {
  session: sessionRules,
  parser: parserRules,
  sequencer: sequencerRules,
  emon: emonRules,
  io: ioRules,
};

const errorMessage = /e-\[(.*)\]/;

function runnerEvents(source: LogSource, text: string): LogEvent[] {
  for (const [pattern, events] of rulesOf[source] ?? []) {
    const match = pattern.exec(text);
    if (match) return events(match);
  }
  const error = errorMessage.exec(text);
  return error ? [{ kind: 'error', text: error[1]! }] : [];
}

const inferCommand = /^(?:(?:io )?dut )?infer (\d{1,15})(?: (\d{1,15}))?$/;
const loadCommand = /^bload(?:p| dut)? "(.*)"(?: (\d{1,15}) (\d{1,15}))?$/;

function commandEvents(text: string, from: 'command' | 'passthrough'): LogEvent[] {
  const infer = inferCommand.exec(text);
  if (infer) {
    return [{ kind: 'infer', inferences: Number(infer[1]), warmups: infer[2] ? Number(infer[2]) : null, from }];
  }
  const load = loadCommand.exec(text);
  if (load) {
    return [
      {
        kind: 'load',
        file: load[1]!,
        offset: load[2] ? Number(load[2]) : null,
        length: load[3] ? Number(load[3]) : null,
      },
    ];
  }
  return [];
}
