import { close, constants, openSync, read, write } from 'node:fs';
import { DeviceError } from '../signal/errors.ts';
import type { ByteStream, CloseReason } from './byte-stream.ts';
import { alreadyClosed, missingModule } from './errors.ts';

/** A pseudo-terminal: programs open `path` like a serial port, and `device` is what they talk to. */
export interface Pty {
  /** Path of the port, e.g. `/dev/pts/7`. */
  path: string;
  /**
   * The device's side. A program that opens the port and does not read holds up write() for as long as it likes;
   * nothing tells this side when a program closes the port.
   */
  device: ByteStream;
}

/** How often a master without data is looked at again; it bounds the latency that the PTY adds. */
const IDLE_POLL_MS = 1;
/** sizeof(struct termios) is 60 on Linux and 72 on macOS. */
const TERMIOS_BYTES = 256;
/** A program that is started meanwhile must not keep the port alive; Node has no name for it. */
const closeOnExec = process.platform === 'linux' ? 0o2000000 : 0;
const TCSANOW = 0;

const isAgain = (error: NodeJS.ErrnoException): boolean => error.code === 'EAGAIN' || error.code === 'EWOULDBLOCK';

/**
 * Opens a pseudo-terminal in raw mode.
 * @throws DeviceError `dependency.missing` without koffi, `pty.unavailable` where the system gives none
 */
export async function openPty(): Promise<Pty> {
  const libc = await loadLibc();
  const master = libc.posix_openpt(constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK | closeOnExec);
  if (master < 0 || libc.grantpt(master) !== 0 || libc.unlockpt(master) !== 0) {
    throw new DeviceError('pty.unavailable', {
      where: '/dev/ptmx',
      problem: 'the system gives no pseudo-terminal',
      remedy: 'check that /dev/ptmx and /dev/pts exist (in a container, mount devpts)',
    });
  }
  const path = libc.ptsname(master);
  // Without one open slave the master fails with EIO as soon as a client closes the port.
  const slave = openSync(path, constants.O_RDWR | constants.O_NOCTTY);
  const termios = Buffer.alloc(TERMIOS_BYTES);
  libc.tcgetattr(slave, termios);
  // Raw before anybody opens it: otherwise echo and \n -> \r\n corrupt binary protocols.
  libc.cfmakeraw(termios);
  libc.tcsetattr(slave, TCSANOW, termios);
  return { path, device: new PtyMaster(path, master, slave) };
}

interface Libc {
  posix_openpt(flags: number): number;
  grantpt(fd: number): number;
  unlockpt(fd: number): number;
  ptsname(fd: number): string;
  tcgetattr(fd: number, termios: Buffer): number;
  tcsetattr(fd: number, action: number, termios: Buffer): number;
  cfmakeraw(termios: Buffer): void;
}

async function loadLibc(): Promise<Libc> {
  try {
    const { default: koffi } = await import('koffi');
    // null, not 'libc.so.6': a preloaded library (umockdev) must be able to step in between.
    const libc = koffi.load(null);
    return {
      posix_openpt: libc.func('int posix_openpt(int)'),
      grantpt: libc.func('int grantpt(int)'),
      unlockpt: libc.func('int unlockpt(int)'),
      ptsname: libc.func('const char *ptsname(int)'),
      tcgetattr: libc.func('int tcgetattr(int, void *)'),
      tcsetattr: libc.func('int tcsetattr(int, int, void *)'),
      cfmakeraw: libc.func('void cfmakeraw(void *)'),
    };
  } catch (cause) {
    throw missingModule('koffi', 'pseudo-terminals', cause);
  }
}

/** The master side, by plain reads and writes: Node's tty streams write synchronously and would deadlock. */
class PtyMaster implements ByteStream {
  readonly name: string;
  readonly closed: Promise<CloseReason>;
  readonly #master: number;
  readonly #slave: number;
  #settleClosed: (reason: CloseReason) => void = () => {};
  #isClosed = false;
  #inFlight = 0;
  #listeners = new Set<(chunk: Uint8Array) => void>();
  #polling = false;
  #writes: Promise<void> = Promise.resolve();
  readonly #buffer = Buffer.alloc(65536);

  constructor(path: string, master: number, slave: number) {
    this.name = `${path} (device side)`;
    this.#master = master;
    this.#slave = slave;
    this.closed = new Promise((resolve) => {
      this.#settleClosed = resolve;
    });
  }

  write(bytes: Uint8Array): Promise<void> {
    const mine = this.#writes.then(() => this.#writeNow(bytes));
    this.#writes = mine.catch(() => {});
    return mine;
  }

  onData(listener: (chunk: Uint8Array) => void): () => void {
    this.#listeners.add(listener);
    if (!this.#polling) {
      this.#polling = true;
      this.#poll();
    }
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#inFlight === 0) this.#release();
    await this.closed;
  }

  #release(): void {
    close(this.#slave, () => {});
    close(this.#master, () => this.#settleClosed({ kind: 'closed' }));
  }

  /** Counts a system call in flight: a descriptor must not be closed (and reused) under it. */
  #finish(): boolean {
    this.#inFlight--;
    if (this.#isClosed && this.#inFlight === 0) this.#release();
    return !this.#isClosed;
  }

  #poll(): void {
    if (this.#isClosed) return;
    this.#inFlight++;
    read(this.#master, this.#buffer, 0, this.#buffer.length, null, (error, n) => {
      if (!this.#finish()) return;
      if (!error && n > 0) {
        const chunk = new Uint8Array(this.#buffer.subarray(0, n));
        for (const listener of this.#listeners) listener(chunk);
        setImmediate(() => this.#poll());
      } else {
        setTimeout(() => this.#poll(), IDLE_POLL_MS);
      }
    });
  }

  async #writeNow(bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.length; ) {
      if (this.#isClosed) throw alreadyClosed(this.name);
      const taken = await new Promise<number>((resolve, reject) => {
        this.#inFlight++;
        write(this.#master, bytes, offset, bytes.length - offset, null, (error, n) => {
          this.#finish();
          if (!error) resolve(n);
          else if (isAgain(error)) resolve(0);
          else reject(error);
        });
      });
      offset += taken;
      if (taken === 0) await new Promise((resolve) => setTimeout(resolve, IDLE_POLL_MS));
    }
  }
}
