import { decimal, parseSample, SAMPLE_FIELDS } from './sample-line.ts';
import { type ScannedFile, scanLines } from './scan.ts';

/** PTDaemon itself stops after 500,000 samples; what lies beyond is no single session and is not kept. */
export const MAX_SAMPLES = 600_000;
const MAX_CHANNELS = 32;
const MAX_MARKS = 64;
const KEPT_BAD_LINES = 5;

/** One column group beside the total: a channel of a multi-channel analyzer, or one analyzer of a merged log. */
export interface PowerColumn {
  /** `Ch1`, `Analyzer1`, `Analyzer1.Ch1`... */
  name: string;
  /** One number a sample; NaN where the line has no such group. */
  watts: Float64Array;
}

/**
 * `spl.txt`: the power samples of one PTDaemon measurement. The arrays have `length` valid entries. NaN stands where
 * a line holds no number (PTDaemon writes `nan` when the analyzer gave none); -1 stands as printed.
 */
export interface PowerLog {
  file: ScannedFile;
  length: number;
  /** Milliseconds on the clock of the daemon's host, read as UTC. */
  time_ms: Float64Array;
  watts: Float64Array;
  volts: Float64Array;
  amps: Float64Array;
  powerFactor: Float64Array;
  /** 1 where every field but the time is, letter for letter, that of the sample before. */
  repeated: Uint8Array;
  channels: PowerColumn[];
  analyzers: PowerColumn[];
  /** Marks of the samples, in order of appearance (`<session>_ranging`, `<session>_testing`). */
  marks: string[];
  /** Lines (not empty) that are no sample, and the numbers of the first of them. */
  badLines: number;
  firstBadLines: number[];
  /** Samples beyond MAX_SAMPLES, which were not kept. */
  dropped: number;
}

/**
 * Reads `spl.txt`, streamed: `Time,MM-DD-YYYY HH:MM:SS.mmm,Watts,w,Volts,v,Amps,a,PF,pf,Mark,m`, followed by
 * `,Ch1,Watts,...` groups (multi-channel analyzers) or `,Analyzer1,Time,...` groups (several analyzers, merged).
 * Lines that are no sample are counted, never fatal. Throws what the file system throws.
 */
export async function readPowerLog(path: string): Promise<PowerLog> {
  const reader = new PowerLogReader();
  const file = await scanLines(path, (line, number) => reader.line(line, number));
  return reader.result(file);
}

class GrowingColumn {
  data = new Float64Array(1024);

  set(index: number, value: number): void {
    if (index >= this.data.length) {
      const larger = new Float64Array(Math.max(index + 1, this.data.length * 2));
      larger.set(this.data);
      this.data = larger;
    }
    this.data[index] = value;
  }
}

interface Group {
  name: string;
  column: GrowingColumn;
  from: number;
}

class PowerLogReader {
  private length = 0;
  private readonly time = new GrowingColumn();
  private readonly watts = new GrowingColumn();
  private readonly volts = new GrowingColumn();
  private readonly amps = new GrowingColumn();
  private readonly powerFactor = new GrowingColumn();
  private repeated = new Uint8Array(1024);
  private previous: string[] = [];
  private readonly channels = new Map<string, Group>();
  private readonly analyzers = new Map<string, Group>();
  private readonly marks = new Set<string>();
  private badLines = 0;
  private readonly firstBadLines: number[] = [];
  private dropped = 0;

  line(line: string, number: number): void {
    if (line.trim() === '') return;
    const fields = line.split(',');
    const row = parseSample(fields);
    if (row === null) {
      this.badLines++;
      if (this.firstBadLines.length < KEPT_BAD_LINES) this.firstBadLines.push(number);
      return;
    }
    if (this.length >= MAX_SAMPLES) {
      this.dropped++;
      return;
    }
    const i = this.length++;
    this.time.set(i, row.time_ms);
    this.watts.set(i, row.watts);
    this.volts.set(i, row.volts);
    this.amps.set(i, row.amps);
    this.powerFactor.set(i, row.powerFactor);
    this.setRepeated(i, fields);
    if (row.mark !== null && this.marks.size < MAX_MARKS) this.marks.add(row.mark);
    if (fields.length > SAMPLE_FIELDS) this.groups(fields, i);
  }

  private setRepeated(sample: number, fields: string[]): void {
    if (sample >= this.repeated.length) {
      const larger = new Uint8Array(this.repeated.length * 2);
      larger.set(this.repeated);
      this.repeated = larger;
    }
    const before = this.previous;
    const same = before.length === fields.length && fields.every((f, k) => f === before[k] || fields[k - 1] === 'Time');
    this.repeated[sample] = same ? 1 : 0;
    this.previous = fields;
  }

  /** `Ch1,Watts,w,...` and `Analyzer1,Time,t,Watts,w,...` behind the main fields. */
  private groups(fields: string[], sample: number): void {
    let analyzer = '';
    for (let at = SAMPLE_FIELDS; at < fields.length; at++) {
      const name = fields[at] as string;
      if (/^Analyzer\d+$/i.test(name)) {
        analyzer = name;
        const watts = fields.indexOf('Watts', at);
        if (watts !== -1) this.setGroup(this.analyzers, name, sample, decimal(fields[watts + 1]));
      } else if (/^Ch\d+$/i.test(name) && fields[at + 1] === 'Watts') {
        const full = analyzer === '' ? name : `${analyzer}.${name}`;
        this.setGroup(this.channels, full, sample, decimal(fields[at + 2]));
      }
    }
  }

  private setGroup(groups: Map<string, Group>, name: string, sample: number, watts: number): void {
    let group = groups.get(name);
    if (group === undefined) {
      if (groups.size >= MAX_CHANNELS) return;
      group = { name, column: new GrowingColumn(), from: 0 };
      groups.set(name, group);
    }
    for (; group.from < sample; group.from++) group.column.set(group.from, Number.NaN);
    group.column.set(sample, watts);
    group.from = sample + 1;
  }

  result(file: ScannedFile): PowerLog {
    const cut = (column: GrowingColumn) => column.data.subarray(0, this.length);
    const columns = (groups: Map<string, Group>): PowerColumn[] =>
      [...groups.values()].map((group) => {
        for (; group.from < this.length; group.from++) group.column.set(group.from, Number.NaN);
        return { name: group.name, watts: cut(group.column) };
      });
    return {
      file,
      length: this.length,
      time_ms: cut(this.time),
      watts: cut(this.watts),
      volts: cut(this.volts),
      amps: cut(this.amps),
      powerFactor: cut(this.powerFactor),
      repeated: this.repeated.subarray(0, this.length),
      channels: columns(this.channels),
      analyzers: columns(this.analyzers),
      marks: [...this.marks],
      badLines: this.badLines,
      firstBadLines: this.firstBadLines,
      dropped: this.dropped,
    };
  }
}
