import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { powerLogBlocks } from '../../../../src/capture/formats/ptdaemon/blocks.ts';
import { readDaemonLog } from '../../../../src/capture/formats/ptdaemon/daemon-log.ts';
import { readLoadgenLog, readLoadgenSummary } from '../../../../src/capture/formats/ptdaemon/loadgen-log.ts';
import { MAX_SAMPLES, readPowerLog } from '../../../../src/capture/formats/ptdaemon/power-log.ts';
import { matchHashLineEnds, scanLines, sha1OfFile } from '../../../../src/capture/formats/ptdaemon/scan.ts';
import { parseSession } from '../../../../src/capture/formats/ptdaemon/session.ts';
import { formatPtdTime, parsePtdTime_ms } from '../../../../src/capture/formats/ptdaemon/time.ts';
import { fuzz } from '../../../support/fuzz.ts';

const root = mkdtempSync(join(tmpdir(), 'joulemark-ptd-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const path = join(root, 'file.txt');
function file(content: string | Uint8Array): string {
  writeFileSync(path, content);
  return path;
}
const sha1 = (text: string) => createHash('sha1').update(text, 'latin1').digest('hex');

describe('times of PTDaemon', () => {
  it('are read to the microsecond and written to the millisecond', () => {
    expect(parsePtdTime_ms('08-12-2021 16:26:07.134')).toBe(Date.UTC(2021, 7, 12, 16, 26, 7, 134));
    expect(parsePtdTime_ms('08-12-2021 16:26:07.134250')).toBe(Date.UTC(2021, 7, 12, 16, 26, 7, 134) + 0.25);
    expect(formatPtdTime(Date.UTC(2021, 7, 12, 16, 26, 7, 134))).toBe('08-12-2021 16:26:07.134');
  });

  it('that do not exist are no times', () => {
    for (const text of ['02-30-2021 00:00:00.000', '13-01-2021 00:00:00.000', '01-01-2021 24:00:00.000', '', 'x']) {
      expect(parsePtdTime_ms(text)).toBeNaN();
    }
  });

  it('survive writing and reading', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4e12 }), (t) => {
        expect(parsePtdTime_ms(formatPtdTime(t))).toBe(t);
      }),
    );
  });
});

describe('lines', () => {
  it('are the same however chunks cut them', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.stringMatching(/^[a-z,.]{0,30}$/), { maxLength: 40 }), async (texts) => {
        const lines: string[] = [];
        const result = await scanLines(file(texts.map((t) => `${t}\r\n`).join('')), (line) => lines.push(line));
        expect(lines).toEqual(texts);
        expect(result.lines).toBe(texts.length);
      }),
      fuzz(50),
    );
  });

  it('across the boundary of a chunk stay whole, and overlong ones are cut and counted', async () => {
    const long = 'y'.repeat(300_000);
    const lines: string[] = [];
    const result = await scanLines(file(`${'x'.repeat(262_140)}\nabcdefgh\n${long}\nend`), (line) => lines.push(line));
    expect(lines.map((l) => l.length)).toEqual([16_384, 8, 16_384, 3]);
    expect(lines[1]).toBe('abcdefgh');
    expect(result).toMatchObject({ lines: 4, cutLines: 2, binary: false });
  });

  it('of a file with NUL bytes are called binary', async () => {
    expect((await scanLines(file('a\0b\n'), () => {})).binary).toBe(true);
  });
});

describe('SHA-1 over line ends', () => {
  it('is recognised in both directions, also where a chunk ends between CR and LF', async () => {
    const text = `${'z'.repeat(262_143)}\r\nrest\r\n`;
    file(text);
    expect(await matchHashLineEnds(path, sha1(text.replaceAll('\r\n', '\n')))).toBe('crlf-to-lf');
    file(text.replaceAll('\r\n', '\n'));
    expect(await matchHashLineEnds(path, sha1(text))).toBe('lf-to-crlf');
    expect(await matchHashLineEnds(path, sha1('other'))).toBe('differs');
    expect(await sha1OfFile(path)).toBe(sha1(text.replaceAll('\r\n', '\n')));
  });

  it('is recognised in the log that PTDaemon writes on Linux, with CR LF behind replies only', async () => {
    const at = (text: string) => `08-12-2021 16:25:01.000: ${text}\n`;
    const log = (reply: string, analyzer: string) =>
      `${at('Go with mark x')}${at(`Response to client sent: OK${reply}`)}${at(`Analyzer identity response of 3 bytes: A${analyzer}`)}`;
    file(log('', ''));
    expect(await matchHashLineEnds(path, sha1(log('\r', '')))).toBe('mixed');
    expect(await matchHashLineEnds(path, sha1(log('\r', '\r')))).toBe('mixed');
    file(log('\r', ''));
    expect(await matchHashLineEnds(path, sha1(log('\r', '').replaceAll('\n', '\r\n')))).toBe('lf-to-crlf');
  });

  it('is recognised over lines of any length', async () => {
    const text = `${'w'.repeat(3_000_000)}\nend\n`;
    file(text);
    expect(await matchHashLineEnds(path, sha1(text.replaceAll('\n', '\r\n')))).toBe('lf-to-crlf');
  });

  it('keeps a lone CR at the end of the file', async () => {
    file('a\nb\r');
    expect(await matchHashLineEnds(path, sha1('a\r\nb\r'))).toBe('lf-to-crlf');
  });
});

describe('spl.txt', () => {
  const line = (s: string, watts: string, more = '') =>
    `Time,08-12-2021 16:25:${s},Watts,${watts},Volts,225.970000,Amps,2.711900,PF,0.980900,Mark,a_testing${more}\n`;

  it('is read with its marks, its failed readings and its line ends', async () => {
    const log = await readPowerLog(
      file(
        `${line('56.092', 'inf')}${line('57.092', '601.100000')}${line('58.092', '-1.000000')}${line('59.092', 'nan')} \r\n`,
      ),
    );
    expect([...log.watts]).toEqual([Number.NaN, 601.1, -1, Number.NaN]);
    expect([...log.time_ms].map((t) => t % 60_000)).toEqual([56_092, 57_092, 58_092, 59_092]);
    expect(log.volts[1]).toBe(225.97);
    expect(log.marks).toEqual(['a_testing']);
    expect(log.badLines).toBe(0);
  });

  it('is read without marks, as the RL reply prints it', async () => {
    const text = 'Time,07-23-2024 17:08:50.389,Watts,183.900000,Volts,119.600000,Amps,1.743000,PF,0.882000\n';
    const log = await readPowerLog(file(text));
    expect([log.length, log.powerFactor[0], log.marks]).toEqual([1, 0.882, []]);
  });

  it('is read with channels and with several analyzers, whose columns may be missing in some lines', async () => {
    const channels = ',Ch1,Watts,91.060000,Volts,1,Amps,1,PF,1,Ch2,Watts,90.970000,Volts,1,Amps,1,PF,1';
    const log = await readPowerLog(
      file(line('01.000', '182.03', channels) + line('02.000', '5') + line('03.000', '182.03', channels)),
    );
    expect(log.channels.map((c) => [c.name, ...c.watts])).toEqual([
      ['Ch1', 91.06, Number.NaN, 91.06],
      ['Ch2', 90.97, Number.NaN, 90.97],
    ]);
    const analyzer = (n: number, w: string) =>
      `,Analyzer${n},Time,08-12-2021 16:25:01.000,Watts,${w},Volts,1,Amps,1,PF,1,Mark,a`;
    const merged = await readPowerLog(
      file(line('01.000', '30.0', `${analyzer(1, '10.0')},Ch1,Watts,4.0,Volts,1,Amps,1,PF,1${analyzer(2, '-20.0')}`)),
    );
    expect(merged.analyzers.map((c) => [c.name, ...c.watts])).toEqual([
      ['Analyzer1', 10],
      ['Analyzer2', -20],
    ]);
    expect(merged.channels.map((c) => c.name)).toEqual(['Analyzer1.Ch1']);
  });

  it('marks samples that repeat the one before in all but the time', async () => {
    const log = await readPowerLog(file(line('01.000', '5.0') + line('02.000', '5.0') + line('03.000', '5.00')));
    expect([...log.repeated]).toEqual([0, 1, 0]);
  });

  it('counts lines that are no sample', async () => {
    const log = await readPowerLog(
      file(`rubbish\n${line('01.000', '5.0')}Time,yesterday,Watts,5\nTime,08-12-2021 16:25:01.000,Watts,five\n`),
    );
    expect([log.length, log.badLines, log.firstBadLines]).toEqual([1, 3, [1, 3, 4]]);
  });

  it('stops keeping samples beyond what PTDaemon can write', async () => {
    const text = line('01.000', '5.0').repeat(MAX_SAMPLES + 7);
    const log = await readPowerLog(file(text));
    expect([log.length, log.dropped]).toEqual([MAX_SAMPLES, 7]);
  });

  it('becomes blocks without a NaN, gaps between them', async () => {
    const log = await readPowerLog(file(line('01.000', '5.0') + line('02.000', 'nan') + line('05.000', '7.0')));
    const chunks = [...powerLogBlocks(log)];
    expect(chunks.map((c) => c.kind)).toEqual(['block', 'gap', 'block']);
    const last = chunks[2];
    if (last?.kind !== 'block') throw new Error('no block');
    // A reading covers at most one interval before its time stamp.
    expect([(last.startTicks?.[0] ?? 0) % 60_000, (last.endTicks?.[0] ?? 0) % 60_000]).toEqual([4000, 5000]);
  });
});

describe('ptd_logs.txt', () => {
  const at = (s: string, text: string) => `08-12-2021 16:25:${s}: ${text}\n`;

  it('is read with its measurements, statistics and messages', async () => {
    const log = await readDaemonLog(
      file(
        '                        Version 1.9.2-3976349f-20201208                     \n' +
          at('01.000', 'Uncertainty checking for YokogawaWT310E is activated') +
          at('02.000', "Go with mark 'a_ranging'") +
          at('03.000', "ERROR: Can't evaluate uncertainty of this sample!") +
          at('03.000', 'WARNING: Uncertainty unknown for the last measurement sample! channel 0') +
          at('04.000', 'ERROR: Bad watts reading nan from WT310') +
          at('05.000', 'Completed test') +
          at('05.000', 'Avg watts 1.500000, min watts 1.000000, max watts 2.000000, samples 3, errors 1, valid 2') +
          at('06.000', "Go with mark 'a_testing'") +
          at('07.000', 'WARNING: Uncertainty 1.59% above 1.00% limit for the last measurement sample!') +
          at('08.000', 'WARNING: Uncertainty 1.60%, which is above 1.00% limit for the last sample!') +
          at('09.000', 'WARNING: Missed 1 samples'),
      ),
    );
    expect(log.version).toBe('1.9.2');
    expect(log.measurements.map((m) => [m.mark, m.completed_ms !== null, m.statistics.length])).toEqual([
      ['a_ranging', true, 1],
      ['a_testing', false, 0],
    ]);
    expect(log.measurements[0]?.statistics[0]).toMatchObject({ average: '1.500000', valid: 2, errors: 1 });
    expect([...log.uncertain.uncertainty_pct]).toEqual([1.59, 1.6]);
    expect([log.uncertain.olderWording, log.uncertain.newerWording]).toEqual([1, 1]);
    expect([log.unknown_ms.length, log.notEvaluated_ms.length]).toEqual([1, 1]);
    expect(log.warnings.map((w) => w.text)).toEqual(['Missed 1 samples']);
    expect(log.errors.map((e) => e.text)).toEqual(['Bad watts reading nan from WT310']);
  });
});

describe('loadgen logs', () => {
  it('give the first value of each wanted key, from long lines too', async () => {
    const log = await readLoadgenLog(
      file(
        `:::MLLOG {"key": "loaded_qsl_set", "value": [${'1,'.repeat(100_000)}1], "time_ms": 1}\n` +
          ':::MLLOG {"key": "power_begin", "value": "08-12-2021 16:26:07.134", "time_ms": 1}\r\n' +
          ':::MLLOG {"key": "power_end", "value": "08-12-2021 16:36:07.137"}\n' +
          ':::MLLOG {"key": "result_query_count", "value": 287647}\n' +
          ':::MLLOG {"key": "result_query_count", "value": 1}\n' +
          ':::MLLOG {"key": "result_validity", "value": {}}\n' +
          ':::MLLOG rubbish\nno record\n',
      ),
    );
    expect((log.powerEnd_ms as number) - (log.powerBegin_ms as number)).toBe(600_003);
    expect(log.values.get('result_query_count')).toBe(287_647);
    expect([log.records, log.badRecords]).toEqual([7, 2]);
  });

  it('give the lines of the summary', async () => {
    const summary = await readLoadgenSummary(file('Result is : VALID\nMin duration satisfied : Yes\nnonsense\n'));
    expect([...summary.values]).toEqual([
      ['Result is', 'VALID'],
      ['Min duration satisfied', 'Yes'],
    ]);
  });
});

describe('session records', () => {
  it('name the fields that they cannot use and keep the others', () => {
    const record = parseSession(
      '{"timezone": "x", "session_name": "s", "phases": {"testing": [[1.5, 2], [2.5, 3]]}}',
      'client.json',
    );
    expect(record.sessionName).toBe('s');
    expect(record.testing).toEqual([1.5, 2.5]);
    expect(record.ranging).toBeNull();
    expect(record.problems).toContain('timezone has another form than the format demands');
    expect(record.problems).toContain('uuid is missing');
  });

  it('that are no record are refused with the reason', () => {
    for (const text of ['', '[]', '7', '{"a":', `${'{"a":'.repeat(100)}1${'}'.repeat(100)}`]) {
      expect(() => parseSession(text, 'client.json')).toThrow(/client\.json/);
    }
  });

  it('survive any JSON', () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.constantFrom('timezone', 'messages', 'phases', 'ptd_messages', 'ptd_config', 'results', '__proto__'),
          fc.jsonValue(),
        ),
        (value) => {
          expect(parseSession(JSON.stringify(value), 'x').problems.length).toBeGreaterThan(0);
        },
      ),
      fuzz(300),
    );
  });
});

describe('any bytes', () => {
  it('are read by every reader without harm', async () => {
    const pieces = fc.constantFrom(
      'Time,',
      '08-12-2021 16:25:01.000',
      ',Watts,',
      '5.0',
      ': WARNING: Uncertainty ',
      'Ch1',
      'Analyzer1',
      '\n',
      '\r',
      '\0',
      ':::MLLOG {"key": "power_begin"',
      "Go with mark 'x_testing'",
      'Avg watts 1',
    );
    const content = fc.array(
      fc.oneof(
        pieces,
        fc.uint8Array({ maxLength: 12 }).map((b) => Buffer.from(b).toString('latin1')),
      ),
      { maxLength: 60 },
    );
    await fc.assert(
      fc.asyncProperty(content, async (parts) => {
        file(Buffer.from(parts.join(''), 'latin1'));
        const log = await readPowerLog(path);
        expect(log.watts.length).toBe(log.length);
        await readDaemonLog(path);
        await readLoadgenLog(path);
        await readLoadgenSummary(path);
      }),
      fuzz(300),
    );
  });
});
