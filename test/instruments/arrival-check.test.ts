import { describe, expect, it } from 'vitest';
import { ArrivalCheck } from '../../src/instruments/arrival-check.ts';
import type { Gap, SampleBlock } from '../../src/signal/types.ts';
import { randomFractions } from '../support/random.ts';

const TICK_NS = 10_000;
const CHUNK = 500;

/** Chunks of 500 samples each 5 ms, delivered with `delay_ns(k)`; `lost(k)` samples vanish before chunk k. */
function deliver(chunks: number, delay_ns: (k: number) => number, lost: (k: number) => number = () => 0) {
  const check = new ArrivalCheck({ stream: 'main', tickHz: 1e5, unit: 64 });
  const out: (SampleBlock | Gap | { kind: string; tick: number })[] = [];
  let received = 0;
  let taken = 0;
  let last_ns = 0;
  for (let k = 0; k < chunks; k++) {
    taken += lost(k) + CHUNK;
    const block: SampleBlock = { kind: 'block', stream: 'main', firstTick: received, ticksPerSample: 1, length: CHUNK };
    received += CHUNK;
    last_ns = Math.max(last_ns, taken * TICK_NS + delay_ns(k));
    out.push(...check.push([block], received, last_ns));
  }
  out.push(...check.end());
  const gaps = out.filter((item): item is Gap => item.kind === 'gap');
  let tick = 0;
  for (const item of out) {
    if (!('firstTick' in item)) continue;
    expect(item.firstTick).toBe(tick);
    tick += 'length' in item ? item.length : item.count!;
  }
  return { gaps, out, tick, taken };
}

describe('the arrival check', () => {
  it('leaves a regular stream alone', () => {
    expect(deliver(1000, () => 2e6).gaps).toEqual([]);
  });

  it('leaves a stream with a slow or fast clock alone', () => {
    for (const skew of [200e-6, -200e-6])
      expect(deliver(4000, (k) => 5e6 + skew * k * CHUNK * TICK_NS).gaps).toEqual([]);
  });

  it.each([64, 640, 6400])('finds %i lost samples through 1 ms of random delay, to within a chunk', (count) => {
    for (let seed = 1; seed <= 20; seed++) {
      const random = randomFractions(seed);
      const { gaps } = deliver(
        1200,
        () => 1e6 * random() ** 2,
        (k) => (k === 600 ? count : 0),
      );
      expect(gaps).toMatchObject([{ count, cause: 'dropped' }]);
      // A chunk that happens to arrive quickly hides a small loss for a while.
      expect(Math.abs(gaps[0]!.firstTick - 600 * CHUNK)).toBeLessThanOrEqual(20 * CHUNK);
    }
  });

  it('invents nothing when the host is late for 0.5 s, again and again', () => {
    const late = (k: number) => Math.max(0, 500 - (k % 400) * 5) * 1e6;
    expect(deliver(2000, (k) => (k > 300 ? late(k) : 0)).gaps).toEqual([]);
  });

  it('invents nothing when deliveries become irregular for good, but says so', () => {
    let notes = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const random = randomFractions(seed);
      const { gaps, out } = deliver(1500, (k) => (k < 400 ? 0 : 1e6 + 4e6 * random()));
      notes += out.filter((item) => item.kind === 'late').length;
      expect(gaps.reduce((sum, gap) => sum + gap.count!, 0)).toBeLessThanOrEqual(128);
    }
    expect(notes).toBeGreaterThan(0);
  });

  it('follows a loss of every second chunk', () => {
    const { tick, taken } = deliver(
      2000,
      () => 0,
      (k) => (k > 300 && k < 700 && k % 2 === 0 ? 512 : 0),
    );
    expect(tick).toBe(taken);
  });
});
