import { closeSync, readSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { FormatError } from '../signal/errors.ts';
import type { InferenceResult, WindowTruth } from '../signal/recording.ts';
import type { Edge, Gap, GapCause, LogLine, SampleBlock, StreamInfo } from '../signal/types.ts';
import { ArrowFile, type BatchFrame } from './arrow-file.ts';
import { edgeColumns, sampleColumns, segmentColumns } from './columns.ts';
import { openForReading } from './files.ts';
import { parseLogLine } from './log-text.ts';
import type { SegmentRow } from './sample-batch.ts';

/** A file of a capture, and how far its whole batches or lines go. */
export interface Snapshot {
  path: string;
  /** First byte after the last whole one; 0 where the file holds nothing or is not there. */
  end: number;
  /** True where the writer closed it. */
  ended: boolean;
}

/** One step through a stream: a gap, or a batch with the tick of its first sample. */
type StreamStep = { gap: Gap } | { frame: BatchFrame; firstTick: number };

const gapCauses: readonly string[] = [
  'dropped',
  'link-loss',
  'host-overrun',
  'unplugged',
  'invalid',
  'cut-off',
  'unknown',
] satisfies GapCause[];

/** The rows of the segments table in order. */
export function* replaySegments(snapshot: Snapshot): Generator<SegmentRow> {
  if (snapshot.end === 0) return;
  const file = new ArrowFile(snapshot.path, segmentColumns, snapshot.end);
  try {
    for (const frame of file.frames()) {
      const [streams, kinds, firstRows, firstTicks, ticksPerSample, counts, causes] = file.readSync(frame);
      for (let i = 0; i < frame.message.length; i++) {
        const row: SegmentRow = {
          stream: streams![i] as string,
          kind: kinds![i] as SegmentRow['kind'],
          firstRow: firstRows![i] as number,
          firstTick: firstTicks![i] as number,
          ticksPerSample: ticksPerSample![i] as number | null,
          count: counts![i] as number | null,
          cause: causes![i] as GapCause | null,
        };
        const isGap = row.kind === 'gap' && gapCauses.includes(row.cause ?? '');
        if (!isGap && row.kind !== 'segment') throw file.error(frame.offset, `row ${i} is neither a segment nor a gap`);
        yield row;
      }
    }
  } finally {
    file.close();
  }
}

function* segmentsOf(stream: string, snapshot: Snapshot): Generator<SegmentRow> {
  for (const row of replaySegments(snapshot)) if (row.stream === stream) yield row;
}

/**
 * Walks a stream's gaps and batches in order, reading metadata only. It stops where the segments table, if that was cut
 * off, no longer says which ticks the samples have.
 * @throws FormatError where samples and segments contradict each other
 */
export function* streamSteps(stream: StreamInfo, file: ArrowFile, segments: Snapshot): Generator<StreamStep> {
  const rows = segmentsOf(stream.id, segments);
  try {
    let segment = rows.next();
    let sampleCount = 0;
    let nextTick: number | null = null;
    const gapsUpToHere = function* (): Generator<StreamStep> {
      for (; !segment.done && segment.value.firstRow <= sampleCount; segment = rows.next()) {
        const { kind, firstRow, firstTick, count, cause } = segment.value;
        if (firstRow !== sampleCount) {
          throw file.error(file.extent.end, `sample ${firstRow} begins a segment inside a record batch`);
        }
        nextTick = kind === 'segment' ? firstTick : null;
        if (kind === 'gap') yield { gap: { kind: 'gap', stream: stream.id, firstTick, count, cause: cause! } };
      }
    };
    for (const frame of file.frames()) {
      yield* gapsUpToHere();
      const { length, metadata } = frame.message;
      const firstTick = Number(metadata.get('firstTick') ?? Number.NaN);
      if (!Number.isSafeInteger(firstTick)) throw file.error(frame.offset, 'a record batch without its first tick');
      if (metadata.get('firstRow') !== String(sampleCount)) {
        throw file.error(frame.offset, `expected the batch of sample ${sampleCount}`);
      }
      const mapped = stream.ticksPerSample === null ? nextTick !== null : nextTick === firstTick;
      if (!mapped && segment.done && !segments.ended) {
        file.endBefore(frame);
        return;
      }
      if (!mapped)
        throw file.error(frame.offset, `the batch begins at tick ${firstTick}, its segment says ${nextTick}`);
      yield { frame, firstTick };
      sampleCount += length;
      nextTick = firstTick + length * (stream.ticksPerSample ?? 0);
    }
    yield* gapsUpToHere();
    if (file.extent.ended && !segment.done) throw file.error(file.extent.end, 'samples are missing at the end');
  } finally {
    rows.return(undefined);
  }
}

/** Blocks and gaps of one stream in order; arrays are views of memory that belongs to the block. */
export async function* replayStream(
  stream: StreamInfo,
  samples: Snapshot,
  segments: Snapshot,
): AsyncGenerator<SampleBlock | Gap> {
  if (samples.end === 0) return;
  const file = new ArrowFile(samples.path, sampleColumns(stream), samples.end);
  const columns = sampleColumns(stream);
  try {
    for (const step of streamSteps(stream, file, segments)) {
      if ('gap' in step) {
        yield step.gap;
        continue;
      }
      const { frame, firstTick } = step;
      const values = await file.read(frame);
      const block: SampleBlock = {
        kind: 'block',
        stream: stream.id,
        firstTick,
        ticksPerSample: stream.ticksPerSample ?? 0,
        length: frame.message.length,
        ...Object.fromEntries(columns.map(({ name }, i) => [name, values[i]])),
      };
      const arrivals = frame.message.metadata.get('arrivals');
      if (arrivals === undefined) yield block;
      else yield* splitAtArrivals(block, arrivals, () => file.error(frame.offset, 'arrival times that are no list'));
    }
  } finally {
    file.close();
  }
}

/** The blocks of a live run as they came, each with its arrival time. */
function* splitAtArrivals(block: SampleBlock, json: string, malformed: () => FormatError): Generator<SampleBlock> {
  const arrivals = parseJson(z.array(z.tuple([z.number().int().min(0), z.number()])), json);
  if (arrivals === null) throw malformed();
  const starts = arrivals[0]?.[0] === 0 ? arrivals : [[0, undefined] as const, ...arrivals];
  for (const [i, [from, arrival_ns]] of starts.entries()) {
    const to = starts[i + 1]?.[0] ?? block.length;
    if (to <= from || to > block.length) throw malformed();
    const part: SampleBlock = { ...block, length: to - from };
    if (arrival_ns !== undefined) part.arrival_ns = arrival_ns;
    for (const name of arrayNames) {
      const array = block[name];
      if (array !== undefined) part[name] = array.subarray(from, to) as never;
    }
    if (from > 0) {
      part.firstTick =
        block.startTicks === undefined
          ? block.firstTick + from * block.ticksPerSample
          : Math.floor(block.startTicks[from]!);
    }
    yield part;
  }
}

const arrayNames = [
  'current',
  'voltage',
  'power',
  'energy',
  'range',
  'flags',
  'logic',
  'startTicks',
  'endTicks',
] as const;

/** All edges in the order in which they were written. */
export function* replayEdges(snapshot: Snapshot): Generator<Edge> {
  if (snapshot.end === 0) return;
  const file = new ArrowFile(snapshot.path, edgeColumns, snapshot.end);
  try {
    for (const frame of file.frames()) {
      const [clocks, ticks, uncertainties, channels, polarities, seqs, arrivals] = file.readSync(frame);
      for (let i = 0; i < frame.message.length; i++) {
        const polarity = polarities![i];
        if (polarity !== 'rise' && polarity !== 'fall') throw file.error(frame.offset, `edge ${i} has no polarity`);
        const edge: Edge = {
          clock: clocks![i] as string,
          tick: ticks![i] as number,
          u_ticks: uncertainties![i] as number | null,
          channel: channels![i] as string,
          polarity,
          seq: seqs![i] as number,
        };
        const arrival_ns = arrivals![i];
        if (typeof arrival_ns === 'number') edge.arrival_ns = arrival_ns;
        yield edge;
      }
    }
  } finally {
    file.close();
  }
}

/** No line of a log comes near this; a longer one is damage. */
const maxLineBytes = 64 << 20;

/** Whole lines of a text file as [text, line number from 1, offset of its first byte]; a last line without its line feed was cut off and is left out. */
export async function* wholeLines(path: string, end: number): AsyncGenerator<[string, number, number]> {
  if (end === 0) return;
  const { fd, size: fileSize } = openForReading(path);
  const size = Math.min(end, fileSize);
  try {
    let number = 1;
    let pending: Uint8Array[] = [];
    let pendingBytes = 0;
    let lineOffset = 0;
    for (let offset = 0; offset < size; ) {
      const chunk = Buffer.allocUnsafe(Math.min(1 << 16, size - offset));
      const n = readSync(fd, chunk, 0, chunk.length, offset);
      if (n === 0) return;
      let from = 0;
      for (let at = chunk.subarray(0, n).indexOf(10); at !== -1; at = chunk.subarray(0, n).indexOf(10, from)) {
        const line = Buffer.concat([...pending, chunk.subarray(from, at)]);
        yield [line.toString(), number, lineOffset];
        number += 1;
        lineOffset = offset + at + 1;
        pending = [];
        pendingBytes = 0;
        from = at + 1;
      }
      pending.push(chunk.subarray(from, n));
      pendingBytes += n - from;
      if (pendingBytes > maxLineBytes) {
        throw new FormatError('format.log', {
          where: `${path} line ${number}`,
          problem: `longer than ${maxLineBytes} bytes`,
          remedy: 'This is no file of a run folder; use another copy.',
        });
      }
      offset += n;
      await setImmediate();
    }
  } finally {
    closeSync(fd);
  }
}

/** The lines of `log.txt`. */
export async function* replayLog(snapshot: Snapshot): AsyncGenerator<LogLine> {
  for await (const [text, number] of wholeLines(snapshot.path, snapshot.end)) {
    const line = parseLogLine(text);
    if (line === null) throw logError(snapshot.path, number, 'expected `seconds source: text`');
    yield line;
  }
}

/**
 * The DUT's answers: a `dut` line `m-results-[scores]` answers the `host` line `m-input-[name]-label-[k]` before it.
 * A line that the DUT garbled answers nothing.
 */
export async function* inferenceResults(log: AsyncIterable<LogLine>): AsyncGenerator<InferenceResult> {
  let asked: { input: string; label: number | null } | null = null;
  for await (const { source, text } of log) {
    const question = source === 'host' ? /^m-input-\[(.*)\]-label-\[(\d*)\]$/s.exec(text) : null;
    if (question !== null) {
      asked = { input: question[1]!, label: question[2] === '' ? null : Number(question[2]) };
      continue;
    }
    const answer = source === 'dut' ? /^m-results-\[(.*)\]$/s.exec(text.trim()) : null;
    if (answer === null || asked === null) continue;
    const fields = answer[1]!.split(',').map((field) => field.trim());
    const scores = fields.map(Number);
    if (fields.includes('') || !scores.every(Number.isFinite)) continue;
    yield { ...asked, scores };
    asked = null;
  }
}

const windowTruth = z.object({
  start_s: z.number(),
  end_s: z.number(),
  energy_J: z.number(),
  insidePower_W: z.number(),
  outsidePower_W: z.number(),
  noise_rel: z.number(),
  resolution_rel: z.number(),
  late_s: z.number().optional(),
}) satisfies z.ZodType<WindowTruth>;

/** The truth of each window: `plant` lines `m-truth-[{...}]`. */
export async function* windowTruths(snapshot: Snapshot): AsyncGenerator<WindowTruth> {
  let number = 0;
  for await (const { source, text } of replayLog(snapshot)) {
    number += 1;
    const match = source === 'plant' ? /^m-truth-\[(.*)\]$/s.exec(text) : null;
    if (match === null) continue;
    const truth = parseJson(windowTruth, match[1]!);
    if (truth === null) throw logError(snapshot.path, number, 'expected the truth of a window');
    yield truth;
  }
}

function parseJson<T>(schema: z.ZodType<T>, json: string): T | null {
  try {
    return schema.parse(JSON.parse(json));
  } catch {
    return null;
  }
}

function logError(path: string, line: number, problem: string): FormatError {
  return new FormatError('format.log', {
    where: `${path} line ${line}`,
    problem,
    remedy: 'The file was changed after it was written; `joulemark verify` names every changed block.',
  });
}
