import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findingCatalogue } from '../../src/audit/findings.ts';
import { joulemark, temporaryFolder } from '../support/cli.ts';
import { noRecordings, recordingsRoot } from '../support/recordings.ts';

describe('joulemark audit', () => {
  it('explains every code that can be printed', () => {
    for (const code of Object.keys(findingCatalogue).slice(0, 3)) {
      const { status, stdout } = joulemark(['audit', '--explain', code]);
      expect(status).toBe(0);
      expect(stdout).toContain(code);
    }
    expect(joulemark(['audit', '--explain', 'no.such-code']).status).toBe(2);
  });

  it('exits 2 without a path, for a path that is not there, and where nothing is a claim', () => {
    const empty = temporaryFolder();
    mkdirSync(join(empty, 'notes'));
    writeFileSync(join(empty, 'notes', 'log.txt'), '');
    for (const args of [[], [join(empty, 'nowhere')], [empty]]) {
      const { status, stderr } = joulemark(['audit', ...args]);
      expect(status).toBe(2);
      expect(stderr).toContain('error:');
      expect(stderr).not.toMatch(/\n\s+at /);
    }
  });

  it('refuses a simulated run as a claim, signed or not, and writes every kind of report', () => {
    const cwd = temporaryFolder();
    joulemark(['keygen', 'ours'], { cwd });
    const run = [
      'run',
      '--profile',
      'per-inference',
      '--inferences',
      '5',
      '--sign',
      'ours.key.pem',
      '--out',
      'A',
      '-q',
    ];
    expect(joulemark(run, { cwd }).status).toBe(0);
    const args = [
      'audit',
      'A',
      '--trust',
      'ours.pub.pem',
      '--json',
      '--md',
      'a.md',
      '--html',
      'a.html',
      '--sarif',
      'a.sarif',
    ];
    const { status, stdout } = joulemark(args, { cwd });
    expect(status).toBe(1);
    const document = JSON.parse(stdout);
    expect(document.claims).toHaveLength(1);
    expect(document.claims[0].verdict).toBe('unverifiable');
    const codes = document.findings.map((finding: { code: string }) => finding.code);
    expect(codes).toContain('claim.simulated');
    expect(codes).not.toContain('run.unsigned');
    for (const file of ['a.md', 'a.html', 'a.sarif']) {
      expect(readFileSync(join(cwd, file), 'utf8')).toContain('claim.simulated');
    }
    // What exists is not overwritten.
    expect(joulemark(['audit', 'A', '--md', 'a.md'], { cwd }).status).toBe(2);
  });
});

describe.skipIf(noRecordings)('joulemark audit on published runs', () => {
  it('refutes the run whose edge was lost and says what its trace supports', () => {
    const folder = join(recordingsRoot, 'tiny/v1.1/closed/STMicroelectronics/results/NUCLEO_L4R5ZI/ic/energy');
    const { status, stdout } = joulemark(['audit', folder, '--json']);
    expect(status).toBe(1);
    const [claim] = JSON.parse(stdout).claims;
    expect(claim).toMatchObject({ arithmetic: 'exact', evidence: 'contradicts', verdict: 'refuted' });
    expect(claim.supported.energyPerInference_uJ.toFixed(3)).toBe('10019.607');
    expect(joulemark(['audit', folder]).stdout).toContain('edges.lost');
  });
});
