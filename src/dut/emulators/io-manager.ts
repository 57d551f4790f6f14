import type { Polarity } from '../../signal/types.ts';
import type { ByteStream } from '../../transport/byte-stream.ts';
import { realTime, type TimeSource } from '../../transport/time.ts';

export interface IoManagerEmulatorOptions {
  kind: 'interface-board' | 'uno';
  time?: TimeSource;
  /** Sound files on the interface board, with their length. */
  files?: Record<string, { duration_s: number }>;
  /** Called when it begins to play one of them. */
  onPlay?: (file: string) => void;
  /** The UNO cuts what the DUT says while the host is talking: its lines are half-duplex. */
  isHalfDuplex?: boolean;
}

/** Commands of the interface board in the order in which it compares prefixes. */
const boardCommands = [
  'dut',
  'name',
  'ls',
  'play',
  'setbaud',
  'checkbaud',
  'record_detections',
  'print_detections',
  'print_dutycycle',
] as const;

/** What the interface board keeps of the DUT's output outside a `dut` command. */
const dutQueueBytes = 100;
const restart_ms = 50;
const debounce_s = 0.01;
const defaultBaud = 9600;
const highestBaud = 2_000_000;
const mostFrames = 100;
const mostDetections = 10_000;

/**
 * An IO manager from its own side of both wires. The interface board relays only within a `dut` command and serves nothing
 * else until the DUT's `m-ready`; the UNO relays at once and stamps edges.
 */
export class IoManagerEmulator {
  readonly #host: ByteStream;
  readonly #dut: ByteStream;
  readonly #options: IoManagerEmulatorOptions;
  readonly #time: TimeSource;
  /** Its time 0, on the clock of its TimeSource. */
  readonly start_ns: number;
  readonly #removeListeners: (() => void)[];
  readonly #pending: string[] = [];
  #text = '';
  #isServing = false;
  #isRestarting = false;
  #isStopped = false;
  /** The interface board: bytes that wait; the UNO: the line under way. */
  #fromDut = '';
  #relay: (() => void) | null = null;
  #baud = defaultBaud;
  #isRecording = false;
  #recordStart_s = 0;
  #detections_s: number[] = [];
  #dutyStarts_s: number[] = [];
  #dutyStops_s: number[] = [];
  #timerMode: 'falling' | 'change' = 'change';
  #isTimerOn = false;

  /**
   * @param host its side of the wire to the host
   * @param dut the host's side of the wire to the DUT
   */
  constructor(host: ByteStream, dut: ByteStream, options: IoManagerEmulatorOptions) {
    this.#host = host;
    this.#dut = dut;
    this.#options = options;
    this.#time = options.time ?? realTime;
    this.start_ns = this.#time.now_ns();
    this.#removeListeners = [
      host.onData((chunk) => this.#receive(chunk)),
      dut.onData((chunk) => this.#receiveFromDut(chunk)),
    ];
  }

  /** An edge of the DUT's timestamp (or wake word) pin; it may lie ahead, on the time since the emulator was made. */
  edge(polarity: Polarity, time_s: number): void {
    this.#at(time_s, () => {
      if (this.#isRecording && polarity === 'fall') {
        const last = this.#detections_s.at(-1) ?? Number.NEGATIVE_INFINITY;
        if (time_s - last >= debounce_s && this.#detections_s.length < mostDetections) this.#detections_s.push(time_s);
      }
      if (this.#isTimerOn && (this.#timerMode === 'change' || polarity === 'fall')) {
        this.#reply(`m-lap-us-${Math.floor(time_s * 1e6) % 2 ** 32}`);
      }
    });
  }

  /** An edge of the duty cycle pin: a rise is the start. */
  dutyEdge(polarity: Polarity, time_s: number): void {
    this.#at(time_s, () => {
      const list = polarity === 'rise' ? this.#dutyStarts_s : this.#dutyStops_s;
      if (this.#isRecording && list.length < mostFrames) list.push(time_s);
    });
  }

  stop(): void {
    this.#isStopped = true;
    for (const remove of this.#removeListeners) remove();
  }

  #at(time_s: number, action: () => void): void {
    const wait_ms = (time_s - (this.#time.now_ns() - this.start_ns) / 1e9) * 1000;
    if (wait_ms <= 0) action();
    else this.#time.after(wait_ms, action);
  }

  #receive(chunk: Uint8Array): void {
    if (this.#isRestarting) return;
    if (this.#options.isHalfDuplex && this.#fromDut !== '') {
      this.#reply(`e-?${this.#fromDut}`);
      this.#fromDut = '';
    }
    for (const character of Buffer.from(chunk).toString('latin1')) {
      if (character !== '%') this.#text += character;
      else {
        this.#pending.push(this.#text);
        this.#text = '';
      }
    }
    void this.#serve();
  }

  async #serve(): Promise<void> {
    if (this.#isServing) return;
    this.#isServing = true;
    for (let command = this.#pending.shift(); command !== undefined; command = this.#pending.shift()) {
      if (this.#options.kind === 'uno') await this.#uno(command);
      else await this.#board(command);
    }
    this.#isServing = false;
  }

  async #board(command: string): Promise<void> {
    const known = boardCommands.find((prefix) => command.startsWith(prefix));
    if (known === undefined) return this.#reply('m-ready');
    const rest = command.slice(known.length);
    if (rest !== '' && !/^ \S/.test(rest)) return;
    const argument = rest.slice(1);
    switch (known) {
      case 'dut':
        return this.#boardPassThrough(argument);
      case 'name':
        this.#reply('tinyML Enhanced Interface Board');
        break;
      case 'ls':
        for (const file of Object.keys(this.#options.files ?? {})) this.#reply(file);
        break;
      case 'play':
        await this.#play(argument);
        break;
      case 'setbaud':
        return this.#setBaud(Number(argument));
      case 'checkbaud':
        this.#write(`baud is: ${this.#baud}\n`);
        break;
      case 'record_detections':
        this.#isRecording = true;
        this.#recordStart_s = (this.#time.now_ns() - this.start_ns) / 1e9;
        this.#detections_s = [];
        this.#dutyStarts_s = [];
        this.#dutyStops_s = [];
        this.#reply('Now recording detections');
        break;
      case 'print_detections':
        this.#reply('Detection Timestamps (ms)');
        for (const at_s of this.#detections_s) this.#reply(`${Math.round((at_s - this.#recordStart_s) * 1000)},`);
        break;
      case 'print_dutycycle':
        this.#printDutyCycle();
        break;
    }
    this.#reply('m-ready');
  }

  /** Relays until the DUT's `m-ready`, and has no time limit for it. */
  async #boardPassThrough(command: string): Promise<void> {
    this.#reply(`m-dut-passthrough(${command})`);
    this.#reply('m-ready');
    void this.#dut.write(Buffer.from(`${command}%`, 'latin1')).catch(() => {});
    for (;;) {
      const end = this.#fromDut.indexOf('\n');
      if (end < 0) {
        await new Promise<void>((resolve) => {
          this.#relay = resolve;
        });
        continue;
      }
      const line = this.#fromDut.slice(0, end).replace(/\r$/, '');
      this.#fromDut = this.#fromDut.slice(end + 1);
      this.#reply(`[dut]: ${line}`);
      if (line === 'm-ready') break;
    }
    this.#relay = null;
    this.#fromDut = this.#fromDut.slice(0, dutQueueBytes);
  }

  async #play(file: string): Promise<void> {
    this.#write(`Attempting to play ${file}\n`);
    const found = this.#options.files?.[file];
    if (found === undefined) {
      this.#write('Error playing file. Check that the file exists and is a 2-channel wav file.\n');
      return;
    }
    this.#options.onPlay?.(file);
    await new Promise<void>((resolve) => {
      this.#time.after(found.duration_s * 1000, resolve);
    });
    this.#write('succeeded.\n');
  }

  #setBaud(wanted: number): void {
    this.#baud = wanted > 0 && wanted <= highestBaud ? wanted : defaultBaud;
    this.#write(`set baud to: ${this.#baud}\n`);
    this.#write('m-ready\n');
    this.#isRestarting = true;
    this.#fromDut = '';
    this.#time.after(restart_ms, () => {
      this.#isRestarting = false;
      this.#text = '';
    });
  }

  /** The last line of stops has no line end unless it is full: `m-ready` follows on it. */
  #printDutyCycle(): void {
    for (const [heading, times_s] of [
      ['start', this.#dutyStarts_s],
      ['stop', this.#dutyStops_s],
    ] as const) {
      this.#reply(`Duty cycle ${heading} times (s)`);
      let text = '';
      times_s.forEach((at_s, k) => {
        text += `${Math.round((at_s - this.#recordStart_s) * 1e5)}, ${k % 8 === 7 ? '\r\n' : ''}`;
      });
      if (heading === 'start' && times_s.length % 8 !== 0) text += '\r\n';
      this.#write(text);
    }
  }

  async #uno(command: string): Promise<void> {
    const [word, argument] = command.split(' ', 2);
    switch (word) {
      case 'dut':
        this.#reply(`m-dut-passthrough(${command.slice('dut '.length)})`);
        this.#reply('m-ready');
        void this.#dut.write(Buffer.from(`${command.slice('dut '.length)}%`, 'latin1')).catch(() => {});
        return;
      case 'tm':
        this.#timerMode = argument === '0' ? 'falling' : 'change';
        this.#isTimerOn = false;
        this.#reply(`m-timestmp-mode-${this.#timerMode === 'falling' ? 'FALLING' : 'CHANGE'}`);
        this.#reply('m-[Timer disabled after mode change]');
        break;
      case 'enable-timer':
      case 'et':
        this.#isTimerOn = true;
        this.#reply('m-timer-enabled');
        break;
      case 'disable-timer':
        this.#isTimerOn = false;
        this.#reply('m-timer-disabled');
        break;
      case 'name':
      case 'version':
        this.#reply('SIMULATED IO manager');
        break;
      default:
        this.#reply(`e-[Unknown command: ${command}]`);
    }
    this.#reply('m-ready');
  }

  #receiveFromDut(chunk: Uint8Array): void {
    const text = Buffer.from(chunk).toString('latin1');
    if (this.#options.kind === 'interface-board') {
      if (this.#isRestarting) return;
      this.#fromDut += text;
      if (this.#relay) this.#relay();
      else this.#fromDut = this.#fromDut.slice(0, dutQueueBytes);
      return;
    }
    const parts = (this.#fromDut + text).split('\n');
    this.#fromDut = parts.pop()!;
    for (const line of parts) this.#reply(`[dut]: ${line.replace(/\r$/, '')}`);
  }

  #reply(line: string): void {
    this.#write(`${line}\r\n`);
  }

  #write(text: string): void {
    if (this.#isStopped || text === '') return;
    void this.#host.write(Buffer.from(text, 'latin1')).catch(() => {});
  }
}
