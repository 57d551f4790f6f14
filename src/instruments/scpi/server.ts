import type { SignalSource } from '../../signal/signal-source.ts';
import type { ByteStream } from '../../transport/byte-stream.ts';
import type { TimeSource } from '../../transport/time.ts';
import {
  checkEmulatorSerial,
  type Emulator,
  type EmulatorOptions,
  type FaultCatalogue,
  type FaultDone,
  parseFault,
} from '../emulator.ts';
import { PendingFaults, sendToHost } from '../emulator-parts.ts';

/** What a command does: an answer, or none. */
export type ScpiHandler = (args: string[]) => string | Uint8Array | null | Promise<string | Uint8Array | null>;

/** Headers as manuals write them (`SENSe:ELOG:PERiod?`) and what they do. */
export type ScpiCommands = Readonly<Record<string, ScpiHandler>>;

/** Faults that any SCPI server can have. */
export const serverFaults = {
  'wrong-device': 'is another instrument',
  stall: 'answers nothing any more',
  unplug: 'closes the connection',
  'half-answer': 'the next answer breaks off in the middle',
  rubbish: 'the next answer is rubbish',
  'long-block': 'the next answer announces a block that cannot be',
  'refuse-setting': 'the next command leaves an error in the queue',
  'stale-errors': 'its error queue holds errors of an earlier session',
} satisfies FaultCatalogue;

/** `SENSe` is SENS or SENSE, in any case. */
function matcher(header: string): RegExp {
  const keyword = (word: string) => {
    const [, short = '', rest = '', tail = ''] = /^(\*?[A-Z0-9]+)([a-z]*)(\d*\??)$/.exec(word) ?? [];
    const escaped = short.replace('*', '\\*');
    return `${escaped}${rest === '' ? '' : `(?:${rest})?`}${tail.replace('?', '\\?')}`;
  };
  return new RegExp(`^:?${header.split(':').map(keyword).join(':')}$`, 'i');
}

/** The instrument's side of a SCPI connection: headers in short and long form, `;`, an error queue, blocks. */
export abstract class ScpiServer implements Emulator {
  readonly serial: string;
  readonly faultsDone: FaultDone[] = [];
  readonly #stream: ByteStream;
  readonly #catalogue: FaultCatalogue;
  readonly #idn: string;
  readonly #faults = new PendingFaults();
  readonly #requests: string[] = [];
  readonly #errors: string[] = [];
  readonly #matchers: { header: RegExp; run: ScpiHandler }[] = [];
  #received = '';
  #work: Promise<void> = Promise.resolve();
  #isStalled = false;
  protected readonly source: SignalSource;
  protected readonly time: TimeSource;
  protected readonly sourceStart_ns: number;
  protected readonly options: EmulatorOptions;
  protected firstSample: number | null = null;

  constructor(
    stream: ByteStream,
    options: EmulatorOptions,
    kind: { maker: string; model: string; firmware: string; serial: string; faults: FaultCatalogue; noError: string },
  ) {
    this.serial = checkEmulatorSerial(options.serial ?? kind.serial);
    this.#stream = stream;
    this.#catalogue = kind.faults;
    this.#idn = `${kind.maker},${kind.model},${this.serial},${kind.firmware}`;
    this.options = options;
    this.source = options.source;
    this.time = options.time;
    this.sourceStart_ns = options.sourceStart_ns ?? options.time.now_ns();
    this.#add('*IDN?', () => (this.has('wrong-device') ? 'ACME,Toaster 3000,0,1.0' : this.#idn));
    this.#add('*CLS', () => {
      this.#errors.length = 0;
      return null;
    });
    for (const header of ['SYSTem:ERRor?', 'STATus:ERRor?'])
      this.#add(header, () => this.#errors.shift() ?? kind.noError);
    stream.onData((bytes) => this.#receive(bytes));
    stream.closed.then(() => this.stop());
  }

  get firstSample_s(): number | null {
    return this.firstSample;
  }

  /** Everything that was sent to it, in order. */
  get requests(): readonly string[] {
    return this.#requests;
  }

  inject(fault: string): void {
    const parsed = parseFault(fault, this.#catalogue);
    if (parsed.name === 'stall') this.#isStalled = true;
    else if (parsed.name === 'unplug') this.#stream.close();
    else if (parsed.name === 'stale-errors') this.#errors.push('-113,"Undefined header"', '-222,"Data out of range"');
    else this.#faults.add(parsed);
  }

  abstract stop(): void;

  /** Commands of the model; to be called by its constructor. */
  protected serve(commands: ScpiCommands): void {
    for (const [header, run] of Object.entries(commands)) this.#add(header, run);
  }

  protected error(code: number, text: string): null {
    this.#errors.push(`${code},"${text}"`);
    return null;
  }

  protected has(name: string): boolean {
    return this.#faults.has(name);
  }

  protected takeFault(name: string): { value: number } | null {
    return this.#faults.take(name);
  }

  /** Source time of a moment, in s. */
  protected sourceTime_s(now_ns: number): number {
    return (now_ns - this.sourceStart_ns) / 1e9;
  }

  #add(header: string, run: ScpiHandler): void {
    this.#matchers.push({ header: matcher(header), run });
  }

  #receive(bytes: Uint8Array): void {
    this.#received += Buffer.from(bytes).toString('latin1');
    const lines = this.#received.split('\n');
    this.#received = lines.pop()!;
    for (const line of lines) {
      this.#work = this.#work.then(() => this.#message(line.replace(/\r$/, '')));
    }
  }

  async #message(line: string): Promise<void> {
    if (this.#isStalled) return;
    this.#requests.push(line);
    const answers: Uint8Array[] = [];
    for (const part of line.split(';')) {
      const answer = await this.#execute(part.trim());
      if (answer !== null) answers.push(typeof answer === 'string' ? Buffer.from(answer, 'latin1') : answer);
    }
    if (answers.length === 0 || this.#isStalled) return;
    const joined = answers.flatMap((answer, k) => (k === 0 ? [answer] : [Buffer.from(';'), answer]));
    await sendToHost(this.#stream, this.#damage(Buffer.concat([...joined, Buffer.from('\n')])));
  }

  async #execute(text: string): Promise<string | Uint8Array | null> {
    if (text === '') return null;
    if (!text.includes('?') && this.takeFault('refuse-setting')) return this.error(-222, 'Data out of range');
    const space = text.search(/\s/);
    const header = space < 0 ? text : text.slice(0, space);
    const args =
      space < 0
        ? []
        : text
            .slice(space + 1)
            .split(',')
            .map((arg) => arg.trim());
    const found = this.#matchers.find((candidate) => candidate.header.test(header));
    return found ? found.run(args) : this.error(-113, 'Undefined header');
  }

  #damage(answer: Uint8Array): Uint8Array {
    if (this.takeFault('half-answer')) return answer.subarray(0, Math.floor(answer.length / 2));
    if (this.takeFault('rubbish')) return Buffer.from('\u0007\u00ff%, ,;#x\n', 'latin1');
    if (this.takeFault('long-block')) return Buffer.from('#9999999999');
    return answer;
  }
}

/** A definite-length block. */
export function block(bytes: Uint8Array): Uint8Array {
  const length = String(bytes.length);
  return Buffer.concat([Buffer.from(`#${length.length}${length}`), bytes]);
}
