import { readResults } from '../../capture/formats/energyrunner/results.ts';
import { classificationRankAuc, energyRunnerAuc, rankAuc } from '../../scoring/auc.ts';
import { findProfile } from '../../scoring/profiles/index.ts';
import type { Profile } from '../../scoring/profiles/profile.ts';
import { top1_pct } from '../../scoring/top1.ts';
import { Case } from '../case.ts';
import { countWindows } from '../compare.ts';
import type { AuditedClaim, AuditOptions, ClaimSite } from '../types.ts';
import { type Labels, labelsFor } from './labels.ts';
import { checkLayout, checkLog, checkModel, checkQuality, judgedFigure, simulatedMark } from './rules.ts';
import { type LoggedResult, readRunLog } from './run-log.ts';

/** Answers of a run with the truth beside them. */
export interface LabelledAnswers {
  /** One row an answer. */
  scores: number[][];
  labels: number[];
  inputs: string[];
}

/** Audits an accuracy run of EnergyRunner: the logged answers against the labels. */
export async function auditAccuracy(site: ClaimSite, options: AuditOptions): Promise<AuditedClaim> {
  const audit = new Case(site);
  const logPath = site.files['er-log'];
  const resultsPath = audit.resultsFile(site.files['er-results'], logPath);
  const log = logPath ? await audit.read('log.unreadable', logPath, () => readRunLog(logPath)) : null;
  const results = resultsPath
    ? await audit.read('results.unreadable', resultsPath, () => readResults(resultsPath))
    : null;
  const profile = findProfile(site.place.benchmark ?? log?.config.model ?? log?.dutModel ?? '');
  let missing = 'without the log';
  let top1: number | null = null;
  let auc: number | null = null;
  if (log && logPath) {
    checkLog(audit, log, logPath);
    checkModel(audit, log.config.model ?? null, log.dutModel, log.calls, logPath);
    const answers = await labelled(audit, profile, log.results, options, logPath);
    if (answers === null) missing = 'without labels for its inputs';
    else if (profile?.task === 'anomaly-detection') {
      // The rule by which EnergyRunner condenses the windows of a file into its figures is not verified.
      missing = 'the rule of EnergyRunner for anomaly detection is not known';
      const { scores, labels } = meanByInput(answers);
      const positive = labels.map((label) => label === 1);
      const exact = rankAuc(
        scores.map(([score]) => score as number),
        positive,
      );
      audit.measured.rankAuc = exact;
      audit.supported.auc = exact;
    } else if (answers.scores.length > 0) {
      top1 = top1_pct(answers.scores, answers.labels);
      auc = energyRunnerAuc(answers.scores, answers.labels);
      audit.measured.rankAuc = classificationRankAuc(answers.scores, answers.labels);
      audit.measured.inputs = answers.scores.length;
    } else missing = 'the log holds no answers that can be scored';
  }
  if (!logPath) audit.observe('log.missing', site.path, 'there is no log');
  audit.figure('top1_pct', 'top-1', results?.top1_pct ?? null, top1);
  audit.figure('auc', 'AUC', results?.auc ?? null, auc);
  audit.judgeArithmetic(missing);
  if (top1 !== null && !audit.has('accuracy.inputs-missing')) {
    audit.supported.top1_pct = top1;
    audit.supported.auc = (audit.measured.rankAuc as number | null) ?? null;
  }
  checkQuality(audit, profile, {
    top1_pct: judgedFigure(audit, 'top1_pct'),
    auc: judgedFigure(audit, 'auc'),
  });
  checkLayout(audit, 'energyrunner');
  const mark = simulatedMark(audit, log?.dutName ?? null);
  if (mark !== null) audit.observe('claim.simulated', site.path, `marked as simulated: ${mark}`, { mark });
  audit.measured.session = log?.sessionId ?? null;
  audit.measured.runnerVersion = log?.runnerVersion ?? null;
  return audit.result(countWindows(audit.windows));
}

/**
 * Joins the answers of a log with the labels. What keeps them apart becomes an observation: no labels at hand, inputs
 * that no list knows, answers that are lost or garbled, inputs of the list that were never tried.
 *
 * @returns null where there are no labels to compare with
 */
export async function labelled(
  audit: Case,
  profile: Profile | null,
  results: readonly LoggedResult[],
  options: AuditOptions,
  path: string,
): Promise<LabelledAnswers | null> {
  if (results.length === 0) {
    audit.observe('accuracy.no-answers', path, 'the log holds no answers (m-results) of the device');
    return { scores: [], labels: [], inputs: [] };
  }
  const inputs = new Set(results.flatMap((r) => (r.input === null ? [] : [r.input])));
  if (options.labels === null || profile === null || profile.labels.length === 0) {
    const why = profile === null ? 'the benchmark is not known' : 'no folder of labels was given (--labels)';
    audit.observe('labels.missing', path, `${why}, so the answers cannot be scored`);
    return null;
  }
  let found: { labels: Labels; known: number } | null = null;
  try {
    found = await labelsFor(options.labels, profile, inputs);
  } catch (error) {
    audit.observe('labels.missing', options.labels, (error as Error).message);
    return null;
  }
  if (found === null || found.known === 0) {
    const names = profile.labels.map((l) => l.file).join(', ');
    audit.observe('labels.missing', options.labels, `no list of labels (${names}) holds the inputs of the run`, {
      inputs: [...inputs].slice(0, 5),
    });
    return null;
  }
  const { classOf } = found.labels;
  const answers: LabelledAnswers = { scores: [], labels: [], inputs: [] };
  let garbled = 0;
  let unknown = 0;
  const width = widthOf(results);
  for (const { input, values } of results) {
    const label = input === null ? undefined : classOf.get(input);
    if (values === null || values.length !== width) garbled++;
    else if (label === undefined) unknown++;
    else {
      answers.scores.push(values);
      answers.labels.push(label);
      answers.inputs.push(input as string);
    }
  }
  const tried = new Set(answers.inputs);
  const untried = [...classOf.keys()].filter((input) => !tried.has(input));
  audit.measured.labels = found.labels.path;
  if (garbled + unknown + untried.length > 0) {
    const message = `${answers.scores.length} answers of ${results.length} can be scored: ${garbled} garbled, ${unknown} to inputs that the list does not hold; ${untried.length} of ${classOf.size} inputs of the list have none`;
    audit.observe('accuracy.inputs-missing', path, message, { garbled, unknown, untried: untried.slice(0, 20) });
  }
  const repeated = answers.inputs.length - tried.size;
  if (repeated > 0 && profile.task === 'classification') {
    audit.observe('accuracy.inputs-repeated', path, `${repeated} inputs were tried more than once`, { repeated });
  }
  return answers;
}

/** Number of scores that most answers have. */
function widthOf(results: readonly LoggedResult[]): number {
  const counts = new Map<number, number>();
  for (const { values } of results)
    if (values !== null) counts.set(values.length, (counts.get(values.length) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 0;
}

/** One row an input: the mean over its answers. */
export function meanByInput(answers: LabelledAnswers): LabelledAnswers {
  const sums = new Map<string, { sum: number[]; n: number; label: number }>();
  answers.inputs.forEach((input, i) => {
    const row = answers.scores[i] as number[];
    const entry = sums.get(input);
    if (entry === undefined) sums.set(input, { sum: [...row], n: 1, label: answers.labels[i] as number });
    else {
      for (let k = 0; k < row.length; k++) entry.sum[k] = (entry.sum[k] as number) + (row[k] as number);
      entry.n++;
    }
  });
  const all = [...sums];
  return {
    inputs: all.map(([input]) => input),
    scores: all.map(([, { sum, n }]) => sum.map((s) => s / n)),
    labels: all.map(([, { label }]) => label),
  };
}
