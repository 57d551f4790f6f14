import { anomalyAccuracy_pct } from '../../scoring/anomaly-accuracy.ts';
import { classificationRankAuc, rankAuc } from '../../scoring/auc.ts';
import { top1_pct } from '../../scoring/top1.ts';
import { Case } from '../case.ts';
import type { AuditedClaim, AuditOptions, ClaimSite } from '../types.ts';
import { type LabelledAnswers, labelled, meanByInput } from './accuracy.ts';
import { type MlcRun, readMlcRun } from './mlc-run.ts';
import { checkLayout, checkQuality, judgedFigure } from './rules.ts';

/** Audits an accuracy run of the MLCommons runner. */
export async function auditMlcAccuracy(site: ClaimSite, options: AuditOptions): Promise<AuditedClaim> {
  const audit = new Case(site);
  const run = await readMlcRun(audit);
  const { results, profile } = run;
  const answers = await answersOf(audit, run, options);
  let top1: number | null = null;
  let auc: number | null = null;
  if (answers !== null && answers.scores.length > 0) {
    const means = meanByInput(normalized(answers));
    const positive = means.labels.map((label) => label === 1);
    if (means.scores[0]?.length === 1) {
      const scores = means.scores.map(([score]) => score as number);
      top1 = anomalyAccuracy_pct(scores, positive);
      auc = rankAuc(scores, positive);
    } else {
      top1 = top1_pct(means.scores, means.labels);
      auc = classificationRankAuc(means.scores, means.labels);
    }
    audit.measured.inputs = means.inputs.length;
    audit.measured.rankAuc = auc;
  }
  audit.figure('top1_pct', 'top-1', results?.top1_pct ?? null, top1);
  audit.figure('auc', 'AUC', results?.auc ?? null, auc);
  audit.judgeArithmetic(answers === null ? 'without labels for its inputs' : 'without answers of the device');
  if (!audit.has('accuracy.inputs-missing')) {
    audit.supported.top1_pct = top1;
    audit.supported.auc = auc;
  }
  checkQuality(audit, profile, {
    top1_pct: judgedFigure(audit, 'top1_pct'),
    auc: judgedFigure(audit, 'auc'),
  });
  checkLayout(audit, 'mlcommons');
  return audit.result({ claimed: 0, recomputable: 0, exact: 0 });
}

/** Answers by the log and the labels; without labels, those of results.json with the classes that it names itself. */
async function answersOf(
  audit: Case,
  { log, trials, profile }: MlcRun,
  options: AuditOptions,
): Promise<LabelledAnswers | null> {
  const { files, path } = audit.site;
  const fromData = (trials ?? []).filter((t) => t.results.length > 0 && t.label !== null);
  if (options.labels === null && fromData.length > 0) {
    audit.observe('labels.own', files['mlc-data'] ?? path, 'scored with the classes that results.json names itself');
    return {
      scores: fromData.map((t) => t.results),
      labels: fromData.map((t) => t.label as number),
      inputs: fromData.map((t, i) => t.file ?? `input ${i}`),
    };
  }
  const recorded = (trials ?? []).map((t) => ({ input: t.file, values: t.results.length > 0 ? t.results : null }));
  const logged = log !== null && log.results.length > 0 && log.results.length >= recorded.length;
  const results = logged ? log.results : recorded;
  if (results.length === 0 && log === null) return { scores: [], labels: [], inputs: [] };
  return labelled(audit, profile, results, options, (logged ? files['mlc-log'] : files['mlc-data']) ?? path);
}

/** Scores of each answer divided by their sum; a single score stays as it is. */
function normalized(answers: LabelledAnswers): LabelledAnswers {
  const scores = answers.scores.map((row) => {
    if (row.length === 1) return row;
    const total = row.reduce((sum, s) => sum + s, 0);
    return row.map((s) => s / total);
  });
  return { ...answers, scores };
}
