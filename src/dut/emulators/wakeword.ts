import type { Polarity } from '../../signal/types.ts';
import { realTime, type TimeSource } from '../../transport/time.ts';
import type { DutOutside, EmulatedNetwork } from './dut.ts';

/** A sound, as far as an emulated network hears it. */
export interface EmulatedSound {
  duration_s: number;
  /** When the wakeword is spoken. */
  words: { start_s: number; stop_s: number }[];
}

const mostWords = 50;
/** Words lie so far apart that what is heard between the grace times of two belongs to neither. */
const leastPeriod_s = 3;
const word_s = 0.4;
const firstWord_s = 0.5;
/** From the end of a word to its detection. */
const reaction_s = 0.1;
/** After a word, just beyond the 2 s of grace of the MLCommons runner. */
const falseAlarm_s = 2.45;

/** Sound arrives in frames, each of which is processed at once; currents and times are invented. */
const frame_s = 0.032;
const processing_s = 0.008;
const processing_A = 9.8e-3;
const waiting_A = 1.9e-3;
const wordPulse_s = 1e-3;

/** A made-up sound of a duration: up to 50 words, evenly spread. */
export function simulatedSound(duration_s: number): EmulatedSound {
  const period_s = Math.max(leastPeriod_s, duration_s / mostWords);
  const n = Math.max(1, Math.floor(duration_s / period_s));
  const words = Array.from({ length: n }, (_, k) => {
    const start_s = k * period_s + firstWord_s;
    return { start_s, stop_s: start_s + word_s };
  });
  return { duration_s, words };
}

/** File name of a made-up sound: it tells the duration, and with it everything. */
export function simulatedSoundFile(duration_s: number): string {
  return `sim_sww01_${duration_s}s.wav`;
}

/** The made-up sound of a file name; null for any other file. */
export function soundOfFile(file: string): EmulatedSound | null {
  const match = /^sim_sww01_(\d{1,5})s\.wav$/.exec(file);
  return match && Number(match[1]) > 0 ? simulatedSound(Number(match[1])) : null;
}

/**
 * When the emulated network believes to hear the wakeword: at the beginning of the sound, which marks time 0, and after each word; but
 * it misses the second of every twelve words, and has a false alarm after the first of every sixteen.
 */
export function simulatedDetections_s({ words }: EmulatedSound): number[] {
  const heard = words.filter((_, k) => k % 12 !== 1).map(({ stop_s }) => stop_s + reaction_s);
  const falseAlarms = words.filter((_, k) => k % 16 === 0).map(({ stop_s }) => stop_s + falseAlarm_s - word_s);
  return [0, ...heard, ...falseAlarms].sort((a, b) => a - b);
}

/** The network of the emulated streaming DUT: it takes no inputs over the wire. */
export const wakewordNetwork: EmulatedNetwork = {
  model: 'sww01',
  inputBytes: 0,
  inference_s: processing_s,
  phases: [{ share: 1, current_A: processing_A }],
  answer: () => [],
};

/** Pins of a streaming DUT besides that of its timestamps. Times are its own, in s. */
export interface WakewordPins {
  /** Falls at a detection. */
  wakeword(polarity: Polarity, at_s: number): void;
  /** High while it processes a frame. */
  processing(polarity: Polarity, at_s: number): void;
}

/** What a streaming DUT does with the sound that it hears between `start` and `stop`: frames, detections, current. */
export class WakewordEar {
  readonly #outside: DutOutside | null;
  readonly #pins: WakewordPins;
  readonly #time: TimeSource;
  #isListening = false;
  /** Counts sounds: what belongs to an earlier one is no longer told. */
  #sound = 0;
  /** Everything that it does is over. */
  #end_s = 0;

  constructor(pins: WakewordPins, outside: DutOutside | null, time: TimeSource = realTime) {
    this.#pins = pins;
    this.#outside = outside;
    this.#time = time;
  }

  /** `start` and `stop` of the DUT. */
  listen(isListening: boolean, at_s: number): void {
    this.#isListening = isListening;
    if (isListening || at_s >= this.#end_s) return;
    this.#sound++;
    this.#end_s = at_s;
    this.#outside?.cancelAfter(at_s);
  }

  /** A sound begins at `at_s`, which is now. */
  hear(sound: EmulatedSound, at_s: number): void {
    if (!this.#isListening) return;
    const events: { at_s: number; tell: () => void }[] = [];
    for (let k = 0; (k + 1) * frame_s <= sound.duration_s; k++) {
      const begin_s = at_s + k * frame_s;
      const end_s = begin_s + processing_s;
      this.#outside?.level(begin_s, processing_A);
      this.#outside?.level(end_s, waiting_A);
      events.push({ at_s: begin_s, tell: () => this.#pins.processing('rise', begin_s) });
      events.push({ at_s: end_s, tell: () => this.#pins.processing('fall', end_s) });
    }
    for (const detection_s of simulatedDetections_s(sound)) {
      const begin_s = at_s + detection_s;
      const end_s = begin_s + wordPulse_s;
      events.push({ at_s: begin_s, tell: () => this.#pins.wakeword('fall', begin_s) });
      events.push({ at_s: end_s, tell: () => this.#pins.wakeword('rise', end_s) });
    }
    events.sort((a, b) => a.at_s - b.at_s);
    this.#end_s = events.at(-1)!.at_s;
    this.#tell(events, 0, ++this.#sound, this.#time.now_ns() - at_s * 1e9);
  }

  /** @param zero_ns time 0 of the DUT on the clock of `time` */
  #tell(events: { at_s: number; tell: () => void }[], next: number, sound: number, zero_ns: number): void {
    if (sound !== this.#sound) return;
    const now_s = (this.#time.now_ns() - zero_ns) / 1e9;
    let k = next;
    for (; k < events.length && events[k]!.at_s <= now_s; k++) events[k]!.tell();
    if (k === events.length) return;
    this.#time.after((events[k]!.at_s - now_s) * 1000, () => this.#tell(events, k, sound, zero_ns));
  }
}
