import type { ChipModel, ChipModelOptions } from '../ina2xx/emulated-chip.ts';
import { ina226Register, ina226Tables } from './spec.ts';

/** Registers after power-on. */
const POWER_ON: Readonly<Record<number, number>> = {
  [ina226Register.configuration]: 0x4127,
  [ina226Register.manufacturer]: 0x5449,
  [ina226Register.die]: 0x2260,
};
const READY = 0x0008;
const OVERFLOW = 0x0004;
const ALERT_ON_READY = 0x0400;
const WRITABLE_MASK = 0xfc03;

/** The result of one conversion of shunt and bus (with averaging). */
interface Conversion {
  /** Counted from the last write of the configuration. */
  number: number;
  start_s: number;
  end_s: number;
  shunt: number;
  bus: number;
}

/**
 * The registers of an INA226 as functions of time: conversions run one after the other from each write of the
 * configuration, the results change only when one is complete, and CVRF is cleared by reading Mask/Enable or by writing
 * the configuration, not by reading the results.
 */
export class Ina226Model implements ChipModel {
  readonly #options: ChipModelOptions;
  #configuration = POWER_ON[ina226Register.configuration]!;
  #calibration = 0;
  #mask = 0;
  #limit = 0;
  #configured_s: number;
  #latest: Conversion | null = null;
  /** Conversions up to this one have been told by CVRF. */
  #told = 0;
  readonly #mean = new Float64Array(1);
  readonly #other = new Float64Array(1);

  constructor(options: ChipModelOptions, now_s: number) {
    this.#options = options;
    this.#configured_s = now_s;
  }

  /** Duration of one conversion with its averaging. */
  get period_s(): number {
    const times = [this.#measures(1) ? this.#shuntTime_s : 0, this.#measures(2) ? this.#busTime_s : 0];
    return (times[0]! + times[1]!) * ina226Tables.averages[(this.#configuration >> 9) & 7]!;
  }

  /** True where Mask/Enable routes CVRF to the pin ALERT. */
  get alertsOnReady(): boolean {
    return (this.#mask & ALERT_ON_READY) !== 0;
  }

  /** Everything returns to what it was at power-on. */
  reset(now_s: number): void {
    this.#calibration = 0;
    this.#mask = 0;
    this.#limit = 0;
    this.#latest = null;
    this.#configure(POWER_ON[ina226Register.configuration]!, now_s);
  }

  write(register: number, value: number, now_s: number): void {
    switch (register) {
      case ina226Register.configuration:
        if (value & 0x8000) this.reset(now_s);
        else {
          this.#advance(now_s);
          this.#configure((value & 0x0fff) | 0x4000, now_s);
        }
        break;
      case ina226Register.calibration:
        this.#calibration = value & 0x7fff;
        break;
      case ina226Register.maskEnable:
        this.#mask = value & WRITABLE_MASK;
        break;
      case ina226Register.alertLimit:
        this.#limit = value;
        break;
    }
  }

  read(register: number, now_s: number): number {
    this.#advance(now_s);
    const { shunt, bus } = this.#latest ?? { shunt: 0, bus: 0 };
    const current = Math.trunc((shunt * this.#calibration) / 2048);
    const overflows = Math.abs(current) > 0x7fff;
    switch (register) {
      case ina226Register.configuration:
        return this.#configuration;
      case ina226Register.shunt:
        return shunt & 0xffff;
      case ina226Register.bus:
        return bus;
      case ina226Register.current:
        return current & 0xffff;
      case ina226Register.power:
        return Math.trunc((Math.abs(current) * bus) / 20_000) & 0xffff;
      case ina226Register.calibration:
        return this.#calibration;
      case ina226Register.alertLimit:
        return this.#limit;
      case ina226Register.maskEnable: {
        const isReady = this.#completed > this.#told;
        this.#told = this.#completed;
        return this.#mask | (isReady ? READY : 0) | (overflows ? OVERFLOW : 0);
      }
    }
    return POWER_ON[register] ?? 0;
  }

  /** The latest conversion that is complete; null before the first. */
  latest(now_s: number): Conversion | null {
    this.#advance(now_s);
    return this.#latest;
  }

  /** When the conversion under way will be complete; null where none is. */
  nextReady_s(now_s: number): number | null {
    this.#advance(now_s);
    if (this.#mode === 0 || this.#mode === 4) return null;
    if (this.#mode < 4 && this.#completed > 0) return null;
    return this.#configured_s + (this.#completed + 1) * this.period_s;
  }

  get #mode(): number {
    return this.#configuration & 7;
  }

  get #completed(): number {
    return this.#latest?.number ?? 0;
  }

  #measures(bit: number): boolean {
    return (this.#mode & bit) !== 0;
  }

  get #shuntTime_s(): number {
    return (ina226Tables.times_us[(this.#configuration >> 3) & 7]! / 1e6) * (1 + this.#options.slow_rel);
  }

  get #busTime_s(): number {
    return (ina226Tables.times_us[(this.#configuration >> 6) & 7]! / 1e6) * (1 + this.#options.slow_rel);
  }

  #configure(configuration: number, now_s: number): void {
    this.#configuration = configuration;
    this.#configured_s = now_s;
    this.#told = 0;
    if (this.#latest) this.#latest = { ...this.#latest, number: 0 };
  }

  #advance(now_s: number): void {
    if (this.#mode === 0 || this.#mode === 4) return;
    let completed = Math.floor((now_s - this.#configured_s) / this.period_s + 1e-9);
    if (this.#mode < 4) completed = Math.min(completed, 1);
    if (completed > this.#completed) this.#latest = this.#convert(completed);
  }

  /** Shunt and bus are converted in turn, as often as is averaged; which comes first is not documented. */
  #convert(number: number): Conversion {
    const start_s = this.#configured_s + (number - 1) * this.period_s;
    const averages = ina226Tables.averages[(this.#configuration >> 9) & 7]!;
    let shunt_V = 0;
    let bus_V = 0;
    let at_s = start_s;
    for (let k = 0; k < averages; k++) {
      if (this.#measures(1)) {
        this.#options.source.fillMeans(at_s, this.#shuntTime_s, 1, this.#mean, this.#other);
        shunt_V += this.#mean[0]! * this.#options.shunt_ohm;
        at_s += this.#shuntTime_s;
      }
      if (this.#measures(2)) {
        this.#options.source.fillMeans(at_s, this.#busTime_s, 1, this.#other, this.#mean);
        bus_V += this.#mean[0]!;
        at_s += this.#busTime_s;
      }
    }
    const before = this.#latest ?? { shunt: 0, bus: 0 };
    const clamp = (code: number, least: number) => Math.max(least, Math.min(0x7fff, Math.round(code)));
    return {
      number,
      start_s,
      end_s: start_s + this.period_s,
      shunt: this.#measures(1) ? clamp(shunt_V / averages / 2.5e-6, -0x8000) : before.shunt,
      bus: this.#measures(2) ? clamp(bus_V / averages / 1.25e-3, 0) : before.bus,
    };
  }
}
