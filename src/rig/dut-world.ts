import { PlantDriver } from '../dut/emulators/plant-driver.ts';
import { type InferenceWindow, timestampPulse_s, virtualCurrents_A } from '../dut/virtual/index.ts';
import { Plant } from '../plant/plant.ts';
import type { LogLine } from '../signal/types.ts';
import { realTime } from '../transport/time.ts';
import type { Rig } from './rig-file.ts';

/** What an emulated DUT in real time does to the world that an instrument measures. */
export interface DutWorld {
  /** Its time 0 is `start_ns` on the host's monotonic clock; it is settled as far as it is read. */
  plant: Plant;
  start_ns: number;
  /** The supply of the DUT. */
  power(on: boolean): void;
  /** Windows that have ended since the last call, on the plant's time. */
  takeWindows(): InferenceWindow[];
}

/** Current during inferences (invented). */
const active_A = 11.8e-3;
const sourceResistance_ohm = 0.1;

/**
 * The world of a DUT of which nothing but its messages is known: the trigger line pulses when `timestamp` is answered, and when
 * `m-infer-start` and `m-infer-done` arrive; the current follows. Its windows are as coarse as the messages.
 */
export class MessageWorld {
  readonly world: DutWorld;
  readonly #driver: PlantDriver;
  readonly #channel: string;
  readonly #start_ns = realTime.now_ns();
  #asksTimestamp = false;
  #last_s = 0;

  constructor(rig: Rig) {
    this.#channel = rig.trigger.channel;
    const plant = new Plant({
      supply_V: rig.supply?.voltage_V ?? 3,
      sourceResistance_ohm,
      waves: [],
      channels: { [this.#channel]: true },
    });
    this.#driver = new PlantDriver(plant, 0);
    this.world = {
      plant,
      start_ns: this.#start_ns,
      power: (on) => this.#level(realTime.now_ns(), on ? virtualCurrents_A.idle : 0),
      takeWindows: () => [],
    };
  }

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
    this.#last_s = Math.max(this.#last_s, (at_ns - this.#start_ns) / 1e9);
    return this.#last_s;
  }
}
