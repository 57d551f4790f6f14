import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type LogEntry,
  type LogEvent,
  LogParser,
  parseLogLine,
  readLog,
} from '../../../../src/capture/formats/energyrunner/log.ts';
import { LineSplitter, linesOf } from '../../../../src/capture/formats/lines.ts';
import { foldersWith, noRecordings } from '../../../support/recordings.ts';

const events = (text: string): LogEvent[] => parseLogLine(text)?.events ?? [];

function parse(bytes: Uint8Array | string): { entries: LogEntry[]; counts: LogParser['counts'] } {
  const parser = new LogParser();
  const splitter = new LineSplitter();
  const entries: LogEntry[] = [];
  const data = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
  for (const line of [...splitter.push(data), ...splitter.end()]) entries.push(...parser.push(line));
  return { entries, counts: parser.counts };
}

describe('parseLogLine', () => {
  it('splits a line into time, source and message', () => {
    expect(parseLogLine('00471.461 parser: m-ready-finished[bm]', 7)).toEqual({
      line: 7,
      time_s: 471.461,
      timeText: '00471.461',
      source: 'parser',
      dut: false,
      text: 'm-ready-finished[bm]',
      events: [{ kind: 'ready', command: 'bm' }],
    });
  });

  it('knows the DUT behind the IO manager and in performance mode', () => {
    expect(parseLogLine('00471.579 io: [dut]: m-init-done')).toMatchObject({
      source: 'io',
      dut: true,
      text: 'm-init-done',
    });
    expect(parseLogLine('00131.837 dut: m-lap-us-227843693')).toMatchObject({ dut: true, text: 'm-lap-us-227843693' });
    expect(parseLogLine('00152.924 io: [dut]: ')).toMatchObject({ dut: true, text: '', events: [] });
  });

  it('refuses what has no prefix', () => {
    for (const text of ['', 'm-ready', '471.4 io: m-ready', '00471.461 nobody: m-ready']) {
      expect(parseLogLine(text)).toBeNull();
    }
  });

  it.each<[string, LogEvent[]]>([
    ['00001.000 session: m-session-start-id[20210526184800]', [{ kind: 'session-start', id: '20210526184800' }]],
    ['00001.000 session: m-session-stop-id[20210526184800]', [{ kind: 'session-stop', id: '20210526184800' }]],
    [
      '00001.000 session: Saved this run to session ID 20210526184800',
      [{ kind: 'session-saved', id: '20210526184800' }],
    ],
    [
      '00001.000 parser: m-bmark-run-name[ML Energy 1.0.1]-code[ulp-ml]',
      [{ kind: 'run-name', name: 'ML Energy 1.0.1', code: 'ulp-ml' }],
    ],
    ['00001.000 parser: m-version[3.0.10]', [{ kind: 'runner-version', version: '3.0.10' }]],
    [
      '00001.000 parser: m-bm-cfg-name[ulp-ml]-key[iterInfer]-val[450000]',
      [{ kind: 'config', benchmark: 'ulp-ml', key: 'iterInfer', value: '450000' }],
    ],
    [
      '00001.000 parser: Command "io dut infer 8000 1"',
      [
        { kind: 'command', text: 'io dut infer 8000 1' },
        { kind: 'infer', inferences: 8000, warmups: 1, from: 'command' },
      ],
    ],
    [
      '00001.000 parser: Command "dut infer 30000"',
      [
        { kind: 'command', text: 'dut infer 30000' },
        { kind: 'infer', inferences: 30000, warmups: null, from: 'command' },
      ],
    ],
    [
      '00001.000 parser: Command "bloadp "/data/ad01/a b.bin" 0 2560"',
      [
        { kind: 'command', text: 'bloadp "/data/ad01/a b.bin" 0 2560' },
        { kind: 'load', file: '/data/ad01/a b.bin', offset: 0, length: 2560 },
      ],
    ],
    [
      '00001.000 parser: Command "bload dut "C:\\kws01\\x.bin""',
      [
        { kind: 'command', text: 'bload dut "C:\\kws01\\x.bin"' },
        { kind: 'load', file: 'C:\\kws01\\x.bin', offset: null, length: null },
      ],
    ],
    [
      '00001.000 sequencer: m-sequencing-i[9]-command[io dut timestamp]-ack[/dut.: m-ready/]-ms[5000]-acc[40000]-total_ms[1]',
      [{ kind: 'step', step: 9, command: 'io dut timestamp' }],
    ],
    ['00001.000 emon: m-trace[on]', [{ kind: 'trace', on: true }]],
    ['00001.000 emon: m-voltage-mv[1800]', [{ kind: 'voltage', millivolts: 1800 }]],
    [
      '00001.000 emon: m-regfile-fn[trace1-energy.bin]-type[emon]-name[js110]',
      [{ kind: 'instrument-file', file: 'trace1-energy.bin', type: 'emon', instrument: 'js110' }],
    ],
    [
      '00001.000 emon: m-[Dropped 3 packets out of 1027584, 0.00029%]',
      [{ kind: 'dropped-packets', dropped: 3, total: 1027584, percent: 0.00029 }],
    ],
    ['00001.000 emon: m-lap-us-4999', [{ kind: 'lap', microseconds: 4999, text: '4999' }]],
    [
      '00001.000 emon: e-[Dropped more than 0.1% of packets]',
      [{ kind: 'error', text: 'Dropped more than 0.1% of packets' }],
    ],
    [
      '00001.000 io: m-dut-passthrough(infer 10 1)',
      [
        { kind: 'passthrough', text: 'infer 10 1' },
        { kind: 'infer', inferences: 10, warmups: 1, from: 'passthrough' },
      ],
    ],
    ['00001.000 io: m-timestmp-mode-FALLING', [{ kind: 'edge-polarity', polarity: 'FALLING' }]],
    ['00001.000 io: [dut]: m-timestamp-mode-energy', [{ kind: 'timestamp-mode', mode: 'energy' }]],
    ['00001.000 io: [dut]: m-name-dut-[SIMULATED board]', [{ kind: 'dut-name', text: 'SIMULATED board' }]],
    [
      '00001.000 io: [dut]: m-results-[0.000,0.902,0.095]',
      [{ kind: 'results', values: [0, 0.902, 0.095], text: '0.000,0.902,0.095' }],
    ],
    ['00001.000 io: [dut]: m-results-[0.0x0,1]', [{ kind: 'results', values: null, text: '0.0x0,1' }]],
    ['00001.000 dut: e-[Unknown command: x]', [{ kind: 'error', text: 'Unknown command: x' }]],
    [
      '00001.000 dut: m-lap-us-1621210032693070',
      [{ kind: 'lap', microseconds: 1621210032693070, text: '1621210032693070' }],
    ],
  ])('reads %s', (text, expected) => expect(events(text)).toEqual(expected));

  it('finds the messages of a DUT behind other text and merged with each other', () => {
    expect(events('00132.637 dut: th_load_tensor starting at 228130812m-warmup-start-1')).toEqual([
      { kind: 'warmup-start', warmups: 1 },
    ]);
    expect(events('08354.548 dut: infer 30000 1%m-warmup-start-1')).toEqual([{ kind: 'warmup-start', warmups: 1 }]);
    expect(events('00132.637 dut: m-warmup-donem-infer-start-8000')).toEqual([
      { kind: 'warmup-done' },
      { kind: 'infer-start', inferences: 8000 },
    ]);
  });
});

describe('LogParser', () => {
  it('survives CR LF, a byte-order mark, ANSI escapes, NUL and non-ASCII bytes, and counts them', () => {
    const { entries, counts } = parse(
      Buffer.concat([
        Buffer.from('\ufeff00001.000 io: [dut]: m-ready\r\n'),
        Buffer.from('00002.000 io: [dut]: Done ...\u001b[32mOK\u001b[0mm-infer-done\r\n'),
        Buffer.from('00003.000 io: [dut]: m-infer-\0start-20\r\n'),
        Buffer.from([...Buffer.from('00004.000 io: [dut]: '), 0xff, 0xfe, 0x80, 0x0a]),
      ]),
    );
    expect(entries.map((entry) => entry.events)).toEqual([
      [{ kind: 'ready', command: null }],
      [{ kind: 'infer-done' }],
      [{ kind: 'infer-start', inferences: 20 }],
      [],
    ]);
    expect(counts).toEqual({ lines: 4, entries: 4, unprefixed: 0, merged: 0, ansi: 1, nul: 1, nonAscii: 2, cut: 0 });
  });

  it('splits lines that a lost line end merged', () => {
    const { entries, counts } = parse(
      '00156.901 io: [dut]: m-warmup-done00156.914 io: m-lap-us-9017501200156.917 io: [dut]: m-infer-start-5\n',
    );
    expect(entries.map((entry) => [entry.timeText, entry.events[0]])).toEqual([
      ['00156.901', { kind: 'warmup-done' }],
      ['00156.914', { kind: 'lap', microseconds: 90175012, text: '90175012' }],
      ['00156.917', { kind: 'infer-start', inferences: 5 }],
    ]);
    expect(counts.merged).toBe(1);
  });

  it('finds the messages that a DUT printed behind line feeds of its own', () => {
    const { entries, counts } = parse(
      '00030.000 dut: got ack\ngot interrupt\nm-lap-us-394417298\n00030.001 dut: m-infer-done\n' +
        '00030.002 parser: Command "x"\nm-lap-us-5\n',
    );
    expect(entries.map((entry) => [entry.line, entry.time_s, entry.dut, entry.events[0]?.kind])).toEqual([
      [1, 30, true, undefined],
      [3, 30, true, 'lap'],
      [4, 30.001, true, 'infer-done'],
      [5, 30.002, false, 'command'],
    ]);
    expect(counts).toMatchObject({ entries: 3, unprefixed: 3 });
  });

  it('counts lines without a prefix and keeps only the beginning of an endless one', () => {
    const { counts } = parse(`hello\n00001.000 io: ${'x'.repeat(1_000_000)}\n`);
    expect(counts).toMatchObject({ lines: 2, entries: 1, unprefixed: 1, cut: 1 });
  });

  it('never throws and never loses count, whatever bytes come in', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc
        .constantFrom(
          '00001.000 io: [dut]: m-',
          'm-results-[',
          '0,',
          ']',
          'm-lap-us-',
          '99999999999999999999',
          '\n',
          '\r',
          '\u001b[',
          'e-[',
          '12345.678 emon: ',
          'm-[Dropped ',
        )
        .map((text) => Buffer.from(text)),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const { entries, counts } = parse(Buffer.concat(pieces));
        // A line without a prefix may continue the one before it, with messages of its own.
        expect(entries.length).toBeGreaterThanOrEqual(counts.entries);
        expect(entries.length).toBeLessThanOrEqual(counts.entries + counts.unprefixed);
      }),
    );
  });
});

describe('linesOf', () => {
  it('cuts the same lines wherever the chunks end', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.nat(60), (text, at) => {
        const whole = [...linesOf(text)];
        const bytes = Buffer.from(text);
        const splitter = new LineSplitter();
        const parts = [
          ...splitter.push(bytes.subarray(0, at)),
          ...splitter.push(bytes.subarray(at)),
          ...splitter.end(),
        ];
        expect(parts).toEqual(whole);
      }),
    );
  });
});

describe.skipIf(noRecordings)('the logs of published EnergyRunner sessions', () => {
  const folders = foldersWith('log.txt').filter((folder) => !folder.includes('v1.3'));

  it.each(folders)('%s follows the grammar, every line of it', async (folder) => {
    const parser = new LogParser();
    let time_s = 0;
    const kinds = new Set<string>();
    for await (const entry of readLog(join(folder, 'log.txt'), parser)) {
      expect(entry.time_s).toBeGreaterThanOrEqual(time_s);
      time_s = entry.time_s;
      for (const event of entry.events) kinds.add(event.kind);
    }
    expect(parser.counts).toMatchObject({ unprefixed: 0, merged: 0, cut: 0, entries: parser.counts.lines });
    for (const kind of ['session-start', 'runner-version', 'infer', 'load', 'infer-start', 'infer-done', 'results']) {
      expect(kinds).toContain(kind);
    }
  });
});
