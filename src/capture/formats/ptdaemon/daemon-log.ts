import { type ScannedFile, scanLines } from './scan.ts';
import { PTD_TIME_LENGTH, parsePtdTime_ms } from './time.ts';

const MAX_EVENTS = 600_000;
const KEPT_MESSAGES = 200;
const MAX_MEASUREMENTS = 1000;

/** PTDaemon's own statistics of one measurement: `Avg watts ..., min watts ..., samples n, errors e, valid v`. */
export interface DaemonStatistics {
  line: number;
  /** As printed. */
  average: string;
  average_W: number;
  min_W: number;
  max_W: number;
  samples: number;
  errors: number;
  valid: number;
}

/** From `Go with mark 'x'` to `Completed test`. */
export interface DaemonMeasurement {
  mark: string;
  go_ms: number;
  goLine: number;
  completed_ms: number | null;
  statistics: DaemonStatistics[];
}

/** A line with `WARNING:` or `ERROR:`. */
export interface DaemonMessage {
  line: number;
  time_ms: number;
  text: string;
}

/** Samples whose uncertainty exceeded the limit, one entry a sample. */
export interface UncertainSamples {
  length: number;
  time_ms: Float64Array;
  /** In percent. */
  uncertainty_pct: Float64Array;
  /** Messages in the wording of PTDaemon 1.9 (`Uncertainty x% above ...`) and in the later one (`..., which is above`). */
  olderWording: number;
  newerWording: number;
  firstLine: number | null;
}

/** `ptd_logs.txt`: what the daemon wrote about its session. Times are on the clock of its host, read as UTC. */
export interface DaemonLog {
  file: ScannedFile;
  version: string | null;
  /** Lines that begin with a time. */
  timedLines: number;
  measurements: DaemonMeasurement[];
  /** `Uncertainty checking for Yokogawa... is activated`. */
  uncertaintyActivated: { line: number; time_ms: number } | null;
  uncertain: UncertainSamples;
  /** Times of `Uncertainty unknown for the last measurement sample!`. */
  unknown_ms: Float64Array;
  /** All other warnings, and all errors but `Can't evaluate uncertainty of this sample!`; at most 200 each. */
  warnings: DaemonMessage[];
  errors: DaemonMessage[];
  /** How many there were. */
  warningCount: number;
  errorCount: number;
  /** Times of `Can't evaluate uncertainty of this sample!`. */
  notEvaluated_ms: Float64Array;
}

const ABOVE_OLDER = /^Uncertainty (\d+(?:\.\d+)?)% above \d+(?:\.\d+)?% limit/;
const ABOVE_NEWER = /^Uncertainty (\d+(?:\.\d+)?)%, which is above \d+(?:\.\d+)?% limit/;
const NEXT_MESSAGE = /\d\d-\d\d-\d{4} \d\d:\d\d:\d\d\.\d{3}: /g;
const STATISTICS =
  /^Avg watts (-?[\d.]+), min watts (-?[\d.]+), max watts (-?[\d.]+), samples (\d+), errors (\d+), valid (\d+)/;

/** Reads `ptd_logs.txt`, streamed. Anything that is no known message is skipped. Throws what the file system throws. */
export async function readDaemonLog(path: string): Promise<DaemonLog> {
  const reader = new DaemonLogReader();
  const file = await scanLines(path, (line, number) => reader.line(line, number));
  return reader.result(file);
}

class Times {
  length = 0;
  data = new Float64Array(256);

  push(value: number): void {
    if (this.length >= MAX_EVENTS) return;
    if (this.length === this.data.length) {
      const larger = new Float64Array(this.data.length * 2);
      larger.set(this.data);
      this.data = larger;
    }
    this.data[this.length++] = value;
  }

  array(): Float64Array {
    return this.data.subarray(0, this.length);
  }
}

class DaemonLogReader {
  private version: string | null = null;
  private timedLines = 0;
  private readonly measurements: DaemonMeasurement[] = [];
  private current: DaemonMeasurement | null = null;
  private activated: { line: number; time_ms: number } | null = null;
  private readonly aboveTimes = new Times();
  private readonly abovePct = new Times();
  private olderWording = 0;
  private newerWording = 0;
  private firstAbove: number | null = null;
  private readonly unknown = new Times();
  private readonly notEvaluated = new Times();
  private readonly warnings: DaemonMessage[] = [];
  private readonly errors: DaemonMessage[] = [];
  private warningCount = 0;
  private errorCount = 0;

  /** PTDaemon forgets the line end behind some messages, so a line can hold several. */
  line(line: string, number: number): void {
    let from = 0;
    if (line.length > 2 * PTD_TIME_LENGTH && (line.includes('ERROR:') || line.includes('WARNING:'))) {
      for (const { index } of line.matchAll(NEXT_MESSAGE)) {
        if (index === 0) continue;
        this.oneMessage(line.slice(from, index), number);
        from = index;
      }
    }
    this.oneMessage(from === 0 ? line : line.slice(from), number);
  }

  private oneMessage(line: string, number: number): void {
    const time_ms =
      line.charCodeAt(PTD_TIME_LENGTH) === 58 ? parsePtdTime_ms(line.slice(0, PTD_TIME_LENGTH)) : Number.NaN;
    if (Number.isNaN(time_ms)) {
      if (this.version === null) this.version = /^\s*Version (\d+\.\d+\.\d+)-/.exec(line)?.[1] ?? null;
      return;
    }
    this.timedLines++;
    this.message(line.slice(PTD_TIME_LENGTH + 1).trim(), number, time_ms);
  }

  private message(text: string, line: number, time_ms: number): void {
    if (text.startsWith('WARNING:')) this.warning(text.slice(8).trim(), line, time_ms);
    else if (text.startsWith('ERROR:')) this.error(text.slice(6).trim(), line, time_ms);
    else if (text.startsWith('Go with mark ')) this.go(text, line, time_ms);
    else if (text.startsWith('Completed test')) this.completed(time_ms);
    else if (text.startsWith('Avg watts')) this.statistics(text, line);
    else if (this.activated === null && /^Uncertainty checking for Yokogawa\S+ is activated/.test(text)) {
      this.activated = { line, time_ms };
    }
  }

  private warning(text: string, line: number, time_ms: number): void {
    if (text.startsWith('Uncertainty unknown')) {
      this.unknown.push(time_ms);
      return;
    }
    const older = ABOVE_OLDER.exec(text);
    const newer = older === null ? ABOVE_NEWER.exec(text) : null;
    const match = older ?? newer;
    if (match === null) {
      this.warningCount++;
      if (this.warnings.length < KEPT_MESSAGES) this.warnings.push({ line, time_ms, text: text.slice(0, 300) });
      return;
    }
    if (older !== null) this.olderWording++;
    else this.newerWording++;
    this.firstAbove ??= line;
    this.aboveTimes.push(time_ms);
    this.abovePct.push(Number(match[1]));
  }

  private error(text: string, line: number, time_ms: number): void {
    if (text.startsWith("Can't evaluate uncertainty of this sample!")) {
      this.notEvaluated.push(time_ms);
      return;
    }
    this.errorCount++;
    if (this.errors.length < KEPT_MESSAGES) this.errors.push({ line, time_ms, text: text.slice(0, 300) });
  }

  private go(text: string, line: number, time_ms: number): void {
    const mark = /^Go with mark '?([^']*)'?/.exec(text)?.[1]?.slice(0, 300) ?? '';
    this.current = { mark, go_ms: time_ms, goLine: line, completed_ms: null, statistics: [] };
    if (this.measurements.length < MAX_MEASUREMENTS) this.measurements.push(this.current);
  }

  private completed(time_ms: number): void {
    if (this.current !== null) this.current.completed_ms ??= time_ms;
  }

  private statistics(text: string, line: number): void {
    const m = STATISTICS.exec(text);
    if (m === null || this.current === null || this.current.statistics.length >= 64) return;
    const [average_W, min_W, max_W, samples, errors, valid] = m.slice(1).map(Number) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    this.current.statistics.push({ line, average: m[1] as string, average_W, min_W, max_W, samples, errors, valid });
  }

  result(file: ScannedFile): DaemonLog {
    return {
      file,
      version: this.version,
      timedLines: this.timedLines,
      measurements: this.measurements,
      uncertaintyActivated: this.activated,
      uncertain: {
        length: this.aboveTimes.length,
        time_ms: this.aboveTimes.array(),
        uncertainty_pct: this.abovePct.array(),
        olderWording: this.olderWording,
        newerWording: this.newerWording,
        firstLine: this.firstAbove,
      },
      unknown_ms: this.unknown.array(),
      warnings: this.warnings,
      errors: this.errors,
      warningCount: this.warningCount,
      errorCount: this.errorCount,
      notEvaluated_ms: this.notEvaluated.array(),
    };
  }
}
