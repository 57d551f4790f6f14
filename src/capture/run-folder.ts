import { closeSync, existsSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { FormatError, JoulemarkError } from '../signal/errors.ts';
import type { Recording } from '../signal/recording.ts';
import type { ClockInfo, Edge, EdgeBatch, Gap, GapCause, SampleBlock, StreamInfo } from '../signal/types.ts';
import { type Warning, warning } from '../signal/warnings.ts';
import { ArrowFile, type BatchFrame } from './arrow-file.ts';
import { type Column, edgeColumns, sampleColumns, segmentColumns } from './columns.ts';
import { openForReading, readSmallFile } from './files.ts';
import { isRecovered } from './manifest.ts';
import {
  inferenceResults,
  replayEdges,
  replayLog,
  replayStream,
  type Snapshot,
  streamSteps,
  windowTruths,
} from './replay.ts';
import { captureFiles, decodeRunHeader, type RunHeaderFile, samplesFile } from './run-header.ts';

/** How far the samples of one stream go. Ticks are null where there is no sample. */
export interface StreamExtent {
  id: string;
  samples: number;
  /** Tick of the first and of the last sample. */
  firstTick: number | null;
  lastTick: number | null;
  /** First tick after all that is known of the stream: its last sample, or the gap behind it. */
  endTick: number | null;
  /** Cause of the gap that stands behind the last sample, or null where none does. */
  endGap: GapCause | null;
}

/** A run folder that was opened for replay. */
export interface RunFolder extends Recording {
  format: 'joulemark-run';
  simulated: boolean;
  header: RunHeaderFile;
  /** True where the folder is sealed by its manifest. */
  closed: boolean;
  /** True where the capture stopped without being closed. */
  cutOff: boolean;
  extents: StreamExtent[];
  /** Each file of the capture, and the end of its last whole batch or line. */
  snapshots: Record<string, Snapshot>;
}

export interface OpenOptions {
  /**
   * What to say of a folder that has no manifest: `cut-off` (default), or, for the run that is about to seal its own
   * folder, what it will be: `closed` or `recovered`. So the result inside a folder is the result of opening it later.
   */
  unsealedIs?: 'cut-off' | 'closed' | 'recovered';
}

const edgesPerBatch = 4096;

/**
 * Opens a run folder, closed or cut off, and never modifies it. A capture that was cut off is read up to its last whole
 * batch, says so with the warning `capture.cut-off`, and each stream ends with a gap of that cause.
 * @throws JoulemarkError where the path is no run folder, FormatError where a file breaks its format
 */
export async function openRunFolder(path: string, options: OpenOptions = {}): Promise<RunFolder> {
  const header = readRunHeader(path);
  const closed = existsSync(join(path, captureFiles.manifest));
  const snapshots: Record<string, Snapshot> = {
    [captureFiles.segments]: tableSnapshot(path, captureFiles.segments, segmentColumns, closed),
    [captureFiles.edges]: tableSnapshot(path, captureFiles.edges, edgeColumns, closed),
    [captureFiles.log]: logSnapshot(path, closed),
  };
  const segments = snapshots[captureFiles.segments]!;
  const extents: StreamExtent[] = [];
  for (const stream of header.streams) {
    const name = samplesFile(stream.id);
    const { snapshot, extent } = measureStream(stream, join(path, name), segments, closed);
    snapshots[name] = snapshot;
    extents.push(extent);
  }
  const cutFiles = Object.entries(snapshots).filter(([, { ended }]) => !ended);
  const cutOff = cutFiles.length > 0;
  const warnings: Warning[] = [];
  const state = closed ? (isRecovered(path) ? 'recovered' : 'closed') : (options.unsealedIs ?? 'cut-off');
  if (cutOff || state === 'cut-off') warnings.push(cutOffWarning(cutFiles.map(([name]) => name)));
  if (state === 'recovered') {
    warnings.push(warning('capture.recovered', 'This capture was cut off and closed later by `joulemark recover`.'));
  }

  const log = () => replayLog(snapshots[captureFiles.log]!);
  return {
    format: 'joulemark-run',
    path,
    header,
    simulated: header.simulated,
    clocks: header.clocks,
    streams: header.streams,
    plan: header.plan,
    provenance: header.provenance,
    endedEarly: cutOff || extents.some(({ endGap }) => endGap === 'unplugged' || endGap === 'cut-off'),
    warnings,
    closed,
    cutOff,
    extents,
    snapshots,
    samples: () =>
      mergeByTime(
        header.streams.map((stream, i) => {
          const blocks = replayStream(stream, snapshots[samplesFile(stream.id)]!, segments);
          return cutOff ? withCutOffGap(blocks, extents[i]!) : blocks;
        }),
        header,
      ),
    edges: () => edgesByClock(header.clocks, snapshots[captureFiles.edges]!),
    log,
    results: () => inferenceResults(log()),
    truth: () => windowTruths(snapshots[captureFiles.log]!),
  };
}

/** The gap that ends a stream of a capture that was cut off. */
export function cutOffGap(extent: StreamExtent): Gap {
  return { kind: 'gap', stream: extent.id, firstTick: extent.endTick ?? 0, count: null, cause: 'cut-off' };
}

/** True for a folder that holds one of the files by which a run folder is known. */
export function isRunFolder(path: string): boolean {
  return [captureFiles.header, captureFiles.manifest, captureFiles.chain].some((name) => existsSync(join(path, name)));
}

/** Throws where the path is no run folder. */
export function assertRunFolder(path: string): void {
  if (isRunFolder(path)) return;
  throw new JoulemarkError('capture.no-run-folder', {
    where: path,
    problem: whyNoRunFolder(path),
    remedy: 'Give the folder that `joulemark run` wrote.',
  });
}

function whyNoRunFolder(path: string): string {
  try {
    readdirSync(path);
    return 'is no run folder: it holds no run.json';
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return 'does not exist';
    return code === 'ENOTDIR' ? 'is no folder' : `cannot be read: ${message}`;
  }
}

/** The header of a run folder. Throws where there is none or it is malformed. */
export function readRunHeader(path: string): RunHeaderFile {
  assertRunFolder(path);
  const file = join(path, captureFiles.header);
  return decodeRunHeader(readSmallFile(file), file);
}

/** True where the file is there. One that is not was not begun when the process died; in a sealed folder it was taken away. */
function isThere(path: string, closed: boolean): boolean {
  if (existsSync(path)) return true;
  if (!closed) return false;
  throw new FormatError('format.missing-file', {
    where: path,
    problem: 'is missing from a sealed run folder',
    remedy: '`joulemark verify` names everything that was changed; use another copy of the folder.',
  });
}

/** Walks edges or segments, reading metadata only. */
export function tableSnapshot(folder: string, name: string, columns: Column[], closed: boolean): Snapshot {
  const path = join(folder, name);
  if (!isThere(path, closed)) return { path, end: 0, ended: false };
  const file = new ArrowFile(path, columns);
  try {
    for (const _ of file.frames());
    return { path, ...file.extent };
  } finally {
    file.close();
  }
}

/** Finds the end of the last whole line of the log. */
export function logSnapshot(folder: string, closed: boolean): Snapshot {
  const path = join(folder, captureFiles.log);
  if (!isThere(path, closed)) return { path, end: 0, ended: false };
  const { fd, size } = openForReading(path);
  try {
    const end = endOfLastLine(fd, size);
    return { path, end, ended: end === size };
  } finally {
    closeSync(fd);
  }
}

function endOfLastLine(fd: number, size: number): number {
  const chunk = Buffer.allocUnsafe(1 << 16);
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - chunk.length);
    const n = readSync(fd, chunk, 0, end - start, start);
    const at = chunk.subarray(0, n).lastIndexOf(10);
    if (at !== -1) return start + at + 1;
    end = start;
  }
  return 0;
}

/** Walks a stream once, reading metadata only (and of an irregular stream the last batch). */
export function measureStream(
  stream: StreamInfo,
  path: string,
  segments: Snapshot,
  closed: boolean,
): { snapshot: Snapshot; extent: StreamExtent } {
  const extent: StreamExtent = {
    id: stream.id,
    samples: 0,
    firstTick: null,
    lastTick: null,
    endTick: null,
    endGap: null,
  };
  if (!isThere(path, closed)) return { snapshot: { path, end: 0, ended: false }, extent };
  const ticksPerSample = stream.ticksPerSample ?? 0;
  const columns = sampleColumns(stream);
  const file = new ArrowFile(path, columns);
  try {
    let last: BatchFrame | null = null;
    for (const step of streamSteps(stream, file, segments)) {
      if ('gap' in step) {
        extent.endGap = step.gap.cause;
        extent.endTick = step.gap.firstTick + (step.gap.count ?? 0) * ticksPerSample;
        continue;
      }
      last = step.frame;
      extent.endGap = null;
      const { length } = step.frame.message;
      extent.samples += length;
      extent.firstTick ??= step.firstTick;
      extent.lastTick = step.firstTick + (length - 1) * ticksPerSample;
      extent.endTick = step.firstTick + length * ticksPerSample;
    }
    if (stream.ticksPerSample === null && last !== null) {
      const values = file.readSync(last);
      const lastOf = (name: string) => (values[columns.findIndex((c) => c.name === name)] as Float64Array).at(-1)!;
      extent.lastTick = Math.floor(lastOf('startTicks'));
      extent.endTick = Math.max(extent.endTick!, Math.ceil(lastOf('endTicks')));
    }
    return { snapshot: { path, ...file.extent }, extent };
  } finally {
    file.close();
  }
}

function cutOffWarning(files: string[]): Warning {
  if (files.length === 0) {
    return warning('capture.cut-off', 'The capture is complete, but its folder was never sealed: the run did not end.');
  }
  return warning(
    'capture.cut-off',
    `The capture was cut off; everything up to the last whole batch is used (${files.join(', ')}).`,
  );
}

async function* withCutOffGap(
  items: AsyncIterable<SampleBlock | Gap>,
  extent: StreamExtent,
): AsyncGenerator<SampleBlock | Gap> {
  yield* items;
  yield cutOffGap(extent);
}

/** Several streams as one, by the time of their first ticks, each stream in its own order. */
async function* mergeByTime(
  sources: AsyncGenerator<SampleBlock | Gap>[],
  header: RunHeaderFile,
): AsyncGenerator<SampleBlock | Gap> {
  const tickHz = header.streams.map(({ clock }) => header.clocks.find(({ id }) => id === clock)!.tickHz);
  try {
    const heads = await Promise.all(sources.map((source) => source.next()));
    for (;;) {
      let earliest = -1;
      let earliest_s = Number.POSITIVE_INFINITY;
      for (const [i, head] of heads.entries()) {
        if (head.done) continue;
        const time_s = head.value.firstTick / tickHz[i]!;
        if (earliest === -1 || time_s < earliest_s) {
          earliest = i;
          earliest_s = time_s;
        }
      }
      if (earliest === -1) return;
      yield heads[earliest]!.value as SampleBlock | Gap;
      heads[earliest] = await sources[earliest]!.next();
    }
  } finally {
    for (const source of sources) await source.return(undefined);
  }
}

/**
 * Edges a clock at a time, in time order. Two sources on one clock may have written theirs in turns, so a clock's
 * edges are held in memory: a run has a few for each window.
 */
async function* edgesByClock(clocks: ClockInfo[], snapshot: Snapshot): AsyncGenerator<EdgeBatch> {
  const byClock = new Map<string, Edge[]>(clocks.map(({ id }) => [id, []]));
  for (const edge of replayEdges(snapshot)) {
    const edges = byClock.get(edge.clock);
    if (edges === undefined) byClock.set(edge.clock, [edge]);
    else edges.push(edge);
  }
  for (const edges of byClock.values()) {
    edges.sort((a, b) => a.tick - b.tick);
    for (let i = 0; i < edges.length; i += edgesPerBatch) {
      yield { kind: 'edges', edges: edges.slice(i, i + edgesPerBatch) };
    }
  }
}
