import { describe, expect, it } from 'vitest';
import type { Gap, SampleBlock, StreamInfo } from '../../src/signal/types.ts';
import { ptdaemonSlicing } from '../../src/sync/slicing/ptdaemon.ts';

const stream = { id: 'wall' } as StreamInfo;

function block(ends: number[], watts: number[]): SampleBlock {
  return {
    kind: 'block',
    stream: 'wall',
    firstTick: 0,
    ticksPerSample: 0,
    length: ends.length,
    power: Float64Array.from(watts),
    startTicks: Float64Array.from(ends, (t) => t - 1000),
    endTicks: Float64Array.from(ends),
  };
}

function slice(chunks: (SampleBlock | Gap)[], from: number, to: number) {
  const slicer = ptdaemonSlicing.makeSlicer(stream, [{ index: 0, startTick: from, endTick: to, u_ticks: null }], 1000);
  const early = chunks.flatMap((chunk) => [...slicer.push(chunk)]);
  expect(early).toEqual([]);
  const [result] = [...slicer.end()];
  if (result === undefined) throw new Error('no slice');
  return result;
}

describe('the published slicing of PTDaemon runs', () => {
  it('takes samples strictly between the ends of the window', () => {
    const { ranges, missing } = slice([block([1000, 2000, 3000, 4000], [1, 2, 4, 8])], 1000, 4000);
    expect(ranges[0]).toMatchObject({ n: 2, power: 6, time_s: 2 });
    expect(missing).toBe(0);
  });

  it('leaves out what is not above zero, and counts it', () => {
    const { ranges, missing } = slice([block([1000, 2000, 3000], [-1, 0, 5])], 0, 4000);
    expect(ranges[0]).toMatchObject({ n: 1, power: 5 });
    expect(missing).toBe(2);
  });

  it('gives as energy the mean power times the length of the window', () => {
    const { ranges, dt_s } = slice([block([1000, 2000, 3000], [2, 4, 6])], 500, 3500);
    expect((ranges[0]?.power ?? 0) * dt_s).toBe(4 * 3);
  });

  it('counts gaps inside the window', () => {
    const gap = (firstTick: number, count: number | null): Gap => ({
      kind: 'gap',
      stream: 'wall',
      firstTick,
      count,
      cause: 'invalid',
    });
    const result = slice([block([1000], [2]), gap(2000, 3), gap(9000, 1), gap(2500, null)], 0, 4000);
    expect([result.missing, result.missingUnknown]).toEqual([3, true]);
  });

  it('says where the window reaches beyond the samples, and gives nothing where there are none', () => {
    expect(slice([block([1000, 2000], [2, 2])], 500, 1500).outside).toBe(false);
    expect(slice([block([1000, 2000], [2, 2])], 500, 9000).outside).toBe(true);
    expect(slice([], 0, 1)).toMatchObject({ dt_s: 0, ranges: [{ n: 0, power: 0 }], outside: true });
  });

  it('does not depend on how the samples were cut into blocks', () => {
    const ends = Array.from({ length: 50 }, (_, k) => 1000 * (k + 1));
    const watts = ends.map((_, k) => 1 + (k % 7) / 3);
    const whole = slice([block(ends, watts)], 3000, 44_000).ranges[0]?.power;
    const cut = slice(
      [block(ends.slice(0, 13), watts.slice(0, 13)), block(ends.slice(13), watts.slice(13))],
      3000,
      44_000,
    );
    expect(cut.ranges[0]?.power).toBe(whole);
  });
});
