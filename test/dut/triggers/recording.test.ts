import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { openLogicRecording, RecordingSource } from '../../../src/dut/triggers/index.ts';
import type { LogicRecording } from '../../../src/dut/triggers/logic-recording.ts';
import { JoulemarkError } from '../../../src/signal/errors.ts';
import type { Edge } from '../../../src/signal/types.ts';
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

test('a recorded line is a trigger source', async () => {
  const recording = await openLogicRecording(fileOf(vcd));
  const source = new RecordingSource(recording, 'D0');
  const edges: Edge[] = [];
  let isComplete = false;
  source.edges$.subscribe({
    next: (chunk) => chunk.kind === 'edges' && edges.push(...chunk.edges),
    complete: () => {
      isComplete = true;
    },
  });
  await source.start();
  expect(edges.length).toBe(4);
  expect(isComplete).toBe(true);
  expect(source.describe()).toMatchObject({ kind: 'recording', shortestPulse_s: 1e-5 });
  expect(() => new RecordingSource(recording, 'D9')).toThrow(/there is no line D9/);
});
