import { rmSync } from 'node:fs';
import { writeResults } from '../capture/formats/layout-folder.ts';
import { openMlcommons } from '../capture/formats/mlcommons/index.ts';
import { formatMlcResults, writeMlcStreamingRun } from '../capture/formats/mlcommons/write.ts';
import { scorePublished } from '../scoring/published.ts';
import type { ScoredRun } from '../scoring/score-run.ts';
import { streamingRecord } from '../scoring/streaming.ts';
import { RefusalError } from '../signal/errors.ts';
import type { Recording } from '../signal/recording.ts';
import type { LogLine } from '../signal/types.ts';
import { energyMethodOf } from '../sync/energy-method.ts';
import { type ExportedLayout, millisecondsOf } from './energyrunner-export.ts';

/** Steps of results.json. */
const rate_Hz = 1000;

/**
 * Writes a streaming energy run as the MLCommons runner leaves one, into a folder that must not exist: results.json, results.txt, and a
 * log.txt of what the interface board and the device said. The figures are those of the runner's arithmetic over the samples just written.
 *
 * @throws RefusalError where the recording gives no figure, or does not say what was heard; the folder is then gone again
 */
export async function exportMlcommons(
  recording: Recording,
  folder: string,
  { document, placed }: Pick<ScoredRun, 'document' | 'placed'>,
): Promise<ExportedLayout> {
  const refuse = (problem: string) =>
    new RefusalError('export.impossible', {
      where: recording.path,
      problem: `cannot be written as the MLCommons runner does: ${problem}`,
      remedy: 'use the energy run of sww01',
    });
  if (document.refusal !== null) throw refuse(document.refusal.message);
  const { plan } = recording;
  const record = await streamingRecord(recording);
  const { tp, fn, fp } = document.accuracy ?? {};
  if (plan === null || placed === null || record === null || record.sound === null || record.sound.words === null) {
    throw refuse('it does not say what was played and heard');
  }
  if (tp === undefined || fn === undefined || fp === undefined) throw refuse('nothing says when the words were spoken');
  const stream = recording.streams.find((each) => each.ticksPerSample !== null && energyMethodOf(each) !== null);
  if (stream === undefined) throw refuse('no regular stream carries power');
  const { tickHz } = recording.clocks.find(({ id }) => id === stream.clock)!;
  const { bins_uJ, start_s } = await millisecondsOf(recording, stream, tickHz);
  const [window] = document.windows;
  const falls = placed.edges
    .filter(({ channel, polarity }) => channel === plan.channel && polarity === 'fall')
    .map(({ tick }) => tick / tickHz)
    .sort((a, b) => a - b);
  // The runner sees a pulse at `stop`, `start` and `stop`; an event stands behind the samples that came before it.
  const events = [falls[0]!, window!.start_s, window!.start_s + window!.duration_s].map((at_s) =>
    Math.floor((at_s - start_s) * rate_Hz),
  );
  const log: LogLine[] = [];
  for await (const line of recording.log()) log.push(line);
  const { sound, heard, duty } = record;
  writeMlcStreamingRun(folder, {
    simulated: recording.simulated ?? false,
    log,
    sound: { file: sound.file, duration_s: sound.duration_s, words: sound.words! },
    detections_ms: heard.detections_ms,
    busy: heard.busy,
    duty,
    samples_J: Float64Array.from(bins_uJ, (energy_uJ) => energy_uJ * 1e-6),
    events,
  });
  try {
    const score = await scorePublished(await openMlcommons(folder));
    const [trial] = score.windows;
    if (trial === undefined || trial.energy_uJ === null || trial.power_uW === null) throw refuse('it has no window');
    const figures = { elapsed_s: trial.runtime_s, energy_uJ: trial.energy_uJ, power_mW: trial.power_uW / 1000 };
    writeResults(folder, formatMlcResults({ ...figures, counts: { tp, fn, fp }, duty }));
    return { score, peakPower_W: bins_uJ.reduce((most, energy_uJ) => Math.max(most, energy_uJ), 0) / 1000 };
  } catch (error) {
    // Made above; without results it would only look like a run of the runner.
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}
