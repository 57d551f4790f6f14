import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { warningCatalogue } from '../../src/signal/warnings.ts';

/** Entries of docs/warnings.md: the code in the heading, and what stands below it. */
function documentedWarnings(): Map<string, string> {
  const page = readFileSync(new URL('../../docs/warnings.md', import.meta.url), 'utf8');
  const entries = page.split(/^### `/m).slice(1);
  return new Map(
    entries.map((entry) => {
      const [code, text] = entry.split('`\n') as [string, string];
      return [code, text.split(/^## /m)[0]!.replace(/\s+/g, ' ').trim()];
    }),
  );
}

describe('docs/warnings.md', () => {
  const documented = documentedWarnings();

  it('explains every code, and no code that does not exist', () => {
    expect([...documented.keys()].sort()).toEqual(Object.keys(warningCatalogue).sort());
  });

  it.each(Object.entries(warningCatalogue))('begins %s with its sentence and says what to do', (code, sentence) => {
    const text = documented.get(code);
    expect(text?.startsWith(sentence)).toBe(true);
    expect(text).toMatch(/\*\*What to do:\*\* \S.{20,}/);
  });
});

describe('warningCatalogue', () => {
  it('uses codes of two parts, and whole sentences', () => {
    for (const [code, sentence] of Object.entries(warningCatalogue)) {
      expect(code).toMatch(/^[a-z]+\.[a-z-]+$/);
      expect(sentence).toMatch(/^[A-Z].*\.$/);
    }
  });
});
