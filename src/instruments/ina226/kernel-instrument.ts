import { join } from 'node:path';
import { DeviceError } from '../../signal/errors.ts';
import type { ClockInfo, GapCause, StreamInfo } from '../../signal/types.ts';
import { realTime, type TimeSource } from '../../transport/time.ts';
import { CallOrder } from '../call-order.ts';
import { ChunkEmitter } from '../chunk-emitter.ts';
import { type Rail, railsOf, refusedSetting } from '../ina2xx/rails.ts';
import type { InstrumentIdentity, PowerInstrument } from '../power-instrument.ts';
import { checkedSettings, type Ina226Settings } from './settings.ts';
import { ina226Accuracy } from './spec.ts';
import { findKernelChips, type KernelChip, readAttribute } from './sysfs.ts';

export interface Ina226KernelOptions {
  /** Folder that stands for `/`; tests give their own. */
  root?: string;
  time?: TimeSource;
}

/** The host's monotonic clock in ns, which is also that of the kernel's time stamps. */
export const hostClock: ClockInfo = { id: 'host', tickHz: 1e9, kind: 'host', epoch_ns: null };

/** The shunt of the rig and that of the kernel must be the same. */
const SHUNT_TOLERANCE = 1e-3;

interface KernelPlace {
  devices: string;
  prefix: string;
  driver: string;
}

/** A rail with the kernel's folder of its chip. */
export interface KernelRail extends Rail {
  folder: string;
}

/** What INA226 chips behind a driver of the kernel have in common, whichever driver it is. */
export abstract class Ina226Kernel implements PowerInstrument<Ina226Settings> {
  protected readonly root: string;
  protected readonly time: TimeSource;
  protected readonly chunks: ChunkEmitter;
  readonly samples$: PowerInstrument['samples$'];
  readonly clocks: readonly ClockInfo[] = [hostClock];
  readonly supply = null;
  protected rails: KernelRail[] = [];
  readonly #place: KernelPlace;
  readonly #order: CallOrder;
  #found: KernelChip[] = [];

  /** `place`: folder of sysfs in which the devices stand, what their names begin with, and what the driver is called. */
  constructor(place: KernelPlace, options: Ina226KernelOptions) {
    this.root = options.root ?? '/';
    this.time = options.time ?? realTime;
    this.#place = place;
    this.#order = new CallOrder(place.driver);
    this.chunks = new ChunkEmitter(this.time, hostClock.id);
    this.samples$ = this.chunks.chunks$;
  }

  /** Shunt that the driver computes with. */
  protected abstract kernelShunt_ohm(folder: string): number;
  /** Settles the rate. @throws UsageError, DeviceError */
  protected abstract applySettings(settings: Ina226Settings): void;
  protected abstract streamOf(rail: KernelRail): StreamInfo;
  protected abstract startReading(): void;
  /** Ends reading; hands over what has been collected. */
  protected abstract endReading(): void;
  /** End of the last sample of a rail. */
  protected abstract lastTick(rail: KernelRail): number;
  protected abstract notices(): string[];

  async open(): Promise<InstrumentIdentity> {
    const { prefix, driver } = this.#place;
    const devices = join(this.root, this.#place.devices);
    this.#found = findKernelChips(devices, prefix);
    if (this.#found.length === 0) {
      throw new DeviceError('device.missing', {
        where: devices,
        problem: `the kernel's driver ${driver} has no INA226`,
        remedy: `bind the chip to it: echo ina226 0x40 | sudo tee /sys/bus/i2c/devices/i2c-1/new_device`,
      });
    }
    const names = this.#found.map(({ address, folder }) => (address === null ? folder : `0x${address.toString(16)}`));
    return this.#order.opened({
      family: 'ina226',
      model: `${ina226Accuracy.model} behind the kernel's driver ${driver}`,
      serial: null,
      firmware: null,
      hardware: names.join(', '),
      rates_Hz: [],
      supplyRange_V: null,
      notices: this.notices(),
    });
  }

  describe(): InstrumentIdentity {
    return this.#order.describe();
  }

  async configure(settings: Ina226Settings): Promise<void> {
    this.#order.check('configure()');
    this.rails = railsOf(checkedSettings(settings).chips).map((rail) => ({ ...rail, folder: this.#folderOf(rail) }));
    for (const { folder, shunt_ohm } of this.rails) {
      const kernel_ohm = this.kernelShunt_ohm(folder);
      if (Math.abs(kernel_ohm / shunt_ohm - 1) <= SHUNT_TOLERANCE) continue;
      throw refusedSetting(
        'chips',
        `the shunt has ${shunt_ohm} ohm, but the kernel's driver computes with ${kernel_ohm} ohm`,
        `write the right value into the shunt attribute in ${folder}`,
      );
    }
    this.applySettings(settings);
    this.#order.moveTo('configured');
  }

  get streams(): readonly StreamInfo[] {
    if (this.rails.length === 0) throw this.#order.wrong('streams', 'configure()');
    return this.rails.map((rail) => this.streamOf(rail));
  }

  async start(): Promise<void> {
    this.#order.check('start()');
    this.startReading();
    this.#order.moveTo('sampling');
  }

  async stop(): Promise<void> {
    if (!this.isSampling()) return;
    this.#order.moveTo('stopped');
    this.endReading();
    this.chunks.complete();
  }

  async close(): Promise<void> {
    await this.stop();
    this.#order.moveTo('closed');
    this.chunks.complete();
  }

  protected isSampling(): boolean {
    return this.#order.isSampling();
  }

  /** Ends the stream with a Gap of unknown length and the error. */
  protected fail(error: DeviceError, cause: GapCause): void {
    if (!this.isSampling()) return;
    this.#order.moveTo('stopped');
    try {
      this.endReading();
    } catch {
      // What failed cannot always be told to stop.
    }
    for (const rail of this.rails) this.chunks.gap(rail.name, Math.round(this.lastTick(rail)), null, cause);
    this.chunks.fail(error);
  }

  protected silent(rail: KernelRail, duration_ms: number): DeviceError {
    return new DeviceError('device.stalled', {
      where: rail.folder,
      problem: `no samples for ${Math.round(duration_ms)} ms`,
      remedy: 'check the wiring of the bus; dmesg may tell of failed transfers',
    });
  }

  #folderOf(rail: Rail): string {
    const isOnly = this.#found.length === 1 && this.#found[0]!.address === null;
    const chip = isOnly ? this.#found[0] : this.#found.find(({ address }) => address === rail.address);
    if (chip) return chip.folder;
    throw refusedSetting(
      'chips',
      `the kernel's driver has no INA226 at 0x${rail.address.toString(16)}`,
      `found were: ${this.describe().hardware}`,
    );
  }
}

/** A number in an attribute. @throws DeviceError `device.protocol` where it holds none */
export function numberIn(folder: string, name: string): number {
  const text = readAttribute(folder, name);
  if (text !== '' && Number.isFinite(Number(text))) return Number(text);
  throw new DeviceError('device.protocol', {
    where: `${folder}/${name}`,
    problem: `expected a number, found ${JSON.stringify(text.slice(0, 40))}`,
    remedy: 'check which driver of the kernel owns the chip',
  });
}
