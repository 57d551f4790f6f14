import { describe, expect, it } from 'vitest';
import type { SampleBlock } from '../../src/signal/types.ts';
import { ClockWatch } from '../../src/sync/clock-watch.ts';

/** Blocks of 10 ms of a 1 kHz stream whose clock runs `skew` fast; arrivals come late by a one-sided jitter. */
function watch(skew: number, seconds: number) {
  const found = new ClockWatch(1000);
  let state = 7;
  for (let k = 0; k < seconds * 100; k++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const late_s = 125e-6 + (state / 2 ** 32) ** 4 * 10e-3;
    const end_s = ((k + 1) * 10e-3) / (1 + skew);
    const block: SampleBlock = {
      kind: 'block',
      stream: 's',
      firstTick: k * 10,
      ticksPerSample: 1,
      length: 10,
      current: new Float32Array(10),
      arrival_ns: (end_s + late_s) * 1e9,
    };
    found.add(block);
  }
  return found.skew();
}

describe('the clock watch', () => {
  it('measures a skew through one-sided jitter', () => {
    for (const skew of [0, 5e-3, -5e-3]) expect(watch(skew, 60)!.skew).toBeCloseTo(skew, 4);
  });

  it('calls a slip significant, and what crystals do not', () => {
    expect(watch(5e-3, 60)!.significant).toBe(true);
    expect(watch(100e-6, 60)!.significant).toBe(false);
    expect(watch(0, 3)!.significant).toBe(false);
  });

  it('says nothing of less than a second', () => {
    expect(watch(0, 0.5)).toBeNull();
  });
});
