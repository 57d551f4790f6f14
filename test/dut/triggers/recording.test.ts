import { appendFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import {
  checkPulse,
  type LogicRecording,
  openLogicRecording,
  RecordingFileSource,
  type TriggerDescription,
} from '../../../src/dut/triggers/index.ts';
import { JoulemarkError } from '../../../src/signal/errors.ts';
import type { Edge } from '../../../src/signal/types.ts';
import type { TimeSource } from '../../../src/transport/time.ts';
import { temporaryFolder } from '../../support/energyrunner-folder.ts';
import { fuzz } from '../../support/fuzz.ts';
import { noRecordings, recordingsRoot } from '../../support/recordings.ts';
import { codeOf } from '../support.ts';

const { folder, remove } = temporaryFolder();
afterAll(remove);

let files = 0;
function fileOf(content: string | Uint8Array): string {
  const path = join(folder, `recording-${files++}`);
  writeFileSync(path, content);
  return path;
}

async function edgesOf(recording: LogicRecording, channel: string): Promise<Edge[]> {
  const edges: Edge[] = [];
  for await (const batch of recording.edges(channel)) edges.push(...batch);
  return edges;
}

const shown = (edges: Edge[]) => edges.map(({ tick, polarity }) => `${polarity} ${tick}`);

const vcd = `$date today $end $timescale 10 us $end
$comment a comment with #5 and 1! in it $end
$scope module top $end
$var wire 1 ! D0 $end
$var wire 1 # D 1 $end
$var wire 8 $ bus $end
$var real 64 " I $end
$upscope $end $enddefinitions $end
#0 $dumpvars 1! x# b00000000 $ r0 " $end
#10
0!
b1010 $
#11 1! 1# r0.5 "
#20
0! 0#
#25 z!
#30 1!
$comment 0! $end
#31 0!
`;

describe('a VCD', () => {
  test('gives the changes of a line at their times', async () => {
    const recording = await openLogicRecording(fileOf(vcd));
    expect(recording).toMatchObject({ format: 'vcd', channels: ['D0', 'D 1'], clock: { tickHz: 1e5 } });
    expect(shown(await edgesOf(recording, 'D0'))).toEqual(['fall 10', 'rise 11', 'fall 20', 'fall 31']);
    expect(shown(await edgesOf(recording, 'D 1'))).toEqual(['fall 20']);
  });

  test('that does not follow its format is refused with the line', async () => {
    for (const [from, to, line] of [
      ['$timescale 10 us $end', '', 'line 1'],
      ['10 us', '7 us', 'line 1'],
      ['#11', '#9', 'line 13'],
      ['#20', '#2x', 'line 14'],
      ['#25 z!', '#25 hello', 'line 16'],
    ] as const) {
      const text = vcd.replace(from, to);
      const work = openLogicRecording(fileOf(text)).then((recording) => edgesOf(recording, 'D0'));
      await expect(work, to).rejects.toMatchObject({ code: 'vcd.malformed', where: expect.stringContaining(line) });
    }
  });
});

describe('a CSV of Saleae Logic', () => {
  const csv =
    'Time [s],"Channel 0",Trigger\n0.000000000,1,0\n0.012345678,0,0\n0.012345679,0,1\n1.500000000,1,1\n1.750000000,1,0\n';

  test('gives the changes of a channel', async () => {
    const recording = await openLogicRecording(fileOf(csv));
    expect(recording).toMatchObject({ format: 'saleae-csv', channels: ['Channel 0', 'Trigger'] });
    expect(shown(await edgesOf(recording, 'Channel 0'))).toEqual(['fall 12345678', 'rise 1500000000']);
    expect(shown(await edgesOf(recording, 'Trigger'))).toEqual(['rise 12345679', 'fall 1750000000']);
  });

  test('with times of day counts from its first row', async () => {
    const text = 'Time [s],D0\n2024-05-01T12:00:00.100000000+00:00,0\n2024-05-01T12:00:01.350000000+00:00,1\n';
    expect(shown(await edgesOf(await openLogicRecording(fileOf(text)), 'D0'))).toEqual(['rise 1350000000']);
  });

  test('that does not follow its format is refused with the line', async () => {
    for (const [from, to, line] of [
      ['0.012345678,0', '0.012345678,2', 'line 3'],
      ['1.500000000', 'soon', 'line 5'],
      ['1.750000000', '1.250000000', 'line 6'],
    ] as const) {
      const work = openLogicRecording(fileOf(csv.replace(from, to))).then((recording) =>
        edgesOf(recording, 'Channel 0'),
      );
      await expect(work).rejects.toMatchObject({ code: 'saleae.malformed', where: expect.stringContaining(line) });
    }
  });
});

describe.skipIf(noRecordings)('a sigrok session', () => {
  const formats = join(recordingsRoot, 'formats');

  test('gives the edges of a probe between its samples', async () => {
    const recording = await openLogicRecording(join(formats, 'made_mix.sr'));
    expect(recording).toMatchObject({ format: 'sigrok', channels: ['D0', 'D1'], clock: { tickHz: 100_000 } });
    // Its samples are 0 1 2 3 3 2 1 0.
    expect(shown(await edgesOf(recording, 'D0'))).toEqual([
      'rise 0.5',
      'fall 1.5',
      'rise 2.5',
      'fall 4.5',
      'rise 5.5',
      'fall 6.5',
    ]);
    expect(shown(await edgesOf(recording, 'D1'))).toEqual(['rise 1.5', 'fall 5.5']);
  });

  test('of another make is read too', async () => {
    const recording = await openLogicRecording(join(formats, 'made_a.sr'));
    expect(recording.channels.length).toBe(8);
    for (const channel of recording.channels) {
      const edges = await edgesOf(recording, channel);
      expect(edges.length).toBeLessThan(10);
    }
  });

  test('that is damaged is refused', async () => {
    const { readFileSync } = await import('node:fs');
    const bytes = readFileSync(join(formats, 'made_mix.sr'));
    for (const damaged of [bytes.subarray(0, 100), bytes.subarray(0, bytes.length - 10)]) {
      expect(await codeOf(openLogicRecording(fileOf(damaged)))).toBe('sigrok.malformed');
    }
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(255), async (at, value) => {
        const changed = Buffer.from(bytes);
        changed[at] = value;
        try {
          const recording = await openLogicRecording(fileOf(changed));
          for (const channel of recording.channels) await edgesOf(recording, channel);
        } catch (error) {
          expect(error).toBeInstanceOf(JoulemarkError);
        }
      }),
      fuzz(200),
    );
  });
});

describe('any file', () => {
  test('is read or refused, and never crashes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string({ maxLength: 300 }),
          fc.nat(vcd.length).map((n) => vcd.slice(0, n)),
        ),
        fc.constantFrom('', '$timescale 1 us $end $var wire 1 ! D0 $end $enddefinitions $end ', 'Time [s],D0\n'),
        async (text, head) => {
          try {
            const recording = await openLogicRecording(fileOf(head + text));
            for (const channel of recording.channels) await edgesOf(recording, channel);
          } catch (error) {
            expect(error).toBeInstanceOf(JoulemarkError);
          }
        },
      ),
      fuzz(300),
    );
  });

  test('of no known kind, or that is none, is refused', async () => {
    expect(await codeOf(openLogicRecording(fileOf('hello')))).toBe('logic.unknown');
    expect(await codeOf(openLogicRecording(folder))).toBe('file.unreadable');
    expect(await codeOf(openLogicRecording(join(folder, 'missing')))).toBe('file.unreadable');
  });
});

describe('a logic analyser that writes its file after the run', () => {
  const lines = { trigger: 'D0', shared: 'D 1', input: 'IN0' };
  const collected = async (source: RecordingFileSource, interrupt?: AbortSignal) => {
    const edges: Edge[] = [];
    for await (const batch of source.collect(() => {}, interrupt)) edges.push(...batch.edges);
    return edges;
  };
  /** Time that passes at once, between turns of the event loop. */
  const hurried = (): TimeSource => {
    let now_ns = 0;
    return {
      now_ns: () => now_ns,
      after: (delay_ms, callback) => {
        const timer = setTimeout(() => {
          now_ns += delay_ms * 1e6;
          callback();
        }, 5);
        return () => clearTimeout(timer);
      },
    };
  };

  test('is waited for, and gives the edges of both lines in nanoseconds', async () => {
    const path = join(folder, 'late.vcd');
    const told: string[] = [];
    const source = new RecordingFileSource(path, {
      lines,
      wait_s: 60,
      onWait: (text) => told.push(text),
      time: hurried(),
    });
    expect(source.describe()).toMatchObject({ kind: 'recording', label: 'D0 in late.vcd', shortestPulse_s: null });
    await source.start();
    setTimeout(() => writeFileSync(path, vcd), 30);
    const edges = await collected(source);
    await source.stop();
    expect(told).toEqual([expect.stringContaining(`waiting up to 60 s for ${path}`)]);
    expect(edges.map(({ clock, channel, tick }) => `${clock} ${channel} ${tick}`)).toEqual([
      'logic-analyser recording:D0 100000',
      'logic-analyser recording:D0 110000',
      'logic-analyser recording:D0 200000',
      'logic-analyser recording:D0 310000',
      'logic-analyser IN0 200000',
    ]);
  });

  test('and does not write one in time, or has only that of an earlier run, is an error that says how to go on', async () => {
    const missing = new RecordingFileSource(join(folder, 'never.vcd'), { lines, wait_s: 3, time: hurried() });
    await missing.start();
    await expect(collected(missing)).rejects.toMatchObject({
      code: 'trigger.recording-missing',
      message: expect.stringContaining('within 3 s'),
      remedy: expect.stringContaining('--edges'),
    });
    const old = fileOf(vcd);
    utimesSync(old, new Date(2020, 1, 1), new Date(2020, 1, 1));
    const stale = new RecordingFileSource(old, { lines, wait_s: 1, time: hurried() });
    await stale.start();
    await expect(collected(stale)).rejects.toMatchObject({ message: expect.stringContaining('older than the run') });
  });

  test('and never stops writing, is not waited for longer than one that has none', async () => {
    const path = fileOf('$date today $end');
    const growing = setInterval(() => appendFileSync(path, ' '), 1);
    const endless = new RecordingFileSource(path, { lines, wait_s: 2, time: hurried() });
    await endless.start();
    await expect(collected(endless).finally(() => clearInterval(growing))).rejects.toMatchObject({
      code: 'trigger.recording-missing',
      message: expect.stringContaining('still being written'),
    });
  });

  test('is read without a wait where it is complete already', async () => {
    const complete = new RecordingFileSource(fileOf(vcd), { lines, wait_s: 0, time: hurried() });
    await complete.start();
    expect(await collected(complete)).toHaveLength(5);
  });

  test('is not waited for after an interruption', async () => {
    const source = new RecordingFileSource(join(folder, 'never.vcd'), { lines, wait_s: 3600 });
    await source.start();
    const interrupt = new AbortController();
    setTimeout(() => interrupt.abort(), 50);
    expect(await collected(source, interrupt.signal)).toEqual([]);
  });

  test('and lacks a line, or sees no pulse as short as those of the run, is refused', async () => {
    const source = (line: string) =>
      new RecordingFileSource(fileOf(vcd), { lines: { ...lines, trigger: line }, wait_s: 1, time: hurried() });
    await expect(collected(source('D9'))).rejects.toMatchObject({
      message: expect.stringMatching(/there is no line D9/),
    });
    const check = (description: TriggerDescription) => checkPulse(description, 5e-6, 'kws01');
    await expect(source('D0').collect(check).next()).rejects.toMatchObject({ code: 'trigger.pulse-too-short' });
  });
});
