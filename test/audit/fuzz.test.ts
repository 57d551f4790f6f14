import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditPaths } from '../../src/audit/audit.ts';
import type { AuditDocument } from '../../src/audit/document.ts';
import { align } from '../../src/audit/tiny/alignment.ts';
import { roleOf } from '../../src/audit/tiny/roles.ts';
import { hasFourDigits } from '../../src/audit/tiny/trace-checks.ts';
import { renderAuditHtml } from '../../src/report/audit/html.ts';
import { renderAuditMarkdown } from '../../src/report/audit/markdown.ts';
import { renderAuditSarif } from '../../src/report/audit/sarif.ts';
import { renderAuditTable } from '../../src/report/audit/terminal.ts';
import { energyRun, performanceRun, writeEnergyRun, writeTexts } from '../support/tiny-run.ts';

/** Rounds of each property; a longer run raises it. */
const rounds = Number(process.env.JOULEMARK_FUZZ ?? 150);
const options = { numRuns: rounds, seed: 20_240_101 };

let root: string;
let energy: string;
let performance: string;
const files = ['log.txt', 'results.txt', 'trace1-energy.bin', 'trace1-timestamps.json'];
const original = new Map<string, Buffer>();

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'joulemark-fuzz-'));
  energy = writeEnergyRun(root, energyRun({ window_s: 0.4, load_s: 0.3, inferences: 20 }));
  const run = performanceRun();
  performance = writeTexts(root, 'v1.1/closed/Acme/results/Board/kws/performance', {
    'log.txt': run.log,
    'results.txt': run.results,
  });
  for (const name of files) original.set(name, readFileSync(join(energy, name)));
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

/** What must hold of every audit: no lowered answer without a finding, and everything renders. */
function checkDocument(document: AuditDocument): void {
  for (const claim of document.claims) {
    const findings = document.findings.filter((f) => f.claim === claim.id);
    if (claim.verdict !== 'upheld') expect(findings.some((f) => f.severity !== 'info')).toBe(true);
    expect(claim.windows.exact).toBeLessThanOrEqual(claim.windows.recomputable);
    expect(claim.windows.recomputable).toBeLessThanOrEqual(claim.windows.claimed);
  }
  renderAuditTable(document, { columns: 60, color: false });
  renderAuditMarkdown(document);
  renderAuditSarif(document, '0');
}

const place = fc.nat({ max: 1_000_000 });
const mutation = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), at: place, byte: fc.nat({ max: 255 }) }),
  fc.record({ kind: fc.constant('cut' as const), at: place, byte: fc.nat({ max: 255 }) }),
  fc.record({ kind: fc.constant('delete' as const), at: place, byte: fc.nat({ max: 255 }) }),
  fc.record({ kind: fc.constant('repeat' as const), at: place, byte: fc.nat({ max: 255 }) }),
);

function mutate(bytes: Buffer, { kind, at, byte }: { kind: string; at: number; byte: number }): Buffer {
  if (bytes.length === 0) return bytes;
  const index = at % bytes.length;
  if (kind === 'cut') return bytes.subarray(0, index);
  if (kind === 'delete') return Buffer.concat([bytes.subarray(0, index), bytes.subarray(index + 1 + byte)]);
  if (kind === 'repeat') return Buffer.concat([bytes.subarray(0, index), bytes.subarray(Math.max(0, index - byte))]);
  const changed = Buffer.from(bytes);
  changed[index] = byte;
  return changed;
}

describe('an audit of damaged files', () => {
  it('never throws, never hangs, and gives a reason for every lowered answer', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        fc.array(mutation, { minLength: 1, maxLength: 4 }),
        async (name, all) => {
          const damaged = all.reduce(mutate, original.get(name) as Buffer);
          writeFileSync(join(energy, name), damaged);
          try {
            checkDocument(await auditPaths([energy]));
          } finally {
            writeFileSync(join(energy, name), original.get(name) as Buffer);
          }
        },
      ),
      options,
    );
  });

  it('does not uphold a figure that a changed sample inside a window no longer gives', async () => {
    const trace = original.get('trace1-energy.bin') as Buffer;
    const [from, to] = JSON.parse(String(original.get('trace1-timestamps.json'))).slice(1, 3) as [number, number];
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: Math.ceil(from * 1000) + 2, max: Math.floor(to * 1000) - 2 }),
        fc.float({ min: Math.fround(0.01), max: 80, noNaN: true }),
        async (sample, value) => {
          const changed = Buffer.from(trace);
          changed.writeFloatLE(Number(value.toPrecision(4)), 5 + 4 * sample);
          const difference = changed.readFloatLE(5 + 4 * sample) - trace.readFloatLE(5 + 4 * sample);
          writeFileSync(join(energy, 'trace1-energy.bin'), changed);
          const [claim] = (await auditPaths([energy])).claims;
          if (Math.abs(difference) > 0.002) expect(claim?.verdict).toBe('refuted');
        },
      ),
      { ...options, numRuns: Math.min(rounds, 200) },
    );
    writeFileSync(join(energy, 'trace1-energy.bin'), trace);
  });

  it('survives any text in the files of a run', async () => {
    const folder = join(root, 'noise');
    mkdirSync(folder, { recursive: true });
    const line = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.constantFrom(
        '00001.000 session: m-session-start-id[1]',
        '00002.000 parser: Command "io dut infer 999999999999999 1"',
        '00003.000 io: [dut]: m-infer-start-0',
        '00003.000 dut: m-lap-us-999999999999999',
        'Logging initialized. Writing output to x',
        'Device model retrieved: sww01',
        '[1, 2, 3]',
        'False positives: []',
        'RX:Duty cycle start times (s)',
        'Accuracy: 1 True positives, 2 False negatives, 3 False positives',
        'Energy data for trial 0',
        '  Elapsed time  : 1e-300',
        'Performance results for window 1',
        '    Runtime: 0 sec.',
        '0726.010109 ulp-mlperf: Top 1% = 90.2',
        '00001.000 ulp-mlperf: Top-1: 90.0%',
      ),
    );
    const text = fc.array(line, { maxLength: 30 }).map((lines) => lines.join('\n'));
    const json = fc.oneof(
      fc
        .jsonValue()
        .map((value) => JSON.stringify([{ infer: { detections: value, iterations: value }, power: value }])),
      fc
        .jsonValue()
        .map((value) => JSON.stringify([{ file: 'x', infer: { results: [0.5], iterations: 1 }, class: value }])),
      fc.array(fc.double()).map((values) => JSON.stringify(values)),
      text,
    );
    await fc.assert(
      fc.asyncProperty(text, text, json, fc.uint8Array({ maxLength: 64 }), async (log, results, data, trace) => {
        writeFileSync(join(folder, 'log.txt'), log);
        writeFileSync(join(folder, 'results.txt'), results);
        writeFileSync(join(folder, 'results.json'), data);
        writeFileSync(join(folder, 'trace1-timestamps.json'), data);
        writeFileSync(join(folder, 'trace1-energy.bin'), Buffer.concat([Buffer.from([0xf1, 0, 0, 0x7a, 0x44]), trace]));
        const document = await auditPaths([folder], { labels: root });
        checkDocument(document);
        expect(document.findings.filter((f) => f.code === 'claim.failed')).toEqual([]);
      }),
      options,
    );
  });

  it('puts any text onto a page without letting it act', async () => {
    const document = await auditPaths([energy, performance]);
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        for (const claim of document.claims) Object.assign(claim, { submitter: text, path: text, system: text });
        for (const finding of document.findings) Object.assign(finding, { message: text, evidence: { text } });
        const page = renderAuditHtml(document, 'test');
        if (/[<>]/.test(text) && text.length > 3) expect(page).not.toContain(text);
        checkDocument(document);
      }),
      { ...options, numRuns: Math.min(rounds, 40) },
    );
  });
});

describe('the small parts of an audit', () => {
  it('align any timestamps to any log', () => {
    const time = fc.double({ min: -1e9, max: 1e9, noNaN: true });
    const call = fc.record({ start_s: fc.option(time), done_s: fc.option(time) });
    fc.assert(
      fc.property(
        fc.array(time, { maxLength: 30 }),
        fc.array(call, { maxLength: 15 }),
        fc.option(time),
        (t, calls, handshake) => {
          const alignment = align(
            [...t].sort((a, b) => a - b),
            calls,
            handshake,
          );
          if (alignment === null) return;
          const used = alignment.edges.flatMap((e) => (e.timestamp === null ? [] : [e.timestamp]));
          expect(new Set(used).size).toBe(used.length);
          expect(used.length + alignment.extra.length).toBe(t.length);
        },
      ),
      { ...options, numRuns: rounds * 5 },
    );
  });

  it('tell the role of any file', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary', maxLength: 300 }), (name, head) => {
        roleOf(name, head);
      }),
      { ...options, numRuns: rounds * 20 },
    );
  });

  it('know decimals of four digits by the long way round', () => {
    fc.assert(
      fc.property(
        fc.float({ noNaN: true }),
        fc.integer({ min: 0, max: 9999 }),
        fc.integer({ min: -12, max: 6 }),
        (x, digits, exponent) => {
          expect(hasFourDigits(x)).toBe(x === 0 || (Number.isFinite(x) && Math.fround(Number(x.toPrecision(4))) === x));
          expect(hasFourDigits(Math.fround(Number(`${digits}e${exponent}`)))).toBe(true);
        },
      ),
      { ...options, numRuns: rounds * 20 },
    );
  });
});
