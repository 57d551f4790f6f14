import type { RunFolder } from '../capture/run-folder.ts';
import type { Recording } from '../signal/recording.ts';
import type { CommonOptions } from './options.ts';
import { Progress } from './progress.ts';

/**
 * Does something with a recording behind a progress bar. Only a run folder knows beforehand how many samples it holds;
 * each pass over them begins the bar again.
 */
export async function watched<Outcome>(
  recording: Recording,
  label: string,
  options: CommonOptions,
  use: (recording: Recording) => Promise<Outcome>,
): Promise<Outcome> {
  const { extents } = recording as Partial<RunFolder>;
  if (extents === undefined) return use(recording);
  const total = extents.reduce((sum, { samples }) => sum + samples, 0);
  const progress = new Progress(label, options);
  const samples = async function* () {
    let seen = 0;
    for await (const item of recording.samples()) {
      if (item.kind === 'block') {
        seen += item.length;
        progress.update(seen / total);
      }
      yield item;
    }
  };
  return use({ ...recording, samples }).finally(() => progress.stop());
}
