import type { Random } from '../../plant/random.ts';
import { mSequence } from '../../signal/m-sequence.ts';
import type { Polarity } from '../../signal/types.ts';
import type { ByteStream } from '../../transport/byte-stream.ts';
import { realTime, type TimeSource } from '../../transport/time.ts';
import { virtualCurrents_A } from '../virtual/benchmarks.ts';

/** What an emulated DUT computes. */
export interface EmulatedNetwork {
  /** Benchmark id that it prints. */
  model: string;
  inputBytes: number;
  /** Duration of one inference. */
  inference_s: number;
  /** Shares of an inference's time, each with its current. */
  phases: readonly { share: number; current_A: number }[];
  /** The fields of `m-results`, as printed. */
  answer(input: Uint8Array): string[];
}

/** Something that goes wrong. `at` is the word that begins a command; `boot` is the boot. */
export type DutFault =
  | { kind: 'silent' } // it never says anything
  | { kind: 'slow'; delay_s: number } // each answer comes late
  | { kind: 'echo' } // it sends back what it receives
  | { kind: 'boot-noise'; bytes: number } // rubbish before the boot text
  | { kind: 'pieces'; bytes: number } // output leaves in pieces of so many bytes
  | { kind: 'garble'; probability: number } // a byte of the output is changed, lost or doubled
  | { kind: 'lost-line-end'; probability: number } // CR LF is lost
  /** `times`: how often it happens before the DUT recovers; absent = always. `text` of an error. */
  | {
      kind: 'error' | 'half-line' | 'no-ready' | 'reboot' | 'vanish' | 'mute' | 'stray-ready' | 'lost-bytes';
      at: string;
      times?: number;
      text?: string;
    };

/**
 * Takes what the DUT does outside its port: its current and its trigger line. Times are in s since the DUT was made; they may
 * lie ahead, until `cancelAfter` takes back what was said for later.
 */
export interface DutOutside {
  /** The current has this level from `at_s` on. */
  level(at_s: number, current_A: number): void;
  edge(at_s: number, polarity: Polarity): void;
  cancelAfter(at_s: number): void;
  /** The inferences between two timestamps are decided. */
  window(window: EmulatedWindow): void;
}

export interface DutEmulatorOptions {
  network: EmulatedNetwork;
  mode: 'energy' | 'performance';
  /** As `name%` tells; the emulator puts `SIMULATED` in front. */
  name?: string;
  time?: TimeSource;
  /** 8N1; null = characters take no time. */
  baud?: number | null;
  /** From power-on to the boot text. */
  boot_s?: number;
  /** How long the trigger line stays low in energy mode. */
  pulse_s?: number;
  outside?: DutOutside;
  /** Called after `start` and before `stop`, between which a streaming DUT listens, with its own time in s. */
  onListen?: (isListening: boolean, time_s: number) => void;
  /** Called for each edge of its trigger line, with its own time in s; it may lie ahead. */
  onEdge?: (polarity: Polarity, time_s: number) => void;
  faults?: readonly DutFault[];
  /** For the faults that draw. */
  random?: Random;
}

/** Stretch between two timestamps of an `infer`, on the emulator's own time. */
export interface EmulatedWindow {
  start_s: number;
  end_s: number;
  inferences: number;
}

const keptCharacters = 80;
const bufferBytes = 27_648;
const firmware = 'ULPMark for tinyML Firmware V0.0.1';
/** Waiting for less than this costs more than it takes. */
const shortestWait_s = 1e-3;

const helpLines = [
  firmware,
  '',
  'help         : Print this information',
  'name         : Print the name of the device',
  'timestsamp   : Generate a timetsamp',
  'db SUBCMD    : Manipulate a generic byte buffer',
  '  load N     : Allocate N bytes and set load counter',
  '  db HH[HH]* : Load 8-bit hex byte(s) until N bytes',
  '  print [N=16] [offset=0]',
  '             : Print N bytes at offset as hex',
  'infer N [W=0]: Load input, execute N inferences after W warmup loops',
  'results      : Return the result fp32 vector',
];

/** As atoi() of C reads it: 0 where there is no number. */
function integerOf(text: string): number {
  return Number.parseInt(text, 10) || 0;
}

/** Thrown inside the emulator to leave a command where it stands. */
class Interrupted extends Error {}

/**
 * A device under test, from its side of the wire, with the firmware's own quirks: `%` ends a command, 80 characters are kept,
 * commands before the end of its boot are ignored, `infer` without W warms up ten times. It simulates a network, not a processor.
 */
export class DutEmulator {
  /** The windows between the timestamps of each `infer` so far. */
  readonly windows: EmulatedWindow[] = [];
  /** The last input that arrived whole. */
  input = new Uint8Array();
  /** How often it booted. */
  boots = 0;
  /** Its time 0 on the clock of `time`. */
  readonly start_ns: number;

  readonly #stream: ByteStream;
  readonly #options: DutEmulatorOptions;
  readonly #time: TimeSource;
  readonly #outside: DutOutside | null;
  readonly #secondsPerCharacter: number;
  readonly #removeListener: () => void;
  readonly #timesLeft = new Map<DutFault, number>();
  /** Its own time up to which everything is decided. */
  #cursor_s = 0;
  #isOn = true;
  #isBusy = false;
  #isListening = false;
  #isStopped = false;
  #command = '';
  #commands: { text: string; end_s: number }[] = [];
  /** Ends the wait for a command. */
  #wake: (() => void) | null = null;
  /** Ends the wait for a time. */
  #skip: (() => void) | null = null;
  #receivedUntil_s = 0;
  /** What `db` writes; a shorter input leaves the rest of an earlier one behind it. */
  #buffer = new Uint8Array(bufferBytes);
  /** Bytes that `db load` announced. */
  #size = 0;
  #filled = 0;
  #answer: string[] | null = null;
  #generation = 0;
  /** When it began to listen; null while it does not. */
  #listening_s: number | null = null;

  /** @param stream the device's side of the wire */
  constructor(stream: ByteStream, options: DutEmulatorOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#time = options.time ?? realTime;
    this.start_ns = this.#time.now_ns();
    this.#outside = options.outside ?? null;
    const baud = options.baud === undefined ? (options.mode === 'energy' ? 9600 : 115_200) : options.baud;
    this.#secondsPerCharacter = baud === null ? 0 : 10 / baud;
    for (const fault of options.faults ?? []) {
      this.#timesLeft.set(
        fault,
        'times' in fault && fault.times !== undefined ? fault.times : Number.POSITIVE_INFINITY,
      );
    }
    this.#removeListener = stream.onData((chunk) => this.#receive(chunk));
    void this.#live();
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  /** Up to here everything is decided: nothing that it says from now on lies earlier. */
  get settled_s(): number {
    const now_s = this.#now_s();
    if (!this.#isOn || this.#isStopped) return now_s;
    if (this.#isBusy) return Math.min(now_s, this.#cursor_s);
    return Math.min(now_s, this.#commands[0]?.end_s ?? now_s);
  }

  /** Takes power: it boots, wherever it was. */
  powerOn(): void {
    this.#isOn = true;
    this.#restart();
  }

  powerOff(): void {
    this.#isOn = false;
    this.#restart();
    this.#outside?.level(this.#cursor_s, 0);
  }

  stop(): void {
    this.#isStopped = true;
    this.#removeListener();
    this.#skip?.();
    this.#wake?.();
  }

  #now_s(): number {
    return (this.#time.now_ns() - this.start_ns) / 1e9;
  }

  async #live(): Promise<void> {
    for (let begun = -1; !this.#isStopped; ) {
      try {
        this.#isBusy = true;
        if (begun !== this.#generation) {
          begun = this.#generation;
          if (this.#isOn) await this.#boot();
        }
        const command = this.#commands.shift();
        if (command) {
          this.#cursor_s = Math.max(this.#cursor_s, command.end_s);
          await this.#execute(command.text);
        } else {
          this.#isBusy = false;
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      } catch (error) {
        if (!(error instanceof Interrupted)) throw error;
      }
    }
  }

  #restart(): void {
    this.#generation++;
    this.#isListening = false;
    this.#commands = [];
    this.#command = '';
    this.#outside?.cancelAfter(this.#now_s());
    this.#cursor_s = this.#now_s();
    this.#skip?.();
    this.#wake?.();
  }

  async #boot(): Promise<void> {
    this.boots++;
    this.#isListening = false;
    this.#buffer = new Uint8Array(bufferBytes);
    this.#size = 0;
    this.#filled = 0;
    this.#answer = null;
    await this.#spend(this.#options.boot_s ?? 0.1, virtualCurrents_A.boot);
    const noise = this.#faults('boot-noise')[0];
    if (noise)
      await this.#send(Uint8Array.from({ length: noise.bytes }, () => this.#options.random?.below(256) ?? 0xff));
    await this.#say(`m-timestamp-mode-${this.#options.mode}`);
    if (this.#options.mode === 'performance') await this.#say(`m-lap-us-${this.#counter_us()}`);
    else this.#pulse();
    await this.#say('m-init-done');
    this.#isListening = true;
    await this.#say('m-ready');
    this.#idle();
  }

  #receive(chunk: Uint8Array): void {
    if (this.#isStopped || !this.#isOn) return;
    if (this.#faults('echo').length > 0) void this.#stream.write(chunk).catch(() => {});
    for (const byte of chunk) {
      this.#receivedUntil_s = Math.max(this.#receivedUntil_s, this.#now_s()) + this.#secondsPerCharacter;
      if (!this.#isListening) continue;
      const character = String.fromCharCode(byte);
      if (character === '%') {
        this.#commands.push({ text: this.#command, end_s: this.#receivedUntil_s });
        this.#command = '';
        this.#wake?.();
      } else if (this.#command.length < keptCharacters) {
        this.#command += character;
      }
    }
  }

  async #execute(text: string): Promise<void> {
    const words = text.split(' ').filter((word) => word !== '');
    const word = words[0] ?? '';
    this.#outside?.level(this.#cursor_s, virtualCurrents_A.uartReply);
    for (const { delay_s } of this.#faults('slow')) await this.#spend(delay_s, virtualCurrents_A.idle);
    // `db load` is a step of its own; the blocks after it are another.
    const step = word === 'db' && words[1] !== undefined && /^(?:load|print)$/.test(words[1]) ? `db ${words[1]}` : word;
    if (this.#happens('mute', step)) return;
    if (this.#happens('vanish', step)) {
      this.stop();
      await this.#stream.close();
      throw new Interrupted();
    }
    if (this.#happens('reboot', step)) {
      if (word === 'infer') await this.#say('m-warmup-start-1');
      this.#restart();
      throw new Interrupted();
    }
    if (this.#happens('stray-ready', step)) await this.#say('m-ready');
    const error = this.#happens('error', step);
    if (error) await this.#say(`e-[${error.text ?? 'made up'}]`);
    else await this.#dispatch(word, words);
    if (this.#happens('half-line', step)) {
      await this.#send(Buffer.from('m-rea'));
      this.#isListening = false;
      throw new Interrupted();
    }
    if (!this.#happens('no-ready', step)) await this.#say('m-ready');
    this.#idle();
  }

  async #dispatch(word: string, words: string[]): Promise<void> {
    const { network } = this.#options;
    const isStreaming = network.inputBytes === 0;
    switch (word) {
      case 'name':
        return this.#say(`m-name-dut-[SIMULATED ${this.#options.name ?? 'device'}]`);
      case 'profile':
        await this.#say(`m-profile-[${firmware}]`);
        return this.#say(`m-model-[${network.model}]`);
      case 'timestamp':
        await this.#timestamp();
        return;
      case 'help':
        for (const line of helpLines) await this.#say(line);
        return;
      case 'results':
        return this.#results();
      case 'infer':
        return this.#infer(words);
      case 'db':
        return this.#db(words);
      case 'sync':
        return this.#sync(words);
      case 'start':
        if (!isStreaming) break;
        await this.#say('Listening for I2S data ... ');
        await this.#say('DMA receive initiated.');
        this.#listening_s = await this.#timestamp();
        this.#options.onListen?.(true, this.#listening_s);
        return;
      case 'stop':
        if (!isStreaming) break;
        await this.#stopListening();
        await this.#say('Streaming stopped.');
        await this.#say('target activations: ');
        // One made-up value: the MLCommons runner cannot read an empty list.
        return this.#say('[0]');
    }
    return this.#say(`e-[Unknown command: ${word}]`);
  }

  /** The coded pattern, as the firmware of firmware-hooks plays it: on the trigger line and as its current. */
  async #sync(words: string[]): Promise<void> {
    const [order, chip_us] = [Number(words[1]), Number(words[2])];
    if (![7, 9, 10, 11].includes(order)) return this.#say('e-[Sync order must be 7, 9, 10 or 11]');
    if (!(chip_us >= 100 && chip_us <= 1e6)) return this.#say('e-[Sync chips must last 100 to 1000000 us]');
    await this.#say(`m-sync-start-${order}-${chip_us}`);
    const idlesHigh = this.#options.mode === 'energy';
    let isHigh = idlesHigh;
    const set = (high: boolean) => {
      if (high === isHigh) return;
      isHigh = high;
      const polarity = high ? 'rise' : 'fall';
      this.#outside?.edge(this.#cursor_s, polarity);
      this.#options.onEdge?.(polarity, this.#cursor_s);
    };
    for (const chip of mSequence(order)) {
      set(chip === 1);
      this.#outside?.level(this.#cursor_s, chip === 1 ? virtualCurrents_A.syncLoad : virtualCurrents_A.idle);
      this.#cursor_s += chip_us / 1e6;
    }
    set(idlesHigh);
    this.#idle();
    await this.#reach(this.#cursor_s);
    await this.#say('m-sync-done');
  }

  /** The whole time from `start` to `stop` counts as one inference. */
  async #stopListening(): Promise<void> {
    this.#options.onListen?.(false, this.#cursor_s);
    const end_s = await this.#timestamp();
    if (this.#listening_s !== null) {
      const window = { start_s: this.#listening_s, end_s, inferences: 1 };
      this.windows.push(window);
      this.#outside?.window(window);
    }
    this.#listening_s = null;
  }

  async #db(words: string[]): Promise<void> {
    const [, what, size] = words;
    if (what === undefined) return this.#say("e-[Command 'db' requires a subcommand]");
    if (what === 'load') {
      if (size === undefined) return this.#say("e-[Command 'db load' requires the # of bytes]");
      const n = integerOf(size);
      if (n === 0) return this.#say("e-[Command 'db load' must be >0 bytes]");
      // A negative number is a large one to the firmware.
      this.#size = n < 0 ? Number.POSITIVE_INFINITY : n;
      this.#filled = 0;
      if (this.#size > bufferBytes) {
        return this.#send(Buffer.from(`Supplied buffer size ${n} exceeds maximum of ${bufferBytes}\n`));
      }
      return this.#say(`m-[Expecting ${n} bytes]`);
    }
    if (what === 'print') {
      const end = Math.min(this.#size, bufferBytes);
      for (let at = 0; at < end; at += 8) {
        const bytes = [...this.#buffer.subarray(at, Math.min(end, at + 8))];
        await this.#say(`m-buffer-${bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('-')}`);
      }
      if (end % 8 !== 0) await this.#say('');
      return;
    }
    if (what.length % 2 !== 0) return this.#say('e-[Insufficent number of hex digits]');
    const lost = this.#happens('lost-bytes', 'db');
    for (let at = 0; at < what.length - (lost ? 2 : 0); at += 2) {
      const digits = what.slice(at, at + 2);
      if (!/^[0-9a-fA-F]{2}$/.test(digits)) return this.#say(`e-[Invalid hex digit '${digits}']`);
      // The firmware writes on, over whatever lies there.
      if (this.#filled >= Math.min(this.#size, bufferBytes)) continue;
      this.#buffer[this.#filled++] = Number.parseInt(digits, 16);
      if (this.#filled === this.#size) {
        this.input = this.#loaded;
        await this.#say('m-load-done');
      }
    }
  }

  async #infer(words: string[]): Promise<void> {
    const { network } = this.#options;
    const inferences = words[1] === undefined ? 1 : integerOf(words[1]);
    const warmups = words[2] === undefined ? 10 : integerOf(words[2]);
    if (!(inferences > 0)) return this.#say('e-[Inference iterations must be >0]');
    if (!(warmups >= 0)) return this.#say('e-[Inference warmup must be >=0]');
    const input = this.#loaded;
    if (input.length !== network.inputBytes) {
      await this.#say(`Input db has ${input.length} elemented, expected ${network.inputBytes}`);
    }
    await this.#say(`m-warmup-start-${warmups}`);
    for (let k = 0; k < warmups; k++) this.#inference();
    await this.#reach(this.#cursor_s);
    await this.#say('m-warmup-done');
    await this.#say(`m-infer-start-${inferences}`);
    const start_s = await this.#timestamp();
    for (let k = 0; k < inferences; k++) this.#inference();
    const end_s = await this.#timestamp();
    const window = { start_s, end_s, inferences };
    this.windows.push(window);
    this.#outside?.window(window);
    this.#answer = network.answer(input);
    await this.#say('m-infer-done');
    await this.#results();
  }

  /** What has been downloaded so far. */
  get #loaded(): Uint8Array<ArrayBuffer> {
    return this.#buffer.slice(0, this.#filled);
  }

  #results(): Promise<void> {
    const answer = this.#answer ?? this.#options.network.answer(new Uint8Array());
    return this.#say(`m-results-[${answer.join(',')}]`);
  }

  /** Plans one inference at the cursor. */
  #inference(): void {
    const { phases, inference_s } = this.#options.network;
    const start_s = this.#cursor_s;
    let from_s = start_s;
    for (const { share, current_A } of phases) {
      this.#outside?.level(from_s, current_A);
      from_s += share * inference_s;
    }
    this.#cursor_s = start_s + inference_s;
  }

  /** @returns the time of the timestamp */
  async #timestamp(): Promise<number> {
    this.#cursor_s = Math.max(this.#cursor_s, this.#now_s());
    const at_s = this.#cursor_s;
    if (this.#options.mode === 'energy') this.#pulse();
    else await this.#say(`m-lap-us-${this.#counter_us()}`);
    await this.#reach(this.#cursor_s);
    return at_s;
  }

  #pulse(): void {
    const at_s = this.#cursor_s;
    const end_s = at_s + (this.#options.pulse_s ?? 50e-6);
    this.#outside?.edge(at_s, 'fall');
    this.#outside?.edge(end_s, 'rise');
    this.#options.onEdge?.('fall', at_s);
    this.#options.onEdge?.('rise', end_s);
    this.#cursor_s = end_s;
  }

  /** Its counter: microseconds in 32 bits. */
  #counter_us(): number {
    return Math.floor(this.#cursor_s * 1e6) % 2 ** 32;
  }

  #idle(): void {
    this.#outside?.level(this.#cursor_s, virtualCurrents_A.idle);
  }

  /** Draws `current_A` for a while. */
  async #spend(duration_s: number, current_A: number): Promise<void> {
    this.#cursor_s = Math.max(this.#cursor_s, this.#now_s());
    this.#outside?.level(this.#cursor_s, current_A);
    this.#cursor_s += duration_s;
    await this.#reach(this.#cursor_s);
  }

  /** Waits until its own time has come to `until_s`. */
  async #reach(until_s: number): Promise<void> {
    const generation = this.#generation;
    const wait_s = until_s - this.#now_s();
    if (wait_s >= shortestWait_s) {
      await new Promise<void>((resolve) => {
        const cancel = this.#time.after(wait_s * 1000, resolve);
        this.#skip = () => {
          cancel();
          resolve();
        };
      });
    }
    if (this.#isStopped || generation !== this.#generation) throw new Interrupted();
  }

  /** Prints one line; it leaves when its last character is out. */
  async #say(line: string): Promise<void> {
    const isMerged = this.#faults('lost-line-end').some(({ probability }) => this.#draw() < probability);
    const bytes = Buffer.from(`${line}${isMerged ? '' : '\r\n'}`, 'latin1');
    this.#cursor_s = Math.max(this.#cursor_s, this.#now_s());
    this.#outside?.level(this.#cursor_s, virtualCurrents_A.uartReply);
    this.#cursor_s += bytes.length * this.#secondsPerCharacter;
    await this.#reach(this.#cursor_s);
    await this.#send(this.#garbled(bytes));
  }

  async #send(bytes: Uint8Array): Promise<void> {
    if (this.#isStopped) throw new Interrupted();
    if (this.#faults('silent').length > 0) return;
    const piece = this.#faults('pieces')[0]?.bytes ?? bytes.length;
    for (let at = 0; at < bytes.length; at += piece) {
      try {
        await this.#stream.write(bytes.subarray(at, at + piece));
      } catch {
        this.stop();
        throw new Interrupted();
      }
      if (piece < bytes.length) await this.#reach(this.#now_s() + shortestWait_s);
    }
  }

  #garbled(bytes: Uint8Array): Uint8Array {
    const probability = this.#faults('garble')[0]?.probability ?? 0;
    if (probability === 0) return bytes;
    const out: number[] = [];
    for (const byte of bytes) {
      const draw = this.#draw();
      if (draw >= probability) out.push(byte);
      else if (draw < probability / 3) out.push(byte ^ (1 << Math.floor(this.#draw() * 8)));
      else if (draw < (2 * probability) / 3) out.push(byte, byte);
    }
    return Uint8Array.from(out);
  }

  #draw(): number {
    if (!this.#options.random) throw new TypeError('DutEmulator: this fault needs `random`');
    return this.#options.random.uniform();
  }

  #faults<K extends DutFault['kind']>(kind: K): Extract<DutFault, { kind: K }>[] {
    return (this.#options.faults ?? []).filter((fault) => fault.kind === kind) as Extract<DutFault, { kind: K }>[];
  }

  /** Does this fault happen at this command now? */
  #happens(
    kind: 'error' | 'half-line' | 'no-ready' | 'reboot' | 'vanish' | 'mute' | 'stray-ready' | 'lost-bytes',
    step: string,
  ) {
    for (const fault of this.#faults(kind)) {
      const left = this.#timesLeft.get(fault)!;
      if (fault.at !== step || left <= 0) continue;
      this.#timesLeft.set(fault, left - 1);
      return fault;
    }
    return null;
  }
}
