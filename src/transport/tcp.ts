import { connect, type Socket } from 'node:net';
import { DeviceError } from '../signal/errors.ts';
import type { ByteStream, CloseReason } from './byte-stream.ts';
import { alreadyClosed, stalled, vanished } from './errors.ts';
import { realTime, within } from './time.ts';

const LIMIT_MS = 2000;

/**
 * Connects to a TCP server.
 * @throws DeviceError `device.missing` where nothing listens, `device.stalled` where nothing answers within 2 s
 */
export async function openTcp(host: string, port: number): Promise<ByteStream> {
  const where = `${host}:${port}`;
  const socket = connect({ host, port, noDelay: true });
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', (cause) =>
      reject(
        new DeviceError('device.missing', {
          where,
          problem: `no connection: ${cause.message}`,
          remedy: 'check the address, that the instrument is on, and that its network server is enabled',
          cause,
        }),
      ),
    );
  });
  try {
    await within(realTime, LIMIT_MS, connected, () => stalled(where, 'connecting'));
  } catch (error) {
    socket.destroy();
    throw error;
  }
  return new TcpStream(where, socket);
}

/** A connected socket as a byte stream; servers of emulators use it for their own side. */
export class TcpStream implements ByteStream {
  readonly name: string;
  readonly closed: Promise<CloseReason>;
  readonly #socket: Socket;
  #closing = false;
  #reason: CloseReason | null = null;

  constructor(name: string, socket: Socket) {
    this.name = name;
    this.#socket = socket;
    let cause: unknown;
    socket.on('error', (error) => {
      cause = error;
    });
    socket.on('end', () => socket.destroy());
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        this.#reason = this.#closing ? { kind: 'closed' } : { kind: 'lost', error: vanished(name, cause) };
        resolve(this.#reason);
      });
    });
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#reason?.kind === 'lost') throw this.#reason.error;
    if (this.#closing || this.#socket.destroyed) throw alreadyClosed(this.name);
    const written = new Promise<void>((resolve, reject) => {
      this.#socket.write(bytes, (error) => (error ? reject(vanished(this.name, error)) : resolve()));
    });
    await within(realTime, LIMIT_MS, written, () => stalled(this.name, 'writing'));
  }

  onData(listener: (chunk: Uint8Array) => void): () => void {
    const forward = (chunk: Buffer) => listener(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length));
    this.#socket.on('data', forward);
    return () => {
      this.#socket.off('data', forward);
    };
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#socket.destroy();
    await this.closed;
  }
}
