import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openEnergyRunner } from '../../../../src/capture/formats/energyrunner/index.ts';
import { LogParser, parseLogLine } from '../../../../src/capture/formats/energyrunner/log.ts';
import { parseResults } from '../../../../src/capture/formats/energyrunner/results.ts';
import { parseTimestamps } from '../../../../src/capture/formats/energyrunner/timestamps.ts';
import { openTrace, readTraceValues } from '../../../../src/capture/formats/energyrunner/trace.ts';
import {
  formatAccuracyResults,
  formatEnergyResults,
  formatEnergyRunnerLog,
  formatPerformanceResults,
  formatScript,
  formatTimestamps,
  formatTrace,
  type WrittenWindow,
  writeEnergyRunnerRun,
} from '../../../../src/capture/formats/energyrunner/write.ts';
import { writeResults } from '../../../../src/capture/formats/layout-folder.ts';
import { linesOf } from '../../../../src/capture/formats/lines.ts';
import { scorePublished } from '../../../../src/scoring/published.ts';
import type { LogLine } from '../../../../src/signal/types.ts';
import { temporaryFolder } from '../../../support/energyrunner-folder.ts';
import { foldersWith, noRecordings } from '../../../support/recordings.ts';

const log = (...lines: [source: string, text: string][]): LogLine[] =>
  lines.map(([source, text], k) => ({ kind: 'log', time_s: k / 8, source, text }));
const withoutTimes = (text: string) => text.replace(/^\d+\.\d{3} /gm, '');

describe.skipIf(noRecordings)('the files of published runs are written again byte for byte', () => {
  const folders = foldersWith('trace1-energy.bin');

  test('traces', async () => {
    const path = join(folders[0]!, 'trace1-energy.bin');
    const parts: number[] = [];
    for await (const values of readTraceValues(await openTrace(path))) parts.push(...values);
    expect(Buffer.compare(formatTrace(Float32Array.from(parts)), readFileSync(path))).toBe(0);
  });

  test('timestamps', () => {
    for (const folder of folders) {
      const text = readFileSync(join(folder, 'trace1-timestamps.json'), 'utf8');
      expect(formatTimestamps(parseTimestamps(text, folder).seconds)).toBe(text.replaceAll('\r', '').trimEnd());
    }
  });

  test('logs', () => {
    for (const folder of foldersWith('script.async')) {
      const text = readFileSync(join(folder, 'log.txt'), 'latin1');
      const isRelayed = text.includes('io: [dut]:');
      const parser = new LogParser();
      const lines: LogLine[] = [];
      for (const line of linesOf(text)) {
        for (const { time_s, source, dut, text: message } of parser.push(line)) {
          lines.push({ kind: 'log', time_s, source: dut ? 'dut' : source, text: message });
        }
      }
      if (parser.counts.merged + parser.counts.nul + parser.counts.nonAscii > 0) continue;
      const written = formatEnergyRunnerLog({ log: lines, simulated: false, isRelayed });
      expect(written.split('\n').map((line) => line.trimEnd())).toEqual(
        text
          .replaceAll('\r', '')
          .split('\n')
          .map((line) => line.trimEnd()),
      );
    }
  });

  test('scripts, from the log, but for what comes before the run', () => {
    for (const folder of foldersWith('script.async')) {
      const script = readFileSync(join(folder, 'script.async'), 'latin1').replaceAll('\r', '').trimEnd();
      // Sessions begin with steps of their own: ports, and a first look at the device.
      const begin = script.indexOf("    {\n        cmd: 'version'\n    },\n    {\n        cmd: 'bm cfg");
      const lines: LogLine[] = [];
      for (const { text } of linesOf(readFileSync(join(folder, 'log.txt'), 'latin1'))) {
        const parsed = parseLogLine(text.trimEnd());
        if (parsed) lines.push({ kind: 'log', time_s: parsed.time_s, source: parsed.source, text: parsed.text });
      }
      if (begin < 0) throw new Error(folder);
      expect(formatScript(lines), folder).toBe(`[\n${script.slice(begin)}`);
    }
  });

  test('results, from figures computed anew', async () => {
    for (const folder of folders) {
      const score = await scorePublished(await openEnergyRunner(folder));
      const { energyPerInference_uJ, throughput_ips } = score.median;
      if (energyPerInference_uJ === null || throughput_ips === null) continue;
      const written = formatEnergyResults(
        score.windows as WrittenWindow[],
        { energyPerInference_uJ, throughput_ips },
        1,
      );
      expect(withoutTimes(written)).toBe(withoutTimes(readFileSync(join(folder, 'results.txt'), 'utf8')));
    }
  });
});

describe('a script', () => {
  test('of a run without a sequencer is its commands', () => {
    const lines = log(['parser', `Command "bloadp "it's\\here.bin""`], ['io', 'm-ready'], ['parser', 'm-bloadp-done']);
    const text = formatScript(lines);
    expect(text).toBe(`[\n    {\n        cmd: 'bloadp "it\\'s\\\\here.bin"'\n    }\n]`);
    expect(formatScript([])).toBe('[]');
  });
});

describe('a log', () => {
  test('follows the grammar, whatever it is told', () => {
    const lines = log(
      ['session', 'm-session-start-id[1]'],
      ['dut', 'm-ready\nm-results-[1,2]'],
      ['host', 'm-input-[x]-label-[1]'],
      ['dut-damaged', 'm-results-[0.1,0.2'],
      ['plant', 'm-truth-[{}]'],
      ['parser', 'Command "x\u2028"'],
    );
    const text = formatEnergyRunnerLog({ log: lines, simulated: false, isRelayed: true });
    expect(text).toBe(
      [
        '00000.000 session: m-session-start-id[1]',
        '00000.125 io: [dut]: m-ready m-results-[1,2]',
        '00000.375 parser: m-[A damaged line of the DUT is left out]',
        '00000.625 parser: Command "x "',
      ].join('\n'),
    );
    for (const line of text.split('\n')) expect(parseLogLine(line)).not.toBeNull();
  });

  test('of a simulated run says so, whatever the DUT says', () => {
    const names = (lines: LogLine[]) =>
      formatEnergyRunnerLog({ log: lines, simulated: true, isRelayed: false }).match(/m-name-dut-\[.*\]/g);
    expect(names(log(['dut', 'm-name-dut-[real]']))).toEqual(['m-name-dut-[SIMULATED real]']);
    expect(names(log(['dut', 'm-name-dut-[SIMULATED x]']))).toEqual(['m-name-dut-[SIMULATED x]']);
    expect(names(log(['dut', 'm-ready']))).toEqual(['m-name-dut-[SIMULATED]']);
    expect(names([])).toEqual(['m-name-dut-[SIMULATED]']);
  });
});

describe('results', () => {
  test('of a performance run are read back', () => {
    const windows = [
      { index: 2, inferences: 200, runtime_s: 10.0004, throughput_ips: 19.9992 },
      { index: 4, inferences: 9, runtime_s: 12, throughput_ips: 0.75 },
    ];
    const read = parseResults(formatPerformanceResults(windows, 10.3746, 77.5));
    expect(read.performanceWindows).toMatchObject([
      { index: 2, inferences: { value: 200 }, runtime_s: { text: '10.000' }, requirementsMet: true },
      { index: 4, throughput_ips: { text: '0.750' }, requirementsMet: false },
    ]);
    expect(read.medianThroughput_ips?.text).toBe('10.375');
    expect(read.counts.unknown).toBe(0);
  });

  test('of an accuracy run are read back', () => {
    const read = parseResults(formatAccuracyResults(91.14, 0.986, 1));
    expect(read.top1_pct?.text).toBe('91.1');
    expect(read.auc?.text).toBe('0.99');
    expect(formatAccuracyResults(null, 0.5, 1)).toBe('00001.000 ulp-mlperf: AUC: 0.50\n');
  });
});

test('a run that is written is scored to the digits in its results', async () => {
  const { folder, remove } = temporaryFolder();
  try {
    const out = join(folder, 'run');
    const trace_uJ = Float32Array.from({ length: 80_000 }, (_, k) => 5 + Math.sin(k / 300));
    const inferences = 1234;
    const command = `parser: Command "io dut infer ${inferences} 1"`.slice('parser: '.length);
    writeEnergyRunnerRun(out, {
      simulated: true,
      isRelayed: true,
      log: log(
        ['session', 'm-session-start-id[1]'],
        ...Array.from({ length: 5 }, () => ['parser', command] as [string, string]),
      ),
      trace_uJ,
      timestamps_s: [0.0123456, 2, 14.1, 16, 28.25, 30, 42, 44, 56, 58, 70.0009],
    });
    const score = await scorePublished(await openEnergyRunner(out));
    expect(score.simulated).toBe(true);
    const windows = score.windows as WrittenWindow[];
    writeResults(out, formatEnergyResults(windows, score.median as never, 80));
    const { printed } = await openEnergyRunner(out);
    expect(printed!.energyWindows.map(({ energy_uJ }) => energy_uJ!.text)).toEqual(
      windows.map(({ energy_uJ }) => energy_uJ.toFixed(3)),
    );
    expect(printed!.medianEnergy_uJ!.text).toBe(score.median.energyPerInference_uJ!.toFixed(3));
    expect(readFileSync(join(out, 'SIMULATED'), 'utf8')).toContain('simulated');
    expect(() => writeEnergyRunnerRun(out, { simulated: true, isRelayed: true, log: [] })).toThrow(/cannot be made/);
  } finally {
    remove();
  }
});
