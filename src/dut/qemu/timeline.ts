import type { Polarity } from '../../signal/types.ts';
import type { ByteStream, CloseReason } from '../../transport/byte-stream.ts';
import type { TimeSource } from '../../transport/time.ts';
import { realTime } from '../../transport/time.ts';
import type { PluginEvent } from './plugin-events.ts';

/** Virtual nanoseconds of one instruction: -icount shift=6, nearly the 62.5 ns of the nRF51's cycle. */
export const icountShift = 6;
const instruction_ns = 2 ** icountShift;

/** What the DUT did, at its exact virtual time in seconds since power-on. */
export type QemuEvent =
  | { kind: 'edge'; polarity: Polarity; time_s: number }
  | { kind: 'sent'; byte: number; time_s: number };

const LF = 0x0a;

/**
 * Joins the two ways out of QEMU into one timeline: the plugin tells when each byte was sent, the PTY brings the bytes.
 * It is the DUT's serial port, whose lines arrive at their exact virtual times, and a clock that shows them.
 */
export class QemuTimeline implements ByteStream {
  /** Virtual time; timers run in real time, because virtual time stands still while the DUT waits. */
  readonly time: TimeSource = { now_ns: () => this.#now_ns, after: realTime.after };
  readonly name: string;
  readonly closed: Promise<CloseReason>;
  readonly #uart: ByteStream;
  readonly #dataListeners = new Set<(chunk: Uint8Array) => void>();
  readonly #eventListeners = new Set<(event: QemuEvent) => void>();
  readonly #stopListening: () => void;
  #now_ns = 0;
  /** The nRF51 comes out of reset with its outputs low. */
  #level: Polarity = 'fall';
  #events: PluginEvent[] = [];
  #bytes: number[] = [];
  /** Bytes whose times are known and that nobody has heard. */
  #chunk: number[] = [];

  /** @param uart the PTY as QEMU gives it */
  constructor(uart: ByteStream) {
    this.#uart = uart;
    this.name = uart.name;
    this.closed = uart.closed;
    this.#stopListening = uart.onData((chunk) => {
      for (const byte of chunk) this.#bytes.push(byte);
      this.#join();
    });
  }

  /** Takes what the plugin told. */
  push(events: readonly PluginEvent[]): void {
    this.#events.push(...events);
    this.#join();
  }

  /** Calls `listener` for everything that the DUT does, in order; a byte before the data listeners have it. */
  onEvent(listener: (event: QemuEvent) => void): () => void {
    this.#eventListeners.add(listener);
    return () => this.#eventListeners.delete(listener);
  }

  onData(listener: (chunk: Uint8Array) => void): () => void {
    this.#dataListeners.add(listener);
    this.#deliver();
    return () => this.#dataListeners.delete(listener);
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#uart.write(bytes);
  }

  close(): Promise<void> {
    this.#stopListening();
    return this.#uart.close();
  }

  #join(): void {
    let taken = 0;
    let used = 0;
    for (const event of this.#events) {
      if (event.kind === 'sent' && used === this.#bytes.length) break;
      taken++;
      this.#now_ns = event.instructions * instruction_ns;
      const time_s = this.#now_ns * 1e-9;
      if (event.kind === 'edge') {
        // Setting what is set is a write, and no edge.
        if (event.polarity !== this.#level) this.#tell({ kind: 'edge', polarity: event.polarity, time_s });
        this.#level = event.polarity;
      } else {
        const byte = this.#bytes[used++]!;
        this.#tell({ kind: 'sent', byte, time_s });
        this.#chunk.push(byte);
        // A line is heard at the time of its own end.
        if (byte === LF) this.#deliver();
      }
    }
    this.#events.splice(0, taken);
    this.#bytes.splice(0, used);
    this.#deliver();
  }

  #tell(event: QemuEvent): void {
    for (const listener of this.#eventListeners) listener(event);
  }

  #deliver(): void {
    if (this.#chunk.length === 0 || this.#dataListeners.size === 0) return;
    const chunk = Uint8Array.from(this.#chunk);
    this.#chunk = [];
    for (const listener of this.#dataListeners) listener(chunk);
  }
}
