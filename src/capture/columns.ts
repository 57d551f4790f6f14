import type { SampleQuantity, StreamInfo } from '../signal/types.ts';

/** The column types that our Arrow files use: little-endian floats, unsigned bytes and UTF-8 text. */
export type ColumnType = 'f32' | 'f64' | 'u8' | 'utf8';

export interface Column {
  name: string;
  type: ColumnType;
  nullable: boolean;
}

/** Names of the arrays of a SampleBlock that hold one byte a sample. */
export type ByteColumn = 'range' | 'flags' | 'logic';

const column = (name: string, type: ColumnType, nullable = false): Column => ({ name, type, nullable });

/**
 * The columns of a stream's samples: its quantities, `range` where there is more than one, `flags` always, `logic`
 * where it has logic inputs, and the interval of each sample where the stream is irregular.
 */
export function sampleColumns(stream: StreamInfo): Column[] {
  const columns = stream.quantities.map((quantity: SampleQuantity) => column(quantity, stream.precision));
  if (stream.ranges.length > 1) columns.push(column('range', 'u8'));
  columns.push(column('flags', 'u8'));
  if (stream.logicInputs.length > 0) columns.push(column('logic', 'u8'));
  if (stream.ticksPerSample === null) columns.push(column('startTicks', 'f64'), column('endTicks', 'f64'));
  return columns;
}

export const edgeColumns: Column[] = [
  column('clock', 'utf8'),
  column('tick', 'f64'),
  column('u_ticks', 'f64', true),
  column('channel', 'utf8'),
  column('polarity', 'utf8'),
  column('seq', 'f64'),
  column('arrival_ns', 'f64', true),
];

export const segmentColumns: Column[] = [
  column('stream', 'utf8'),
  column('kind', 'utf8'),
  column('firstRow', 'f64'),
  column('firstTick', 'f64'),
  column('ticksPerSample', 'f64', true),
  column('count', 'f64', true),
  column('cause', 'utf8', true),
];

/** Bytes of one row; text columns are not counted. */
export function rowBytes(columns: Column[]): number {
  const sizes = { f32: 4, f64: 8, u8: 1, utf8: 0 };
  return columns.reduce((sum, { type }) => sum + sizes[type], 0);
}
