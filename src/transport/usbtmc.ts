import { type FileHandle, open } from 'node:fs/promises';
import { DeviceError } from '../signal/errors.ts';
import type { CloseReason } from './byte-stream.ts';
import { alreadyClosed, openFailure, silent, stalled, vanished } from './errors.ts';
import { realTime, within } from './time.ts';

const LIMIT_MS = 2000;
/** Read at a time; the kernel gives at most one message. */
const READ_BYTES = 1 << 16;

/** A device that answers in messages and only when it has been asked: a USBTMC instrument through the kernel's driver. */
export interface MessageDevice {
  readonly name: string;
  /** Settles once, when the device is closed or vanishes; never rejects. */
  readonly closed: Promise<CloseReason>;
  /** @throws DeviceError `device.vanished`, `device.stalled` after 2 s, `transport.closed` */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * Some bytes of the answer. Only to be called when one is due: an instrument that was not asked takes a read for an error.
   * @throws DeviceError `device.silent` after `limit_ms`, `device.vanished`
   */
  read(limit_ms: number): Promise<Uint8Array>;
  /** Idempotent; never rejects. */
  close(): Promise<void>;
}

/**
 * Opens a device file of the Linux driver `usbtmc`, e.g. `/dev/usbtmc0`.
 * @throws DeviceError `device.missing`, `device.permission`, `device.busy` or `device.open`
 */
export async function openUsbtmc(path: string): Promise<MessageDevice> {
  let file: FileHandle;
  try {
    file = await open(path, 'r+');
  } catch (cause) {
    throw openFailure(path, cause);
  }
  return new DeviceFile(path, file);
}

class DeviceFile implements MessageDevice {
  readonly name: string;
  readonly closed: Promise<CloseReason>;
  readonly #file: FileHandle;
  #settle: (reason: CloseReason) => void = () => {};
  #reason: CloseReason | null = null;

  constructor(path: string, file: FileHandle) {
    this.name = path;
    this.#file = file;
    this.closed = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#check();
    const written = this.#file.write(bytes).catch((cause) => this.#fail(cause, 'writing', LIMIT_MS));
    await within(realTime, LIMIT_MS, written, () => stalled(this.name, 'writing'));
  }

  async read(limit_ms: number): Promise<Uint8Array> {
    this.#check();
    const buffer = new Uint8Array(READ_BYTES);
    const answer = this.#file
      .read(buffer, 0, READ_BYTES, null)
      .catch((cause): never => this.#fail(cause, 'a query', limit_ms));
    const { bytesRead } = await within(realTime, limit_ms, answer, () => silent(this.name, 'a query', limit_ms));
    return buffer.subarray(0, bytesRead);
  }

  async close(): Promise<void> {
    if (!this.#reason) this.#shut({ kind: 'closed' });
    await this.#file.close().catch(() => {});
  }

  #shut(reason: CloseReason): void {
    this.#reason = reason;
    this.#settle(reason);
  }

  #check(): void {
    if (this.#reason) throw this.#reason.kind === 'lost' ? this.#reason.error : alreadyClosed(this.name);
  }

  #fail(cause: unknown, what: string, limit_ms: number): never {
    const code = cause instanceof Error && 'code' in cause ? cause.code : '';
    if (code === 'ETIMEDOUT') throw silent(this.name, what, limit_ms);
    if (['ENODEV', 'EIO', 'ENXIO', 'ESHUTDOWN'].includes(String(code))) {
      const error = vanished(this.name, cause);
      if (!this.#reason) this.#shut({ kind: 'lost', error });
      throw error;
    }
    throw new DeviceError('device.error', {
      where: this.name,
      problem: `${what} failed: ${cause instanceof Error ? cause.message : String(cause)}`,
      remedy: 'switch the instrument off and on, and start again',
      cause,
    });
  }
}
