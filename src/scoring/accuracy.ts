import type { InferenceResult } from '../signal/recording.ts';
import { energyRunnerAuc, rankAuc } from './auc.ts';
import type { ScoreDocument } from './score-document.ts';
import { top1_pct } from './top1.ts';

type Labelled = InferenceResult & { label: number };

/** Accuracy of the answers whose true class is known; null where there is none. */
export function accuracyOf(results: readonly InferenceResult[]): ScoreDocument['accuracy'] {
  const answers = labelledOf(results);
  if (answers.length === 0) return null;
  if (isAnomaly(answers)) return { top1_pct: null, auc: anomalyAuc(answers), n: answers.length };
  return { top1_pct: top1Of(answers), auc: null, n: answers.length };
}

/**
 * Accuracy over a data set, as the benchmarks ask for it: with the AUC of EnergyRunner beside top-1, and for anomaly scores the
 * AUC of the mean over the parts of each input. `n` counts inputs.
 */
export function dataSetAccuracyOf(results: readonly InferenceResult[]): ScoreDocument['accuracy'] {
  const answers = labelledOf(results);
  if (answers.length === 0) return null;
  if (isAnomaly(answers)) {
    const means = meanByInput(answers);
    return { top1_pct: null, auc: anomalyAuc(means), n: means.length };
  }
  const auc = energyRunnerAuc(
    answers.map(({ scores }) => scores),
    answers.map(({ label }) => label),
  );
  return { top1_pct: top1Of(answers), auc, n: answers.length };
}

function labelledOf(results: readonly InferenceResult[]): Labelled[] {
  return results.filter((result): result is Labelled => result.label !== null);
}

/** One score an answer is an anomaly score: there is no class to be right about. */
function isAnomaly(answers: readonly Labelled[]): boolean {
  return answers.every(({ scores }) => scores.length === 1);
}

function top1Of(answers: readonly Labelled[]): number | null {
  return top1_pct(
    answers.map(({ scores }) => scores),
    answers.map(({ label }) => label),
  );
}

function anomalyAuc(answers: readonly Labelled[]): number | null {
  return rankAuc(
    answers.map(({ scores }) => scores[0]!),
    answers.map(({ label }) => label === 1),
  );
}

function meanByInput(answers: readonly Labelled[]): Labelled[] {
  const inputs = new Map<string, { label: number; sum: number; parts: number }>();
  for (const { input, label, scores } of answers) {
    const entry = inputs.get(input) ?? { label, sum: 0, parts: 0 };
    entry.sum += scores[0]!;
    entry.parts++;
    inputs.set(input, entry);
  }
  return [...inputs].map(([input, { label, sum, parts }]) => ({ input, label, scores: [sum / parts] }));
}
