import { type LogCounts, LogParser, readLog } from '../../capture/formats/energyrunner/log.ts';

/** One `infer N W` of the script, with what the device and the runner logged about it. */
export interface LoggedInference {
  /** Input file without its folder; null where none was loaded before. */
  input: string | null;
  /** N and W of the command; null where the device ran without a command in the log. */
  inferences: number | null;
  warmups: number | null;
  /** N of `m-infer-start-N`, as the device printed it. */
  started: number | null;
  /** Host times of `m-infer-start` and `m-infer-done`; null where the line is missing or garbled. */
  start_s: number | null;
  done_s: number | null;
  /** Line of the command, for findings. */
  line: number;
}

/** A timestamp that the device (or the timestamper) printed. */
export interface LoggedLap {
  microseconds: number;
  time_s: number;
  dut: boolean;
}

/** An `m-results` with the input loaded before it. */
export interface LoggedResult {
  input: string | null;
  values: number[] | null;
}

/** What an audit needs of an EnergyRunner log. */
export interface RunLog {
  session: string | null;
  runName: string | null;
  runnerVersion: string | null;
  config: Record<string, string>;
  /** `m-model` of the device. */
  model: string | null;
  dutName: string | null;
  timestampMode: 'energy' | 'performance' | null;
  instrument: string | null;
  /** Names of the files that the instrument driver says it wrote. */
  instrumentFiles: string[];
  voltage_mV: number | null;
  traceOn_s: number | null;
  traceOff_s: number | null;
  /** Host time at which the handshake timestamp was passed on to the device. */
  handshake_s: number | null;
  inferences: LoggedInference[];
  laps: LoggedLap[];
  results: LoggedResult[];
  droppedPackets: { dropped: number; total: number; percent: number } | null;
  /** Texts of e-[...] lines, the first few. */
  errors: string[];
  /** False where the log ends before `m-session-stop-id`. */
  stopped: boolean;
  firstTime_s: number | null;
  lastTime_s: number | null;
  /** Times went back at least once. */
  timeWentBack: boolean;
  counts: LogCounts;
  /** The log held more than an audit keeps; what is here is its beginning. */
  overflow: boolean;
}

/** More than any real run: 248 anomaly files of 196 windows make 49,000 inferences. */
const maxEntries = 200_000;
const maxErrors = 20;

/**
 * Reads an EnergyRunner log, streamed. Memory is bounded whatever its size.
 *
 * @throws FormatError if the file cannot be read
 */
export async function readRunLog(path: string): Promise<RunLog> {
  const parser = new LogParser();
  const log: RunLog = {
    session: null,
    runName: null,
    runnerVersion: null,
    config: {},
    model: null,
    dutName: null,
    timestampMode: null,
    instrument: null,
    instrumentFiles: [],
    voltage_mV: null,
    traceOn_s: null,
    traceOff_s: null,
    handshake_s: null,
    inferences: [],
    laps: [],
    results: [],
    droppedPackets: null,
    errors: [],
    stopped: false,
    firstTime_s: null,
    lastTime_s: null,
    timeWentBack: false,
    counts: parser.counts,
    overflow: false,
  };
  let input: string | null = null;
  let current: LoggedInference | null = null;
  for await (const entry of readLog(path, parser)) {
    log.firstTime_s ??= entry.time_s;
    if (log.lastTime_s !== null && entry.time_s < log.lastTime_s) log.timeWentBack = true;
    log.lastTime_s = entry.time_s;
    for (const event of entry.events) {
      switch (event.kind) {
        case 'session-start':
          log.session ??= event.id;
          break;
        case 'session-stop':
          log.stopped = true;
          break;
        case 'run-name':
          log.runName ??= event.name;
          break;
        case 'runner-version':
          log.runnerVersion ??= event.version;
          break;
        case 'config':
          if (Object.keys(log.config).length < 100) log.config[event.key] = event.value;
          break;
        case 'dut-model':
          log.model ??= event.text;
          break;
        case 'dut-name':
          log.dutName ??= event.text;
          break;
        case 'timestamp-mode':
          log.timestampMode ??= event.mode;
          break;
        case 'instrument-file':
          log.instrument ??= event.instrument;
          if (log.instrumentFiles.length < 10) log.instrumentFiles.push(event.file);
          break;
        case 'voltage':
          log.voltage_mV = event.millivolts;
          break;
        case 'trace':
          if (event.on) log.traceOn_s ??= entry.time_s;
          else log.traceOff_s = entry.time_s;
          break;
        case 'passthrough':
          if (event.text === 'timestamp') log.handshake_s ??= entry.time_s;
          break;
        case 'load':
          input = event.file.split(/[\\/]/).at(-1) ?? event.file;
          break;
        case 'infer':
          if (event.from !== 'command') break;
          current = null;
          if (full(log.inferences, log)) break;
          current = {
            input,
            inferences: event.inferences,
            warmups: event.warmups,
            started: null,
            start_s: null,
            done_s: null,
            line: entry.line,
          };
          log.inferences.push(current);
          break;
        case 'infer-start':
          if (current === null || current.start_s !== null) {
            if (full(log.inferences, log)) break;
            current = { ...withoutCommand, input, line: entry.line };
            log.inferences.push(current);
          }
          current.start_s = entry.time_s;
          current.started = event.inferences;
          break;
        case 'infer-done':
          if (current !== null && current.done_s === null) current.done_s = entry.time_s;
          break;
        case 'lap':
          if (!full(log.laps, log)) {
            log.laps.push({ microseconds: event.microseconds, time_s: entry.time_s, dut: entry.dut });
          }
          break;
        case 'results':
          if (!full(log.results, log)) log.results.push({ input, values: event.values });
          break;
        case 'dropped-packets':
          log.droppedPackets = { dropped: event.dropped, total: event.total, percent: event.percent };
          break;
        case 'error':
          if (log.errors.length < maxErrors) log.errors.push(event.text.slice(0, 200));
          break;
      }
    }
  }
  return log;
}

const withoutCommand = { inferences: null, warmups: null, started: null, start_s: null, done_s: null };

function full(list: unknown[], log: RunLog): boolean {
  if (list.length < maxEntries) return false;
  log.overflow = true;
  return true;
}
