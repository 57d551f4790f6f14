import type { Gap, SampleBlock, StreamInfo } from '../../signal/types.ts';
import type { CommonSettings } from '../power-instrument.ts';
import type { ChipRegisters } from './chip-registers.ts';
import type { ConversionTime } from './conversion-clock.ts';
import type { ConversionStream } from './conversion-stream.ts';
import type { ChipEntry, Rail } from './rails.ts';

/** A register of 16 bits and what stands in it. */
export type RegisterValue = readonly [register: number, value: number];

/** The settings that every chip of this kind understands. */
export interface ChipSettings extends CommonSettings {
  chips: readonly ChipEntry[];
}

/** A type of chip, as the drivers of a bus and of a bridge must know it. */
export interface ChipType<Settings extends ChipSettings = ChipSettings> {
  /** Id of its family. */
  family: string;
  /** As it is called in messages. */
  name: string;
  /** As its maker calls it. */
  model: string;
  /** Registers with the maker's and the chip's own number. */
  identity: { manufacturer: number; die: number };
  /** The chip's own number without its revision (the low four bits). */
  die: number;
  /** Revisions that are known; null where they are not told apart. */
  revisions: readonly number[] | null;
  /** What a chip that was found says of itself that is odd, a sentence each. */
  notices(chip: ChipRegisters): Promise<string[]>;
  /** Where a chip says that a result is ready; reading clears it. */
  ready: { register: number; mask: number };
  /**
   * What is to be done for each rail that the settings ask for.
   * @throws UsageError `instrument.settings`
   */
  plan(settings: Settings): RailPlan[];
}

/** How one chip is set up and read. */
export interface RailPlan {
  rail: Rail;
  /** Nominal time between two results. */
  period_us: number;
  /** Written before it converts; with its pin ALERT following the conversions or not. */
  setup(hasAlert: boolean): RegisterValue[];
  /** Written to make it convert. */
  start: readonly RegisterValue[];
  /** Written to make it stop. */
  stop: RegisterValue;
  /** What can be read there while it converts, unless the chip was reset. */
  kept: RegisterValue;
  stream(clock: string): StreamInfo;
  output(): RailOutput;
  /** What a bridge needs: the configuration registers, and the stream of the codes that it sends. Null where no bridge can. */
  bridge: { configuration: readonly number[]; stream(): ConversionStream } | null;
}

/** When a result was read, on the host's clock. */
export interface ReadTime extends ConversionTime {
  now_ns: number;
  /** Time between two results, as observed. */
  period_ns: number;
  /** The next result may have replaced a part of this one while it was read. */
  isTorn: boolean;
}

/** Turns the results of one chip into what its stream carries. */
export interface RailOutput {
  /** Reads the result that is ready. `flags` is what stood in the register of the ready flag. */
  read(chip: ChipRegisters, flags: number): Promise<void>;
  /** What has to be passed on after the last read(). */
  take(time: ReadTime): (SampleBlock | Gap)[];
  /** Why the last result says less than there is, as a sentence; null where it does not. */
  overload(): string | null;
  /** What has been collected and not been passed on yet. */
  flush(): SampleBlock | null;
  gap(tick: number, count: number | null, cause: Gap['cause']): Gap;
  /** What there is to say at the end, a sentence each. */
  summary(): string[];
}
