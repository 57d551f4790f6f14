import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseResults, readResults } from '../../../../src/capture/formats/energyrunner/results.ts';
import { foldersWith, noRecordings } from '../../../support/recordings.ts';

const text = (lines: string[]) => lines.map((line) => `00514.965 ulp-ml: ${line}`).join('\n');

const energy = (index: number, value: string) => [
  `Energy data for window ${index} at time 9.08 for 0.10 sec.:`,
  `  Energy       : ${value} uJ`,
  '  Power        :    40133.077 uW',
  '  Energy/Inf.  :      417.384 uJ/inf.',
];

describe('parseResults', () => {
  it('keeps each number with the text that was printed', () => {
    const results = parseResults(
      text([
        ...energy(2, '    4173.840'),
        'Median energy cost is 417.384 uJ/inf.',
        '---',
        'Performance results for window 2:',
        '  # Inferences :           10',
        '  Runtime      :        0.104 sec.',
        '  Throughput   :       96.154 inf./sec.',
        'Runtime requirements have been met.',
        'Median throughput is 96.154 inf./sec.',
        'Cannot compute accuracy metrics in single-run mode.',
      ]),
    );
    expect(results.energyWindows).toEqual([
      {
        index: 2,
        start_s: { text: '9.08', value: 9.08 },
        duration_s: { text: '0.10', value: 0.1 },
        energy_uJ: { text: '4173.840', value: 4173.84 },
        power_uW: { text: '40133.077', value: 40133.077 },
        energyPerInference_uJ: { text: '417.384', value: 417.384 },
      },
    ]);
    expect(results.performanceWindows).toEqual([
      {
        index: 2,
        inferences: { text: '10', value: 10 },
        runtime_s: { text: '0.104', value: 0.104 },
        throughput_ips: { text: '96.154', value: 96.154 },
        requirementsMet: true,
      },
    ]);
    expect(results.medianEnergy_uJ).toEqual({ text: '417.384', value: 417.384 });
    expect(results.medianThroughput_ips).toEqual({ text: '96.154', value: 96.154 });
    expect(results).toMatchObject({ singleRun: true, errors: [], counts: { unknown: 0 } });
  });

  it('reads accuracy lines and the error of a run that was too short', () => {
    const results = parseResults(
      text([
        'Performance results for window 2:',
        'e-[The run must take at least 10 seconds and 10 iterations to be valid]',
        'Top-1: 90.2%',
        'AUC: 0.99',
      ]),
    );
    expect(results.top1_pct).toEqual({ text: '90.2', value: 90.2 });
    expect(results.auc).toEqual({ text: '0.99', value: 0.99 });
    expect(results.errors).toEqual(['The run must take at least 10 seconds and 10 iterations to be valid']);
    expect(results.performanceWindows[0]?.requirementsMet).toBe(false);
  });

  it('pairs lines by kind and order where several windows are interleaved', () => {
    const results = parseResults(
      text([
        'Performance results for window 2:',
        'Performance results for window 4:',
        '  # Inferences : 10',
        '  # Inferences : 20',
        '  Runtime      : 1.000 sec.',
        '  Runtime      : 2.000 sec.',
        '  Throughput   : 10.000 inf./sec.',
        '  Throughput   : 11.000 inf./sec.',
      ]),
    );
    expect(
      results.performanceWindows.map((window) => [
        window.index,
        window.inferences?.text,
        window.runtime_s?.text,
        window.throughput_ips?.text,
      ]),
    ).toEqual([
      [2, '10', '1.000', '10.000'],
      [4, '20', '2.000', '11.000'],
    ]);
  });

  it('gives a repeated window once, whether its values are repeated or not', () => {
    const values = ['  # Inferences : 10', '  # Inferences : 20'];
    const headings = ['Performance results for window 2:', 'Performance results for window 4:'];
    for (const lines of [
      [...headings, ...values, ...headings, ...values],
      [...headings, ...headings, ...values],
    ]) {
      expect(
        parseResults(text(lines)).performanceWindows.map((window) => [window.index, window.inferences?.value]),
      ).toEqual([
        [2, 10],
        [4, 20],
      ]);
    }
  });

  it('reads CR LF, a byte-order mark and lines without a prefix, and counts lines that it does not know', () => {
    const results = parseResults(`\ufeff${energy(2, '5.000').join('\r\n')}\r\nsomething else\r\n`);
    expect(results.energyWindows[0]?.energy_uJ).toEqual({ text: '5.000', value: 5 });
    expect(results.counts.unknown).toBe(1);
  });

  it('never throws, whatever the file holds', () => {
    const piece = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom(
        '00001.000 ulp-ml: ',
        'Energy data for window ',
        ' at time 1e999 for ',
        'Performance results for window 2:\n',
        '  # Inferences : 9e99\n',
        '\n',
        'Top-1: ',
        '%',
      ),
    );
    fc.assert(fc.property(fc.array(piece), (pieces) => void parseResults(pieces.join(''))));
  });
});

describe.skipIf(noRecordings)('the results of published EnergyRunner sessions', () => {
  const folders = foldersWith('results.txt').filter((folder) => !folder.includes('v1.3'));

  it.each(folders)('%s holds no line that is not understood', async (folder) => {
    const results = await readResults(join(folder, 'results.txt'));
    expect(results.counts.unknown).toBe(0);
    if (folder.includes('accuracy')) expect(results.top1_pct).not.toBeNull();
    else {
      expect(results.medianThroughput_ips).not.toBeNull();
      expect(results.performanceWindows.length).toBeGreaterThanOrEqual(4);
    }
  });
});
