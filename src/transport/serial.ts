import { DeviceError } from '../signal/errors.ts';
import type { ByteStream, CloseReason } from './byte-stream.ts';
import { alreadyClosed, missingModule, openFailure, stalled, vanished } from './errors.ts';
import { realTime, within } from './time.ts';

/** How long an operation of the operating system's port may take. */
const LIMIT_MS = 2000;
/** How often a port without data is asked whether it is still there. */
const WATCH_MS = 250;
/** What the system answers for a port that has been hung up (and not for one without control lines: ENOTTY). */
const HUNG_UP = /input\/output error|bad file descriptor|no such device|EIO|EBADF|ENODEV|ENXIO/i;

/** A serial port that the operating system knows. */
export interface SerialPortInfo {
  path: string;
  /** USB vendor and product id, or null where it is no USB port. */
  vendorId: number | null;
  productId: number | null;
  /** USB serial number. */
  serial: string | null;
  manufacturer: string | null;
  /** Number of the USB interface that carries the port, or null where it cannot be told. */
  usbInterface: number | null;
}

export interface SerialOptions {
  baudRate: number;
  /** Control lines to set after opening. Ports without them (a PTY, many USB devices) ignore this. */
  signals?: { dtr?: boolean; rts?: boolean };
}

/** An open serial port: bytes, and the levels of its input lines. */
export interface SerialPortStream extends ByteStream {
  /** @throws DeviceError `device.no-control-lines` where the port has none (a PTY) */
  inputLines(): Promise<{ cts: boolean; dsr: boolean }>;
}

type SerialModule = Pick<typeof import('serialport'), 'SerialPort'>;
type LoadSerial = () => Promise<SerialModule>;

const loadSerialport: LoadSerial = () => import('serialport');

async function load(loader: LoadSerial): Promise<SerialModule['SerialPort']> {
  try {
    return (await loader()).SerialPort;
  } catch (cause) {
    throw missingModule('serialport', 'serial ports', cause);
  }
}

const hex = (text: string | undefined): number | null => {
  const value = Number.parseInt(text ?? '', 16);
  return Number.isNaN(value) ? null : value;
};

/**
 * The serial ports of this machine, with USB ids where they have them.
 * @throws DeviceError `dependency.missing` where serialport cannot be loaded
 */
export async function listSerial(loader: LoadSerial = loadSerialport): Promise<SerialPortInfo[]> {
  const SerialPort = await load(loader);
  const ports = await SerialPort.list();
  return ports.map((port) => ({
    path: port.path,
    vendorId: hex(port.vendorId),
    productId: hex(port.productId),
    serial: port.serialNumber ?? null,
    manufacturer: port.manufacturer ?? null,
    usbInterface: hex(
      /-if([0-9a-f]{2})\b/i.exec(port.pnpId ?? '')?.[1] ?? /MI_([0-9A-F]{2})/i.exec(port.pnpId ?? '')?.[1],
    ),
  }));
}

/**
 * Opens a serial port, 8N1. Bulk in both directions at once can stall a write inside serialport 13 (seen on PTYs, with
 * writes larger than the system's buffer); write() then rejects with `device.stalled`. Commands are far smaller.
 * @throws DeviceError `device.missing`, `device.permission`, `device.busy`, `device.open`, `device.stalled` or
 * `dependency.missing`
 */
export async function openSerial(
  path: string,
  options: SerialOptions,
  loader: LoadSerial = loadSerialport,
): Promise<SerialPortStream> {
  const SerialPort = await load(loader);
  let port: InstanceType<typeof SerialPort>;
  try {
    port = new SerialPort({ path, baudRate: options.baudRate, autoOpen: false, highWaterMark: 65536 });
  } catch (cause) {
    throw openFailure(path, cause);
  }
  const opened = new Promise<void>((resolve, reject) => {
    port.open((error) => (error ? reject(openFailure(path, error)) : resolve()));
  });
  await within(realTime, LIMIT_MS, opened, () => stalled(path, 'opening the port'));
  if (options.signals) {
    const signals = options.signals;
    // A PTY and many USB devices have no control lines (ENOTTY); they need none either.
    await new Promise<void>((resolve) => port.set(signals, () => resolve()));
  }
  return new SerialStream(path, port);
}

class SerialStream implements SerialPortStream {
  readonly name: string;
  readonly closed: Promise<CloseReason>;
  readonly #port: InstanceType<SerialModule['SerialPort']>;
  readonly #watch: NodeJS.Timeout;
  #heard = false;
  #closing = false;
  #reason: CloseReason | null = null;

  constructor(name: string, port: InstanceType<SerialModule['SerialPort']>) {
    this.name = name;
    this.#port = port;
    this.#watch = setInterval(() => this.#checkAlive(), WATCH_MS).unref();
    this.closed = new Promise((resolve) => {
      port.once('close', (error?: Error | null) => {
        clearInterval(this.#watch);
        this.#reason = this.#closing ? { kind: 'closed' } : { kind: 'lost', error: vanished(name, error) };
        resolve(this.#reason);
      });
    });
    // Errors of a dying port arrive both here and as `close`, which is the one that counts; unheard they would throw.
    port.on('error', () => {});
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#reason?.kind === 'lost') throw this.#reason.error;
    if (this.#closing || !this.#port.isOpen) throw alreadyClosed(this.name);
    const written = new Promise<void>((resolve, reject) => {
      this.#port.write(Buffer.from(bytes), (error) => (error ? reject(vanished(this.name, error)) : resolve()));
    });
    // serialport never calls back for a write to a port that closes meanwhile.
    const lost = this.closed.then((reason) => {
      throw reason.kind === 'lost' ? reason.error : alreadyClosed(this.name);
    });
    await within(realTime, LIMIT_MS, Promise.race([written, lost]), () => stalled(this.name, 'writing'));
  }

  onData(listener: (chunk: Uint8Array) => void): () => void {
    const forward = (chunk: Buffer) => {
      this.#heard = true;
      listener(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length));
    };
    this.#port.on('data', forward);
    return () => {
      this.#port.off('data', forward);
      // Without this the port pauses once it has no listener, and stale bytes would greet the next one.
      this.#port.resume();
    };
  }

  async inputLines(): Promise<{ cts: boolean; dsr: boolean }> {
    const asked = new Promise<{ cts: boolean; dsr: boolean }>((resolve, reject) => {
      this.#port.get((error, status) => {
        if (!error && status) resolve({ cts: status.cts, dsr: status.dsr });
        else {
          reject(
            new DeviceError('device.no-control-lines', {
              where: this.name,
              problem: `its control lines cannot be read: ${error?.message ?? 'no answer'}`,
              remedy: 'use a serial adapter that has CTS and DSR',
              cause: error,
            }),
          );
        }
      });
    });
    return within(realTime, LIMIT_MS, asked, () => stalled(this.name, 'reading the control lines'));
  }

  async close(): Promise<void> {
    if (this.#closing || !this.#port.isOpen) return;
    this.#closing = true;
    const closed = new Promise<void>((resolve) => {
      this.#port.close(() => resolve());
    });
    await within(realTime, LIMIT_MS, closed, () => stalled(this.name, 'closing')).catch(() => {});
  }

  /**
   * serialport takes a port that vanishes while data flows for one without news: its reads return 0 bytes, and it
   * reads again for ever. Any ioctl tells the truth.
   */
  #checkAlive(): void {
    const heard = this.#heard;
    this.#heard = false;
    if (heard || this.#closing || !this.#port.isOpen) return;
    this.#port.get((error) => {
      if (error && HUNG_UP.test(error.message) && this.#port.isOpen && !this.#closing) this.#port.close(() => {});
    });
  }
}
