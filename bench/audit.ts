/**
 * The audit of 160 energy runs (as many as six public rounds hold) against a straightforward single-process NumPy script
 * that does the same arithmetic on the same files in the same run. Also the memory that 160 runs take.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { auditPaths } from '../src/audit/audit.ts';
import { energyRun, writeEnergyRun } from '../test/support/tiny-run.ts';

const runs = 160;
const repeats = 3;
const script = join(import.meta.dirname, '..', '..', 'bench', 'audit_energy.py');
const folder = mkdtempSync(join(tmpdir(), 'joulemark-bench-'));
try {
  for (let k = 0; k < runs; k++) {
    const run = energyRun({ active_mW: 20 + k * 0.11, inferences: 200 + k });
    writeEnergyRun(folder, run, `v1.1/closed/Submitter${k % 8}/results/board-${k}/kws/energy`);
  }
  let ours_s = Number.POSITIVE_INFINITY;
  let exact = 0;
  for (let k = 0; k < repeats; k++) {
    const start = performance.now();
    const { summary } = await auditPaths([folder]);
    ours_s = Math.min(ours_s, (performance.now() - start) / 1000);
    exact = summary.windows.exact;
  }
  let numpy_s = Number.POSITIVE_INFINITY;
  for (let k = 0; k < repeats; k++) {
    const numpy = spawnSync('/usr/bin/python3', [script, folder], { encoding: 'utf8' });
    if (numpy.status !== 0) throw new Error(`NumPy did not run: ${numpy.stderr || numpy.error?.message}`);
    const answer = JSON.parse(numpy.stdout) as { seconds: number; exact: number; runs: number };
    if (answer.exact !== runs) throw new Error(`NumPy found ${answer.exact} of ${runs} runs exact`);
    numpy_s = Math.min(numpy_s, answer.seconds);
  }
  console.log(`${runs} energy runs, ${exact} windows to the printed digit:`);
  console.log(`  joulemark  ${ours_s.toFixed(3)} s`);
  console.log(`  NumPy      ${numpy_s.toFixed(3)} s (one process, start-up not counted)`);
  console.log(`  NumPy / joulemark = ${(numpy_s / ours_s).toFixed(1)}`);
  console.log(`  resident memory at most ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MB`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
