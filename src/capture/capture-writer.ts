import { hash } from 'node:crypto';
import { join } from 'node:path';
import type { Chunk, Edge, Gap, LogLine, SampleBlock } from '../signal/types.ts';
import { ArrowEncoder, type ColumnValues, endOfStream } from './arrow-encoder.ts';
import { ChainedFile, type ChainedFileSummary, ChainWriter } from './chain.ts';
import { type Column, edgeColumns, sampleColumns, segmentColumns } from './columns.ts';
import { makeRunFolder, type NamedFile, writeDurably, writeNewFile } from './files.ts';
import { formatLogLine } from './log-text.ts';
import { type SealOptions, sealRunFolder } from './manifest.ts';
import { captureFiles, chainedFiles, encodeRunHeader, type RunHeader, samplesFile } from './run-header.ts';
import { assertBlockFits, maxBatchBytes, SampleBatch, type SegmentRow, segmentValues } from './sample-batch.ts';

/** A batch is on disk at the latest this long after its first sample. */
export const maxBatchAge_ms = 50;

/** Rows of edges and segments in one batch, so that a batch stays below 4 MB. */
export const maxTableRows = 32_768;

export interface CaptureOptions {
  /**
   * The writer's clock in milliseconds; it decides only when a batch is closed. Default: the host's monotonic clock.
   * A seeded simulated run gives its virtual time, so that the same run makes the same bytes at any speed.
   */
  now_ms?: () => number;
}

/**
 * Writes a run folder as the run goes (docs/run-folder.md). Everything pushed is on disk within 50 ms of the writer's
 * clock or 4 MB, whichever comes first, each batch in one write with its chain link after it, so that a process that
 * is killed loses the open batches and nothing else.
 *
 * Life: `create`, `push`..., `finish` (now the folder can be replayed), `addFile`..., `seal`.
 */
export class CaptureWriter {
  readonly folder: string;
  readonly #now_ms: () => number;
  readonly #chain: ChainWriter;
  readonly #streams = new Map<string, { batch: SampleBatch; file: ChainedFile; columns: Column[] }>();
  readonly #edges: TableBatch<Edge>;
  readonly #segments: TableBatch<SegmentRow>;
  readonly #log: { file: ChainedFile; lines: string[]; bytes: number; since_ms: number };
  /** Writer time at which the oldest open batch must be closed. */
  #due_ms = Number.POSITIVE_INFINITY;
  #summaries: Record<string, ChainedFileSummary> | null = null;

  /**
   * Makes the folder and writes the header, to the disk itself, before anything else.
   * @param attachments files that the run starts with: the rig file, calibration records
   * @throws UsageError where the folder exists, JoulemarkError where it cannot be made
   */
  static create(
    folder: string,
    header: RunHeader,
    attachments: NamedFile[] = [],
    options: CaptureOptions = {},
  ): CaptureWriter {
    makeRunFolder(folder);
    return new CaptureWriter(folder, header, attachments, options);
  }

  private constructor(folder: string, header: RunHeader, attachments: NamedFile[], options: CaptureOptions) {
    this.folder = folder;
    this.#now_ms = options.now_ms ?? (() => performance.now());
    const reserved: string[] = [...Object.values(captureFiles), ...chainedFiles(header.streams)];
    for (const { name } of attachments) {
      if (reserved.includes(name)) throw new TypeError(`attachment name ${name} is taken by the capture`);
    }
    const headerBytes = encodeRunHeader({
      ...header,
      attachments: attachments.map(({ name, bytes }) => ({ name, size: bytes.length, sha256: hash('sha256', bytes) })),
    });
    writeDurably(join(folder, captureFiles.header), headerBytes);
    for (const attachment of attachments) writeNewFile(folder, attachment);

    this.#chain = new ChainWriter(folder, hash('sha256', headerBytes));
    this.#segments = new TableBatch(folder, captureFiles.segments, segmentColumns, segmentValues, this.#chain);
    this.#edges = new TableBatch(folder, captureFiles.edges, edgeColumns, edgeValues, this.#chain);
    this.#log = { file: new ChainedFile(folder, captureFiles.log, this.#chain), lines: [], bytes: 0, since_ms: 0 };
    for (const stream of header.streams) {
      const batch = new SampleBatch(stream);
      const file = new ChainedFile(folder, samplesFile(stream.id), this.#chain);
      file.append(batch.encoder.schema());
      this.#streams.set(stream.id, { batch, file, columns: sampleColumns(stream) });
    }
  }

  /**
   * Takes one chunk of the run. The arrays of a block are copied, so that the caller may reuse them. Progress is not
   * recorded: a replay knows its end.
   * @throws JoulemarkError where the disk refuses, TypeError where a block is not what its stream announced (a bug)
   */
  push(chunk: Chunk): void {
    const now_ms = this.#now_ms();
    this.flushDue(now_ms);
    switch (chunk.kind) {
      case 'block':
        this.#pushBlock(chunk, now_ms);
        break;
      case 'gap':
        this.#pushGap(chunk, now_ms);
        break;
      case 'edges':
        for (const edge of chunk.edges) this.#edges.add(edge, now_ms);
        this.#startTimer(now_ms);
        break;
      case 'log':
        this.#pushLog(chunk, now_ms);
        break;
    }
  }

  /**
   * Writes every batch whose first sample came 50 ms ago or earlier. A live run calls it from a timer, because no
   * push comes while an instrument is silent; `push` calls it too. A seeded run must not call it from a timer.
   */
  flushDue(now_ms: number = this.#now_ms()): void {
    if (now_ms < this.#due_ms) return;
    const limit_ms = now_ms - maxBatchAge_ms;
    for (const { batch } of this.#streams.values()) {
      if (batch.length > 0 && batch.since_ms <= limit_ms) this.#closeBatch(batch.stream.id);
    }
    for (const table of [this.#segments, this.#edges]) {
      if (table.length > 0 && table.since_ms <= limit_ms) table.write();
    }
    if (this.#log.lines.length > 0 && this.#log.since_ms <= limit_ms) this.#writeLog();
    this.#due_ms = Math.min(
      ...[...this.#streams.values()].map(({ batch }) =>
        batch.length > 0 ? batch.since_ms + maxBatchAge_ms : Infinity,
      ),
      ...[this.#segments, this.#edges].map((table) => (table.length > 0 ? table.since_ms + maxBatchAge_ms : Infinity)),
      this.#log.lines.length > 0 ? this.#log.since_ms + maxBatchAge_ms : Infinity,
    );
  }

  /** Writes what is open and ends every file. The folder can be replayed from here on; it is not sealed yet. */
  finish(): void {
    for (const id of this.#streams.keys()) this.#closeBatch(id);
    this.#segments.write();
    this.#edges.write();
    this.#writeLog();
    const files = [this.#segments.file, this.#edges.file, ...[...this.#streams.values()].map(({ file }) => file)];
    for (const file of files) file.append([endOfStream]);
    this.#chain.end();
    this.#summaries = Object.fromEntries([...files, this.#log.file].map((file) => [file.name, file.close()]));
  }

  /** Adds a finished file, such as `result.json` or `report.html`. It must not exist yet. */
  addFile(name: string, bytes: Uint8Array): void {
    writeNewFile(this.folder, { name, bytes });
  }

  /**
   * Seals the folder with `manifest.json`. Nothing is added afterwards.
   * @param info wall times, host, paths: what may differ between two runs of one seed
   */
  seal(info: Record<string, unknown>, options: SealOptions = {}): void {
    if (this.#summaries === null) throw new Error('the capture is not finished');
    sealRunFolder(this.folder, this.#summaries, info, options);
  }

  #pushBlock(block: SampleBlock, now_ms: number): void {
    const { batch, columns } = this.#stream(block.stream);
    assertBlockFits(block, batch.stream, columns);
    if (block.length === 0) return;
    const newSegment = batch.breaksAt(block);
    if (batch.length > 0 && (newSegment || batch.overflows(block))) this.#closeBatch(block.stream);
    if (newSegment) {
      this.#segments.add(
        {
          stream: block.stream,
          kind: 'segment',
          firstRow: batch.rows,
          firstTick: block.firstTick,
          ticksPerSample: batch.stream.ticksPerSample,
          count: null,
          cause: null,
        },
        now_ms,
      );
    }
    for (let from = 0; from < block.length; from += batch.capacity) {
      if (from > 0) this.#closeBatch(block.stream);
      batch.append(block, from, Math.min(block.length, from + batch.capacity), now_ms);
    }
    if (batch.length === batch.capacity) this.#closeBatch(block.stream);
    this.#startTimer(now_ms);
  }

  #pushGap(gap: Gap, now_ms: number): void {
    const { batch } = this.#stream(gap.stream);
    this.#closeBatch(gap.stream);
    batch.breakHere();
    const { stream, kind, firstTick, count, cause } = gap;
    this.#segments.add({ stream, kind, firstRow: batch.rows, firstTick, ticksPerSample: null, count, cause }, now_ms);
    this.#startTimer(now_ms);
  }

  #pushLog(line: LogLine, now_ms: number): void {
    const log = this.#log;
    if (log.lines.length === 0) log.since_ms = now_ms;
    const text = formatLogLine(line);
    log.lines.push(text);
    log.bytes += text.length;
    if (log.bytes >= maxBatchBytes) this.#writeLog();
    this.#startTimer(now_ms);
  }

  #stream(id: string): { batch: SampleBatch; file: ChainedFile; columns: Column[] } {
    const stream = this.#streams.get(id);
    if (stream === undefined) throw new TypeError(`stream ${id} was not announced in the header`);
    return stream;
  }

  #closeBatch(id: string): void {
    const { batch, file } = this.#stream(id);
    if (batch.length === 0) return;
    // The row that says which ticks these samples have is on disk before them.
    this.#segments.write();
    file.append(batch.take());
  }

  #writeLog(): void {
    const log = this.#log;
    if (log.lines.length === 0) return;
    log.file.append([Buffer.from(log.lines.join(''))]);
    log.lines = [];
    log.bytes = 0;
  }

  #startTimer(now_ms: number): void {
    this.#due_ms = Math.min(this.#due_ms, now_ms + maxBatchAge_ms);
  }
}

/** Rows of a small table on their way to an Arrow file. */
class TableBatch<Row> {
  readonly file: ChainedFile;
  readonly #encoder: ArrowEncoder;
  readonly #values: (rows: Row[]) => ColumnValues[];
  #rows: Row[] = [];
  /** Writer time at which the first row of this batch came. */
  since_ms = 0;

  constructor(
    folder: string,
    name: string,
    columns: Column[],
    values: (rows: Row[]) => ColumnValues[],
    chain: ChainWriter,
  ) {
    this.#encoder = tableEncoder(name, columns);
    this.#values = values;
    this.file = new ChainedFile(folder, name, chain);
    this.file.append(this.#encoder.schema());
  }

  get length(): number {
    return this.#rows.length;
  }

  add(row: Row, now_ms: number): void {
    if (this.#rows.length === 0) this.since_ms = now_ms;
    this.#rows.push(row);
    if (this.#rows.length >= maxTableRows) this.write();
  }

  write(): void {
    if (this.#rows.length === 0) return;
    this.file.append(this.#encoder.batch(this.#values(this.#rows), this.#rows.length, new Map()));
    this.#rows = [];
  }
}

/** The encoder of `edges.arrow` or `segments.arrow`. */
export function tableEncoder(name: string, columns: Column[]): ArrowEncoder {
  return new ArrowEncoder(columns, new Map([['joulemark', `${name.replace('.arrow', '')}/1`]]));
}

function edgeValues(edges: Edge[]): ColumnValues[] {
  return [
    edges.map((edge) => edge.clock),
    Float64Array.from(edges, (edge) => edge.tick),
    edges.map((edge) => edge.u_ticks),
    edges.map((edge) => edge.channel),
    edges.map((edge) => edge.polarity),
    Float64Array.from(edges, (edge) => edge.seq),
    edges.map((edge) => edge.arrival_ns ?? null),
  ];
}
