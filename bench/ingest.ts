/**
 * Capture ingest: blocks of current and voltage (float32) and one logic byte are hashed, chained and written to a run
 * folder, without and with slicing behind it, against plain `writeSync` of the same bytes in the same run (what the
 * disk and the page cache can take at most). Memory must stay flat from 10^7 to 10^9 samples; the largest needs 10 GB
 * of free disk. `JOULEMARK_BENCH_SAMPLES=1e8` ends earlier.
 */
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CaptureWriter } from '../src/capture/capture-writer.ts';
import type { SampleBlock, StreamInfo, Window } from '../src/signal/types.ts';
import { auto } from '../src/sync/slicing/stream-slicer.ts';

const most = Number(process.env.JOULEMARK_BENCH_SAMPLES ?? 1e9);
const instrumentHz = 2e6;
/** 10 ms of a 2 MS/s instrument. */
const blockLength = 20_000;
/** Samples from window to window; the window is half of it. */
const windowPeriod = 100_000;

const stream: StreamInfo = {
  id: 'main',
  rail: 'main',
  clock: 'instrument',
  ticksPerSample: 1,
  quantities: ['current', 'voltage'],
  precision: 'f32',
  semantics: 'mean-forward',
  groupDelay_s: null,
  scale: {},
  assumedVoltage_V: null,
  ranges: [],
  logicInputs: ['trigger'],
  calibration: null,
};

const folder = mkdtempSync(join(tmpdir(), 'joulemark-bench-'));
try {
  for (let samples = 1e7; samples <= most; samples *= 10) {
    const written = ingest(samples, false);
    const sliced = ingest(samples, true);
    const raw_s = rawWrite(sliced.bytes);
    const raw_Sps = samples / raw_s;
    console.log(
      `10^${Math.round(Math.log10(samples))} samples: hashed and written ${mega(samples / written.time_s)} M/s; ` +
        `sliced too ${mega(samples / sliced.time_s)} M/s, ${(samples / sliced.time_s / instrumentHz).toFixed(0)} times ` +
        `a 2 MS/s instrument; plain write ${mega(raw_Sps)} M/s, ratio ${(samples / sliced.time_s / raw_Sps).toFixed(2)}; ` +
        `resident at most ${(Math.max(written.rss, sliced.rss) / 1e6).toFixed(0)} MB`,
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function ingest(samples: number, withSlicing: boolean): { time_s: number; bytes: number; rss: number } {
  const run = join(folder, 'run');
  const blocks = makeBlocks();
  const clocks = [{ id: 'instrument', tickHz: instrumentHz, kind: 'instrument' as const, epoch_ns: null }];
  const windows: Window[] = [];
  for (let start = windowPeriod / 4; withSlicing && start + windowPeriod / 2 <= samples; start += windowPeriod) {
    windows.push({
      index: windows.length,
      startTick: start + 0.3,
      endTick: start + windowPeriod / 2 + 0.7,
      u_ticks: null,
    });
  }
  const slicer = withSlicing ? auto.makeSlicer(stream, windows, instrumentHz) : null;
  let rss = 0;
  let slices = 0;
  const begin = performance.now();
  const writer = CaptureWriter.create(run, { simulated: true, clocks, streams: [stream], plan: null, provenance: {} });
  for (let first = 0, k = 0; first < samples; first += blockLength, k++) {
    const block = { ...blocks[k % blocks.length]!, firstTick: first };
    writer.push(block);
    if (slicer !== null) for (const _ of slicer.push(block)) slices += 1;
    if (k % 50 === 0) rss = Math.max(rss, process.memoryUsage.rss());
  }
  if (slicer !== null) for (const _ of slicer.end()) slices += 1;
  writer.finish();
  const time_s = (performance.now() - begin) / 1000;
  if (slices !== windows.length) throw new Error(`${slices} of ${windows.length} windows`);
  const bytes = readdirSync(run).reduce((sum, name) => sum + statSync(join(run, name)).size, 0);
  rmSync(run, { recursive: true });
  return { time_s, bytes, rss };
}

/** Time to write that many bytes 4 MB at a time, with nothing else done. */
function rawWrite(bytes: number): number {
  const chunk = new Uint8Array(4 << 20).fill(7);
  const path = join(folder, 'raw');
  const begin = performance.now();
  const fd = openSync(path, 'w');
  for (let left = bytes; left > 0; left -= chunk.length) writeSync(fd, chunk, 0, Math.min(left, chunk.length));
  closeSync(fd);
  const time_s = (performance.now() - begin) / 1000;
  rmSync(path);
  return time_s;
}

/** Blocks of different content, so that no cache sees the same bytes twice in a row. */
function makeBlocks(): SampleBlock[] {
  return Array.from({ length: 100 }, (_, k) => ({
    kind: 'block',
    stream: stream.id,
    firstTick: 0,
    ticksPerSample: 1,
    length: blockLength,
    current: Float32Array.from({ length: blockLength }, (_, i) => 1e-2 + 1e-4 * Math.sin(i * 0.01 + k)),
    voltage: Float32Array.from({ length: blockLength }, (_, i) => 3.3 + 1e-3 * Math.cos(i * 0.02 + k)),
    logic: new Uint8Array(blockLength).fill(k % 2),
  }));
}

function mega(value: number): string {
  return (value / 1e6).toFixed(1);
}
