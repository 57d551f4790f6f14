import { describe, expect, it } from 'vitest';
import { Random } from '../../src/plant/random.ts';
import { qemuRun } from '../../src/rig/qemu-run.ts';
import { parseRig } from '../../src/rig/rig-file.ts';
import { scoreRun } from '../../src/scoring/score-run.ts';
import type { Chunk } from '../../src/signal/types.ts';
import { memoryRecording } from '../support/memory-recording.ts';
import { noQemu } from '../support/qemu.ts';
import { onSecondClock } from '../support/two-clocks.ts';

describe.skipIf(noQemu !== null)(`the sync pattern of the firmware in QEMU ${noQemu ?? ''}`, () => {
  it('is played on its pin, and is no window; its current relates a clock that saw the pin alone', async () => {
    const rig = parseRig(
      'version: 1\nprofile: per-inference\ninferences: 5\ndut: {connection: qemu}\ntrigger: {sync: pattern}\n',
      'test',
    );
    const run = await qemuRun(rig);
    const chunks: Chunk[] = [];
    await new Promise<void>((resolve, reject) => {
      run.chunks$.subscribe({ next: (chunk) => chunks.push(chunk), error: reject, complete: resolve });
    });
    const recording = memoryRecording({
      ...run,
      clocks: [...run.clocks],
      streams: [...run.streams],
      chunks: chunks.values() as never,
    });
    expect(recording.plan!.sync).toEqual({ order: 7, chip_s: 2e-3, channel: 'D0' });
    // 64 edges in each of two playings.
    const edges = chunks.flatMap((chunk) => (chunk.kind === 'edges' ? chunk.edges : []));
    expect(edges).toHaveLength(2 * 64 + 2 * 5);
    const { document } = await scoreRun(recording);
    expect(document.refusal).toBeNull();
    expect(document.warnings).toEqual([]);
    expect(document.windows).toHaveLength(5);

    // A clock of its own saw the edges, 30 ppm too fast, and says nothing of when it told of them.
    const clock = { id: 'analyser', tickHz: 1e6, kind: 'file', epoch_ns: null } as const;
    const second = { clock, skew: 30e-6, start_s: -3, period_ticks: 1, delay_ns: null };
    const there = await scoreRun(await onSecondClock(recording, second, new Random(1)));
    expect(there.document.refusal).toBeNull();
    const [alignment] = there.document.alignments!;
    expect(alignment!.method).toBe('sync-pattern');
    expect(alignment!.u_s).toBeLessThan(20e-6);
    for (const [k, { start_s, truth }] of there.document.windows.entries()) {
      expect(Math.abs(start_s - document.windows[k]!.start_s)).toBeLessThan(3 * alignment!.u_s! + 2e-6);
      expect(Math.abs(truth!.error_rel!)).toBeLessThan(truth!.tolerance_rel);
    }
  }, 60_000);
});
