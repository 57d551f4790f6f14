import { describe, expect, it } from 'vitest';
import { drawFaults, VirtualInstrument, virtualRanges } from '../../src/instruments/virtual/index.ts';
import { Plant } from '../../src/plant/plant.ts';
import { Random } from '../../src/plant/random.ts';
import { scoreRun } from '../../src/scoring/score-run.ts';
import type { RunPlan } from '../../src/signal/recording.ts';
import type { Chunk, StreamInfo } from '../../src/signal/types.ts';
import { memoryRecording } from '../support/memory-recording.ts';

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
  inferencesPerWindow: 1,
  holdOff_s: 0,
  minWidth_s: 0,
  pulse_s: 1e-3,
};
const length_s = 1e-3;
const analogDelay_s = [0, 0, 3e-6, 12e-6, 136e-6];

interface Load {
  rate_Hz: number;
  windows: number;
  idle_A: number;
  active_A: number;
  /** Phase of each edge against the samples, 0 to 1, of window w. */
  phase?: (w: number) => number;
}

/** Windows of 1 ms with steady idle around them, as the late virtual instrument records them. */
function recorded({ rate_Hz, windows, idle_A, active_A, phase = (w) => w / windows }: Load) {
  const plant = new Plant({ supply_V: 3, sourceResistance_ohm: 0, waves: [], channels: { D0: false } });
  const truths_J: number[] = [];
  for (let w = 0; w < windows; w++) {
    const start_s = (2 + 3 * w) * length_s + phase(w) / rate_Hz;
    plant.hold(start_s, idle_A);
    plant.edge(start_s, 'D0', 'rise');
    plant.hold(start_s + length_s, active_A);
    plant.edge(start_s + length_s, 'D0', 'fall');
    truths_J.push(3 * active_A * length_s);
  }
  plant.hold((2 + 3 * windows) * length_s, idle_A);
  plant.finish();
  const settings = { rate_Hz, channel: 'D0', analogDelay_s };
  const instrument = new VirtualInstrument(plant, settings, noFaults, new Random(1), 'SIM-1');
  const chunks: Chunk[] = [];
  for (let before = -1; instrument.sampled_s > before; ) {
    before = instrument.sampled_s;
    chunks.push(...instrument.readBlock(plant.horizon_s));
  }
  return { instrument, chunks, truths_J };
}

function declared(stream: StreamInfo, u_s: number | null = 1e-7): StreamInfo {
  const ranges = stream.ranges.map((range) => {
    return { ...range, groupDelay_s: analogDelay_s[range.index]!, u_groupDelay_s: u_s };
  });
  return { ...stream, ranges };
}

type Recorded = ReturnType<typeof recorded>;

/** Relative errors of the windows' energies, in dt/T, and what else the score says. */
async function scoredErrors({ instrument, chunks, truths_J }: Recorded, stream: StreamInfo) {
  const run = { clocks: [instrument.clock], streams: [stream], plan, provenance: {} };
  const { document } = await scoreRun(memoryRecording({ ...run, chunks: chunks.values() as never }));
  const inSamples = length_s * instrument.clock.tickHz;
  expect(document.windows).toHaveLength(truths_J.length);
  const errors = document.windows.map((window, w) => (window.energy_uJ! * 1e-6) / truths_J[w]! - 1);
  return { document, errors: errors.map((error) => error * inSamples), worst_rel: Math.max(...errors.map(Math.abs)) };
}

describe('windows of an instrument whose ranges are late, each by its own delay', () => {
  const ranges = [1, 2, 3, 4].map((range) => [range, analogDelay_s[range]! * 1e6] as const);

  it.each([1e5, 1e6])('match the truth at %d Hz, and only where the delays are declared', async (rate_Hz) => {
    for (const [range, delay_us] of ranges) {
      const fullScale_A = virtualRanges[range]!.fullScale_A;
      // Idle and load in one range.
      const load = recorded({ rate_Hz, windows: 20, idle_A: 0.15 * fullScale_A, active_A: 0.8 * fullScale_A });
      const known = await scoredErrors(load, declared(load.instrument.stream));
      // The noise of a window's samples, and the 1 us of the timer that captures the edges.
      expect(known.worst_rel).toBeLessThan(3e-4);
      for (const window of known.document.windows) expect(window.method).toBe('guard-band/3');
      const unknown = await scoredErrors(load, load.instrument.stream);
      // What the guard band of two samples covers does no harm.
      if (delay_us * 1e-6 * rate_Hz > 2)
        expect(unknown.worst_rel).toBeGreaterThan((0.8 * (delay_us * 1e-6 - 2 / rate_Hz)) / length_s);
      else expect(unknown.worst_rel).toBeLessThan(3e-4);
    }
  });

  it('leave no bias over all phases of the edges beside stable idle: below 0.02 dt/T', async () => {
    for (const [range] of ranges) {
      const fullScale_A = virtualRanges[range]!.fullScale_A;
      const load = recorded({ rate_Hz: 1e5, windows: 200, idle_A: 0.15 * fullScale_A, active_A: 0.8 * fullScale_A });
      const { errors } = await scoredErrors(load, declared(load.instrument.stream));
      expect(Math.abs(errors.reduce((sum, error) => sum + error, 0) / errors.length)).toBeLessThan(0.02);
    }
  });

  it('lie within their stated bound where idle and load are in different ranges', async () => {
    for (const rate_Hz of [1e5, 1e6]) {
      for (const [low, high] of [
        [2, 3],
        [3, 4],
        [2, 4],
      ] as const) {
        const [idle_A, active_A] = [0.3 * virtualRanges[low]!.fullScale_A, 0.5 * virtualRanges[high]!.fullScale_A];
        const load = recorded({ rate_Hz, windows: 20, idle_A, active_A });
        const { document } = await scoredErrors(load, declared(load.instrument.stream));
        const difference_s = Math.abs(analogDelay_s[low]! - analogDelay_s[high]!);
        for (const [w, { energy_uJ, biasBound_rel, rangeSwitches }] of document.windows.entries()) {
          const error_J = Math.abs(energy_uJ! * 1e-6 - load.truths_J[w]!);
          expect(error_J).toBeLessThan(biasBound_rel! * energy_uJ! * 1e-6 + 3e-4 * load.truths_J[w]!);
          // The step times the difference of the delays, at each switch (a slow range makes a fast one hunt).
          expect(biasBound_rel! * length_s).toBeLessThan((2 + rangeSwitches) * 1.2 * (difference_s + 1 / rate_Hz));
        }
      }
    }
  });

  it('carry the uncertainty of the delays in the budget, by the difference of the powers outside', async () => {
    const fullScale_A = virtualRanges[3]!.fullScale_A;
    const load = recorded({ rate_Hz: 1e5, windows: 20, idle_A: 0.15 * fullScale_A, active_A: 0.8 * fullScale_A });
    const componentOf = async (stream: StreamInfo) =>
      (await scoredErrors(load, stream)).document.quantities.energyPerInference!.components!.find(
        ({ id }) => id === 'group-delay',
      );
    const component = await componentOf(declared(load.instrument.stream, 1e-6));
    // Both ends are late alike, and the idle is the same on both sides.
    expect(component).toMatchObject({ scope: 'rig', distribution: 'normal' });
    expect(component!.u).toBeLessThan(1e-6 * 3 * 0.01 * fullScale_A);
    expect((await componentOf(declared(load.instrument.stream, null)))!.u).toBeNull();
    expect(await componentOf(load.instrument.stream)).toBeUndefined();
  });
});
