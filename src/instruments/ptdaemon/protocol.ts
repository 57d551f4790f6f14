import { DeviceError } from '../../signal/errors.ts';
import type { ByteStream } from '../../transport/byte-stream.ts';
import { LineChannel } from '../../transport/lines.ts';
import type { TimeSource } from '../../transport/time.ts';
import { RequestQueue } from '../request-queue.ts';
import { ptdaemonGreeting, ptdaemonMaxSamples } from './spec.ts';

/** What `Identify` tells. Unknown is null. */
export interface PtdIdentity {
  /** The daemon's driver, e.g. `YokogawaWT310E`. */
  driver: string;
  interval_ms: number | null;
  /** Which quantities the analyzer gives. */
  watts: boolean;
  volts: boolean;
  amps: boolean;
  version: string | null;
  mode: 'power' | 'temperature' | null;
  /** From the analyzer's own identification: maker, model, serial number, firmware. */
  analyzer: { model: string; serial: string | null; firmware: string | null } | null;
}

/** `driver,interval,watts,volts,amps,pf,energy,freq,accepted,version=...,OS=...,mode=...,...,maker;model;serial;firmware` */
export function parseIdentify(line: string): PtdIdentity | null {
  const fields = line.split(',').map((field) => field.trim());
  const flags = fields.slice(2, 8);
  if (fields.length < 9 || !flags.every((flag) => flag === '0' || flag === '1')) return null;
  const after = (key: string) => fields.find((field) => field.startsWith(key))?.slice(key.length) ?? null;
  const mode = after('mode=');
  const interval_ms = Number(fields[1]);
  const idn = fields.findLast((field) => field.split(';').length >= 3 && !field.startsWith('version='))?.split(';');
  return {
    driver: fields[0]!,
    interval_ms: Number.isFinite(interval_ms) && fields[1] !== '' ? interval_ms : null,
    watts: flags[0] === '1',
    volts: flags[1] === '1',
    amps: flags[2] === '1',
    version: after('version=')?.split(';')[0] ?? null,
    mode: mode === 'power' || mode === 'temperature' ? mode : null,
    analyzer: idn
      ? { model: `${idn[0]} ${idn[1]}`.trim(), serial: idn[2]?.trim() || null, firmware: idn[3]?.trim() || null }
      : null,
  };
}

/** A range as `RR` tells it: set by the analyzer itself, fixed, or not known. */
export type PtdRange = number | 'auto' | null;

/** `Ranges,{Aauto},{A},{Vauto},{V}`; -1 is unknown, 0 off, 1 on. */
export function parseRanges(line: string): { amps: PtdRange; volts: PtdRange } | null {
  const [head, ...rest] = line.split(',').map((field) => field.trim());
  const numbers = rest.map(Number);
  if (head !== 'Ranges' || numbers.length < 4 || !numbers.slice(0, 4).every(Number.isFinite)) return null;
  const range = (auto: number, value: number): PtdRange => (auto === 1 ? 'auto' : value > 0 ? value : null);
  return { amps: range(numbers[0]!, numbers[1]!), volts: range(numbers[2]!, numbers[3]!) };
}

/** The daemon's sums over the measurement under way. */
export interface PtdUncertainty {
  /** Relative uncertainties; null while there are none. */
  mean: number | null;
  min: number | null;
  max: number | null;
  total: number;
  valid: number;
  unknown: number;
}

/** The largest relative uncertainty that a reply can mean; beyond it the fields hold their start values (1e7, -1). */
const MAX_UNCERTAINTY = 100;

/** `Uncertainty,avg,min,max,total,invalid,valid,unknown` */
export function parseUncertainty(line: string): PtdUncertainty | null {
  const [head, ...rest] = line.split(',').map((field) => field.trim());
  const numbers = rest.map(Number);
  if (head !== 'Uncertainty' || numbers.length < 7 || !numbers.slice(0, 7).every(Number.isFinite)) return null;
  const [mean, min, max, total, , valid, unknown] = numbers as [number, number, number, number, number, number, number];
  const known = (value: number) => (valid > 0 && value >= 0 && value < MAX_UNCERTAINTY ? value : null);
  return { mean: known(mean), min: known(min), max: known(max), total, valid, unknown };
}

/** Digits that the daemon prints of an uncertainty. */
const UNCERTAINTY_STEP = 1e-6;

/**
 * What the samples between two answers to `Uncertainty` have at most, as a relative uncertainty. Only sums are told: the
 * mean over n new samples is (mean2 n2 - mean1 n1)/n, which the rounding of the printed means makes uncertain by
 * (n1 + n2)/(2 n) 1e-6; that is added, and the largest of all samples is never exceeded. Null where a sample had none.
 */
export function newestUncertainty(before: PtdUncertainty | null, after: PtdUncertainty): number | null {
  const [n1, n2] = [before?.valid ?? 0, after.valid];
  const n = n2 - n1;
  if (n <= 0 || after.mean === null || after.max === null || after.unknown > (before?.unknown ?? 0)) return null;
  const mean = (after.mean * n2 - (before?.mean ?? 0) * n1) / n;
  const rounding = (UNCERTAINTY_STEP / 2) * ((n1 + n2) / n);
  return Math.min(after.max, Math.max(after.min ?? 0, mean + rounding));
}

/** A PTDaemon may take so long for an answer. */
const REPLY_MS = 1500;

/** Requests and answers, one after the other, over one connection (which is one session of the daemon). */
export class PtdClient {
  readonly #name: string;
  readonly #lines: LineChannel;
  /** The daemon's own refusals are answers like others. */
  readonly #queue = new RequestQueue((error) => !['device.refused', 'device.busy'].includes(error.code));

  constructor(stream: ByteStream, time: TimeSource) {
    this.#name = stream.name;
    this.#lines = new LineChannel(stream, { lineEnd: '\r\n', time });
  }

  /**
   * One request and its line of answer.
   * @throws DeviceError `device.refused` (or `device.busy`) with the daemon's own words, `device.silent`, `device.vanished`
   */
  ask(request: string): Promise<string> {
    return this.#queue.inOrder(async () => {
      await this.#lines.writeLine(request);
      const answer = await this.#lines.readLine(REPLY_MS);
      this.#check(request, answer);
      return answer;
    });
  }

  /**
   * The last `count` samples (or all), as lines.
   * @throws DeviceError also `device.protocol` where the answer is no list
   */
  lastSamples(count: number | null): Promise<string[]> {
    const request = count === null ? 'RL' : `RL,${count}`;
    return this.#queue.inOrder(async () => {
      await this.#lines.writeLine(request);
      const head = await this.#lines.readLine(REPLY_MS);
      if (/^No data/i.test(head)) return [];
      this.#check(request, head);
      const told = /^Last (\d+) samples?\b/i.exec(head);
      const n = told ? Number(told[1]) : Number.NaN;
      if (!(n <= ptdaemonMaxSamples)) throw this.#unexpected(request, head, '"Last N samples"');
      const lines: string[] = [];
      for (let i = 0; i < n; i++) lines.push(await this.#lines.readLine(REPLY_MS));
      return lines;
    });
  }

  /** @throws DeviceError `device.wrong` if it is no PTDaemon that answers */
  async hello(): Promise<void> {
    const answer = await this.#queue.inOrder(async () => {
      await this.#lines.writeLine('Hello');
      return this.#lines.readLine(REPLY_MS);
    });
    if (answer === ptdaemonGreeting) return;
    throw new DeviceError('device.wrong', {
      where: this.#name,
      problem: `expected "${ptdaemonGreeting}", found ${JSON.stringify(answer.slice(0, 60))}`,
      remedy: 'check host and port of the PTDaemon (8888, where it was not started with another one)',
    });
  }

  async identify(): Promise<PtdIdentity> {
    const answer = await this.ask('Identify');
    const identity = parseIdentify(answer);
    if (identity) return identity;
    throw this.#unexpected('Identify', answer, 'driver, interval and six flags');
  }

  async ranges(): Promise<{ amps: PtdRange; volts: PtdRange }> {
    const answer = await this.ask('RR');
    const ranges = parseRanges(answer);
    if (ranges) return ranges;
    throw this.#unexpected('RR', answer, 'Ranges and four numbers');
  }

  async setRange(quantity: 'V' | 'A', range: number | 'auto'): Promise<void> {
    const request = `SR,${quantity},${range === 'auto' ? 'Auto' : range}`;
    const answer = await this.ask(request);
    if (answer !== `Range ${quantity} changed`) throw this.#unexpected(request, answer, `"Range ${quantity} changed"`);
  }

  /** Starts a measurement that lasts until `stop`. */
  async go(interval_ms: number, rampUpSamples: number, mark: string | null): Promise<void> {
    const request = `Go,${interval_ms},${rampUpSamples}${mark === null ? '' : `,${mark}`}`;
    const answer = await this.ask(request);
    if (!/^Starting\b/.test(answer)) throw this.#unexpected(request, answer, '"Starting untimed measurement..."');
  }

  async stop(): Promise<void> {
    await this.ask('Stop');
  }

  async uncertainty(): Promise<{ line: string; uncertainty: PtdUncertainty | null }> {
    const line = await this.ask('Uncertainty');
    return { line, uncertainty: parseUncertainty(line) };
  }

  #check(request: string, answer: string): void {
    if (!/^(Error|Invalid|Meter busy|Null channel|Unknown command)/i.test(answer)) return;
    const isBusy = /^Meter busy/i.test(answer);
    throw new DeviceError(isBusy ? 'device.busy' : 'device.refused', {
      where: this.#name,
      problem: `PTDaemon answered "${answer}" to ${request}`,
      remedy: isBusy
        ? 'stop the measurement that another client runs, and start again'
        : 'compare the request with the ranges and the version of this PTDaemon',
    });
  }

  #unexpected(request: string, answer: string, expected: string): DeviceError {
    return new DeviceError('device.protocol', {
      where: this.#name,
      problem: `expected ${expected} after ${request}, found ${JSON.stringify(answer.slice(0, 80))}`,
      remedy: 'check the version of this PTDaemon; docs/instruments/ptdaemon.md lists those that are known',
    });
  }
}
