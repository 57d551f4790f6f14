import { describe, expect, it } from 'vitest';
import { Random } from '../../src/plant/random.ts';
import { parseRig } from '../../src/rig/rig-file.ts';
import { simulateRun } from '../../src/rig/virtual-rig.ts';
import { scoreRun } from '../../src/scoring/score-run.ts';
import { patternEdges } from '../../src/signal/m-sequence.ts';
import type { Recording } from '../../src/signal/recording.ts';
import type { ClockInfo, Edge, SampleBlock } from '../../src/signal/types.ts';
import { memoryRecording } from '../support/memory-recording.ts';
import { onSecondClock, type SecondClock } from '../support/two-clocks.ts';

const analyser: ClockInfo = { id: 'analyser', tickHz: 1e6, kind: 'file', epoch_ns: null, latencyBound_s: 200e-6 };
const second: SecondClock = {
  clock: analyser,
  skew: 50e-6,
  start_s: -7,
  period_ticks: 1,
  delay_ns: (random) => 100e3 + random.uniform() * 300e3,
};

function run(seed: number): Recording {
  const rig = parseRig('version: 1\nprofile: per-inference\ninferences: 100\n', 'test');
  const recording = memoryRecording(simulateRun(rig, seed));
  // Messages of the virtual instrument take 0.4 ms at least.
  recording.clocks = recording.clocks.map((clock) => ({ ...clock, latencyBound_s: 800e-6 }));
  return recording;
}

async function score(recording: Recording) {
  return (await scoreRun(recording)).document;
}

/** Largest difference of window starts, in s, and of energies, relative. */
function differences(one: Awaited<ReturnType<typeof score>>, other: Awaited<ReturnType<typeof score>>) {
  expect(other.windows).toHaveLength(one.windows.length);
  const starts = one.windows.map((window, k) => Math.abs(window.start_s - other.windows[k]!.start_s));
  const energies = one.windows.map((window, k) => Math.abs(other.windows[k]!.energy_uJ! / window.energy_uJ! - 1));
  return { start_s: Math.max(...starts), energy_rel: Math.max(...energies) };
}

const component = (document: Awaited<ReturnType<typeof score>>, id: string) =>
  document.quantities.energyPerInference!.components!.find((c) => c.id === id);

describe('a run whose edges are on another clock than its samples', () => {
  it('is aligned by arrival times, and its windows lie where they belong within 3u', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const own = await score(run(seed));
      const skew = seed % 2 ? 200e-6 : -200e-6;
      const document = await score(await onSecondClock(run(seed), { ...second, skew }, new Random(seed)));
      const [alignment] = document.alignments!;
      expect(alignment).toMatchObject({ edges: 'analyser', samples: 'instrument', method: 'arrival-times' });
      const { start_s, energy_rel } = differences(own, document);
      expect(start_s).toBeLessThan(3 * alignment!.u_s!);
      // A guard band of three standard uncertainties keeps the load's flanks inside.
      expect(energy_rel).toBeLessThan(1e-4);
      expect(Math.abs(alignment!.skew_ppm + skew * 1e6)).toBeLessThan(4 * alignment!.u_skew_ppm);
      for (const { truth, method } of document.windows) {
        expect(method).toBe('guard-band/2');
        expect(Math.abs(truth!.error_rel)).toBeLessThan(truth!.tolerance_rel);
      }
      expect(document.warnings).toEqual([]);
    }
  });

  it('carries the uncertainty of the fit in the budget of the energy', async () => {
    const document = await score(await onSecondClock(run(1), second, new Random(1)));
    const energy_J = document.quantities.energyPerInference!.value!;
    const skew = component(document, 'clock-skew')!;
    expect(skew.u! / energy_J).toBeCloseTo(document.alignments![0]!.u_skew_ppm * 1e-6, 8);
    expect(component(document, 'clock-offset')!.u).toBeGreaterThan(0);
    expect(component(document, 'clock-offset')!.scope).toBe('run');
    expect(component(await score(run(1)), 'clock-offset')).toBeUndefined();
  });

  it('does not know the offset where no latency was declared, and says so', async () => {
    const recording = await onSecondClock(
      run(2),
      { ...second, clock: { ...analyser, latencyBound_s: null } },
      new Random(2),
    );
    const document = await score(recording);
    expect(document.alignments![0]!.u_s).toBeNull();
    expect(component(document, 'clock-offset')!.u).toBeNull();
    expect(document.warnings.map((w) => w.code)).toEqual(['clock.offset-unknown']);
  });

  it('is aligned by a wire that both clocks see, to a fraction of a sample', async () => {
    const recording = await onSecondClock(run(3), { ...second, delay_ns: null }, new Random(3));
    // The instrument samples a line that the plan does not name; the analyser sees it too.
    const random = new Random(4);
    const marks: Edge[] = [];
    for (let time_s = 0.05, k = 0; time_s < 5; time_s += random.between(0.01, 0.2), k++) {
      const at = (time_s + 7) * 1e6 * (1 + second.skew);
      const common = { channel: 'D5', polarity: k % 2 ? 'fall' : 'rise', seq: k } as const;
      marks.push({ ...common, clock: 'analyser', tick: Math.ceil(at) - 0.5, u_ticks: 1 / Math.sqrt(12) });
      marks.push({ ...common, clock: 'instrument', tick: Math.ceil(time_s * 2e4) - 0.5, u_ticks: 1 / Math.sqrt(12) });
    }
    const edges = recording.edges;
    recording.edges = async function* () {
      yield* edges();
      yield { kind: 'edges', edges: marks };
    };
    const document = await score(recording);
    expect(document.alignments![0]!.method).toBe('shared-pulses');
    expect(document.alignments![0]!.u_s).toBeLessThan(5e-6);
    const { start_s, energy_rel } = differences(await score(run(3)), document);
    // The instrument's own edges are only known to half a sample of 50 us.
    expect(start_s).toBeLessThan(27e-6);
    expect(energy_rel).toBeLessThan(1e-4);
  });

  it('is aligned by the sync pattern in the current, coarse arrival times telling where to look', async () => {
    const sync = { order: 7, chip_s: 2e-3, channel: 'D0' };
    for (const coarse of [true, false]) {
      const recording = await withPattern(run(5), sync, coarse);
      const document = await score(recording);
      expect(document.alignments![0]!.method).toBe('sync-pattern');
      expect(document.alignments![0]!.u_s).toBeLessThan(30e-6);
      expect(document.windows).toHaveLength(100);
      for (const { truth } of document.windows) expect(Math.abs(truth!.error_rel)).toBeLessThan(truth!.tolerance_rel);
    }
  });

  it('takes the delay of the ranges that showed the sync pattern off its place in the current', async () => {
    const sync = { order: 7, chip_s: 2e-3, channel: 'D0' };
    const score = async (delays_s: number[]) => {
      const recording = await withPattern(run(5), sync, true);
      recording.streams = recording.streams.map((stream) => ({
        ...stream,
        ranges: stream.ranges.map((range) => ({ ...range, groupDelay_s: delays_s[range.index] ?? 0 })),
      }));
      return (await scoreRun(recording)).document;
    };
    const early = await score([]);
    // Samples before the run itself name no range, which is the first one.
    const late = await score([30e-6]);
    expect(late.alignments![0]!.method).toBe('sync-pattern');
    const starts = late.windows.map((window, k) => window.start_s - early.windows[k]!.start_s);
    for (const start_s of starts) expect(start_s).toBeCloseTo(-30e-6, 5);
    expect(late.alignments![0]!.u_s).toBeGreaterThanOrEqual(early.alignments![0]!.u_s!);
  });

  it('says when a wire contradicts arrival times', async () => {
    const recording = await onSecondClock(run(6), second, new Random(6));
    const edges = recording.edges;
    const random = new Random(7);
    recording.edges = async function* () {
      yield* edges();
      const marks = Array.from({ length: 40 }, (_, k): Edge[] => {
        const time_s = 0.1 * k + 0.05 * random.uniform();
        const common = { channel: 'D5', polarity: k % 2 ? 'fall' : 'rise', seq: k, u_ticks: 0.3 } as const;
        // Not one wire: 50 ms apart, but of the same shape.
        return [
          { ...common, clock: 'analyser', tick: (time_s + 7.05) * 1e6 },
          { ...common, clock: 'instrument', tick: time_s * 2e4 },
        ];
      });
      yield { kind: 'edges', edges: marks.flat() };
    };
    const document = await score(recording);
    const said = document.warnings.find((w) => w.code === 'clock.contradiction');
    expect(said?.message).toMatch(/arrival-times puts the edges (49|50)\.\d ms elsewhere/);
  });

  it('is refused where nothing relates the clocks', async () => {
    const recording = await onSecondClock(run(1), { ...second, delay_ns: null }, new Random(1));
    await expect(scoreRun(recording)).rejects.toMatchObject({ code: 'clocks.unrelated' });
  });

  it('keeps to its own edges where the instrument sees the line too', async () => {
    const recording = await onSecondClock(run(4), { ...second, shared: ['D0'] }, new Random(4));
    const document = await score(recording);
    expect(document).toEqual(await score(run(4)));
  });

  it('tells of samples that were lost behind a short counter', async () => {
    const recording = run(8);
    recording.streams = recording.streams.map((stream) => ({ ...stream, hiddenLossUnit: 640 }));
    expect((await score(recording)).warnings).toEqual([]);
    const samples = recording.samples;
    recording.samples = async function* () {
      for await (const chunk of samples()) {
        if (chunk.kind === 'block' && chunk.firstTick > 50_000) {
          yield { ...chunk, arrival_ns: chunk.arrival_ns! + (1280 / 2e4) * 1e9 };
        } else yield chunk;
      }
    };
    expect((await score(recording)).warnings.map((w) => w.message).join()).toMatch(/1280 samples lost that no counter/);
  });
});

/** The recording with a sync pattern before the first inference: edges on the analyser alone, and its current. */
async function withPattern(
  recording: Recording,
  sync: { order: number; chip_s: number; channel: string },
  coarse: boolean,
): Promise<Recording> {
  // Everything happens this much later, and the pattern stands before it.
  const shift_s = 0.4;
  const start_s = 0.0701234;
  const tickHz = 2e4;
  const shift = Math.round(shift_s * tickHz);
  const pattern = patternEdges(sync.order);
  const level_A = 3e-3;
  const integral = (t: number) =>
    pattern.reduce((sum, { chip, polarity }) => {
      const at = (start_s + chip * sync.chip_s) * tickHz;
      return sum + (polarity === 'rise' ? 1 : -1) * Math.max(0, t - at);
    }, 0);
  const random = new Random(9);
  const lead = Float32Array.from({ length: shift }, (_, k) => {
    return 1e-3 + level_A * (integral(k + 1) - integral(k)) + 1e-4 * random.normal();
  });
  const moved = (edge: Edge): Edge => ({ ...edge, tick: edge.tick + shift });
  const delayed: Recording = {
    ...recording,
    async *edges() {
      for await (const batch of recording.edges()) yield { ...batch, edges: batch.edges.map(moved) };
    },
  };
  const delay_ns = coarse ? second.delay_ns : null;
  const there = await onSecondClock(delayed, { ...second, delay_ns }, new Random(10));
  const edges = there.edges;
  const tick = (time_s: number) => (time_s + 7) * 1e6 * (1 + second.skew);
  return {
    ...there,
    plan: { ...recording.plan!, channel: 'D1', sync },
    async *edges() {
      yield {
        kind: 'edges',
        edges: pattern.map(({ chip, polarity }, seq) => ({
          clock: 'analyser',
          tick: Math.ceil(tick(start_s + chip * sync.chip_s)) - 0.5,
          u_ticks: 1 / Math.sqrt(12),
          channel: sync.channel,
          polarity,
          seq,
        })),
      };
      for await (const batch of edges()) {
        yield { ...batch, edges: batch.edges.map((edge) => ({ ...edge, channel: 'D1' })) };
      }
    },
    async *samples() {
      const first: SampleBlock = {
        kind: 'block',
        stream: 'main',
        firstTick: 0,
        ticksPerSample: 1,
        length: shift,
        current: lead,
        voltage: new Float32Array(shift).fill(3),
      };
      yield first;
      for await (const chunk of recording.samples()) {
        const late = chunk.kind === 'block' && chunk.arrival_ns !== undefined;
        yield {
          ...chunk,
          firstTick: chunk.firstTick + shift,
          ...(late ? { arrival_ns: chunk.arrival_ns! + shift_s * 1e9 } : {}),
        };
      }
    },
  };
}
