import { describe, expect, it } from 'vitest';
import { SineSignal, SteppedSignal } from '../../src/instruments/signals.ts';

function means(signal: SteppedSignal | SineSignal, t0_s: number, dt_s: number, n: number): number[] {
  const [current, voltage] = [new Float64Array(n), new Float64Array(n)];
  signal.fillMeans(t0_s, dt_s, n, current, voltage);
  return [...current];
}

describe('a stepped signal', () => {
  const steps = new SteppedSignal(
    [
      { current_A: 1, duration_s: 0.25 },
      { current_A: 3, duration_s: 0.75 },
    ],
    { voltage_V: 3 },
  );

  it('repeats its levels exactly', () => {
    expect(means(steps, 0, 0.25, 8)).toEqual([1, 3, 3, 3, 1, 3, 3, 3]);
  });

  it('splits an interval that holds a step', () => {
    expect(means(steps, 0, 0.5, 2)[0]).toBeCloseTo(2, 12);
    expect(means(steps, 0.5, 2, 1)[0]).toBeCloseTo(2.5, 12);
  });
});

describe('a sine', () => {
  it('has the offset as its mean over a period', () => {
    const sine = new SineSignal({ offset_A: 5e-3, amplitude_A: 4e-3, frequency_Hz: 50 }, { voltage_V: 3 });
    expect(means(sine, 0.3, 0.02, 1)[0]).toBeCloseTo(5e-3, 12);
    expect(means(sine, 0.005, 1e-6, 1)[0]).toBeCloseTo(9e-3, 9);
  });
});

describe('pulses', () => {
  const signal = new SteppedSignal([{ current_A: 1, duration_s: 1 }], {
    voltage_V: 3,
    pulses: [{ channel: 'trigger', start_s: 0.5, period_s: 1, width_s: 0.25 }],
  });

  it('are edges in time order, each in exactly one interval', () => {
    const edges = [signal.edgesBetween(0, 0.75), signal.edgesBetween(0.75, 1.75)].flat();
    expect(edges.map((edge) => [edge.time_s, edge.polarity])).toEqual([
      [0.5, 'rise'],
      [0.75, 'fall'],
      [1.5, 'rise'],
    ]);
  });

  it('have the new level at the time of an edge', () => {
    expect([0, 0.5, 0.7, 0.75, 1.6].map((t) => signal.levelAt('trigger', t))).toEqual([false, true, true, false, true]);
    expect(signal.levelAt('other', 0.6)).toBe(false);
  });
});
