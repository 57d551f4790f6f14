import type { ChipModel, ChipModelOptions } from '../ina2xx/emulated-chip.ts';
import { ina228Register, ina228Tables } from './spec.ts';

const POWER_ON_ADC = 0xfb68;
const POWER_ON_CALIBRATION = 0x1000;
const MOST = 2 ** 19 - 1;
const LEAST = -(2 ** 19);
const ACCUMULATOR = 2 ** 40;
/** DIAG_ALRT: bits that can be written, and those that only tell. */
const WRITABLE = 0xf000;
const ALERT_ON_READY = 0x4000;
const ENERGY_OVERFLOW = 0x0800;
const CHARGE_OVERFLOW = 0x0400;
const MATH_OVERFLOW = 0x0200;
const READY = 0x0002;
const MEMORY_IS_GOOD = 0x0001;
/** 25 degrees in steps of 7.8125 millidegrees. */
const ROOM_TEMPERATURE = 3200;
/** Turns that are measured at once. */
const BATCH = 64;

/**
 * The registers of an INA228 as functions of time. It converts shunt, bus and die temperature in turn, averages them into
 * results, and adds power and current of each turn (not of each result) to its accumulators, in seconds of its own
 * oscillator, which is `slow_rel` slower than it believes.
 */
export class Ina228Model implements ChipModel {
  readonly #options: ChipModelOptions;
  #config = 0;
  #adc = POWER_ON_ADC;
  #calibration = POWER_ON_CALIBRATION;
  #temperatureCoefficient = 0;
  #diagnostics = 0;
  /** When conversions began. */
  #configured_s: number;
  /** Turns since then, and what they sum up to in the result under way. */
  #turns = 0;
  #sums = { shunt_V: 0, bus_V: 0 };
  /** The latest result; whether the ready flag still has to tell of it. */
  #latest = { shunt: 0, bus: 0 };
  #hasResult = false;
  #isReady = false;
  /** Steps of the accumulators, with their fractions. */
  #energy = 0;
  #charge = 0;
  #energyOverflowed = false;
  #chargeOverflowed = false;
  readonly #current = new Float64Array(2 * BATCH);
  readonly #voltage = new Float64Array(2 * BATCH);

  constructor(options: ChipModelOptions, now_s: number) {
    this.#options = options;
    this.#configured_s = now_s;
  }

  get period_s(): number {
    return this.#turn_s * this.#averages;
  }

  get alertsOnReady(): boolean {
    return (this.#diagnostics & ALERT_ON_READY) !== 0;
  }

  reset(now_s: number): void {
    this.#config = 0;
    this.#calibration = POWER_ON_CALIBRATION;
    this.#temperatureCoefficient = 0;
    this.#diagnostics = 0;
    this.#latest = { shunt: 0, bus: 0 };
    this.clearAccumulators();
    this.#begin(POWER_ON_ADC, now_s);
  }

  /** What RSTACC does. */
  clearAccumulators(): void {
    this.#energy = 0;
    this.#charge = 0;
    this.#energyOverflowed = false;
    this.#chargeOverflowed = false;
  }

  /** Puts the accumulators just below where they wrap. */
  fillAccumulators(now_s: number): void {
    this.#advance(now_s);
    this.#energy = ACCUMULATOR - 2;
    this.#charge = ACCUMULATOR / 2 - 2;
  }

  write(register: number, value: number, now_s: number): void {
    this.#advance(now_s);
    switch (register) {
      case ina228Register.configuration:
        if (value & 0x8000) this.reset(now_s);
        else {
          if (value & 0x4000) this.clearAccumulators();
          this.#config = value & 0x3ff0;
        }
        break;
      case ina228Register.adcConfiguration:
        this.#begin(value, now_s);
        break;
      case ina228Register.shuntCalibration:
        this.#calibration = value & 0x7fff;
        break;
      case ina228Register.shuntTemperature:
        this.#temperatureCoefficient = value & 0x3fff;
        break;
      case ina228Register.diagnostics:
        this.#diagnostics = value & WRITABLE;
        break;
    }
  }

  read(register: number, now_s: number): number {
    this.#advance(now_s);
    const { shunt, bus } = this.#latest;
    switch (register) {
      case ina228Register.configuration:
        return this.#config;
      case ina228Register.adcConfiguration:
        return this.#adc;
      case ina228Register.shuntCalibration:
        return this.#calibration;
      case ina228Register.shuntTemperature:
        return this.#temperatureCoefficient;
      case ina228Register.shunt:
        return inBits23to4(shunt);
      case ina228Register.bus:
        return inBits23to4(bus);
      case ina228Register.dieTemperature:
        return ROOM_TEMPERATURE;
      case ina228Register.current:
        return inBits23to4(this.#currentOf(shunt));
      case ina228Register.power:
        return Math.min(0xff_ffff, this.#powerOf(shunt, bus));
      case ina228Register.energy:
        this.#energyOverflowed = false;
        return Math.floor(this.#energy);
      case ina228Register.charge:
        this.#chargeOverflowed = false;
        return (Math.floor(this.#charge) + ACCUMULATOR) % ACCUMULATOR;
      case ina228Register.diagnostics:
        return this.#readDiagnostics();
      case ina228Register.manufacturer:
        return 0x5449;
      case ina228Register.die:
        return 0x2281;
    }
    return 0;
  }

  latest(now_s: number): { shunt: number; bus: number } | null {
    this.#advance(now_s);
    return this.#hasResult ? this.#latest : null;
  }

  nextReady_s(now_s: number): number | null {
    this.#advance(now_s);
    if ((this.#mode & 7) === 0 || (!this.#isContinuous && this.#turns >= this.#averages)) return null;
    return this.#configured_s + (Math.floor(this.#turns / this.#averages) + 1) * this.period_s;
  }

  get #mode(): number {
    return this.#adc >> 12;
  }

  get #isContinuous(): boolean {
    return this.#mode >= 8;
  }

  get #averages(): number {
    return ina228Tables.averages[this.#adc & 7]!;
  }

  /** Whether bus (1), shunt (2) and temperature (4) are converted, and for how long by the chip's own oscillator. */
  #slot_s(bit: 1 | 2 | 4): number {
    if ((this.#mode & bit) === 0) return 0;
    const shift = bit === 1 ? 9 : bit === 2 ? 6 : 3;
    return ina228Tables.times_us[(this.#adc >> shift) & 7]! / 1e6;
  }

  get #ownTurn_s(): number {
    return this.#slot_s(1) + this.#slot_s(2) + this.#slot_s(4);
  }

  get #turn_s(): number {
    return this.#ownTurn_s * (1 + this.#options.slow_rel);
  }

  get #shuntStep_V(): number {
    return this.#config & 0x0010 ? 78.125e-9 : 312.5e-9;
  }

  #begin(adc: number, now_s: number): void {
    this.#adc = adc;
    // CONVDLY
    this.#configured_s = now_s + ((this.#config >> 6) & 0xff) * 2e-3;
    this.#turns = 0;
    this.#sums = { shunt_V: 0, bus_V: 0 };
    this.#hasResult = false;
    this.#isReady = false;
  }

  /** Carries out the turns that are complete by now. */
  #advance(now_s: number): void {
    if ((this.#mode & 7) === 0) return;
    let complete = Math.floor((now_s - this.#configured_s) / this.#turn_s + 1e-9);
    if (!this.#isContinuous) complete = Math.min(this.#averages, complete);
    while (this.#turns < complete) this.#carryOut(Math.min(BATCH, complete - this.#turns));
  }

  /** The shunt comes first in a turn, as in the data sheet's order of calculation. */
  #carryOut(count: number): void {
    const stretch = 1 + this.#options.slow_rel;
    const [shuntSlot_s, busSlot_s] = [this.#slot_s(2) * stretch, this.#slot_s(1) * stretch];
    const start_s = this.#configured_s + this.#turns * this.#turn_s;
    const { source, shunt_ohm } = this.#options;
    const [current, voltage] = [this.#current, this.#voltage];
    if (shuntSlot_s === busSlot_s && shuntSlot_s + busSlot_s === this.#turn_s) {
      source.fillMeans(start_s, shuntSlot_s, 2 * count, current, voltage);
      for (let k = 0; k < count; k++) this.#add(current[2 * k]! * shunt_ohm, voltage[2 * k + 1]!);
      return;
    }
    for (let k = 0; k < count; k++) {
      const at_s = start_s + k * this.#turn_s;
      if (shuntSlot_s > 0) source.fillMeans(at_s, shuntSlot_s, 1, current, voltage);
      const shunt_V = current[0]! * shunt_ohm;
      if (busSlot_s > 0) source.fillMeans(at_s + shuntSlot_s, busSlot_s, 1, current, voltage);
      this.#add(shunt_V, voltage[0]!);
    }
  }

  /** Adds one turn to the accumulators and to the result under way. */
  #add(shunt_V: number, bus_V: number): void {
    const [shunt, bus] = this.#codes(shunt_V, bus_V);
    this.#energy += (this.#powerOf(shunt, bus) * this.#ownTurn_s) / 16;
    this.#charge += this.#currentOf(shunt) * this.#ownTurn_s;
    if (this.#energy >= ACCUMULATOR) {
      this.#energy -= ACCUMULATOR;
      this.#energyOverflowed = true;
    }
    if (Math.abs(this.#charge) >= ACCUMULATOR / 2) {
      this.#charge -= Math.sign(this.#charge) * ACCUMULATOR;
      this.#chargeOverflowed = true;
    }
    this.#turns++;
    this.#sums.shunt_V += shunt_V;
    this.#sums.bus_V += bus_V;
    const averages = this.#averages;
    if (this.#turns % averages !== 0) return;
    const [meanShunt, meanBus] = this.#codes(this.#sums.shunt_V / averages, this.#sums.bus_V / averages);
    this.#latest = { shunt: meanShunt, bus: meanBus };
    this.#sums = { shunt_V: 0, bus_V: 0 };
    this.#hasResult = true;
    this.#isReady = true;
  }

  /** Codes of voltages; what is not converted keeps its code. */
  #codes(shunt_V: number, bus_V: number): [shunt: number, bus: number] {
    const clamp = (code: number, least: number) => Math.max(least, Math.min(MOST, Math.round(code)));
    return [
      this.#slot_s(2) > 0 ? clamp(shunt_V / this.#shuntStep_V, LEAST) : this.#latest.shunt,
      this.#slot_s(1) > 0 ? clamp(bus_V / 195.3125e-6, 0) : this.#latest.bus,
    ];
  }

  /** CURRENT, before it is cut to 20 bits. */
  #exactCurrent(shunt: number): number {
    return this.#calibration === 0 ? 0 : Math.round((shunt * 4096) / this.#calibration);
  }

  #currentOf(shunt: number): number {
    return Math.max(LEAST, Math.min(MOST, this.#exactCurrent(shunt)));
  }

  /** POWER: |CURRENT| * VBUS in steps of 3.2 steps of the current. */
  #powerOf(shunt: number, bus: number): number {
    return Math.round((Math.abs(this.#currentOf(shunt)) * bus * 195.3125e-6) / 3.2);
  }

  #readDiagnostics(): number {
    const { shunt, bus } = this.#latest;
    const isReady = this.#isReady;
    this.#isReady = false;
    const overflows = Math.abs(this.#exactCurrent(shunt)) > MOST + 1 || this.#powerOf(shunt, bus) > 0xff_ffff;
    return (
      this.#diagnostics |
      (this.#energyOverflowed ? ENERGY_OVERFLOW : 0) |
      (this.#chargeOverflowed ? CHARGE_OVERFLOW : 0) |
      (overflows ? MATH_OVERFLOW : 0) |
      (isReady ? READY : 0) |
      MEMORY_IS_GOOD
    );
  }
}

/** 20 bits in two's complement, where the results have them. */
const inBits23to4 = (code: number): number => (code & 0xf_ffff) * 16;
