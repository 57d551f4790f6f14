import { describe, expect, it } from 'vitest';
import { Random } from '../../src/plant/random.ts';
import { mSequence, patternEdges, polynomials } from '../../src/signal/m-sequence.ts';
import type { Edge } from '../../src/signal/types.ts';
import { findSignature, type SignatureSamples } from '../../src/sync/pattern-signature.ts';
import { findPattern, type SyncPattern, withoutPatterns } from '../../src/sync/sync-pattern.ts';

const analyser = { id: 'analyser', tickHz: 1e6 };

describe('the sync pattern', () => {
  it.each(Object.keys(polynomials).map(Number))('of order %i has one peak in its periodic autocorrelation', (order) => {
    const chips = mSequence(order);
    const n = 2 ** order - 1;
    expect(chips).toHaveLength(n);
    expect(chips.reduce((sum, chip) => sum + chip, 0)).toBe((n + 1) / 2);
    const shifts = order < 10 ? n - 1 : 50;
    for (let shift = 1; shift <= shifts; shift++) {
      let equal = 0;
      for (let k = 0; k < n; k++) equal += chips[k] === chips[(k + shift) % n] ? 1 : 0;
      // One more disagreement than agreements, at every shift.
      expect(2 * equal - n).toBe(-1);
    }
  });

  it('begins with as many ones as its order, as the firmware plays it', () => {
    expect([...mSequence(7).subarray(0, 16)].join('')).toBe('1111111000000100');
    expect(() => mSequence(6)).toThrow(RangeError);
  });

  it('changes where its chips do', () => {
    const edges = patternEdges(7);
    expect(edges.slice(0, 4)).toEqual([
      { chip: 0, polarity: 'rise' },
      { chip: 7, polarity: 'fall' },
      { chip: 13, polarity: 'rise' },
      { chip: 14, polarity: 'fall' },
    ]);
    expect(edges.length % 2).toBe(0);
  });
});

describe('the pattern among edges', () => {
  const pattern: SyncPattern = { order: 7, chip_s: 1e-3 };

  /** The pattern from `start_s` on, sampled at 1 MHz with some jitter, chips `scale` times as long as they should be. */
  function played(start_s: number, random: Random, scale = 1, jitter_s = 0): Edge[] {
    return patternEdges(pattern.order).map(({ chip, polarity }, seq) => {
      const time_s = start_s + chip * pattern.chip_s * scale + jitter_s * random.normal();
      return {
        clock: 'analyser',
        tick: Math.ceil(time_s * 1e6) - 0.5,
        u_ticks: 1 / Math.sqrt(12),
        channel: 'D0',
        polarity,
        seq,
      };
    });
  }
  const inferences = (from_s: number, n: number): Edge[] =>
    Array.from({ length: 2 * n }, (_, seq) => ({
      clock: 'analyser',
      tick: from_s * 1e6 + seq * 700 + (seq % 3),
      u_ticks: 0.29,
      channel: 'D0',
      polarity: seq % 2 ? 'fall' : 'rise',
      seq,
    }));

  it('is found, with chips of any length near the nominal one, and its time is known to 3u', () => {
    let inside = 0;
    for (let seed = 1; seed <= 200; seed++) {
      const random = new Random(seed);
      const scale = 1 + random.between(-0.045, 0.045);
      const start_s = random.between(1, 2);
      const found = findPattern(played(start_s, random, scale), pattern, analyser);
      expect(found).toHaveLength(1);
      expect(found[0]!.seen).toBe(found[0]!.of);
      const { model } = found[0]!;
      expect(model.skewAt(0).skew).toBeCloseTo(scale - 1, 4);
      if (Math.abs(model.map(0) - start_s * 1e6) <= 3 * model.u_ticks(0)!) inside++;
    }
    expect(inside).toBeGreaterThanOrEqual(196);
  });

  it('is found between inferences, at start and end, in order', () => {
    const random = new Random(1);
    const edges = [...played(0.5, random), ...inferences(1, 500), ...played(3, random), ...inferences(4, 500)];
    const found = findPattern(edges, pattern, analyser);
    expect(found.map((match) => match.model.map(0) / 1e6)).toEqual([expect.closeTo(0.5, 5), expect.closeTo(3, 5)]);
  });

  it('is found by its falling edges alone, as a source shows it that has no others', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = new Random(seed);
      const edges = [...played(0.5, random, 1.005), ...inferences(1, 100)].filter(
        ({ polarity }) => polarity === 'fall',
      );
      const [match, ...others] = findPattern(edges, pattern, analyser);
      expect(others).toEqual([]);
      expect(match!.seen).toBe(32);
      expect(Math.abs(match!.model.map(0) - 0.5e6)).toBeLessThan(3);
    }
  });

  it('is taken out of the line that brackets inferences, also where that idles high', () => {
    const random = new Random(2);
    for (const isHigh of [false, true]) {
      const pulses = inferences(1, 20).map((edge): Edge => {
        const other = edge.polarity === 'rise' ? 'fall' : 'rise';
        return isHigh ? { ...edge, polarity: other } : edge;
      });
      // The line is high already where the pattern begins, and goes back up after its last chip.
      const pattern = (start_s: number) => {
        const edges = played(start_s, random);
        const end: Edge = { ...edges[0]!, tick: (start_s + 0.127) * 1e6, polarity: 'rise' };
        return isHigh ? [...edges.slice(1), end] : edges;
      };
      const edges = [...pattern(0.5), ...pulses, ...pattern(2)];
      const other = { ...edges[3]!, channel: 'D1' };
      const left = withoutPatterns([other, ...edges], { order: 7, chip_s: 1e-3 }, 'D0', analyser);
      expect(left).toEqual([other, ...pulses]);
      expect(withoutPatterns(pulses, { order: 7, chip_s: 1e-3 }, 'D0', analyser)).toEqual(pulses);
    }
  });

  it('survives lost pulses, glitches and jitter of a tenth of a chip', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = new Random(seed);
      let edges = played(1, random, 1.01, 1e-4);
      for (let k = 0; k < 5; k++) {
        const at = 1 + random.below(edges.length - 2);
        edges = edges.filter((_, i) => i !== at && i !== at + 1);
      }
      const glitch = 1.02e6 + 90e3 * random.uniform();
      edges.push(
        { ...edges[0]!, tick: glitch, polarity: 'rise' },
        { ...edges[0]!, tick: glitch + 20, polarity: 'fall' },
      );
      edges.sort((a, b) => a.tick - b.tick);
      const found = findPattern(edges, pattern, analyser);
      expect(found).toHaveLength(1);
      expect(found[0]!.seen).toBeGreaterThanOrEqual(found[0]!.of - 12);
      expect(Math.abs(found[0]!.model.map(0) - 1e6)).toBeLessThan(150);
    }
  });

  it('is found where the line idles high, which hides its first edge', () => {
    const edges = played(1, new Random(2)).slice(1);
    edges.push({ ...edges[0]!, tick: 1e6 + 127e3, polarity: 'rise' });
    const found = findPattern(edges, pattern, analyser);
    expect(found).toHaveLength(1);
    expect(found[0]!.model.map(0)).toBeCloseTo(1e6, -1);
  });

  it('is not seen in inferences, in random edges, nor in a third of itself', () => {
    const random = new Random(3);
    expect(findPattern(inferences(1, 2000), pattern, analyser)).toEqual([]);
    let tick = 0;
    const noise = inferences(0, 500).map((edge) => {
      tick += 1000 * (1 + random.below(4));
      return { ...edge, tick };
    });
    expect(findPattern(noise, pattern, analyser)).toEqual([]);
    expect(findPattern(played(1, random).slice(0, 22), pattern, analyser)).toEqual([]);
    expect(findPattern([], pattern, analyser)).toEqual([]);
  });
});

describe('the pattern as a current signature', () => {
  const pattern: SyncPattern = { order: 7, chip_s: 2e-3 };

  /** Means over each sample of a current that plays the pattern from sample `start` on, with noise, `amplitude` high. */
  function signature(fields: {
    fs: number;
    start: number;
    random: Random;
    amplitude?: number;
    scale?: number;
    n?: number;
    isPoint?: boolean;
  }): SignatureSamples {
    const { fs, start, random, amplitude = 5e-3, scale = 1, isPoint = false } = fields;
    const perChip = pattern.chip_s * fs * scale;
    const edges = patternEdges(pattern.order).map(({ chip, polarity }) => ({
      at: start + chip * perChip,
      sign: polarity === 'rise' ? 1 : -1,
    }));
    const integral = (t: number) => edges.reduce((sum, { at, sign }) => sum + sign * Math.max(0, t - at), 0);
    const level = (t: number) => edges.reduce((sum, { at, sign }) => sum + (t >= at ? sign : 0), 0);
    const n = fields.n ?? Math.ceil(0.5 * fs);
    const values = Float64Array.from({ length: n }, (_, k) => {
      const mean = isPoint ? level(k) : integral(k + 1) - integral(k);
      return 0.01 + amplitude * mean + 1e-3 * random.normal();
    });
    const clock = { id: 'instrument', tickHz: fs };
    return { values, firstTick: isPoint ? -0.5 : 0, ticksPerSample: 1, isPoint, clock };
  }

  it.each([
    [5e3, 5e-3, 7],
    [5e3, 1e-3, 45],
    [4e3, 5e-3, 9],
  ])('at %i S/s and %f A on 1 mA of noise is placed below a sample, within 3u', (fs, amplitude, rms_us) => {
    let [inside, found, squares] = [0, 0, 0];
    for (let seed = 1; seed <= 50; seed++) {
      const random = new Random(seed);
      const start = random.between(5, 0.2 * fs);
      const scale = 1 + 50e-6 * random.normal();
      const { model } = findSignature(signature({ fs, start, random, amplitude, scale }), pattern, 1);
      if (model === null) continue;
      found++;
      const error = model.map(63.5) - (start + 63.5 * pattern.chip_s * fs * scale);
      squares += error ** 2;
      if (Math.abs(error) <= 3 * model.u_ticks(63.5)!) inside++;
    }
    expect(found).toBeGreaterThanOrEqual(48);
    expect(inside / found).toBeGreaterThanOrEqual(0.98);
    expect((Math.sqrt(squares / found) / fs) * 1e6).toBeLessThan(rms_us);
  });

  it('is found with chips that are a percent too long, and at 100 kS/s to a fraction of a microsecond', () => {
    const slow = findSignature(signature({ fs: 5e3, start: 123.4, random: new Random(1), scale: 1.01 }), pattern, 1);
    expect(slow.model!.map(0)).toBeCloseTo(123.4, 0);
    expect(slow.model!.skewAt(0).skew).toBeCloseTo(0.01, 3);
    const fast = findSignature(signature({ fs: 1e5, start: 4321.7, random: new Random(2) }), pattern, 1);
    expect(Math.abs(fast.model!.map(63.5) - 4321.7 - 12700)).toBeLessThan(0.1);
  });

  it('is found in samples of instants, whose uncertainty is that of the grid', () => {
    const point = signature({ fs: 5e3, start: 200.3, random: new Random(3), isPoint: true });
    const { model } = findSignature(point, pattern, 1);
    expect(Math.abs(model!.map(63.5) - 200.3 - 635)).toBeLessThan(3 * model!.u_ticks(63.5)!);
    expect(model!.u_ticks(63.5)).toBeGreaterThan(0.28);
  });

  it('is refused where it is ambiguous: played twice, or not at all', () => {
    const random = new Random(4);
    const one = signature({ fs: 5e3, start: 100.3, random, n: 4000 });
    const two = signature({ fs: 5e3, start: 2100.6, random, n: 4000 });
    const both = { ...one, values: one.values.map((value, k) => value + two.values[k]!) };
    expect(findSignature(both, pattern, 1).refusal).toMatch(/peak is 1\.\d times/);
    const noise = { ...one, values: one.values.map(() => 1e-3 * random.normal()) };
    expect(findSignature(noise, pattern, 1).refusal).toMatch(/peak/);
    const square = { ...one, values: one.values.map((_, k) => (k % 20 < 10 ? 0.01 : 0.03)) };
    expect(findSignature(square, pattern, 1).refusal).toMatch(/peak/);
    expect(findSignature({ ...one, values: new Float64Array(4000) }, pattern, 1).refusal).toMatch(/peak/);
  });

  it('is refused where it does not fit in, or is not known well enough', () => {
    const samples = signature({ fs: 5e3, start: 100.3, random: new Random(5) });
    expect(findSignature({ ...samples, values: samples.values.subarray(0, 1000) }, pattern, 1).refusal).toMatch(
      /longer/,
    );
    expect(findSignature(samples, { ...pattern, chip_s: 3e-4 }, 1).refusal).toMatch(/samples/);
    expect(findSignature(samples, pattern, 1e-6).refusal).toMatch(/us/);
  });
});
