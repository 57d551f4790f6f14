import { describe, expect, it } from 'vitest';
import { Random } from '../../src/plant/random.ts';
import type { Edge } from '../../src/signal/types.ts';
import { ClockModel } from '../../src/sync/clock-model.ts';
import { matchEdges, matchPromised } from '../../src/sync/event-matching.ts';

const edge = (tick: number, k: number): Edge => ({
  clock: 'c',
  tick,
  u_ticks: null,
  channel: 'D0',
  polarity: k % 2 ? 'fall' : 'rise',
  seq: k,
});

/** Two sightings of one wire; `seq` is the number of the edge, so that pairs can be told. */
function sightings(random: Random, n: number, skew: number, offset: number, lost: number) {
  const from: Edge[] = [];
  const to: Edge[] = [];
  let time = 0;
  for (let k = 0; k < n; k++) {
    time += random.between(500, 20_000);
    if (random.uniform() >= lost) from.push(edge(time, k));
    if (random.uniform() >= lost) to.push(edge(offset + time * 10 * (1 + skew) + random.between(-1, 1), k));
  }
  return { from, to };
}

describe('matching the edges of one wire on two clocks', () => {
  it('pairs them over skew, offset and lost edges, and makes hardly a wrong pair', () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = new Random(seed);
      const skew = random.between(-400e-6, 400e-6);
      const { from, to } = sightings(random, 600, skew, random.between(-1e7, 1e7), 0.05);
      const found = matchEdges(from, to, 10, 20, null)!;
      expect(found.from.length).toBeGreaterThan(500);
      const wrong = found.from.filter((a, k) => a.seq !== found.to[k]!.seq).length;
      expect(wrong).toBeLessThanOrEqual(2);
    }
  });

  it('pairs two pulses, one at the start and one at the end', () => {
    const from = [edge(0, 0), edge(100, 1), edge(6e7, 2), edge(6e7 + 100, 3)];
    const to = from.map((a) => ({ ...a, tick: 5000 + a.tick * 1.00005 }));
    const found = matchEdges(from, to, 1, 5, null);
    expect(found?.to.map((b) => b.seq)).toEqual([0, 1, 2, 3]);
  });

  it('refuses edges that repeat, unless a coarse model tells which is which', () => {
    const from = Array.from({ length: 200 }, (_, k) => edge(k * 1000, k));
    const to = from.map((a) => ({ ...a, tick: a.tick + 70_300 }));
    expect(matchEdges(from, to, 1, 2, null)).toBeNull();
    const covariance = { offset: 100 ** 2, skew: 1e-12, cross: 0 };
    const line = { reference: 0, offset: 70_200, skew: 0, covariance };
    const clocks = { id: 'a', tickHz: 1e6 };
    const coarse = new ClockModel(clocks, { id: 'b', tickHz: 1e6 }, [{ from: -Infinity, line }], 0);
    const found = matchEdges(from, to, 1, 2, coarse)!;
    expect(found.from).toHaveLength(200);
    expect(found.from.every((a, k) => a.seq === found.to[k]!.seq)).toBe(true);
  });

  it('finds nothing between edges that have nothing to do with each other', () => {
    const one = sightings(new Random(1), 300, 0, 0, 0).from;
    const other = sightings(new Random(2), 300, 0, 0, 0).to;
    expect(matchEdges(one, other, 10, 20, null)).toBeNull();
    expect(matchEdges([], other, 10, 20, null)).toBeNull();
  });
});

describe('matching edges of which one clock saw every promised one', () => {
  /** A handshake and five windows of 10 s, a second apart, in ms. */
  const falls = [0, ...[0, 1, 2, 3, 4].flatMap((k) => [1000 + k * 11_000, 11_000 + k * 11_000])];
  const seen = falls.map((at, k) => ({ ...edge(at, k), polarity: 'fall' as const }));
  const elsewhere = (edges: readonly Edge[]) => edges.map((a) => ({ ...a, tick: 700 + a.tick * 10 * 1.00005 }));

  it('pairs windows of equal length, whatever the other clock saw before and after', () => {
    const around = [
      { ...edge(-4000, 90), polarity: 'fall' as const },
      ...seen,
      { ...edge(80_000, 91), polarity: 'fall' as const },
    ];
    const found = matchPromised(around, elsewhere(seen), 10, 1);
    expect(found?.from.map(({ seq }) => seq)).toEqual(seen.map(({ seq }) => seq));
    expect(found?.to).toHaveLength(11);
  });

  it('refuses where an edge is missing, the gaps differ, or two stretches look the same', () => {
    expect(matchPromised(seen.slice(1), elsewhere(seen), 10, 1)).toBeNull();
    expect(matchPromised([...seen.slice(0, 4), ...seen.slice(5)], elsewhere(seen), 10, 1)).toBeNull();
    const moved = seen.map((a) => (a.seq === 6 ? { ...a, tick: a.tick + 50 } : a));
    expect(matchPromised(moved, elsewhere(seen), 10, 1)).toBeNull();
    const repeating = Array.from({ length: 40 }, (_, k) => edge(k * 1000, k));
    expect(matchPromised(repeating, elsewhere(repeating.slice(4, 24)), 10, 1)).toBeNull();
    expect(matchPromised(repeating, elsewhere(repeating), 10, 1)?.from).toHaveLength(40);
    expect(matchPromised(seen, [], 10, 1)).toBeNull();
  });
});
