import { ina226FullBus, ina226FullShunt } from './spec.ts';

/** Registers are 16 bits, most significant byte first. */
export const encodeWord = (value: number): Uint8Array => Uint8Array.of((value >> 8) & 0xff, value & 0xff);

/** @returns null unless there are two bytes */
export function decodeWord(bytes: Uint8Array): number | null {
  return bytes.length < 2 ? null : (bytes[0]! << 8) | bytes[1]!;
}

/** Two's complement. */
export const signed16 = (word: number): number => (word << 16) >> 16;

/** True at the ends of the scales: the voltage may be larger than what the code says. */
export function isSaturated(shunt: number, bus: number): boolean {
  return Math.abs(shunt) >= ina226FullShunt || bus >= ina226FullBus;
}
