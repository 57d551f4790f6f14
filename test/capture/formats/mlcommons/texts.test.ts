import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type MlcLogEvent, parseMlcLogLine, readMlcSession } from '../../../../src/capture/formats/mlcommons/log.ts';
import { parseMlcResults, readMlcResults } from '../../../../src/capture/formats/mlcommons/results.ts';
import { foldersWith, noRecordings } from '../../../support/recordings.ts';

describe('parseMlcLogLine', () => {
  it.each<[string, MlcLogEvent | null]>([
    [
      'Logging initialized. Writing output to sessions\\20250726_102344\\log.txt',
      { kind: 'logging', file: 'sessions\\20250726_102344\\log.txt' },
    ],
    ['Initializing SerialDevice on port: COM23 at 3686400 baud', { kind: 'serial-port', port: 'COM23', baud: 3686400 }],
    ['Device name retrieved: Some Board', { kind: 'dut-name', text: 'Some Board' }],
    ['Device model retrieved: kws01', { kind: 'dut-model', text: 'kws01' }],
    ['0726.102349 ulp-mlperf: Loading file a b.bin segment 0', { kind: 'load', file: 'a b.bin', segment: 0 }],
    ['Running inference with 1/250 (warmup/measured) iterations ...', { kind: 'infer', warmups: 1, inferences: 250 }],
    ['Captured samples:15044 timestamps:3', { kind: 'captured', samples: 15044, timestamps: 3 }],
    ['RX:[dut]: m-ready', { kind: 'received', text: 'm-ready', dut: true }],
    ['RX:35,', { kind: 'received', text: '35,', dut: false }],
    ['dut start%', { kind: 'sent', command: 'dut start' }],
    [
      '0725.190009 ulp-mlperf:   m-results    : [0.0, 0.996]',
      { kind: 'result-values', values: [0, 0.996], text: '0.0, 0.996' },
    ],
    [
      'ERROR: Not valid for submission.  All inference times must be at least 10 seconds.',
      { kind: 'error', text: 'ERROR: Not valid for submission.  All inference times must be at least 10 seconds.' },
    ],
    ['done', null],
  ])('reads %s', (text, event) => expect(parseMlcLogLine(text).event).toEqual(event));

  it('keeps the time where a line has one', () => {
    expect(parseMlcLogLine('0726.102350 ulp-mlperf: Load complete.', 3)).toEqual({
      line: 3,
      timeText: '0726.102350',
      text: 'Load complete.',
      event: { kind: 'load-done' },
    });
  });
});

describe('parseMlcResults', () => {
  it('reads the trials of an energy run, with the texts that were printed', () => {
    const results = parseMlcResults(
      'Power Edition Output\r\nEnergy data for trial 0\r\n  Elapsed time  : 8.886000000000001  <<<< below minimum duration\r\n  Inferences    : 250\r\n  Power         : 32.8730 mW.\r\n  Total Energy  : 357855.490 uJ\r\n  Energy/Inf    : 1431.422 uJ/inf\r\n----\r\nMedian energy cost is 1431.4220 uJ/inf.\r\n',
    );
    expect(results).toMatchObject({
      energyMode: true,
      trials: [
        {
          index: 0,
          elapsed_s: { text: '8.886000000000001' },
          inferences: { value: 250 },
          power_mW: { text: '32.8730' },
          energy_uJ: { text: '357855.490' },
          energyPerInference_uJ: { text: '1431.422' },
          belowMinimum: true,
        },
      ],
      medianEnergy_uJ: { text: '1431.4220', value: 1431.422 },
      wakeword: null,
      counts: { unknown: 0 },
    });
  });

  it('reads performance, accuracy and wakeword lines', () => {
    const results = parseMlcResults(
      'Performance results for window 1\n    # Inferences : 250\n    Runtime: 12.07688 sec.\n    Throughput: 20.70071077960533 inf./sec.\n    Runtime requirements have been met.\n0725.190058 ulp-mlperf: Median throughput is     20.703 inf./sec.\n0725.180656 ulp-mlperf: Top 1% = 87.0\n0725.180656 ulp-mlperf: AUC = 0.988\nAccuracy: 46 True positives, 4 False negatives, 5 False positives\nAverage duty cycle: 0.021792\nAverage period: 0.032072 s\nEstimated throughput: 1430.8 inf./sec.\n',
    );
    expect(results.performanceWindows).toEqual([
      {
        index: 1,
        inferences: { text: '250', value: 250 },
        runtime_s: { text: '12.07688', value: 12.07688 },
        throughput_ips: { text: '20.70071077960533', value: 20.70071077960533 },
        requirementsMet: true,
      },
    ]);
    expect(results.medianThroughput_ips?.text).toBe('20.703');
    expect(results.top1_pct?.text).toBe('87.0');
    expect(results.auc?.text).toBe('0.988');
    expect(results.wakeword).toMatchObject({
      truePositives: { value: 46 },
      falseNegatives: { value: 4 },
      falsePositives: { value: 5 },
      dutyCycle: { text: '0.021792' },
      period_s: { text: '0.032072' },
      throughput_ips: { text: '1430.8' },
    });
    expect(results.counts.unknown).toBe(0);
  });

  it('never throws, whatever the file holds', () => {
    const piece = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('Energy data for trial 1\n', '  Elapsed time  : 1e5', '\n', 'Accuracy: 1 True positives'),
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        parseMlcResults(pieces.join(''));
        parseMlcLogLine(pieces.join(''));
      }),
    );
  });
});

describe.skipIf(noRecordings)('published texts of the MLCommons runner', () => {
  const folders = foldersWith('results.txt').filter((folder) => folder.includes('v1.3'));

  it.each(folders)('%s are understood', async (folder) => {
    const results = await readMlcResults(join(folder, 'results.txt'));
    expect(results.counts.unknown).toBe(0);
    expect(results.medianEnergy_uJ).not.toBeNull();
    const session = await readMlcSession(join(folder, 'log.txt'));
    expect(session.dutModel).toMatch(/^(kws|sww)01$/);
    if (results.trials.length === 5) {
      expect(session.calls.map((call) => call.inferences)).toEqual(
        results.trials.map((trial) => trial.inferences?.value),
      );
    }
  });
});
