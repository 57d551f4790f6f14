import type { ByteStream } from '../transport/byte-stream.ts';
import { type MemoryStream, memoryPair } from '../transport/memory.ts';
import { LinkDelay, type TimeSource } from '../transport/time.ts';
import type { EmulatorOptions } from './emulator.ts';

/** Faults that wait for the moment at which the emulator can carry them out. */
export class PendingFaults {
  readonly #faults: { name: string; value: number }[] = [];

  add(fault: { name: string; value: number }): void {
    this.#faults.push(fault);
  }

  /** The fault if it waits, which it goes on doing: a lasting condition. */
  find(name: string): { value: number } | null {
    return this.#faults.find((fault) => fault.name === name) ?? null;
  }

  has(name: string): boolean {
    return this.find(name) !== null;
  }

  /** The fault if it waits; it happens now, and once. */
  take(name: string): { value: number } | null {
    const at = this.#faults.findIndex((fault) => fault.name === name);
    return at < 0 ? null : this.#faults.splice(at, 1)[0]!;
  }
}

/** Sends; a host that has gone away is no failure of the instrument. */
export function sendToHost(stream: ByteStream, bytes: Uint8Array): Promise<void> {
  return stream.write(bytes).catch(() => {});
}

/** Calls `callback` when `time` is `due_ns`. @returns a function that cancels it */
export function callAt(time: TimeSource, due_ns: number, callback: () => void): () => void {
  return time.after((due_ns - time.now_ns()) / 1e6, callback);
}

/** The wire in memory between a driver and its emulator. */
export function emulatedWire(
  family: string,
  { time, delay_ms }: EmulatorOptions,
): [host: MemoryStream, device: MemoryStream] {
  const delay = delay_ms === undefined ? null : () => new LinkDelay(time, delay_ms);
  return memoryPair(`emulated ${family}`, undefined, delay);
}
