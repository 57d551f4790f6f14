/**
 * Areas under the ROC curve. `energyRunnerAuc` is the thresholded area that EnergyRunner prints (specs: measured on
 * 221 published runs, each to the printed digit); `rankAuc` is the exact area (Mann-Whitney U / (n1 n0)), which needs
 * no thresholds and is the better number.
 */

/**
 * Exact area under the ROC curve of one score: the probability that a positive scores above a negative, ties counting
 * half (Hanley & McNeil 1982). Equals scikit-learn's `roc_auc_score`.
 *
 * @returns the area, or null where positives or negatives are missing
 */
export function rankAuc(scores: readonly number[], positive: readonly boolean[]): number | null {
  if (scores.length !== positive.length) throw new RangeError('scores and positive must have the same length');
  const order = Array.from(scores.keys()).sort((a, b) => (scores[a] as number) - (scores[b] as number));
  let rankSum = 0;
  let positives = 0;
  for (let i = 0; i < order.length; ) {
    let j = i;
    while (j < order.length && scores[order[j] as number] === scores[order[i] as number]) j++;
    const meanRank = (i + 1 + j) / 2;
    for (let k = i; k < j; k++) {
      if (positive[order[k] as number]) {
        rankSum += meanRank;
        positives++;
      }
    }
    i = j === i ? i + 1 : j;
  }
  const negatives = scores.length - positives;
  if (positives === 0 || negatives === 0) return null;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}

/**
 * The area that EnergyRunner prints for one score: thresholds 0.00, 0.01 ... 1.00; the first point is forced to
 * (1, 1), the others count `score > threshold`; trapezoids between neighbours, and no point at (0, 0).
 *
 * @returns the area, or null where positives or negatives are missing
 */
export function thresholdedAuc(scores: readonly number[], positive: readonly boolean[]): number | null {
  if (scores.length !== positive.length) throw new RangeError('scores and positive must have the same length');
  const positives = positive.reduce((n, p) => n + (p ? 1 : 0), 0);
  const negatives = positive.length - positives;
  if (positives === 0 || negatives === 0) return null;
  let area = 0;
  let [fpr0, tpr0] = [1, 1];
  for (let step = 1; step <= 100; step++) {
    const threshold = step / 100;
    let [fp, tp] = [0, 0];
    for (let i = 0; i < scores.length; i++) {
      if ((scores[i] as number) > threshold) {
        if (positive[i]) tp++;
        else fp++;
      }
    }
    const [fpr, tpr] = [fp / negatives, tp / positives];
    area += ((fpr0 - fpr) * (tpr0 + tpr)) / 2;
    [fpr0, tpr0] = [fpr, tpr];
  }
  return area;
}

/** Mean over the classes of a one-against-rest area; classes without positives or negatives are left out. */
function oneAgainstRest(
  scores: readonly (readonly number[])[],
  labels: readonly number[],
  area: (column: number[], positive: boolean[]) => number | null,
): number | null {
  const classes = scores[0]?.length ?? 0;
  let [sum, n] = [0, 0];
  for (let k = 0; k < classes; k++) {
    const value = area(
      scores.map((row) => row[k] ?? 0),
      labels.map((label) => label === k),
    );
    if (value !== null) {
      sum += value;
      n++;
    }
  }
  return n === 0 ? null : sum / n;
}

/** The AUC that EnergyRunner prints (`%.2f`) for a classification: mean of `thresholdedAuc` over the classes. */
export function energyRunnerAuc(scores: readonly (readonly number[])[], labels: readonly number[]): number | null {
  return oneAgainstRest(scores, labels, thresholdedAuc);
}

/**
 * The AUC of the MLCommons runner (scikit-learn): for two classes the area of the second score, for more the mean of
 * the one-against-rest areas.
 */
export function classificationRankAuc(
  scores: readonly (readonly number[])[],
  labels: readonly number[],
): number | null {
  if (scores[0]?.length === 2) {
    return rankAuc(
      scores.map((row) => row[1] ?? 0),
      labels.map((label) => label === 1),
    );
  }
  return oneAgainstRest(scores, labels, rankAuc);
}
