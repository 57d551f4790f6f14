import { SteppedSignal } from '../../src/instruments/signals.ts';

/** A constant current. */
export function dc(current_A: number, voltage_V = 3): SteppedSignal {
  return new SteppedSignal([{ current_A, duration_s: 1 }], { voltage_V });
}

/** Currents one after the other, each for the same time, repeated. */
export function staircase(currents_A: readonly number[], duration_s: number, voltage_V = 3): SteppedSignal {
  return new SteppedSignal(
    currents_A.map((current_A) => ({ current_A, duration_s })),
    { voltage_V },
  );
}

/** A current with a peak of one sample in every 100. */
export function spikes(base_A: number, peak_A: number, sample_s: number, voltage_V = 3): SteppedSignal {
  const levels = [
    { current_A: base_A, duration_s: 99 * sample_s },
    { current_A: peak_A, duration_s: sample_s },
  ];
  return new SteppedSignal(levels, { voltage_V });
}
