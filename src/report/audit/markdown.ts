import { type AuditDocument, worstFirst } from '../../audit/document.ts';
import { findingEntry } from '../../audit/findings.ts';
import { printable } from '../text.ts';
import {
  claimedCell,
  claimName,
  differenceText,
  figureText,
  findingsByClaim,
  headlineName,
  plural,
  verdictWords,
} from './words.ts';

/**
 * An audit as Markdown that an auditor can hand on: totals, a table of all claims (worst first), the findings of each
 * claim, and what every code means. Text from outside is escaped, so that it cannot form markup.
 */
export function renderAuditMarkdown(document: AuditDocument): string {
  const { summary } = document;
  const { claimed, recomputable, exact } = summary.windows;
  const lines = [
    '# Audit',
    '',
    `${plural(summary.claims, 'claim')}: ${verdictWords(summary.verdicts)}.`,
    `${plural(claimed, 'window')} claimed, ${recomputable} recomputed, ${exact} to the printed digit.`,
    `${plural(summary.findings.error, 'error')}, ${plural(summary.findings.warning, 'warning')}, ${plural(summary.findings.info, 'note')}.`,
    '',
    '## Claims',
    '',
    '| verdict | claim | claimed | supported | arithmetic | evidence | rules |',
    '|---|---|---|---|---|---|---|',
  ];
  const claims = worstFirst(document.claims);
  for (const claim of claims) {
    const name = headlineName(claim);
    const difference = differenceText(claim);
    const supported = figureText(claim.supported, name) + (difference === null ? '' : ` (claim ${difference})`);
    const cells = [claim.verdict, escapeText(claimName(claim)), claimedCell(claim), supported];
    lines.push(`| ${[...cells, claim.arithmetic, claim.evidence, claim.rules].join(' | ')} |`);
  }
  const byClaim = findingsByClaim(document.findings);
  lines.push('', '## Findings');
  for (const claim of claims) {
    const findings = byClaim.get(claim.id) ?? [];
    if (findings.length === 0) continue;
    lines.push('', `### ${escapeText(claimName(claim))}`, '', escapeText(claim.path), '');
    for (const f of findings) lines.push(`- **${f.severity}** \`${f.code}\`: ${escapeText(f.message)}`);
  }
  const loose = byClaim.get('') ?? [];
  if (loose.length > 0) lines.push('', '### In no claim', '');
  for (const f of loose)
    lines.push(`- **${f.severity}** \`${f.code}\`: ${escapeText(f.path)}: ${escapeText(f.message)}`);
  const codes = [...new Set(document.findings.map((f) => f.code))].sort();
  if (codes.length > 0) lines.push('', '## What the codes mean');
  for (const each of codes) {
    const entry = findingEntry(each);
    lines.push('', `### \`${each}\`: ${entry.title}`, '', entry.explanation, '', `Rule: ${entry.rule}`);
    lines.push('', `Source: ${entry.source}`, '', `A submitter can say: ${entry.reply}`);
  }
  return `${lines.join('\n')}\n`;
}

/** Text that stays text in a Markdown table, in one line. */
function escapeText(text: string): string {
  return printable(text).replace(/[\\`*_{}[\]()#+!|<>~&]/g, (character) => `\\${character}`);
}
