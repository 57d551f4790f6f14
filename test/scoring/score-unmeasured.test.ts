import { describe, expect, test } from 'vitest';
import { scoreRun } from '../../src/scoring/score-run.ts';
import type { InferenceResult, RunPlan } from '../../src/signal/recording.ts';
import type { Edge } from '../../src/signal/types.ts';
import { memoryRecording } from '../support/memory-recording.ts';

const plan: RunPlan = {
  mode: 'performance',
  profile: 'kws01',
  pairing: 'falling-pairs',
  channel: 'laps',
  windows: 5,
  inferencesPerWindow: 100,
  holdOff_s: 0,
  minWidth_s: 0,
  pulse_s: 0,
};

/** A run by the timestamps of the DUT in us, unwrapped. */
function score(laps_us: readonly number[], changes: Partial<RunPlan> = {}, answers: InferenceResult[] = []) {
  const edges = laps_us.map(
    (tick, seq): Edge => ({ clock: 'dut', tick, u_ticks: 0.3, channel: 'laps', polarity: 'fall', seq }),
  );
  const recording = memoryRecording({
    clocks: [{ id: 'dut', tickHz: 1e6, kind: 'dut', epoch_ns: null }],
    streams: [],
    plan: { ...plan, ...changes },
    provenance: {},
    chunks: (function* () {
      yield { kind: 'edges', edges };
    })(),
  });
  return scoreRun({
    ...recording,
    async *results() {
      yield* answers;
    },
  }).then(({ document }) => document);
}

/** The handshake and five windows of `window_us`, with a second before each. */
const laps = (window_us: number, from_us = 5_000_001) => [
  from_us,
  ...Array.from({ length: 5 }, (_, k) => from_us + k * (window_us + 1e6) + 1e6).flatMap((at) => [at, at + window_us]),
];

describe('a performance run', () => {
  test('has the windows between the timestamps of the DUT, and no energy', async () => {
    const { windows, median, gates, quantities, totals, laps: counter } = await score(laps(12_500_000));
    expect(windows.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4]);
    expect(windows[1]).toMatchObject({
      start_s: 19.500001,
      duration_s: 12.5,
      energy_uJ: null,
      power_uW: null,
      throughput_ips: 8,
      method: 'dut-laps/1',
    });
    expect(median).toEqual({ energyPerInference_uJ: null, throughput_ips: 8, inferencesPerJoule: null });
    expect(gates.filter(({ id }) => !id.startsWith('quality')).map(({ met }) => met)).toEqual([true, true, true]);
    expect(totals).toBeNull();
    expect(counter).toEqual({ resolution_s: 1e-6, wraps: 0 });
    // How fast the DUT's clock is nobody knows, so neither is the uncertainty.
    expect(quantities.throughput).toMatchObject({ value: 8, u: null });
    expect(quantities.throughput!.components!.map(({ id, u }) => [id, u])).toEqual([
      ['dut-clock-resolution', expect.closeTo((8 * 1e-6) / Math.sqrt(6) / 12.5, 15)],
      ['dut-clock-rate', null],
    ]);
  });

  test('knows the steps of a slow counter, and the turns of one that began anew', async () => {
    const slow = await score(laps(12_500_000, 5_000_000).map((lap) => Math.round(lap / 1000) * 1000));
    expect(slow.laps!.resolution_s).toBeGreaterThanOrEqual(1e-3);
    expect((await score(laps(12_500_000, 2 ** 32 - 20e6 + 1))).laps).toMatchObject({ wraps: 1 });
  });

  test('that ended early keeps its windows; one that has none, or an empty one, has no figure', async () => {
    const early = await score(laps(12_500_000).slice(0, 4));
    expect(early.windows.length).toBe(1);
    expect(early.warnings.map(({ code }) => code)).toEqual(['window.incomplete', 'run.ended-early']);
    expect(early.gates[0]!.met).toBe(false);
    expect((await score(laps(12_500_000).slice(0, 1))).refusal!.code).toBe('windows.none');
    expect((await score([])).refusal!.code).toBe('windows.none');
    expect((await score(laps(0))).refusal!.code).toBe('window.empty');
    expect((await score([...laps(12_500_000), 1e9])).refusal!.code).toBe('edges.extra');
  });
});

describe('an accuracy run', () => {
  const answer = (input: string, label: number | null, scores: number[]): InferenceResult => ({ input, label, scores });
  const accuracy: Partial<RunPlan> = { mode: 'accuracy', windows: null, answers: 4 };
  const four = [0, 1, 0, 1].map((label, k) => answer(`${k}`, label, label === 0 ? [0.9, 0.1] : [0.2, 0.8]));

  test('is held against the target of its benchmark', async () => {
    const { accuracy: figures, gates, windows, refusal } = await score([], accuracy, four);
    expect(figures).toMatchObject({ top1_pct: 100, n: 4 });
    expect(gates).toEqual([
      {
        id: 'quality.top1_pct',
        demand: 'top1_pct >= 90 over the whole data set',
        found: '100.0 over 4 inputs',
        met: true,
      },
    ]);
    expect([windows, refusal]).toEqual([[], null]);
    const wrong = four.map((each, k) => (k === 0 ? { ...each, label: 1 } : each));
    expect((await score([], accuracy, wrong)).gates[0]!.met).toBe(false);
  });

  test('of a part of the inputs says nothing of the target', async () => {
    const { gates, warnings } = await score([], accuracy, four.slice(1));
    expect(gates[0]!.met).toBeNull();
    expect(warnings.map(({ code }) => code)).toEqual(['run.ended-early']);
  });

  test('of anomaly detection takes the mean over the parts of an input', async () => {
    const parts = [answer('normal', 0, [1]), answer('normal', 0, [5]), answer('odd', 1, [2]), answer('odd', 1, [6])];
    const { accuracy: figures, gates } = await score([], { ...accuracy, profile: 'ad01' }, parts);
    expect(figures).toEqual({ top1_pct: null, auc: 1, n: 2 });
    expect(gates[0]).toMatchObject({ id: 'quality.auc', met: true });
  });

  test('without an answer to an input of known class has no figure', async () => {
    expect((await score([], accuracy, [answer('x', null, [1, 0])])).refusal!.code).toBe('answers.none');
  });
});
