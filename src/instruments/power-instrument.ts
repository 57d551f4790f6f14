import type { Observable } from 'rxjs';
import type { ClockInfo, EdgeBatch, Gap, Progress, SampleBlock, StreamInfo } from '../signal/types.ts';

/** Who an instrument is and what it can do, read from it at open. Unknown is null. */
export interface InstrumentIdentity {
  /** Folder name of the driver: `ppk2`, `lpm01a`, `js110`... */
  family: string;
  /** As its maker calls it. */
  model: string;
  serial: string | null;
  firmware: string | null;
  hardware: string | null;
  /** True for an emulator, which says so by a serial number `SIM-...`. */
  simulated: boolean;
  /** Where it is connected, for messages. */
  connection: string;
  /** Sampling rates that it offers, in Hz, ascending; empty where the rate follows from other settings. */
  rates_Hz: readonly number[];
  /** What its supply can be set to, or null where it has none. */
  supplyRange_V: { min: number; max: number } | null;
  /** What was odd at open, a sentence each: not calibrated, unknown firmware... */
  notices: readonly string[];
}

/** True for the serial number of an emulator. */
export const isSimulatedSerial = (serial: string | null): boolean => serial?.startsWith('SIM-') ?? false;

/** Something that an instrument reports besides samples. */
export interface InstrumentEvent {
  kind: 'event';
  /** Catalogue of docs/instruments: codes are only added. */
  code:
    | 'overload' // the current exceeds what the instrument can measure
    | 'supply-trip' // the instrument cut the supply
    | 'supply' // the supply went on or off, or changed its voltage
    | 'uncalibrated' // the instrument says that its calibration is missing or stale
    | 'host-slow' // the instrument's buffer fills up
    | 'resync' // the driver found the sample border again after lost or extra bytes
    | 'loss-estimate' // samples missing by the wall clock that no counter shows
    | 'error' // an error message of the instrument
    | 'info'; // anything else that it says
  clock: string;
  /** Tick of the first sample after it. */
  tick: number;
  text: string;
  arrival_ns: number;
}

/** Everything that an instrument emits. */
export type InstrumentChunk = SampleBlock | Gap | EdgeBatch | Progress | InstrumentEvent;

/**
 * The supply of an instrument that has one. It is off until switched on, has no default voltage, and goes off at
 * close() and at every failure that leaves the instrument reachable.
 */
export interface InstrumentSupply {
  /**
   * @throws UsageError `supply.voltage` above the instrument's range or the configured `maxVoltage_V`, or no number
   */
  setVoltage(voltage_V: number): Promise<void>;
  /** @throws UsageError `supply.no-voltage` before setVoltage() */
  on(): Promise<void>;
  off(): Promise<void>;
}

/** Settings that every family understands. */
export interface CommonSettings {
  /** Sampling rate in Hz; absent = the default of the family, which `clocks` and `streams` then tell. */
  rate_Hz?: number;
  /** The supply refuses more than this. Without it the supply cannot be used at all. */
  maxVoltage_V?: number;
  /** What each logic input is wired to, by input number; absent = the instrument's own names. */
  logicInputs?: readonly string[];
}

/**
 * A power instrument. The order of calls is open, configure, [supply], start, stop, close. Every promise settles
 * within seconds: an instrument that is silent, wrong, busy or gone rejects with a DeviceError that carries a code, a
 * place and a remedy.
 */
export interface PowerInstrument<Settings extends CommonSettings = CommonSettings> {
  /** Asks the instrument who it is and reads its calibration. */
  open(): Promise<InstrumentIdentity>;
  /** @throws DeviceError `device.not-open` before open() */
  describe(): InstrumentIdentity;
  /** @throws UsageError for a setting that this instrument does not have */
  configure(settings: Settings): Promise<void>;
  /** Valid after configure(). */
  readonly clocks: readonly ClockInfo[];
  readonly streams: readonly StreamInfo[];
  /**
   * Hot: subscribe before start(). It completes after stop() or close(), and errors with a DeviceError (after a Gap) when the
   * instrument vanishes, falls silent or stops by itself.
   */
  readonly samples$: Observable<InstrumentChunk>;
  /** Resolves when the instrument has been told to sample. Once an instance. */
  start(): Promise<void>;
  /** Stops sampling; samples under way are still delivered, then `samples$` completes. Does not switch the supply. */
  stop(): Promise<void>;
  /** Null where the instrument has none, or its settings do not use it. */
  readonly supply: InstrumentSupply | null;
  /** Stops, switches the supply off and closes the transport. Idempotent; never rejects. */
  close(): Promise<void>;
}
