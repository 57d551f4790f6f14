import { DeviceError, UsageError } from '../signal/errors.ts';
import { realTime, type TimeSource, wait } from '../transport/time.ts';
import type { DutLink } from './command-port.ts';
import type { TimedLine } from './line-queue.ts';
import {
  blockCommands,
  type DutMessage,
  type DutMode,
  type LineOddity,
  maxInputBytes,
  parseDutLine,
  printedAlike,
} from './protocol.ts';

/** Who the DUT is. */
export interface DutIdentity {
  name: string;
  /** Firmware text, or null where it prints none. */
  profile: string | null;
  /** Benchmark id, e.g. `kws01`. */
  model: string;
  /** Null until the DUT shows it: at boot, or by its first timestamp. */
  mode: DutMode | null;
}

/** Something that went wrong and was survived. */
export interface DutNotice {
  code:
    | 'rebooted' // the DUT booted after its port was opened
    | 'line' // a damaged, merged, cut or broken line
    | 'stray-ready' // an `m-ready` that ends nothing
    | 'echo' // the DUT, or a line adapter, echoes what it is sent
    | 'unasked' // lines outside any command
    | 'load-again' // the download failed and was begun again
    | 'results-again'; // the answer was damaged and was asked for again
  text: string;
}

/** What one `infer` brought. */
export interface InferAnswer {
  /** The answer as numbers and as printed. */
  scores: number[];
  fields: string[];
  /** Lap counter between the start and the end of the inferences: two entries in performance mode, none in energy mode. */
  laps_us: number[];
  /** Arrival of `m-infer-start` and `m-infer-done` at the host; null where the line was damaged. */
  started_ns: number | null;
  done_ns: number | null;
}

/** Limits in ms. Each counts from the last message that the DUT was expected to send. */
export interface DutLimits {
  /** From opening to the first intact name: it covers a reboot. */
  open_ms: number;
  /** Any command but `infer`. */
  command_ms: number;
  /** `infer`: added to three times the time that the inferences should take. */
  infer_ms: number;
}

export const defaultLimits: DutLimits = { open_ms: 8000, command_ms: 5000, infer_ms: 30_000 };

export interface DutClientOptions {
  time?: TimeSource;
  limits?: Partial<DutLimits>;
  /** Number of scores in an answer, where it is known; an answer with another number is damaged. */
  scores?: number;
  /** Takes every line of the DUT, for the log. */
  onLine?: (line: TimedLine) => void;
  onNotice?: (notice: DutNotice) => void;
}

/** A name is asked for again after this long. */
const nameRetry_ms = 1000;
/** After an error the DUT only has to end the command. */
const afterError_ms = 1000;
/** A link has gone quiet when nothing came for this long. */
const quiet_ms = 300;
const loadAttempts = 3;
const resultAttempts = 3;
/** More messages than any command brings: `db print` of the longest input gives a sixteenth of this. */
const maxMessages = 65_536;
/** Where no inference has been timed yet. */
const unknownInference_ms = 1000;

interface Exchange {
  command: string;
  /** In ms from the last message. Read anew for every line. */
  limit_ms(): number;
  /** Has everything come that must come before `m-ready`? */
  isComplete(): boolean;
  /** What is missing while it is not complete. */
  missing: string;
  onMessage?(message: DutMessage, line: TimedLine): void;
  /** Lines that are no message; `oddities` tells of a broken one. */
  onText?(line: TimedLine, oddities: readonly LineOddity[]): void;
}

/**
 * Drives a DUT of the MLPerf Tiny protocol over its own port or an IO manager. One command at a time; each settles
 * within its time limit, with a typed error where it fails:
 *
 * `device.silent`, `device.vanished`, `device.stalled` from the link; `dut.error` for an `e-[...]`; `dut.rebooted` where the DUT
 * restarts under way; `dut.protocol` where the answer lacks what it must hold; `dut.load`; `dut.results`.
 */
export class DutClient {
  readonly #link: DutLink;
  readonly #time: TimeSource;
  readonly #limits: DutLimits;
  readonly #options: DutClientOptions;
  #identity: DutIdentity | null = null;
  #isOpening = false;
  #isBusy = false;
  #mode: DutMode | null = null;
  #echoTold = false;
  #lastNotices = new Map<string, number>();
  /** Measured by the last warm-up or window. */
  #inference_ms: number | null = null;

  constructor(link: DutLink, options: DutClientOptions = {}) {
    this.#link = link;
    this.#time = options.time ?? realTime;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#options = options;
  }

  /** @throws Error before open() (a bug) */
  get identity(): DutIdentity {
    if (this.#identity === null) throw new Error('DutClient: not open');
    return { ...this.#identity, mode: this.#mode };
  }

  /** How many notices of each code there were. */
  get notices(): Record<string, number> {
    return Object.fromEntries(this.#lastNotices);
  }

  /**
   * Finds the DUT ready for commands, also where opening its port made it reboot, and asks who it is.
   * @throws DeviceError
   */
  async open(): Promise<DutIdentity> {
    this.#isOpening = true;
    this.#identity = null;
    try {
      await this.#link.prepare();
      const name = await this.#findName();
      const { profile, model } = await this.profile();
      this.#identity = { name, profile, model, mode: this.#mode };
      return this.identity;
    } finally {
      this.#isOpening = false;
    }
  }

  /** Asks for firmware and model. */
  async profile(): Promise<{ profile: string | null; model: string }> {
    let profile: string | null = null;
    let model: string | null = null;
    await this.#simple(
      'profile',
      (message) => {
        if (message.kind === 'profile') profile = message.text;
        if (message.kind === 'model') model = message.text;
      },
      () => model !== null,
      'm-model-[...]',
    );
    return { profile, model: model! };
  }

  /** The DUT's counter in us in performance mode; null in energy mode, where its pin pulses instead. */
  async timestamp(): Promise<number | null> {
    let time_us: number | null = null;
    await this.#simple('timestamp', (message) => {
      if (message.kind === 'lap') time_us = message.time_us;
    });
    this.#mode ??= time_us === null ? 'energy' : 'performance';
    return time_us;
  }

  /** The lines of `help`. */
  help(): Promise<string[]> {
    return this.command('help');
  }

  /** Any other command (`start`, `stop` of a streaming wakeword DUT): the lines before its `m-ready`. */
  async command(command: string, limit_ms = this.#limits.command_ms): Promise<string[]> {
    const lines: string[] = [];
    await this.#exchange({
      command,
      limit_ms: () => limit_ms,
      isComplete: () => true,
      missing: '',
      onText: (line) => lines.push(line.text),
    });
    return lines;
  }

  /**
   * Downloads one input. A download that the DUT refuses or loses bytes of is begun again, twice at most.
   * @param onProgress called with the number of bytes sent
   * @throws UsageError for an input that no DUT takes; DeviceError `dut.load` and as everywhere
   */
  async load(input: Uint8Array, onProgress?: (sent: number) => void): Promise<void> {
    if (input.length === 0 || input.length > maxInputBytes) {
      throw new UsageError('dut.input-size', {
        where: this.#link.name,
        problem: `an input of ${input.length} bytes; a DUT takes 1 to ${maxInputBytes}`,
        remedy: 'check the input file',
      });
    }
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#loadOnce(input, onProgress);
        return;
      } catch (error) {
        const isRefused = error instanceof DeviceError && ['dut.error', 'dut.load'].includes(error.code);
        if (!isRefused || attempt === loadAttempts) throw error;
        this.#notice('load-again', `${(error as Error).message}; the download begins again`);
      }
    }
  }

  /**
   * Runs `warmups` and then `inferences` inferences over the loaded input. An answer that arrives damaged is asked for
   * again by `results`; one that stays damaged is an error, never a guess.
   * @throws UsageError for counts that no DUT takes; DeviceError
   */
  async infer(inferences: number, warmups: number): Promise<InferAnswer> {
    checkCount('inferences', inferences, 1);
    checkCount('warm-ups', warmups, 0);
    const answers: DutResultsMessage[] = [];
    const laps_us: number[] = [];
    let brokenAfterStart = 0;
    let expected = warmups;
    let warmupStart_ns: number | null = null;
    let started_ns: number | null = null;
    let done_ns: number | null = null;
    let hasStarted = false;
    await this.#exchange({
      command: `infer ${inferences} ${warmups}`,
      limit_ms: () => this.#limits.infer_ms + 3 * expected * (this.#inference_ms ?? unknownInference_ms),
      isComplete: () => hasStarted && (done_ns !== null || answers.length > 0 || brokenAfterStart > 0),
      missing: 'm-infer-start and m-infer-done',
      onMessage: (message, line) => {
        switch (message.kind) {
          case 'warmup-start':
            warmupStart_ns = line.arrival_ns;
            break;
          case 'warmup-done':
            if (warmupStart_ns !== null && warmups > 0) {
              this.#inference_ms = (line.arrival_ns - warmupStart_ns) / 1e6 / warmups;
            }
            expected = inferences;
            break;
          case 'infer-start':
            hasStarted = message.inferences === inferences;
            if (!hasStarted)
              throw this.#failure('dut.protocol', `it starts ${message.inferences} inferences, not ${inferences}`);
            started_ns = line.arrival_ns;
            expected = inferences;
            break;
          case 'lap':
            if (hasStarted && done_ns === null) laps_us.push(message.time_us);
            break;
          case 'infer-done':
            done_ns = line.arrival_ns;
            if (started_ns !== null) this.#inference_ms = (done_ns - started_ns) / 1e6 / inferences;
            expected = 0;
            break;
          case 'results':
            if (hasStarted) answers.push(message);
            else this.#notice('line', 'an answer before any inference is not believed');
            break;
        }
      },
      onText: (_, oddities) => {
        if (hasStarted && oddities.length > 0) brokenAfterStart++;
      },
    });
    if (laps_us.length > 0) this.#mode ??= 'performance';
    const answer = await this.#settle(answers);
    return { scores: answer.values, fields: answer.fields, laps_us, started_ns, done_ns };
  }

  /** The last answer once more. @throws DeviceError `dut.results` */
  async results(): Promise<{ scores: number[]; fields: string[] }> {
    const { values, fields } = await this.#settle(await this.#askResults());
    return { scores: values, fields };
  }

  /** The bytes that the DUT holds of the last input (`db print`). */
  async readBack(length: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let got = 0;
    await this.#exchange({
      command: 'db print',
      limit_ms: () => this.#limits.command_ms,
      isComplete: () => got >= length,
      missing: `m-buffer of ${length} bytes`,
      onMessage: (message) => {
        if (message.kind !== 'buffer') return;
        parts.push(message.bytes);
        got += message.bytes.length;
      },
    });
    return Buffer.concat(parts);
  }

  /** Closes the link. Idempotent; never rejects. */
  close(): Promise<void> {
    return this.#link.close();
  }

  async #findName(): Promise<string> {
    const deadline_ns = this.#time.now_ns() + this.#limits.open_ms * 1e6;
    let asked = 0;
    let name: string | null = null;
    let lastError: DeviceError | null = null;
    // What was sent before, or a boot, may have been garbage to the DUT, so an error counts when all the time is over.
    const errors: string[] = [];
    while (name === null) {
      const left_ms = (deadline_ns - this.#time.now_ns()) / 1e6;
      if (left_ms <= 0) throw this.#noName(asked, errors, lastError);
      await this.#link.send('name');
      asked++;
      try {
        name = await this.#readName(Math.min(nameRetry_ms, left_ms), errors);
      } catch (error) {
        if (!(error instanceof DeviceError) || error.code !== 'device.silent') throw error;
        lastError = error;
      }
    }
    // Answers to names that were asked for too often, and the rest of a boot.
    if (asked > 1) {
      for (let seen = 1; seen > 0 && this.#time.now_ns() < deadline_ns; ) {
        await wait(this.#time, quiet_ms);
        const rest = this.#link.take();
        seen = rest.length;
        for (const line of rest) this.#options.onLine?.(line);
      }
      // An interface board may still hold one of those answers, and would be one answer behind from here on.
      await this.#link.prepare();
    }
    return name;
  }

  #noName(asked: number, errors: readonly string[], last: DeviceError | null): DeviceError {
    if (errors.length > 0) return this.#refusal('name', errors.slice(-1));
    const half = /; it stopped inside a line: .*$/s.exec(last?.message ?? '')?.[0] ?? '';
    const problem = `no answer to \`name\` within ${this.#limits.open_ms} ms, asked ${asked} times${half}`;
    if (last === null) return this.#failure('device.silent', problem);
    return new DeviceError(last.code, { where: last.where, problem, remedy: last.remedy });
  }

  /** The name, or null where the DUT answered something else (a boot, a command that was garbage before ours). */
  async #readName(limit_ms: number, errors: string[]): Promise<string | null> {
    let name: string | null = null;
    const deadline_ns = this.#time.now_ns() + limit_ms * 1e6;
    for (;;) {
      const left_ms = (deadline_ns - this.#time.now_ns()) / 1e6;
      // Lines that never end keep a reader from timing out.
      if (left_ms <= 0) throw this.#failure('device.silent', 'nothing but noise in answer to `name`');
      const line = await this.#link.next(left_ms, '`name`');
      const { messages } = this.#read(line, 'name');
      for (const message of messages) {
        if (message.kind === 'name') name = message.text;
        if (message.kind === 'ready') return name;
        if (message.kind === 'error') errors.push(message.text);
        if (message.kind === 'init-done') this.#notice('rebooted', 'the DUT booted after its port was opened');
        if (message.kind === 'timestamp-mode') this.#mode = message.mode;
      }
    }
  }

  async #loadOnce(input: Uint8Array, onProgress?: (sent: number) => void): Promise<void> {
    const deadline_ns = this.#time.now_ns() + loadLimit_ms(input.length) * 1e6;
    let isDone = false;
    let announced: number | null = null;
    await this.#simple(
      `db load ${input.length}`,
      (message) => {
        if (message.kind === 'expecting') announced = message.bytes;
      },
      () => announced !== null,
      `m-[Expecting ${input.length} bytes]`,
    );
    if (announced !== input.length) throw this.#loadFailure(`it expects ${announced} bytes, not ${input.length}`);
    for (const { command, sent } of blockCommands(input, this.#link.blockBytes)) {
      if (isDone) throw this.#loadFailure(`it took the input for complete before byte ${sent} of ${input.length}`);
      if (this.#time.now_ns() > deadline_ns) {
        throw this.#loadFailure(`${sent} of ${input.length} bytes in ${loadLimit_ms(input.length)} ms are too slow`);
      }
      await this.#simple(command, (message) => {
        if (message.kind === 'load-done') isDone = true;
      });
      onProgress?.(sent);
    }
    if (!isDone) throw this.#loadFailure(`it still waits for bytes after all ${input.length}`);
  }

  /** The one answer among what came; where none is intact, it is asked for again. */
  async #settle(found: DutResultsMessage[]): Promise<DutResultsMessage> {
    let candidates = found;
    let doubtful: string | null = null;
    for (let attempt = 1; ; attempt++) {
      const texts = new Set(candidates.map((answer) => answer.fields.join()));
      const answer = candidates[0];
      const isWhole =
        answer !== undefined &&
        texts.size === 1 &&
        (this.#options.scores === undefined || answer.values.length === this.#options.scores);
      // Two readings alike settle a doubt about a lost character.
      if (isWhole && (printedAlike(answer.fields) || doubtful === answer.fields.join())) return answer;
      if (isWhole) doubtful = answer.fields.join();
      if (attempt === resultAttempts) {
        const what =
          answer === undefined
            ? 'no intact m-results'
            : `m-results with ${answer.values.length} numbers${this.#options.scores === undefined ? '' : `, expected ${this.#options.scores}`}`;
        throw this.#failure('dut.results', `${what} in ${attempt} tries`);
      }
      this.#notice('results-again', answer === undefined ? 'no intact answer' : 'an answer in doubt');
      candidates = await this.#askResults();
    }
  }

  async #askResults(): Promise<DutResultsMessage[]> {
    const answers: DutResultsMessage[] = [];
    await this.#simple('results', (message) => {
      if (message.kind === 'results') answers.push(message);
    });
    return answers;
  }

  #simple(
    command: string,
    onMessage: (message: DutMessage) => void,
    isComplete: () => boolean = () => true,
    missing = '',
  ): Promise<void> {
    return this.#exchange({ command, limit_ms: () => this.#limits.command_ms, isComplete, missing, onMessage });
  }

  /** Sends a command and reads up to the `m-ready` that ends it. */
  async #exchange(exchange: Exchange): Promise<void> {
    if (this.#isBusy) throw new Error('DutClient: one command at a time');
    this.#isBusy = true;
    try {
      this.#takeUnasked();
      await this.#link.send(exchange.command);
      await this.#readAnswer(exchange);
    } finally {
      this.#isBusy = false;
    }
  }

  async #readAnswer(exchange: Exchange): Promise<void> {
    const { command } = exchange;
    const errors: string[] = [];
    let strayReady = 0;
    let last_ns = this.#time.now_ns();
    for (let count = 0; ; ) {
      const limit_ms = errors.length > 0 ? afterError_ms : exchange.limit_ms();
      const left_ms = limit_ms - (this.#time.now_ns() - last_ns) / 1e6;
      let line: TimedLine;
      try {
        line = await this.#link.next(Math.max(1, left_ms), `\`${shortened(command)}\``);
      } catch (error) {
        if (!(error instanceof DeviceError) || error.code !== 'device.silent') throw error;
        if (errors.length > 0) throw this.#refusal(command, errors);
        if (strayReady === 0) throw error;
        throw this.#failure('dut.protocol', `it ended \`${shortened(command)}\` without ${exchange.missing}`);
      }
      const { messages, oddities } = this.#read(line, command);
      if (messages.length === 0 && line.arrival_ns - last_ns > limit_ms * 1e6) {
        throw this.#failure('device.silent', `nothing but noise in answer to \`${shortened(command)}\``);
      }
      if (messages.length === 0) exchange.onText?.(line, oddities);
      for (const message of messages) {
        if (++count > maxMessages) {
          throw this.#failure('dut.protocol', `it does not end its answer to \`${shortened(command)}\``);
        }
        if (message.kind === 'ready') {
          if (errors.length > 0) throw this.#refusal(command, errors);
          if (exchange.isComplete()) return;
          strayReady++;
          this.#notice('stray-ready', `an m-ready before the end of \`${shortened(command)}\``);
          continue;
        }
        this.#checkReboot(message, command);
        if (message.kind === 'error') errors.push(message.text);
        last_ns = line.arrival_ns;
        exchange.onMessage?.(message, line);
      }
    }
  }

  /** Logs and parses a line; an echo of the command before its answer is left out. */
  #read(line: TimedLine, command: string): { messages: DutMessage[]; oddities: LineOddity[] } {
    this.#options.onLine?.(line);
    const echo = `${command}%`;
    let { text } = line;
    if (text.startsWith(echo)) {
      text = text.slice(echo.length);
      if (!this.#echoTold) this.#notice('echo', 'what is sent comes back');
      this.#echoTold = true;
    }
    const parsed = parseDutLine({ ...line, text });
    if (parsed.oddities.length > 0) {
      this.#notice('line', `${parsed.oddities.join(', ')}: ${JSON.stringify(text.slice(0, 100))}`);
    }
    return parsed;
  }

  /** Lines since the last command: nobody asked for them, and a boot among them means that the DUT lost its input. */
  #takeUnasked(): void {
    for (const line of this.#link.take()) {
      this.#notice('unasked', JSON.stringify(line.text.slice(0, 100)));
      for (const message of this.#read(line, '').messages) this.#checkReboot(message, 'two commands');
    }
  }

  #checkReboot(message: DutMessage, during: string): void {
    if (message.kind === 'timestamp-mode') this.#mode = message.mode;
    if (message.kind !== 'init-done' && message.kind !== 'timestamp-mode') return;
    if (this.#isOpening) return;
    throw new DeviceError('dut.rebooted', {
      where: this.#link.name,
      problem: `the DUT restarted during ${during === 'two commands' ? 'a pause between two commands' : `\`${shortened(during)}\``}`,
      remedy: 'check its supply: a brown-out or a current limit that is too low does this; then run again',
    });
  }

  #refusal(command: string, errors: readonly string[]): DeviceError {
    return new DeviceError('dut.error', {
      where: this.#link.name,
      problem: `the DUT answers \`${shortened(command)}\` with ${errors.map((text) => `e-[${text}]`).join(', ')}`,
      remedy: 'check that its firmware is that of the benchmark and that the line is not disturbed',
    });
  }

  #loadFailure(problem: string): DeviceError {
    return this.#failure('dut.load', `the download failed: ${problem}`);
  }

  #failure(code: string, problem: string): DeviceError {
    return new DeviceError(code, {
      where: this.#link.name,
      problem: `the DUT: ${problem}`,
      remedy: 'check the baud rate, the wiring and the firmware of the DUT; the log shows each of its lines',
    });
  }

  #notice(code: DutNotice['code'], text: string): void {
    this.#lastNotices.set(code, (this.#lastNotices.get(code) ?? 0) + 1);
    this.#options.onNotice?.({ code, text });
  }
}

type DutResultsMessage = Extract<DutMessage, { kind: 'results' }>;

/** EnergyRunner gives a download 16 ms a byte, about five times what a 9600 baud DUT behind an IO manager takes. */
export function loadLimit_ms(bytes: number): number {
  return defaultLimits.command_ms + 16 * bytes;
}

/** A command for messages: the digits of a block say nothing. */
function shortened(command: string): string {
  return command.length > 24 ? `${command.slice(0, 20)}...` : command;
}

function checkCount(what: string, count: number, least: number): void {
  if (Number.isSafeInteger(count) && count >= least && count <= 999_999_999) return;
  throw new UsageError('dut.count', {
    where: `${count} ${what}`,
    problem: `must be a whole number of at least ${least}`,
    remedy: 'correct the iterations of the run',
  });
}
