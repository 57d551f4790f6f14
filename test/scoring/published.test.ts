import { appendFileSync, mkdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isEnergyRunnerRecording } from '../../src/capture/formats/energyrunner/index.ts';
import { openRecording } from '../../src/capture/formats/index.ts';
import { isMlcRecording } from '../../src/capture/formats/mlcommons/index.ts';
import { scorePublished } from '../../src/scoring/published.ts';
import type { ScoreDocument } from '../../src/scoring/score-document.ts';
import { JoulemarkError } from '../../src/signal/errors.ts';
import { fiveWindows, logText, temporaryFolder, traceBytes, writeSession } from '../support/energyrunner-folder.ts';
import { foldersWith, noRecordings, recordingsRoot } from '../support/recordings.ts';

const score = async (path: string): Promise<ScoreDocument> => scorePublished(await openRecording(path));
const codes = (document: ScoreDocument) => document.warnings.map((each) => each.code);

let folder: string;
let remove: () => void;
beforeEach(() => ({ folder, remove } = temporaryFolder()));
afterEach(() => remove());

describe('an EnergyRunner session made by the project', () => {
  it('is scored window by window, in the numbering of the runner', async () => {
    writeSession(folder);
    const document = await score(folder);
    expect(document).toMatchObject({
      schema: 'joulemark.score/1',
      source: { format: 'energyrunner', path: folder },
      simulated: null,
      slicing: 'energyrunner',
      refusal: null,
    });
    expect(document.windows.map((window) => window.index)).toEqual([2, 4, 6, 8, 10]);
    for (const window of document.windows) {
      expect(window.energy_uJ).toBeCloseTo(24_000, -1);
      expect(window.runtime_s).toBe(12);
      expect(window.duration_s).toBeCloseTo(12, 2);
      expect(window.inferences).toBe(100);
      expect(window.energyPerInference_uJ).toBe(window.energy_uJ! / 100);
      expect(window.throughput_ips).toBe(100 / 12);
      expect(window.power_uW).toBe(window.energy_uJ! / window.duration_s);
    }
    expect(document.median.energyPerInference_uJ).toBeCloseTo(240, -1);
    expect(document.totals?.energy_uJ).toBeCloseTo(document.totals!.windows_uJ + document.totals!.outside_uJ, 6);
    expect(codes(document)).toEqual(['results.missing']);
  });

  it('is the same whether its folder or one of its files is named', async () => {
    writeSession(folder);
    const whole = await score(folder);
    for (const name of ['trace1-energy.bin', 'trace1-timestamps.json', 'log.txt']) {
      expect((await score(join(folder, name))).windows).toEqual(whole.windows);
    }
  });

  it('is simulated where the file or the name of the device says so', async () => {
    writeSession(folder);
    writeFileSync(join(folder, 'SIMULATED'), '');
    expect((await score(folder)).simulated).toBe(true);
  });

  it('takes the mean of the two middle windows as the median of four', async () => {
    writeSession(folder, { timestamps: fiveWindows.timestamps.slice(0, 9), inferences: [100, 100, 100, 100] });
    const { windows, median } = await score(folder);
    const sorted = windows.map((window) => window.energyPerInference_uJ!).sort((a, b) => a - b);
    expect(windows).toHaveLength(4);
    expect(median.energyPerInference_uJ).toBe((sorted[1]! + sorted[2]!) / 2);
  });
});

describe('the edges of an EnergyRunner session', () => {
  it('score as the runner does when one is lost, and the warning shows where the power is', async () => {
    const timestamps = [...fiveWindows.timestamps];
    timestamps.splice(1, 1);
    writeSession(folder, { timestamps });
    const document = await score(folder);
    expect(document.windows.map((window) => window.index)).toEqual([2, 4, 6, 8]);
    expect(document.windows[0]!.energy_uJ).toBeCloseTo(2000, -2);
    expect(codes(document)).toEqual(expect.arrayContaining(['edges.odd', 'edges.lost', 'window.too-short']));
    const odd = document.warnings.find((each) => each.code === 'edges.odd')!;
    expect(odd.message).toContain('10 timestamps');
    expect(odd.message).toMatch(/Mean power in them 100\d uW, in the intervals 1, 3, 5\.\.\. 19\d\d uW/);
  });

  it('score as the runner does when there is one too many', async () => {
    writeSession(folder, { timestamps: [0.01, 0.5, ...fiveWindows.timestamps.slice(1)] });
    const document = await score(folder);
    expect(document.windows).toHaveLength(5);
    expect(codes(document)).toEqual(expect.arrayContaining(['edges.odd', 'edges.extra']));
  });

  it('beyond the trace leave no energy for their window, and the other windows keep theirs', async () => {
    writeSession(folder, { values: fiveWindows.values.slice(0, 60_000) });
    const document = await score(folder);
    expect(document.windows.map((window) => window.index)).toEqual([2, 4, 6, 8]);
    const beyond = document.warnings.find((each) => each.code === 'edges.beyond-trace')!;
    expect(beyond.message).toContain('60.000 s');
    expect(beyond.message).toContain('window 10');
  });

  it('may coincide between two windows: an edge that was seen twice is warned of', async () => {
    writeSession(folder, { timestamps: [0.01, 2, 14, 14, 28] });
    const document = await score(folder);
    expect(document.windows.map((window) => window.index)).toEqual([2, 4]);
    expect(codes(document)).toContain('timestamps.unsorted');
  });

  it('may lie in the very last sample of the trace, but not after it', async () => {
    const timestamps = [0.01, 1, 11.9995];
    writeSession(folder, { timestamps, inferences: [100], values: new Float32Array(12_000).fill(1) });
    expect(codes(await score(folder))).not.toContain('edges.beyond-trace');
    writeSession(folder, {
      timestamps: [0.01, 1, 12.0005],
      inferences: [100],
      values: new Float32Array(12_000).fill(1),
    });
    await expect(score(folder)).rejects.toMatchObject({ code: 'windows.none' });
  });
});

describe('the number of inferences', () => {
  const results = (n: number) =>
    [2, 4, 6, 8, 10]
      .map(
        (index) =>
          `00001.000 ulp-ml: Performance results for window ${index}:\n00001.000 ulp-ml:   # Inferences : ${n}\n`,
      )
      .join('');

  it('comes from the log', async () => {
    writeSession(folder, { inferences: [100, 200, 300, 400, 500] });
    expect((await score(folder)).windows.map((window) => window.inferences)).toEqual([100, 200, 300, 400, 500]);
  });

  it('comes from the results file where the log is missing, empty or silent about it', async () => {
    writeSession(folder, { results: results(50) }, ['log']);
    const document = await score(folder);
    expect(document.windows.map((window) => window.inferences)).toEqual([50, 50, 50, 50, 50]);
    expect(codes(document)).toEqual(['log.missing']);
    writeFileSync(join(folder, 'log.txt'), '');
    expect((await score(folder)).windows[0]!.inferences).toBe(50);
    writeFileSync(join(folder, 'log.txt'), logText([]));
    expect((await score(folder)).windows[0]!.inferences).toBe(50);
  });

  it('comes from the configuration in the log where nothing else tells it', async () => {
    writeSession(folder, { inferences: [] });
    expect((await score(folder)).windows[0]!.inferences).toBe(77);
  });

  it('is null with a warning where nothing tells it, and the energy is still given', async () => {
    writeSession(folder, {}, ['log']);
    const document = await score(folder);
    expect(document.windows[0]).toMatchObject({ inferences: null, energyPerInference_uJ: null, throughput_ips: null });
    expect(document.windows[0]!.energy_uJ).toBeGreaterThan(0);
    expect(document.median.energyPerInference_uJ).toBeNull();
    expect(codes(document)).toContain('inferences.unknown');
  });

  it('is warned of where log and results disagree, and the log is believed', async () => {
    writeSession(folder, { results: results(50) });
    const document = await score(folder);
    expect(document.windows[0]!.inferences).toBe(100);
    expect(codes(document)).toContain('inferences.disagree');
  });

  it('is never divided by when it is 0', async () => {
    writeSession(folder, { inferences: [0, 0, 0, 0, 0], logLines: [] });
    const text = readFileSync(join(folder, 'log.txt'), 'utf8').replace(/.*iterInfer.*\n/, '');
    writeFileSync(join(folder, 'log.txt'), text);
    expect((await score(folder)).windows[0]!.energyPerInference_uJ).toBeNull();
  });
});

describe('bad input of an EnergyRunner session is refused with file, place and remedy', () => {
  const refusal = async (path = folder): Promise<JoulemarkError> => {
    const error = await score(path).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(JoulemarkError);
    const refused = error as JoulemarkError;
    expect(refused.message).toContain(refused.where);
    expect(refused.remedy.length).toBeGreaterThan(20);
    return refused;
  };
  const trace = () => join(folder, 'trace1-energy.bin');
  const stamps = () => join(folder, 'trace1-timestamps.json');

  it('a truncated trace', async () => {
    writeSession(folder);
    truncateSync(trace(), 5 + 4 * 1000 + 2);
    expect(await refusal()).toMatchObject({ code: 'trace.truncated', where: `${trace()} at byte 4005` });
  });

  it('trailing bytes', async () => {
    writeSession(folder);
    appendFileSync(trace(), 'abc');
    expect(await refusal()).toMatchObject({ code: 'trace.truncated' });
  });

  it('an empty trace, a cut header, a trace without samples', async () => {
    writeSession(folder);
    for (const [size, code] of [
      [0, 'trace.empty'],
      [3, 'trace.truncated'],
      [5, 'trace.empty'],
    ] as const) {
      writeFileSync(trace(), traceBytes([1, 2]).subarray(0, size));
      expect(await refusal()).toMatchObject({ code });
    }
  });

  it('a wrong first byte, and a Git LFS pointer by its name', async () => {
    writeSession(folder);
    writeFileSync(trace(), 'version https://git-lfs.github.com/spec/v1\n');
    const refused = await refusal();
    expect(refused).toMatchObject({ code: 'trace.mark', where: `${trace()} at byte 0` });
    expect(refused.message).toContain('0x76');
    expect(refused.message).toContain('Git LFS');
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, 0, -1000, 1e30])('a sample rate of %s', async (rate_Hz) => {
    writeSession(folder, { rate_Hz });
    expect(await refusal()).toMatchObject({ code: 'trace.rate' });
  });

  it('a rate other than 1 kHz, until its unit is told', async () => {
    const half = fiveWindows.values.filter((_, s) => s % 2 === 0);
    writeSession(folder, { rate_Hz: 500, values: half });
    expect(await refusal()).toMatchObject({ code: 'trace.unit-unknown' });
    const energy = await scorePublished(await openRecording(folder, { traceUnit: 'uJ' }));
    const power = await scorePublished(await openRecording(folder, { traceUnit: 'mW' }));
    expect(energy.windows[0]!.energy_uJ).toBeCloseTo(12_000, -2);
    expect(power.windows[0]!.energy_uJ).toBe(2 * energy.windows[0]!.energy_uJ!);
  });

  it.each([Number.NaN, Number.NEGATIVE_INFINITY])('a sample that is %s', async (value) => {
    const values = fiveWindows.values.slice();
    values[70_000] = value;
    writeSession(folder, { values });
    const refused = await refusal();
    expect(refused).toMatchObject({ code: 'trace.not-finite', where: `${trace()} at byte ${5 + 4 * 70_000}` });
    expect(refused.message).toContain('sample 70000');
  });

  it('no trace, and no timestamps', async () => {
    writeSession(folder, {}, ['trace']);
    expect(await refusal()).toMatchObject({ code: 'trace.missing' });
    writeSession(folder);
    renameSync(stamps(), join(folder, 'lost'));
    expect(await refusal()).toMatchObject({ code: 'timestamps.missing' });
  });

  it('timestamps that do not ascend, and a window without duration', async () => {
    writeSession(folder, { timestamps: [0.01, 2, 14, 13, 28] });
    expect(await refusal()).toMatchObject({ code: 'timestamps.unsorted', where: `${stamps()} at entry 3` });
    writeSession(folder, { timestamps: [0.01, 2, 2, 13, 28] });
    expect(await refusal()).toMatchObject({ code: 'timestamps.duplicate', where: `${stamps()} at entry 2` });
  });

  it('too few timestamps for a window', async () => {
    for (const timestamps of [[], [0.01], [0.01, 2]]) {
      writeSession(folder, { timestamps });
      expect(await refusal()).toMatchObject({ code: 'timestamps.too-few' });
    }
  });

  it('timestamps that are no JSON, no array, or hold something else than numbers', async () => {
    writeSession(folder);
    for (const text of [
      '',
      ' \n',
      '[0.01, 2',
      '{"a": 1}',
      '[0.01, "2", 14]',
      '[0.01, null]',
      '[1e999, 2]',
      '[[1]]',
      'NaN',
    ]) {
      writeFileSync(stamps(), text);
      expect(await refusal()).toMatchObject({ code: 'timestamps.malformed' });
    }
  });

  it('a path that is not there, an empty folder, a folder of something else', async () => {
    await expect(refusal(join(folder, 'nowhere'))).resolves.toMatchObject({ code: 'file.unreadable' });
    expect((await refusal()).message).toContain('an empty folder');
    writeFileSync(join(folder, 'notes.md'), 'hello');
    const refused = await refusal();
    expect(refused).toMatchObject({ code: 'recording.unknown' });
    expect(refused.message).toContain('notes.md');
    expect(refused.message).toContain('trace1-energy.bin');
  });

  it('two files that may both be the trace', async () => {
    writeSession(folder, {}, ['trace']);
    writeFileSync(join(folder, 'trace2-energy.bin'), traceBytes([1]));
    writeFileSync(join(folder, 'trace3-energy.bin'), traceBytes([1]));
    expect(await refusal()).toMatchObject({ code: 'energyrunner.ambiguous' });
  });
});

describe('odd input of an EnergyRunner session is scored with a warning', () => {
  it('timestamps with comments, CR LF, a byte-order mark or a trailing comma', async () => {
    writeSession(folder);
    const expected = (await score(folder)).windows;
    const [first, ...rest] = fiveWindows.timestamps;
    const text = rest.join(',\n');
    for (const odd of [
      `[ // handshake\n${first},\n/* windows * */${text}]`,
      `[\r\n${first},\r\n${rest.join(',\r\n')}\r\n]\r\n`,
      `\ufeff[${first},${text}]`,
      `[${first},${text},\n]`,
      `# by hand\n[${first},${text}]`,
    ]) {
      writeFileSync(join(folder, 'trace1-timestamps.json'), odd);
      const document = await score(folder);
      expect(document.windows).toEqual(expected);
      expect(codes(document)).toContain('timestamps.repaired');
    }
  });

  it('negative samples, counted', async () => {
    const values = fiveWindows.values.slice();
    values[100] = -0.5;
    values[200] = -0.5;
    writeSession(folder, { values });
    const document = await score(folder);
    expect(document.warnings.find((each) => each.code === 'samples.negative')?.message).toContain('2 of 80000 samples');
  });

  it('files with prefixes, in other letter case, beside AppleDouble files', async () => {
    writeSession(folder);
    const expected = (await score(folder)).windows;
    renameSync(join(folder, 'log.txt'), join(folder, 'kws_log.txt'));
    renameSync(join(folder, 'trace1-energy.bin'), join(folder, 'TRACE1-ENERGY.BIN'));
    for (const name of ['._kws_log.txt', '._trace1-energy.bin', '._trace1-timestamps.json']) {
      writeFileSync(join(folder, name), Buffer.from([0, 5, 22, 7]));
    }
    const document = await score(folder);
    expect(document.windows).toEqual(expected);
    expect(document.warnings.find((each) => each.code === 'names.unusual')?.message).toMatch(
      /TRACE1-ENERGY.BIN, kws_log.txt/,
    );
  });

  it('a trace under any other name, known by its first byte', async () => {
    writeSession(folder);
    renameSync(join(folder, 'trace1-energy.bin'), join(folder, 'capture.bin'));
    mkdirSync(join(folder, 'directory.bin'));
    expect((await score(folder)).windows).toHaveLength(5);
  });

  it('names of early rounds without any warning', async () => {
    writeSession(folder);
    renameSync(join(folder, 'log.txt'), join(folder, 'energy_log.txt'));
    writeFileSync(join(folder, 'energy_result.txt'), '00001.000 ulp-ml: Median energy cost is 1.000 uJ/inf.\n');
    expect(codes(await score(folder))).toEqual([]);
  });

  it('a log with garbage in it', async () => {
    writeSession(folder);
    appendFileSync(join(folder, 'log.txt'), Buffer.from([0xff, 0xfe, 0x00, 0x0a, 0x41, 0x0a]));
    const document = await score(folder);
    expect(document.windows[0]!.inferences).toBe(100);
    expect(codes(document)).toContain('log.garbled');
  });

  it('packets that the instrument dropped', async () => {
    writeSession(folder, { logLines: ['emon: m-[Dropped 12 packets out of 1000, 1.2%]'] });
    expect(codes(await score(folder))).toContain('samples.dropped');
  });
});

describe('reading is safe', () => {
  const outcome = async (): Promise<void> => {
    try {
      await score(folder);
    } catch (error) {
      expect(error).toBeInstanceOf(JoulemarkError);
    }
  };
  const small = { values: new Float32Array(200).fill(1), timestamps: [0.01, 0.05, 0.1], inferences: [10] };

  it.each(['trace1-energy.bin', 'trace1-timestamps.json', 'log.txt', 'results.txt'])(
    'whatever bytes %s is changed to',
    async (name) => {
      writeSession(folder, { ...small, results: 'Median energy cost is 1.0 uJ/inf.\n' });
      const original = readFileSync(join(folder, name));
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.nat(original.length), fc.uint8Array({ maxLength: 4 }), fc.nat(8)), { maxLength: 4 }),
          async (edits) => {
            let bytes: Buffer = original;
            for (const [at, inserted, removed] of edits) {
              bytes = Buffer.concat([bytes.subarray(0, at), inserted, bytes.subarray(at + removed)]);
            }
            writeFileSync(join(folder, name), bytes);
            await outcome();
          },
        ),
        { numRuns: 60 },
      );
    },
  );

  it('whatever the timestamps are', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.double({ noNaN: true, min: -1, max: 1 })), async (timestamps) => {
        writeSession(folder, { ...small, timestamps });
        await outcome();
      }),
      { numRuns: 60 },
    );
  });

  it('whatever a results.json holds', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.jsonValue({ maxDepth: 6 }), fc.array(trialLike, { maxLength: 3 })),
        async (value) => {
          writeFileSync(join(folder, 'results.json'), JSON.stringify(value));
          await outcome();
        },
      ),
      { numRuns: 150 },
    );
  });
});

const trialLike = fc.record(
  {
    infer: fc.record({ iterations: fc.oneof(fc.nat(20), fc.constant(null)), results: fc.array(fc.double()) }),
    power: fc.record({
      samples: fc.array(fc.double({ noNaN: true }), { maxLength: 30 }),
      timestamps: fc.array(fc.tuple(fc.oneof(fc.nat(3), fc.constantFrom('00', '01', 'x')), fc.nat(40)), {
        maxLength: 4,
      }),
    }),
  },
  { requiredKeys: [] },
);

const trialOf = (over: object = {}) => ({
  file: 'a.bin',
  class: '1',
  infer: { results: [0.1, 0.9], iterations: 4, warmups: 1 },
  power: {
    samples: new Array(12_000).fill(1e-5),
    timestamps: [
      ['07', 1000],
      ['08', 11_500],
    ],
    voltage: 3,
  },
  mode: 'e',
  ...over,
});
const writeJson = (value: unknown) => writeFileSync(join(folder, 'results.json'), JSON.stringify(value));

describe('a session of the MLCommons runner made by the project', () => {
  it('is scored trial by trial from the last two events', async () => {
    writeJson([
      trialOf(),
      trialOf({
        power: {
          samples: new Array(12_000).fill(2e-5),
          timestamps: [
            ['09', 5],
            ['10', 1000],
            ['11', 11_500],
          ],
        },
      }),
    ]);
    const document = await score(folder);
    expect(document).toMatchObject({ source: { format: 'mlcommons-tiny' }, slicing: 'mlc-runner' });
    expect(document.windows.map((window) => window.index)).toEqual([0, 1]);
    expect(document.windows[1]).toMatchObject({ start_s: 1, duration_s: 10.5, runtime_s: 10.5, inferences: 4 });
    expect(document.windows[1]!.energy_uJ).toBeCloseTo(210_000, 6);
    expect(document.median.energyPerInference_uJ).toBeCloseTo((105_000 + 210_000) / 8, 6);
    expect(codes(document)).toEqual(['log.missing', 'results.missing', 'edges.extra']);
  });

  it('leaves out a trial whose last two events are not consecutive, and says so', async () => {
    const broken = {
      samples: new Array(12_000).fill(1e-5),
      timestamps: [
        ['07', 1000],
        ['09', 11_500],
      ],
    };
    writeJson([trialOf(), trialOf({ power: broken })]);
    const document = await score(folder);
    expect(document.windows.map((window) => window.index)).toEqual([0]);
    expect(document.warnings.find((each) => each.code === 'edges.lost')?.message).toContain('trial 1');
    writeJson([trialOf({ power: broken })]);
    await expect(score(folder)).rejects.toMatchObject({ code: 'windows.none' });
  });

  it('leaves out a trial whose event lies beyond its samples', async () => {
    writeJson([
      trialOf(),
      trialOf({
        power: {
          samples: [1e-5],
          timestamps: [
            ['07', 0],
            ['08', 11_500],
          ],
        },
      }),
    ]);
    const document = await score(folder);
    expect(document.windows).toHaveLength(1);
    expect(codes(document)).toContain('edges.beyond-trace');
  });

  it('refuses a performance run and a folder without results.json', async () => {
    writeJson([trialOf({ power: undefined, mode: 'p' })]);
    await expect(score(folder)).rejects.toMatchObject({ code: 'trace.missing' });
    renameSync(join(folder, 'results.json'), join(folder, 'lost'));
    writeFileSync(join(folder, 'results.txt'), 'Power Edition Output\n');
    await expect(score(folder)).rejects.toMatchObject({ code: 'trace.missing' });
  });

  it('refuses what is no results.json, with the place', async () => {
    for (const [text, where] of [
      ['', ''],
      ['[{', ''],
      ['[NaN]', ''],
      ['['.repeat(100_000), 'at character 32'],
      ['[{"power": {"samples": [1, "2"], "timestamps": []}}]', 'at 0.power.samples'],
      ['[{"power": {"samples": [1, 2], "timestamps": [["a", 1]]}}]', 'at 0.power.timestamps'],
      ['[3]', 'at 0'],
    ] as const) {
      writeFileSync(join(folder, 'results.json'), text);
      const error = await score(folder).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(JoulemarkError);
      expect(error).toMatchObject({ code: 'mlcommons.malformed' });
      expect((error as JoulemarkError).where).toContain(where);
    }
  });
});

const short = (path: string) => relative(recordingsRoot, path);

describe.skipIf(noRecordings)('published EnergyRunner sessions with a trace', () => {
  const folders = foldersWith('trace1-energy.bin');

  it.each(folders.map((path) => [short(path), path]))('%s: every printed digit of its results.txt', async (_, path) => {
    const recording = await openRecording(path);
    if (!isEnergyRunnerRecording(recording)) throw new Error('not recognized as an EnergyRunner session');
    const { windows, median, warnings } = await scorePublished(recording);
    const printed = recording.printed!;
    expect(
      windows.map((window) => [
        window.index,
        window.start_s.toFixed(2),
        window.duration_s.toFixed(2),
        window.energy_uJ!.toFixed(3),
        window.power_uW!.toFixed(3),
        window.energyPerInference_uJ?.toFixed(3),
      ]),
    ).toEqual(
      printed.energyWindows.map((window) => [
        window.index,
        window.start_s.text,
        window.duration_s.text,
        window.energy_uJ?.text,
        window.power_uW?.text,
        window.energyPerInference_uJ?.text,
      ]),
    );
    expect(
      windows.map((window) => [
        window.index,
        String(window.inferences),
        window.runtime_s.toFixed(3),
        window.throughput_ips?.toFixed(3),
      ]),
    ).toEqual(
      printed.performanceWindows.map((window) => [
        window.index,
        window.inferences?.text,
        window.runtime_s?.text,
        window.throughput_ips?.text,
      ]),
    );
    expect(median.energyPerInference_uJ?.toFixed(3)).toBe(printed.medianEnergy_uJ?.text);
    expect(median.throughput_ips?.toFixed(3)).toBe(printed.medianThroughput_ips?.text);
    const short = windows.some((window) => window.runtime_s < 10);
    expect(warnings.some((each) => each.code === 'window.too-short')).toBe(short);
    expect(printed.errors.length > 0).toBe(short);
  });

  it('include the one that lost an edge, whose wrong figure comes with a warning', async () => {
    const path = folders.find(
      (each) => each.includes('v1.1') && each.includes('NUCLEO_L4R5ZI') && each.includes('/ic/'),
    )!;
    const document = await score(path);
    expect(document.median.energyPerInference_uJ?.toFixed(3)).toBe('7019.085');
    expect(codes(document)).toEqual(expect.arrayContaining(['edges.odd', 'edges.lost']));
  });

  it('include one of a JS110 with CR LF in its timestamps', async () => {
    const path = folders.find((each) => each.includes('hls4ml'))!;
    const document = await score(path);
    expect(document.provenance.instrument).toBe('js110');
    expect(codes(document)).toEqual(['timestamps.repaired']);
  });
});

describe.skipIf(noRecordings)('published sessions of the MLCommons runner', () => {
  const folders = foldersWith('results.json');

  it.each(folders.map((path) => [short(path), path]))('%s: every printed digit of its results.txt', async (_, path) => {
    const recording = await openRecording(path);
    if (!isMlcRecording(recording)) throw new Error('not recognized as a session of the MLCommons runner');
    const { windows, median } = await scorePublished(recording);
    expect(
      windows.map((window) => [
        window.index,
        String(window.runtime_s),
        String(window.inferences),
        (window.power_uW! / 1000).toFixed(4),
        window.energy_uJ!.toFixed(3),
        window.energyPerInference_uJ?.toFixed(3),
      ]),
    ).toEqual(
      recording.printed!.trials.map((trial) => [
        trial.index,
        trial.elapsed_s?.text,
        trial.inferences?.text,
        trial.power_mW?.text,
        trial.energy_uJ?.text,
        trial.energyPerInference_uJ?.text,
      ]),
    );
    expect(median.energyPerInference_uJ?.toFixed(4)).toBe(recording.printed!.medianEnergy_uJ?.text);
  });
});

describe.skipIf(noRecordings)('published sessions without a trace', () => {
  it('are refused, not guessed', async () => {
    const bare = foldersWith('log.txt').filter(
      (path) => !foldersWith('trace1-energy.bin').includes(path) && !foldersWith('results.json').includes(path),
    );
    expect(bare.length).toBeGreaterThan(0);
    for (const path of bare) await expect(score(path)).rejects.toMatchObject({ code: 'trace.missing' });
  });
});
