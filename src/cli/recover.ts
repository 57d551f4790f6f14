import { recoverRunFolder } from '../capture/recover.ts';
import { openRunFolder } from '../capture/run-folder.ts';
import { resultFiles } from '../rig/run-benchmark.ts';
import { RefusalError } from '../signal/errors.ts';
import type { CommonOptions } from './options.ts';
import { note, printJson } from './output.ts';
import { watched } from './watched.ts';

export async function recover(input: string, output: string, options: CommonOptions): Promise<void> {
  await recoverRunFolder(input, output, async (recording) => {
    try {
      return (await watched(recording, 'scoring', options, resultFiles)).files;
    } catch (error) {
      // A capture without a plan or a rail still deserves its closed copy.
      if (error instanceof RefusalError) return [];
      throw error;
    }
  });
  const { extents } = await openRunFolder(output);
  if (options.json) printJson({ schema: 'joulemark.recover/1', input, output, streams: extents });
  for (const stream of extents) note(`${stream.id}: ${stream.samples} samples`, options);
  note(`Closed copy: ${output}`, options);
}
