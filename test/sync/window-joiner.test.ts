import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RunPlan } from '../../src/signal/recording.ts';
import type { Edge, EdgeBatch, Gap, Progress, SampleBlock, StreamInfo } from '../../src/signal/types.ts';
import { ClockModel } from '../../src/sync/clock-model.ts';
import { pairEdges } from '../../src/sync/pairing.ts';
import { type SlicingMode, StreamSlicer } from '../../src/sync/slicing/stream-slicer.ts';
import { WindowJoin } from '../../src/sync/window-joiner.ts';

const clock = { id: 'instrument', tickHz: 100_000 };
const stream: StreamInfo = {
  id: 'main',
  rail: 'main',
  clock: clock.id,
  ticksPerSample: 1,
  quantities: ['power'],
  precision: 'f64',
  semantics: 'mean-forward',
  groupDelay_s: null,
  scale: {},
  assumedVoltage_V: null,
  ranges: [],
  logicInputs: [],
  calibration: null,
};
const plan: RunPlan = {
  profile: null,
  pairing: 'level-high',
  channel: 'D0',
  windows: null,
  inferencesPerWindow: 1,
  holdOff_s: 0,
  minWidth_s: 0,
  pulse_s: 1e-6,
};

const samples = 6000;
const power = Float64Array.from(
  { length: samples },
  (_, k) => 1 + Math.sin(k * 12.9898) ** 3 + (k % 700 < 300 ? 5 : 0),
);

function edgesAt(ticks: readonly number[]): Edge[] {
  return ticks.map((tick, seq) => ({
    clock: clock.id,
    tick,
    u_ticks: 0.3,
    channel: 'D0',
    polarity: seq % 2 ? 'fall' : 'rise',
    seq,
  }));
}

function blocks(at: readonly number[]): (SampleBlock | Gap)[] {
  const cuts = [0, ...[...new Set(at)].sort((a, b) => a - b), samples];
  return cuts.slice(1).map((to, k) => ({
    kind: 'block',
    stream: 'main',
    firstTick: cuts[k]!,
    ticksPerSample: 1,
    length: to - cuts[k]!,
    power: power.slice(cuts[k], to),
  }));
}

function batch(edges: Edge[], chunks: (SampleBlock | Gap)[], fields: Partial<RunPlan>, mode: SlicingMode) {
  const pairing = pairEdges(edges, { ...plan, ...fields }, clock.tickHz, true);
  const slicer = new StreamSlicer(stream, pairing.windows, clock.tickHz, mode);
  return { slices: [...chunks.flatMap((chunk) => slicer.push(chunk)), ...slicer.end()], totals: slicer.totals };
}

/** Feeds a join: edges come `lag` ticks after their time, in batches with progress, between the blocks. */
function live(
  edges: Edge[],
  chunks: (SampleBlock | Gap)[],
  fields: Partial<RunPlan>,
  slicing: SlicingMode,
  lag: number,
  lookBack?: number,
) {
  const join = new WindowJoin({ plan: { ...plan, ...fields }, stream, clock, slicing, lookBack });
  const slices = [];
  let sent = 0;
  for (const chunk of chunks) {
    slices.push(...join.push(chunk));
    const upTo = chunk.firstTick + (chunk.kind === 'block' ? chunk.length : (chunk.count ?? 0)) - lag;
    const due: EdgeBatch = { kind: 'edges', edges: [] };
    while (sent < edges.length && edges[sent]!.tick < upTo) due.edges.push(edges[sent++]!);
    const progress: Progress = { kind: 'progress', clock: clock.id, upTo };
    slices.push(...join.push(due), ...join.push(progress));
  }
  slices.push(...join.push({ kind: 'edges', edges: edges.slice(sent) }), ...join.end());
  return { slices, totals: join.slicer.totals, report: join.report! };
}

describe('joining edges and samples while they come', () => {
  const ticks = fc
    .uniqueArray(fc.double({ min: 1, max: samples - 1, noNaN: true }), { maxLength: 60 })
    .map((list) => list.sort((a, b) => a - b));
  const cuts = fc.array(fc.integer({ min: 1, max: samples - 1 }), { maxLength: 40 });
  const modes = fc.constantFrom<SlicingMode>('auto', 'proportional', 'guard-band');

  it('gives bit for bit the slices that all edges given before the samples do', () => {
    fc.assert(
      fc.property(ticks, cuts, modes, fc.constantFrom(0, 50, 1000, 1e6), (at, where, mode, lag) => {
        const edges = edgesAt(at.length % 2 ? at.slice(1) : at);
        const all = batch(edges, blocks(where), {}, mode);
        const joined = live(edges, blocks(where), {}, mode, lag);
        expect(joined.slices).toEqual(all.slices);
        expect(joined.totals.samples).toBeCloseTo(all.totals.samples, 6);
        expect(joined.totals.energy_J).toBeCloseTo(all.totals.energy_J, 12);
        expect(joined.totals.outside_J).toBeCloseTo(all.totals.outside_J, 12);
        expect(joined.report.lateWindows.windows).toBe(0);
        expect(joined.report.lateEdges).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it('filters bounce and short pulses as the whole list is filtered', () => {
    const steps = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 2, maxLength: 40 });
    fc.assert(
      fc.property(
        steps,
        cuts,
        fc.constantFrom(0, 20e-5, 60e-5),
        fc.constantFrom(0, 50e-5),
        (widths, where, min, hold) => {
          let tick = 3;
          const at = widths.map((width) => {
            tick += width;
            return tick;
          });
          const edges = edgesAt(at.filter((time) => time < samples));
          for (const pairing of ['level-high', 'toggle', 'falling-pairs'] as const) {
            const fields = { minWidth_s: min, holdOff_s: hold, pairing };
            const whole = pairEdges(edges, { ...plan, ...fields }, clock.tickHz, false);
            const joined = live(edges, blocks(where), fields, 'auto', 30);
            expect(joined.report.warnings).toEqual(whole.warnings);
            if (whole.refusal === null) {
              expect(joined.slices).toEqual(batch(edges, blocks(where), fields, 'auto').slices);
            }
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('gives a window as soon as it is known and its samples are there', () => {
    const join = new WindowJoin({ plan, stream, clock, slicing: 'auto' });
    const chunks = blocks(Array.from({ length: 59 }, (_, k) => 100 * (k + 1)));
    const edges = edgesAt([1000.5, 2000.25, 3000, 4000]);
    const given: number[] = [];
    for (const [k, chunk] of chunks.entries()) {
      const upTo = (k + 1) * 100;
      const due = edges.filter((edge) => edge.tick < upTo && edge.tick >= upTo - 100);
      const slices = [
        ...join.push({ kind: 'edges', edges: due }),
        ...join.push({ kind: 'progress', clock: clock.id, upTo }),
        ...join.push(chunk),
      ];
      for (const slice of slices) given.push(upTo - slice.window.endTick);
    }
    expect(given).toHaveLength(2);
    for (const delay of given) expect(delay).toBeLessThanOrEqual(300);
  });

  it('does not wait for the end of a long window with its samples', () => {
    const join = new WindowJoin({ plan, stream, clock, slicing: 'auto', lookBack: 500 });
    const chunks = blocks(Array.from({ length: 59 }, (_, k) => 100 * (k + 1)));
    const edges = edgesAt([150.5, 5000.25]);
    const slices = chunks.flatMap((chunk, k) => {
      const upTo = (k + 1) * 100;
      const due = edges.filter((edge) => edge.tick < upTo && edge.tick >= upTo - 100);
      return [
        ...join.push(chunk),
        ...join.push({ kind: 'edges', edges: due }),
        ...join.push({ kind: 'progress', clock: clock.id, upTo }),
      ];
    });
    slices.push(...join.end());
    expect(slices).toEqual(batch(edges, chunks, {}, 'auto').slices);
    expect(join.report!.lateWindows).toEqual({ windows: 0, firstTick: null });
  });

  it('lets samples go on where too many wait, and reports the windows that came too late', () => {
    const where = Array.from({ length: 59 }, (_, k) => 100 * (k + 1));
    const edges = edgesAt([500, 700, 2000, 2500, 5500, 5800]);
    // Edges come 1,500 samples late, and only 800 samples may wait.
    const { slices, totals, report } = live(edges, blocks(where), {}, 'auto', 1500, 800);
    expect(report.lateWindows).toEqual({ windows: 2, firstTick: 500 });
    expect(slices.map((slice) => slice.window.startTick)).toEqual([5500]);
    expect(totals.samples).toBeCloseTo(samples, 6);
    const all = batch(edges, blocks(where), {}, 'auto');
    expect(totals.energy_J).toBeCloseTo(all.totals.energy_J, 12);
  });

  it('survives windows that come late in any way', () => {
    fc.assert(
      fc.property(
        ticks,
        cuts,
        modes,
        fc.integer({ min: 0, max: 5000 }),
        fc.integer({ min: 0, max: 1000 }),
        (at, where, mode, lag, lookBack) => {
          const edges = edgesAt(at);
          const whole = batch(edges, blocks(where), {}, mode);
          const { slices, totals, report } = live(edges, blocks(where), {}, mode, lag, lookBack);
          expect(totals.samples).toBeCloseTo(samples, 6);
          expect(totals.energy_J).toBeCloseTo(whole.totals.energy_J, 9);
          const windows = Math.floor(edges.length / 2);
          expect(slices.length + report.lateWindows.windows).toBeGreaterThanOrEqual(windows);
          for (const slice of slices) {
            const same = whole.slices.find((other) => other.window.startTick === slice.window.startTick)!;
            expect(slice.ranges).toEqual(same.ranges);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('counts edges that came although their source had promised that none would', () => {
    const join = new WindowJoin({ plan, stream, clock, slicing: 'auto' });
    join.push({ kind: 'progress', clock: clock.id, upTo: 100 });
    join.push({ kind: 'edges', edges: edgesAt([50, 150]) });
    join.end();
    expect(join.report!.lateEdges).toBe(1);
  });

  it('puts edges and progress of another clock on that of the samples', () => {
    const covariance = { offset: 0.01, skew: 0, cross: 0 };
    const line = { reference: 0, offset: 500, skew: 0, covariance };
    const model = new ClockModel({ id: 'host', tickHz: 1e9 }, clock, [{ from: -Infinity, line }], 0);
    const edges = edgesAt([1000.5, 2000.25, 3000, 4000]);
    const join = new WindowJoin({ plan, stream, clock, slicing: 'auto', model });
    const chunks = blocks([1500, 3000]);
    const host = edges.map((edge) => ({ ...edge, clock: 'host', tick: (edge.tick - 500) * 1e4, u_ticks: 2e3 }));
    const slices = [
      ...join.push({ kind: 'edges', edges: host }),
      ...chunks.flatMap((chunk) => join.push(chunk)),
      ...join.push({ kind: 'progress', clock: 'host', upTo: 1e9 }),
      ...join.end(),
    ];
    expect(slices.map((slice) => slice.window.startTick)).toEqual([1000.5, 3000]);
    expect(slices[0]!.window.u_ticks).toBeCloseTo(Math.hypot(0.1, 0.2), 9);
  });
});
