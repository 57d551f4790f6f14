import type { Claim, FigureName, Figures, Finding, Severity, Verdict } from '../../audit/types.ts';

/** Units of the figures, in the order in which one of them stands for a claim. */
const units: Record<FigureName, string> = {
  energyPerInference_uJ: 'uJ/inf.',
  energyPerQuery_mJ: 'mJ/query',
  meanPower_W: 'W',
  throughput_ips: 'inf./s',
  inferencesPerJoule: 'inf./J',
  top1_pct: '% top-1',
  auc: 'AUC',
  tp: 'true positives',
  fp: 'false positives',
  fn: 'false negatives',
};

/** The figure that stands for a claim: the first that is claimed, recomputed or supported. */
export function headlineName(claim: Claim): FigureName | null {
  const groups = [claim.claimed, claim.recomputed, claim.supported];
  const names = Object.keys(units) as FigureName[];
  return names.find((name) => groups.some((figures) => typeof figures[name] === 'number')) ?? null;
}

/**
 * The headline figure of a claim as it was made. Some claims (MLPerf Power) state it in a results table elsewhere:
 * for these it is the recomputed one.
 */
export function headline(claim: Claim): { source: 'claimed' | 'recomputed'; text: string } {
  const name = headlineName(claim);
  const isClaimed = name === null || typeof claim.claimed[name] === 'number';
  const source = isClaimed || typeof claim.recomputed[name] !== 'number' ? 'claimed' : 'recomputed';
  return { source, text: figureText(claim[source], name) };
}

/** The headline figure as a cell of a table of claims. */
export function claimedCell(claim: Claim): string {
  const { source, text } = headline(claim);
  return source === 'claimed' ? text : `${text} (recomputed)`;
}

/** `7019.085 uJ/inf.`; a dash where the figure is not known. */
export function figureText(figures: Figures, name: FigureName | null): string {
  const value = name === null ? null : figures[name];
  if (name === null || value === null || value === undefined) return '-';
  return `${numberText(value)} ${units[name]}`;
}

/** Eight significant digits: what the runners print of usual values. */
export function numberText(value: number): string {
  return String(Number(value.toPrecision(8)));
}

/** By how much the supported figure differs from the claimed one, or null where they agree to the printed digit. */
export function differenceText(claim: Claim): string | null {
  const name = headlineName(claim);
  const [claimed, supported] = name === null ? [] : [claim.claimed[name], claim.supported[name]];
  if (!claimed || !supported) return null;
  const share = claimed / supported - 1;
  return Math.abs(share) < 5e-5 ? null : `${share > 0 ? '+' : ''}${(share * 100).toFixed(2)} %`;
}

/** What a reader calls a claim. */
export function claimName(claim: Claim): string {
  const parts = [claim.round, claim.submitter, claim.system, claim.benchmark].filter((part) => part !== null);
  return parts.length >= 2 ? `${parts.join(' / ')} (${claim.mode})` : claim.id;
}

export const severities: readonly Severity[] = ['error', 'warning', 'info'];
export const verdicts: readonly Verdict[] = ['refuted', 'unverifiable', 'irregular', 'upheld'];

/** Findings by claim id ('' for those that belong to none), the most severe first. */
export function findingsByClaim(findings: readonly Finding[]): Map<string, Finding[]> {
  const byClaim = new Map<string, Finding[]>();
  for (const severity of severities) {
    for (const finding of findings) {
      if (finding.severity !== severity) continue;
      const key = finding.claim ?? '';
      const list = byClaim.get(key);
      if (list) list.push(finding);
      else byClaim.set(key, [finding]);
    }
  }
  return byClaim;
}

export function plural(n: number, one: string): string {
  return `${n} ${one}${n === 1 ? '' : 's'}`;
}

/** `1 refuted, 4 unverifiable...` */
export function verdictWords(counts: Record<Verdict, number>): string {
  return verdicts.map((v) => `${counts[v]} ${v}`).join(', ');
}
