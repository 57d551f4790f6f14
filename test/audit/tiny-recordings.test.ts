import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditPaths } from '../../src/audit/audit.ts';
import type { AuditDocument } from '../../src/audit/document.ts';
import { auditSchema } from '../../src/audit/schema.ts';
import type { Claim } from '../../src/audit/types.ts';
import { noRecordings, recordingsRoot } from '../support/recordings.ts';

const tiny = join(recordingsRoot, 'tiny');

describe.skipIf(noRecordings)('published Tiny runs', () => {
  let document: AuditDocument;
  let unpacked: string;
  const labels = join(recordingsRoot, 'labels');

  beforeAll(async () => {
    unpacked = mkdtempSync(join(tmpdir(), 'joulemark-tiny-'));
    execFileSync('tar', ['-xzf', join(recordingsRoot, 'tiny_ansi.tar.gz'), '-C', unpacked]);
    document = await auditPaths([tiny, join(unpacked, 'tiny')], { labels });
  });

  afterAll(() => rmSync(unpacked, { recursive: true, force: true }));

  function claim(...parts: string[]): Claim {
    const found = document.claims.filter((c) => parts.every((part) => c.id.includes(part)));
    expect(found).toHaveLength(1);
    return found[0]!;
  }

  const codesOf = (c: Claim, all = false) =>
    document.findings.filter((f) => f.claim === c.id && (all || f.severity !== 'info')).map((f) => f.code);

  it('reproduces every window and every median to the printed digit', () => {
    for (const c of document.claims) {
      const shown = c.comparisons.filter((x) => x.recomputed !== null && x.printed !== null);
      expect(
        shown.filter((x) => !x.exact),
        c.id,
      ).toEqual([]);
    }
    expect(document.summary.windows).toEqual({ claimed: 60, recomputable: 54, exact: 54 });
  });

  it('finds nothing to say about clean runs', () => {
    for (const parts of [
      ['syntiant_9120_1v1_98mhz/kws/energy'],
      ['syntiant_9120_1v1_98mhz/kws/performance'],
      ['syntiant_9120_1v1_98mhz/kws/accuracy'],
      ['gap9_800_370/keyword_spotting'],
      ['arty-a7-100t'],
      ['NUCLEO_L4R5ZI-P/kws'],
      ['Skymizer'],
      ['NUCLEO_L4R5ZI/ic/performance'],
    ]) {
      const c = claim(...parts);
      expect(c.verdict, c.id).toBe('upheld');
      expect(codesOf(c), c.id).toEqual([]);
    }
  });

  it('names the lost edge of NUCLEO_L4R5ZI/ic/energy and gives what the trace supports', () => {
    const c = claim('v1.1', 'NUCLEO_L4R5ZI/ic/energy');
    expect(c).toMatchObject({ arithmetic: 'exact', evidence: 'contradicts', verdict: 'refuted' });
    expect(c.claimed.energyPerInference_uJ).toBe(7019.085);
    expect(c.supported.energyPerInference_uJ?.toFixed(3)).toBe('10019.607');
    expect(codesOf(c)).toEqual(expect.arrayContaining(['edges.lost', 'windows.gap', 'energy.throughput-differs']));
    const lost = document.findings.find((f) => f.claim === c.id && f.code === 'edges.lost');
    expect(lost?.evidence).toMatchObject({ edge: 'start', inference: 1 });
  });

  it('says where windows are too short, the current too high, the trace or results.json missing', () => {
    expect(claim('v0.5', 'ad/energy')).toMatchObject({ rules: 'broken', verdict: 'irregular', arithmetic: 'exact' });
    expect(claim('NUCLEO_H7A3ZI_Q/ad')).toMatchObject({ rules: 'broken', verdict: 'irregular' });
    const over = claim('NUCLEO-H7A3ZI-Q/kws');
    expect(over).toMatchObject({ arithmetic: 'exact', evidence: 'incomplete', verdict: 'unverifiable' });
    expect(codesOf(over)).toEqual(['current.over-range']);
    expect(claim('renesas')).toMatchObject({ arithmetic: 'none', verdict: 'unverifiable' });
    expect(codesOf(claim('renesas'))).toContain('trace.missing');
    const wakeword = claim('sww/energy');
    expect(wakeword).toMatchObject({ arithmetic: 'none', verdict: 'unverifiable', claimed: { tp: 46, fn: 4, fp: 4 } });
    expect(wakeword.supported).toMatchObject({ tp: 46, fn: 4, fp: 4 });
    expect(codesOf(wakeword, true)).toEqual(expect.arrayContaining(['results.json-missing', 'wakeword.no-truth']));
  });

  it('gives the accuracy that EnergyRunner printed, and the exact area beside it', () => {
    const c = claim('kws/accuracy');
    expect(c).toMatchObject({
      arithmetic: 'exact',
      claimed: { top1_pct: 91.1, auc: 0.99 },
      recomputed: { top1_pct: 91.1 },
    });
    expect(c.measured.rankAuc).toBeCloseTo(0.995855, 6);
  });

  it('measures clock slopes inside the published range', () => {
    const slopes = document.claims.flatMap((c) =>
      typeof c.measured.slope_ppm === 'number' ? [c.measured.slope_ppm] : [],
    );
    expect(slopes.length).toBeGreaterThan(7);
    for (const slope of slopes) expect(Math.abs(slope)).toBeLessThan(300);
  });

  it('cannot judge accuracy without labels', async () => {
    const without = await auditPaths([join(tiny, 'v1.0/closed/syntiant')]);
    const c = without.claims.find((each) => each.mode === 'accuracy');
    expect(c).toMatchObject({ arithmetic: 'none', verdict: 'unverifiable' });
  });

  it('writes a document that follows its schema', () => {
    expect(auditSchema.safeParse(JSON.parse(JSON.stringify(document))).error).toBeUndefined();
  });

  it('notices every changed digit of a published results file', async () => {
    const copy = join(unpacked, 'changed');
    cpSync(join(tiny, 'v1.0/closed/syntiant/results/syntiant_9120_1v1_98mhz/kws/energy'), copy, { recursive: true });
    const path = join(copy, 'results.txt');
    const text = readFileSync(path, 'utf8');
    // Every digit of a figure, taken in steps to keep the test short.
    const places = [...text.matchAll(/[:s] +([\d.]+) (?:uJ|uW|inf|sec)/g)].flatMap((m) => {
      const start = m.index + m[0].indexOf(m[1]!);
      return [...m[1]!].flatMap((character, k) => (character === '.' ? [] : [start + k]));
    });
    expect(places.length).toBeGreaterThan(150);
    for (let i = 0; i < places.length; i += 9) {
      const at = places[i]!;
      const digit = (Number(text[at]) + 1) % 10;
      writeFileSync(path, text.slice(0, at) + digit + text.slice(at + 1));
      const [c] = (await auditPaths([copy])).claims;
      expect(c?.verdict, text.slice(at - 20, at + 10)).toBe('refuted');
    }
    expect(readdirSync(copy)).toContain('results.txt');
  });
});
