import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CaptureWriter } from '../../src/capture/capture-writer.ts';
import type { NamedFile } from '../../src/capture/files.ts';
import type { RunHeader } from '../../src/capture/run-header.ts';
import type { Recording } from '../../src/signal/recording.ts';
import type { Chunk, Edge, Gap, LogLine, SampleBlock, StreamInfo } from '../../src/signal/types.ts';

/** A folder of its own for one test, taken away afterwards. */
export async function withTempFolder<T>(use: (folder: string) => Promise<T> | T): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'joulemark-capture-'));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const mainStream: StreamInfo = {
  id: 'main',
  rail: 'main',
  clock: 'instrument',
  ticksPerSample: 2,
  quantities: ['current', 'voltage'],
  precision: 'f32',
  semantics: 'mean-forward',
  groupDelay_s: null,
  scale: {},
  assumedVoltage_V: null,
  ranges: [
    { index: 0, name: '18 mA', fullScale_A: 0.018, resolution_A: null, noise_A: null },
    { index: 1, name: '2 A', fullScale_A: 2, resolution_A: null, noise_A: null },
  ],
  logicInputs: ['trigger'],
  calibration: null,
};

/** An irregular source with decimal numbers. */
export const polledStream: StreamInfo = {
  ...mainStream,
  id: 'polled',
  rail: 'aux',
  clock: 'host',
  ticksPerSample: null,
  quantities: ['power'],
  precision: 'f64',
  ranges: [],
  logicInputs: [],
};

export const header: RunHeader = {
  simulated: true,
  clocks: [
    { id: 'instrument', tickHz: 1e6, kind: 'instrument', epoch_ns: null },
    { id: 'host', tickHz: 1e9, kind: 'host', epoch_ns: null },
  ],
  streams: [mainStream, polledStream],
  plan: {
    profile: 'kws01',
    pairing: 'falling-pairs',
    channel: 'trigger',
    windows: 5,
    inferencesPerWindow: 10,
    holdOff_s: 5e-5,
    minWidth_s: 0,
    pulse_s: 1e-3,
  },
  provenance: { instrument: 'SIM-1', seed: 7 },
};

export const rigFile: NamedFile = { name: 'rig.yaml', bytes: Buffer.from('instrument:\n  family: virtual\n') };
export const calibrationFile: NamedFile = { name: 'calibration/main.json', bytes: Buffer.from('{"gain": 1}\n') };

export function block(firstTick: number, length: number, extra: Partial<SampleBlock> = {}): SampleBlock {
  const at = (f: (i: number) => number) => Float32Array.from({ length }, (_, i) => f(firstTick + 2 * i));
  return {
    kind: 'block',
    stream: 'main',
    firstTick,
    ticksPerSample: 2,
    length,
    current: at((tick) => Math.sin(tick) * 1e-2),
    voltage: at((tick) => 3.3 + Math.cos(tick) * 1e-3),
    ...extra,
  };
}

export function polledBlock(firstTick: number, length: number): SampleBlock {
  return {
    kind: 'block',
    stream: 'polled',
    firstTick,
    ticksPerSample: 0,
    length,
    power: Float64Array.from({ length }, (_, i) => (firstTick + i) / 3),
    startTicks: Float64Array.from({ length }, (_, i) => firstTick + i * 1e6 + 0.25),
    endTicks: Float64Array.from({ length }, (_, i) => firstTick + (i + 1) * 1e6),
  };
}

export const edge = (tick: number, seq: number, extra: Partial<Edge> = {}): Edge => ({
  clock: 'instrument',
  tick,
  u_ticks: 0.5,
  channel: 'trigger',
  polarity: seq % 2 === 0 ? 'rise' : 'fall',
  seq,
  ...extra,
});

export const logLine = (time_s: number, source: string, text: string): LogLine => ({
  kind: 'log',
  time_s,
  source,
  text,
});

/** Writes chunks into a new folder, with a clock that the chunks drive: one millisecond a chunk. */
export function capture(folder: string, chunks: Chunk[], step_ms = 1): CaptureWriter {
  let now_ms = 0;
  const writer = CaptureWriter.create(folder, header, [rigFile, calibrationFile], { now_ms: () => now_ms });
  for (const chunk of chunks) {
    writer.push(chunk);
    now_ms += step_ms;
  }
  return writer;
}

/** A closed and sealed run folder with something of everything. */
export function sealedRun(folder: string, chunks: Chunk[] = typicalChunks()): void {
  const writer = capture(folder, chunks);
  writer.finish();
  writer.addFile('result.json', Buffer.from('{"energy_uJ": 12.5}\n'));
  writer.addFile('report.html', Buffer.from('<!doctype html><title>Report</title>\n'.repeat(4000)));
  writer.seal({ started: '2026-01-01T00:00:00Z', host: 'bench' });
}

/** Blocks with a gap and a jump, irregular samples, edges and a log. */
export function typicalChunks(): Chunk[] {
  const chunks: Chunk[] = [];
  for (let i = 0; i < 120; i++) {
    if (i === 40) chunks.push({ kind: 'gap', stream: 'main', firstTick: 40 * 200, count: 50, cause: 'dropped' });
    const shift = i < 40 ? 0 : i < 80 ? 100 : 400;
    chunks.push(
      block(i * 200 + shift, 100, { range: new Uint8Array(100).fill(i % 2), logic: new Uint8Array(100).fill(1) }),
    );
    if (i % 10 === 0) chunks.push(polledBlock(i * 1e7, 3));
    if (i % 20 === 0) chunks.push({ kind: 'edges', edges: [edge(i * 200 + 0.5, i / 20)] });
    if (i % 30 === 0) chunks.push(logLine(i * 1e-3, 'dut', `m-ready [${i}]\r`));
  }
  chunks.push({ kind: 'gap', stream: 'main', firstTick: 120 * 200 + 400, count: null, cause: 'unplugged' });
  return chunks;
}

export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

/** A stream as one list: each gap, and each sample as the text of its tick and values, whatever the blocks were. */
export function flatten(items: (SampleBlock | Gap)[], stream: StreamInfo): unknown[] {
  const flat: unknown[] = [];
  for (const item of items) {
    if (item.stream !== stream.id) continue;
    if (item.kind === 'gap') {
      flat.push({ ...item });
      continue;
    }
    for (let i = 0; i < item.length; i++) {
      flat.push(
        [
          stream.ticksPerSample === null ? null : item.firstTick + i * item.ticksPerSample,
          ...stream.quantities.map((quantity) => item[quantity]![i]),
          stream.ranges.length > 1 ? (item.range?.[i] ?? 0) : null,
          item.flags?.[i] ?? 0,
          stream.logicInputs.length > 0 ? (item.logic?.[i] ?? 0) : null,
          item.startTicks?.[i],
          item.endTicks?.[i],
        ].join(' '),
      );
    }
  }
  return flat;
}

/** Everything that a recording holds, in a form that can be compared. */
export async function contents(recording: Recording): Promise<unknown> {
  const samples = await collect(recording.samples());
  return {
    samples: recording.streams.map((stream) => flatten(samples, stream)),
    edges: (await collect(recording.edges())).flatMap(({ edges }) => edges),
    log: await collect(recording.log()),
  };
}
