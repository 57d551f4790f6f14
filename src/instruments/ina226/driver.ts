import { DeviceError, UsageError } from '../../signal/errors.ts';
import type { ClockInfo, Gap, SampleBlock, StreamInfo } from '../../signal/types.ts';
import { stalled } from '../../transport/errors.ts';
import type { I2cBus } from '../../transport/i2c.ts';
import { realTime, type TimeSource, wait, within } from '../../transport/time.ts';
import { CallOrder } from '../call-order.ts';
import { ChunkEmitter } from '../chunk-emitter.ts';
import { expected } from '../driver-errors.ts';
import type { InstrumentIdentity, PowerInstrument } from '../power-instrument.ts';
import { calibrationRegister, configurationFor, encodeConfiguration, periodOf_us } from './configuration.ts';
import { ConversionClock } from './conversion-clock.ts';
import { decodeWord, encodeWord, signed16 } from './protocol.ts';
import { RailStream, railStreamInfo } from './rail-stream.ts';
import { type Ina226Settings, ina226DefaultRate_Hz, type Rail, railsOf } from './settings.ts';
import {
  ina226Accuracy,
  ina226Addresses,
  ina226Die,
  ina226Fixed,
  ina226Flag,
  ina226FullShunt,
  ina226Manufacturer,
  ina226Register,
  ina226Reset,
  ina226ShuntStep_V,
} from './spec.ts';

/** The pin ALERT of a chip, watched by the host: falling edges with their host-monotonic time. */
export interface AlertPin {
  /** @returns a function that removes the listener */
  onEdge(listener: (time_ns: number) => void): () => void;
}

export interface Ina226Options {
  /** The chips have no serial number; an emulator gives one here. */
  serial?: string | null;
  time?: TimeSource;
  /** Chips for settings that name none: those of an emulator. */
  chips?: Ina226Settings['chips'];
  /** ALERT of the one chip that is measured; absent = its ready flag is polled. */
  alert?: AlertPin;
}

const CLOCK = 'host';

/** No transfer may take longer. */
const TRANSFER_LIMIT_MS = 500;
/** Transfers that fail one after the other before the chip is given up. */
const MAX_FAILURES = 3;
/** Besides one period. */
const SILENCE_MS = 800;
/** Looking for the flag begins this much before it is expected, as a part of the period. */
const EARLY_REL = 0.02;
/** Timers are coarse: below this the loop looks again at once. */
const SHORTEST_WAIT_MS = 1;
/** Reading a pair must end this much of a period before the next result may replace it. */
const TORN_REL = 0.98;
/** How often a chip is asked whether it still has its configuration. */
const CHECK_MS = 500;

interface Chip {
  rail: Rail;
  stream: RailStream;
  clock: ConversionClock;
  /** When it was last seen not to be ready, since the last result; null if not at all. */
  notReady_ns: number | null;
  nextLook_ns: number;
  nextCheck_ns: number;
  lastResult_ns: number;
  failures: number;
  isOverloaded: boolean;
}

/**
 * INA226 chips on an I2C bus, one rail each. Each result is stamped with the interval over which the chip averaged it, on
 * the host's clock: there is no other.
 */
export class Ina226 implements PowerInstrument<Ina226Settings> {
  readonly #bus: I2cBus;
  readonly #time: TimeSource;
  readonly #serial: string | null;
  readonly #alert: AlertPin | null;
  readonly #known: Ina226Settings['chips'] | null;
  readonly #order: CallOrder;
  readonly #chunks: ChunkEmitter;
  readonly samples$: PowerInstrument['samples$'];
  readonly clocks: readonly ClockInfo[] = [{ id: CLOCK, tickHz: 1e9, kind: 'host', epoch_ns: null }];
  readonly supply = null;

  #found: number[] = [];
  #configuration = 0;
  #period_ns = 0;
  #rails: Rail[] = [];
  #chips: Chip[] = [];
  #loop: Promise<void> = Promise.resolve();
  #alertTimes: number[] = [];
  #wake: () => void = () => {};
  #stopAlert: () => void = () => {};
  #uncertainties = { count: 0, sum_ns: 0, most_ns: 0 };

  constructor(bus: I2cBus, options: Ina226Options = {}) {
    this.#bus = bus;
    this.#time = options.time ?? realTime;
    this.#serial = options.serial ?? null;
    this.#alert = options.alert ?? null;
    this.#known = options.chips ?? null;
    this.#order = new CallOrder(bus.name);
    this.#chunks = new ChunkEmitter(this.#time, CLOCK);
    this.samples$ = this.#chunks.chunks$;
  }

  async open(): Promise<InstrumentIdentity> {
    const notices: string[] = [];
    const others: string[] = [];
    let busy: DeviceError | null = null;
    for (let address = ina226Addresses.first; address <= ina226Addresses.last; address++) {
      try {
        const manufacturer = await this.#read(address, ina226Register.manufacturer);
        const die = await this.#read(address, ina226Register.die);
        if (manufacturer !== ina226Manufacturer || (die & 0xfff0) !== ina226Die) {
          others.push(`0x${address.toString(16)} (${hex(manufacturer)}, ${hex(die)})`);
          continue;
        }
        this.#found.push(address);
        if (die !== ina226Die)
          notices.push(`the chip at 0x${address.toString(16)} has an unknown revision (${hex(die)})`);
      } catch (caught) {
        const error = expected(caught);
        if (error.code === 'device.busy') busy = error;
        else if (error.code !== 'device.silent') throw error;
      }
    }
    if (this.#found.length === 0) {
      if (busy) throw busy;
      throw new DeviceError(others.length > 0 ? 'device.wrong' : 'device.silent', {
        where: this.#bus.name,
        problem:
          others.length > 0
            ? `no INA226 among the chips that answer: ${others.join(', ')}`
            : 'no chip answers at the addresses of an INA226 (0x40 to 0x4f)',
        remedy: 'check SDA, SCL, the supply of the chip and its address pins',
      });
    }
    return this.#order.opened({
      family: 'ina226',
      model: ina226Accuracy.model,
      serial: this.#serial,
      firmware: null,
      hardware: this.#found.map((address) => `0x${address.toString(16)}`).join(', '),
      rates_Hz: [],
      supplyRange_V: null,
      notices,
    });
  }

  describe(): InstrumentIdentity {
    return this.#order.describe();
  }

  async configure(settings: Ina226Settings): Promise<void> {
    this.#order.check('configure()');
    const rails = railsOf(settings.chips === undefined && this.#known ? { ...settings, chips: this.#known } : settings);
    if (this.#alert && rails.length > 1) {
      throw new UsageError('instrument.settings', {
        where: 'instrument.settings.chips',
        problem: 'the pin ALERT of one chip cannot time several',
        remedy: 'measure with one chip, or leave the pin out',
      });
    }
    const missing = rails.find(({ address }) => !this.#found.includes(address));
    if (missing) {
      throw new UsageError('instrument.settings', {
        where: 'instrument.settings.chips',
        problem: `there is no INA226 at 0x${missing.address.toString(16)}`,
        remedy: `found were: ${this.describe().hardware}`,
      });
    }
    const chosen = configurationFor(settings.rate_Hz ?? ina226DefaultRate_Hz);
    this.#configuration = encodeConfiguration(chosen);
    this.#period_ns = periodOf_us(chosen) * 1e3;
    for (const { address, shunt_ohm } of rails) {
      const currentStep_A = ina226ShuntStep_V / shunt_ohm;
      await this.#write(address, ina226Register.configuration, ina226Reset);
      await this.#write(address, ina226Register.calibration, calibrationRegister(currentStep_A, shunt_ohm));
      await this.#write(address, ina226Register.maskEnable, this.#alert ? ina226Flag.alertOnReady : 0);
    }
    this.#rails = rails;
    this.#order.moveTo('configured');
  }

  get streams(): readonly StreamInfo[] {
    if (this.#rails.length === 0) throw this.#order.wrong('streams', 'configure()');
    return this.#rails.map((rail) => railStreamInfo(rail, CLOCK));
  }

  async start(): Promise<void> {
    this.#order.check('start()');
    this.#chips = [];
    if (this.#alert) {
      this.#stopAlert = this.#alert.onEdge((time_ns) => {
        this.#alertTimes.push(time_ns);
        this.#wake();
      });
    }
    for (const rail of this.#rails) {
      await this.#write(rail.address, ina226Register.configuration, this.#configuration);
      const now_ns = this.#time.now_ns();
      this.#chips.push({
        rail,
        stream: new RailStream(rail),
        clock: new ConversionClock(this.#period_ns),
        notReady_ns: null,
        nextLook_ns: now_ns + this.#period_ns * (1 - EARLY_REL),
        nextCheck_ns: now_ns + CHECK_MS * 1e6,
        lastResult_ns: now_ns,
        failures: 0,
        isOverloaded: false,
      });
    }
    this.#order.moveTo('sampling');
    this.#loop = this.#alert ? this.#followAlert() : this.#poll();
  }

  async stop(): Promise<void> {
    if (!this.#order.isSampling()) return;
    this.#order.moveTo('stopped');
    this.#wake();
    await this.#loop;
    this.#finish();
    this.#chunks.complete();
    for (const { rail } of this.#chips) {
      await this.#write(rail.address, ina226Register.configuration, ina226Fixed);
    }
  }

  async close(): Promise<void> {
    await this.stop().catch(() => {});
    this.#order.moveTo('closed');
    this.#chunks.complete();
    await this.#bus.close();
  }

  async #read(address: number, register: number): Promise<number> {
    const bytes = await this.#bounded(this.#bus.readRegister(address, register, 2));
    const word = decodeWord(bytes);
    if (word !== null) return word;
    throw new DeviceError('device.protocol', {
      where: `${this.#bus.name}, address 0x${address.toString(16)}`,
      problem: `register ${hex(register)} gave ${bytes.length} bytes, not 2`,
      remedy: 'check the wiring of the bus',
    });
  }

  #write(address: number, register: number, value: number): Promise<void> {
    return this.#bounded(this.#bus.writeRegister(address, register, encodeWord(value)));
  }

  #bounded<T>(work: Promise<T>): Promise<T> {
    return within(this.#time, TRANSFER_LIMIT_MS, work, () => stalled(this.#bus.name, 'a transfer'));
  }

  /** Looks at one chip after the other, each around the time at which its next result is expected. */
  async #poll(): Promise<void> {
    while (this.#order.isSampling()) {
      const chip = this.#chips.reduce((a, b) => (b.nextLook_ns < a.nextLook_ns ? b : a));
      const delay_ms = (chip.nextLook_ns - this.#time.now_ns()) / 1e6;
      if (delay_ms >= SHORTEST_WAIT_MS) {
        await wait(this.#time, Math.min(delay_ms, SILENCE_MS));
        continue;
      }
      await this.#attempt(chip, () => this.#look(chip));
    }
  }

  /** Reads the chip each time its ALERT falls. */
  async #followAlert(): Promise<void> {
    const chip = this.#chips[0]!;
    while (this.#order.isSampling()) {
      const ready_ns = this.#alertTimes.shift();
      if (ready_ns === undefined) {
        await new Promise<void>((resolve) => {
          const cancel = this.#time.after(SILENCE_MS / 4, resolve);
          this.#wake = () => {
            cancel();
            resolve();
          };
        });
        if (this.#order.isSampling() && this.#alertTimes.length === 0) {
          this.#checkSilence(chip);
          await this.#attempt(chip, () => this.#checkConfiguration(chip));
        }
        continue;
      }
      // Of several edges only the last result is still there.
      if (this.#alertTimes.length > 0) continue;
      await this.#attempt(chip, async () => {
        await this.#read(chip.rail.address, ina226Register.maskEnable);
        await this.#take(chip, ready_ns, ready_ns);
      });
    }
  }

  /** A transfer that fails now and then costs a result; a chip that fails again and again ends the stream. */
  async #attempt(chip: Chip, work: () => Promise<void>): Promise<void> {
    try {
      await work();
      chip.failures = 0;
    } catch (caught) {
      const error = expected(caught);
      chip.failures++;
      if (chip.failures >= MAX_FAILURES || error.code !== 'device.silent') this.#fail(error);
    }
  }

  async #look(chip: Chip): Promise<void> {
    const before_ns = this.#time.now_ns();
    const flags = await this.#read(chip.rail.address, ina226Register.maskEnable);
    if ((flags & ina226Flag.ready) === 0) {
      chip.notReady_ns = before_ns;
      chip.nextLook_ns = this.#time.now_ns();
      this.#checkSilence(chip);
      return;
    }
    await this.#take(chip, chip.notReady_ns, this.#time.now_ns());
  }

  /** Reads the result that has become ready between the two times. */
  async #take(chip: Chip, notBefore_ns: number | null, notAfter_ns: number): Promise<void> {
    const { rail, clock, stream } = chip;
    const shunt = signed16(await this.#read(rail.address, ina226Register.shunt));
    const bus = await this.#read(rail.address, ina226Register.bus);
    const now_ns = this.#time.now_ns();
    const seen = clock.see({ notBefore_ns, notAfter_ns });
    chip.notReady_ns = null;
    chip.lastResult_ns = now_ns;
    // Early enough to find it not ready yet, however badly the last end is known.
    chip.nextLook_ns = seen.end_ns + clock.period_ns - Math.max(EARLY_REL * clock.period_ns, 2 * seen.u_ns);
    const gapStart_ns = seen.start_ns - seen.missed * clock.period_ns;
    if (seen.missed > 0) this.#emit(stream.flush(), stream.gap(gapStart_ns, seen.missed, 'host-overrun'));
    if (now_ns > seen.end_ns + TORN_REL * clock.period_ns) {
      // The next result may have replaced one of the two.
      this.#emit(stream.flush(), stream.gap(seen.start_ns, 1, 'invalid'));
      return;
    }
    this.#noteUncertainty(seen.u_ns);
    this.#emit(stream.add(seen.start_ns, seen.end_ns, shunt, bus, now_ns));
    this.#noteOverload(chip, shunt, seen.end_ns);
    if (now_ns >= chip.nextCheck_ns) await this.#checkConfiguration(chip);
  }

  #emit(...chunks: (SampleBlock | Gap | null)[]): void {
    for (const chunk of chunks) if (chunk) this.#chunks.emit(chunk);
  }

  #noteUncertainty(u_ns: number): void {
    this.#uncertainties.count++;
    this.#uncertainties.sum_ns += u_ns;
    this.#uncertainties.most_ns = Math.max(this.#uncertainties.most_ns, u_ns);
  }

  #noteOverload(chip: Chip, shunt: number, tick: number): void {
    const isOverloaded = Math.abs(shunt) >= ina226FullShunt;
    if (isOverloaded && !chip.isOverloaded) {
      this.#chunks.event(
        'overload',
        `the shunt of ${chip.rail.name} has more than 81.92 mV across it`,
        Math.round(tick),
      );
    }
    chip.isOverloaded = isOverloaded;
  }

  /** A chip that lost its supply for a moment has forgotten its configuration and converts differently. */
  async #checkConfiguration(chip: Chip): Promise<void> {
    chip.nextCheck_ns = this.#time.now_ns() + CHECK_MS * 1e6;
    const configuration = await this.#read(chip.rail.address, ina226Register.configuration);
    if (configuration === this.#configuration) return;
    this.#fail(
      new DeviceError('device.reset', {
        where: `${this.#bus.name}, address 0x${chip.rail.address.toString(16)}`,
        problem: `it has been reset: its configuration reads ${hex(configuration)}, not ${hex(this.#configuration)}`,
        remedy: 'check the supply of the chip, and that no other program uses it',
      }),
    );
  }

  #checkSilence(chip: Chip): void {
    const silent_ns = this.#time.now_ns() - chip.lastResult_ns;
    if (silent_ns < this.#period_ns + SILENCE_MS * 1e6) return;
    this.#fail(
      new DeviceError('device.stalled', {
        where: `${this.#bus.name}, address 0x${chip.rail.address.toString(16)}`,
        problem: `no result for ${Math.round(silent_ns / 1e6)} ms`,
        remedy: 'check the supply of the chip (and the wire of its ALERT), and that no other program uses it',
      }),
    );
  }

  /** Passes on what has been collected, and how well the times are known. */
  #finish(): void {
    this.#stopAlert();
    for (const { stream } of this.#chips) this.#emit(stream.flush());
    const { count, sum_ns, most_ns } = this.#uncertainties;
    if (count === 0) return;
    this.#chunks.event(
      'info',
      `the end of a conversion is known to ${(sum_ns / count / 1e3).toFixed(0)} us on average, ` +
        `${(most_ns / 1e3).toFixed(0)} us at worst`,
      Math.round(Math.max(...this.#chips.map(({ lastResult_ns }) => lastResult_ns))),
    );
  }

  #fail(error: DeviceError): void {
    if (!this.#order.isSampling()) return;
    this.#order.moveTo('stopped');
    this.#finish();
    for (const { stream, clock, lastResult_ns } of this.#chips) {
      const end_ns = clock.expected_ns === null ? lastResult_ns : clock.expected_ns - clock.period_ns;
      this.#emit(stream.gap(end_ns, null, error.code === 'device.silent' ? 'unplugged' : 'unknown'));
    }
    this.#chunks.fail(error);
  }
}

const hex = (word: number): string => `0x${word.toString(16).padStart(4, '0')}`;
