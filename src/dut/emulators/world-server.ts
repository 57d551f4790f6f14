import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { DeviceError } from '../../signal/errors.ts';
import type { Polarity } from '../../signal/types.ts';
import { virtualCurrents_A } from '../virtual/benchmarks.ts';
import type { DutEmulator, DutOutside, EmulatedWindow } from './dut.ts';
import { insertByTime } from './plant-driver.ts';
import { longestLine, type WorldHello, type WorldMessage, worldRequest, worldSocketOf } from './world-messages.ts';

type Item = { at_s: number; current_A: number } | { at_s: number; polarity: Polarity };

/** What the server needs of the DUT whose world it serves. */
type WorldDut = Pick<DutEmulator, 'start_ns' | 'settled_s' | 'isOn' | 'powerOn' | 'powerOff'>;

/** What was said goes out this often, with the promise of how far it reaches. */
const tellEvery_ms = 10;
/** A reader that leaves so many bytes unread is let go. */
const mostUnread = 1 << 26;

/**
 * Serves the world of an emulated DUT in real time, so that another process can measure it: one reader at a time, who holds the
 * DUT's supply while it is connected. Without a reader the DUT is on.
 */
export class WorldServer implements DutOutside {
  #dut: WorldDut | null = null;
  #server: Server | null = null;
  #timer: NodeJS.Timeout | null = null;
  #reader: Socket | null = null;
  #unsent = '';
  /** Said and not yet past. */
  #ahead: Item[] = [];
  /** How things stand where `#ahead` begins. */
  #current_A: number = virtualCurrents_A.boot;
  #isHigh = true;

  /**
   * @param port path of the DUT's serial port
   * @throws DeviceError `emulator.world` where no socket can be made
   */
  async listen(port: string, dut: WorldDut): Promise<void> {
    const path = worldSocketOf(port, true);
    if (path === null) throw unavailable(port, 'there is no folder for it that nobody else may enter');
    this.#dut = dut;
    // Left by a process that was killed: the port is ours now, and so is its name.
    rmSync(path, { force: true });
    const server = createServer((socket) => this.#greet(socket));
    server.listen(path);
    try {
      await once(server, 'listening');
    } catch (cause) {
      throw unavailable(path, (cause as Error).message, cause);
    }
    this.#server = server;
    this.#timer = setInterval(() => this.#tell(), tellEvery_ms);
  }

  level(at_s: number, current_A: number): void {
    this.#add({ at_s, current_A });
  }

  edge(at_s: number, polarity: Polarity): void {
    this.#add({ at_s, polarity });
  }

  cancelAfter(at_s: number): void {
    this.#ahead = this.#ahead.filter((item) => item.at_s <= at_s);
    if (this.#reader !== null) this.#say({ kind: 'cancel', at_ns: this.#at_ns(at_s) });
  }

  window({ start_s, end_s, inferences }: EmulatedWindow): void {
    if (this.#reader === null) return;
    this.#say({ kind: 'window', start_ns: this.#at_ns(start_s), end_ns: this.#at_ns(end_s), inferences });
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#reader?.destroy();
    const server = this.#server;
    this.#server = null;
    if (server !== null) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  #greet(socket: Socket): void {
    socket.on('error', () => {});
    if (this.#reader !== null) {
      socket.destroy();
      return;
    }
    this.#reader = socket;
    socket.once('close', () => this.#part());
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk) => {
      const lines = (text + String(chunk)).split('\n');
      text = lines.pop()!;
      if (text.length > longestLine || !lines.every((line) => this.#obey(line))) socket.destroy();
    });
    this.#forgetPast();
    const { start_ns, settled_s } = this.#dut!;
    this.#say({
      kind: 'joulemark-world',
      version: 1,
      at_ns: start_ns + settled_s * 1e9,
      current_A: this.#current_A,
      isHigh: this.#isHigh,
    });
    for (const item of this.#ahead) this.#sayItem(item);
    this.#tell();
  }

  /** Whoever held the supply is gone. */
  #part(): void {
    this.#reader = null;
    this.#unsent = '';
    if (this.#server !== null && !this.#dut!.isOn) this.#dut!.powerOn();
  }

  /** @returns false for what is no request */
  #obey(line: string): boolean {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      return false;
    }
    const request = worldRequest.safeParse(value);
    if (!request.success) return false;
    const dut = this.#dut!;
    if (request.data.on !== dut.isOn) {
      if (request.data.on) dut.powerOn();
      else dut.powerOff();
    }
    return true;
  }

  #add(item: Item): void {
    insertByTime(this.#ahead, item);
    this.#sayItem(item);
  }

  #sayItem(item: Item): void {
    if (this.#reader === null) return;
    const at_ns = this.#at_ns(item.at_s);
    if ('current_A' in item) this.#say({ kind: 'level', at_ns, current_A: item.current_A });
    else this.#say({ kind: 'edge', at_ns, polarity: item.polarity });
  }

  #say(message: WorldHello | WorldMessage): void {
    this.#unsent += `${JSON.stringify(message)}\n`;
  }

  #tell(): void {
    this.#forgetPast();
    const reader = this.#reader;
    if (reader === null) return;
    this.#say({ kind: 'progress', at_ns: this.#at_ns(this.#dut!.settled_s) });
    reader.write(this.#unsent);
    this.#unsent = '';
    if (reader.writableLength > mostUnread) reader.destroy();
  }

  #forgetPast(): void {
    const { settled_s } = this.#dut!;
    let past = 0;
    for (; past < this.#ahead.length && this.#ahead[past]!.at_s <= settled_s; past++) {
      const item = this.#ahead[past]!;
      if ('current_A' in item) this.#current_A = item.current_A;
      else this.#isHigh = item.polarity === 'rise';
    }
    if (past > 0) this.#ahead = this.#ahead.slice(past);
  }

  /** The monotonic clock's time of what happens at `at_s` of the DUT. */
  #at_ns(at_s: number): number {
    return this.#dut!.start_ns + at_s * 1e9;
  }
}

function unavailable(where: string, problem: string, cause?: unknown): DeviceError {
  return new DeviceError('emulator.world', {
    where,
    problem: `what the emulated DUT draws cannot be served beside its port: ${problem}`,
    remedy: 'set TMPDIR to a folder in which you may make others',
    cause,
  });
}
