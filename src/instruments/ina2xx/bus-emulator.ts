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
import { PendingFaults } from '../emulator-parts.ts';
import type { AlertPin } from './bus-driver.ts';
import type { ChipModel, EmulatedType } from './emulated-chip.ts';

/** What can go wrong with any chip on a bus. */
export const busFaults: FaultCatalogue = {
  'nack=': 'does not answer the next N transfers',
  unplug: 'answers no transfer any more',
  stall: 'the bus hangs: transfers never end',
  'late=': 'the next transfer takes N ms',
  'no-ready': 'no conversion is ever ready again',
  reset: 'the chip loses its supply for a moment and forgets its configuration',
  'wrong-chip': 'identifies itself as another chip',
  permission: 'the bus may not be used',
};

export interface BusEmulatorOptions extends EmulatorOptions {
  /** Absent = one at 0x40 with 0.1 ohm. */
  chips?: readonly { address: number; shunt_ohm: number }[];
  /** Time of one transfer of a word; absent = that of 400 kHz. */
  transfer_ms?: number;
  /** How much longer than typical conversions take; absent = what is usual of the type. */
  slow_rel?: number;
}

const TRANSFER_MS = 0.12;
/** Each byte is 9 bits at 400 kHz. */
const BYTE_MS = 0.0225;

/** Chips of one type on an I2C bus, seen from the host. */
export class BusEmulator<Model extends ChipModel> implements Emulator, I2cBus {
  readonly serial: string;
  readonly name: string;
  readonly faultsDone: FaultDone[] = [];
  protected readonly chips = new Map<number, Model>();
  /** Those that have not happened yet. */
  protected readonly faults = new PendingFaults();
  readonly #type: EmulatedType<Model>;
  readonly #catalogue: FaultCatalogue;
  readonly #options: BusEmulatorOptions;
  readonly #sourceStart_ns: number;
  #transfers = Promise.resolve();
  #isClosed = false;
  #isGone = false;
  #isStalled = false;
  #hasNoReady = false;
  #firstSample_s: number | null = null;
  #cancelAlert: () => void = () => {};
  readonly #alertListeners = new Set<(time_ns: number) => void>();

  constructor(type: EmulatedType<Model>, catalogue: FaultCatalogue, options: BusEmulatorOptions) {
    this.serial = checkEmulatorSerial(options.serial ?? `SIM-${type.family.toUpperCase()}-0001`);
    this.name = `emulated ${type.family}`;
    this.#type = type;
    this.#catalogue = catalogue;
    this.#options = options;
    this.#sourceStart_ns = options.sourceStart_ns ?? options.time.now_ns();
    const { source, slow_rel = type.slow_rel } = options;
    for (const { address, shunt_ohm } of options.chips ?? [{ address: 0x40, shunt_ohm: 0.1 }]) {
      this.chips.set(address, type.makeModel({ source, shunt_ohm, slow_rel }, this.now_s()));
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
    const parsed = parseFault(fault, this.#catalogue);
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
        for (const chip of this.chips.values()) chip.reset(this.now_s());
        break;
      default:
        this.faults.add(parsed);
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
    return this.#transfer(address, length, (chip) => {
      const value = this.shown(register, chip.read(register, this.now_s()));
      return bytesOf(value, this.#type.widthOf(register)).subarray(0, length);
    });
  }

  async writeRegister(address: number, register: number, bytes: Uint8Array): Promise<void> {
    await this.#transfer(address, bytes.length, (chip) => {
      chip.write(register, (bytes[0]! << 8) | bytes[1]!, this.now_s());
      if (!this.#type.configuration.includes(register)) return;
      if (chip.nextReady_s(this.now_s()) !== null) this.#firstSample_s = this.now_s();
      this.#scheduleAlert();
    });
  }

  /** What a register shows, with the faults that change it. */
  protected shown(register: number, value: number): number {
    const { registers, readyMask } = this.#type;
    if (register === registers.manufacturer && this.faults.has('wrong-chip')) return 0x1234;
    if (register === registers.ready && this.#hasNoReady) return value & ~readyMask;
    return value;
  }

  protected now_s(): number {
    return (this.#options.time.now_ns() - this.#sourceStart_ns) / 1e9;
  }

  /** Transfers are carried out one after the other, in the middle of the time that each takes. */
  #transfer<T>(address: number, bytes: number, work: (chip: Model) => T): Promise<T> {
    const result = this.#transfers.then(() => this.#carryOut(address, bytes, work));
    this.#transfers = result.then(
      () => {},
      () => {},
    );
    return result;
  }

  async #carryOut<T>(address: number, bytes: number, work: (chip: Model) => T): Promise<T> {
    if (this.#isClosed) throw alreadyClosed(this.name);
    if (this.#isStalled) await new Promise(() => {});
    if (this.faults.has('permission')) {
      throw new DeviceError('device.permission', {
        where: this.name,
        problem: 'no permission to use the bus',
        remedy: 'join the group i2c',
      });
    }
    const { time, transfer_ms = TRANSFER_MS } = this.#options;
    const half_ms = (transfer_ms + (bytes - 2) * BYTE_MS) / 2;
    await wait(time, half_ms + (this.faults.take('late')?.value ?? 0));
    const chip = this.chips.get(address);
    const nack = this.faults.find('nack');
    if (nack && --nack.value <= 0) this.faults.take('nack');
    if (!chip || this.#isGone || nack) throw silent(`${this.name}, address 0x${address.toString(16)}`, 'a transfer', 0);
    const answer = work(chip);
    await wait(time, half_ms);
    return answer;
  }

  /** ALERT falls when a conversion is ready, if the chip routes it there. */
  #scheduleAlert(): void {
    this.#cancelAlert();
    const [chip] = this.chips.values();
    const next_s = chip?.nextReady_s(this.now_s()) ?? null;
    if (!chip || next_s === null) return;
    const { time } = this.#options;
    this.#cancelAlert = time.after((next_s - this.now_s()) * 1e3, () => {
      if (chip.alertsOnReady && !this.#hasNoReady) {
        for (const listener of this.#alertListeners) listener(time.now_ns());
      }
      this.#scheduleAlert();
    });
  }
}

/** Most significant byte first. */
function bytesOf(value: number, width: number): Uint8Array {
  return Uint8Array.from({ length: width }, (_, k) => Math.floor(value / 256 ** (width - 1 - k)) % 256);
}
