import type { Polarity } from '../signal/types.ts';
import type { Emulator, EmulatorOptions } from './emulator.ts';
import type { CommonSettings, PowerInstrument } from './power-instrument.ts';

/** What a rig says that concerns an instrument. */
export interface InstrumentWishes {
  /** `instrument.settings` of the rig file, not checked yet. */
  settings: Readonly<Record<string, unknown>>;
  supply: { voltage_V: number; max_voltage_V: number } | null;
  /** Name of the trigger line, which is wired to the first logic input. */
  channel: string;
}

/** A device that was found, before anything was asked of it. */
export interface FoundDevice {
  family: string;
  /** What `connection:` in a rig file takes: the path of a port, a USB address, a host. */
  connection: string;
  serial: string | null;
  /** Why it cannot be opened as it is, with the remedy; null where nothing speaks against it. */
  obstacle: string | null;
}

/** A driver with its emulator on the other side of the same wire, in one process. */
export interface EmulatedInstrument {
  instrument: PowerInstrument<never>;
  emulator: Emulator;
}

/** An emulator that other programs can reach, until it is closed. */
export interface ServedEmulator {
  emulator: Emulator;
  /** Path of the PTY, or address of the server. */
  address: string;
  close(): Promise<void>;
}

/** One family of instruments: everything that the rig and the command line need of it. */
export interface InstrumentFamily {
  id: string;
  /** As its maker calls it. */
  title: string;
  transport: 'serial' | 'usb' | 'i2c' | 'tcp';
  /**
   * The driver's settings for what a rig asks.
   * @throws UsageError for settings that the family does not have
   */
  settings(wishes: InstrumentWishes): CommonSettings;
  emulate(options: EmulatorOptions): EmulatedInstrument;
  /** Serves an emulator over the real transport. */
  serve(options: EmulatorOptions): Promise<ServedEmulator>;
  /** Devices of this family that are connected, without disturbing them. */
  find(): Promise<FoundDevice[]>;
  /** @throws DeviceError where nothing answers there */
  connect(connection: string): Promise<PowerInstrument<never>>;
  /** How it sees the trigger line: the edges that it reports, and the shortest pulse that it can see; null without an input. */
  trigger: { polarities: readonly Polarity[]; shortestPulse_s: number } | null;
  /** Half a step of what the instrument can tell apart, relative to a mean current; null where it is not known. */
  resolution_rel(meanCurrent_A: number): number | null;
  faults: Readonly<Record<string, string>>;
}
