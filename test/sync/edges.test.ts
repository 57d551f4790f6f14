import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RunPlan } from '../../src/signal/recording.ts';
import type { Edge, Polarity } from '../../src/signal/types.ts';
import { holdOff, minWidth } from '../../src/sync/edge-filters.ts';
import { pairEdges } from '../../src/sync/pairing.ts';

/** Edges of one line from `f 10, r 60...`: polarity and time in us (the clock ticks in us). */
function edges(text: string, channel = 'D0'): Edge[] {
  return text.split(',').map((part, seq) => {
    const [polarity, tick] = part.trim().split(' ');
    return {
      clock: 'c',
      tick: Number(tick),
      u_ticks: null,
      channel,
      polarity: polarity === 'f' ? 'fall' : 'rise',
      seq,
    };
  });
}

function plan(fields: Partial<RunPlan>): RunPlan {
  return {
    profile: null,
    pairing: 'falling-pairs',
    channel: 'D0',
    windows: null,
    inferencesPerWindow: 1,
    holdOff_s: 0,
    minWidth_s: 0,
    pulse_s: 1e-6,
    ...fields,
  };
}

const ticks = (list: readonly Edge[]) => list.map((edge) => edge.tick);
const pair = (text: string, fields: Partial<RunPlan>, ended = false) =>
  pairEdges(edges(text), plan(fields), 1e6, ended);
const spans = (result: ReturnType<typeof pair>) => result.windows.map((w) => [w.startTick, w.endTick]);
const codes = (result: ReturnType<typeof pair>) => result.warnings.map((w) => w.code);

describe('hold-off', () => {
  it('ignores edges of the same polarity within its time and keeps the other polarity', () => {
    const { kept, ignored } = holdOff(edges('f 0, r 1, f 20, r 30, f 49, f 50'), 50);
    expect(ticks(kept)).toEqual([0, 1, 50]);
    expect(ticks(ignored)).toEqual([20, 30, 49]);
  });

  it('keeps a real pulse of 1 us, which a minimum width would delete', () => {
    expect(ticks(holdOff(edges('f 0, r 1'), 50).kept)).toEqual([0, 1]);
    expect(ticks(minWidth(edges('f 0, r 1'), 50).kept)).toEqual([]);
  });

  it('keeps lines apart', () => {
    const both = [...edges('f 0', 'A'), ...edges('f 10', 'B')];
    expect(holdOff(both, 50).kept).toHaveLength(2);
  });
});

describe('the minimum width', () => {
  it('deletes pulses of 1 to 49 us and keeps one of 51 us', () => {
    for (let width = 1; width <= 49; width++) {
      expect(minWidth(edges(`f 1000, r ${1000 + width}`), 50).kept).toEqual([]);
    }
    expect(ticks(minWidth(edges('f 1000, r 1051'), 50).kept)).toEqual([1000, 1051]);
  });

  it('looks again at what lies side by side after a deletion', () => {
    // A level that bounces before it settles: one edge is left.
    expect(ticks(minWidth(edges('r 0, f 3, r 5, f 9, r 12, f 5000'), 50).kept)).toEqual([12, 5000]);
  });

  it('never leaves a pulse shorter than it, nor changes the polarity of the end', () => {
    const line = fc.array(fc.integer({ min: 1, max: 200 }), { maxLength: 40 }).map((steps) => {
      let tick = 0;
      let polarity: Polarity = 'fall';
      return steps.map((step, seq): Edge => {
        tick += step;
        polarity = polarity === 'fall' ? 'rise' : 'fall';
        return { clock: 'c', tick, u_ticks: null, channel: 'D0', polarity, seq };
      });
    });
    fc.assert(
      fc.property(line, (all) => {
        const { kept, deleted } = minWidth(all, 50);
        expect(kept.length + deleted.length).toBe(all.length);
        expect(deleted.length % 2).toBe(0);
        for (let k = 1; k < kept.length; k++) {
          expect(kept[k].polarity).not.toBe(kept[k - 1].polarity);
          expect(kept[k].tick - kept[k - 1].tick).toBeGreaterThanOrEqual(50);
        }
      }),
    );
  });
});

describe('pairing', () => {
  it('takes falling edges in pairs after the handshake', () => {
    const result = pair('f 0, r 5, f 100, r 105, f 200, r 205, f 300, r 305, f 400, r 405', { windows: 2 });
    expect(spans(result)).toEqual([
      [100, 200],
      [300, 400],
    ]);
    expect(result.warnings).toEqual([]);
  });

  it('takes windows from rising to falling edge', () => {
    expect(spans(pair('r 10, f 20, r 30, f 45', { pairing: 'level-high', windows: 2 }))).toEqual([
      [10, 20],
      [30, 45],
    ]);
  });

  it('takes every edge in turn with toggle', () => {
    expect(spans(pair('r 10, f 20, r 30, f 45', { pairing: 'toggle', windows: 2 }))).toEqual([
      [10, 20],
      [30, 45],
    ]);
  });

  it('takes a mark on one line and a mark on the other', () => {
    const marks = [...edges('r 10, f 11, r 30, f 31', 'D0'), ...edges('r 20, f 21, r 40, f 41', 'D1')].sort(
      (a, b) => a.tick - b.tick,
    );
    const result = pairEdges(marks, plan({ pairing: 'marks', stopChannel: 'D1', windows: 2 }), 1e6, false);
    expect(result.windows.map((w) => [w.startTick, w.endTick])).toEqual([
      [10, 20],
      [30, 40],
    ]);
  });

  it('ignores other lines', () => {
    const all = [...edges('r 10, f 20'), ...edges('r 12, f 13', 'D7')].sort((a, b) => a.tick - b.tick);
    expect(pairEdges(all, plan({ pairing: 'level-high', windows: 1 }), 1e6, false).windows).toHaveLength(1);
  });

  it('refuses a run with a lost edge and says how many were promised', () => {
    const result = pair('f 0, f 100, f 200, f 300', { windows: 2 });
    expect(result.windows).toEqual([]);
    expect(result.refusal?.code).toBe('edges.lost');
    expect(result.refusal?.message).toContain('5 edges were promised');
  });

  it('refuses a run with an extra edge', () => {
    expect(pair('f 0, f 100, f 200, f 300, f 400, f 500', { windows: 2 }).refusal?.code).toBe('edges.extra');
  });

  it('names the place where two equal edges follow each other', () => {
    const result = pair('r 10, f 20, r 30, r 50, f 60', { pairing: 'level-high', windows: 3 });
    expect(result.refusal?.code).toBe('edges.lost');
    expect(codes(result)).toContain('edges.polarity');
    expect(result.warnings.map((w) => w.message).join()).toContain('0.000030');
  });

  it('does not guess windows from an odd number of edges where nothing was promised', () => {
    expect(pair('r 10, f 20, r 30', { pairing: 'toggle' }).refusal?.code).toBe('edges.odd');
  });

  it('keeps whole windows of a capture that ended early and drops the open one with a warning', () => {
    const result = pair('r 10, f 20, r 30', { pairing: 'level-high', windows: 3 }, true);
    expect(spans(result)).toEqual([[10, 20]]);
    expect(result.refusal).toBeNull();
    expect(codes(result)).toEqual(['window.incomplete']);
  });

  it('reports bounce that the hold-off ignored, and windows as if it had not been', () => {
    const result = pair('f 0, f 3, f 100, f 104, f 200', { windows: 1, holdOff_s: 50e-6 });
    expect(spans(result)).toEqual([[100, 200]]);
    expect(codes(result)).toEqual(['edges.bounce']);
  });

  it('tells bounce beside an edge from pulses that stand alone', () => {
    const fields: Partial<RunPlan> = { pairing: 'level-high', windows: 1, minWidth_s: 50e-6 };
    expect(codes(pair('r 100, f 103, r 105, f 1000', fields))).toEqual(['edges.bounce']);
    expect(codes(pair('r 100, f 1000, r 2000, f 2010', fields))).toEqual(['edges.short-pulse']);
  });

  it('gives windows in order that never overlap, or none, whatever the edges are', () => {
    const anyEdges = fc.array(
      fc.record({ tick: fc.integer({ min: 0, max: 5000 }), fall: fc.boolean(), other: fc.boolean() }),
      { maxLength: 30 },
    );
    const anyPlan = fc.record({
      pairing: fc.constantFrom('falling-pairs', 'level-high', 'toggle', 'marks') as fc.Arbitrary<RunPlan['pairing']>,
      windows: fc.option(fc.integer({ min: 0, max: 10 })),
      holdOff_s: fc.constantFrom(0, 50e-6),
      minWidth_s: fc.constantFrom(0, 50e-6),
    });
    fc.assert(
      fc.property(anyEdges, anyPlan, fc.boolean(), (raw, fields, ended) => {
        const all = raw
          .sort((a, b) => a.tick - b.tick)
          .map(
            (edge, seq): Edge => ({
              clock: 'c',
              tick: edge.tick,
              u_ticks: null,
              channel: edge.other ? 'D1' : 'D0',
              polarity: edge.fall ? 'fall' : 'rise',
              seq,
            }),
          );
        const result = pairEdges(all, plan({ ...fields, stopChannel: 'D1' }), 1e6, ended);
        if (result.refusal) expect(result.windows).toEqual([]);
        else if (fields.windows !== null && !ended) expect(result.windows).toHaveLength(fields.windows);
        for (let k = 0; k < result.windows.length; k++) {
          expect(result.windows[k].startTick).toBeLessThanOrEqual(result.windows[k].endTick);
          if (k > 0) expect(result.windows[k].startTick).toBeGreaterThanOrEqual(result.windows[k - 1].endTick);
        }
      }),
    );
  });
});
