import { describe, expect, it } from 'vitest';
import { Random } from '../../src/plant/random.ts';
import type { RunPlan } from '../../src/signal/recording.ts';
import type { Edge, SampleBlock, SampleSemantics, StreamInfo, WindowSlice } from '../../src/signal/types.ts';
import { BitEdges } from '../../src/sync/edge-extraction.ts';
import { holdOff, minWidth } from '../../src/sync/edge-filters.ts';
import { pairEdges } from '../../src/sync/pairing.ts';
import { type SlicingMode, StreamSlicer } from '../../src/sync/slicing/stream-slicer.ts';

const tickHz = 100_000;
const dt_s = 1 / tickHz;

function streamOf(semantics: SampleSemantics): StreamInfo {
  return {
    id: 'main',
    rail: 'main',
    clock: 'instrument',
    ticksPerSample: 1,
    quantities: ['power'],
    precision: 'f64',
    semantics,
    groupDelay_s: null,
    scale: {},
    assumedVoltage_V: null,
    ranges: [],
    logicInputs: [],
    calibration: null,
  };
}

function energyOf(power: Float64Array, start: number, end: number, semantics: SampleSemantics, mode: SlicingMode) {
  const window = { index: 0, startTick: start, endTick: end, u_ticks: null };
  const slicer = new StreamSlicer(streamOf(semantics), [window], tickHz, mode);
  const block: SampleBlock = {
    kind: 'block',
    stream: 'main',
    firstTick: 0,
    ticksPerSample: 1,
    length: power.length,
    power,
  };
  const [slice] = [...slicer.push(block), ...slicer.end()] as [WindowSlice];
  const { correctedEnergy_J, ranges } = slice;
  return { slice, energy_J: correctedEnergy_J ?? ranges.reduce((sum, range) => sum + range.power, 0) * dt_s };
}

/** A load that steps from P0 to P1 at `start` and back at `end`, as an instrument of these semantics shows it. */
function load(n: number, start: number, end: number, semantics: SampleSemantics, p0: number, p1: number) {
  const inside = (from: number, to: number) => Math.max(0, Math.min(to, end) - Math.max(from, start));
  return Float64Array.from({ length: n }, (_, k) => {
    if (semantics === 'point') return k >= start && k < end ? p1 : p0;
    const from = semantics === 'mean-forward' ? k : k - 0.5;
    return p0 + (p1 - p0) * inside(from, from + 1);
  });
}

/** Mean and standard deviation of the relative error over all phases of both edges, in dt/T. */
function sweep(semantics: SampleSemantics, mode: SlicingMode, p0 = 1, p1 = 10) {
  const [phases, length] = [40, 100];
  let [sum, squares] = [0, 0];
  for (let a = 0; a < phases; a++) {
    for (let b = 0; b < phases; b++) {
      const start = 100 + (a + 0.37) / phases;
      const end = start + length + (b - a) / phases;
      const power = load(300, start, end, semantics, p0, p1);
      const { energy_J } = energyOf(power, start, end, semantics, mode);
      const error = (energy_J / (p1 * (end - start) * dt_s) - 1) * length;
      sum += error;
      squares += error * error;
    }
  }
  const mean = sum / phases ** 2;
  return { mean, sd: Math.sqrt(squares / phases ** 2 - mean ** 2) };
}

describe('the error that the phase of the edges leaves, in dt/T of the energy', () => {
  const all: SampleSemantics[] = ['mean-forward', 'mean-centred', 'point'];

  it.each(all)('has no bias by guard band beside stable idle: %s', (semantics) => {
    const { mean, sd } = sweep(semantics, 'guard-band');
    expect(Math.abs(mean)).toBeLessThan(0.02);
    // Samples of instants tell the edges to a sample, and only the step counts.
    if (semantics === 'point') expect(sd).toBeCloseTo(0.9 / Math.sqrt(6), 2);
    else expect(sd).toBeLessThan(1e-9);
  });

  it.each(all)('has the same by the rule that chooses: %s', (semantics) => {
    expect(Math.abs(sweep(semantics, 'auto').mean)).toBeLessThan(0.02);
  });

  it.each([
    [1, 10],
    [5, 10],
    [0, 1],
  ])('is -(1 - P0/P1)/3 by the proportional rule for means, P0 %d and P1 %d', (p0, p1) => {
    for (const semantics of ['mean-forward', 'mean-centred'] as const) {
      const { mean, sd } = sweep(semantics, 'proportional', p0, p1);
      expect(Math.abs(mean + (1 - p0 / p1) / 3)).toBeLessThan(0.02);
      expect(sd).toBeLessThan(0.11);
    }
  });

  it('is 1/sqrt 6 without bias for samples of instants, which belong to the window if they were taken inside', () => {
    const { mean, sd } = sweep('point', 'proportional', 0, 1);
    expect(Math.abs(mean)).toBeLessThan(0.02);
    expect(sd).toBeCloseTo(1 / Math.sqrt(6), 2);
  });

  it('is bounded by what the slice states', () => {
    for (let phase = 0; phase < 1; phase += 0.05) {
      const [start, end] = [100 + phase, 180 + phase * 0.7];
      const power = load(300, start, end, 'mean-forward', 1, 10);
      let worst = 0;
      for (const mode of ['proportional', 'auto'] as const) {
        const { slice, energy_J } = energyOf(power, start, end, 'mean-forward', mode);
        const error = Math.abs(energy_J - 10 * (end - start) * dt_s);
        worst = Math.max(worst, error);
        if (mode === 'auto') expect(error).toBeLessThanOrEqual(slice.biasBound_J! + 1e-12);
      }
      // One edge takes a quarter of the step times dt at most.
      expect(worst).toBeLessThanOrEqual(2 * 0.25 * 9 * dt_s + 1e-12);
    }
  });

  it('is the same backwards', () => {
    const random = new Random(3);
    for (let trial = 0; trial < 200; trial++) {
      const n = 300;
      const [start, end] = [random.between(60, 140), random.between(150, 240)];
      for (const semantics of ['mean-forward', 'point'] as const) {
        const power = load(n, start, end, semantics, 1, 10).map((value) => value + 0.1 * random.normal());
        const last = semantics === 'point' ? n - 1 : n;
        for (const mode of ['proportional', 'guard-band', 'auto'] as const) {
          const there = energyOf(power, start, end, semantics, mode).energy_J;
          const back = energyOf(power.slice().reverse(), last - end, last - start, semantics, mode).energy_J;
          expect(Math.abs(back / there - 1)).toBeLessThan(1e-12);
        }
      }
    }
  });
});

describe('pulses of a trigger line', () => {
  const edge = (tick: number, seq: number): Edge => ({
    clock: 'c',
    tick,
    u_ticks: null,
    channel: 'D0',
    polarity: seq % 2 ? 'fall' : 'rise',
    seq,
  });

  it('of 1 to 49 us are rejected by a minimum width of 50 us, and 51 us kept, on a source of edge times', () => {
    const random = new Random(1);
    for (const tickHz of [1e6, 1e9, 12e6]) {
      for (let width_us = 1; width_us <= 60; width_us++) {
        const start = random.between(0, 1e9);
        const edges = [edge(start, 0), edge(start + width_us * 1e-6 * tickHz, 1)];
        const { kept } = minWidth(edges, 50e-6 * tickHz);
        if (width_us !== 50) expect(kept).toHaveLength(width_us < 50 ? 0 : 2);
      }
    }
  });

  it.each([1e5, 1e6, 2e6])('are told apart to one sample on a pin sampled at %d Hz', (rate_Hz) => {
    const random = new Random(2);
    const sample_us = 1e6 / rate_Hz;
    for (let trial = 0; trial < 2000; trial++) {
      const width_us = random.between(1, 80);
      const start = random.between(5, 6);
      const end = start + (width_us * rate_Hz) / 1e6;
      const levels = Uint8Array.from({ length: Math.ceil(end) + 5 }, (_, k) => (k >= start && k < end ? 1 : 0));
      const edges = new BitEdges({ clock: 'c', channel: 'D0', ticksPerSample: 1 }).push(levels, 1, 0);
      const { kept } = minWidth(edges, 50e-6 * rate_Hz);
      if (width_us <= 50 - sample_us) expect(kept).toHaveLength(0);
      if (width_us >= 50 + sample_us) expect(kept).toHaveLength(2);
    }
  });

  it('of 1 us are kept by a hold-off of 50 us, seen at 10 MHz', () => {
    const levels = new Uint8Array(10_000);
    levels.fill(1, 100, 110);
    // Bounce of the same pulse, 20 us later.
    levels.fill(1, 300, 310);
    levels.fill(1, 5000, 5010);
    const edges = new BitEdges({ clock: 'c', channel: 'D0', ticksPerSample: 1 }).push(levels, 1, 0);
    const { kept, ignored } = holdOff(edges, 50e-6 * 10e6);
    expect(kept.map((kept) => kept.tick)).toEqual([99.5, 109.5, 4999.5, 5009.5]);
    expect(ignored).toHaveLength(2);
  });

  it('that are glitches leave no trace in the windows', () => {
    const random = new Random(7);
    const plan: RunPlan = {
      profile: null,
      pairing: 'level-high',
      channel: 'D0',
      windows: 20,
      inferencesPerWindow: 1,
      holdOff_s: 0,
      minWidth_s: 50e-6,
      pulse_s: 1e-3,
    };
    for (let trial = 0; trial < 50; trial++) {
      const clean = Array.from({ length: 40 }, (_, k) => 1000 + k * 2000 + random.between(0, 500));
      const times = [...clean];
      for (let k = 0; k < 30; k++) {
        // In the middle of a level, away from its ends.
        const at = clean[random.below(39)]! + random.between(300, 1000);
        if (times.every((other) => Math.abs(other - at) > 110)) times.push(at, at + random.between(1, 49));
      }
      times.sort((a, b) => a - b);
      const windows = (list: number[]) =>
        pairEdges(list.map(edge), plan, 1e6, false).windows.map((window) => [window.startTick, window.endTick]);
      expect(windows(times)).toEqual(windows(clean));
      expect(windows(clean)).toHaveLength(20);
    }
  });
});
