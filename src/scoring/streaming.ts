import { z } from 'zod';
import type { Recording } from '../signal/recording.ts';
import type { ScoreDocument } from './score-document.ts';
import { countWakewords, dutyOf, type SpokenWord, wakewordClockScale } from './wakeword.ts';

/** Lists longer than a run of 20 minutes can give are no record of one (the interface board holds 10,000 detections). */
const times = z.array(z.number()).max(20_000);
const soundSchema = z.object({
  file: z.string().max(1000),
  duration_s: z.number().positive(),
  words: z
    .array(z.object({ start_s: z.number(), stop_s: z.number() }))
    .max(20_000)
    .nullable(),
});
const heardSchema = z.object({ detections_ms: times, busy: z.object({ start_s: times, stop_s: times }) });

/** What a streaming run shows besides its energy; null where its log does not tell it. */
interface StreamingFigures {
  accuracy: ScoreDocument['accuracy'];
  wakeword: NonNullable<ScoreDocument['wakeword']>;
  /** One over the mean processing time of a frame. */
  throughput_ips: number | null;
}

/** What a streaming run played and heard, as its log tells. */
interface StreamingRecord {
  sound: z.infer<typeof soundSchema> | null;
  heard: z.infer<typeof heardSchema>;
  duty: { dutyCycle: number; period_s: number; processing_s: number } | null;
}

/** The last sound of a streaming run: `m-sound-[{...}]` and `m-heard-[{...}]` of the log; null without them. */
export async function streamingRecord(recording: Recording): Promise<StreamingRecord | null> {
  let sound: StreamingRecord['sound'] = null;
  let heard: StreamingRecord['heard'] | null = null;
  for await (const { source, text } of recording.log()) {
    if (source !== 'host') continue;
    const match = /^m-(sound|heard)-\[(.*)\]$/s.exec(text);
    if (match?.[1] === 'sound') {
      sound = parsed(soundSchema, match[2]!);
      heard = null;
    } else if (match) heard = parsed(heardSchema, match[2]!);
  }
  if (heard === null) return null;
  const duty = dutyOf(heard.busy);
  if (duty === null) return { sound, heard, duty };
  const { dutyCycle, period_s, throughput_ips } = duty;
  return { sound, heard, duty: { dutyCycle, period_s, processing_s: 1 / throughput_ips } };
}

/**
 * The detections and the duty cycle of a streaming wakeword run. Counts are those of the MLCommons runner's code (2 s of grace); those of its README (1 s) stand beside.
 */
export async function streamingFigures(recording: Recording): Promise<StreamingFigures | null> {
  const record = await streamingRecord(recording);
  if (record === null) return null;
  const { sound, heard, duty } = record;
  const words = sound?.words ?? null;
  const wakeword = {
    detections: heard.detections_ms.length,
    dutyCycle: duty?.dutyCycle ?? null,
    period_s: duty?.period_s ?? null,
    processing_s: duty?.processing_s ?? null,
    power_mW: null,
  };
  const throughput_ips = duty === null ? null : 1 / duty.processing_s;
  if (words === null) return { accuracy: null, wakeword, throughput_ips };
  const { tp, fn, fp } = countWakewords(heard.detections_ms, words, 2);
  return {
    accuracy: { top1_pct: null, auc: null, n: words.length, tp, fn, fp, f1: f1Of(tp, fn, fp) },
    wakeword: { ...wakeword, grace1: grace1Of(heard.detections_ms, words) },
    throughput_ips,
  };
}

function grace1Of(detections_ms: readonly number[], words: readonly SpokenWord[]) {
  const { tp, fn, fp } = countWakewords(detections_ms, words, 1);
  return { tp, fn, fp, clockScale: wakewordClockScale(detections_ms, words) };
}

/** F1 = 2 TP / (2 TP + FP + FN); null without any. */
function f1Of(tp: number, fn: number, fp: number): number | null {
  const all = 2 * tp + fp + fn;
  return all === 0 ? null : (2 * tp) / all;
}

/** Lines longer than this are not ours: they would cost much before they are refused. */
const longestLine = 1 << 18;

function parsed<T>(schema: z.ZodType<T>, text: string): T | null {
  if (text.length > longestLine) return null;
  try {
    return schema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
