/** When the wakeword is spoken, in s from the beginning of the recording. */
export interface SpokenWord {
  start_s: number;
  stop_s: number;
}

export interface WakewordCounts {
  tp: number;
  fn: number;
  fp: number;
  /** Start of each word that was missed. */
  missed_s: number[];
  /** Time of each false alarm. */
  falseAlarms_s: number[];
}

/** When a streaming device was busy with a frame, in s. */
export interface BusyTimes {
  start_s: readonly number[];
  stop_s: readonly number[];
}

/**
 * Mean processing time, mean period and their ratio; throughput is one over the mean processing time (MLCommons benchmark/runner).
 * Null with fewer than two frames.
 */
export function dutyOf({
  start_s,
  stop_s,
}: BusyTimes): { dutyCycle: number; period_s: number; throughput_ips: number } | null {
  const n = Math.min(start_s.length, stop_s.length);
  if (n < 2) return null;
  let busy_s = 0;
  for (let i = 0; i < n; i++) busy_s += stop_s[i]! - start_s[i]!;
  busy_s /= n;
  const period_s = (start_s[n - 1]! - start_s[0]!) / (n - 1);
  if (!(busy_s > 0) || !(period_s > 0)) return null;
  return { dutyCycle: busy_s / period_s, period_s, throughput_ips: 1 / busy_s };
}

/** After a false alarm, further ones within this time are the same one. */
const debounce_s = 1;

/**
 * Counts detections against the words that were spoken, as the MLCommons runner does: a word is found where a
 * detection lies in [start, stop + grace], all detections in there count once, and of the rest those within 1 s after
 * a false alarm are dropped. The first detection marks time zero and is not counted.
 *
 * @param detections_ms ascending
 * @param grace_s 1 by the runner's README, 2 by its code
 * @param scale rate of the detections' clock against the recording's
 */
export function countWakewords(
  detections_ms: readonly number[],
  truth: readonly SpokenWord[],
  grace_s: number,
  scale = 1,
): WakewordCounts {
  const zero_ms = detections_ms[0] ?? 0;
  let times_s = detections_ms.slice(1).map((ms) => (ms - zero_ms) / 1000 / scale);
  const counts: WakewordCounts = { tp: 0, fn: 0, fp: 0, missed_s: [], falseAlarms_s: [] };
  for (const { start_s, stop_s } of truth) {
    const rest = times_s.filter((t) => !(t >= start_s && t <= stop_s + grace_s));
    if (rest.length < times_s.length) counts.tp++;
    else {
      counts.fn++;
      counts.missed_s.push(start_s);
    }
    times_s = rest;
  }
  for (const t of times_s) {
    const last = counts.falseAlarms_s.at(-1);
    if (last !== undefined && t > last && t - last <= debounce_s) continue;
    counts.falseAlarms_s.push(t);
    counts.fp++;
  }
  return counts;
}

/**
 * Rate of the detections' clock against the recording's, by least squares over the first detection of every word that
 * was found (with 2 s of grace); null with fewer than three of them.
 */
export function wakewordClockScale(detections_ms: readonly number[], truth: readonly SpokenWord[]): number | null {
  const zero_ms = detections_ms[0] ?? 0;
  const times_s = detections_ms.slice(1).map((ms) => (ms - zero_ms) / 1000);
  const points: [number, number][] = [];
  for (const { start_s, stop_s } of truth) {
    const first = times_s.find((t) => t >= start_s && t <= stop_s + 2);
    if (first !== undefined) points.push([start_s, first]);
  }
  if (points.length < 3) return null;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
  let [sxx, sxy] = [0, 0];
  for (const [x, y] of points) {
    sxx += (x - meanX) ** 2;
    sxy += (x - meanX) * (y - meanY);
  }
  return sxx === 0 ? null : sxy / sxx;
}
