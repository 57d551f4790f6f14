import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ScoreDocument } from '../../src/scoring/score-document.ts';
import { joulemark, temporaryFolder } from '../support/cli.ts';
import { vcdOf } from '../support/logic-recording.ts';

/** When each window of a simulated run truly began and ended. */
function truthsOf(folder: string): { start_s: number; end_s: number }[] {
  const log = readFileSync(join(folder, 'log.txt'), 'utf8');
  return [...log.matchAll(/m-truth-\[(.*)\]$/gm)].map(([, json]) => JSON.parse(json!));
}

test('score joins a run folder with the recording of a logic analyser, and leaves the folder as it is', () => {
  const cwd = temporaryFolder();
  const run = ['run', '--profile', 'per-inference', '--inferences', '20', '--out', 'A', '--quiet'];
  expect(joulemark(run, { cwd }).status).toBe(0);
  const changes_s = truthsOf(join(cwd, 'A')).flatMap(({ start_s, end_s }) => [start_s, end_s]);
  writeFileSync(join(cwd, 'a.vcd'), vcdOf({ D3: { isHigh: false, changes_s } }, { skew: 50e-6, offset_s: 3 }));
  const { status, stdout } = joulemark(['score', 'A', '--edges', 'a.vcd', '--edges-channel', 'D3', '--json'], { cwd });
  expect(status).toBe(0);
  const document = JSON.parse(stdout) as ScoreDocument;
  expect(document.windows).toHaveLength(20);
  expect(document.alignments).toMatchObject([{ edges: 'logic-analyser', method: 'shared-pulses' }]);
  expect(document.provenance.trigger).toMatchObject({ label: 'D3 in a.vcd' });
  expect(joulemark(['verify', 'A'], { cwd }).status).toBe(0);
  expect(joulemark(['score', 'A', '--edges', 'a.vcd'], { cwd }).stderr).toContain('there is no line D0');
  expect(joulemark(['score', 'A', '--edges-channel', 'D3'], { cwd }).status).toBe(2);
  expect(joulemark(['score', 'A', 'A', '--edges', 'a.vcd'], { cwd }).status).toBe(2);
});
