import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { streamingFigures, streamingRecord } from '../../src/scoring/streaming.ts';
import type { Recording } from '../../src/signal/recording.ts';
import type { LogLine } from '../../src/signal/types.ts';
import { fuzz } from '../support/fuzz.ts';

/** A recording of which only the log is looked at. */
function withLog(...texts: string[]): Recording {
  return {
    async *log() {
      for (const text of texts) yield { kind: 'log', time_s: 0, source: 'host', text } satisfies LogLine;
    },
  } as unknown as Recording;
}

const sound = (words: { start_s: number; stop_s: number }[] | null) =>
  `m-sound-[${JSON.stringify({ file: 'a.wav', duration_s: 60, words })}]`;
const busy = { start_s: [1, 1.032, 1.064], stop_s: [1.008, 1.04, 1.072] };
const heard = (detections_ms: number[]) => `m-heard-[${JSON.stringify({ detections_ms, busy })}]`;
const words = [10, 20, 30].map((start_s) => ({ start_s, stop_s: start_s + 0.5 }));

describe('the figures of a streaming run', () => {
  it('count words and false alarms from the first detection on, with 2 s of grace and with 1 s', async () => {
    // Time 0 is 500 ms. The second word is found 1.7 s after its end; 40 s and 40.8 s are one false alarm.
    const detections_ms = [500, 10_900, 22_700, 40_500, 41_300];
    const figures = (await streamingFigures(withLog(sound(words), heard(detections_ms))))!;
    expect(figures.accuracy).toEqual({ top1_pct: null, auc: null, n: 3, tp: 2, fn: 1, fp: 1, f1: 4 / 6 });
    expect(figures.wakeword.grace1).toMatchObject({ tp: 1, fn: 2, fp: 2 });
    expect(figures.wakeword.detections).toBe(5);
    expect(figures.throughput_ips).toBeCloseTo(125, 9);
    expect(figures.wakeword.dutyCycle).toBeCloseTo(0.25, 9);
  });

  it('have no counts where nobody says when the words were spoken, and are none where nothing was heard', async () => {
    const figures = (await streamingFigures(withLog(sound(null), heard([1]))))!;
    expect(figures.accuracy).toBeNull();
    expect(figures.throughput_ips).toBeCloseTo(125, 9);
    expect(await streamingFigures(withLog(sound(words)))).toBeNull();
    // A sound after which nothing came is not judged by what was heard before.
    expect(await streamingFigures(withLog(sound(words), heard([1]), sound(words)))).toBeNull();
  });

  it('survive any line', async () => {
    const json = fc.json({ maxDepth: 4 });
    const line = fc.oneof(
      fc.string(),
      json,
      json.map((text) => text.replace(/^.|.$/g, '')),
    );
    await fc.assert(
      fc.asyncProperty(line, line, async (first, second) => {
        const record = await streamingRecord(withLog(`m-sound-[${first}]`, `m-heard-[${second}]`));
        if (record !== null) expect(Array.isArray(record.heard.detections_ms)).toBe(true);
        await streamingFigures(withLog(`m-sound-[${first}]`, `m-heard-[${second}]`));
      }),
      fuzz(300),
    );
    const long = `m-heard-[${'['.repeat(300_000)}]`;
    expect(await streamingRecord(withLog(sound(words), long))).toBeNull();
  });
});
