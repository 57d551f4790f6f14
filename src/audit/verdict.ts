import { findingEntry } from './findings.ts';
import type {
  Answers,
  Arithmetic,
  Claim,
  ClaimDraft,
  Evidence,
  Finding,
  Observation,
  Rules,
  Verdict,
} from './types.ts';

/** The verdict on three answers: the first that applies of refuted, unverifiable, irregular, upheld. */
export function verdictOf(answers: Answers): Verdict {
  if (answers.arithmetic === 'differs' || answers.evidence === 'contradicts') return 'refuted';
  if (answers.arithmetic === 'none' || answers.evidence === 'incomplete') return 'unverifiable';
  if (answers.rules === 'broken') return 'irregular';
  return 'upheld';
}

const arithmeticRank: Record<Arithmetic, number> = { exact: 0, none: 1, differs: 2 };
const evidenceRank: Record<Evidence, number> = { supports: 0, incomplete: 1, contradicts: 2 };
const rulesRank: Record<Rules, number> = { met: 0, unknown: 1, broken: 2 };

/**
 * The three answers that a list of finding codes gives: each answer is the worst that any finding makes of it, so
 * that no answer is ever lowered (or a claim refuted) without a finding that says why.
 */
export function answersOf(codes: Iterable<string>): Answers {
  const answers: Answers = { arithmetic: 'exact', evidence: 'supports', rules: 'met' };
  for (const code of codes) {
    const decides = findingEntry(code).decides;
    if (decides === null) continue;
    if (decides.answer === 'arithmetic' && arithmeticRank[decides.is] > arithmeticRank[answers.arithmetic]) {
      answers.arithmetic = decides.is;
    }
    if (decides.answer === 'evidence' && evidenceRank[decides.is] > evidenceRank[answers.evidence]) {
      answers.evidence = decides.is;
    }
    if (decides.answer === 'rules' && rulesRank[decides.is] > rulesRank[answers.rules]) answers.rules = decides.is;
  }
  return answers;
}

/** Turns an auditor's draft and observations into the claim and its findings. */
export function finish(draft: ClaimDraft, observations: Observation[]): { claim: Claim; findings: Finding[] } {
  const answers = answersOf(observations.map((o) => o.code));
  return {
    claim: { ...draft, ...answers, verdict: verdictOf(answers) },
    findings: observations.map((o) => toFinding(o, draft.id)),
  };
}

/** Ties an observation to a claim (or to none). */
export function toFinding(observation: Observation, claim: string | null): Finding {
  const { code, path, message, evidence } = observation;
  return { code, severity: findingEntry(code).severity, claim, path, message, evidence: evidence ?? {} };
}
