import { describe, expect, it } from 'vitest';
import { parseRig } from '../../src/rig/rig-file.ts';
import { simulateRun } from '../../src/rig/virtual-rig.ts';
import { scoreRun } from '../../src/scoring/score-run.ts';
import type { Recording } from '../../src/signal/recording.ts';
import type { SampleBlock } from '../../src/signal/types.ts';
import { memoryRecording } from '../support/memory-recording.ts';

const unit = 64;

function run(seed: number): Recording {
  const rig = parseRig('version: 1\nprofile: per-inference\ninferences: 100\n', 'test');
  const recording = memoryRecording(simulateRun(rig, seed));
  recording.streams = recording.streams.map((stream) => ({ ...stream, hiddenLossUnit: unit }));
  return recording;
}

/** The recording without `lost` samples from tick `at` on, and nothing in it that tells: later ticks count on without them. */
function losing(recording: Recording, at: number, lost: number): Recording {
  const samples = recording.samples;
  const edges = recording.edges;
  const cut = (block: SampleBlock, from: number, to: number): SampleBlock => ({
    ...block,
    firstTick: block.firstTick + from,
    length: to - from,
    current: block.current!.slice(from, to),
    voltage: block.voltage!.slice(from, to),
    range: block.range!.slice(from, to),
    logic: block.logic!.slice(from, to),
  });
  return {
    ...recording,
    async *samples() {
      for await (const chunk of samples()) {
        if (chunk.kind === 'gap') throw new Error('no gap is expected here');
        const { flags: _, ...block } = chunk;
        const before = Math.min(block.length, Math.max(0, at - block.firstTick));
        const after = Math.min(block.length, Math.max(0, at + lost - block.firstTick));
        if (before > 0) yield cut(block, 0, before);
        const rest = cut(block, after, block.length);
        if (rest.length > 0) yield { ...rest, firstTick: rest.firstTick - lost };
      }
    },
    async *edges() {
      for await (const batch of edges()) {
        const seen = batch.edges.filter(({ tick }) => tick < at || tick >= at + lost);
        yield {
          ...batch,
          edges: seen.map((edge) => (edge.tick >= at ? { ...edge, tick: edge.tick - lost } : edge)),
        };
      }
    },
  };
}

describe('samples that were lost behind a short counter', () => {
  it.each([64, 128, 320])('%i samples inside a window: it keeps its length, and says what is missing', async (lost) => {
    for (let seed = 1; seed <= 3; seed++) {
      const whole = (await scoreRun(run(seed))).document;
      // The windows of 42 ms hold some 840 samples; the loss begins 300 samples into one.
      const struck = 40 + seed;
      const at = Math.round(whole.windows[struck]!.start_s * 2e4) + 300;
      const { document } = await scoreRun(losing(run(seed), at, lost));
      expect(document.refusal).toBeNull();
      expect(document.windows).toHaveLength(100);
      for (const [k, window] of document.windows.entries()) {
        const before = whole.windows[k]!;
        const isNear = Math.abs(k - struck) * 0.06 < 1;
        if (k === struck) {
          expect(window.missingSamples === lost || window.missingSamples === null).toBe(true);
        } else if (!isNear) {
          expect(window.missingSamples).toBe(0);
          expect(window.start_s).toBeCloseTo(before.start_s, 9);
          expect(window.duration_s).toBeCloseTo(before.duration_s, 9);
          expect(window.energy_uJ! / before.energy_uJ!).toBeCloseTo(1, 9);
        }
        // Next to the loss, whose place is not known exactly, a window is right or says that it may not be.
        if (k !== struck && window.missingSamples === 0) {
          expect(window.duration_s).toBeCloseTo(before.duration_s, 9);
        }
      }
      const codes = document.warnings.map(({ code }) => code);
      expect(codes).toContain('samples.dropped');
      expect(codes).toContain('window.missing-samples');
      expect(document.warnings.map(({ message }) => message).join()).toContain(
        `${lost} samples lost that no counter shows`,
      );
      expect(document.totals!.missingSamples).toBe(lost);
    }
  });

  it('changes nothing where nothing was lost', async () => {
    const { document } = await scoreRun(run(7));
    const { streams, ...rest } = run(7);
    const plain = { ...rest, streams: streams.map(({ hiddenLossUnit: _, ...stream }) => stream) };
    expect(document).toEqual((await scoreRun(plain)).document);
  });
});
