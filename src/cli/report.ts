import { basename, resolve } from 'node:path';
import { openRecording } from '../capture/formats/index.ts';
import { renderComparison } from '../report/comparison.ts';
import { generatedBy, reportOf } from '../rig/run-benchmark.ts';
import { scoreRecording } from '../scoring/score.ts';
import type { ScoredRun } from '../scoring/score-run.ts';
import type { CommonOptions } from './options.ts';
import { assertNew, note, printJson, writeNew } from './output.ts';
import { watched } from './watched.ts';

interface ReportCommandOptions extends CommonOptions {
  out?: string;
}

export async function report(paths: string[], options: ReportCommandOptions): Promise<void> {
  const out = options.out ?? (paths.length === 1 ? `${basename(resolve(paths[0]))}-report.html` : 'comparison.html');
  assertNew(out);
  const runs: ScoredRun[] = [];
  for (const path of paths) {
    runs.push(await watched(await openRecording(path), 'scoring', options, (it) => scoreRecording(it)));
  }
  const page =
    runs.length === 1
      ? reportOf(runs[0])
      : renderComparison(
          runs.map((run) => run.document),
          { generatedBy, paths },
        );
  writeNew(out, page);
  if (options.json) printJson({ schema: 'joulemark.report/1', recordings: paths, report: out });
  note(`Report: ${out}`, options);
}
