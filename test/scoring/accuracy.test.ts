import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anomalyAccuracy_pct } from '../../src/scoring/anomaly-accuracy.ts';
import { classificationRankAuc, energyRunnerAuc, rankAuc, thresholdedAuc } from '../../src/scoring/auc.ts';
import { findProfile, profiles } from '../../src/scoring/profiles/index.ts';
import { argmax, top1_pct } from '../../src/scoring/top1.ts';
import { countWakewords, wakewordClockScale } from '../../src/scoring/wakeword.ts';

describe('top-1', () => {
  it('is the share of inputs whose highest score is the true class, the first of equals', () => {
    expect(argmax([0.2, 0.5, 0.5])).toBe(1);
    expect(argmax([])).toBe(-1);
    const scores = [
      [0.9, 0.1],
      [0.4, 0.6],
      [0.5, 0.5],
    ];
    expect(top1_pct(scores, [0, 0, 0])).toBeCloseTo(200 / 3, 12);
    expect(top1_pct([], [])).toBeNull();
  });
});

describe('the area under the ROC curve', () => {
  it('is exact by ranks: 0.75 for the example of scikit-learn', () => {
    expect(rankAuc([0.1, 0.4, 0.35, 0.8], [false, false, true, true])).toBe(0.75);
    expect(rankAuc([1, 1], [true, false])).toBe(0.5);
    expect(rankAuc([1, 2], [true, true])).toBeNull();
  });

  it('is the chance that a positive scores above a negative, ties counting half', () => {
    const answer = fc.record({ score: fc.integer({ min: 0, max: 20 }), positive: fc.boolean() });
    fc.assert(
      fc.property(fc.array(answer, { maxLength: 40 }), (answers) => {
        const positives = answers.filter((a) => a.positive);
        const negatives = answers.filter((a) => !a.positive);
        let wins = 0;
        for (const p of positives) {
          for (const n of negatives) wins += p.score > n.score ? 1 : p.score === n.score ? 0.5 : 0;
        }
        const area = rankAuc(
          answers.map((a) => a.score),
          answers.map((a) => a.positive),
        );
        const pairs = positives.length * negatives.length;
        if (pairs === 0) expect(area).toBeNull();
        else expect(area).toBeCloseTo(wins / pairs, 12);
      }),
    );
  });

  it('is a hundred trapezoids from (1, 1) where EnergyRunner prints it, and loses what no threshold separates', () => {
    expect(thresholdedAuc([0.9, 0.1], [true, false])).toBe(1);
    expect(thresholdedAuc([0.1, 0.9], [true, false])).toBe(0);
    // Both lie between two thresholds: the exact area sees the order, the thresholds do not.
    expect(thresholdedAuc([0.504, 0.501], [true, false])).toBe(0.5);
    expect(rankAuc([0.504, 0.501], [true, false])).toBe(1);
    // No point at (0, 0) is added: a negative above every threshold leaves its part of the area out.
    expect(thresholdedAuc([1.5, 0.2], [false, true])).toBe(0);
  });

  it('is the mean over the classes, and of two classes the second for the MLCommons runner', () => {
    const scores = [
      [0.8, 0.2],
      [0.3, 0.7],
      [0.6, 0.4],
      [0.4, 0.6],
    ];
    const labels = [0, 1, 1, 0];
    expect(energyRunnerAuc(scores, labels)).toBeCloseTo(0.75, 12);
    expect(classificationRankAuc(scores, labels)).toBe(0.75);
  });
});

describe('the accuracy of anomaly detection', () => {
  it('is the best mean of precision and recall over a hundred thresholds', () => {
    expect(anomalyAccuracy_pct([1, 2, 8, 9], [false, false, true, true])).toBeCloseTo(100, 5);
    expect(anomalyAccuracy_pct([9, 8, 2, 1], [false, false, true, true])).toBeLessThan(60);
    expect(anomalyAccuracy_pct([], [])).toBeNull();
  });
});

describe('wakewords', () => {
  const truth = [
    { start_s: 10, stop_s: 11 },
    { start_s: 20, stop_s: 21 },
  ];

  it('are found within the grace time, once each, and false alarms within a second are one', () => {
    const detections = [500, 10_600, 10_700, 22_900, 40_500, 41_400, 42_000];
    expect(countWakewords(detections, truth, 1)).toEqual({
      tp: 1,
      fn: 1,
      fp: 3,
      missed_s: [20],
      falseAlarms_s: [22.4, 40, 41.5],
    });
    expect(countWakewords(detections, truth, 2)).toMatchObject({ tp: 2, fn: 0, fp: 2 });
    expect(countWakewords([], truth, 1)).toMatchObject({ tp: 0, fn: 2, fp: 0 });
  });

  it('give the rate of the detections against the recording', () => {
    const words = Array.from({ length: 50 }, (_, k) => ({ start_s: 5 + 11 * k, stop_s: 6 + 11 * k }));
    const detections = [0, ...words.map((w) => (w.start_s * 1.0024 + 0.5) * 1000)];
    expect(wakewordClockScale(detections, words)).toBeCloseTo(1.0024, 6);
    expect(wakewordClockScale([0, 1], words)).toBeNull();
  });
});

describe('benchmark profiles', () => {
  it('are found by model, folder and long name, in any case', () => {
    for (const [name, id] of [
      ['kws01', 'kws01'],
      ['Keyword_Spotting', 'kws01'],
      ['ic', 'ic01'],
      ['strww01', 'sww01'],
      ['ad', 'ad01'],
      ['person_detection', 'vww01'],
    ]) {
      expect(findProfile(name!)?.id).toBe(id);
    }
    expect(findProfile('resnet50')).toBeNull();
    const names = profiles.flatMap((p) => p.aliases);
    expect(new Set(names).size).toBe(names.length);
  });

  it('name five inputs for every list of labels', () => {
    for (const { labels } of profiles) for (const list of labels) expect(list.firstInputs).toHaveLength(5);
  });
});
