import { DeviceError } from '../../signal/errors.ts';
import { alreadyClosed, silent } from '../../transport/errors.ts';
import type { I2cBus } from '../../transport/i2c.ts';
import { wait } from '../../transport/time.ts';
import {
  checkEmulatorSerial,
  type Emulator,
  type EmulatorOptions,
  type FaultCatalogue,
  type FaultDone,
  parseFault,
} from '../emulator.ts';
import { Ina226Model } from './chip-model.ts';
import type { AlertPin } from './driver.ts';
import { ina226Register } from './spec.ts';

export const ina226Faults: FaultCatalogue = {
  'nack=': 'does not answer the next N transfers',
  unplug: 'answers no transfer any more',
  stall: 'the bus hangs: transfers never end',
  'late=': 'the next transfer takes N ms',
  'no-ready': 'no conversion is ever ready again',
  reset: 'the chip loses its supply for a moment and forgets its configuration',
  'wrong-chip': 'identifies itself as another chip',
  'new-revision': 'identifies itself as an unknown revision',
  permission: 'the bus may not be used',
};

/** A chip on the emulated bus. */
export interface EmulatedChip {
  address: number;
  shunt_ohm: number;
}

export interface Ina226EmulatorOptions extends EmulatorOptions {
  /** Absent = one at 0x40 with 0.1 ohm. */
  chips?: readonly EmulatedChip[];
  /** Time of one transfer; absent = that of 400 kHz. */
  transfer_ms?: number;
  /** How much longer than typical conversions take; absent = 0.013. */
  slow_rel?: number;
}

const TRANSFER_MS = 0.12;
const SLOW_REL = 0.013;

/** INA226 chips on an I2C bus, seen from the host. */
export class Ina226Emulator implements Emulator, I2cBus {
  readonly serial: string;
  readonly name = 'emulated ina226';
  readonly faultsDone: FaultDone[] = [];
  readonly #options: Ina226EmulatorOptions;
  readonly #sourceStart_ns: number;
  readonly #chips = new Map<number, Ina226Model>();
  readonly #faults: { name: string; value: number }[] = [];
  #transfers = Promise.resolve();
  #isClosed = false;
  #isGone = false;
  #isStalled = false;
  #hasNoReady = false;
  #firstSample_s: number | null = null;
  #cancelAlert: () => void = () => {};
  readonly #alertListeners = new Set<(time_ns: number) => void>();

  constructor(options: Ina226EmulatorOptions) {
    this.serial = checkEmulatorSerial(options.serial ?? 'SIM-INA226-0001');
    this.#options = options;
    this.#sourceStart_ns = options.sourceStart_ns ?? options.time.now_ns();
    const slow_rel = options.slow_rel ?? SLOW_REL;
    for (const { address, shunt_ohm } of options.chips ?? [{ address: 0x40, shunt_ohm: 0.1 }]) {
      this.#chips.set(address, new Ina226Model({ source: options.source, shunt_ohm, slow_rel }, this.#now_s()));
    }
  }

  get firstSample_s(): number | null {
    return this.#firstSample_s;
  }

  /** Host time at which the source's own time is 0. */
  get sourceStart_ns(): number {
    return this.#sourceStart_ns;
  }

  /** The pin ALERT of the first chip. */
  readonly alert: AlertPin = {
    onEdge: (listener) => {
      this.#alertListeners.add(listener);
      return () => this.#alertListeners.delete(listener);
    },
  };

  inject(fault: string): void {
    const parsed = parseFault(fault, ina226Faults);
    switch (parsed.name) {
      case 'unplug':
        this.#isGone = true;
        break;
      case 'stall':
        this.#isStalled = true;
        break;
      case 'no-ready':
        this.#hasNoReady = true;
        break;
      case 'reset':
        for (const chip of this.#chips.values()) chip.reset(this.#now_s());
        break;
      default:
        this.#faults.push(parsed);
    }
  }

  stop(): void {
    this.#cancelAlert();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.stop();
  }

  readRegister(address: number, register: number, length: number): Promise<Uint8Array> {
    return this.#transfer(address, (chip) => {
      let word = chip.read(register, this.#now_s());
      if (register === ina226Register.manufacturer && this.#hasFault('wrong-chip')) word = 0x1234;
      if (register === ina226Register.die && this.#hasFault('new-revision')) word |= 0x0003;
      if (register === ina226Register.maskEnable && this.#hasNoReady) word &= ~0x0008;
      return Uint8Array.of(word >> 8, word & 0xff).subarray(0, length);
    });
  }

  async writeRegister(address: number, register: number, bytes: Uint8Array): Promise<void> {
    await this.#transfer(address, (chip) => {
      chip.write(register, (bytes[0]! << 8) | bytes[1]!, this.#now_s());
      if (register !== ina226Register.configuration) return;
      if (chip.nextReady_s(this.#now_s()) !== null) this.#firstSample_s = this.#now_s();
      this.#scheduleAlert();
    });
  }

  #now_s(): number {
    return (this.#options.time.now_ns() - this.#sourceStart_ns) / 1e9;
  }

  #hasFault(name: string): boolean {
    return this.#faults.some((fault) => fault.name === name);
  }

  #takeFault(name: string): { value: number } | null {
    const at = this.#faults.findIndex((fault) => fault.name === name);
    return at < 0 ? null : this.#faults.splice(at, 1)[0]!;
  }

  /** Transfers are carried out one after the other, in the middle of the time that each takes. */
  #transfer<T>(address: number, work: (chip: Ina226Model) => T): Promise<T> {
    const result = this.#transfers.then(() => this.#carryOut(address, work));
    this.#transfers = result.then(
      () => {},
      () => {},
    );
    return result;
  }

  async #carryOut<T>(address: number, work: (chip: Ina226Model) => T): Promise<T> {
    if (this.#isClosed) throw alreadyClosed(this.name);
    if (this.#isStalled) await new Promise(() => {});
    if (this.#hasFault('permission')) {
      throw new DeviceError('device.permission', {
        where: this.name,
        problem: 'no permission to use the bus',
        remedy: 'join the group i2c',
      });
    }
    const half_ms = (this.#options.transfer_ms ?? TRANSFER_MS) / 2;
    await wait(this.#options.time, half_ms + (this.#takeFault('late')?.value ?? 0));
    const chip = this.#chips.get(address);
    const nack = this.#faults.find((fault) => fault.name === 'nack');
    if (nack && --nack.value <= 0) this.#takeFault('nack');
    if (!chip || this.#isGone || nack) throw silent(`${this.name}, address 0x${address.toString(16)}`, 'a transfer', 0);
    const answer = work(chip);
    await wait(this.#options.time, half_ms);
    return answer;
  }

  /** ALERT falls when a conversion is ready, if Mask/Enable routes it there. */
  #scheduleAlert(): void {
    this.#cancelAlert();
    const [chip] = this.#chips.values();
    const next_s = chip?.nextReady_s(this.#now_s()) ?? null;
    if (!chip || next_s === null) return;
    this.#cancelAlert = this.#options.time.after((next_s - this.#now_s()) * 1e3, () => {
      if (chip.alertsOnReady && !this.#hasNoReady) {
        for (const listener of this.#alertListeners) listener(this.#options.time.now_ns());
      }
      this.#scheduleAlert();
    });
  }
}
