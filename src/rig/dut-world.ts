import { PlantDriver } from '../dut/emulators/plant-driver.ts';
import { type InferenceWindow, timestampPulse_s, virtualCurrents_A } from '../dut/virtual/index.ts';
import { Plant } from '../plant/plant.ts';
import type { DeviceError } from '../signal/errors.ts';
import type { LogLine } from '../signal/types.ts';
import { realTime } from '../transport/time.ts';
import type { Rig } from './rig-file.ts';

/** What an emulated DUT in real time does to the world that an instrument measures. */
export interface DutWorld {
  /** False where nothing is known but the messages of the DUT. */
  readonly isExact: boolean;
  /** Its time 0 is `start_ns` on the host's monotonic clock; it is settled as far as it is read. */
  readonly plant: Plant;
  readonly start_ns: number;
  /** Up to here the plant is told everything; infinite when no more will be told. Whoever reads beyond may see it changed late. */
  settled_s(): number;
  /** By how much the latest change since the last call came too late for the plant, in s. */
  takeLateness_s(): number;
  /** The supply of the DUT. */
  power(on: boolean): void;
  /** Windows that have ended since the last call, on the plant's time. */
  takeWindows(): InferenceWindow[];
  /** Whoever tells of the DUT has vanished. */
  onLost(listener: (error: DeviceError) => void): void;
  close(): void;
}

/** Current during inferences (invented). */
const active_A = 11.8e-3;
/** Between the supply and the DUT (invented). */
export const sourceResistance_ohm = 0.1;

/**
 * The world of a DUT of which nothing but its messages is known: the trigger line pulses when `timestamp` is answered, and when
 * `m-infer-start` and `m-infer-done` arrive; the current follows. Its windows are as coarse as the messages.
 */
export class MessageWorld implements DutWorld {
  readonly isExact = false;
  readonly plant: Plant;
  readonly start_ns = realTime.now_ns();
  readonly #driver: PlantDriver;
  readonly #channel: string;
  #asksTimestamp = false;
  #last_s = 0;

  constructor(rig: Rig) {
    this.#channel = rig.trigger.channel;
    this.plant = new Plant({
      supply_V: rig.supply?.voltage_V ?? 3,
      sourceResistance_ohm,
      waves: [],
      channels: { [this.#channel]: true },
    });
    this.#driver = new PlantDriver(this.plant, 0);
  }

  settled_s(): number {
    return (realTime.now_ns() - this.start_ns) / 1e9;
  }

  takeLateness_s(): number {
    return 0;
  }

  power(on: boolean): void {
    this.#level(realTime.now_ns(), on ? virtualCurrents_A.idle : 0);
  }

  takeWindows(): InferenceWindow[] {
    return [];
  }

  onLost(): void {}

  close(): void {}

  /** A line of the log, its time on the host's clock. */
  heard({ time_s, source, text }: LogLine): void {
    const at_ns = time_s * 1e9;
    if (text.startsWith('Command "')) this.#asksTimestamp = /dut timestamp"$/.test(text);
    if (source !== 'dut') return;
    if (this.#asksTimestamp && text === 'm-ready') {
      this.#asksTimestamp = false;
      this.#pulse(at_ns);
    } else if (text.startsWith('m-warmup-start-')) this.#level(at_ns, virtualCurrents_A.warmUp);
    else if (text.startsWith('m-infer-start-')) {
      this.#pulse(at_ns);
      this.#level(at_ns, active_A);
    } else if (text === 'm-infer-done') {
      this.#pulse(at_ns);
      this.#level(at_ns, virtualCurrents_A.idle);
    }
  }

  #pulse(at_ns: number): void {
    const at_s = this.#at(at_ns);
    this.#driver.edge(at_s, this.#channel, 'fall');
    this.#driver.edge(this.#at(at_ns + timestampPulse_s * 1e9), this.#channel, 'rise');
  }

  #level(at_ns: number, current_A: number): void {
    this.#driver.level(this.#at(at_ns), current_A);
  }

  /** The plant's time; what is said never goes back. */
  #at(at_ns: number): number {
    this.#last_s = Math.max(this.#last_s, (at_ns - this.start_ns) / 1e9);
    return this.#last_s;
  }
}
