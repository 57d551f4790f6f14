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
import { lpm01aLimit_A, lpm01aPrompt, lpm01aRates_Hz, lpm01aTag } from './spec.ts';

export const lpm01aFaults: FaultCatalogue = {
  'drop-samples=': 'loses N samples; the time-stamps go on',
  'drop-bytes=': 'loses N bytes in the middle of the stream',
  nul: 'a NUL byte before a sample',
  'split-line': 'a line end in the middle of a sample',
  'merged-lines': 'the line end between two samples is missing',
  'text-after': 'text on the line of a sample, after it',
  'text-before': 'text on the line of a sample, before it',
  'merged-event': 'the next event stands on the line of a sample',
  rubbish: 'a line of rubbish between samples',
  'buffer=': 'time-stamps report a buffer that is N % full',
  'buffer-full': 'the buffer is full and the acquisition stops with an error',
  overcurrent: 'the current exceeds the limit: error, and the acquisition stops',
  'overcurrent-f4': 'as overcurrent, in binary with the F4 of the manual',
  'stop-by-itself': 'the acquisition ends without being asked',
  'lost-event': 'one event is not reported, though it is counted',
  stall: 'sends nothing any more and answers nothing',
  'no-samples': 'sends no samples any more, but obeys',
  unplug: 'closes the connection in the middle of a sample',
  'wrong-device': 'answers like another kind of device',
  'half-answer': 'the next answer is cut off',
  'status-error': 'status reports a latched error',
};

export interface Lpm01aEmulatorOptions extends EmulatorOptions {
  /** Default 1.0.6. Older ones know no `eventsrc` and reject `pwr off`. */
  firmware?: string;
  /** Spells as the manual does: `err`, `Timestamp:`, `currthre`. Default: as the firmware does. */
  manualSpelling?: boolean;
}

/** Samples are sent in bursts of at least this length. */
const BURST_MS = 10;
const STAMP_SAMPLES = 1000;
/** An energy sample is the sum of V*I over so many parts of its interval, at most. */
const PARTS = 100;
const SHORTEST_PART_S = 1e-5;
/** An edge time that should fall on a sample must not miss it by rounding. */
const EDGE_SLACK = 1e-6;
/** Bursts that wait for the host before the buffer is full. */
const QUEUE_BURSTS = 100;

/** An ST X-NUCLEO-LPM01A seen from its serial port. It encodes by itself; only the numbers of the protocol are shared. */
export class Lpm01aEmulator implements Emulator {
  readonly serial: string;
  readonly faultsDone: FaultDone[] = [];
  readonly #port: ByteStream;
  readonly #options: Lpm01aEmulatorOptions;
  readonly #sourceStart_ns: number;
  readonly #trigger: string | null;
  readonly #faults = new PendingFaults();
  readonly #firmware: readonly number[];

  #line = '';
  #hasHost = false;
  #rate_Hz = 100;
  #output: 'current' | 'energy' = 'current';
  #format: 'ascii_dec' | 'bin_hexa' = 'ascii_dec';
  #mode: 'dyn' | 'stat' = 'dyn';
  #voltage_V = 3.3;
  #power: 'auto' | 'on' | 'off' = 'auto';
  #duration_s = 10;
  #delay_s = 0.001;
  #triggerSource: 'sw' | 'd7' = 'sw';
  #hasEvents = false;

  #isStalled = false;
  #isAcquiring = false;
  #cancel: () => void = () => {};
  #start_ns = 0;
  #firstSample_s: number | null = null;
  #taken = 0;
  #events = 0;
  #buffer_pct = 0;
  #waiting = 0;
  /** Samples that the fault under way still has to lose. */
  #lossLeft = 0;

  /** `port` is the device's side of a connection. Input 0 is D7. */
  constructor(port: ByteStream, options: Lpm01aEmulatorOptions) {
    this.serial = checkEmulatorSerial(options.serial ?? 'SIM-LPM01A-0001');
    this.#port = port;
    this.#options = options;
    this.#sourceStart_ns = options.sourceStart_ns ?? options.time.now_ns();
    this.#trigger = options.inputs?.[0] ?? null;
    this.#firmware = (options.firmware ?? '1.0.6').split('.').map(Number);
    port.onData((bytes) => {
      for (const byte of bytes) this.#takeByte(byte);
    });
    port.closed.then(() => this.stop());
  }

  get firstSample_s(): number | null {
    return this.#firstSample_s;
  }

  inject(fault: string): void {
    const parsed = parseFault(fault, lpm01aFaults);
    if (parsed.name === 'stall') this.#isStalled = true;
    else if (parsed.name === 'buffer') this.#buffer_pct = parsed.value;
    else this.#faults.add(parsed);
  }

  stop(): void {
    this.#isAcquiring = false;
    this.#cancel();
  }

  #takeByte(byte: number): void {
    if (this.#isStalled) return;
    const character = String.fromCharCode(byte);
    if (character !== '\n' && character !== '\r') {
      this.#line += character;
      return;
    }
    const line = this.#line.trim();
    this.#line = '';
    if (line === '') return;
    const answer = this.#execute(line);
    if (answer !== null) this.#sendText(answer);
  }

  #send(bytes: Uint8Array): Promise<void> {
    return sendToHost(this.#port, bytes);
  }

  #sendText(text: string): void {
    if (this.#faults.take('half-answer')) this.#send(Buffer.from(text.slice(0, text.length / 2), 'latin1'));
    else this.#send(Buffer.from(text, 'latin1'));
  }

  /** An empty line before and behind, as clients of the board expect it to the byte. */
  #ack(text: string, ...values: string[]): string {
    return `\r\n${lpm01aPrompt}ack ${text}\r\n${values.map((value) => `${value}\r\n`).join('')}\r\n`;
  }

  #refuse(command: string, detail: string): string {
    const word = this.#options.manualSpelling ? 'err' : 'error';
    return `\r\n${lpm01aPrompt}${word} ${command}\r\nError detail: ${detail}\r\n`;
  }

  #isOlderThan(version: readonly number[]): boolean {
    for (let i = 0; i < 3; i++) if (this.#firmware[i] !== version[i]) return this.#firmware[i]! < version[i]!;
    return false;
  }

  /** Carries a command out. @returns its answer, or null where it has answered by itself */
  #execute(line: string): string | null {
    if (this.#faults.has('wrong-device')) return 'Micro-terminal v2 ready\r\n> ';
    const [command, ...argument] = line.toLowerCase().split(/\s+/) as [string, ...string[]];
    switch (command) {
      case 'help':
        return this.#ack('help', 'htc hrc volt freq acqtime acqmode output format start stop');
      case 'echo':
        return `\r\n${lpm01aPrompt}${line}\r\n`;
      case 'powershield':
        return this.#ack(`powershield ${this.serial}`);
      case 'version':
        return this.#ack(`version: ${this.#firmware.join('.')}`);
      case 'status':
        return this.#status();
      case 'htc':
        this.#hasHost = true;
        return this.#ack('htc');
      case 'stop':
        return this.#stopAcquisition(line);
      case 'targrst':
        return this.#ack(line);
    }
    if (command === 'pwr') return this.#switchPower(line, argument[0]);
    if (this.#isAcquiring) return this.#refuse(line, 'acquisition running');
    if (!this.#hasHost) return this.#refuse(line, 'host has no control');
    return this.#set(line, command, argument);
  }

  #status(): string {
    const status = this.#faults.take('status-error') ? 'error: buffer full' : 'ok';
    return this.#options.manualSpelling ? this.#ack('status', status) : this.#ack(`status ${status}`);
  }

  #set(line: string, command: string, argument: string[]): string {
    const value = numberOf(argument[0]);
    switch (command) {
      case 'hrc':
        this.#hasHost = false;
        return this.#ack(line);
      case 'psrst':
        this.#power = 'auto';
        return this.#ack(line);
      case 'lcd':
      case 'pwrend':
      case 'autotest':
      case 'calib':
        return this.#ack(line);
      case 'temp':
        return this.#ack(`${line} ${line.endsWith('degf') ? '77.0' : '25.0'}`);
      case 'funcmode':
        return argument[0] === 'optim' || argument[0] === 'high' ? this.#ack(line) : this.#refuse(line, 'bad value');
      case this.#options.manualSpelling ? 'currthre' : 'currthres':
        return value >= 0 && value <= 0.05 ? this.#ack(line) : this.#refuse(line, 'bad value');
      case 'range':
        return this.#ack('range', `0 ${lpm01aLimit_A[this.#mode]}`);
      case 'volt':
        return this.#setVoltage(line, argument[0], value);
      case 'freq':
        if (!lpm01aRates_Hz.some((rate) => rate === value)) return this.#refuse(line, 'bad value');
        this.#rate_Hz = value;
        return this.#ack(line);
      case 'acqtime':
        this.#duration_s = argument[0] === 'inf' || value === 0 ? Number.POSITIVE_INFINITY : value;
        return this.#ack(line);
      case 'acqmode':
        if (argument[0] !== 'dyn' && argument[0] !== 'stat') return this.#refuse(line, 'bad value');
        this.#mode = argument[0];
        return this.#ack(line);
      case 'output':
        if (argument[0] !== 'current' && argument[0] !== 'energy') return this.#refuse(line, 'bad value');
        this.#output = argument[0];
        return this.#ack(line);
      case 'format':
        if (argument[0] !== 'ascii_dec' && argument[0] !== 'bin_hexa') return this.#refuse(line, 'bad value');
        this.#format = argument[0];
        return this.#ack(line);
      case 'trigsrc':
        if (argument[0] !== 'sw' && argument[0] !== 'd7') return this.#refuse(line, 'bad value');
        this.#triggerSource = argument[0];
        return this.#ack(line);
      case 'trigdelay':
        this.#delay_s = value;
        return this.#ack(line);
      case 'eventsrc':
        if (this.#isOlderThan([1, 0, 6])) return this.#refuse(line, 'unknown command');
        this.#hasEvents = argument[1] === 'fal';
        return this.#ack(line);
      case 'start':
        return this.#startAcquisition(line);
      default:
        return this.#refuse(line, 'unknown command');
    }
  }

  #setVoltage(line: string, word: string | undefined, value: number): string {
    if (word === 'get') return this.#ack(`volt get ${encodeAscii(this.#voltage_V)}`);
    if (!(value >= 1.8 && value <= 3.3)) return this.#refuse(line, 'bad value');
    if (this.#power === 'on') return this.#refuse(line, 'target is powered');
    this.#voltage_V = value;
    return this.#ack(line);
  }

  #switchPower(line: string, word: string | undefined): string | null {
    if (this.#isOlderThan([1, 0, 2]) || (word === 'off' && this.#isOlderThan([1, 0, 6]))) {
      return this.#refuse(line, 'unknown command');
    }
    if (word === 'get') return this.#ack(`pwr get`, this.#power);
    if (word !== 'on' && word !== 'off' && word !== 'auto') return this.#refuse(line, 'bad value');
    this.#power = word;
    this.#options.onSupply?.(this.#isPowered ? this.#voltage_V : 0);
    if (!this.#isAcquiring || this.#format === 'ascii_dec') return this.#ack(line);
    this.#send(frame(lpm01aTag.power, word === 'on' ? 1 : 0));
    return null;
  }

  get #isPowered(): boolean {
    return this.#power === 'on' || (this.#power === 'auto' && this.#isAcquiring);
  }

  #startAcquisition(line: string): string {
    const { time, source } = this.#options;
    const begin = (start_ns: number) => {
      this.#isAcquiring = true;
      this.#start_ns = start_ns;
      this.#firstSample_s = (start_ns - this.#sourceStart_ns) / 1e9;
      this.#taken = 0;
      if (this.#power === 'auto') this.#options.onSupply?.(this.#voltage_V);
      this.#send(this.#stamp());
      this.#schedule();
    };
    this.#isAcquiring = true;
    if (this.#triggerSource === 'sw') {
      this.#cancel = time.after(this.#delay_s * 1000, () => begin(time.now_ns()));
      return this.#ack(line);
    }
    const poll = (from_ns: number) => {
      this.#cancel = time.after(BURST_MS, () => {
        const to_ns = time.now_ns();
        const at = (ns: number) => (ns - this.#sourceStart_ns) / 1e9;
        const edge = source.edgesBetween(at(from_ns), at(to_ns)).find(({ channel }) => channel === this.#trigger);
        if (edge) begin(Math.round(edge.time_s * 1e9) + this.#sourceStart_ns + this.#delay_s * 1e9);
        else poll(to_ns);
      });
    };
    poll(time.now_ns());
    return this.#ack(line);
  }

  #schedule(): void {
    const burst = Math.max(1, Math.round((this.#rate_Hz * BURST_MS) / 1000));
    const due_ns = this.#start_ns + ((this.#taken + burst) / this.#rate_Hz) * 1e9;
    this.#cancel = callAt(this.#options.time, due_ns, () => {
      if (!this.#isAcquiring || this.#isStalled || this.#faults.take('no-samples')) return;
      this.#sendBurst(burst);
      if (!this.#isAcquiring) return;
      if (this.#taken / this.#rate_Hz >= this.#duration_s || this.#faults.take('stop-by-itself')) this.#finish();
      else this.#schedule();
    });
  }

  #sendBurst(n: number): void {
    const values = this.#measure(n);
    const edges = this.#fallingEdges(n);
    const parts: Uint8Array[] = [];
    for (let i = 0; i < n; i++) {
      while (edges.length > 0 && edges[0]! <= i) {
        edges.shift();
        this.#pushEvent(parts);
      }
      if (values[i] === null || this.#faults.take('overcurrent')) {
        this.#send(Buffer.concat(parts));
        this.#trip();
        return;
      }
      this.#pushSample(parts, values[i]!);
      this.#taken++;
      if (this.#taken % STAMP_SAMPLES === 0) parts.push(this.#stamp());
    }
    if (this.#faults.take('overcurrent-f4')) {
      this.#send(Buffer.concat(parts));
      this.#trip(lpm01aTag.end);
      return;
    }
    this.#sendCounted(Buffer.concat(parts));
  }

  #sendCounted(bytes: Uint8Array): void {
    if (this.#waiting >= QUEUE_BURSTS || this.#faults.take('buffer-full')) {
      this.#reportError('buffer full');
      this.#finish();
      return;
    }
    if (this.#faults.take('unplug')) {
      this.faultsDone.push({ fault: 'unplug', sample: this.#taken });
      this.#send(Buffer.concat([bytes, Uint8Array.of(0x33)])).then(() => this.#port.close());
      return;
    }
    this.#waiting++;
    this.#send(bytes).finally(() => {
      this.#waiting--;
    });
  }

  /** The next `n` values in A or J; null for one beyond the limit. */
  #measure(n: number): (number | null)[] {
    const period_s = 1 / this.#rate_Hz;
    const parts = this.#output === 'energy' ? Math.max(1, Math.min(PARTS, Math.round(period_s / SHORTEST_PART_S))) : 1;
    const [current, voltage] = [new Float64Array(n * parts), new Float64Array(n * parts)];
    const t0_s = this.#firstSample_s! + this.#taken * period_s;
    this.#options.source.fillMeans(t0_s, period_s / parts, n * parts, current, voltage);
    return Array.from({ length: n }, (_, i) => {
      if (!this.#isPowered) return 0;
      let [charge, energy] = [0, 0];
      for (let k = i * parts; k < (i + 1) * parts; k++) {
        charge += current[k]!;
        energy += current[k]! * voltage[k]!;
      }
      if (charge / parts > lpm01aLimit_A[this.#mode]) return null;
      return this.#output === 'energy' ? (energy / parts) * period_s : charge / parts;
    });
  }

  /** Before which of the next `n` samples an event is reported, ascending. */
  #fallingEdges(n: number): number[] {
    if (!this.#hasEvents || this.#trigger === null) return [];
    const t0_s = this.#firstSample_s! + this.#taken / this.#rate_Hz;
    return this.#options.source
      .edgesBetween(t0_s, t0_s + n / this.#rate_Hz)
      .filter((edge) => edge.channel === this.#trigger && edge.polarity === 'fall')
      .map((edge) => Math.floor((edge.time_s - t0_s) * this.#rate_Hz + EDGE_SLACK));
  }

  #pushEvent(parts: Uint8Array[]): void {
    const text = `event ${String(this.#events++).padStart(2, '0')} ris`;
    if (this.#faults.take('lost-event')) return;
    if (this.#format === 'bin_hexa') {
      parts.push(frame(lpm01aTag.info, ...Buffer.from(`${text}\r\n`, 'latin1')));
    } else if (this.#faults.take('merged-event')) {
      this.#done('merged-event');
      parts.push(Buffer.from(text, 'latin1'));
    } else parts.push(Buffer.from(`${text}\r\n`, 'latin1'));
  }

  #done(fault: string): void {
    this.faultsDone.push({ fault, sample: this.#taken });
  }

  #pushSample(parts: Uint8Array[], value: number): void {
    const drop = this.#faults.take('drop-samples');
    if (drop) {
      this.#done(`drop-samples=${drop.value}`);
      this.#lossLeft = drop.value;
    }
    if (this.#lossLeft > 0) {
      this.#lossLeft--;
      return;
    }
    const bytes =
      this.#format === 'bin_hexa' ? encodeBinary(value) : Buffer.from(`${encodeAscii(value)}\r\n`, 'latin1');
    const dropBytes = this.#faults.take('drop-bytes');
    if (dropBytes) {
      this.#done(`drop-bytes=${dropBytes.value}`);
      parts.push(bytes.subarray(Math.min(bytes.length, dropBytes.value)));
    } else parts.push(this.#format === 'ascii_dec' ? this.#damageLine(bytes) : bytes);
  }

  /** One ASCII sample with the next of the faults that change a line. */
  #damageLine(line: Uint8Array): Uint8Array {
    const text = Buffer.from(line).toString('latin1').trimEnd();
    const damaged: Record<string, string> = {
      nul: `\0${text}\r\n`,
      'split-line': `${text.slice(0, 3)}\r\n${text.slice(3)}\r\n`,
      'merged-lines': text,
      'text-after': `${text} buff\r\n`,
      'text-before': `ack${text}\r\n`,
      rubbish: `\x13#~!\r\n${text}\r\n`,
    };
    for (const [fault, replacement] of Object.entries(damaged)) {
      if (!this.#faults.take(fault)) continue;
      this.#done(fault);
      return Buffer.from(replacement, 'latin1');
    }
    return line;
  }

  #stamp(): Uint8Array {
    const ms = Math.round((this.#taken / this.#rate_Hz) * 1000);
    if (this.#format === 'bin_hexa') {
      return frame(
        lpm01aTag.timestamp,
        (ms >>> 24) & 0x7f,
        (ms >>> 16) & 255,
        (ms >>> 8) & 255,
        ms & 255,
        this.#buffer_pct,
      );
    }
    const word = this.#options.manualSpelling ? 'Timestamp' : 'TimeStamp';
    const pad = (value: number) => String(value).padStart(3, '0');
    const buffer = String(this.#buffer_pct).padStart(2, '0');
    const text = `\r\n${word}: ${pad(Math.floor(ms / 1000))}s ${pad(ms % 1000)}ms, buff ${buffer}%\r\n`;
    return Buffer.from(text, 'latin1');
  }

  #reportError(text: string): void {
    if (this.#format === 'bin_hexa') this.#send(frame(lpm01aTag.error, ...Buffer.from(`${text}\r\n`, 'latin1')));
    else this.#sendText(`\r\nerror ${text}\r\n`);
  }

  /** An overcurrent: the supply is cut, and the acquisition stops. */
  #trip(tag: number = lpm01aTag.overcurrent): void {
    this.#power = 'off';
    this.#options.onSupply?.(0);
    if (this.#format === 'bin_hexa') this.#send(frame(tag));
    else this.#reportError('overcurrent');
    this.#finish();
  }

  #stopAcquisition(line: string): string | null {
    if (!this.#isAcquiring) return this.#refuse(line, 'no acquisition');
    if (this.#format === 'ascii_dec') this.#sendText(this.#ack(line));
    this.#finish();
    return null;
  }

  #finish(): void {
    this.stop();
    if (this.#power === 'auto') this.#options.onSupply?.(0);
    if (this.#format === 'bin_hexa') this.#send(frame(lpm01aTag.end));
    else this.#sendText('\r\nend\r\n\r\nsummary beg\r\nmin 0000-00\r\nmax 0000-00\r\nsummary end\r\n');
    this.#sendText(`\r\n${lpm01aPrompt}Acquisition completed\r\n`);
  }
}

/** `F0 tag payload FF FF`. */
const frame = (tag: number, ...payload: number[]): Uint8Array => Uint8Array.of(0xf0, tag, ...payload, 0xff, 0xff);

/** A number as the board takes it: plain, with u, m or k, or in the power form `2-3`; NaN for anything else. */
function numberOf(word: string | undefined): number {
  const match = /^(\d+(?:\.\d+)?)(?:([umk])|([+-]\d{1,2}))?$/.exec(word ?? '');
  if (!match) return Number.NaN;
  const exponent = match[3] ? Number(match[3]) : { u: -6, m: -3, k: 3, '': 0 }[match[2] ?? '']!;
  return Number(`${match[1]}e${exponent}`);
}

/** `6409-07`: the value to 4 digits. */
function encodeAscii(value: number): string {
  if (value === 0) return '0000-10';
  const [mantissa, exponent] = value.toExponential(3).split('e') as [string, string];
  const power = Number(exponent) - 3;
  return `${mantissa.replace('.', '')}${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
}

/** 12 bits of mantissa and a power of 16, as fine as it goes. */
function encodeBinary(value: number): Uint8Array {
  let power = 14;
  while (power > 0 && Math.round(value * 16 ** power) > 0xfff) power--;
  const mantissa = Math.min(0xfff, Math.round(value * 16 ** power));
  return Uint8Array.of((power << 4) | (mantissa >> 8), mantissa & 0xff);
}
