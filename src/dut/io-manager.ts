import { DeviceError } from '../signal/errors.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import { leastRoundTrip_s } from '../transport/round-trip.ts';
import { realTime, type TimeSource } from '../transport/time.ts';
import { CommandPort, type DutLink } from './command-port.ts';
import { LineQueue, type TimedLine } from './line-queue.ts';
import { relayedBlockBytes } from './protocol.ts';

/** The enhanced interface board (STM32H573I-DK) of MLCommons, or the Arduino UNO of EEMBC. */
export type IoManagerKind = 'interface-board' | 'uno';

/** Which edges the UNO's timer stamps. */
export type TimerMode = 'falling' | 'change';

/** When a streaming DUT was awake, in s on the board's clock. */
export interface DutyCycle {
  start_s: number[];
  stop_s: number[];
}

export interface IoManagerOptions {
  time?: TimeSource;
  /** Baud rate between the board and the DUT. */
  dutBaud?: number;
  /** Takes every line of the board's own, for the log. */
  onLine?: (line: TimedLine) => void;
}

const command_ms = 5000;
/** The board restarts after `setbaud`; it is asked for its name this often until it answers. */
const restartRetry_ms = 300;
const dutPrefix = /^\[dut\]: ?/;
const boardName = /Interface Board/i;
/** The duty cycle's times are in ticks of 10 us, whatever the heading says. */
const dutyTicksPerSecond = 1e5;

/**
 * The board between the host and a DUT in energy mode. It relays commands to the DUT, and stamps edges (UNO) or counts
 * detections and duty cycles (interface board). One command at a time.
 */
export class IoManager {
  readonly name: string;
  readonly #port: CommandPort;
  readonly #time: TimeSource;
  readonly #options: IoManagerOptions;
  readonly #own: LineQueue;
  readonly #dut: LineQueue;
  readonly #timestampListeners = new Set<(time_us: number, arrival_ns: number) => void>();
  #kind: IoManagerKind | null = null;
  /** What it answered to `name`; empty before open(). */
  greeting: readonly string[] = [];
  /** Shortest round trip of a command, in s; null before measureRoundTrip(). */
  roundTrip_s: number | null = null;

  constructor(stream: ByteStream, options: IoManagerOptions = {}) {
    this.name = stream.name;
    this.#time = options.time ?? realTime;
    this.#options = options;
    this.#own = new LineQueue(this.#time);
    this.#dut = new LineQueue(this.#time);
    this.#port = new CommandPort(
      stream,
      (line) => this.#receive(line),
      (error) => {
        this.#own.fail(error);
        this.#dut.fail(error);
      },
      this.#time,
    );
  }

  /** @throws Error before open() (a bug) */
  get kind(): IoManagerKind {
    if (this.#kind === null) throw new Error('IoManager: not open');
    return this.#kind;
  }

  /**
   * Asks the board what it is.
   * @throws DeviceError `device.silent`
   */
  async open(): Promise<IoManagerKind> {
    const lines = await this.#retryName();
    this.greeting = lines;
    this.#kind = lines.some((line) => boardName.test(line)) ? 'interface-board' : 'uno';
    return this.#kind;
  }

  /**
   * Sends one command and gives the lines before its `m-ready`. Text before an `m-ready` in one line counts as a line.
   * @throws DeviceError `device.silent` after `limit_ms` without the end of the answer
   */
  async command(command: string, limit_ms = command_ms): Promise<string[]> {
    this.#own.take();
    await this.#port.send(command);
    const deadline_ns = this.#time.now_ns() + limit_ms * 1e6;
    const lines: string[] = [];
    for (;;) {
      const left_ms = Math.max(1, (deadline_ns - this.#time.now_ns()) / 1e6);
      const { text } = await this.#own.next(left_ms, () => this.#port.silence(`\`${command}\``, limit_ms));
      const isLast = text.trimEnd().endsWith('m-ready');
      const said = isLast ? text.trimEnd().slice(0, -'m-ready'.length) : text;
      if (said.trim() !== '') lines.push(said);
      if (isLast) return lines;
      if (lines.length > 100_000) throw this.#protocol(command, 'an answer without end');
    }
  }

  /** What the board sends by itself needs no longer than this at least. @throws DeviceError `device.silent` */
  async measureRoundTrip(): Promise<void> {
    this.roundTrip_s = await leastRoundTrip_s(this.#time, () => this.command('name'));
  }

  /** Stamps edges from now on (UNO). @throws DeviceError `io.protocol` */
  async enableTimer(mode: TimerMode): Promise<void> {
    const wanted = mode === 'falling' ? 'FALLING' : 'CHANGE';
    const said = await this.command(`tm ${mode === 'falling' ? 0 : 1}`);
    if (!said.some((line) => line.includes(wanted))) throw this.#protocol('tm', said.join(' '));
    const enabled = await this.command('enable-timer');
    if (!enabled.some((line) => line.includes('m-timer-enabled')))
      throw this.#protocol('enable-timer', enabled.join(' '));
  }

  async disableTimer(): Promise<void> {
    await this.command('disable-timer');
  }

  /** Calls `listener` for each edge that the UNO stamps (its input D3), with its own microseconds. @returns a function that removes it */
  onTimestamp(listener: (time_us: number, arrival_ns: number) => void): () => void {
    this.#timestampListeners.add(listener);
    return () => this.#timestampListeners.delete(listener);
  }

  /**
   * Sets the baud rate to the DUT; the interface board restarts and with that forgets what it holds of the DUT's output.
   * @throws DeviceError `io.protocol` where the board says another rate
   */
  async setBaud(baud: number): Promise<void> {
    const said = await this.command(`setbaud ${baud}`);
    if (!said.some((line) => line.trim() === `set baud to: ${baud}`)) throw this.#protocol('setbaud', said.join(' '));
    await this.#retryName();
  }

  /** Names of the sound files on the interface board. */
  async files(): Promise<string[]> {
    return (await this.command('ls')).map((line) => line.trim());
  }

  /**
   * Plays a sound file; resolves at its end.
   * @throws DeviceError `io.play` where the board cannot play it
   */
  async play(file: string, duration_s: number): Promise<void> {
    const said = await this.command(`play ${file}`, duration_s * 1000 + 10_000);
    if (said.some((line) => line.includes('succeeded'))) return;
    throw new DeviceError('io.play', {
      where: this.name,
      problem: `the board does not play ${file}: ${said.at(-1) ?? 'it says nothing'}`,
      remedy: 'put the file on the board; it must be a 2-channel wav file',
    });
  }

  async recordDetections(): Promise<void> {
    await this.command('record_detections');
  }

  /**
   * Falling edges of the wake word pin since `recordDetections`, in s on the board's clock (resolution 1 ms).
   * @throws DeviceError `io.protocol` where one of them is no time: the first is time 0 of all others
   */
  async detections(): Promise<number[]> {
    const lines = await this.command('print_detections');
    const damaged = lines.find((line) => /\d/.test(line) && integersOf([line]).length === 0);
    if (damaged !== undefined) throw this.#protocol('print_detections', damaged);
    return integersOf(lines).map((ms) => ms / 1000);
  }

  /** When the DUT was awake since `recordDetections`. */
  async dutyCycle(): Promise<DutyCycle> {
    return parseDutyCycle(await this.command('print_dutycycle'));
  }

  /** The way to the DUT through this board. Closing it closes the board's port. */
  dutLink(): DutLink {
    const { name } = this;
    return {
      name: `${name} (DUT)`,
      blockBytes: relayedBlockBytes,
      prepare: () => this.#forgetDutOutput(),
      send: (command) => this.#passThrough(command),
      next: (limit_ms, what) => this.#dut.next(limit_ms, () => this.#port.silence(`${what} from the DUT`, limit_ms)),
      take: () => this.#dut.take(),
      close: () => this.close(),
    };
  }

  close(): Promise<void> {
    return this.#port.close();
  }

  /**
   * The interface board holds what the DUT says outside a `dut` command (its boot output) and would give it out as the answer
   * to the next one; the UNO passes everything on at once.
   */
  async #forgetDutOutput(): Promise<void> {
    if (this.#kind === null) await this.open();
    if (this.kind === 'interface-board') await this.setBaud(this.#options.dutBaud ?? 9600);
    this.#dut.take();
  }

  /** The board acknowledges before the DUT answers: its own `m-ready` comes first, the DUT's later. */
  async #passThrough(command: string): Promise<void> {
    const said = await this.command(`dut ${command}`);
    if (said.some((line) => line.trim() === `m-dut-passthrough(${command})`)) return;
    throw this.#protocol(`dut ${command}`, said.join(' ') || 'nothing');
  }

  async #retryName(): Promise<string[]> {
    const deadline_ns = this.#time.now_ns() + command_ms * 1e6;
    for (;;) {
      try {
        return await this.command('name', restartRetry_ms);
      } catch (error) {
        const isSilent = error instanceof DeviceError && error.code === 'device.silent';
        if (!isSilent || this.#time.now_ns() > deadline_ns) throw error;
      }
    }
  }

  #receive(line: TimedLine): void {
    const { text } = line;
    const prefix = dutPrefix.exec(text);
    if (prefix) {
      this.#dut.push({ ...line, text: text.slice(prefix[0].length) });
      return;
    }
    this.#options.onLine?.(line);
    const lap = line.isDamaged ? null : /^m-lap-us-(\d{1,15})$/.exec(text.trim());
    if (lap) for (const listener of this.#timestampListeners) listener(Number(lap[1]), line.arrival_ns);
    else this.#own.push(line);
  }

  #protocol(command: string, said: string): DeviceError {
    return new DeviceError('io.protocol', {
      where: this.name,
      problem: `the IO manager answers \`${command.slice(0, 24)}\` with ${JSON.stringify(said.slice(0, 100))}`,
      remedy: 'check that the port is that of the IO manager, then unplug it and plug it in again',
    });
  }
}

function integersOf(lines: readonly string[]): number[] {
  return lines.flatMap((line) => (/^[\d,\s]+$/.test(line) ? line.match(/\d+/g)!.map(Number) : []));
}

/** Reads the answer to `print_dutycycle`: eight times a line, starts after one heading, stops after the other. */
export function parseDutyCycle(lines: readonly string[]): DutyCycle {
  const duty: DutyCycle = { start_s: [], stop_s: [] };
  let list: number[] | null = null;
  for (const line of lines) {
    if (/start times/i.test(line)) list = duty.start_s;
    else if (/stop times/i.test(line)) list = duty.stop_s;
    else list?.push(...integersOf([line]).map((ticks) => ticks / dutyTicksPerSecond));
  }
  return duty;
}
