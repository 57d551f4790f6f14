import { readMlcLog } from '../../capture/formats/mlcommons/log.ts';
import { type LineOddities, noOddities } from '../../capture/formats/printed.ts';
import { fileName, type LoggedResult } from './run-log.ts';

/** A window as the runner logs it while it runs. */
export interface MlcLoggedWindow {
  inferences: number | null;
  /** Rounded to 1 ms. */
  runtime_s: number | null;
  throughput_ips: number | null;
}

/** What an audit needs of a log of the MLCommons runner. */
export interface MlcLog {
  dutName: string | null;
  model: string | null;
  /** Fastest serial port: 3,686,400 baud is the LPM01A's. */
  fastestBaud: number | null;
  calls: { file: string | null; inferences: number; warmups: number }[];
  captured: { samples: number; timestamps: number }[];
  windows: MlcLoggedWindow[];
  results: LoggedResult[];
  /** Timestamps of the device, where the log shows what was received or ends with the data of the run. */
  laps_us: number[];
  errors: string[];
  wakeword: LoggedWakeword;
  counts: LineOddities;
  overflow: boolean;
}

/** Lists of a streaming wakeword run; null where the log does not hold them. */
export interface LoggedWakeword {
  detections_ms: number[] | null;
  missed_s: number[] | null;
  falseAlarms_s: number[] | null;
  busyStart_s: number[];
  busyStop_s: number[];
}

const maxEntries = 200_000;
const maxScores = 64;
/** Longest list that a line can hold (65,536 bytes) and a run can give. */
const maxListed = 10_000;
/** The interface board prints its duty cycle in units of 10 us under a heading that says seconds. */
const dutyTick_s = 1e-5;

/**
 * Reads a log of the MLCommons runner, streamed. Memory is bounded whatever its size.
 *
 * @throws FormatError if the file cannot be read
 */
export async function readMlcRunLog(path: string): Promise<MlcLog> {
  const counts = noOddities();
  const log: MlcLog = {
    dutName: null,
    model: null,
    fastestBaud: null,
    calls: [],
    captured: [],
    windows: [],
    results: [],
    laps_us: [],
    errors: [],
    wakeword: { detections_ms: null, missed_s: null, falseAlarms_s: null, busyStart_s: [], busyStop_s: [] },
    counts,
    overflow: false,
  };
  const add = <T>(list: T[], item: T) => {
    if (list.length < maxEntries) list.push(item);
    else log.overflow = true;
  };
  let file: string | null = null;
  let duty: number[] | null = null;
  for await (const { text, event } of readMlcLog(path, counts)) {
    if (event === null) readLine(log, text, add);
    else if (event.kind === 'dut-name') log.dutName ??= event.text;
    else if (event.kind === 'dut-model') log.model ??= event.text;
    else if (event.kind === 'serial-port') log.fastestBaud = Math.max(log.fastestBaud ?? 0, event.baud);
    else if (event.kind === 'load') file = fileName(event.file);
    else if (event.kind === 'infer') add(log.calls, { file, inferences: event.inferences, warmups: event.warmups });
    else if (event.kind === 'captured') {
      add(log.captured, { samples: event.samples, timestamps: event.timestamps });
    } else if (event.kind === 'result-values') {
      const values = event.values !== null && event.values.length <= maxScores ? event.values : null;
      add(log.results, { input: file, values });
    } else if (event.kind === 'error') {
      if (log.errors.length < 20) log.errors.push(event.text.slice(0, 200));
    } else if (event.kind === 'received') {
      const lap = /m-lap-us-(\d{1,15})/.exec(event.text);
      if (lap !== null) add(log.laps_us, Number(lap[1]));
      if (event.text.includes('Duty cycle start times')) duty = log.wakeword.busyStart_s;
      else if (event.text.includes('Duty cycle stop times')) duty = log.wakeword.busyStop_s;
      else if (duty !== null) {
        for (const part of event.text.split(',')) {
          if (/^\s*\d{1,15}\s*$/.test(part)) add(duty, Number(part) * dutyTick_s);
        }
        if (event.text.includes('m-ready')) duty = null;
      }
    }
  }
  return log;
}

const captured = /^samples:(\d{1,15}) timestamps:(\d{1,15})$/;
const heading = /^Performance results for window \d{1,9}:$/;
const inferences = /^# Inferences\s*:\s*(\d{1,15})$/;
const runtime = /^Runtime\s+:\s*(\d{1,9}\.\d{1,9}) sec\.$/;
const throughput = /^Throughput\s+:\s*(\d{1,12}\.\d{1,9}) inf\.\/sec\.$/;
/** Some versions of the runner print their data at the end, as Python does. */
const dumpedTimes = /'start_time': (\d{1,16}), 'end_time': (\d{1,16})/g;

function readLine(log: MlcLog, text: string, add: <T>(list: T[], item: T) => void): void {
  if (text.startsWith("[{'")) {
    for (const [, start, end] of text.matchAll(dumpedTimes)) {
      add(log.laps_us, Number(start));
      add(log.laps_us, Number(end));
    }
  } else if (text.startsWith('[') && log.wakeword.detections_ms === null) log.wakeword.detections_ms = list(text);
  else if (text.startsWith('False negatives:')) log.wakeword.missed_s ??= list(text.slice(16));
  else if (text.startsWith('False positives:')) log.wakeword.falseAlarms_s ??= list(text.slice(16));
  else if (heading.test(text)) add(log.windows, { inferences: null, runtime_s: null, throughput_ips: null });
  else {
    const window = log.windows.at(-1);
    const n = inferences.exec(text);
    if (n !== null && window !== undefined) window.inferences ??= Number(n[1]);
    const s = runtime.exec(text);
    if (s !== null && window !== undefined) window.runtime_s ??= Number(s[1]);
    const t = throughput.exec(text);
    if (t !== null && window !== undefined) window.throughput_ips ??= Number(t[1]);
    const c = captured.exec(text);
    if (c !== null) add(log.captured, { samples: Number(c[1]), timestamps: Number(c[2]) });
  }
}

/** A list as Python (commas) or NumPy (blanks) prints it; null where it is none. */
function list(text: string): number[] | null {
  const inside = /^\s*\[([^\]]*)\]\s*$/.exec(text)?.[1];
  if (inside === undefined) return null;
  const parts = inside.split(/[\s,]+/).filter((part) => part !== '');
  const values = parts.map(Number);
  return values.length <= maxListed && values.every(Number.isFinite) ? values : null;
}
