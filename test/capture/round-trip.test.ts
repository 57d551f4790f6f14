import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { tableFromIPC } from 'apache-arrow';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CaptureWriter } from '../../src/capture/capture-writer.ts';
import { openRunFolder } from '../../src/capture/run-folder.ts';
import type { Chunk, Edge, Gap, LogLine, SampleBlock } from '../../src/signal/types.ts';
import { fuzz } from '../support/fuzz.ts';
import {
  block,
  calibrationFile,
  capture,
  collect,
  edge,
  flatten,
  header,
  logLine,
  mainStream,
  polledBlock,
  polledStream,
  rigFile,
  sealedRun,
  typicalChunks,
  withTempFolder,
} from './support.ts';

const samplesOf = (chunks: Chunk[]) =>
  chunks.filter((c): c is SampleBlock | Gap => c.kind === 'block' || c.kind === 'gap');

describe('a run folder', () => {
  it('gives back what was pushed', () =>
    withTempFolder(async (temp) => {
      const folder = join(temp, 'run');
      const chunks = typicalChunks();
      sealedRun(folder, chunks);
      const recording = await openRunFolder(folder);
      expect(recording.warnings).toEqual([]);
      expect(recording.closed).toBe(true);
      expect(recording.simulated).toBe(true);
      expect(recording.plan).toEqual(header.plan);
      expect(recording.clocks).toEqual(header.clocks);
      expect(recording.streams).toEqual(header.streams);
      const samples = await collect(recording.samples());
      for (const stream of header.streams) {
        expect(flatten(samples, stream)).toEqual(flatten(samplesOf(chunks), stream));
      }
      const edges = chunks.flatMap((chunk) => (chunk.kind === 'edges' ? chunk.edges : []));
      expect((await collect(recording.edges())).flatMap((batch) => batch.edges)).toEqual(edges);
      expect(await collect(recording.log())).toEqual(chunks.filter((chunk) => chunk.kind === 'log'));
    }));

  it('says how far each stream goes', () =>
    withTempFolder(async (temp) => {
      sealedRun(join(temp, 'run'));
      const { extents, endedEarly } = await openRunFolder(join(temp, 'run'));
      expect(extents).toEqual([
        { id: 'main', samples: 12_000, firstTick: 0, lastTick: 24_398, endTick: 24_400, endGap: 'unplugged' },
        { id: 'polled', samples: 36, firstTick: 0, lastTick: 1_102_000_000, endTick: 1_103_000_000, endGap: null },
      ]);
      expect(endedEarly).toBe(true);
    }));

  it('survives any mix of blocks, gaps and jumps', async () => {
    const pieces = fc.array(
      fc.oneof(
        { weight: 6, arbitrary: fc.record({ kind: fc.constant('block'), length: fc.integer({ min: 0, max: 300 }) }) },
        {
          weight: 1,
          arbitrary: fc.record({ kind: fc.constant('gap'), length: fc.option(fc.integer({ min: 1, max: 9 })) }),
        },
        { weight: 1, arbitrary: fc.record({ kind: fc.constant('jump'), length: fc.integer({ min: 1, max: 9 }) }) },
        { weight: 2, arbitrary: fc.record({ kind: fc.constant('polled'), length: fc.integer({ min: 1, max: 20 }) }) },
        { weight: 1, arbitrary: fc.record({ kind: fc.constant('polled gap'), length: fc.constant(null) }) },
      ),
      { maxLength: 40 },
    );
    await fc.assert(
      fc.asyncProperty(pieces, fc.integer({ min: 0, max: 60 }), async (list, step_ms) => {
        const chunks: (SampleBlock | Gap)[] = [];
        let tick = 10;
        let polledTick = 0;
        for (const { kind, length } of list) {
          if (kind === 'block') {
            chunks.push(block(tick, length!));
            tick += 2 * length!;
          } else if (kind === 'gap') {
            chunks.push({ kind: 'gap', stream: 'main', firstTick: tick, count: length, cause: 'link-loss' });
            tick += 2 * (length ?? 5);
          } else if (kind === 'jump') {
            tick += 2 * length!;
          } else if (kind === 'polled') {
            chunks.push(polledBlock(polledTick, length!));
            polledTick += length! * 1e6;
          } else {
            chunks.push({ kind: 'gap', stream: 'polled', firstTick: polledTick, count: null, cause: 'invalid' });
          }
        }
        await withTempFolder(async (temp) => {
          capture(join(temp, 'run'), chunks, step_ms).finish();
          const recording = await openRunFolder(join(temp, 'run'), { unsealedIs: 'closed' });
          expect(recording.warnings).toEqual([]);
          const samples = await collect(recording.samples());
          for (const stream of [mainStream, polledStream]) {
            expect(flatten(samples, stream)).toEqual(flatten(chunks, stream));
          }
        });
      }),
      fuzz(60),
    );
  });

  it('keeps the arrival time of every block', () =>
    withTempFolder(async (temp) => {
      const blocks = [0, 1, 2, 3].map((i) => block(i * 20, 10, { arrival_ns: 1_000_000_123 + i * 7 }));
      capture(join(temp, 'run'), blocks).finish();
      const recording = await openRunFolder(join(temp, 'run'));
      const replayed = (await collect(recording.samples())).filter((item) => item.kind === 'block');
      expect(replayed.map(({ firstTick, length, arrival_ns }) => ({ firstTick, length, arrival_ns }))).toEqual(
        blocks.map(({ firstTick, length, arrival_ns }) => ({ firstTick, length, arrival_ns })),
      );
    }));

  it('keeps edges exactly, a clock at a time and in time order', async () => {
    const edges = fc.array(
      fc.record({
        clock: fc.constantFrom('instrument', 'host'),
        tick: fc.double({ noNaN: true, noDefaultInfinity: true }),
        u_ticks: fc.option(fc.double({ min: 0, noNaN: true, noDefaultInfinity: true })),
        channel: fc.string(),
        polarity: fc.constantFrom('rise' as const, 'fall' as const),
        seq: fc.nat(),
      }),
      { maxLength: 50 },
    );
    await fc.assert(
      fc.asyncProperty(edges, (list) =>
        withTempFolder(async (temp) => {
          capture(join(temp, 'run'), [{ kind: 'edges', edges: list }]).finish();
          const recording = await openRunFolder(join(temp, 'run'));
          const replayed = (await collect(recording.edges())).flatMap((batch) => batch.edges);
          const sorted = (clock: string): Edge[] =>
            list.filter((e) => e.clock === clock).sort((a, b) => a.tick - b.tick);
          expect(replayed).toEqual([...sorted('instrument'), ...sorted('host')]);
        }),
      ),
      fuzz(50),
    );
  });

  it('keeps any text of the log on one line', async () => {
    const lines = fc.array(
      fc.record({
        kind: fc.constant('log' as const),
        time_s: fc.integer({ min: -1e6, max: 1e9 }).map((ms) => ms / 1000),
        source: fc.string({ unit: 'binary' }),
        text: fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.array(fc.integer({ min: 0, max: 0xffff })).map((codes) => String.fromCharCode(...codes)),
        ),
      }),
    );
    await fc.assert(
      fc.asyncProperty(lines, (list: LogLine[]) =>
        withTempFolder(async (temp) => {
          capture(join(temp, 'run'), list).finish();
          const recording = await openRunFolder(join(temp, 'run'));
          expect(await collect(recording.log())).toEqual(list);
          const text = readFileSync(join(temp, 'run', 'log.txt'), 'utf8');
          expect(text.split('\n').length - 1).toBe(list.length);
        }),
      ),
      fuzz(100),
    );
  });

  it('splits blocks that are larger than a batch', () =>
    withTempFolder(async (temp) => {
      const large = block(0, 1_000_000);
      capture(join(temp, 'run'), [block(-20, 10), large]).finish();
      const recording = await openRunFolder(join(temp, 'run'));
      let count = 0;
      for await (const item of recording.samples()) {
        if (item.kind !== 'block' || item.firstTick < 0) continue;
        expect(item.firstTick).toBe(2 * count);
        const expected = large.current!.subarray(count, count + item.length);
        expect(item.current!.every((value, i) => value === expected[i])).toBe(true);
        count += item.length;
      }
      expect(count).toBe(1_000_000);
    }));

  it('keeps many edges of one instant', () =>
    withTempFolder(async (temp) => {
      const edges = Array.from({ length: 100_000 }, (_, i) => edge(i * 10, i));
      capture(join(temp, 'run'), [{ kind: 'edges', edges }]).finish();
      const recording = await openRunFolder(join(temp, 'run'));
      expect((await collect(recording.edges())).flatMap((batch) => batch.edges)).toEqual(edges);
    }));

  it('reads the answers of the DUT and the truth of the plant from the log', () =>
    withTempFolder(async (temp) => {
      const truth = {
        start_s: 1,
        end_s: 2,
        energy_J: 1e-3,
        insidePower_W: 1e-3,
        outsidePower_W: 1e-4,
        noise_rel: 1e-6,
        resolution_rel: 1e-7,
      };
      capture(join(temp, 'run'), [
        logLine(0, 'dut', 'm-results-[9,9]'),
        logLine(1, 'host', 'm-input-[cat[1].bin]-label-[3]'),
        logLine(1.1, 'dut', 'm-results-[0.25,0.75,1e-3]'),
        logLine(2, 'host', 'm-input-[dog.bin]-label-[]'),
        logLine(2.1, 'dut', 'm-results-[0.1,x]'),
        logLine(2.2, 'dut', 'm-results-[0.1, 0.2]'),
        logLine(3, 'plant', `m-truth-[${JSON.stringify(truth)}]`),
      ]).finish();
      const recording = await openRunFolder(join(temp, 'run'));
      expect(await collect(recording.results())).toEqual([
        { input: 'cat[1].bin', label: 3, scores: [0.25, 0.75, 1e-3] },
        { input: 'dog.bin', label: null, scores: [0.1, 0.2] },
      ]);
      expect(await collect(recording.truth())).toEqual([truth]);
    }));
});

describe('a capture writer', () => {
  it('never writes into a folder that exists', () =>
    withTempFolder((temp) => {
      expect(() => CaptureWriter.create(temp, header)).toThrow(/exists already/);
      expect(readdirSync(temp)).toEqual([]);
    }));

  it('writes the header and the attachments first', () =>
    withTempFolder((temp) => {
      const folder = join(temp, 'deep', 'run');
      CaptureWriter.create(folder, header, [rigFile, calibrationFile]);
      expect(JSON.parse(readFileSync(join(folder, 'run.json'), 'utf8')).schema).toBe('joulemark.run-folder/1');
      expect(readFileSync(join(folder, 'calibration', 'main.json'))).toEqual(calibrationFile.bytes);
      expect(existsSync(join(folder, 'chain.jsonl'))).toBe(true);
    }));

  it('has samples on disk 50 ms after the first of them', () =>
    withTempFolder(async (temp) => {
      let now_ms = 0;
      const writer = CaptureWriter.create(join(temp, 'run'), header, [], { now_ms: () => now_ms });
      const samplesOnDisk = async () => (await openRunFolder(join(temp, 'run'))).extents[0]!.samples;
      writer.push(block(0, 10));
      now_ms = 49;
      writer.push(block(20, 10));
      expect(await samplesOnDisk()).toBe(0);
      now_ms = 50;
      writer.flushDue();
      expect(await samplesOnDisk()).toBe(20);
      writer.push(block(40, 10));
      now_ms = 100;
      writer.push(logLine(0.1, 'host', 'still here'));
      expect(await samplesOnDisk()).toBe(30);
    }));

  it('makes the same bytes from the same chunks and the same clock', () =>
    withTempFolder((temp) => {
      const folders = ['a', 'b'].map((name) => join(temp, name));
      for (const folder of folders) sealedRun(folder);
      for (const name of readdirSync(folders[0]!).filter((n) => !['calibration', 'manifest.json'].includes(n))) {
        expect(readFileSync(join(folders[1]!, name)).equals(readFileSync(join(folders[0]!, name))), name).toBe(true);
      }
    }));

  it('refuses blocks that their stream did not announce', () =>
    withTempFolder((temp) => {
      const writer = CaptureWriter.create(join(temp, 'run'), header);
      expect(() => writer.push(block(0, 4, { current: undefined }))).toThrow(/current is missing/);
      expect(() => writer.push(block(0, 4, { power: new Float32Array(4) }))).toThrow(/power was not announced/);
      expect(() => writer.push(block(0, 4, { current: new Float64Array(4) }))).toThrow(/current is not f32/);
      expect(() => writer.push(block(0, 4, { flags: new Uint8Array(3) }))).toThrow(/does not hold 4 samples/);
      expect(() => writer.push(block(0.5, 4))).toThrow(/safe integer/);
      expect(() => writer.push(block(0, 4, { stream: 'other' }))).toThrow(/not announced/);
    }));

  it('refuses names that leave the folder or are taken', () =>
    withTempFolder((temp) => {
      const writer = CaptureWriter.create(join(temp, 'run'), header);
      for (const name of ['../x', '/x', 'a/../b', '.hidden', '', 'a//b']) {
        expect(() => writer.addFile(name, new Uint8Array(1)), name).toThrow(TypeError);
      }
      const taken = { name: 'log.txt', bytes: new Uint8Array() };
      expect(() => CaptureWriter.create(join(temp, 'other'), header, [taken])).toThrow(/taken/);
    }));
});

describe('the Arrow files', () => {
  it('are streams that apache-arrow reads', () =>
    withTempFolder((temp) => {
      const folder = join(temp, 'run');
      sealedRun(folder);
      const samples = tableFromIPC(readFileSync(join(folder, 'samples-main.arrow')));
      expect(samples.schema.fields.map((field) => `${field.name} ${field.type}`)).toEqual([
        'current Float32',
        'voltage Float32',
        'range Uint8',
        'flags Uint8',
        'logic Uint8',
      ]);
      expect(samples.numRows).toBe(12_000);
      expect(samples.get(150)!.voltage).toBe(block(0, 200).voltage![150]);
      const edges = tableFromIPC(readFileSync(join(folder, 'edges.arrow')));
      expect(edges.toArray().map((row) => [row.clock, row.tick, row.polarity])[1]).toEqual([
        'instrument',
        4000.5,
        'fall',
      ]);
      const segments = tableFromIPC(readFileSync(join(folder, 'segments.arrow')));
      expect(
        segments
          .toArray()
          .filter((row) => row.stream === 'main')
          .map((row) => [row.kind, row.firstRow, row.firstTick, row.count, row.cause]),
      ).toEqual([
        ['segment', 0, 0, null, null],
        ['gap', 4000, 8000, 50, 'dropped'],
        ['segment', 4000, 8100, null, null],
        ['segment', 8000, 16_400, null, null],
        ['gap', 12_000, 24_400, null, 'unplugged'],
      ]);
    }));
});
