import { DeviceError } from '../../signal/errors.ts';
import type { ClockInfo, Gap, SampleBlock, StreamInfo } from '../../signal/types.ts';
import type { I2cBus } from '../../transport/i2c.ts';
import { realTime, type TimeSource, wait } from '../../transport/time.ts';
import { CallOrder } from '../call-order.ts';
import { ChunkEmitter } from '../chunk-emitter.ts';
import { expected } from '../driver-errors.ts';
import type { InstrumentIdentity, PowerInstrument } from '../power-instrument.ts';
import { ChipRegisters, hex16 } from './chip-registers.ts';
import type { ChipSettings, ChipType, RailOutput, RailPlan } from './chip-type.ts';
import { ConversionClock } from './conversion-clock.ts';
import { chipAddresses, refusedSetting } from './rails.ts';

/** "TI" */
const MANUFACTURER = 0x5449;
const REVISION_BITS = 0x000f;

/** The pin ALERT of a chip, watched by the host: falling edges with their host-monotonic time. */
export interface AlertPin {
  /** @returns a function that removes the listener */
  onEdge(listener: (time_ns: number) => void): () => void;
}

export interface BusOptions {
  /** The chips have no serial number; an emulator gives one here. */
  serial?: string | null;
  time?: TimeSource;
  /** Chips for settings that name none: those of an emulator. */
  chips?: ChipSettings['chips'];
  /** ALERT of the one chip that is measured; absent = its ready flag is polled. */
  alert?: AlertPin;
}

const CLOCK = 'host';

/** Transfers that fail one after the other before the chip is given up. */
const MAX_FAILURES = 3;
/** Besides one period. */
const SILENCE_MS = 800;
/** Looking for the flag begins this much before it is expected, as a part of the period. */
const EARLY_REL = 0.02;
/** Before the first result only what is typical is known of the chip. */
const FIRST_EARLY_REL = 0.15;
/** Timers are coarse: below this the loop looks again at once. */
const SHORTEST_WAIT_MS = 1;
/** Reading a pair must end this much of a period before the next result may replace it. */
const TORN_REL = 0.98;
/** How often a chip is asked whether it still has its configuration. */
const CHECK_MS = 500;

interface Chip {
  plan: RailPlan;
  registers: ChipRegisters;
  output: RailOutput;
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
 * Chips of one type on an I2C bus, one rail each. Each result is stamped with the interval over which the chip averaged it,
 * on the host's clock: there is no other.
 */
export class ChipsOnBus<Settings extends ChipSettings> implements PowerInstrument<Settings> {
  readonly #type: ChipType<Settings>;
  readonly #bus: I2cBus;
  readonly #time: TimeSource;
  readonly #serial: string | null;
  readonly #alert: AlertPin | null;
  readonly #known: ChipSettings['chips'] | null;
  readonly #order: CallOrder;
  readonly #chunks: ChunkEmitter;
  readonly samples$: PowerInstrument['samples$'];
  readonly clocks: readonly ClockInfo[] = [{ id: CLOCK, tickHz: 1e9, kind: 'host', epoch_ns: null }];
  readonly supply = null;

  #found: number[] = [];
  #plans: RailPlan[] = [];
  #chips: Chip[] = [];
  #loop: Promise<void> = Promise.resolve();
  #alertTimes: number[] = [];
  #wake: () => void = () => {};
  #stopAlert: () => void = () => {};
  #uncertainties = { count: 0, sum_ns: 0, most_ns: 0 };

  constructor(type: ChipType<Settings>, bus: I2cBus, options: BusOptions = {}) {
    this.#type = type;
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
    const { family, name, model, identity, die: ownDie, revisions } = this.#type;
    const notices: string[] = [];
    const others: string[] = [];
    let busy: DeviceError | null = null;
    for (let address = chipAddresses.first; address <= chipAddresses.last; address++) {
      try {
        const chip = this.#registers(address);
        const manufacturer = await chip.read(identity.manufacturer);
        const die = await chip.read(identity.die);
        if (manufacturer !== MANUFACTURER || (die & ~REVISION_BITS) !== ownDie) {
          others.push(`0x${address.toString(16)} (${hex16(manufacturer)}, ${hex16(die)})`);
          continue;
        }
        this.#found.push(address);
        if (revisions !== null && !revisions.includes(die & REVISION_BITS))
          notices.push(`the chip at 0x${address.toString(16)} has an unknown revision (${hex16(die)})`);
        notices.push(...(await this.#type.notices(chip)));
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
            ? `no ${name} among the chips that answer: ${others.join(', ')}`
            : `no chip answers at the addresses of an ${name} (0x40 to 0x4f)`,
        remedy: 'check SDA, SCL, the supply of the chip and its address pins',
      });
    }
    return this.#order.opened({
      family,
      model,
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

  async configure(settings: Settings): Promise<void> {
    this.#order.check('configure()');
    const plans = this.#type.plan(
      settings.chips === undefined && this.#known ? { ...settings, chips: this.#known } : settings,
    );
    if (this.#alert && plans.length > 1) {
      throw refusedSetting(
        'chips',
        'the pin ALERT of one chip cannot time several',
        'measure with one chip, or leave the pin out',
      );
    }
    const missing = plans.find(({ rail }) => !this.#found.includes(rail.address));
    if (missing) {
      throw refusedSetting(
        'chips',
        `there is no ${this.#type.name} at 0x${missing.rail.address.toString(16)}`,
        `found were: ${this.describe().hardware}`,
      );
    }
    for (const { rail, setup } of plans) {
      const chip = this.#registers(rail.address);
      for (const [register, value] of setup(this.#alert !== null)) await chip.write(register, value);
    }
    this.#plans = plans;
    this.#order.moveTo('configured');
  }

  get streams(): readonly StreamInfo[] {
    if (this.#plans.length === 0) throw this.#order.wrong('streams', 'configure()');
    return this.#plans.map((plan) => plan.stream(CLOCK));
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
    for (const plan of this.#plans) {
      const registers = this.#registers(plan.rail.address);
      for (const [register, value] of plan.start) await registers.write(register, value);
      const now_ns = this.#time.now_ns();
      const period_ns = plan.period_us * 1e3;
      this.#chips.push({
        plan,
        registers,
        output: plan.output(),
        clock: new ConversionClock(period_ns),
        notReady_ns: null,
        nextLook_ns: now_ns + period_ns * (1 - FIRST_EARLY_REL),
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
    for (const { plan, registers } of this.#chips) await registers.write(...plan.stop);
  }

  async close(): Promise<void> {
    await this.stop().catch(() => {});
    this.#order.moveTo('closed');
    this.#chunks.complete();
    await this.#bus.close();
  }

  #registers(address: number): ChipRegisters {
    return new ChipRegisters(this.#bus, address, this.#time);
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
        const flags = await chip.registers.read(this.#type.ready.register);
        await this.#take(chip, flags, ready_ns, ready_ns);
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
    const { register, mask } = this.#type.ready;
    const before_ns = this.#time.now_ns();
    const flags = await chip.registers.read(register);
    if ((flags & mask) === 0) {
      chip.notReady_ns = before_ns;
      chip.nextLook_ns = this.#time.now_ns();
      this.#checkSilence(chip);
      return;
    }
    await this.#take(chip, flags, chip.notReady_ns, this.#time.now_ns());
  }

  /** Reads the result that has become ready between the two times. */
  async #take(chip: Chip, flags: number, notBefore_ns: number | null, notAfter_ns: number): Promise<void> {
    const { clock, output, registers } = chip;
    await output.read(registers, flags);
    const now_ns = this.#time.now_ns();
    const seen = clock.see({ notBefore_ns, notAfter_ns });
    const { period_ns } = clock;
    chip.notReady_ns = null;
    chip.lastResult_ns = now_ns;
    // Early enough to find it not ready yet, however badly the last end is known.
    chip.nextLook_ns = seen.end_ns + period_ns - Math.max(EARLY_REL * period_ns, 2 * seen.u_ns);
    const isTorn = now_ns > seen.end_ns + TORN_REL * period_ns;
    this.#emit(...output.take({ ...seen, now_ns, period_ns, isTorn }));
    if (!isTorn) {
      this.#noteUncertainty(seen.u_ns);
      this.#noteOverload(chip, seen.end_ns);
    }
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

  #noteOverload(chip: Chip, tick: number): void {
    const overload = chip.output.overload();
    if (overload !== null && !chip.isOverloaded) this.#chunks.event('overload', overload, Math.round(tick));
    chip.isOverloaded = overload !== null;
  }

  /** A chip that lost its supply for a moment has forgotten its configuration and converts differently. */
  async #checkConfiguration(chip: Chip): Promise<void> {
    const { plan, registers } = chip;
    chip.nextCheck_ns = this.#time.now_ns() + CHECK_MS * 1e6;
    const [register, wanted] = plan.kept;
    const configuration = await registers.read(register);
    if (configuration === wanted) return;
    this.#fail(
      new DeviceError('device.reset', {
        where: registers.where,
        problem: `it has been reset: its configuration reads ${hex16(configuration)}, not ${hex16(wanted)}`,
        remedy: 'check the supply of the chip, and that no other program uses it',
      }),
    );
  }

  #checkSilence({ plan, registers, lastResult_ns }: Chip): void {
    const silent_ns = this.#time.now_ns() - lastResult_ns;
    if (silent_ns < plan.period_us * 1e3 + SILENCE_MS * 1e6) return;
    this.#fail(
      new DeviceError('device.stalled', {
        where: registers.where,
        problem: `no result for ${Math.round(silent_ns / 1e6)} ms`,
        remedy: 'check the supply of the chip (and the wire of its ALERT), and that no other program uses it',
      }),
    );
  }

  /** Passes on what has been collected, and how well the times are known. */
  #finish(): void {
    this.#stopAlert();
    for (const { output } of this.#chips) this.#emit(output.flush());
    const { count, sum_ns, most_ns } = this.#uncertainties;
    if (count === 0) return;
    const tick = Math.round(Math.max(...this.#chips.map(({ lastResult_ns }) => lastResult_ns)));
    for (const { output } of this.#chips) for (const text of output.summary()) this.#chunks.event('info', text, tick);
    this.#chunks.event(
      'info',
      `the end of a conversion is known to ${(sum_ns / count / 1e3).toFixed(0)} us on average, ` +
        `${(most_ns / 1e3).toFixed(0)} us at worst`,
      tick,
    );
  }

  #fail(error: DeviceError): void {
    if (!this.#order.isSampling()) return;
    this.#order.moveTo('stopped');
    this.#finish();
    for (const { output, clock, lastResult_ns } of this.#chips) {
      const end_ns = clock.expected_ns === null ? lastResult_ns : clock.expected_ns - clock.period_ns;
      this.#emit(output.gap(end_ns, null, error.code === 'device.silent' ? 'unplugged' : 'unknown'));
    }
    this.#chunks.fail(error);
  }
}
