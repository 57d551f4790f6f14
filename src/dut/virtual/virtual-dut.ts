import type { Plant } from '../../plant/plant.ts';
import type { Random } from '../../plant/random.ts';
import { mSequence, patternEdges } from '../../signal/m-sequence.ts';
import type { SyncPlan } from '../../signal/recording.ts';
import type { LogLine } from '../../signal/types.ts';
import { type VirtualBenchmark, virtualCurrents_A } from './benchmarks.ts';

/** A stretch of inferences that the DUT marked with its trigger line. */
export interface InferenceWindow {
  kind: 'window';
  start_s: number;
  end_s: number;
  inferences: number;
}

/** What a script yields as it goes: log lines, and the windows as they end. */
export type ScriptEvent = LogLine | InferenceWindow;

/** Length of a timestamp pulse: the falling edge counts, the line goes back up after this. */
export const timestampPulse_s = 50e-6;

/** Chips take the DUT longer or shorter than asked, by so much (standard deviation, invented). */
const chipError_rel = 5e-4;

/**
 * The moves of a simulated microcontroller: each one appends to the plant and lasts as long as it would last.
 * Scripts put them together.
 */
export class VirtualDut {
  readonly plant: Plant;
  readonly #random: Random;
  readonly #channel: string;
  readonly #charactersPerSecond: number;

  /** @param baud 8N1: ten bits a character */
  constructor(plant: Plant, random: Random, channel: string, baud: number) {
    this.plant = plant;
    this.#random = random;
    this.#channel = channel;
    this.#charactersPerSecond = baud / 10;
  }

  get now_s(): number {
    return this.plant.horizon_s;
  }

  /** Draws `current_A` for a while. */
  spend(duration_s: number, current_A: number): void {
    this.plant.hold(this.now_s + duration_s, current_A);
  }

  idle(duration_s: number): void {
    this.spend(duration_s, virtualCurrents_A.idle);
  }

  /** Prints lines over the UART; each appears in the log when its last character is out. */
  *say(...lines: string[]): Generator<LogLine> {
    for (const text of lines) {
      this.print(text);
      yield { kind: 'log', time_s: this.now_s, source: 'dut', text };
    }
  }

  /** Prints a line that nobody logs (the runner mutes the DUT during downloads). */
  print(text: string): void {
    const lineEnd = 2;
    this.spend((text.length + lineEnd) / this.#charactersPerSecond, virtualCurrents_A.uartReply);
  }

  /** Receives characters over the UART. */
  receive(characters: number): void {
    this.spend(characters / this.#charactersPerSecond, virtualCurrents_A.uartDownload);
  }

  /** One falling edge now (the line idles high); the line is back up after `timestampPulse_s`. */
  timestamp(): void {
    this.plant.edge(this.now_s, this.#channel, 'fall');
    this.plant.edge(this.now_s + timestampPulse_s, this.#channel, 'rise');
  }

  setPin(high: boolean): void {
    this.plant.edge(this.now_s, this.#channel, high ? 'rise' : 'fall');
  }

  /** Plays a pattern once: on a line of its own that idles low, and as its current. */
  sync({ channel, chip_s, order }: SyncPlan): void {
    const actual_s = chip_s * (1 + chipError_rel * this.#random.normal());
    let level = virtualCurrents_A.idle as number;
    let from = 0;
    for (const { chip, polarity } of [...patternEdges(order), { chip: mSequence(order).length, polarity: null }]) {
      this.spend((chip - from) * actual_s, level);
      from = chip;
      if (polarity === null) break;
      this.plant.edge(this.now_s, channel, polarity);
      level = polarity === 'rise' ? virtualCurrents_A.syncLoad : virtualCurrents_A.idle;
    }
  }

  /** One inference: its time varies by 0.05 % and its current by 0.2 % (standard deviations) from one to the next. */
  infer(benchmark: VirtualBenchmark): void {
    const duration_s = benchmark.inference_s * (1 + 5e-4 * this.#random.normal());
    const scale = 1 + 2e-3 * this.#random.normal();
    for (const { share, current_A } of benchmark.phases) this.spend(share * duration_s, scale * current_A);
  }

  warmUp(benchmark: VirtualBenchmark): void {
    this.spend(benchmark.inference_s, virtualCurrents_A.warmUp);
  }
}
