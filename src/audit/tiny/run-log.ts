import { LogParser, readLog } from '../../capture/formats/energyrunner/log.ts';
import { type EnergyRunnerSession, SessionGatherer } from '../../capture/formats/energyrunner/session.ts';

/** An `m-results` with the input loaded before it. */
export interface LoggedResult {
  /** File name of the input without its folder; null where none was loaded. */
  input: string | null;
  /** Scores; null where one of them is no number. */
  values: number[] | null;
}

/** A session of EnergyRunner with what only an audit asks of its log. */
export interface RunLog extends EnergyRunnerSession {
  results: LoggedResult[];
  /** N of each `m-infer-start-N`, in order. */
  started: number[];
  /** Host time of each lap, in the order of `laps`. */
  lapTimes_s: number[];
  /** False where the log ends before `m-session-stop-id`. */
  stopped: boolean;
  /** Line at which time went back for the first time, or null. */
  timeWentBackAt: number | null;
  /** The log held more results than an audit keeps; those here are its beginning. */
  overflow: boolean;
}

/** More than any real run: 248 anomaly files of 196 windows make 49,000 results. */
const maxResults = 100_000;
/** The most scores that a benchmark has is 12. */
const maxScores = 64;

/**
 * Reads an EnergyRunner log, streamed. Memory is bounded whatever its size.
 *
 * @throws FormatError if the file cannot be read
 */
export async function readRunLog(path: string): Promise<RunLog> {
  const parser = new LogParser();
  const gatherer = new SessionGatherer();
  const results: LoggedResult[] = [];
  const started: number[] = [];
  const lapTimes_s: number[] = [];
  let input: string | null = null;
  let stopped = false;
  let overflow = false;
  let timeWentBackAt: number | null = null;
  let last_s = Number.NEGATIVE_INFINITY;
  for await (const entry of readLog(path, parser)) {
    gatherer.push(entry);
    if (entry.time_s < last_s) timeWentBackAt ??= entry.line;
    last_s = entry.time_s;
    for (const event of entry.events) {
      if (event.kind === 'load') input = fileName(event.file);
      else if (event.kind === 'session-stop') stopped = true;
      else if (event.kind === 'infer-start' && started.length < maxResults) started.push(event.inferences);
      else if (event.kind === 'lap' && lapTimes_s.length < maxResults) lapTimes_s.push(entry.time_s);
      else if (event.kind === 'results') {
        if (results.length >= maxResults) overflow = true;
        else results.push({ input, values: usable(event.values) });
      }
    }
  }
  const session = gatherer.result(parser.counts);
  return { ...session, results, started, lapTimes_s, stopped, timeWentBackAt, overflow };
}

/** Name of a file without its folder, whichever system wrote the path. */
export function fileName(path: string): string {
  const name = path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
  // A copy: a part of a long line would keep the whole line in memory.
  return Buffer.from(name.slice(0, 300)).toString();
}

function usable(values: number[] | null): number[] | null {
  return values !== null && values.length > 0 && values.length <= maxScores ? values : null;
}
