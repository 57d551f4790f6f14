import { DutClient } from '../dut/client.ts';
import { DirectLink } from '../dut/command-port.ts';
import { IoManager } from '../dut/io-manager.ts';
import type { TimedLine } from '../dut/line-queue.ts';
import { directBlockBytes } from '../dut/protocol.ts';
import { InterruptedError } from '../signal/errors.ts';
import { openSerial, type SerialPortStream } from '../transport/serial.ts';
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

/** A DUT that answers, with the way to it. */
export interface OpenDut {
  client: DutClient;
  io: IoManager | null;
  /** The open port. */
  port: SerialPortStream;
  /** Where the lines of the DUT and the IO manager go. */
  onLine(listener: ((source: 'dut' | 'io', line: TimedLine) => void) | null): void;
}

/**
 * Opens the port that the rig names; behind an IO manager it is that one's.
 * @param scores numbers in an answer, or null where that is not known
 * @throws DeviceError as the port
 */
export async function openDut(rig: Rig, firmware: 'energy' | 'performance', scores: number | null): Promise<OpenDut> {
  const { connection, via } = rig.dut;
  let listener: ((source: 'dut' | 'io', line: TimedLine) => void) | null = null;
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
  if (!isRelayed)
    return { client: new DutClient(new DirectLink(stream, directBlockBytes), options), io: null, port: stream, onLine };
  const io = new IoManager(stream, {
    dutBaud: rig.dut.baud ?? relayedBaud,
    onLine: (line) => listener?.('io', line),
  });
  return { client: new DutClient(io.dutLink(), options), io, port: stream, onLine };
}
