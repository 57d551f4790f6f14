import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openRunFolder } from '../../src/capture/run-folder.ts';
import { verifyRunFolder } from '../../src/capture/verify.ts';
import { serveDut } from '../../src/dut/emulators/serve.ts';
import { simulatedSound, simulatedSoundFile } from '../../src/dut/emulators/wakeword.ts';
import { parseRig } from '../../src/rig/rig-file.ts';
import { resultFiles, runBenchmark } from '../../src/rig/run-benchmark.ts';
import { temporaryFolder } from '../support/energyrunner-folder.ts';
import { noPty } from '../support/pty.ts';

if (noPty) console.warn(`tests of streaming runs are skipped: ${noPty}`);

const { folder, remove } = temporaryFolder();
afterAll(remove);

/** Two words: the emulated network finds the first, misses the second, and has a false alarm between them. */
const sound_s = 6;
const counts = { n: 2, tp: 1, fn: 1, fp: 1, f1: 0.5 };

let runs = 0;

async function run(dut: string, faults: string[] = []) {
  const served = await serveDut({ model: 'sww01', mode: 'energy', faults, ioManager: 'interface-board', sound_s });
  const path = join(folder, `run-${runs++}`);
  const rigText = `version: 1
profile: sww01
instrument: {settings: {rate_Hz: 5000}}
dut: {name: a listening DUT, connection: ${served.address}, via: io-manager${dut}}
`;
  try {
    return await runBenchmark(parseRig(rigText, 'rig'), { folder: path, rigText });
  } finally {
    await served.close();
  }
}

describe.skipIf(noPty !== null).concurrent('a streaming wakeword run behind the interface board', () => {
  test('gives the counts of the network, the duty cycle, and the energy from start to stop', async () => {
    const { document, folder: path, energyRunnerFolder, mlcommonsFolder, audit } = await run('');
    expect(document.refusal).toBeNull();
    expect(document.accuracy).toEqual({ top1_pct: null, auc: null, ...counts });
    const { wakeword, windows, median, gates } = document;
    expect(wakeword!.processing_s).toBeCloseTo(0.008, 4);
    expect(wakeword!.period_s).toBeCloseTo(0.032, 4);
    expect(wakeword!.dutyCycle).toBeCloseTo(0.25, 2);
    expect(wakeword!.grace1).toMatchObject({ tp: 1, fn: 1, fp: 1 });
    expect(median.throughput_ips).toBeCloseTo(125, 0);
    expect(windows).toHaveLength(1);
    const [window] = windows;
    expect(window!.duration_s).toBeGreaterThan(sound_s + 0.25);
    expect(window!.inferences).toBe(1);
    expect(Math.abs(window!.truth!.error_rel)).toBeLessThan(2e-3);
    expect(wakeword!.power_mW).toBeCloseTo(window!.power_uW! / 1000, 9);
    // Most of the window the sound plays: a quarter of that it is busy with 9.8 mA, else it waits with 1.9 mA, at 3 V.
    expect(wakeword!.power_mW).toBeGreaterThan(8);
    expect(wakeword!.power_mW).toBeLessThan(12);
    expect(gates.map(({ id, met }) => [id, met])).toEqual([
      ['windows', true],
      ['duration', false],
      ['iterations', true],
      ['quality.fp', true],
      ['quality.fn', true],
    ]);
    expect(energyRunnerFolder).toBeNull();
    expect((await verifyRunFolder(path)).ok).toBe(true);
    // As the MLCommons runner leaves it, it gives the same figures, to the grid of a millisecond.
    const results = readFileSync(join(mlcommonsFolder!, 'results.txt'), 'utf8');
    expect(results).toMatch(/^ {2}Power {9}: \d+\.\d{4} mW\.$/m);
    expect(Number(/Power\s+: ([\d.]+) mW/.exec(results)![1]) / wakeword!.power_mW!).toBeCloseTo(1, 2);
    expect(results).toContain('Accuracy: 1 True positives, 1 False negatives, 1 False positives');
    expect(results).toContain('Estimated throughput: 125.0 inf./sec.');
    expect(audit).toMatchObject({ arithmetic: 'exact', verdict: 'unverifiable', agreement: { agrees: true } });
    expect(audit!.findings).toContain('claim.simulated');
    const again = await resultFiles(await openRunFolder(path));
    expect(JSON.stringify(again.document)).toBe(JSON.stringify(document));
  }, 60_000);

  test("without an instrument gives the counts and the throughput, with the words of the benchmark's list", async () => {
    const list = join(folder, 'words.json');
    const windows = simulatedSound(sound_s).words.map(({ start_s, stop_s }) => [start_s, stop_s]);
    // A third word that nobody speaks.
    const entry = {
      wav_file: simulatedSoundFile(sound_s),
      length_sec: sound_s,
      detection_windows: [...windows, [5.5, 5.9]],
    };
    writeFileSync(list, JSON.stringify([entry]));
    const modes = ['performance', 'accuracy'];
    const outcomes = await Promise.all(modes.map((mode) => run(`, mode: ${mode}, inputs: ${list}`)));
    outcomes.forEach(({ document }, k) => {
      expect(document).toMatchObject({ mode: modes[k], refusal: null, accuracy: { n: 3, tp: 1, fn: 2, fp: 1 } });
      expect(document.median.throughput_ips).toBeCloseTo(125, 0);
      expect(document.gates.map(({ id, met }) => [id, met])).toEqual([
        ['quality.fp', true],
        ['quality.fn', true],
      ]);
    });
  }, 60_000);

  test.each([
    ['error@start', 'dut.error'],
    ['mute@stop', 'device.silent'],
  ])(
    'with %s under way ends with one error, and keeps the capture',
    async (fault, code) => {
      const error = await run('', [fault]).catch((reason) => reason as { code: string; remedy: string });
      expect(error).toMatchObject({ code, remedy: expect.stringContaining('is kept in') });
      const kept = /kept in (.*)$/.exec((error as { remedy: string }).remedy)![1]!;
      expect((await verifyRunFolder(kept)).ok).toBe(true);
    },
    60_000,
  );

  test('is refused without the board, the list, or the sound on its card', async () => {
    await expect(run(', inputs: nowhere.json')).rejects.toMatchObject({ code: 'rig.inputs' });
    const list = join(folder, 'other.json');
    writeFileSync(list, '[{"wav_file": "long_wav.wav", "length_sec": 1200, "detection_windows": []}]');
    await expect(run(`, inputs: ${list}`)).rejects.toMatchObject({
      code: 'rig.inputs',
      message: expect.stringContaining('has no file long_wav.wav; it has sim_sww01_6s.wav'),
    });
    writeFileSync(list, '[{"wav_file": "long_wav.wav", "length_sec": -1}]');
    await expect(run(`, inputs: ${list}`)).rejects.toMatchObject({ code: 'labels.malformed' });
    const direct = parseRig('version: 1\nprofile: sww01\ndut: {name: x, connection: /dev/none}\n', 'rig');
    await expect(runBenchmark(direct, { folder: join(folder, 'direct'), rigText: '' })).rejects.toMatchObject({
      code: 'rig.streaming',
    });
    await expect(serveDut({ model: 'sww01', mode: 'energy', faults: [] })).rejects.toMatchObject({
      code: 'usage.model',
    });
  }, 60_000);
});
