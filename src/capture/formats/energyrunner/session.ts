import type { LogCounts, LogEntry } from './log.ts';
import { LogParser, readLog } from './log.ts';

/** Beyond this many inputs the list stops growing: an accuracy run has a few thousand. */
const maxCalls = 100_000;

/** One `infer N W` of a session, with what the log shows of its course. Times are the log's, in s. */
export interface InferCall {
  inferences: number;
  warmups: number | null;
  /** Where N and W were read: the runner's own command, the IO manager's echo, or the DUT's message. */
  from: 'command' | 'passthrough' | 'infer-start';
  /** The input file of the last load before it, as the log names it. */
  file: string | null;
  command_s: number;
  /** m-infer-start and m-infer-done of the DUT. */
  start_s: number | null;
  done_s: number | null;
}

/** What an EnergyRunner log says of its session as a whole. */
export interface EnergyRunnerSession {
  sessionId: string | null;
  runnerVersion: string | null;
  runName: string | null;
  /** `ulp-ml` (energy), `ulp-mlperf` (performance and accuracy). */
  benchmarkCode: string | null;
  /** `bm cfg` of the run: iterWarmup, iterInfer, runMode, model... */
  config: Record<string, string>;
  calls: InferCall[];
  /** All m-lap-us in order, in us, with who printed them. */
  laps: { microseconds: number; from: 'dut' | 'io' | 'emon' }[];
  /** Log time of `io: m-dut-passthrough(timestamp)` (or of `dut timestamp`): the handshake edge, for aligning log and trace. */
  handshake_s: number | null;
  traceOn_s: number | null;
  traceOff_s: number | null;
  instrument: string | null;
  voltage_mV: number | null;
  dropped: { packets: number; total: number; percent: number } | null;
  dutName: string | null;
  dutProfile: string | null;
  dutModel: string | null;
  timestampMode: 'energy' | 'performance' | null;
  /** e-[...] messages in order, with who wrote them. */
  errors: { source: string; text: string }[];
  counts: LogCounts;
}

/** Gathers the session from the entries of its log, one after the other. */
export class SessionGatherer {
  private readonly session: Omit<EnergyRunnerSession, 'counts'> = {
    sessionId: null,
    runnerVersion: null,
    runName: null,
    benchmarkCode: null,
    config: {},
    calls: [],
    laps: [],
    handshake_s: null,
    traceOn_s: null,
    traceOff_s: null,
    instrument: null,
    voltage_mV: null,
    dropped: null,
    dutName: null,
    dutProfile: null,
    dutModel: null,
    timestampMode: null,
    errors: [],
  };
  private file: string | null = null;
  private passed = false;

  push(entry: LogEntry): void {
    const { session } = this;
    for (const event of entry.events) {
      switch (event.kind) {
        case 'session-start':
          session.sessionId ??= event.id;
          break;
        case 'session-saved':
          session.sessionId ??= event.id;
          break;
        case 'runner-version':
          session.runnerVersion ??= event.version;
          break;
        case 'run-name':
          session.runName ??= event.name;
          session.benchmarkCode ??= event.code;
          break;
        case 'config':
          if (Object.keys(session.config).length < 1000) session.config[event.key] = event.value;
          break;
        case 'load':
          this.file = event.file;
          break;
        case 'infer':
          this.infer(event, entry.time_s);
          break;
        case 'infer-start':
          this.inferStart(event.inferences, entry.time_s);
          break;
        case 'infer-done': {
          const call = session.calls.at(-1);
          if (call) call.done_s ??= entry.time_s;
          break;
        }
        case 'lap':
          if (session.laps.length < 2 * maxCalls) {
            session.laps.push({ microseconds: event.microseconds, from: lapSource(entry) });
          }
          break;
        case 'passthrough':
          if (event.text === 'timestamp') session.handshake_s ??= entry.time_s;
          break;
        case 'command':
          // Of a DUT on its own port nothing is passed through.
          if (event.text === 'dut timestamp') session.handshake_s ??= entry.time_s;
          break;
        case 'trace':
          if (event.on) session.traceOn_s ??= entry.time_s;
          else session.traceOff_s = entry.time_s;
          break;
        case 'instrument-file':
          session.instrument ??= event.instrument;
          break;
        case 'voltage':
          session.voltage_mV = event.millivolts;
          break;
        case 'dropped-packets':
          session.dropped = { packets: event.dropped, total: event.total, percent: event.percent };
          break;
        case 'dut-name':
          session.dutName ??= event.text;
          break;
        case 'dut-profile':
          session.dutProfile ??= event.text;
          break;
        case 'dut-model':
          session.dutModel ??= event.text;
          break;
        case 'timestamp-mode':
          session.timestampMode ??= event.mode;
          break;
        case 'error':
          if (session.errors.length < 1000)
            session.errors.push({ source: entry.dut ? 'dut' : entry.source, text: event.text });
          break;
        default:
          break;
      }
    }
  }

  result(counts: LogCounts): EnergyRunnerSession {
    return { ...this.session, counts };
  }

  /** A command and its passthrough are one call; a passthrough alone stands for a command that the log lost. */
  private infer(
    event: { inferences: number; warmups: number | null; from: 'command' | 'passthrough' },
    time_s: number,
  ) {
    const last = this.session.calls.at(-1);
    if (event.from === 'passthrough' && last && !this.passed && last.start_s === null) {
      this.passed = true;
      return;
    }
    this.passed = event.from === 'passthrough';
    this.addCall(event.inferences, event.warmups, event.from, time_s);
  }

  private inferStart(inferences: number, time_s: number): void {
    const last = this.session.calls.at(-1);
    if (!last || last.start_s !== null) this.addCall(inferences, null, 'infer-start', time_s);
    this.session.calls.at(-1)!.start_s = time_s;
  }

  private addCall(inferences: number, warmups: number | null, from: InferCall['from'], command_s: number): void {
    if (this.session.calls.length >= maxCalls) return;
    this.session.calls.push({ inferences, warmups, from, file: this.file, command_s, start_s: null, done_s: null });
  }
}

function lapSource(entry: LogEntry): 'dut' | 'io' | 'emon' {
  if (entry.dut) return 'dut';
  return entry.source === 'emon' ? 'emon' : 'io';
}

/** Reads a log file and gathers its session. Throws a FormatError only where the file cannot be read. */
export async function readSession(path: string): Promise<EnergyRunnerSession> {
  const parser = new LogParser();
  const gatherer = new SessionGatherer();
  for await (const entry of readLog(path, parser)) gatherer.push(entry);
  return gatherer.result(parser.counts);
}
