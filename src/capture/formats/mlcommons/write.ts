import type { LogLine } from '../../../signal/types.ts';
import { makeLayoutFolder } from '../layout-folder.ts';

/** A streaming energy run as the MLCommons runner leaves one. Samples are J per 1 ms. */
interface MlcStreamingRun {
  simulated: boolean;
  /** Of the run; what the interface board and the device said goes into log.txt. */
  log: Iterable<LogLine>;
  sound: { file: string; duration_s: number; words: readonly { start_s: number; stop_s: number }[] };
  detections_ms: readonly number[];
  busy: { start_s: readonly number[]; stop_s: readonly number[] };
  duty: MlcDuty | null;
  samples_J: Iterable<number>;
  /** Number of samples before each event; the last two begin and end the window. */
  events: readonly number[];
}

interface MlcDuty {
  dutyCycle: number;
  period_s: number;
  processing_s: number;
}

/** Figures of results.txt, by the runner's arithmetic over the samples. */
interface MlcStreamingFigures {
  elapsed_s: number;
  energy_uJ: number;
  power_mW: number;
  counts: { tp: number; fn: number; fp: number };
  duty: MlcDuty | null;
}

const rule = '-'.repeat(57);

/** results.txt of a streaming energy run. The public checker reads its line `Power : x mW`. */
export function formatMlcResults({ elapsed_s, energy_uJ, power_mW, counts, duty }: MlcStreamingFigures): string {
  const lines = [
    'Power Edition Output',
    'Energy data for trial 0',
    `  Elapsed time  : ${elapsed_s.toFixed(3)}`,
    '  Inferences    : 1',
    `  Power         : ${power_mW.toFixed(4)} mW.`,
    `  Total Energy  : ${energy_uJ.toFixed(3)} uJ`,
    `  Energy/Inf    : ${energy_uJ.toFixed(3)} uJ/inf`,
    rule,
    `Median energy cost is ${energy_uJ.toFixed(4)} uJ/inf.`,
    rule,
    `Accuracy: ${counts.tp} True positives, ${counts.fn} False negatives, ${counts.fp} False positives`,
    ...(duty === null
      ? []
      : [
          `Average duty cycle: ${duty.dutyCycle.toFixed(6)}`,
          `Average period: ${duty.period_s.toFixed(6)} s`,
          `Estimated throughput: ${(1 / duty.processing_s).toFixed(1)} inf./sec.`,
        ]),
  ];
  return `${lines.join('\n')}\n`;
}

/**
 * Writes log.txt and results.json into a new folder; results.txt is added by `writeResults` once they have been scored.
 * @throws UsageError where the folder exists or cannot be made
 */
export function writeMlcStreamingRun(folder: string, run: MlcStreamingRun): void {
  const add = makeLayoutFolder(folder, run.simulated);
  add('log.txt', formatLog(run));
  add('results.json', `${JSON.stringify([trialOf(run)])}\n`);
}

function formatLog({ log, detections_ms, samples_J, events }: MlcStreamingRun): string {
  const lines = ['Logging initialized. Writing output to log.txt'];
  for (const { source, text } of log) {
    if (source === 'io') lines.push(`RX:${text}`);
    else if (source === 'dut') lines.push(`RX:[dut]: ${text}`);
  }
  lines.push(`[${detections_ms.join(', ')}]`, `samples:${[...samples_J].length} timestamps:${events.length}`);
  return `${lines.join('\n')}\n`;
}

function trialOf({ sound, detections_ms, busy, duty, samples_J, events }: MlcStreamingRun): object {
  return {
    infer: {
      wav_file: sound.file,
      length_sec: sound.duration_s,
      detection_windows: sound.words.map(({ start_s, stop_s }) => [start_s, stop_s]),
      detections: detections_ms,
      iterations: 1,
      warmups: 0,
    },
    dutycycle: {
      ...(duty && { duty_cycle: duty.dutyCycle, period: duty.period_s, processing_time: duty.processing_s }),
      start_times_s: busy.start_s,
      stop_times_s: busy.stop_s,
    },
    activations: [],
    power: {
      samples: [...samples_J],
      timestamps: events.map((sample, counter) => [String(counter).padStart(2, '0'), sample]),
      extracted_power: null,
    },
  };
}
