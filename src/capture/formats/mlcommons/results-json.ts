import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import { FormatError } from '../../../signal/errors.ts';
import { unreadable } from '../lines.ts';

/** The longest kind of run (20 minutes of streaming wakeword at 1 kHz) is about 15 MB. */
const maxSize_bytes = 64 * 1024 * 1024;
/** A results.json is five levels deep, and holds a handful of lists and objects a trial. */
const maxDepth = 32;
const maxContainers = 1_000_000;

const count = z.number().int().nonnegative();

/** A list checked up to its first wrong entry: zod's own arrays report every one, which a hostile file can make millions. */
function listOf<T>(wanted: string, read: (entry: unknown) => T | null) {
  return z.unknown().transform((value, context) => {
    const list: T[] = [];
    if (!Array.isArray(value)) {
      context.addIssue({ code: 'custom', message: `expected a list of ${wanted}` });
      return list;
    }
    for (const [index, entry] of value.entries()) {
      const item = read(entry);
      if (item === null) {
        context.addIssue({ code: 'custom', message: `entry ${index} is not ${wanted}` });
        return list;
      }
      list.push(item);
    }
    return list;
  });
}

const numbers = listOf('finite numbers', (entry) => (Number.isFinite(entry) ? (entry as number) : null));

const events = listOf('pairs of event counter and sample index', (entry) => {
  if (!Array.isArray(entry) || entry.length !== 2) return null;
  const counter = wholeNumber(entry[0]);
  const sample = wholeNumber(entry[1]);
  return counter === null || sample === null ? null : { counter, sample };
});

const spans = listOf('pairs of start and stop in s', (entry) => {
  if (!Array.isArray(entry) || entry.length !== 2) return null;
  const [start_s, stop_s] = entry;
  return Number.isFinite(start_s) && Number.isFinite(stop_s) ? { start_s, stop_s } : null;
});

/** The runner writes counters as text (`"09"`) and indices as numbers. */
function wholeNumber(value: unknown): number | null {
  if (typeof value === 'string' && !/^\d{1,15}$/.test(value)) return null;
  if (typeof value !== 'string' && typeof value !== 'number') return null;
  const number = Number(value);
  return Number.isSafeInteger(number) && number >= 0 ? number : null;
}

const power = z.object({
  samples: numbers,
  timestamps: events,
  voltage: z.number().nullish().catch(null),
});

/** What stands beside the samples is shown, not computed with (but for the number of inferences): odd values there are unknown, not errors. */
const trial = z.object({
  file: z.string().nullish(),
  class: z.union([z.string(), z.number()]).nullish(),
  infer: z
    .object({
      results: numbers.nullish().catch(null),
      iterations: count.nullish().catch(null),
      warmups: count.nullish().catch(null),
      throughput: z.number().nullish().catch(null),
      start_time: count.nullish().catch(null),
      end_time: count.nullish().catch(null),
      detections: numbers.optional(),
      detection_windows: spans.optional(),
    })
    .nullish(),
  power: power.nullish(),
  dutycycle: z.object({ start_times_s: numbers, stop_times_s: numbers }).nullish().catch(null),
  mode: z.string().nullish(),
});

/** One entry of a results.json. */
export interface MlcTrial {
  index: number;
  file: string | null;
  label: number | null;
  results: number[];
  iterations: number | null;
  warmups: number | null;
  /** Performance mode only. */
  throughput_ips: number | null;
  /** Performance mode only: both timestamps of the device, in us. */
  start_us: number | null;
  end_us: number | null;
  /** Streaming wakeword only. */
  wakeword: MlcWakeword | null;
  /** `e`, `p` or `a`. */
  mode: string | null;
  /** Energy mode only. */
  power: MlcPower | null;
}

export interface MlcWakeword {
  /** Detections in ms on the interface board's clock; the first one marks time zero. */
  detections_ms: number[];
  /** Ground truth: when the wakeword is spoken, in s from the beginning of the recording; null where it is not there. */
  truth: { start_s: number; stop_s: number }[] | null;
  /** Processing of the first frames, in s. */
  busy: { start_s: number[]; stop_s: number[] } | null;
}

export interface MlcPower {
  /** J per 1 ms. */
  samples_J: Float64Array;
  /** The instrument's event counter, and the number of samples before the event. */
  events: { counter: number; sample: number }[];
  /** As configured, in the unit that the file has (V in the public ones); null where it is not there. */
  voltage: number | null;
}

/**
 * Parses a results.json of the MLCommons runner: a list of trials (or a single one). Throws a FormatError that names
 * the place where it is no JSON, nested too deeply, or of another shape.
 * @param where path for messages
 */
export function parseResultsJson(text: string, where: string): MlcTrial[] {
  const body = text.replace(/^\ufeff/, '');
  if (body.trim() === '') throw malformed(where, 'is empty');
  refuseBombs(body, where);
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    throw malformed(where, `is not JSON (${(error as Error).message})`);
  }
  const entries: unknown[] = Array.isArray(value) ? value : [value];
  return entries.map((entry, index) => {
    const parsed = trial.safeParse(entry);
    if (parsed.success) return trialOf(parsed.data, index);
    const issue = parsed.error.issues[0]!;
    throw malformed(`${where} at ${[index, ...issue.path].join('.')}`, issue.message);
  });
}

function trialOf(entry: z.output<typeof trial>, index: number): MlcTrial {
  return {
    index,
    file: entry.file ?? null,
    label: labelOf(entry.class),
    results: entry.infer?.results ?? [],
    iterations: entry.infer?.iterations ?? null,
    warmups: entry.infer?.warmups ?? null,
    throughput_ips: entry.infer?.throughput ?? null,
    start_us: entry.infer?.start_time ?? null,
    end_us: entry.infer?.end_time ?? null,
    wakeword: wakewordOf(entry),
    mode: entry.mode ?? null,
    power: entry.power
      ? {
          samples_J: Float64Array.from(entry.power.samples),
          events: entry.power.timestamps,
          voltage: entry.power.voltage ?? null,
        }
      : null,
  };
}

function wakewordOf(entry: z.output<typeof trial>): MlcWakeword | null {
  if (!entry.infer?.detections) return null;
  return {
    detections_ms: entry.infer.detections,
    truth: entry.infer.detection_windows ?? null,
    busy: entry.dutycycle ? { start_s: entry.dutycycle.start_times_s, stop_s: entry.dutycycle.stop_times_s } : null,
  };
}

/** Reads and parses a results.json. */
export async function readResultsJson(path: string): Promise<MlcTrial[]> {
  let text: string;
  try {
    const { size } = await stat(path);
    if (size > maxSize_bytes) throw malformed(path, `is ${size} bytes long; at most ${maxSize_bytes} are read`);
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof FormatError) throw error;
    throw unreadable(path, error);
  }
  return parseResultsJson(text, path);
}

/** Throws where the brackets nest too deeply or are too many, before anything is built from them. */
function refuseBombs(text: string, where: string): void {
  let depth = 0;
  let containers = 0;
  let inString = false;
  for (let k = 0; k < text.length; k++) {
    const code = text.charCodeAt(k);
    if (inString) {
      if (code === 0x5c) k++;
      else if (code === 0x22) inString = false;
    } else if (code === 0x22) inString = true;
    else if (code === 0x5b || code === 0x7b) {
      if (++depth > maxDepth) throw malformed(`${where} at character ${k}`, `is nested over ${maxDepth} levels deep`);
      if (++containers > maxContainers) {
        throw malformed(`${where} at character ${k}`, `holds over ${maxContainers} lists and objects`);
      }
    } else if (code === 0x5d || code === 0x7d) depth--;
  }
}

function labelOf(value: string | number | null | undefined): number | null {
  if (value === null || value === undefined || value === '') return null;
  const label = Number(value);
  return Number.isInteger(label) ? label : null;
}

function malformed(where: string, problem: string): FormatError {
  return new FormatError('mlcommons.malformed', {
    where,
    problem,
    remedy: 'Expected is the results.json that the MLCommons runner wrote: a list of trials. Take the file unedited.',
  });
}
