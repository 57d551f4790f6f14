import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { writeResults } from '../../../../src/capture/formats/layout-folder.ts';
import { openMlcommons } from '../../../../src/capture/formats/mlcommons/index.ts';
import { formatMlcResults, writeMlcStreamingRun } from '../../../../src/capture/formats/mlcommons/write.ts';
import { temporaryFolder } from '../../../support/energyrunner-folder.ts';
import { noRecordings, recordingsRoot } from '../../../support/recordings.ts';

const { folder, remove } = temporaryFolder();
afterAll(remove);

const run = {
  simulated: false,
  log: [
    { kind: 'log', time_s: 1, source: 'io', text: 'Now recording detections' },
    { kind: 'log', time_s: 2, source: 'dut', text: 'm-ready' },
    { kind: 'log', time_s: 3, source: 'parser', text: 'not of the wire' },
  ] as const,
  sound: { file: 'a.wav', duration_s: 4, words: [{ start_s: 1, stop_s: 1.5 }] },
  detections_ms: [3, 1603],
  busy: { start_s: [0.1, 0.2], stop_s: [0.11, 0.21] },
  duty: { dutyCycle: 0.1, period_s: 0.1, processing_s: 0.01 },
  samples_J: Float64Array.from({ length: 5000 }, () => 2e-6),
  events: [10, 100, 4600],
};
const figures = {
  elapsed_s: 4.5,
  energy_uJ: 9000,
  power_mW: 2,
  counts: { tp: 1, fn: 0, fp: 0 },
  duty: run.duty,
};

describe('a streaming run as the MLCommons runner leaves one', () => {
  test('is read back as it was written', async () => {
    const path = join(folder, 'a');
    writeMlcStreamingRun(path, run);
    writeResults(path, formatMlcResults(figures));
    const recording = await openMlcommons(path);
    const [trial] = recording.trials!;
    expect(trial!.wakeword).toEqual({ detections_ms: run.detections_ms, truth: run.sound.words, busy: run.busy });
    expect(trial!.power!.events).toEqual(run.events.map((sample, counter) => ({ counter, sample })));
    expect([...trial!.power!.samples_J]).toEqual([...run.samples_J]);
    expect(recording.printed!.wakeword).toMatchObject({ truePositives: { value: 1 }, throughput_ips: { value: 100 } });
    expect(recording.printed!.trials[0]!.power_mW!.value).toBe(2);
    expect(recording.simulated).toBeNull();
    expect(readFileSync(join(path, 'log.txt'), 'utf8')).toBe(
      'Logging initialized. Writing output to log.txt\nRX:Now recording detections\nRX:[dut]: m-ready\n[3, 1603]\nsamples:5000 timestamps:3\n',
    );
  });

  test('bears its mark where it was simulated, and overwrites nothing', async () => {
    const path = join(folder, 'b');
    writeMlcStreamingRun(path, { ...run, simulated: true });
    expect((await openMlcommons(path)).simulated).toBe(true);
    mkdirSync(join(folder, 'c'));
    expect(() => writeMlcStreamingRun(join(folder, 'c'), run)).toThrow(/cannot be made/);
  });

  test.skipIf(noRecordings)('has the text of a published results.txt, byte for byte', () => {
    const published = 'tiny/v1.3/closed/syntiant/results/syntiant_9120_1v0_49mhz/sww/energy/results.txt';
    const text = readFileSync(join(recordingsRoot, published), 'utf8');
    const number = (pattern: RegExp) => Number(pattern.exec(text)![1]);
    const ours = formatMlcResults({
      elapsed_s: number(/Elapsed time\s+: ([\d.]+)/),
      // Printed to four digits here, to three elsewhere.
      energy_uJ: number(/cost is ([\d.]+)/) - 4e-5,
      power_mW: number(/Power\s+: ([\d.]+)/),
      counts: {
        tp: number(/(\d+) True/),
        fn: number(/(\d+) False negatives/),
        fp: number(/(\d+) False positives/),
      },
      duty: {
        dutyCycle: number(/duty cycle: ([\d.]+)/),
        period_s: number(/period: ([\d.]+)/),
        processing_s: 1 / number(/throughput: ([\d.]+)/),
      },
    });
    expect(ours.trimEnd()).toBe(text.replaceAll('\r\n', '\n').trimEnd());
  });
});
