import { median } from '../stats/quantile.ts';

/** What is known of one window. */
export interface WindowFacts {
  energy_uJ: number;
  /** Length of the interval that the energy was summed over. */
  duration_s: number;
  /** Time between its edges; the same as `duration_s` except where a published arithmetic tells them apart. */
  runtime_s: number;
  inferences: number | null;
}

/** The figures that follow from a window's energy, times and count; null where the count is not known. */
export interface WindowFigures {
  power_uW: number;
  energyPerInference_uJ: number | null;
  throughput_ips: number | null;
  /** FPS/W = (N/T) / (E/T) = N/E. */
  inferencesPerJoule: number | null;
}

/** Mean power over the summed interval, energy an inference, inferences a second of runtime, inferences a joule. */
export function windowFigures(facts: WindowFacts): WindowFigures {
  const { energy_uJ, duration_s, runtime_s, inferences } = facts;
  return {
    power_uW: energy_uJ / duration_s,
    energyPerInference_uJ: inferences === null ? null : energy_uJ / inferences,
    throughput_ips: inferences === null ? null : inferences / runtime_s,
    inferencesPerJoule: inferences === null ? null : inferences / (energy_uJ * 1e-6),
  };
}

/** Median of the windows' figures; null where there is no window or any figure is not known. */
export function medianOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === values.length ? median(known) : null;
}
