import type { SignalSource } from '../signal/signal-source.ts';

/** What an analyzer's emulator reads over `duration_s`: means over so many parts, the power as the mean of their products. */
export function readingOver(
  source: SignalSource,
  from_s: number,
  duration_s: number,
  parts: number,
): { watts: number; volts: number; amps: number } {
  const [current, voltage] = [new Float64Array(parts), new Float64Array(parts)];
  source.fillMeans(from_s, duration_s / parts, parts, current, voltage);
  const mean = (value: (k: number) => number) => current.reduce((sum, _, k) => sum + value(k), 0) / parts;
  return {
    watts: mean((k) => current[k]! * voltage[k]!),
    volts: mean((k) => voltage[k]!),
    amps: mean((k) => current[k]!),
  };
}
