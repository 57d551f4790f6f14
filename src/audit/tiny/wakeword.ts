import { countWakewords, dutyOf, type SpokenWord, wakewordClockScale } from '../../scoring/wakeword.ts';
import type { Case } from '../case.ts';
import { compare } from '../compare.ts';
import type { MlcRun } from './mlc-run.ts';
import { checkQuality } from './rules.ts';

/** Longest that one word with its grace can collect detections, in s: words last up to 1 s, the grace 2 s. */
const longestWord_s = 3;
/** The log prints false positives to 1 ms. */
const printed_s = 0.001;

/**
 * Audits the counts of a streaming wakeword run. With ground truth they are recomputed by both readings of the grace
 * time (1 s by the runner's README, 2 s by its code); either one makes the claim exact. Without it the log's own
 * lists are held against its detections.
 */
export function auditWakeword(audit: Case, run: MlcRun): void {
  const { log, results, trials, profile, resultsPath } = run;
  const claim = results?.wakeword ?? null;
  const data = trials?.find((t) => t.wakeword !== null)?.wakeword ?? null;
  const detections_ms = data?.detections_ms ?? log?.wakeword.detections_ms ?? null;
  const busy = data?.busy ?? (log ? { start_s: log.wakeword.busyStart_s, stop_s: log.wakeword.busyStop_s } : null);
  const duty = busy === null ? null : dutyOf(busy);
  audit.headline.push(
    compare('average duty cycle', claim?.dutyCycle ?? null, duty?.dutyCycle ?? null),
    compare('average period', claim?.period_s ?? null, duty?.period_s ?? null),
  );
  audit.figure('throughput_ips', 'estimated throughput', claim?.throughput_ips ?? null, duty?.throughput_ips ?? null);
  const truth = data?.truth ?? null;
  let counts: { tp: number; fn: number; fp: number } | null = null;
  if (detections_ms !== null && truth !== null) counts = countBoth(audit, detections_ms, truth, claim, resultsPath);
  else if (detections_ms !== null && claim !== null && log) {
    const consistent = checkLists(audit, detections_ms, run);
    if (consistent) {
      counts = { tp: claim.truePositives.value, fn: claim.falseNegatives.value, fp: claim.falsePositives.value };
      const message = 'the counts fit the lists and the detections of the log; the ground truth is not among the files';
      audit.observe('wakeword.no-truth', audit.site.files['mlc-log'] ?? audit.site.path, message);
    }
  }
  audit.figure('tp', 'true positives', claim?.truePositives ?? null, counts?.tp ?? null);
  audit.figure('fn', 'false negatives', claim?.falseNegatives ?? null, counts?.fn ?? null);
  audit.figure('fp', 'false positives', claim?.falsePositives ?? null, counts?.fp ?? null);
  if (counts !== null) Object.assign(audit.supported, { tp: counts.tp, fn: counts.fn, fp: counts.fp });
  const shown = counts ?? { fp: claim?.falsePositives.value ?? null, fn: claim?.falseNegatives.value ?? null };
  checkQuality(audit, profile, { fp: shown.fp, fn: shown.fn });
}

/** Both readings of the grace time; the one that the claim agrees with, else that of the runner's code. */
function countBoth(
  audit: Case,
  detections_ms: number[],
  truth: SpokenWord[],
  claim: {
    truePositives: { value: number };
    falseNegatives: { value: number };
    falsePositives: { value: number };
  } | null,
  path: string,
): { tp: number; fn: number; fp: number } {
  const readme = countWakewords(detections_ms, truth, 1);
  const code = countWakewords(detections_ms, truth, 2);
  const scale = wakewordClockScale(detections_ms, truth);
  const fitted = scale === null ? null : countWakewords(detections_ms, truth, 1, scale);
  const brief = ({ tp, fn, fp }: { tp: number; fn: number; fp: number }) => ({ tp, fn, fp });
  audit.measured.wakeword = {
    grace1: brief(readme),
    grace2: brief(code),
    clockScale: scale,
    grace1Scaled: fitted === null ? null : brief(fitted),
  };
  if (readme.tp !== code.tp || readme.fp !== code.fp) {
    const message = `with 1 s of grace ${text(readme)}, with 2 s ${text(code)}${fitted && scale ? `; with 1 s and the clock scale ${scale.toFixed(6)} ${text(fitted)}` : ''}`;
    audit.observe('wakeword.grace', path, message, audit.measured.wakeword as Record<string, unknown>);
  }
  const agrees = (c: { tp: number; fn: number; fp: number }) =>
    claim !== null &&
    c.tp === claim.truePositives.value &&
    c.fn === claim.falseNegatives.value &&
    c.fp === claim.falsePositives.value;
  return [code, readme, ...(fitted ? [fitted] : [])].find(agrees) ?? code;
}

function text({ tp, fn, fp }: { tp: number; fn: number; fp: number }): string {
  return `${tp} true positives, ${fn} false negatives, ${fp} false positives`;
}

/**
 * What must hold whatever the ground truth is: the lists are as long as the counts say, every false positive is a
 * detection, and what is left can be covered by as many words as were found.
 */
function checkLists(audit: Case, detections_ms: number[], { log, results }: MlcRun): boolean {
  const claim = results?.wakeword;
  const lists = log?.wakeword;
  if (!claim || !lists || lists.falseAlarms_s === null || lists.missed_s === null) return false;
  const path = audit.site.files['mlc-log'] ?? audit.site.path;
  const problems: string[] = [];
  const times_s = detections_ms.slice(1).map((ms) => (ms - (detections_ms[0] as number)) / 1000);
  if (lists.falseAlarms_s.length !== claim.falsePositives.value) {
    problems.push(`${claim.falsePositives.value} false positives claimed, ${lists.falseAlarms_s.length} listed`);
  }
  if (lists.missed_s.length !== claim.falseNegatives.value) {
    problems.push(`${claim.falseNegatives.value} false negatives claimed, ${lists.missed_s.length} listed`);
  }
  const strangers = lists.falseAlarms_s.filter((t) => !times_s.some((d) => Math.abs(d - t) <= printed_s / 2 + 1e-9));
  if (strangers.length > 0) problems.push(`false positives at ${strangers.slice(0, 5).join(', ')} s are no detections`);
  const rest = times_s.filter((d) => !lists.falseAlarms_s?.some((t) => d - t >= -printed_s && d - t <= 1 + printed_s));
  let words = 0;
  let begin = Number.NEGATIVE_INFINITY;
  for (const d of rest) {
    if (d - begin > longestWord_s) {
      words++;
      begin = d;
    }
  }
  const tp = claim.truePositives.value;
  if (tp > rest.length || tp < words) {
    problems.push(`${tp} true positives claimed, the other ${rest.length} detections make ${words} to ${rest.length}`);
  }
  if (problems.length === 0) return true;
  audit.observe('wakeword.lists', path, problems.join('; '), { problems });
  return false;
}
