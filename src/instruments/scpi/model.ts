import type { ClockInfo, StreamInfo } from '../../signal/types.ts';
import type { TimeSource } from '../../transport/time.ts';
import type { InstrumentChunk, InstrumentIdentity, InstrumentSupply } from '../power-instrument.ts';
import type { ScpiSession } from './session.ts';

/** What a model has to say about itself after `*IDN?`. */
interface ScpiDetails {
  hardware: string | null;
  supplyRange_V: { min: number; max: number } | null;
  notices: string[];
}

export interface ScpiContext {
  time: TimeSource;
  identity: InstrumentIdentity;
  emit(chunk: InstrumentChunk): void;
}

/** What one SCPI analyzer does differently from another. */
export interface ScpiModel {
  /** Name of the family: of its page, of its accuracy sheet, and on the command line. */
  id: string;
  title: string;
  /** True for its first two fields of `*IDN?`. */
  matches(maker: string, model: string): boolean;
  errorQuery: string;
  rates_Hz: readonly number[];
  identify(session: ScpiSession): Promise<ScpiDetails>;
  /** @throws UsageError for settings that it does not have, DeviceError for those that the instrument refuses */
  configure(session: ScpiSession, settings: Record<string, unknown>, context: ScpiContext): Promise<ScpiRun>;
}

/** A configured measurement. */
export interface ScpiRun {
  readonly clock: ClockInfo;
  readonly stream: StreamInfo;
  /** Tick after the last sample. */
  readonly nextTick: number;
  readonly supply: InstrumentSupply | null;
  /** Pause between polls. */
  readonly pollEvery_ms: number;
  start(): Promise<void>;
  /** Fetches what there is and emits it. @throws DeviceError when the instrument is silent or has lost samples */
  poll(): Promise<void>;
  /** Ends the measurement and emits the rest of it. */
  stop(): Promise<void>;
  /** Gives the instrument back to its front panel. */
  release(): Promise<void>;
}
