import type { Random } from '../../plant/random.ts';

/** One input of the virtual data set with the virtual DUT's answer to it. */
export interface VirtualAnswer {
  /** Name of the input. */
  input: string;
  /** Its true class. */
  label: number;
  /** As the DUT prints them: a score a class, or one anomaly score. */
  scores: string[];
}

/**
 * Inputs and answers in order, exactly round(errorRate * count) of them wrong; which ones is drawn by selection
 * sampling (Knuth, TAOCP 2, 3.4.2, algorithm S), so that the accuracy is known without keeping a list.
 * With one class the label says normal (0) or anomalous (1) and a score above 10 means anomalous.
 */
export function* virtualAnswers(
  model: string,
  classes: number,
  count: number,
  errorRate: number,
  random: Random,
): Generator<VirtualAnswer> {
  let wrongLeft = Math.round(errorRate * count);
  for (let k = 0; k < count; k++) {
    const isWrong = random.uniform() * (count - k) < wrongLeft;
    if (isWrong) wrongLeft--;
    const label = random.below(Math.max(2, classes));
    const input = `sim_${model}_${String(k).padStart(6, '0')}_${label}.bin`;
    if (classes === 1) {
      const isCalledAnomalous = (label === 1) !== isWrong;
      const score = isCalledAnomalous ? random.between(11, 20) : random.between(4, 9);
      yield { input, label, scores: [score.toFixed(3)] };
      continue;
    }
    const answer = isWrong ? (label + 1 + random.below(classes - 1)) % classes : label;
    const top = random.between(0.6, 0.999);
    const runnerUp = (answer + 1 + random.below(classes - 1)) % classes;
    const scores = Array.from({ length: classes }, (_, c) => (c === answer ? top : c === runnerUp ? 1 - top : 0));
    yield { input, label, scores: scores.map((score) => score.toFixed(3)) };
  }
}
