import type { ByteStream } from '../../transport/byte-stream.ts';
import {
  checkEmulatorSerial,
  type Emulator,
  type EmulatorOptions,
  type FaultCatalogue,
  type FaultDone,
  parseFault,
} from '../emulator.ts';
import { callAt, PendingFaults, sendToHost } from '../emulator-parts.ts';
import { readingOver } from '../reading.ts';

export const ptdaemonFaults: FaultCatalogue = {
  'invalid-sample': 'the next sample is -1 throughout',
  'nan-sample': 'the next sample is nan',
  'miss-samples=': 'N samples are never taken; time goes on',
  'clock-step=': 'the clock of its host goes back by N s, as at the end of daylight saving time',
  'over-range': 'the current exceeds its range: samples are -1 and the log says so',
  'uncertainty-unknown': 'cannot tell the uncertainty of its samples',
  'no-uncertainty': 'is a version that does not know the command Uncertainty',
  'meter-busy': 'another client holds the analyzer',
  'refuse-range': 'the analyzer refuses ranges',
  'rubbish-line': 'a line of rubbish stands between the samples',
  'half-answer': 'stops in the middle of a line, for ever',
  'wrong-count': 'announces more samples than it sends',
  'no-samples': 'takes no samples any more, but answers',
  stall: 'answers nothing any more',
  unplug: 'closes the connection',
  'wrong-device': 'answers like another kind of server',
  temperature: 'is the daemon of a thermometer',
  'old-version': 'is PTDaemon 1.8.0',
};

/** The moment at which the emulator's own clock begins; invented. */
const START_UTC_MS = Date.UTC(2026, 0, 5, 9, 0, 0);
/** Power is summed over so many parts of an interval. */
const PARTS = 200;
/** Ranges of an invented analyzer. */
const VOLT_RANGES = [15, 30, 60, 150, 300, 600];
const AMP_RANGES = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20];
/** Readings go up to so much of a range. */
const OVER_RANGE = 1.3;

interface Range {
  auto: boolean;
  value: number;
}

/** The daemon's side of a connection to PTDaemon, with an invented analyzer behind it. */
export class PtdaemonEmulator implements Emulator {
  readonly serial: string;
  readonly faultsDone: FaultDone[] = [];
  readonly #stream: ByteStream;
  readonly #options: EmulatorOptions;
  readonly #made_ns: number;
  readonly #sourceStart_ns: number;
  readonly #faults = new PendingFaults();
  readonly #requests: string[] = [];

  #received = '';
  #amps: Range = { auto: false, value: 20 };
  #volts: Range = { auto: true, value: 300 };
  #mark: string | null = null;
  #measurement: { interval_ms: number; start_ns: number; taken: number; rampUp: number } | null = null;
  #lines: string[] = [];
  #watts: number[] = [];
  #uncertainties: number[] = [];
  #unknown = 0;
  #invalid = 0;
  #clockOffset_ms = 0;
  #isStalled = false;
  #isSilent = false;
  #firstSample_s: number | null = null;
  #cancel: () => void = () => {};

  /** `stream` is the daemon's side of a connection. */
  constructor(stream: ByteStream, options: EmulatorOptions) {
    this.serial = checkEmulatorSerial(options.serial ?? 'SIM-PTD-0001');
    this.#stream = stream;
    this.#options = options;
    this.#made_ns = options.time.now_ns();
    this.#sourceStart_ns = options.sourceStart_ns ?? this.#made_ns;
    stream.onData((bytes) => this.#receive(bytes));
    stream.closed.then(() => this.stop());
  }

  get firstSample_s(): number | null {
    return this.#firstSample_s;
  }

  /** Everything that was asked, in order. */
  get requests(): readonly string[] {
    return this.#requests;
  }

  inject(fault: string): void {
    const parsed = parseFault(fault, ptdaemonFaults);
    if (parsed.name === 'stall') this.#isStalled = true;
    else if (parsed.name === 'no-samples') this.#isSilent = true;
    else if (parsed.name === 'unplug') this.#stream.close();
    else if (parsed.name === 'clock-step') this.#clockOffset_ms -= 1000 * parsed.value;
    else this.#faults.add(parsed);
  }

  stop(): void {
    this.#cancel();
    this.#measurement = null;
  }

  #receive(bytes: Uint8Array): void {
    if (this.#isStalled) return;
    this.#received += Buffer.from(bytes).toString('latin1');
    for (let end = this.#received.indexOf('\n'); end >= 0; end = this.#received.indexOf('\n')) {
      const line = this.#received.slice(0, end).replace(/\r$/, '');
      this.#received = this.#received.slice(end + 1);
      this.#requests.push(line);
      const answer = this.#answer(line);
      if (answer !== null) this.#send(`${answer}\r\n`);
    }
  }

  #send(text: string): void {
    sendToHost(this.#stream, new TextEncoder().encode(text));
  }

  /** The line of answer, or null for none. */
  #answer(request: string): string | null {
    if (this.#faults.has('wrong-device')) return '220 mail.example.org ESMTP ready';
    if (this.#faults.take('half-answer')) {
      this.#send('Last 3 sa');
      return null;
    }
    const [command = '', ...rest] = request.split(',');
    switch (command) {
      case 'Hello':
        return 'Hello, PTDaemon here!';
      case 'Identify':
        return this.#identity();
      case 'Reset':
        this.stop();
        return 'Analyzer reset';
      case 'RR':
        return `Ranges,${Number(this.#amps.auto)},${this.#amps.value},${Number(this.#volts.auto)},${this.#volts.value}`;
      case 'SR':
        return this.#setRange(rest);
      case 'Go':
        return this.#go(rest);
      case 'Mark':
        if (rest.length !== 1) return 'Invalid number of parameters';
        this.#mark = rest[0]!;
        return `Mark set to ${rest[0]}`;
      case 'Stop':
        if (!this.#measurement) return 'Error: no measurement to stop';
        this.stop();
        return 'Stopping untimed measurement';
      case 'Watts':
        return this.#wattsLine();
      case 'Uncertainty':
        return this.#faults.has('no-uncertainty') ? 'Unknown command' : this.#uncertaintyLine();
      case 'RL':
        return this.#lastLines(rest);
      default:
        return 'Unknown command';
    }
  }

  #identity(): string {
    const version = this.#faults.has('old-version') ? '1.8.0-00000000-20160101' : '1.11.1-00000000-20240101';
    const mode = this.#faults.has('temperature') ? 'temperature' : 'power';
    return (
      `EmulatedWT310,1000,1,1,1,1,0,1,1,version=${version},OS=Linux 6.1,mode=${mode},` +
      `1,1,1,0,0,no_cal_date,JOULEMARK;WT310 emulation;${this.serial};F1.04`
    );
  }

  #setRange(parameters: string[]): string {
    const [quantity, raw] = parameters;
    if (parameters.length < 2 || (quantity !== 'V' && quantity !== 'A')) return 'Invalid number of parameters';
    if (this.#faults.has('meter-busy')) return 'Meter busy';
    if (this.#faults.has('refuse-range')) return 'Invalid range';
    const range = quantity === 'V' ? this.#volts : this.#amps;
    if (/^auto$/i.test(raw!)) range.auto = true;
    else {
      const wanted = Number(raw);
      const fitting = (quantity === 'V' ? VOLT_RANGES : AMP_RANGES).find((each) => each * OVER_RANGE >= wanted);
      if (!(wanted > 0) || fitting === undefined) return 'Error setting range';
      range.auto = false;
      range.value = fitting;
    }
    return `Range ${quantity} changed`;
  }

  #go(parameters: string[]): string {
    const [interval_ms, rampUp] = parameters.map(Number) as [number, number];
    if (parameters.length < 2 || !(interval_ms >= 50) || !(rampUp >= 0)) return 'Invalid number of parameters';
    if (this.#measurement) return 'Error: measurement in progress';
    this.#mark = parameters[2] ?? this.#mark;
    this.#lines = [];
    this.#watts = [];
    this.#uncertainties = [];
    this.#unknown = 0;
    this.#invalid = 0;
    this.#measurement = { interval_ms, start_ns: this.#options.time.now_ns(), taken: 0, rampUp };
    this.#firstSample_s = (this.#measurement.start_ns - this.#sourceStart_ns) / 1e9 + (rampUp * interval_ms) / 1000;
    this.#schedule();
    return `Starting untimed measurement, maximum 500000 samples at ${interval_ms}ms with ${rampUp} rampup samples`;
  }

  #schedule(): void {
    const measurement = this.#measurement!;
    const due_ns = measurement.start_ns + (measurement.taken + 1) * measurement.interval_ms * 1e6;
    this.#cancel = callAt(this.#options.time, due_ns, () => {
      if (this.#measurement !== measurement) return;
      const missed = this.#faults.take('miss-samples');
      if (missed) {
        this.faultsDone.push({ fault: `miss-samples=${missed.value}`, sample: measurement.taken - measurement.rampUp });
        measurement.taken += missed.value;
      } else {
        if (!this.#isSilent) this.#sample();
        measurement.taken++;
      }
      this.#schedule();
    });
  }

  #sample(): void {
    const { interval_ms, start_ns, taken, rampUp } = this.#measurement!;
    if (taken < rampUp) return;
    const t0_s = (start_ns - this.#sourceStart_ns) / 1e9 + (taken * interval_ms) / 1000;
    const { watts, volts, amps } = readingOver(this.#options.source, t0_s, interval_ms / 1000, PARTS);
    const done = (fault: string) => this.faultsDone.push({ fault, sample: taken - rampUp });
    if (this.#faults.take('invalid-sample')) {
      done('invalid-sample');
      this.#log('-1.000000', '-1.000000', '-1.000000', '-1.000000');
      this.#invalid++;
    } else if (this.#faults.take('nan-sample')) {
      done('nan-sample');
      this.#log('nan', 'nan', 'nan', 'nan');
      this.#invalid++;
    } else if (this.#faults.take('over-range') || !this.#fits(this.#amps, amps, AMP_RANGES)) {
      this.#log('-1.000000', '-1.000000', '-1.000000', '-1.000000');
      this.#invalid++;
    } else {
      const factor = volts * amps === 0 ? 0 : watts / (volts * amps);
      this.#watts.push(watts);
      this.#log(watts.toFixed(6), volts.toFixed(6), amps.toFixed(6), factor.toFixed(6));
      if (this.#faults.has('uncertainty-unknown')) this.#unknown++;
      else this.#uncertainties.push(this.uncertaintyOf(watts));
    }
    if (this.#faults.take('rubbish-line')) this.#lines.push('\u0007\u0000%%, Time,,Watts,');
  }

  /** The relative uncertainty that this invented analyzer states of a reading. */
  uncertaintyOf(watts: number): number {
    return 0.001 + 0.0005 / (1 + Math.abs(watts));
  }

  #fits(range: Range, reading: number, ranges: readonly number[]): boolean {
    if (range.auto) range.value = ranges.find((each) => each * OVER_RANGE >= reading) ?? ranges.at(-1)!;
    return reading <= range.value * OVER_RANGE;
  }

  #log(watts: string, volts: string, amps: string, factor: string): void {
    const { interval_ms, start_ns, taken } = this.#measurement!;
    const end_ms = START_UTC_MS + (start_ns - this.#made_ns) / 1e6 + (taken + 1) * interval_ms + this.#clockOffset_ms;
    const end = new Date(Math.round(end_ms));
    const two = (value: number, digits = 2) => String(value).padStart(digits, '0');
    const date = `${two(end.getUTCMonth() + 1)}-${two(end.getUTCDate())}-${end.getUTCFullYear()}`;
    const hour = `${two(end.getUTCHours())}:${two(end.getUTCMinutes())}:${two(end.getUTCSeconds())}`;
    const time = `${date} ${hour}.${two(end.getUTCMilliseconds(), 3)}`;
    const mark = this.#mark === null ? '' : `,Mark,${this.#mark}`;
    this.#lines.push(`Time,${time},Watts,${watts},Volts,${volts},Amps,${amps},PF,${factor}${mark}`);
  }

  #wattsLine(): string {
    const n = this.#watts.length;
    if (n === 0) return 'No data';
    const mean = this.#watts.reduce((sum, watts) => sum + watts, 0) / n;
    const figures = [this.#watts.at(-1)!, mean, Math.min(...this.#watts), Math.max(...this.#watts)];
    return `Watts,${figures.map((figure) => figure.toFixed(6)).join(',')},${n},${this.#invalid},${n - this.#invalid}`;
  }

  #uncertaintyLine(): string {
    const known = this.#uncertainties;
    const total = known.length + this.#unknown + this.#invalid;
    if (known.length === 0) return `Uncertainty,-1.0,10000000.0,0.0,${total},${this.#invalid},0,${this.#unknown}`;
    const mean = known.reduce((sum, each) => sum + each, 0) / known.length;
    const figures = [mean, Math.min(...known), Math.max(...known)].map((figure) => figure.toFixed(6)).join(',');
    return `Uncertainty,${figures},${total},${this.#invalid},${known.length},${this.#unknown}`;
  }

  #lastLines(parameters: string[]): string {
    if (parameters.length > 2) return 'Invalid number of parameters';
    const count = parameters[0] === undefined || parameters[0] === '*' ? this.#lines.length : Number(parameters[0]);
    if (!(count >= 0)) return 'Invalid number of parameters';
    const lines = count === 0 ? [] : this.#lines.slice(-count);
    if (lines.length === 0) return 'No data';
    const told = lines.length + (this.#faults.take('wrong-count') ? 1 : 0);
    return [`Last ${told} samples`, ...lines].join('\r\n');
  }
}
