import { UsageError } from '../signal/errors.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import { memoryPair } from '../transport/memory.ts';
import { openTcp } from '../transport/tcp.ts';
import { listenTcp } from '../transport/tcp-server.ts';
import type { TimeSource } from '../transport/time.ts';
import { checkEmulatorSerial, type Emulator, type EmulatorOptions, type FaultDone } from './emulator.ts';
import { emulatedWire } from './emulator-parts.ts';
import type { EmulatedInstrument, InstrumentFamily } from './family.ts';
import type { PowerInstrument } from './power-instrument.ts';

interface TcpFamily {
  id: string;
  /** Where `connection` names no port. */
  port: number;
  drive(stream: ByteStream, options: { time?: TimeSource }): PowerInstrument<never>;
  /** Serial number of the emulator where none is given. */
  serial: string;
  play(stream: ByteStream, options: EmulatorOptions): Emulator;
}

/** What all families behind a TCP server have in common: connecting, emulating in memory and over TCP. */
export function overTcp(family: TcpFamily): Pick<InstrumentFamily, 'emulate' | 'serve' | 'find' | 'connect'> {
  return {
    emulate(options): EmulatedInstrument {
      const [host, device] = emulatedWire(family.id, options);
      return { emulator: family.play(device, options), instrument: family.drive(host, { time: options.time }) };
    },
    async serve(options) {
      const emulator = new EmulatorOfConnections(family, options);
      const server = await listenTcp((stream) => emulator.connected(stream));
      return { emulator, address: server.address, close: () => server.close() };
    },
    // Nothing on a network is looked for: whoever asks strangers disturbs them.
    find: async () => [],
    async connect(connection) {
      const { host, port } = parseTcpAddress(connection, family.port);
      return family.drive(await openTcp(host, port), {});
    },
  };
}

/**
 * `host`, `host:port`, or `auto` for this machine.
 * @throws UsageError `instrument.connection`
 */
export function parseTcpAddress(connection: string, defaultPort: number): { host: string; port: number } {
  const match = /^([^:\s/]+)(?::(\d{1,5}))?$/.exec(connection === 'auto' ? '127.0.0.1' : connection);
  const port = match?.[2] === undefined ? defaultPort : Number(match[2]);
  if (match && port >= 1 && port <= 65_535) return { host: match[1]!, port };
  throw new UsageError('instrument.connection', {
    where: `instrument.connection: ${connection}`,
    problem: 'is no host and port',
    remedy: 'write it as host:port, e.g. 192.168.1.20:5025',
  });
}

/** An emulator that begins anew with each connection, as a server's session does; faults are for the next or present one. */
class EmulatorOfConnections implements Emulator {
  readonly serial: string;
  readonly #family: TcpFamily;
  readonly #options: EmulatorOptions;
  readonly #waiting: string[] = [];
  #present: Emulator | null = null;

  constructor(family: TcpFamily, options: EmulatorOptions) {
    this.#family = family;
    this.#options = { ...options, sourceStart_ns: options.sourceStart_ns ?? options.time.now_ns() };
    this.serial = checkEmulatorSerial(options.serial ?? family.serial);
  }

  get faultsDone(): readonly FaultDone[] {
    return this.#present?.faultsDone ?? [];
  }

  get firstSample_s(): number | null {
    return this.#present?.firstSample_s ?? null;
  }

  connected(stream: ByteStream): void {
    const emulator = this.#family.play(stream, { ...this.#options, serial: this.serial });
    this.#present = emulator;
    for (const fault of this.#waiting.splice(0)) emulator.inject(fault);
  }

  inject(fault: string): void {
    if (this.#present) this.#present.inject(fault);
    else {
      // A name that does not exist is refused at once, and not when somebody connects.
      const [, device] = memoryPair('fault');
      this.#family.play(device, this.#options).inject(fault);
      this.#waiting.push(fault);
    }
  }

  stop(): void {
    this.#present?.stop();
  }
}
