import type { RunPlan } from '../signal/recording.ts';
import type { Profile, QualityTarget } from './profiles/profile.ts';
import type { ScoreDocument, ScoredWindow } from './score-document.ts';

/** The demands of a profile, each held against what was found; `met` is null where this run cannot tell. */
export function gatesOf(
  profile: Profile,
  plan: RunPlan,
  windows: ScoredWindow[],
  accuracy: ScoreDocument['accuracy'],
  answers: number,
): ScoreDocument['gates'] {
  const shortest = Math.min(...windows.map((window) => window.runtime_s));
  const fewest = Math.min(...windows.map((window) => window.inferences ?? 0));
  const any = windows.length > 0;
  const gates: ScoreDocument['gates'] = [
    {
      id: 'windows',
      demand: `${profile.windows} windows`,
      found: `${windows.length} windows`,
      met: windows.length >= profile.windows,
    },
    {
      id: 'duration',
      demand: `at least ${profile.minimumDuration_s} s in each window`,
      found: any ? `${shortest.toFixed(3)} s in the shortest` : 'no window',
      met: any ? shortest >= profile.minimumDuration_s : null,
    },
    {
      id: 'iterations',
      demand: `at least ${profile.minimumIterations} inferences in each window`,
      found: any ? `${fewest} in the fewest` : 'no window',
      met: any && plan.inferencesPerWindow !== null ? fewest >= profile.minimumIterations : null,
    },
  ];
  for (const target of profile.quality) {
    const sign = target.sense === 'at-least' ? '>=' : '<=';
    const count = countOf(target.metric, accuracy);
    if (count !== null) {
      gates.push(countGate(target, count, accuracy!.n));
      continue;
    }
    const known = target.metric === 'top1_pct' && accuracy?.top1_pct != null;
    gates.push({
      id: `quality.${target.metric}`,
      demand: `${target.metric} ${sign} ${target.value} over the whole data set`,
      found: known
        ? `${accuracy!.top1_pct!.toFixed(1)} % over ${accuracy!.n} inputs`
        : `${answers} answers, no ground truth`,
      // An energy run sees five inputs: the demand is on the accuracy run of the whole set.
      met: null,
    });
  }
  return gates;
}

/** The quality targets of a profile against the accuracy over a data set; `isWhole` says that every input was answered. */
export function accuracyGatesOf(
  profile: Profile,
  accuracy: ScoreDocument['accuracy'],
  isWhole: boolean,
): ScoreDocument['gates'] {
  return profile.quality.map((target) => {
    const { metric, sense, value } = target;
    const count = countOf(metric, accuracy);
    if (count !== null) return countGate(target, count, accuracy!.n);
    const figure = metric === 'top1_pct' || metric === 'auc' ? (accuracy?.[metric] ?? null) : null;
    const isReached = figure !== null && (sense === 'at-least' ? figure >= value : figure <= value);
    return {
      id: `quality.${metric}`,
      demand: `${metric} ${sense === 'at-least' ? '>=' : '<='} ${value} over the whole data set`,
      found: figure === null ? 'unknown' : `${figure.toPrecision(4)} over ${accuracy!.n} inputs`,
      met: figure === null || !isWhole ? null : isReached,
    };
  });
}

/** False alarms or missed words of a streaming run. */
function countOf(metric: QualityTarget['metric'], accuracy: ScoreDocument['accuracy']): number | null {
  return metric === 'fp' || metric === 'fn' ? (accuracy?.[metric] ?? null) : null;
}

/** Every streaming run hears the whole recording, so that its own counts decide. */
function countGate({ metric, value }: QualityTarget, count: number, words: number): ScoreDocument['gates'][number] {
  const found = `${count} with ${words} words spoken`;
  return { id: `quality.${metric}`, demand: `${metric} <= ${value}`, found, met: count <= value };
}
