import type { Polarity } from './types.ts';

/**
 * What an emulated instrument measures: a rail and its trigger lines, as functions of time. The virtual plant
 * implements it; tests use simple waveforms. Times are seconds since the source began; asking twice gives the same.
 */
export interface SignalSource {
  /**
   * Fills the first `n` entries of `current` (A) and `voltage` (V) with the means over
   * [t0_s + k*dt_s, t0_s + (k+1)*dt_s).
   */
  fillMeans(t0_s: number, dt_s: number, n: number, current: Float64Array, voltage: Float64Array): void;
  /** Changes of the trigger lines in [t0_s, t1_s), in time order. */
  edgesBetween(t0_s: number, t1_s: number): { time_s: number; channel: string; polarity: Polarity }[];
  /** Level of a trigger line at t_s; an edge at exactly t_s has already happened. False for an unknown channel. */
  levelAt(channel: string, t_s: number): boolean;
}
