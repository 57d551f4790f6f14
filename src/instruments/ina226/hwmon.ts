import type { SampleBlock, StreamInfo } from '../../signal/types.ts';
import { expected } from '../driver-errors.ts';
import { conversionStreamInfo } from '../ina2xx/conversion-stream.ts';
import { refusedSetting } from '../ina2xx/rails.ts';
import { ina226Scale } from './chip.ts';
import { hostClock, Ina226Kernel, type Ina226KernelOptions, type KernelRail, numberIn } from './kernel-instrument.ts';
import type { Ina226Settings } from './settings.ts';

/** The driver rounds currents to 1 mA. */
const STEP_A = 1e-3;
/** Reads that fail one after the other before the chip is given up. */
const MAX_FAILURES = 3;

/**
 * INA226 chips behind the kernel's hwmon driver (ina2xx). It shows the latest result, rounded to 1 mA and 1 mV, without a
 * time and without a sign of what is new: for slow loads only. Each reading is taken for the time since the last one.
 */
export class Ina226Hwmon extends Ina226Kernel {
  #interval_ms = 0;
  readonly #last = new Map<string, number>();
  #failures = 0;
  #cancel: () => void = () => {};

  constructor(options: Ina226KernelOptions = {}) {
    super({ devices: 'sys/class/hwmon', prefix: 'hwmon', driver: 'ina2xx (hwmon)' }, options);
  }

  protected notices(): string[] {
    return ['polled: the kernel rounds to 1 mA and 1 mV and does not tell when a value is new'];
  }

  protected kernelShunt_ohm(folder: string): number {
    return numberIn(folder, 'shunt_resistor') / 1e6;
  }

  /** Twice the update interval is the fastest at which every reading is a new one. */
  protected applySettings({ rate_Hz }: Ina226Settings): void {
    const least_ms = Math.max(...this.rails.map(({ folder }) => 2 * numberIn(folder, 'update_interval')));
    const wanted_ms = rate_Hz === undefined ? least_ms : 1000 / rate_Hz;
    if (wanted_ms < least_ms) {
      throw refusedSetting(
        'rate_Hz',
        `${rate_Hz} Hz is faster than the driver has new values (${(1000 / least_ms).toFixed(2)} Hz)`,
        'lower it, or write a shorter time into update_interval',
      );
    }
    this.#interval_ms = wanted_ms;
  }

  protected streamOf(rail: KernelRail): StreamInfo {
    const info = conversionStreamInfo(rail, ina226Scale(rail), hostClock.id);
    const [range] = info.ranges;
    return {
      ...info,
      precision: 'f64',
      scale: { current: 1e-3, voltage: 1e-3 },
      ranges: [{ ...range!, resolution_A: Math.max(STEP_A, range!.resolution_A ?? 0) }],
    };
  }

  protected startReading(): void {
    this.#last.clear();
    this.#schedule();
  }

  protected endReading(): void {
    this.#cancel();
  }

  protected lastTick(rail: KernelRail): number {
    return this.#last.get(rail.name) ?? 0;
  }

  #schedule(): void {
    this.#cancel = this.time.after(this.#interval_ms, () => {
      if (!this.isSampling()) return;
      for (const rail of this.rails) this.#read(rail);
      if (this.isSampling()) this.#schedule();
    });
  }

  #read(rail: KernelRail): void {
    const before_ns = this.time.now_ns();
    try {
      const current = numberIn(rail.folder, 'curr1_input');
      const voltage = numberIn(rail.folder, 'in1_input');
      const now_ns = this.time.now_ns();
      const end = (before_ns + now_ns) / 2;
      const start = this.#last.get(rail.name) ?? end - (this.#interval_ms / 2) * 1e6;
      this.#last.set(rail.name, end);
      this.#failures = 0;
      this.chunks.emit(this.#block(rail, start, end, current, voltage, now_ns));
    } catch (caught) {
      const error = expected(caught);
      if (++this.#failures >= MAX_FAILURES || error.code === 'device.missing') this.fail(error, 'unplugged');
    }
  }

  #block(
    rail: KernelRail,
    start: number,
    end: number,
    current: number,
    voltage: number,
    arrival_ns: number,
  ): SampleBlock {
    return {
      kind: 'block',
      stream: rail.name,
      firstTick: Math.round(start),
      ticksPerSample: 0,
      length: 1,
      startTicks: Float64Array.of(start),
      endTicks: Float64Array.of(end),
      current: Float64Array.of(current),
      voltage: Float64Array.of(voltage),
      arrival_ns,
    };
  }
}
