import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { findingCatalogue } from '../../src/audit/findings.ts';
import { auditJsonSchema } from '../../src/audit/schema.ts';
import { explain } from '../../src/report/audit/explain.ts';
import { findingsPage } from '../../src/report/audit/findings-page.ts';

const docs = new URL('../../docs/', import.meta.url);
const source = new URL('../../src/audit/', import.meta.url);

/** Every string of src/audit (the catalogues left out) that looks like a finding code. */
function codesInSource(): Set<string> {
  const groups = new Set(Object.keys(findingCatalogue).map((code) => code.split('.')[0]));
  const codes = new Set<string>();
  for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || /^findings.*\.ts$/.test(entry.name)) continue;
    const text = readFileSync(`${entry.parentPath}/${entry.name}`, 'utf8');
    for (const [, code = ''] of text.matchAll(/['"`]([a-z]+(?:\.[a-z0-9]+(?:-[a-z0-9]+)*))['"`]/g)) {
      if (groups.has(code.split('.')[0])) codes.add(code);
    }
  }
  return codes;
}

/** Codes of errors and files, which share a first word with findings. */
const noFindings = new Set([
  'results.json',
  'results.txt',
  'log.txt',
  'script.async',
  'index.unreadable',
  'audit.path',
]);

describe('the catalogue of findings', () => {
  it('holds every code that the audit can report', () => {
    const missing = [...codesInSource()].filter((code) => !(code in findingCatalogue) && !noFindings.has(code));
    expect(missing.filter((code) => !/\.(txt|json|js|ts|bin|csv|log|malformed)$/.test(code))).toEqual([]);
  });

  it('holds no code that nothing reports', () => {
    const reported = codesInSource();
    expect(Object.keys(findingCatalogue).filter((code) => !reported.has(code))).toEqual([]);
  });

  it('explains every code, its rule and its source, and accuses nobody', () => {
    for (const [code, entry] of Object.entries(findingCatalogue)) {
      expect(code).toMatch(/^[a-z]+\.[a-z0-9.]+(-[a-z0-9]+)*$/);
      for (const text of [entry.title, entry.explanation, entry.rule, entry.source, entry.shows, entry.reply]) {
        expect(text.length, code).toBeGreaterThan(3);
        expect(text, code).not.toMatch(/\b(cheat|fake|forge|fraud|manipulat|tamper|dishonest)/i);
      }
      const text = explain(code)!;
      expect(text.replace(/\s+/g, ' ')).toContain(entry.title);
      for (const line of text.split('\n')) expect(line.length, code).toBeLessThanOrEqual(80);
    }
    expect(explain('no.such-code')).toBeNull();
    expect(explain('constructor')).toBeNull();
  });

  it('makes no answer worse by a note alone, but for rules that are not known', () => {
    for (const [code, entry] of Object.entries(findingCatalogue)) {
      if (entry.severity === 'info') expect(entry.decides === null || entry.decides.is === 'unknown', code).toBe(true);
      if (entry.decides?.is === 'contradicts' || entry.decides?.is === 'differs') expect(entry.severity).toBe('error');
    }
  });

  it('is docs/findings.md (after a change: npm run build && node scripts/write-audit-docs.mjs)', () => {
    expect(readFileSync(new URL('findings.md', docs), 'utf8')).toBe(findingsPage());
  });
});

describe('docs/audit.schema.json', () => {
  it('is the schema of the code (after a change: npm run build && node scripts/write-audit-docs.mjs)', () => {
    const written = readFileSync(new URL('audit.schema.json', docs), 'utf8');
    expect(written).toBe(`${JSON.stringify(auditJsonSchema(), null, 2)}\n`);
  });
});
