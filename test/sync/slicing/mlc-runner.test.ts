import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SampleBlock, StreamInfo } from '../../../src/signal/types.ts';
import { mlcRunnerRule } from '../../../src/sync/slicing/mlc-runner.ts';
import { numpySum } from '../../../src/sync/slicing/numpy-sum.ts';

const stream = { id: 'trial-0', quantities: ['energy'] } as unknown as StreamInfo;

function slice(samples: Float64Array, start: number, end: number, chunk: number) {
  const slicer = mlcRunnerRule.makeSlicer(stream, [{ index: 3, startTick: start, endTick: end, u_ticks: null }]);
  const slices = [];
  for (let firstTick = 0; firstTick < samples.length; firstTick += chunk) {
    const energy = samples.subarray(firstTick, firstTick + chunk);
    const block: SampleBlock = {
      kind: 'block',
      stream: 'trial-0',
      firstTick,
      ticksPerSample: 1,
      length: energy.length,
      energy,
    };
    slices.push(...slicer.push(block));
  }
  slices.push(...slicer.end());
  return slices;
}

describe('the mlc-runner rule', () => {
  const samples = Float64Array.from({ length: 1000 }, (_, k) => 1e-5 + 1e-7 * Math.sin(k));

  it('sums samples[i0:i1] as NumPy does, wherever the blocks end', () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(1000), fc.integer({ min: 1, max: 1200 }), (one, other, chunk) => {
        const [start, end] = [Math.min(one, other), Math.max(one, other)];
        const slices = slice(samples, start, end, chunk);
        expect(slices).toHaveLength(1);
        expect(slices[0]!.ranges[0]).toMatchObject({ n: end - start, energy: numpySum(samples.slice(start, end)) });
        expect(slices[0]).toMatchObject({ outside: false, gridStart_s: start / 1000, gridEnd_s: end / 1000 });
      }),
    );
  });

  it('marks a window that ends beyond the samples', () => {
    expect(slice(samples, 900, 1001, 64)).toMatchObject([{ outside: true, endSample: 1000 }]);
  });
});
