import { open, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { Subject } from 'rxjs';
import { DeviceError, FormatError, UsageError } from '../../signal/errors.ts';
import type { ClockInfo, EdgeBatch, Progress } from '../../signal/types.ts';
import { realTime, type TimeSource, wait } from '../../transport/time.ts';
import type { LogicRecording } from './logic-recording.ts';
import { openSaleaeCsv } from './saleae-csv.ts';
import { openSigrok } from './sigrok.ts';
import type { TriggerDescription, TriggerSource } from './trigger-source.ts';
import { openVcd } from './vcd.ts';

/**
 * Opens a logic-analyser recording, told by its content: VCD, sigrok session (.sr), Saleae Logic CSV.
 * @throws FormatError where it is none of them or does not follow its format
 */
export async function openLogicRecording(path: string): Promise<LogicRecording> {
  const head = await headOf(path);
  if (head.startsWith('PK\u0003\u0004')) return openSigrok(path);
  if (/^\uFEFF?"?Time ?\[s\]"?,/i.test(head)) return openSaleaeCsv(path);
  if (/^\s*\$[a-z]+\s/.test(head)) return openVcd(path);
  throw new FormatError('logic.unknown', {
    where: path,
    problem: 'no recording of a logic analyser that Joulemark reads: VCD, sigrok session (.sr) or Saleae Logic CSV',
    remedy: 'export the recording in one of these formats',
  });
}

async function headOf(path: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      if (!(await file.stat()).isFile()) throw new Error('it is no file');
      const { buffer, bytesRead } = await file.read(Buffer.alloc(4096), 0, 4096, 0);
      return buffer.subarray(0, bytesRead).toString('utf8');
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new FormatError('file.unreadable', {
      where: path,
      problem: `cannot be read (${(cause as Error).message})`,
      remedy: 'check that the path exists and that you may read it',
      cause,
    });
  }
}

/** Which lines of a recording a run uses. */
export interface RecordedLines {
  /** The line on the trigger pin of the DUT. */
  trigger: string;
  /** The line that is wired to an input of the instrument too, and the name of that input: its pulses relate the clocks. */
  shared: string;
  input: string;
}

/** Edges of recordings stand on this clock, whatever the recording counts in: a run names its clocks before there is a file. */
export const recordingClock: ClockInfo = { id: 'logic-analyser', tickHz: 1e9, kind: 'file', epoch_ns: null };

/** The channel of the trigger line of a recording in a run, where an input of the instrument may have the same name. */
export function recordedChannel(line: string): string {
  return `recording:${line}`;
}

/**
 * What a line of a recording can show.
 * @throws UsageError where the recording has no such line
 */
export function describeRecording(recording: LogicRecording, line: string): TriggerDescription {
  assertLine(recording, line);
  const step_s = (recording.ticksPerSample ?? 1) / recording.clock.tickHz;
  return {
    ...unopened(recording.path, line),
    resolution_s: step_s,
    latency_s: { least: 0, most: step_s },
    shortestPulse_s: step_s,
  };
}

function unopened(path: string, line: string): TriggerDescription {
  return {
    kind: 'recording',
    label: `${line} in ${basename(path)}`,
    channel: recordedChannel(line),
    clock: recordingClock,
    resolution_s: null,
    latency_s: { least: 0, most: null },
    shortestPulse_s: null,
    polarities: ['rise', 'fall'],
    isCoarse: false,
  };
}

function assertLine({ path, channels }: LogicRecording, line: string): void {
  if (channels.includes(line)) return;
  throw new UsageError('trigger.channel', {
    where: path,
    problem: `there is no line ${line}`,
    remedy: `choose one of ${channels.slice(0, 30).join(', ')}`,
  });
}

/**
 * The edges of the trigger line, then those of the shared line under the name of the instrument's input, then those of `others` under
 * their own names.
 * @throws UsageError where the recording lacks one of them, FormatError where it does not follow its format
 */
export async function* recordedEdges(
  recording: LogicRecording,
  lines: RecordedLines,
  others: readonly string[] = [],
): AsyncGenerator<EdgeBatch> {
  const rate = recordingClock.tickHz / recording.clock.tickHz;
  const wanted = [
    { line: lines.trigger, channel: recordedChannel(lines.trigger) },
    { line: lines.shared, channel: lines.input },
    ...others.map((line) => ({ line, channel: line })),
  ];
  for (const { line } of wanted) assertLine(recording, line);
  for (const { line, channel } of wanted) {
    for await (const edges of recording.edges(line)) {
      const moved = edges.map((edge) => ({
        ...edge,
        clock: recordingClock.id,
        channel,
        tick: edge.tick * rate,
        u_ticks: edge.u_ticks === null ? null : edge.u_ticks * rate,
      }));
      yield { kind: 'edges', edges: moved };
    }
  }
}

export interface RecordingFileOptions {
  lines: RecordedLines;
  /** How long the file is waited for when the run is over. */
  wait_s: number;
  /** Told once, where the file is not there yet. */
  onWait?: (text: string) => void;
  time?: TimeSource;
}

/** A file that is as it was this long is complete. */
const settled_ms = 500;
/** File systems round the time of a file, FAT to 2 s. */
const fileTime_ms = 2000;

/**
 * A logic analyser whose recording becomes a file when it stops, after the run. It emits nothing under way; `collect`
 * waits for the file and gives its edges. A file from before the start is an earlier run's.
 */
export class RecordingFileSource implements TriggerSource {
  readonly edges$ = new Subject<EdgeBatch | Progress>();
  readonly #path: string;
  readonly #options: RecordingFileOptions;
  readonly #time: TimeSource;
  #started_ms = 0;

  constructor(path: string, options: RecordingFileOptions) {
    this.#path = path;
    this.#options = options;
    this.#time = options.time ?? realTime;
  }

  describe(): TriggerDescription {
    return unopened(this.#path, this.#options.lines.trigger);
  }

  async start(): Promise<void> {
    this.#started_ms = Date.now();
  }

  async stop(): Promise<void> {
    this.edges$.complete();
  }

  /**
   * The edges of the file, once it is there. Nothing where `interrupt` ends the wait.
   * @param check called with what the file can show, before its edges are read
   * @throws DeviceError `trigger.recording-missing` where none is complete in time; what `check`, `openLogicRecording` and
   * `recordedEdges` throw
   */
  async *collect(check: (description: TriggerDescription) => void, interrupt?: AbortSignal): AsyncGenerator<EdgeBatch> {
    if (!(await this.#arrival(interrupt))) return;
    const { lines } = this.#options;
    const recording = await openLogicRecording(this.#path);
    check(describeRecording(recording, lines.trigger));
    yield* recordedEdges(recording, lines);
  }

  /** True when the file is there and no longer changes, false when interrupted. */
  async #arrival(interrupt?: AbortSignal): Promise<boolean> {
    const { wait_s, onWait } = this.#options;
    const deadline_ns = this.#time.now_ns() + wait_s * 1e9;
    let isTold = false;
    let last: string | null = null;
    for (;;) {
      if (interrupt?.aborted) return false;
      const found = await stat(this.#path).catch(() => null);
      const isNew = found !== null && found.mtimeMs >= this.#started_ms - fileTime_ms;
      const now = isNew && found.size > 0 ? `${found.size} ${found.mtimeMs}` : null;
      if (now !== null && now === last) return true;
      // A file that is seen for the first time may be complete.
      const isPromising = now !== null && last === null;
      last = now;
      if (this.#time.now_ns() >= deadline_ns && !isPromising)
        throw this.#missing(found === null ? null : isNew ? 'grows' : 'old');
      if (now === null && !isTold) {
        isTold = true;
        onWait?.(`waiting up to ${wait_s} s for ${this.#path}: stop the logic analyser and save its recording there`);
      }
      await wait(this.#time, settled_ms);
    }
  }

  #missing(file: 'old' | 'grows' | null): DeviceError {
    const reason = { old: '; the file there is older than the run', grows: '; the file there is still being written' };
    return new DeviceError('trigger.recording-missing', {
      where: this.#path,
      problem: `no recording came within ${this.#options.wait_s} s after the run${file === null ? '' : reason[file]}`,
      remedy: 'join it when it is there: `joulemark score <run folder> --edges <recording>`',
    });
  }
}
