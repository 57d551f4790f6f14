import { RefusalError } from '../../../signal/errors.ts';
import type { InferenceResult, Recording } from '../../../signal/recording.ts';
import type { EdgeBatch, LogLine, SampleBlock, StreamInfo } from '../../../signal/types.ts';
import { type Warning, warning } from '../../../signal/warnings.ts';
import { isEmptyFile } from '../folder.ts';
import { type EnergyRunnerFiles, findEnergyRunnerFiles } from './files.ts';
import { readLog, toLogLine } from './log.ts';
import { type EnergyRunnerResults, readResults } from './results.ts';
import { type EnergyRunnerSession, readSession } from './session.ts';
import { readTimestamps, type Timestamps } from './timestamps.ts';
import { openTrace, readTraceValues, type TraceHeader } from './trace.ts';

/** The rate of every published trace. There, uJ per interval and mW are the same number. */
const settledRate_Hz = 1000;

export interface EnergyRunnerOptions {
  /** What a trace value means, for a trace at another rate than 1 kHz; no public file settles it. */
  traceUnit?: 'uJ' | 'mW';
}

/** An EnergyRunner session as a recording, with what its text files say. Streams and edges are empty where files are missing. */
export interface EnergyRunnerRecording extends Recording {
  format: 'energyrunner';
  files: EnergyRunnerFiles;
  trace: TraceHeader | null;
  /** Seconds as in the file, in its order; null where the file is missing. */
  timestamps: number[] | null;
  session: EnergyRunnerSession | null;
  printed: EnergyRunnerResults | null;
}

export function isEnergyRunnerRecording(recording: Recording): recording is EnergyRunnerRecording {
  return recording.format === 'energyrunner';
}

/**
 * Opens an EnergyRunner folder, or the folder of one of its files.
 *
 * Clock `trace` ticks once a sample, clock `timestamps` once a second (its edges keep the JSON's numbers). The stream
 * `energy` holds uJ per sample interval. Throws a FormatError where a file is damaged, a RefusalError where the rate
 * is not 1 kHz and no unit was told.
 */
export async function openEnergyRunner(
  path: string,
  options: EnergyRunnerOptions = {},
): Promise<EnergyRunnerRecording> {
  const files = await findEnergyRunnerFiles(path);
  const trace = files.trace === null ? null : await openTrace(files.trace);
  if (trace !== null && trace.rate_Hz !== settledRate_Hz && options.traceUnit === undefined) {
    throw new RefusalError('trace.unit-unknown', {
      where: `${trace.path} at byte 1`,
      problem: `the sample rate is ${trace.rate_Hz} Hz; at any rate but 1000 Hz it is not known whether values are uJ or mW`,
      remedy: 'Say which it is with the trace unit option (uJ or mW).',
    });
  }
  const stamps: Timestamps | null = files.timestamps === null ? null : await readTimestamps(files.timestamps);
  const warnings: Warning[] = [...files.warnings, ...(stamps?.warnings ?? [])];
  const session = await sessionOf(files, warnings);
  const printed = await printedOf(files, warnings);
  const simulated = files.simulated || session?.dutName?.startsWith('SIMULATED') ? true : null;
  const unit = options.traceUnit ?? 'uJ';
  let negativeCounted = false;

  return {
    format: 'energyrunner',
    path,
    simulated,
    clocks: [
      ...(trace ? [{ id: 'trace', tickHz: trace.rate_Hz, kind: 'instrument' as const, epoch_ns: null }] : []),
      ...(stamps ? [{ id: 'timestamps', tickHz: 1, kind: 'file' as const, epoch_ns: null }] : []),
    ],
    streams: trace ? [traceStream(unit)] : [],
    plan: null,
    provenance: provenanceOf(files, trace, session),
    endedEarly: false,
    warnings,
    files,
    trace,
    timestamps: stamps?.seconds ?? null,
    session,
    printed,

    async *edges(): AsyncGenerator<EdgeBatch> {
      if (!stamps) return;
      const seconds = [...stamps.seconds].sort((a, b) => a - b);
      yield {
        kind: 'edges',
        edges: seconds.map((tick, seq) => ({
          clock: 'timestamps',
          tick,
          u_ticks: null,
          channel: 'timestamp',
          polarity: 'fall',
          seq,
        })),
      };
    },

    async *samples(): AsyncGenerator<SampleBlock> {
      if (!trace) return;
      let firstTick = 0;
      let negative = 0;
      for await (const values of readTraceValues(trace)) {
        for (let k = 0; k < values.length; k++) if (values[k]! < 0) negative++;
        yield {
          kind: 'block',
          stream: 'energy',
          firstTick,
          ticksPerSample: 1,
          length: values.length,
          ...(unit === 'uJ' ? { energy: values } : { power: values }),
        };
        firstTick += values.length;
      }
      // Only a whole pass can count them, so the warning comes with the first one.
      if (negative > 0 && !negativeCounted) {
        negativeCounted = true;
        warnings.push(
          warning('samples.negative', `${trace.path}: ${negative} of ${trace.samples} samples are negative`),
        );
      }
    },

    async *log(): AsyncGenerator<LogLine> {
      if (files.log === null) return;
      for await (const entry of readLog(files.log)) yield toLogLine(entry);
    },

    async *results(): AsyncGenerator<InferenceResult> {
      if (files.log === null) return;
      let input = '';
      for await (const entry of readLog(files.log)) {
        for (const event of entry.events) {
          if (event.kind === 'load') input = event.file.split(/[\\/]/).at(-1)!;
          else if (event.kind === 'results' && event.values) yield { input, scores: event.values, label: null };
        }
      }
    },

    async *truth() {},
  };
}

function traceStream(unit: 'uJ' | 'mW'): StreamInfo {
  return {
    id: 'energy',
    rail: 'main',
    clock: 'trace',
    ticksPerSample: 1,
    quantities: [unit === 'uJ' ? 'energy' : 'power'],
    precision: 'f32',
    semantics: 'mean-forward',
    groupDelay_s: null,
    scale: unit === 'uJ' ? { energy: 1e-6 } : { power: 1e-3 },
    assumedVoltage_V: null,
    ranges: [],
    logicInputs: [],
    calibration: null,
  };
}

async function sessionOf(files: EnergyRunnerFiles, warnings: Warning[]): Promise<EnergyRunnerSession | null> {
  if (files.log === null || (await isEmptyFile(files.log))) {
    const problem = files.log === null ? `${files.folder}: no log file` : `${files.log}: is empty`;
    warnings.push(warning('log.missing', problem));
    return null;
  }
  const session = await readSession(files.log);
  const { counts } = session;
  const garbled = [
    ...some(counts.unprefixed, 'without a time and a source'),
    ...some(counts.merged, 'merged with their neighbours'),
    ...some(counts.nonAscii, 'with non-ASCII bytes'),
    ...some(counts.nul, 'with NUL bytes'),
    ...some(counts.cut, 'too long and cut'),
  ];
  if (garbled.length > 0) {
    warnings.push(warning('log.garbled', `${files.log}: of ${counts.lines} lines, ${garbled.join(', ')}`));
  }
  return session;
}

function some(count: number, what: string): string[] {
  return count > 0 ? [`${count} ${what}`] : [];
}

async function printedOf(files: EnergyRunnerFiles, warnings: Warning[]): Promise<EnergyRunnerResults | null> {
  if (files.results === null || (await isEmptyFile(files.results))) {
    const problem = files.results === null ? `${files.folder}: no results file` : `${files.results}: is empty`;
    warnings.push(warning('results.missing', problem));
    return null;
  }
  return readResults(files.results);
}

function provenanceOf(
  files: EnergyRunnerFiles,
  trace: TraceHeader | null,
  session: EnergyRunnerSession | null,
): Record<string, unknown> {
  return {
    tool: 'EnergyRunner',
    runnerVersion: session?.runnerVersion ?? null,
    session: session?.sessionId ?? null,
    instrument: session?.instrument ?? null,
    voltage_mV: session?.voltage_mV ?? null,
    dut: session ? { name: session.dutName, profile: session.dutProfile, model: session.dutModel } : null,
    trace: trace ? { rate_Hz: trace.rate_Hz, samples: trace.samples } : null,
    files: { trace: files.trace, timestamps: files.timestamps, log: files.log, results: files.results },
  };
}
