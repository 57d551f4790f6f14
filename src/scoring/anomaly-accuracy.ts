/**
 * The "Top 1%" that the MLCommons runner prints for anomaly detection: over thresholds at 0, 1 ... 99 % of the range
 * of the scores, the greatest mean of precision and recall, in percent (benchmark/runner/main.py, `calculate_accuracy`).
 *
 * @returns percent, or null where there are no scores
 */
export function anomalyAccuracy_pct(scores: readonly number[], positive: readonly boolean[]): number | null {
  if (scores.length !== positive.length) throw new RangeError('scores and positive must have the same length');
  if (scores.length === 0) return null;
  const lowest = scores.reduce((a, b) => Math.min(a, b));
  const highest = scores.reduce((a, b) => Math.max(a, b));
  const positives = positive.filter(Boolean).length;
  let best = 0;
  for (let step = 0; step < 100; step++) {
    const threshold = lowest + step * 0.01 * (highest - lowest);
    let [tp, fp] = [0, 0];
    for (let i = 0; i < scores.length; i++) {
      if ((scores[i] as number) > threshold) {
        if (positive[i]) tp++;
        else fp++;
      }
    }
    // The runner adds 1e-8 to avoid a division by zero.
    const precision = tp / (tp + fp + 1e-8);
    const recall = tp / (positives + 1e-8);
    best = Math.max(best, (100 * (precision + recall)) / 2);
  }
  return best;
}
