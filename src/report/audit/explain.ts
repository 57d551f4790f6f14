import { findingCatalogue } from '../../audit/findings.ts';
import type { FindingEntry } from '../../audit/types.ts';
import { wrapCells } from '../text.ts';

const outcome = {
  differs: 'the verdict is then `refuted`',
  contradicts: 'the verdict is then `refuted`',
  none: 'the verdict is then `unverifiable`, unless it is refuted',
  incomplete: 'the verdict is then `unverifiable`, unless it is refuted',
  broken: 'the verdict is then `irregular`, unless it is worse',
  unknown: 'this lowers no verdict',
} as const;

/** `Makes the evidence contradict: the verdict is then ...` */
export function decisionText(entry: FindingEntry): string {
  if (entry.decides === null) return 'Decides none of the three answers.';
  const { answer, is } = entry.decides;
  return `Decides "${answer}": it is then \`${is}\`; ${outcome[is]}.`;
}

/** What a finding code means, as text for a terminal; null for a code that is not in the catalogue. */
export function explain(code: string, columns = 80): string | null {
  const entry = Object.hasOwn(findingCatalogue, code) ? findingCatalogue[code] : undefined;
  if (entry === undefined) return null;
  const lines = [...wrapCells(`${code} (${entry.severity}): ${entry.title}`, Math.max(30, columns)), ''];
  const add = (label: string, text: string) => {
    const indent = 10;
    wrapCells(text, Math.max(30, columns - indent)).forEach((line, k) => {
      lines.push((k === 0 ? label.padEnd(indent) : ' '.repeat(indent)) + line);
    });
  };
  add('Means', entry.explanation);
  add('Decides', decisionText(entry).replace(/^Decides /, ''));
  add('Rule', entry.rule);
  add('Source', entry.source);
  add('Evidence', entry.shows);
  add('Reply', entry.reply);
  return `${lines.join('\n')}\n`;
}
