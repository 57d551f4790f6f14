import type { SignalSource } from '../../signal/signal-source.ts';

export interface ChipModelOptions {
  source: SignalSource;
  shunt_ohm: number;
  /** How much longer than typical a conversion takes, e.g. 0.02. */
  slow_rel: number;
}

/** The registers of a chip as functions of time. */
export interface ChipModel {
  /** Duration of one conversion of what is measured, with its averaging. */
  readonly period_s: number;
  /** True where its pin ALERT follows the conversions. */
  readonly alertsOnReady: boolean;
  /** Everything returns to what it was at power-on. */
  reset(now_s: number): void;
  write(register: number, value: number, now_s: number): void;
  /** The unsigned number in a register. */
  read(register: number, now_s: number): number;
  /** The latest result, in two's complement where it is negative; null before the first. */
  latest(now_s: number): { shunt: number; bus: number } | null;
  /** When the conversion under way will be complete; null where none is. */
  nextReady_s(now_s: number): number | null;
}

/** How a type of chip looks from outside, as its emulators play it. */
export interface EmulatedType<Model extends ChipModel = ChipModel> {
  /** Id of its family. */
  family: string;
  /** What is read from the register of the chip's own number. */
  die: number;
  makeModel(options: ChipModelOptions, now_s: number): Model;
  registers: { manufacturer: number; die: number; ready: number };
  readyMask: number;
  /** Bytes of a register. */
  widthOf(register: number): number;
  /** Registers whose writes begin a conversion, in the order in which a bridge is told them. */
  configuration: readonly number[];
  /** How much longer than typical its conversions take if nothing else is said. */
  slow_rel: number;
  /** Behind a bridge: the number of the chip type in its frames, and the bytes of each code there. */
  bridge: { model: number; codeBytes: 2 | 4 };
}
