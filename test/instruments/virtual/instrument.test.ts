import { describe, expect, it } from 'vitest';
import { drawFaults, VirtualInstrument } from '../../../src/instruments/virtual/index.ts';
import { Plant } from '../../../src/plant/plant.ts';
import { Random } from '../../../src/plant/random.ts';
import { type SampleBlock, SampleFlag } from '../../../src/signal/types.ts';

const noFaults = drawFaults(
  [],
  { windows: 1, window_s: 1, startChanges: () => [0], endChanges: () => [1] },
  new Random(1),
);

function measure(levels_A: number[], hold_s: number, rate_Hz = 20_000) {
  const plant = new Plant({ supply_V: 3, sourceResistance_ohm: 0, waves: [], channels: { D0: false } });
  for (const level of levels_A) plant.hold(plant.horizon_s + hold_s, level);
  plant.finish();
  const instrument = new VirtualInstrument(plant, { rate_Hz, channel: 'D0' }, noFaults, new Random(3), 'SIM-1');
  const blocks: SampleBlock[] = [];
  for (let before = -1; instrument.sampled_s > before; ) {
    before = instrument.sampled_s;
    for (const chunk of instrument.readBlock(plant.horizon_s)) if (chunk.kind === 'block') blocks.push(chunk);
  }
  const join = (pick: (block: SampleBlock) => ArrayLike<number>) => blocks.flatMap((block) => Array.from(pick(block)));
  return {
    instrument,
    blocks,
    current: join((block) => block.current!),
    voltage: join((block) => block.voltage!),
    range: join((block) => block.range!),
    flags: join((block) => block.flags ?? new Uint8Array(block.length)),
  };
}

describe('the virtual instrument', () => {
  it('measures a constant current with the noise and resolution that its range states', () => {
    const { current, voltage, range, instrument } = measure([10e-3], 5);
    expect(current).toHaveLength(100_000);
    const { noise_A, resolution_A } = instrument.stream.ranges[range[50_000]];
    const settled = current.slice(1000);
    const mean = settled.reduce((sum, value) => sum + value, 0) / settled.length;
    const sd = Math.sqrt(settled.reduce((sum, value) => sum + (value - mean) ** 2, 0) / settled.length);
    const expected = Math.sqrt(noise_A! ** 2 + resolution_A! ** 2 / 12);
    expect(Math.abs(mean - 10e-3)).toBeLessThan((5 * expected) / Math.sqrt(settled.length));
    expect(sd / expected).toBeCloseTo(1, 1);
    for (const value of settled.slice(0, 100)) {
      const steps = value / resolution_A!;
      expect(Math.abs(steps - Math.round(steps))).toBeLessThan(1e-2);
    }
    expect(voltage.reduce((sum, value) => sum + value, 0) / voltage.length).toBeCloseTo(3, 5);
    const figures = instrument.noiseBetween(1, 4);
    expect(Math.sqrt(figures.currentVariance_A2)).toBeCloseTo(expected, 12);
    expect(figures.samples).toBe(60_000);
  });

  it('goes to a higher range at once, to a lower one after a while, and flags what settles', () => {
    const { range, flags, current } = measure([20e-6, 300e-6, 3e-3, 30e-3, 300e-3, 20e-6], 0.01);
    // 200 samples a level; each step up takes effect in its first sample.
    expect([100, 200, 400, 600, 800].map((k) => range[k])).toEqual([0, 1, 2, 3, 4]);
    expect(flags.slice(200, 204)).toEqual([...Array(3).fill(SampleFlag.settling), 0]);
    expect(range[1000]).toBe(4);
    // Down one range every 16 samples.
    expect([1016, 1032, 1048, 1064].map((k) => range[k])).toEqual([3, 2, 1, 0]);
    expect(current[1100]).toBeCloseTo(20e-6, 7);
    expect(flags.some((flag) => flag & SampleFlag.saturated)).toBe(false);
  });

  it('clips and flags a current beyond its highest range', () => {
    const { current, flags } = measure([0.1, 0.8, 0.1], 0.01);
    expect(current[300]).toBe(Math.fround(0.5));
    expect(flags[300] & SampleFlag.saturated).toBe(SampleFlag.saturated);
    expect(flags[100] & SampleFlag.saturated).toBe(0);
  });

  it('reports whole samples only, however the end of the signal falls', () => {
    expect(measure([1e-3], 0.01).current).toHaveLength(200);
    expect(measure([1e-3], 0.010049).current).toHaveLength(200);
    expect(measure([1e-3], 0.7, 10).current).toHaveLength(7);
  });
});
