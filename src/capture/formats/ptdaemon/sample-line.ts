import { parsePtdTime_ms } from './time.ts';

/** Fields of a sample before the groups of channels and analyzers: `Time,t,Watts,w,Volts,v,Amps,a,PF,pf[,Mark,m]` */
export const SAMPLE_FIELDS = 12;

/** The main numbers of one PTDaemon sample, as `spl.txt` holds them and as the daemon sends them. */
export interface PtdSample {
  /** Milliseconds on the clock of the daemon's host, read as UTC. */
  time_ms: number;
  /** NaN where the analyzer gave no number; -1 (or -2) stands as printed and is no reading either. */
  watts: number;
  volts: number;
  amps: number;
  powerFactor: number;
  mark: string | null;
}

/** The sample in the comma-separated fields of a line, or null where they are none. */
export function parseSample(fields: readonly string[]): PtdSample | null {
  if (fields[0] !== 'Time' || fields[2] !== 'Watts' || fields.length < 4) return null;
  const time_ms = parsePtdTime_ms(fields[1] as string);
  const watts = decimal(fields[3]);
  if (Number.isNaN(time_ms) || (Number.isNaN(watts) && !/^\s*[-+]?(nan|inf)/i.test(fields[3] as string))) return null;
  return {
    time_ms,
    watts,
    volts: fields[4] === 'Volts' ? decimal(fields[5]) : Number.NaN,
    amps: fields[6] === 'Amps' ? decimal(fields[7]) : Number.NaN,
    powerFactor: fields[8] === 'PF' ? decimal(fields[9]) : Number.NaN,
    mark: fields[10] === 'Mark' && fields[11] !== undefined ? fields[11].trim() : null,
  };
}

/** A decimal number, or NaN; `inf` is no reading and gives NaN as well. */
export function decimal(text: string | undefined): number {
  if (text === undefined || !/^\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*$/i.test(text)) return Number.NaN;
  const value = Number(text);
  return Number.isFinite(value) ? value : Number.NaN;
}
