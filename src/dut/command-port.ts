import { DeviceError } from '../signal/errors.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import { alreadyClosed, stalled } from '../transport/errors.ts';
import { realTime, type TimeSource, within } from '../transport/time.ts';
import { LineQueue, type TimedLine } from './line-queue.ts';
import { LineCutter, maxCommandLength } from './protocol.ts';

/** A write that takes longer than this never comes back (serialport after its port has gone). */
const writeLimit_ms = 2500;

/** Commands out, lines in, over a byte stream: what a DUT and an IO manager have in common. */
export class CommandPort {
  readonly name: string;
  readonly #stream: ByteStream;
  readonly #time: TimeSource;
  readonly #cutter = new LineCutter();
  readonly #removeListener: () => void;

  /**
   * @param onLine takes each line as its end arrives
   * @param onEnd called once, when the stream is closed from either side
   */
  constructor(
    stream: ByteStream,
    onLine: (line: TimedLine) => void,
    onEnd: (error: DeviceError) => void,
    time: TimeSource = realTime,
  ) {
    this.name = stream.name;
    this.#stream = stream;
    this.#time = time;
    this.#removeListener = stream.onData((chunk) => {
      const arrival_ns = time.now_ns();
      for (const line of this.#cutter.push(chunk)) onLine({ ...line, arrival_ns });
    });
    stream.closed.then((reason) => onEnd(reason.kind === 'lost' ? reason.error : alreadyClosed(stream.name)));
  }

  /** The beginning of a line that has not ended. */
  get pending(): string {
    return this.#cutter.pending;
  }

  /**
   * Sends one command with its terminator.
   * @throws DeviceError `device.vanished`, `device.stalled` or `transport.closed`; RangeError for a command that no
   * device can take (a bug)
   */
  async send(command: string): Promise<void> {
    if (command.length > maxCommandLength || /[^ -~]|%/.test(command)) {
      throw new RangeError(`not a command of at most ${maxCommandLength} characters: ${JSON.stringify(command)}`);
    }
    const written = this.#stream.write(Buffer.from(`${command}%`, 'latin1'));
    await within(this.#time, writeLimit_ms, written, () => stalled(this.name, `sending \`${command}\``));
  }

  /** No answer came in time; what came of a line is told. */
  silence(what: string, limit_ms: number): DeviceError {
    const { pending } = this;
    const half = pending === '' ? '' : `; it stopped inside a line: ${JSON.stringify(pending)}`;
    return new DeviceError('device.silent', {
      where: this.name,
      problem: `no answer to ${what} within ${Math.round(limit_ms)} ms${half}`,
      remedy:
        'check that the device has power, that TX and RX are not swapped and that the baud rate is right (9600 in energy mode, 115200 in performance mode)',
    });
  }

  async close(): Promise<void> {
    this.#removeListener();
    await this.#stream.close();
  }
}

/** The way to a DUT: its own port, or an IO manager in between. */
export interface DutLink {
  /** For messages. */
  readonly name: string;
  /** Bytes of an input that one `db` command may carry. */
  readonly blockBytes: number;
  /** Makes the way ready: an IO manager throws away what it holds of the DUT's output. */
  prepare(): Promise<void>;
  /** Sends one command to the DUT and resolves when the way has taken it. */
  send(command: string): Promise<void>;
  /** The DUT's next line. @throws DeviceError `device.silent` after `limit_ms`, `device.vanished` */
  next(limit_ms: number, what: string): Promise<TimedLine>;
  /** Lines that nobody asked for. */
  take(): TimedLine[];
  close(): Promise<void>;
}

/** A DUT on its own port. */
export class DirectLink implements DutLink {
  readonly name: string;
  readonly blockBytes: number;
  readonly #port: CommandPort;
  readonly #queue: LineQueue;

  constructor(stream: ByteStream, blockBytes: number, time: TimeSource = realTime) {
    this.name = stream.name;
    this.blockBytes = blockBytes;
    this.#queue = new LineQueue(time);
    this.#port = new CommandPort(
      stream,
      (line) => this.#queue.push(line),
      (error) => this.#queue.fail(error),
      time,
    );
  }

  async prepare(): Promise<void> {}

  send(command: string): Promise<void> {
    return this.#port.send(command);
  }

  next(limit_ms: number, what: string): Promise<TimedLine> {
    return this.#queue.next(limit_ms, () => this.#port.silence(what, limit_ms));
  }

  take(): TimedLine[] {
    return this.#queue.take();
  }

  close(): Promise<void> {
    return this.#port.close();
  }
}
