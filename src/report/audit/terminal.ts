import stringWidth from 'string-width';
import { type AuditDocument, worstFirst } from '../../audit/document.ts';
import type { Claim, Finding } from '../../audit/types.ts';
import type { TerminalStyle } from '../terminal-table.ts';
import { padCells, printable, wrapCells } from '../text.ts';
import {
  claimName,
  differenceText,
  figureText,
  findingsByClaim,
  headline,
  headlineName,
  plural,
  verdictWords,
} from './words.ts';

const minColumns = 40;
/** Upheld claims beyond these are only counted. */
const maxUpheld = 30;
/** Findings of one claim beyond these are only counted. */
const maxFindings = 8;

/**
 * An audit as text for a terminal: the worst claims first, each with its figures, its three answers and what was
 * found (notes of severity `info` only with `verbose`), then the totals. No line is wider than the terminal.
 */
export function renderAuditTable(document: AuditDocument, style: TerminalStyle, verbose = false): string {
  const width = Math.max(minColumns, style.columns);
  const paint = (code: number, text: string) => (style.color ? `\u001b[${code}m${text}\u001b[0m` : text);
  const colours = {
    refuted: 31,
    unverifiable: 33,
    irregular: 35,
    upheld: 32,
    error: 31,
    warning: 33,
    info: 2,
  } as const;
  const lines: string[] = [];
  const wrapped = (text: string, indent: number) => {
    for (const line of wrapCells(printable(text), width - indent)) lines.push(' '.repeat(indent) + line);
  };
  const byClaim = findingsByClaim(document.findings);
  const show = (finding: Finding) => {
    const indent = 4;
    const [first = '', ...rest] = wrapCells(printable(`${finding.code}: ${finding.message}`), width - indent);
    lines.push(' '.repeat(indent) + paint(colours[finding.severity], first));
    for (const line of rest) lines.push(' '.repeat(indent) + line);
  };
  let upheld = 0;
  for (const claim of worstFirst(document.claims)) {
    if (claim.verdict === 'upheld' && ++upheld > maxUpheld && !verbose) continue;
    const label = padCells(claim.verdict, 13, 'right');
    const [first = '', ...rest] = wrapCells(printable(claimName(claim)), width - 13);
    lines.push(paint(colours[claim.verdict], label) + first);
    for (const line of rest) lines.push(' '.repeat(13) + line);
    wrapped(answerLine(claim), 4);
    const findings = (byClaim.get(claim.id) ?? []).filter((f) => verbose || f.severity !== 'info');
    for (const finding of findings.slice(0, maxFindings)) show(finding);
    if (findings.length > maxFindings) wrapped(`and ${plural(findings.length - maxFindings, 'more finding')}`, 4);
  }
  if (upheld > maxUpheld && !verbose) wrapped(`and ${plural(upheld - maxUpheld, 'more upheld claim')}`, 0);
  const loose = (byClaim.get('') ?? []).filter((f) => verbose || f.severity !== 'info');
  if (loose.length > 0) lines.push('', 'In no claim:');
  for (const finding of loose.slice(0, 20)) {
    wrapped(finding.path, 2);
    show(finding);
  }
  if (loose.length > 20) wrapped(`and ${plural(loose.length - 20, 'more finding')}`, 2);
  const { summary } = document;
  lines.push('');
  wrapped(`${plural(summary.claims, 'claim')}: ${verdictWords(summary.verdicts)}.`, 0);
  const { claimed, recomputable, exact } = summary.windows;
  wrapped(`${plural(claimed, 'window')} claimed, ${recomputable} recomputed, ${exact} to the printed digit.`, 0);
  const { error, warning, info } = summary.findings;
  wrapped(`${plural(error, 'error')}, ${plural(warning, 'warning')}, ${plural(info, 'note')}.`, 0);
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

function answerLine(claim: Claim): string {
  const name = headlineName(claim);
  const difference = differenceText(claim);
  const { source, text } = headline(claim);
  const figures = [`${source} ${text}`];
  const supported = figureText(claim.supported, name);
  const isRepeated = source === 'recomputed' && supported === text;
  if ((claim.verdict !== 'upheld' || difference !== null) && !isRepeated) {
    figures.push(`supported ${supported}${difference === null ? '' : ` (claim ${difference})`}`);
  }
  return `${figures.join(', ')}; arithmetic ${claim.arithmetic}, evidence ${claim.evidence}, rules ${claim.rules}`;
}

/** Width in cells of the widest line, for tests and for pagers. */
export function widestLine(text: string): number {
  return text.split('\n').reduce((width, line) => Math.max(width, stringWidth(line)), 0);
}
