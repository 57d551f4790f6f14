import { openRecording } from '../capture/formats/index.ts';
import { openLogicRecording } from '../dut/triggers/index.ts';
import { withRecordedEdges } from '../rig/joined-edges.ts';
import { scoreRecording } from '../scoring/score.ts';
import type { ScoreDocument } from '../scoring/score-document.ts';
import { type ScoreRunOptions, slicingRules } from '../scoring/score-run.ts';
import { ExitCode, JoulemarkError, UsageError } from '../signal/errors.ts';
import type { Recording } from '../signal/recording.ts';
import { type GroupDelayReport, measureGroupDelays } from '../sync/group-delay.ts';
import { type CommonOptions, choiceOption } from './options.ts';
import { assertCsv, printGroupDelays, printJson, printScore, writeCsv } from './output.ts';
import { printError } from './print-error.ts';
import { watched } from './watched.ts';

interface ScoreCommandOptions extends CommonOptions {
  slicing?: string;
  net?: string;
  traceUnit?: string;
  csv?: string;
  edges?: string;
  edgesChannel?: string;
  groupDelay?: boolean;
}

/** A score with what was asked for beside it. */
type Scored = ScoreDocument & { groupDelay?: GroupDelayReport };

export async function score(paths: string[], options: ScoreCommandOptions): Promise<void> {
  const scoring = scoringOptions(options);
  assertCsv(options);
  if (options.csv !== undefined && paths.length > 1) {
    throw new UsageError('usage.csv', {
      where: '--csv',
      problem: `one table holds the windows of one recording, and ${paths.length} were given`,
      remedy: 'score them one by one',
    });
  }
  if (options.edges !== undefined && paths.length > 1) {
    throw new UsageError('usage.edges', {
      where: `--edges ${options.edges}`,
      problem: `a recording of edges belongs to one run, and ${paths.length} were given`,
      remedy: 'score them one by one',
    });
  }
  if (options.edgesChannel !== undefined && options.edges === undefined) {
    throw new UsageError('usage.edges', {
      where: `--edges-channel ${options.edgesChannel}`,
      problem: 'names a line of a recording, and none was given',
      remedy: 'add --edges with the recording of the logic analyser',
    });
  }
  const recordings: { path: string; document: Scored }[] = [];
  const errors: { path: string; code: string; message: string }[] = [];
  let exitCode: number = ExitCode.ok;
  for (const path of paths) {
    try {
      const opened = await openRecording(path, {
        traceUnit: choiceOption(options.traceUnit, 'trace-unit', ['uJ', 'mW']),
      });
      const recording = await withEdges(opened, options);
      const { document } = await watched(recording, 'scoring', options, (it) => scoreRecording(it, scoring));
      const groupDelay = options.groupDelay ? { groupDelay: await measureGroupDelays(recording) } : {};
      recordings.push({ path, document: { ...document, ...groupDelay } });
      if (document.refusal !== null) {
        printError(`${path}: no figure can be given: ${document.refusal.message} [${document.refusal.code}]`);
        exitCode = ExitCode.cannot;
      } else if (document.gates.some((gate) => gate.met === false)) {
        exitCode = Math.max(exitCode, ExitCode.bad);
      }
    } catch (error) {
      // With several recordings, one that cannot be scored does not hide the others.
      if (paths.length === 1 || !(error instanceof JoulemarkError)) throw error;
      errors.push({ path, code: error.code, message: error.message });
      printError(error.message, `${error.remedy} [${error.code}]`);
      exitCode = ExitCode.cannot;
    }
  }
  if (options.csv !== undefined && recordings.length > 0) writeCsv(recordings[0].document, options.csv);
  if (options.json) {
    printJson(paths.length === 1 ? recordings[0].document : severalScores(recordings, errors));
  } else if (options.csv !== '-') {
    for (const { path, document } of recordings) {
      printScore(document, path);
      if (document.groupDelay !== undefined) printGroupDelays(document.groupDelay);
    }
  }
  process.exitCode = exitCode;
}

/** With the edges of the recording that the command line names. */
async function withEdges(recording: Recording, { edges, edgesChannel }: ScoreCommandOptions): Promise<Recording> {
  if (edges === undefined) return recording;
  return withRecordedEdges(recording, await openLogicRecording(edges), edgesChannel);
}

/** Several scores as one document; each says which of the paths it belongs to. */
function severalScores(
  recordings: { path: string; document: Scored }[],
  errors: { path: string; code: string; message: string }[],
): object {
  return {
    schema: 'joulemark.score/1',
    recordings: recordings.map(({ path, document }) => ({ ...document, source: { ...document.source, path } })),
    errors,
  };
}

/** How a recording is to be scored, as the command line says. */
export function scoringOptions(options: { slicing?: string; net?: string }): ScoreRunOptions {
  const slicing = choiceOption(options.slicing, 'slicing', Object.keys(slicingRules) as (keyof typeof slicingRules)[]);
  const net = choiceOption(options.net, 'net', ['low-quantile', 'two-cluster']);
  return { ...(slicing && { slicing }), ...(net && { net }) };
}
