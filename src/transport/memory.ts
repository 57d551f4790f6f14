import type { DeviceError } from '../signal/errors.ts';
import type { ByteStream, CloseReason } from './byte-stream.ts';
import { alreadyClosed, vanished } from './errors.ts';
import type { LinkDelay } from './time.ts';

/**
 * How many of the `available` bytes the next chunk carries. 0 holds them back for one turn of the event loop, so that
 * later writes join them.
 */
export type Chunking = (available: number) => number;

const asTheyCome: Chunking = (available) => available;

/** One end of an in-memory connection. */
export interface MemoryStream extends ByteStream {
  /** Breaks the connection as pulling the cable does: bytes under way are lost, both ends are `lost`. */
  unplug(): void;
}

class MemoryEnd implements MemoryStream {
  readonly name: string;
  readonly closed: Promise<CloseReason>;
  peer: MemoryEnd | null = null;
  #settleClosed: (reason: CloseReason) => void = () => {};
  #reason: CloseReason | null = null;
  #chunking: Chunking;
  readonly #delay: LinkDelay | null;
  #listeners = new Set<(chunk: Uint8Array) => void>();
  #hadListener = false;
  #inbox: Uint8Array[] = [];
  #size = 0;
  #scheduled = false;

  constructor(name: string, chunking: Chunking, delay: LinkDelay | null) {
    this.name = name;
    this.#chunking = chunking;
    this.#delay = delay;
    this.closed = new Promise((resolve) => {
      this.#settleClosed = resolve;
    });
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#reason) throw this.#reason.kind === 'lost' ? this.#reason.error : alreadyClosed(this.name);
    const { peer } = this;
    const sent = bytes.slice();
    if (this.#delay === null) peer?.receive(sent);
    else this.#delay.deliver(() => peer?.receive(sent));
  }

  onData(listener: (chunk: Uint8Array) => void): () => void {
    this.#listeners.add(listener);
    this.#hadListener = true;
    this.#schedule();
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.shut({ kind: 'closed' });
    this.peer?.shut({ kind: 'lost', error: vanished(this.peer.name) });
  }

  unplug(): void {
    const lost = (where: string): { kind: 'lost'; error: DeviceError } => ({ kind: 'lost', error: vanished(where) });
    this.shut(lost(this.name));
    this.peer?.shut(lost(this.peer.name));
  }

  shut(reason: CloseReason): void {
    if (this.#reason) return;
    this.#reason = reason;
    this.#inbox = [];
    this.#size = 0;
    this.#settleClosed(reason);
  }

  receive(bytes: Uint8Array): void {
    if (this.#reason) return;
    this.#inbox.push(bytes);
    this.#size += bytes.length;
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled || !this.#hadListener || this.#size === 0) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#deliver(false));
  }

  #deliver(insist: boolean): void {
    this.#scheduled = false;
    while (this.#size > 0) {
      const wanted = Math.min(this.#chunking(this.#size), this.#size);
      if (wanted <= 0 && !insist) {
        this.#scheduled = true;
        setImmediate(() => this.#deliver(true));
        return;
      }
      const chunk = this.#take(wanted <= 0 ? this.#size : wanted);
      for (const listener of this.#listeners) listener(chunk);
    }
  }

  #take(n: number): Uint8Array {
    const head = this.#inbox[0]!;
    this.#size -= n;
    if (head.length === n) return this.#inbox.shift()!;
    const chunk = new Uint8Array(n);
    for (let filled = 0; filled < n; ) {
      const part = this.#inbox[0]!;
      const used = Math.min(part.length, n - filled);
      chunk.set(part.subarray(0, used), filled);
      filled += used;
      if (used === part.length) this.#inbox.shift();
      else this.#inbox[0] = part.subarray(used);
    }
    return chunk;
  }
}

/**
 * Two ends of a connection inside the process, first the host's, then the device's. `chunking` decides how bytes are
 * split and merged on their way to the host, as no real transport keeps the borders of writes. `delay` makes a new way in
 * one direction, on which bytes take their time; absent, they take none.
 */
export function memoryPair(
  name: string,
  chunking: Chunking = asTheyCome,
  delay: (() => LinkDelay) | null = null,
): [host: MemoryStream, device: MemoryStream] {
  const host = new MemoryEnd(name, chunking, delay?.() ?? null);
  const device = new MemoryEnd(`${name} (device side)`, asTheyCome, delay?.() ?? null);
  host.peer = device;
  device.peer = host;
  return [host, device];
}
