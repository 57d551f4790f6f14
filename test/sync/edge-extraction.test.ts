import { describe, expect, it } from 'vitest';
import { Random } from '../../src/plant/random.ts';
import type { Edge } from '../../src/signal/types.ts';
import { BitEdges, pulseWidths, SchmittEdges } from '../../src/sync/edge-extraction.ts';

const line = { clock: 'instrument', channel: 'D0', ticksPerSample: 2 };
const brief = (edges: readonly Edge[]) => edges.map((edge) => [edge.polarity, edge.tick]);

describe('edges of sampled bits', () => {
  it('lie half a sample before the first sample with the new level, with u = dt / sqrt 12', () => {
    const edges = new BitEdges(line).push(Uint8Array.of(0, 0, 4, 4, 4, 0), 4, 1000);
    expect(brief(edges)).toEqual([
      ['rise', 1003],
      ['fall', 1009],
    ]);
    expect(edges.map((edge) => edge.u_ticks)).toEqual([2 / Math.sqrt(12), 2 / Math.sqrt(12)]);
    expect(edges.map((edge) => edge.seq)).toEqual([0, 1]);
  });

  it('go on over the borders of blocks, bytes or packed bits', () => {
    const bytes = new BitEdges(line);
    const packed = new BitEdges(line);
    const levels = [1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0];
    const bits = (from: number, to: number) => {
      const out = new Uint8Array(2);
      levels.slice(from, to).forEach((level, k) => {
        out[k >> 3]! |= level << (k & 7);
      });
      return out;
    };
    const expected = [
      ['fall', 3],
      ['rise', 15],
      ['fall', 21],
    ];
    const cut = (k: number, from: number, to: number) => [
      ...bytes.push(Uint8Array.from(levels.slice(from, to)), 1, k),
      ...packed.pushPacked(bits(from, to), to - from, k),
    ];
    const found = [...cut(0, 0, 2), ...cut(4, 2, 8), ...cut(16, 8, 12)];
    expect(brief(found.filter((_, k) => k < 1 || k === 2 || k === 4))).toHaveLength(3);
    expect(new Set(brief(found).map(String))).toEqual(new Set(expected.map(String)));
    expect(found).toHaveLength(6);
  });

  it('may lie anywhere in a gap, and say so', () => {
    const edges = new BitEdges(line);
    edges.push(Uint8Array.of(0, 0), 1, 0);
    edges.gap(9);
    const [edge] = edges.push(Uint8Array.of(1, 1), 1, 22);
    expect(edge!.tick).toBe(12);
    expect(edge!.u_ticks).toBeCloseTo(20 / Math.sqrt(12), 12);
    edges.gap(null);
    expect(edges.push(Uint8Array.of(0), 1, 100)[0]!.u_ticks).toBeNull();
  });

  it('have errors of a sample at most, without bias, with the stated scatter', () => {
    const random = new Random(4);
    let [sum, squares] = [0, 0];
    for (let k = 0; k < 2000; k++) {
      const time = random.between(10, 20);
      const levels = Uint8Array.from({ length: 40 }, (_, i) => (i >= time ? 1 : 0));
      const error = new BitEdges({ ...line, ticksPerSample: 1 }).push(levels, 1, 0)[0]!.tick - time;
      sum += error;
      squares += error ** 2;
      expect(Math.abs(error)).toBeLessThanOrEqual(0.5);
    }
    expect(Math.abs(sum / 2000)).toBeLessThan(0.02);
    expect(Math.sqrt(squares / 2000)).toBeCloseTo(1 / Math.sqrt(12), 2);
  });
});

describe('edges of an analog line', () => {
  const thresholds = { low: 1, high: 2, noise: null };

  it('lie where the signal passes the middle, between samples', () => {
    const edges = new SchmittEdges(line, thresholds).push(Float32Array.of(0, 0, 3, 3, 2, 0.5, 0), 100);
    expect(brief(edges)).toEqual([
      ['rise', 103],
      ['fall', 108 + 2 / 3],
    ]);
  });

  it('are not made by noise inside the hysteresis, nor by half a swing', () => {
    const values = Float64Array.of(0, 1.4, 1.6, 1.4, 1.6, 1.2, 0, 3, 1.4, 1.6, 1.2, 3, 0);
    const edges = new SchmittEdges({ ...line, ticksPerSample: 1 }, thresholds).push(values, 0);
    expect(brief(edges)).toEqual([
      ['rise', 6.5],
      ['fall', 11.5],
    ]);
  });

  it('are the same however the samples are cut into blocks, and unknown over a gap', () => {
    const values = Float64Array.from({ length: 500 }, (_, k) => 1.5 + 1.4 * Math.sin(k / 7));
    const whole = new SchmittEdges(line, thresholds).push(values, 0);
    const cut = new SchmittEdges(line, thresholds);
    const parts = [0, 3, 4, 100, 371, 500];
    const found = parts.slice(1).flatMap((to, k) => cut.push(values.subarray(parts[k], to), parts[k]! * 2));
    expect(found).toEqual(whole);
    expect(whole.length).toBeGreaterThan(20);
    cut.push(Float64Array.of(0), 1000);
    cut.gap();
    expect(cut.push(Float64Array.of(3, 3), 1100)).toEqual([]);
  });

  it('state the noise over the slope as their uncertainty, and keep it', () => {
    const random = new Random(8);
    let squares = 0;
    let stated = 0;
    for (let k = 0; k < 2000; k++) {
      const time = random.between(10, 11);
      // A flank of 4 samples from 0 to 3.
      const values = Float64Array.from({ length: 30 }, (_, i) => {
        const ramp = Math.min(3, Math.max(0, (3 * (i - time)) / 4 + 1.5));
        return ramp + 0.05 * random.normal();
      });
      const edges = new SchmittEdges({ ...line, ticksPerSample: 1 }, { low: 0.5, high: 2.5, noise: 0.05 });
      const [edge] = edges.push(values, 0);
      squares += (edge!.tick - time) ** 2;
      stated += edge!.u_ticks! ** 2;
    }
    expect(Math.sqrt(squares / stated)).toBeCloseTo(1, 1);
  });

  it('are the same backwards: rise becomes fall, times mirror', () => {
    const values = Float64Array.from({ length: 300 }, (_, k) => 1.5 + 1.45 * Math.sin(k / 9 + Math.sin(k / 40)));
    const one = { ...line, ticksPerSample: 1 };
    const there = new SchmittEdges(one, thresholds).push(values, 0);
    const back = new SchmittEdges(one, thresholds).push(values.slice().reverse(), 0).reverse();
    expect(back.length).toBe(there.length);
    back.forEach((edge, k) => {
      expect(edge.polarity).not.toBe(there[k]!.polarity);
      expect(299 - edge.tick).toBeCloseTo(there[k]!.tick, 9);
    });
  });

  it('need two thresholds', () => {
    expect(() => new SchmittEdges(line, { low: 1, high: 1, noise: null })).toThrow(RangeError);
  });
});

describe('the statistics of pulse widths', () => {
  const edges = (text: string): Edge[] =>
    text.split(',').map((part, seq) => {
      const [polarity, tick] = part.trim().split(' ');
      return {
        clock: 'c',
        tick: Number(tick),
        u_ticks: null,
        channel: 'D0',
        polarity: polarity === 'f' ? 'fall' : 'rise',
        seq,
      };
    });

  it('are those of an oscilloscope: value, mean, min, max, sdev, num', () => {
    const widths = pulseWidths(edges('f 5, r 10, f 20, r 30, f 44, r 50, f 56, r 90'), 'D0', 'high', 10)!;
    expect(widths).toEqual({
      level: 'high',
      value_s: 0.6,
      mean_s: 1,
      min_s: 0.6,
      max_s: 1.4,
      sdev_s: expect.closeTo(0.4, 12),
      num: 3,
    });
    expect(pulseWidths(edges('f 5, r 10, f 20, r 30'), 'D0', 'low', 1)).toMatchObject({
      num: 2,
      value_s: 10,
      min_s: 5,
    });
  });

  it('are null without a whole pulse, and know no scatter of one', () => {
    expect(pulseWidths(edges('f 5, r 10'), 'D0', 'high', 1)).toBeNull();
    expect(pulseWidths(edges('r 10, f 20'), 'D1', 'high', 1)).toBeNull();
    expect(pulseWidths(edges('r 10, f 20'), 'D0', 'high', 1)!.sdev_s).toBeNull();
  });
});
