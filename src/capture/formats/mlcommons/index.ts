import { join } from 'node:path';
import type { InferenceResult, Recording } from '../../../signal/recording.ts';
import type { EdgeBatch, LogLine, SampleBlock } from '../../../signal/types.ts';
import { type Warning, warning } from '../../../signal/warnings.ts';
import { isEmptyFile, listFolder } from '../folder.ts';
import { type MlcSession, readMlcLog, readMlcSession } from './log.ts';
import { type MlcResults, readMlcResults } from './results.ts';
import { type MlcTrial, readResultsJson } from './results-json.ts';

const rate_Hz = 1000;
const block_samples = 65_536;

/** Paths of a session's files; null where there is none. */
export interface MlcFiles {
  folder: string;
  json: string | null;
  log: string | null;
  results: string | null;
  simulated: boolean;
  /** What the folder holds, for messages. */
  found: string[];
  warnings: Warning[];
}

/** A session of the MLCommons runner as a recording, with what its text files say. */
export interface MlcRecording extends Recording {
  format: 'mlcommons-tiny';
  files: MlcFiles;
  /** Null where results.json is missing. Only energy runs carry power. */
  trials: MlcTrial[] | null;
  session: MlcSession | null;
  printed: MlcResults | null;
}

export function isMlcRecording(recording: Recording): recording is MlcRecording {
  return recording.format === 'mlcommons-tiny';
}

/** File names of each role, most regular first. */
const names: Record<'json' | 'log' | 'results', [regular: RegExp, ...others: RegExp[]]> = {
  json: [/^results\.json$/, /results\.json$/i],
  log: [/^log\.txt$/, /log\.txt$/i, /\.log$/i],
  results: [/^results?\.txt$/, /results?\.txt$/i],
};

/** Finds the files of a session of the MLCommons runner. A path of one of them stands for its folder and that file. */
export async function findMlcFiles(path: string): Promise<MlcFiles> {
  const { folder, given, fileNames: found } = await listFolder(path);
  const known =
    given === null ||
    Object.values(names)
      .flat()
      .some((pattern) => pattern.test(given));
  const visible = known ? found.filter((name) => !name.startsWith('.')) : [];
  const unusual: string[] = [];
  const choose = (role: keyof typeof names): string | null => {
    const patterns = names[role];
    const name =
      given !== null && patterns.some((pattern) => pattern.test(given))
        ? given
        : (patterns
            .map((pattern) => visible.filter((each) => pattern.test(each)))
            .find((list) => list.length === 1)?.[0] ?? null);
    if (name === null) return null;
    if (!patterns[0].test(name)) unusual.push(name);
    return join(folder, name);
  };
  const files = { json: choose('json'), log: choose('log'), results: choose('results') };
  const warnings =
    unusual.length > 0 ? [warning('names.unusual', `${folder}: read under unusual names: ${unusual.join(', ')}`)] : [];
  return { folder, ...files, simulated: found.includes('SIMULATED'), found, warnings };
}

/**
 * Opens a session of the MLCommons runner: one stream and one clock a trial (`trial-0`...), J per 1 ms in float64, and
 * the instrument's events as edges on that clock. Throws a FormatError where results.json is damaged.
 */
export async function openMlcommons(path: string): Promise<MlcRecording> {
  const files = await findMlcFiles(path);
  const warnings = [...files.warnings];
  const trials = files.json === null ? null : await readResultsJson(files.json);
  const session = files.log === null || (await isEmptyFile(files.log)) ? null : await readMlcSession(files.log);
  if (session === null) warnings.push(warning('log.missing', `${files.folder}: the log is missing or empty`));
  const printed =
    files.results === null || (await isEmptyFile(files.results)) ? null : await readMlcResults(files.results);
  if (printed === null)
    warnings.push(warning('results.missing', `${files.folder}: the results file is missing or empty`));
  const measured = (trials ?? []).filter((trial) => trial.power !== null);
  const negative = measured.map((trial) => trial.power!.samples_J.reduce((n, sample) => n + (sample < 0 ? 1 : 0), 0));
  const negatives = negative.reduce((sum, n) => sum + n, 0);
  if (negatives > 0) warnings.push(warning('samples.negative', `${files.json}: ${negatives} samples are negative`));

  return {
    format: 'mlcommons-tiny',
    path,
    simulated: files.simulated || session?.dutName?.startsWith('SIMULATED') ? true : null,
    clocks: measured.map((trial) => ({ id: idOf(trial), tickHz: rate_Hz, kind: 'instrument', epoch_ns: null })),
    streams: measured.map((trial) => ({
      id: idOf(trial),
      rail: 'main',
      clock: idOf(trial),
      ticksPerSample: 1,
      quantities: ['energy'],
      precision: 'f64',
      semantics: 'mean-forward',
      groupDelay_s: null,
      scale: {},
      assumedVoltage_V: null,
      ranges: [],
      logicInputs: [],
      calibration: null,
    })),
    plan: null,
    provenance: {
      tool: 'MLCommons Tiny runner',
      dut: session ? { name: session.dutName, profile: session.dutProfile, model: session.dutModel } : null,
      voltage: measured[0]?.power?.voltage ?? null,
      trials: trials?.length ?? null,
      files: { json: files.json, log: files.log, results: files.results },
    },
    endedEarly: false,
    warnings,
    files,
    trials,
    session,
    printed,

    async *edges(): AsyncGenerator<EdgeBatch> {
      for (const trial of measured) {
        const events = [...trial.power!.events].sort((a, b) => a.sample - b.sample);
        yield {
          kind: 'edges',
          edges: events.map(({ counter, sample }) => ({
            clock: idOf(trial),
            tick: sample,
            u_ticks: null,
            channel: 'event',
            // The runner sets the instrument's event source to the falling edge of D7.
            polarity: 'fall',
            seq: counter,
          })),
        };
      }
    },

    async *samples(): AsyncGenerator<SampleBlock> {
      for (const trial of measured) {
        const { samples_J } = trial.power!;
        for (let firstTick = 0; firstTick < samples_J.length; firstTick += block_samples) {
          const energy = samples_J.slice(firstTick, firstTick + block_samples);
          yield { kind: 'block', stream: idOf(trial), firstTick, ticksPerSample: 1, length: energy.length, energy };
        }
      }
    },

    async *log(): AsyncGenerator<LogLine> {
      // Most lines of this log carry no time, and none a year, so there is no clock to put them on.
    },

    async *results(): AsyncGenerator<InferenceResult> {
      for (const trial of trials ?? []) {
        if (trial.results.length > 0) yield { input: trial.file ?? '', scores: trial.results, label: trial.label };
      }
    },

    async *truth() {},
  };
}

/** True where the files in the folder were written by the MLCommons runner, judged by what they hold. */
export async function looksLikeMlcommons(files: MlcFiles): Promise<boolean> {
  if (files.json !== null) return true;
  if (files.log !== null) {
    for await (const entry of readMlcLog(files.log)) {
      if (entry.event?.kind === 'logging') return true;
      if (entry.line >= 5) break;
    }
  }
  if (files.results === null) return false;
  const results = await readMlcResults(files.results);
  return results.energyMode || results.wakeword !== null;
}

function idOf(trial: MlcTrial): string {
  return `trial-${trial.index}`;
}
