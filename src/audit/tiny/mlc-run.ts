import { type MlcResults, readMlcResults } from '../../capture/formats/mlcommons/results.ts';
import { type MlcTrial, readResultsJson } from '../../capture/formats/mlcommons/results-json.ts';
import { findProfile } from '../../scoring/profiles/index.ts';
import type { Profile } from '../../scoring/profiles/profile.ts';
import { FormatError } from '../../signal/errors.ts';
import type { Case } from '../case.ts';
import { type MlcLog, readMlcRunLog } from './mlc-log.ts';
import { checkModel, simulatedMark } from './rules.ts';

/** The files of a run of the MLCommons runner; null where one is missing or cannot be used. */
export interface MlcRun {
  log: MlcLog | null;
  results: MlcResults | null;
  trials: MlcTrial[] | null;
  profile: Profile | null;
  /** File that a finding about the figures points to. */
  resultsPath: string;
}

/** Reads the files of a run and notes what is missing, garbled or marked. */
export async function readMlcRun(audit: Case): Promise<MlcRun> {
  const { files, path, place } = audit.site;
  const logPath = files['mlc-log'];
  const resultsPath = audit.resultsFile(files['mlc-results'], logPath);
  const dataPath = files['mlc-data'];
  const log = logPath ? await audit.read('log.unreadable', logPath, () => readMlcRunLog(logPath)) : null;
  const results = resultsPath
    ? await audit.read('results.unreadable', resultsPath, () => readMlcResults(resultsPath))
    : null;
  const trials = dataPath ? await audit.read('results.json-damaged', dataPath, () => readTrials(dataPath)) : null;
  if (logPath === undefined) audit.observe('log.missing', path, 'there is no log');
  if (log && logPath) {
    const odd = Object.entries(log.counts).filter(([kind, n]) => kind !== 'lines' && n > 0);
    if (odd.length > 0) {
      const message = `of ${log.counts.lines} lines: ${odd.map(([kind, n]) => `${n} ${kind}`).join(', ')}`;
      audit.observe('log.garbled', logPath, message, { ...log.counts });
    }
    if (log.overflow) audit.observe('log.too-long', logPath, 'the log holds more than any run of a benchmark');
    if (log.errors.length > 0) {
      const message = `${log.errors.length} error lines, the first: ${log.errors[0]}`;
      audit.observe('log.errors', logPath, message, { errors: log.errors });
    }
    checkModel(audit, null, log.model, log.calls, logPath);
  }
  const mark = simulatedMark(audit, log?.dutName ?? null);
  if (mark !== null) audit.observe('claim.simulated', path, `marked as simulated: ${mark}`, { mark });
  audit.measured.dut = log?.dutName ?? null;
  return {
    log,
    results,
    trials,
    profile: findProfile(place.benchmark ?? log?.model ?? ''),
    resultsPath: resultsPath ?? path,
  };
}

/** More trials than any data set has inputs, or more detections than 20 minutes can hold, are no record of a run. */
const maxTrials = 100_000;
const maxDetections = 50_000;
const maxWords = 1000;

async function readTrials(path: string): Promise<MlcTrial[]> {
  const trials = await readResultsJson(path);
  const oversized = trials.find(
    ({ wakeword }) =>
      (wakeword?.detections_ms.length ?? 0) > maxDetections || (wakeword?.truth?.length ?? 0) > maxWords,
  );
  if (trials.length <= maxTrials && oversized === undefined) return trials;
  throw new FormatError('mlcommons.too-many', {
    where: path,
    problem: oversized
      ? `trial ${oversized.index} holds more detections than a run can have`
      : `holds ${trials.length} trials`,
    remedy: 'Take the results.json that the MLCommons runner wrote.',
  });
}
