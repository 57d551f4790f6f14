import { DutClient } from '../dut/client.ts';
import { DirectLink } from '../dut/command-port.ts';
import { IoManager } from '../dut/io-manager.ts';
import type { TimedLine } from '../dut/line-queue.ts';
import { directBlockBytes } from '../dut/protocol.ts';
import { InterruptedError } from '../signal/errors.ts';
import { openSerial, type SerialPortStream } from '../transport/serial.ts';
import { realTime, type TimeSource } from '../transport/time.ts';
import type { Rig } from './rig-file.ts';

/** Of a DUT behind an IO manager, of the port to that, and of a DUT by itself, where the rig does not say. */
const relayedBaud = 9600;
const ioManagerBaud = 115_200;
const modeBaud = { energy: 9600, performance: 115_200 } as const;

/**
 * The outcome of a preparation, or the end of it as soon as the run is interrupted; the work itself ends when its port is closed.
 * @throws InterruptedError
 */
export function unlessInterrupted<T>(interrupt: AbortSignal | undefined, work: Promise<T>): Promise<T> {
  if (interrupt === undefined) return work;
  return new Promise<T>((resolve, reject) => {
    const stop = () =>
      reject(
        new InterruptedError('run.interrupted', {
          where: 'the run',
          problem: 'was interrupted before it began',
          remedy: 'nothing was recorded; start it again',
        }),
      );
    if (interrupt.aborted) stop();
    interrupt.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => interrupt.removeEventListener('abort', stop));
  });
}

/** Takes the lines of the DUT and the IO manager. */
export type LineListener = (source: 'dut' | 'io', line: TimedLine) => void;

/** A DUT with the way to it. */
export interface ReachedDut {
  client: DutClient;
  io: IoManager | null;
  /** The time that it lives in. */
  time: TimeSource;
  /** Where the lines of the DUT and the IO manager go. */
  onLine(listener: LineListener | null): void;
  /** Idempotent; never rejects. */
  close(): Promise<void>;
}

/** A DUT behind a serial port of this computer. */
export interface OpenDut extends ReachedDut {
  /** The open port. */
  port: SerialPortStream;
}

/**
 * Opens the port that the rig names; behind an IO manager it is that one's.
 * @param scores numbers in an answer, or null where that is not known
 * @throws DeviceError as the port
 */
export async function openDut(rig: Rig, firmware: 'energy' | 'performance', scores: number | null): Promise<OpenDut> {
  const { connection, via } = rig.dut;
  let listener: LineListener | null = null;
  const options = {
    ...(scores === null ? {} : { scores }),
    onLine: (line: TimedLine) => listener?.('dut', line),
  };
  const onLine: OpenDut['onLine'] = (next) => {
    listener = next;
  };
  const isRelayed = via === 'io-manager';
  const baudRate = isRelayed ? ioManagerBaud : (rig.dut.baud ?? modeBaud[firmware]);
  const stream = await openSerial(connection, { baudRate });
  const io = isRelayed
    ? new IoManager(stream, {
        dutBaud: rig.dut.baud ?? relayedBaud,
        onLine: (line) => listener?.('io', line),
      })
    : null;
  const client = new DutClient(io === null ? new DirectLink(stream, directBlockBytes) : io.dutLink(), options);
  return { client, io, port: stream, time: realTime, onLine, close: () => client.close() };
}
