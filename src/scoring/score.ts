import type { Recording } from '../signal/recording.ts';
import { energyMethodOf } from '../sync/energy-method.ts';
import { PowerReader, PowerView } from './power-view.ts';
import { hasPublishedArithmetic, scorePublished } from './published.ts';
import { type ScoredRun, type ScoreRunOptions, scoreRun, traceBins } from './score-run.ts';

/**
 * Scores any recording: another tool's by the published arithmetic of that tool, our own by its plan.
 *
 * @throws RefusalError where no honest figure can be given
 */
export async function scoreRecording(recording: Recording, options: ScoreRunOptions = {}): Promise<ScoredRun> {
  if (!hasPublishedArithmetic(recording)) return scoreRun(recording, options);
  return { document: await scorePublished(recording, options), trace: await powerTrace(recording), placed: null };
}

/** The power of the first rail that carries any, for plots. Streams that follow each other (trials) are laid end to end. */
async function powerTrace(recording: Recording): Promise<ScoredRun['trace']> {
  const streams = recording.streams.filter((stream) => energyMethodOf(stream) !== null);
  if (streams.length === 0) return null;
  const rail = streams[0].rail;
  const readers = new Map(
    streams
      .filter((stream) => stream.rail === rail)
      .map((stream) => {
        const clock = recording.clocks.find((candidate) => candidate.id === stream.clock);
        return [stream.id, new PowerReader(stream, clock?.tickHz ?? 1)];
      }),
  );
  const view = new PowerView(traceBins);
  let offset_s = 0;
  let end_s = 0;
  let last = '';
  for await (const chunk of recording.samples()) {
    const reader = readers.get(chunk.stream);
    if (reader === undefined || chunk.kind === 'gap') continue;
    if (chunk.stream !== last) {
      offset_s = last === '' ? 0 : end_s;
      last = chunk.stream;
    }
    for (const run of reader.runs(chunk)) {
      view.add({ ...run, start_s: run.start_s + offset_s });
      end_s = run.start_s + offset_s + run.length * run.dt_s;
    }
  }
  const bins = view.bins();
  return bins.length === 0 ? null : { rail, bins };
}
