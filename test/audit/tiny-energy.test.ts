import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { auditPaths } from '../../src/audit/audit.ts';
import type { AuditDocument } from '../../src/audit/document.ts';
import { traceBytes } from '../support/energyrunner-folder.ts';
import { type EnergyRunOptions, energyRun, writeEnergyRun } from '../support/tiny-run.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'joulemark-audit-'));
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

/** Audits one made-up energy run. */
async function auditRun(options: EnergyRunOptions = {}, place?: string): Promise<AuditDocument> {
  writeEnergyRun(root, energyRun(options), place);
  return auditPaths([root]);
}

function codes(document: AuditDocument): string[] {
  return [...new Set(document.findings.map((f) => f.code))].sort();
}

function serious(document: AuditDocument): string[] {
  return document.findings.filter((f) => f.severity !== 'info').map((f) => f.code);
}

describe('an energy run of EnergyRunner', () => {
  it('is upheld without a finding where everything is right', async () => {
    const document = await auditRun();
    expect(document.findings).toEqual([]);
    const [claim] = document.claims;
    expect(claim).toMatchObject({
      id: 'v1.1/closed/Acme/results/Board/kws/energy#energy',
      round: 'v1.1',
      division: 'closed',
      submitter: 'Acme',
      system: 'Board',
      benchmark: 'kws',
      mode: 'energy',
      arithmetic: 'exact',
      evidence: 'supports',
      rules: 'met',
      verdict: 'upheld',
      windows: { claimed: 5, recomputable: 5, exact: 5 },
    });
    expect(claim?.comparisons).toHaveLength(5 * 8 + 2);
    expect(claim?.comparisons.every((c) => c.exact)).toBe(true);
    expect(claim?.supported.energyPerInference_uJ).toBe(claim?.recomputed.energyPerInference_uJ);
  });

  it('names the lost edge, and gives the figure that the trace supports', async () => {
    const run = energyRun({ lost: [1] });
    writeEnergyRun(root, run);
    const document = await auditPaths([root]);
    const [claim] = document.claims;
    expect(claim).toMatchObject({ arithmetic: 'exact', evidence: 'contradicts', verdict: 'refuted' });
    expect(claim?.windows).toEqual({ claimed: 4, recomputable: 4, exact: 4 });
    expect(claim?.supported.energyPerInference_uJ).toBeCloseTo(run.trueMedian_uJ, 6);
    expect(claim?.claimed.energyPerInference_uJ).toBeLessThan(0.5 * run.trueMedian_uJ);
    const lost = document.findings.filter((f) => f.code === 'edges.lost');
    expect(lost.map((f) => f.evidence)).toMatchObject([{ edge: 'start', inference: 1 }]);
    expect(claim?.plots?.[0]?.spans.filter((s) => s.label === 'implied')).toHaveLength(4);
  });

  it('names an edge lost in the middle: the windows before it stand, those after it are gaps', async () => {
    const document = await auditRun({ lost: [5] });
    const gap = document.findings.find((f) => f.code === 'windows.gap');
    const claimed = gap?.evidence.claimed as { holds: string }[];
    expect(claimed.map((w) => w.holds)).toEqual(['inference', 'inference', 'gap', 'gap']);
    expect(document.claims[0]?.verdict).toBe('refuted');
  });

  it('names an extra edge at boot', async () => {
    const run = energyRun({ extra: [0.4] });
    writeEnergyRun(root, run);
    const document = await auditPaths([root]);
    expect(codes(document)).toContain('edges.extra');
    expect(document.claims[0]).toMatchObject({ evidence: 'contradicts', verdict: 'refuted' });
    expect(document.claims[0]?.supported.energyPerInference_uJ).toBeCloseTo(run.trueMedian_uJ, 6);
  });

  it('finds an extra edge in front of the handshake', async () => {
    const run = energyRun();
    run.timestamps.unshift(0.003);
    writeEnergyRun(root, run);
    const document = await auditPaths([root]);
    expect(codes(document)).toEqual(expect.arrayContaining(['edges.extra', 'windows.gap']));
  });

  it('refutes figures that do not follow, and says by how much', async () => {
    const run = energyRun();
    run.results = run.results.replace(/Median energy cost is [\d.]+/, 'Median energy cost is 500.000');
    writeEnergyRun(root, run);
    const document = await auditPaths([root]);
    expect(document.claims[0]).toMatchObject({ arithmetic: 'differs', evidence: 'supports', verdict: 'refuted' });
    const [finding] = document.findings.filter((f) => f.code === 'arithmetic.differs');
    expect(finding?.message).toContain('500.000');
    expect(finding?.evidence.differing).toHaveLength(1);
  });

  it('does not take one more in the last digit for a rounding tie', async () => {
    const run = energyRun();
    const printed = /Energy {7}: +([\d.]+) uJ/.exec(run.results)?.[1] as string;
    // One more in the last digit lies further away than rounding explains.
    const wrong = (Number(printed) + 0.001).toFixed(3);
    run.results = run.results.replace(printed, wrong);
    writeEnergyRun(root, run);
    expect((await auditPaths([root])).claims[0]?.arithmetic).toBe('differs');
  });

  it('calls short windows and few iterations broken rules, not a wrong figure', async () => {
    const document = await auditRun({ window_s: 1.1, inferences: 8 });
    expect(document.claims[0]).toMatchObject({
      arithmetic: 'exact',
      evidence: 'supports',
      rules: 'broken',
      verdict: 'irregular',
    });
    expect(codes(document)).toEqual(['window.few-iterations', 'window.too-short']);
  });

  it('calls the evidence incomplete where the current exceeds the range of the LPM01A', async () => {
    const document = await auditRun({ active_mW: 99, voltage_mV: 1800 });
    expect(document.claims[0]).toMatchObject({ evidence: 'incomplete', verdict: 'unverifiable' });
    expect(document.claims[0]?.supported.energyPerInference_uJ).toBeNull();
    expect(serious(document)).toEqual(['current.over-range']);
  });

  it('only notes a few samples beyond that range', async () => {
    const run = energyRun({ active_mW: 80, voltage_mV: 1800 });
    run.trace_mW.fill(91, 5000, 5010);
    writeEnergyRun(root, run);
    const document = await auditPaths([root]);
    expect(codes(document)).toEqual(['arithmetic.differs', 'current.peaks']);
    expect(document.claims[0]?.evidence).toBe('supports');
    expect(document.claims[0]?.supported.energyPerInference_uJ).toBeGreaterThan(0);
  });

  it('does not hold a JS110 to the digits, blocks and range of the LPM01A', async () => {
    const document = await auditRun({ instrument: 'js110', active_mW: 999 });
    expect(document.findings).toEqual([]);
  });

  it('notes digits and a length that no LPM01A sends', async () => {
    const run = energyRun();
    run.trace_mW[12_345] = 24.3712;
    run.trace_mW = run.trace_mW.subarray(0, -24);
    writeEnergyRun(root, run);
    const document = await auditPaths([root]);
    expect(codes(document)).toEqual(expect.arrayContaining(['trace.block', 'trace.digits']));
    expect(document.claims[0]?.evidence).toBe('incomplete');
  });

  it('does not ask whole blocks of a log that Joulemark wrote, which keeps every sample', async () => {
    const run = energyRun();
    run.log = run.log.replace('m-version[3.0.10]', 'm-version[Joulemark 0.1.0]');
    run.trace_mW = run.trace_mW.subarray(0, -24);
    writeEnergyRun(root, run);
    expect(codes(await auditPaths([root]))).toEqual([]);
  });

  it('cannot verify a run without a trace, without timestamps, without a log', async () => {
    for (const [name, code] of [
      ['trace1-energy.bin', 'trace.missing'],
      ['trace1-timestamps.json', 'timestamps.missing'],
      ['log.txt', 'log.missing'],
    ] as const) {
      const folder = writeEnergyRun(root, energyRun());
      rmSync(join(folder, name));
      const document = await auditPaths([root]);
      expect(document.claims[0]?.verdict).toBe('unverifiable');
      expect(codes(document)).toContain(code);
    }
  });

  it('cannot verify a run without results', async () => {
    const folder = writeEnergyRun(root, energyRun());
    rmSync(join(folder, 'results.txt'));
    const document = await auditPaths([root]);
    expect(document.claims[0]).toMatchObject({ arithmetic: 'none', verdict: 'unverifiable', claimed: {} });
    expect(document.claims[0]?.recomputed.energyPerInference_uJ).toBeGreaterThan(0);
  });

  it('reports a damaged trace with its offset', async () => {
    const folder = writeEnergyRun(root, energyRun());
    const bytes = traceBytes(energyRun().trace_mW);
    writeFileSync(join(folder, 'trace1-energy.bin'), bytes.subarray(0, -2));
    const document = await auditPaths([root]);
    const finding = document.findings.find((f) => f.code === 'trace.damaged');
    expect(finding?.message).toMatch(/byte \d+/);
    expect(document.claims[0]?.verdict).toBe('unverifiable');
  });

  it('does not guess the unit of a trace at another rate than 1 kHz', async () => {
    const folder = writeEnergyRun(root, energyRun());
    writeFileSync(join(folder, 'trace1-energy.bin'), traceBytes(energyRun().trace_mW, 500));
    const document = await auditPaths([root]);
    expect(codes(document)).toContain('trace.unit-unknown');
    expect(document.claims[0]?.verdict).toBe('unverifiable');
  });

  it('sees a trace of another length than the log says', async () => {
    const run = energyRun();
    const longer = new Float32Array(run.trace_mW.length + 4096).fill(7);
    longer.set(run.trace_mW);
    run.trace_mW = longer;
    writeEnergyRun(root, run);
    const document = await auditPaths([root]);
    expect(serious(document)).toEqual(['trace.length']);
    expect(document.claims[0]?.evidence).toBe('incomplete');
  });

  it('sees a timestamp behind the end of the trace', async () => {
    const run = energyRun();
    run.trace_mW = run.trace_mW.subarray(0, 59 * 1024);
    writeEnergyRun(root, run);
    expect(codes(await auditPaths([root]))).toContain('edges.beyond-trace');
  });

  it('sees files of two sessions: no edge lies where the log puts it', async () => {
    const run = energyRun();
    run.log = energyRun({ window_s: 13.3, load_s: 4.1 }).log;
    writeEnergyRun(root, run);
    const document = await auditPaths([root]);
    expect(document.claims[0]?.evidence).not.toBe('supports');
    expect(codes(document)).toEqual(expect.arrayContaining(['edges.extra', 'edges.lost']));
  });

  it('sees clocks that no instrument has', async () => {
    const document = await auditRun({ slope: 1.0035 });
    expect(codes(document)).toEqual(expect.arrayContaining(['clock.slope']));
  });

  it('measures the clock slope of a good run', async () => {
    const document = await auditRun({ slope: 1.00012 });
    expect(document.findings).toEqual([]);
    expect(document.claims[0]?.measured.slope_ppm).toBeCloseTo(120, -1);
  });

  it('takes a number that lost a digit for garbled where other lines of the device are garbled too', async () => {
    const run = energyRun();
    const cut = run.log.replace('m-infer-start-250', 'm-infer-start-25');
    run.log = cut;
    writeEnergyRun(root, run);
    expect(codes(await auditPaths([root]))).toContain('iterations.differ');
    run.log = cut.replace('[dut]: m-ready', '[dut]: m-r\ufffdady');
    writeEnergyRun(root, run);
    const document = await auditPaths([root]);
    expect(codes(document)).toEqual(['log.garbled']);
    expect(document.claims[0]?.verdict).toBe('upheld');
  });

  it('sees numbers of inferences that disagree', async () => {
    const run = energyRun();
    run.log = run.log.replace('m-infer-start-250', 'm-infer-start-125');
    writeEnergyRun(root, run);
    const document = await auditPaths([root]);
    expect(codes(document)).toContain('iterations.differ');
    expect(document.claims[0]?.verdict).toBe('refuted');
  });

  it('sees other inputs, and another number of warm-ups', async () => {
    const document = await auditRun({ inputs: ['a.bin', 'b.bin', 'c.bin', 'd.bin', 'e.bin'], warmups: 10 });
    expect(codes(document)).toEqual(['inputs.unexpected', 'warmups.unusual']);
    expect(document.claims[0]?.verdict).toBe('irregular');
  });

  it('sees the run of another benchmark in a folder', async () => {
    const document = await auditRun({ model: 'ic01' }, 'v1.1/closed/Acme/results/Board/kws/energy');
    expect(codes(document)).toContain('model.differs');
    expect(document.claims[0]?.verdict).toBe('refuted');
  });

  it('takes the benchmark from the log where the folder does not tell', async () => {
    const document = await auditRun({ model: 'ic01' }, 'somewhere');
    expect(document.claims[0]).toMatchObject({ benchmark: 'ic', round: null, division: null, verdict: 'upheld' });
  });

  it('finds evidence under other names, and says so', async () => {
    const run = energyRun();
    writeEnergyRun(root, run, 'v0.7/open/Acme/results/Board/keyword_spotting/enegy');
    const document = await auditPaths([root]);
    expect(document.claims[0]).toMatchObject({ benchmark: 'kws', mode: 'energy', verdict: 'upheld' });
    expect(codes(document)).toEqual(['names.unusual']);
  });

  it('names garbled lines as a note', async () => {
    const document = await auditRun({ logLines: ['io: [dut]: \u001b[31mm-ready\u001b[0m', 'io: [dut]: caf\u00e9'] });
    expect(document.findings.map((f) => [f.code, f.severity])).toEqual([['log.garbled', 'info']]);
    expect(document.claims[0]?.verdict).toBe('upheld');
  });

  it('refuses a simulated run as a claim', async () => {
    const document = await auditRun({ dutName: 'SIMULATED virtual rig' });
    expect(codes(document)).toEqual(['claim.simulated']);
    expect(document.claims[0]?.verdict).toBe('unverifiable');
    const folder = writeEnergyRun(root, energyRun());
    writeFileSync(join(folder, 'SIMULATED'), '');
    expect(codes(await auditPaths([root]))).toEqual(['claim.simulated']);
  });
});

describe('claims beside each other', () => {
  it('reports a trace that was submitted again, and warns where one round uses it for two systems', async () => {
    const run = energyRun();
    writeEnergyRun(root, run, 'v1.0/closed/Acme/results/Board/kws/energy');
    writeEnergyRun(root, run, 'v1.1/closed/Acme/results/Board/kws/energy');
    const again = await auditPaths([root]);
    expect(again.findings.map((f) => [f.code, f.severity])).toEqual([
      ['trace.resubmitted', 'info'],
      ['trace.resubmitted', 'info'],
    ]);
    writeEnergyRun(root, run, 'v1.1/closed/Acme/results/OtherBoard/kws/energy');
    const shared = await auditPaths([root]);
    expect(codes(shared)).toEqual(['trace.resubmitted', 'trace.shared']);
  });

  it('finds a trace of an earlier audit by its JSON', async () => {
    const earlier = mkdtempSync(join(tmpdir(), 'joulemark-earlier-'));
    try {
      writeEnergyRun(earlier, energyRun(), 'v1.0/closed/Acme/results/Board/kws/energy');
      const index = join(root, 'earlier-audit.json');
      writeFileSync(index, JSON.stringify(await auditPaths([earlier])));
      writeEnergyRun(root, energyRun());
      const document = await auditPaths([join(root, 'v1.1')], { index: [index] });
      expect(codes(document)).toEqual(['trace.resubmitted']);
      expect(document.findings[0]?.message).toContain('v1.0');
    } finally {
      rmSync(earlier, { recursive: true });
    }
  });

  it('refuses an index that is none', async () => {
    const index = join(root, 'index.json');
    writeFileSync(index, '{"schema": "joulemark.score/1"}');
    await expect(auditPaths([root], { index: [index] })).rejects.toThrow(/index\.json/);
  });
});
