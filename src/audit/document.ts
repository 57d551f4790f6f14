import type { Claim, Finding, Severity, Verdict, WindowCounts } from './types.ts';

/** The answer of an audit; docs/audit.schema.json describes its JSON. */
export interface AuditDocument {
  schema: 'joulemark.audit/1';
  claims: Claim[];
  findings: Finding[];
  summary: AuditSummary;
}

export interface AuditSummary {
  claims: number;
  windows: WindowCounts;
  verdicts: Record<Verdict, number>;
  findings: Record<Severity, number>;
}

/** Totals over claims and findings. */
export function summarize(claims: readonly Claim[], findings: readonly Finding[]): AuditSummary {
  const summary: AuditSummary = {
    claims: claims.length,
    windows: { claimed: 0, recomputable: 0, exact: 0 },
    verdicts: { refuted: 0, unverifiable: 0, irregular: 0, upheld: 0 },
    findings: { error: 0, warning: 0, info: 0 },
  };
  for (const { windows, verdict } of claims) {
    summary.windows.claimed += windows.claimed;
    summary.windows.recomputable += windows.recomputable;
    summary.windows.exact += windows.exact;
    summary.verdicts[verdict]++;
  }
  for (const { severity } of findings) summary.findings[severity]++;
  return summary;
}

const severityRank: Record<Severity, number> = { info: 0, warning: 1, error: 2 };

/** True where a finding is at least as severe as the limit. */
export function isAtLeast(severity: Severity, limit: Severity): boolean {
  return severityRank[severity] >= severityRank[limit];
}

const verdictRank: Record<Verdict, number> = { refuted: 0, unverifiable: 1, irregular: 2, upheld: 3 };

/** Claims with the worst first; of one verdict in the order of their paths. */
export function worstFirst(claims: readonly Claim[]): Claim[] {
  return claims.toSorted((a, b) => verdictRank[a.verdict] - verdictRank[b.verdict] || (a.id < b.id ? -1 : 1));
}
