import { hash } from 'node:crypto';
import { closeSync, existsSync, readSync, rmSync } from 'node:fs';
import { join, resolve, sep } from 'node:path';
import { FormatError, UsageError } from '../signal/errors.ts';
import { type ArrowEncoder, endOfStream } from './arrow-encoder.ts';
import { ArrowFile } from './arrow-file.ts';
import { maxTableRows, tableEncoder } from './capture-writer.ts';
import { ChainedFile, type ChainedFileSummary, ChainWriter } from './chain.ts';
import { type Column, edgeColumns, sampleColumns, segmentColumns } from './columns.ts';
import { makeRunFolder, type NamedFile, openForReading, readSmallFile, writeDurably, writeNewFile } from './files.ts';
import { sealRunFolder } from './manifest.ts';
import { replaySegments, type Snapshot } from './replay.ts';
import { cutOffGap, openRunFolder, type RunFolder } from './run-folder.ts';
import { captureFiles, samplesFile } from './run-header.ts';
import { type SegmentRow, sampleEncoder, segmentValues } from './sample-batch.ts';

export interface RecoverOptions {
  /** Wall times, host, paths, for the manifest. */
  info?: Record<string, unknown>;
  /** Ed25519 private key (PEM) to sign the manifest with. */
  privateKey?: string;
}

/** Log lines are copied in blocks of this size. */
const logBlockBytes = 1 << 20;

/**
 * Makes a closed copy of a capture that was cut off. Samples, edges and log of the copy are what opening the cut-off
 * folder gives, bit for bit; the cut-off folder is not touched.
 * @param attach given the copy, ready for replay, makes the files that close it: the result and the report
 * @throws UsageError where the input was closed or the output exists, FormatError where the input is malformed
 */
export async function recoverRunFolder(
  input: string,
  output: string,
  attach: (recording: RunFolder) => Promise<NamedFile[]>,
  options: RecoverOptions = {},
): Promise<void> {
  const recording = await openRunFolder(input);
  if (recording.closed) {
    throw new UsageError('capture.not-cut-off', {
      where: input,
      problem: 'is closed and sealed; there is nothing to recover',
      remedy: '`joulemark verify` tells whether it is still as it was sealed.',
    });
  }
  if (resolve(output).startsWith(resolve(input) + sep)) {
    throw new UsageError('capture.folder', {
      where: output,
      problem: 'lies inside the folder that is to be recovered',
      remedy: 'Name a folder outside it: a cut-off capture is never modified.',
    });
  }
  makeRunFolder(output);
  try {
    copyStart(recording, output);
    const summaries = copyCapture(recording, output);
    const copy = await openRunFolder(output, { unsealedIs: 'recovered' });
    for (const file of await attach(copy)) writeNewFile(output, file);
    sealRunFolder(output, summaries, options.info ?? {}, { status: 'recovered', privateKey: options.privateKey });
  } catch (error) {
    // The folder is ours, made above; half a copy would only mislead.
    rmSync(output, { recursive: true, force: true });
    throw error;
  }
}

/** The header and the files that the run started with. */
function copyStart(recording: RunFolder, output: string): void {
  const { path, header } = recording;
  writeDurably(join(output, captureFiles.header), readSmallFile(join(path, captureFiles.header)));
  for (const { name, size, sha256 } of header.attachments) {
    const source = join(path, name);
    const bytes = existsSync(source) ? readSmallFile(source) : null;
    // The process died before it had written the file: then it had not written a sample either.
    if (bytes === null || bytes.length < size) continue;
    if (hash('sha256', bytes) !== sha256) {
      throw new FormatError('format.attachment', {
        where: source,
        problem: 'is not the file that the run started with',
        remedy: '`joulemark verify` names everything that was changed; use another copy of the folder.',
      });
    }
    writeNewFile(output, { name, bytes });
  }
}

function copyCapture(recording: RunFolder, output: string): Record<string, ChainedFileSummary> {
  const { header, snapshots } = recording;
  const chain = new ChainWriter(output, hash('sha256', readSmallFile(join(output, captureFiles.header))));
  const { segments: segmentsName, edges: edgesName, log: logName } = captureFiles;

  const segments = new ChainedFile(output, segmentsName, chain);
  writeSegments(recording, segments);
  const edges = new ChainedFile(output, edgesName, chain);
  copyArrow(snapshots[edgesName]!, edges, edgeColumns, tableEncoder(edgesName, edgeColumns));
  const log = new ChainedFile(output, logName, chain);
  copyText(snapshots[logName]!, log);
  const samples = header.streams.map((stream) => {
    const file = new ChainedFile(output, samplesFile(stream.id), chain);
    copyArrow(snapshots[file.name]!, file, sampleColumns(stream), sampleEncoder(stream));
    return file;
  });
  for (const file of [segments, edges, ...samples]) file.append([endOfStream]);
  chain.end();
  return Object.fromEntries([segments, edges, log, ...samples].map((file) => [file.name, file.close()]));
}

/** The segments table again, without rows of samples that were lost, and with the gap that ends each stream. */
function writeSegments(recording: RunFolder, target: ChainedFile): void {
  const encoder = tableEncoder(captureFiles.segments, segmentColumns);
  target.append(encoder.schema());
  const samples = new Map(recording.extents.map((extent) => [extent.id, extent.samples]));
  let rows: SegmentRow[] = [];
  const write = (): void => {
    if (rows.length > 0) target.append(encoder.batch(segmentValues(rows), rows.length, new Map()));
    rows = [];
  };
  for (const row of replaySegments(recording.snapshots[captureFiles.segments]!)) {
    if (row.firstRow <= (samples.get(row.stream) ?? -1)) rows.push(row);
    if (rows.length >= maxTableRows) write();
  }
  for (const extent of recording.cutOff ? recording.extents : []) {
    const { kind, stream, firstTick, count, cause } = cutOffGap(extent);
    rows.push({ kind, stream, firstRow: extent.samples, firstTick, ticksPerSample: null, count, cause });
  }
  write();
}

/** Copies the whole messages of an Arrow file as they are, one block each; a file that was not begun gets its schema. */
function copyArrow(source: Snapshot, target: ChainedFile, columns: Column[], encoder: ArrowEncoder): void {
  // Run in either case: an encoder writes its schema before its batches.
  const schema = encoder.schema();
  if (source.end === 0) {
    target.append(schema);
    return;
  }
  const file = new ArrowFile(source.path, columns, source.end);
  try {
    let copied = 0;
    for (const { offset, end } of file.frames()) {
      if (copied === 0) target.append([file.bytes(0, offset)]);
      target.append([file.bytes(offset, end)]);
      copied = end;
    }
    if (copied === 0) target.append([file.bytes(0, source.end)]);
  } finally {
    file.close();
  }
}

function copyText(source: Snapshot, target: ChainedFile): void {
  if (source.end === 0) return;
  const { fd } = openForReading(source.path);
  try {
    const buffer = Buffer.allocUnsafe(logBlockBytes);
    for (let offset = 0; offset < source.end; ) {
      const n = readSync(fd, buffer, 0, Math.min(buffer.length, source.end - offset), offset);
      if (n === 0) return;
      target.append([buffer.subarray(0, n)]);
      offset += n;
    }
  } finally {
    closeSync(fd);
  }
}
