import { describe, expect, it } from 'vitest';
import { drawFaults, VirtualInstrument, virtualRanges } from '../../src/instruments/virtual/index.ts';
import { Plant } from '../../src/plant/plant.ts';
import { Random } from '../../src/plant/random.ts';
import type { Recording, RunPlan } from '../../src/signal/recording.ts';
import type { Edge, Gap, SampleBlock, StreamInfo } from '../../src/signal/types.ts';
import { BitEdges } from '../../src/sync/edge-extraction.ts';
import { measureGroupDelays } from '../../src/sync/group-delay.ts';

const noFaults = drawFaults(
  [],
  { windows: 1, window_s: 1, startChanges: () => [0], endChanges: () => [1] },
  new Random(1),
);
const plan: RunPlan = {
  profile: null,
  pairing: 'level-high',
  channel: 'D0',
  windows: null,
  inferencesPerWindow: null,
  holdOff_s: 0,
  minWidth_s: 0,
  pulse_s: 1e-3,
};

interface Bench {
  rate_Hz: number;
  seed: number;
  analogDelay_s: number[];
  /** Ranges whose load is switched, and between which parts of full scale. */
  ranges: number[];
  levels?: [number, number];
  steps?: number;
  /** Edges as the pin shows them in the samples; or captured by the timer. */
  pin?: 'sampled' | 'captured';
  /** Times of steps are whole multiples of this; absent: anywhere. */
  every_s?: number;
}

/** A load that the pin switches, beginning in each range in turn, measured by the virtual instrument. */
function recordingOf(bench: Bench): Recording {
  const { rate_Hz, seed, analogDelay_s, ranges, levels = [0.3, 0.7], steps = 40, pin, every_s } = bench;
  const random = new Random(seed);
  const plant = new Plant({ supply_V: 3, sourceResistance_ohm: 0, waves: [], channels: { D0: false } });
  let at_s = 0.002;
  for (const range of ranges) {
    const [low, high] = levels.map((level) => level * virtualRanges[range]!.fullScale_A) as [number, number];
    plant.hold(at_s, low);
    for (let step = 0; step < steps; step++) {
      at_s += random.between(0.5e-3, 0.9e-3);
      if (every_s !== undefined) at_s = (Math.round(at_s / every_s) + 0.33) * every_s;
      plant.hold(at_s, step % 2 ? high : low);
      plant.edge(at_s, 'D0', step % 2 ? 'fall' : 'rise');
    }
    at_s += 2e-3;
    plant.hold(at_s, low);
  }
  plant.finish();
  const settings = { rate_Hz, channel: 'D0', analogDelay_s };
  const instrument = new VirtualInstrument(plant, settings, noFaults, random.fork('instrument'), 'SIM-1');
  const samples: (SampleBlock | Gap)[] = [];
  const edges: Edge[] = [];
  const bits = new BitEdges({ clock: 'instrument', channel: 'D0', ticksPerSample: 1 });
  for (let before = -1; instrument.sampled_s > before; ) {
    before = instrument.sampled_s;
    for (const chunk of instrument.readBlock(plant.horizon_s)) {
      if (chunk.kind === 'edges' && pin !== 'sampled') edges.push(...chunk.edges);
      if (chunk.kind === 'block') {
        samples.push(chunk);
        if (pin === 'sampled') edges.push(...bits.push(chunk.logic!, 1, chunk.firstTick));
      }
    }
  }
  return recording(instrument.stream, rate_Hz, edges, samples);
}

function recording(stream: StreamInfo, tickHz: number, edges: Edge[], samples: (SampleBlock | Gap)[]): Recording {
  return {
    format: 'test',
    path: '.',
    simulated: true,
    clocks: [{ id: stream.clock, tickHz, kind: 'virtual', epoch_ns: null }],
    streams: [stream],
    plan,
    provenance: {},
    endedEarly: false,
    warnings: [],
    async *edges() {
      yield { kind: 'edges', edges };
    },
    async *samples() {
      yield* samples;
    },
    async *log() {},
    async *results() {},
    async *truth() {},
  };
}

const delays_s = [136e-6, 0, 3e-6, 12e-6, 136e-6];

describe('the group delay of each range, from load steps that the pin drives', () => {
  it.each([
    [1e5, 'captured', 60],
    [1e5, 'sampled', 60],
    [1e6, 'captured', 20],
    [1e6, 'sampled', 20],
  ] as const)('is found within 3u at %d Hz, edges of a %s pin, in 98 %% of %d seeds', async (rate_Hz, pin, seeds) => {
    let [good, all, largest_u] = [0, 0, 0];
    for (let seed = 1; seed <= seeds; seed++) {
      const bench = { rate_Hz, seed, analogDelay_s: delays_s, ranges: [1, 2, 3, 4], pin };
      const { ranges } = await measureGroupDelays(recordingOf(bench), { longest_s: 3e-4 });
      expect(ranges.map(({ range }) => range)).toEqual([1, 2, 3, 4]);
      for (const { range, delay_s, u_s, rise, fall } of ranges) {
        for (const flank of [{ delay_s, u_s }, rise, fall]) {
          all++;
          if (Math.abs(flank!.delay_s! - delays_s[range]!) <= 3 * flank!.u_s!) good++;
          largest_u = Math.max(largest_u, flank!.u_s!);
        }
      }
    }
    expect(good / all).toBeGreaterThanOrEqual(0.98);
    // A part of a sample, or of a count of the timer that captures edges.
    expect(largest_u).toBeLessThan(0.3 * (pin === 'sampled' ? 1 / rate_Hz : 1e-6));
  });

  it('shares the error of the grid where the steps are in phase with it, and says so', async () => {
    let good = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const bench = {
        rate_Hz: 1e5,
        seed,
        analogDelay_s: delays_s,
        ranges: [3],
        pin: 'sampled',
        every_s: 1e-4,
      } as const;
      const { ranges } = await measureGroupDelays(recordingOf({ ...bench, ranges: [3] }), { longest_s: 3e-4 });
      const { delay_s, u_s, rise } = ranges[0]!;
      expect(rise!.scatter_s).toBeLessThan(1e-7);
      expect(u_s).toBeGreaterThan(0.9e-5 / Math.sqrt(12));
      if (Math.abs(delay_s! - 12e-6) <= 3 * u_s!) good++;
    }
    expect(good).toBe(20);
  });

  it('is refused with too few steps, and with steps that drown in the noise', async () => {
    const bench = { rate_Hz: 1e5, seed: 1, analogDelay_s: delays_s, ranges: [2] };
    const few = await measureGroupDelays(recordingOf({ ...bench, steps: 12 }));
    expect(few.ranges[0]!.refusal!.code).toBe('group-delay.few-steps');
    expect(few.ranges[0]).toMatchObject({ delay_s: null, u_s: null, rise: null, fall: null });
    const small = await measureGroupDelays(recordingOf({ ...bench, levels: [0.3, 0.3001] }), { longest_s: 3e-4 });
    expect(small.ranges[0]!.refusal!.code).toBe('group-delay.small-steps');
    expect(small.ranges[0]!.skipped.small).toBeGreaterThan(30);
  });

  it('leaves out steps that change the range, and tells of the range that they left', async () => {
    const bench = {
      rate_Hz: 1e5,
      seed: 1,
      analogDelay_s: delays_s,
      ranges: [3],
      levels: [0.01, 0.7] as [number, number],
    };
    const { ranges } = await measureGroupDelays(recordingOf(bench), { longest_s: 3e-4 });
    const [low, high] = ranges;
    expect(low).toMatchObject({ range: 2, delay_s: null });
    expect(low!.skipped.switched).toBeGreaterThan(10);
    expect(high).toMatchObject({ range: 3, rise: null });
    expect(Math.abs(high!.delay_s! - 12e-6)).toBeLessThan(3 * high!.u_s!);
  });

  it('finds the middle of a slow flank, of means around their instants and of points', async () => {
    const random = new Random(5);
    for (const semantics of ['mean-centred', 'mean-forward', 'point'] as const) {
      const n = 40_000;
      const lag = 6;
      const times = Array.from({ length: 60 }, (_, k) => 200 + 600 * k + 100 * random.uniform());
      // Integral of a first-order lag's answer to the steps.
      const integral = (t: number) => {
        let sum = 0;
        for (const [k, time] of times.entries()) {
          const x = t - time;
          if (x > 0) sum += (k % 2 ? -1 : 1) * (x - lag * -Math.expm1(-x / lag));
        }
        return sum;
      };
      const value = (t: number) => (integral(t + 1e-4) - integral(t - 1e-4)) / 2e-4;
      const offset = semantics === 'mean-forward' ? 0 : -0.5;
      const current = Float64Array.from({ length: n }, (_, k) => {
        const mean = semantics === 'point' ? value(k) : integral(k + offset + 1) - integral(k + offset);
        return 1 + mean + 0.002 * random.normal();
      });
      const stream: StreamInfo = {
        id: 'main',
        rail: 'main',
        clock: 'c',
        ticksPerSample: 1,
        quantities: ['current'],
        precision: 'f64',
        semantics,
        groupDelay_s: null,
        scale: {},
        assumedVoltage_V: 3,
        ranges: [],
        logicInputs: [],
        calibration: null,
      };
      const edges = times.map((tick, seq): Edge => {
        return { clock: 'c', tick, u_ticks: 0, channel: 'D0', polarity: seq % 2 ? 'fall' : 'rise', seq };
      });
      const block: SampleBlock = { kind: 'block', stream: 'main', firstTick: 0, ticksPerSample: 1, length: n, current };
      const report = await measureGroupDelays(recording(stream, 1, edges, [block]), { longest_s: 100 });
      const { delay_s, u_s } = report.ranges[0]!;
      expect(Math.abs(delay_s! - lag * Math.LN2)).toBeLessThan(0.05);
      expect(u_s).toBeLessThan(0.1);
    }
  });

  it('is refused without a clock that edges and samples share', async () => {
    const there = recordingOf({ rate_Hz: 1e5, seed: 1, analogDelay_s: delays_s, ranges: [2], steps: 4 });
    await expect(measureGroupDelays(there, { channel: 'D7' })).rejects.toMatchObject({ code: 'group-delay.no-edges' });
    await expect(measureGroupDelays({ ...there, plan: null })).rejects.toMatchObject({ code: 'plan.none' });
    await expect(measureGroupDelays({ ...there, streams: [] })).rejects.toMatchObject({ code: 'streams.none' });
  });
});
