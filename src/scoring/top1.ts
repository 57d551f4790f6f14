/**
 * Top-1 accuracy in percent: the share of inputs whose highest score is that of the true class. Ties go to the first
 * class, as the published runners do (argmax).
 *
 * @param scores one row an input, one score a class
 * @param labels index of the true class of each input
 * @returns percent, or null where there are no inputs
 */
export function top1_pct(scores: readonly (readonly number[])[], labels: readonly number[]): number | null {
  if (scores.length !== labels.length) throw new RangeError('scores and labels must have the same length');
  if (scores.length === 0) return null;
  let right = 0;
  for (let i = 0; i < scores.length; i++) if (argmax(scores[i] ?? []) === labels[i]) right++;
  return (100 * right) / scores.length;
}

/** Index of the greatest value, the first of equals; -1 for an empty row. */
export function argmax(row: readonly number[]): number {
  let best = -1;
  let highest = Number.NEGATIVE_INFINITY;
  for (let k = 0; k < row.length; k++) {
    const value = row[k] as number;
    if (best === -1 || value > highest) {
      best = k;
      highest = value;
    }
  }
  return best;
}
