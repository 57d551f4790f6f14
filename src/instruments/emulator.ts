import { UsageError } from '../signal/errors.ts';
import type { SignalSource } from '../signal/signal-source.ts';
import type { TimeSource } from '../transport/time.ts';

export interface EmulatorOptions {
  /** What it measures. */
  source: SignalSource;
  /** Real or virtual time, which paces it. */
  time: TimeSource;
  /** `time` at which the source's own time is 0; absent = the moment at which the emulator is made. */
  sourceStart_ns?: number;
  /** Must begin with `SIM-`; absent = a serial number of the family. */
  serial?: string;
  /** Which channel of the source each logic input is wired to, by input number. */
  inputs?: readonly string[];
  /** In memory only: how long each message takes on the wire, in ms; absent = no time at all. */
  delay_ms?: () => number;
  /** Called when its supply changes: the voltage at the terminals, 0 for off. */
  onSupply?: (voltage_V: number) => void;
}

/** A fault that an emulator has carried out. */
export interface FaultDone {
  fault: string;
  /** The sample at which it happened: the first one lost or damaged, counted as the instrument samples. */
  sample: number;
}

/** The instrument's side of the wire. */
export interface Emulator {
  readonly serial: string;
  /**
   * Makes a fault happen as soon as it can: `name` or `name=number`, from the family's list of faults.
   * @throws UsageError for an unknown fault
   */
  inject(fault: string): void;
  /** What `inject` has done to the samples so far. */
  readonly faultsDone: readonly FaultDone[];
  /** Source time of the first sample of the stream under way (or of the last one), in s; null before one. */
  readonly firstSample_s: number | null;
  /** Stops it; the transport stays open. */
  stop(): void;
}

/** Faults of a family: name to what it does. A name that ends in `=` takes a number. */
export type FaultCatalogue = Readonly<Record<string, string>>;

/**
 * Splits `name` or `name=number` and checks it against the family's faults.
 * @throws UsageError `emulator.fault`
 */
export function parseFault(fault: string, catalogue: FaultCatalogue): { name: string; value: number } {
  const [name, raw] = fault.split('=', 2) as [string, string | undefined];
  const value = raw === undefined ? 0 : Number(raw);
  const known = raw === undefined ? name in catalogue : `${name}=` in catalogue;
  if (!known || !Number.isInteger(value) || value < 0) {
    throw new UsageError('emulator.fault', {
      where: `fault ${fault}`,
      problem: 'there is no such fault',
      remedy: `choose from: ${Object.keys(catalogue)
        .map((key) => (key.endsWith('=') ? `${key}N` : key))
        .join(', ')}`,
    });
  }
  return { name, value };
}

/** @throws UsageError unless the serial number says that it is simulated */
export function checkEmulatorSerial(serial: string): string {
  if (serial.startsWith('SIM-')) return serial;
  throw new UsageError('emulator.serial', {
    where: `serial number ${serial}`,
    problem: 'the serial number of an emulator must begin with SIM-',
    remedy: `use SIM-${serial}`,
  });
}
