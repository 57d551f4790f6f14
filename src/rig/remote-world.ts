import { connect, type Socket } from 'node:net';
import { PlantDriver } from '../dut/emulators/plant-driver.ts';
import {
  longestLine,
  type WorldHello,
  type WorldMessage,
  type WorldRequest,
  worldHello,
  worldMessage,
  worldSocketOf,
} from '../dut/emulators/world-messages.ts';
import type { InferenceWindow } from '../dut/virtual/index.ts';
import { Plant } from '../plant/plant.ts';
import { DeviceError } from '../signal/errors.ts';
import { realTime, within } from '../transport/time.ts';
import { type DutWorld, sourceResistance_ohm } from './dut-world.ts';
import type { Rig } from './rig-file.ts';

/** Whoever listens there must say what it is within this time. */
const greeting_ms = 2000;
/** It tells how far it has come every 10 ms; after this long without, it has stopped. */
const silence_ms = 5000;
const watchEvery_ms = 250;
/** The plant begins this long before the first line: an instrument may look back that far. */
const before_s = 1;
/** More than this is not kept. */
const mostAhead = 1 << 22;

/** The world of an emulated DUT in another process, as that process tells of it. */
export class RemoteWorld implements DutWorld {
  readonly isExact = true;
  readonly plant: Plant;
  readonly start_ns: number;
  readonly #driver: PlantDriver;
  readonly #port: string;
  readonly #channel: string;
  readonly #socket: Socket;
  readonly #watch: NodeJS.Timeout;
  #text: string;
  #settled_s = before_s;
  #heard_ns = realTime.now_ns();
  #windows: InferenceWindow[] = [];
  #isClosed = false;
  #lost: DeviceError | null = null;
  #onLost: (error: DeviceError) => void = () => {};

  /**
   * The world of the emulated DUT behind the rig's serial port.
   * @returns null where none is served: a real port, an emulator that has ended, or somebody else who listens there
   */
  static async find(rig: Rig): Promise<RemoteWorld | null> {
    const path = worldSocketOf(rig.dut.connection);
    if (path === null) return null;
    const socket = connect(path).setEncoding('utf8');
    try {
      const { hello, rest } = await within(realTime, greeting_ms, greetingOn(socket), () => new Error('no greeting'));
      return new RemoteWorld(rig, socket, hello, rest);
    } catch {
      socket.destroy();
      return null;
    }
  }

  private constructor(rig: Rig, socket: Socket, hello: WorldHello, rest: string) {
    this.#port = rig.dut.connection;
    this.#channel = rig.trigger.channel;
    this.#socket = socket;
    this.#text = rest;
    this.start_ns = hello.at_ns - before_s * 1e9;
    this.plant = new Plant({
      supply_V: rig.supply?.voltage_V ?? 3,
      sourceResistance_ohm,
      waves: [],
      channels: { [this.#channel]: hello.isHigh },
    });
    this.#driver = new PlantDriver(this.plant, hello.current_A);
    socket.on('data', (chunk) => this.#receive(String(chunk)));
    socket.on('error', () => {});
    socket.on('close', () => this.#lose('it has ended'));
    this.#watch = setInterval(() => {
      const silent_ms = (realTime.now_ns() - this.#heard_ns) / 1e6;
      if (silent_ms > silence_ms) this.#lose(`it says nothing for ${silence_ms / 1000} s`);
    }, watchEvery_ms);
    this.#receive('');
    socket.resume();
  }

  settled_s(): number {
    return this.#lost === null ? this.#settled_s : Number.POSITIVE_INFINITY;
  }

  power(on: boolean): void {
    if (this.#isClosed || this.#lost !== null) return;
    this.#socket.write(`${JSON.stringify({ kind: 'power', on } satisfies WorldRequest)}\n`);
  }

  takeWindows(): InferenceWindow[] {
    return this.#windows.splice(0);
  }

  takeLateness_s(): number {
    return this.#driver.takeLateness_s();
  }

  onLost(listener: (error: DeviceError) => void): void {
    this.#onLost = listener;
    if (this.#lost !== null) listener(this.#lost);
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#watch);
    this.#socket.end();
  }

  #receive(chunk: string): void {
    this.#heard_ns = realTime.now_ns();
    const lines = (this.#text + chunk).split('\n');
    this.#text = lines.pop()!;
    for (const line of lines) {
      const message = parsed(worldMessage, line);
      if (message === null) {
        this.#lose('what it says is not understood');
        return;
      }
      this.#take(message);
    }
    if (this.#text.length > longestLine || this.#driver.ahead > mostAhead) this.#lose('it says too much');
  }

  #take(message: WorldMessage): void {
    switch (message.kind) {
      case 'level':
        this.#driver.level(this.#at_s(message.at_ns), message.current_A);
        break;
      case 'edge':
        this.#driver.edge(this.#at_s(message.at_ns), this.#channel, message.polarity);
        break;
      case 'cancel':
        this.#driver.cancelAfter(this.#at_s(message.at_ns));
        break;
      case 'window': {
        const [start_s, end_s] = [this.#at_s(message.start_ns), this.#at_s(message.end_ns)];
        if (start_s > 0) this.#windows.push({ kind: 'window', start_s, end_s, inferences: message.inferences });
        break;
      }
      case 'progress':
        this.#settled_s = Math.max(this.#settled_s, this.#at_s(message.at_ns));
    }
  }

  #at_s(at_ns: number): number {
    return (at_ns - this.start_ns) / 1e9;
  }

  /** From now on the plant stays as it is. */
  #lose(problem: string): void {
    if (this.#isClosed || this.#lost !== null) return;
    clearInterval(this.#watch);
    this.#socket.destroy();
    this.#lost = new DeviceError('emulator.world-lost', {
      where: this.#port,
      problem: `the emulated DUT no longer tells what it draws: ${problem}`,
      remedy: 'start `joulemark emulate` again, and the run',
    });
    this.#onLost(this.#lost);
  }
}

/** The first line, checked, and what came after it. */
function greetingOn(socket: Socket): Promise<{ hello: WorldHello; rest: string }> {
  return new Promise((resolve, reject) => {
    let text = '';
    const refuse = () => reject(new Error('no greeting'));
    const receive = (chunk: unknown) => {
      text += String(chunk);
      const end = text.indexOf('\n');
      if (end < 0) {
        if (text.length > longestLine) refuse();
        return;
      }
      socket.off('data', receive).pause();
      const hello = parsed(worldHello, text.slice(0, end));
      if (hello === null) refuse();
      else resolve({ hello, rest: text.slice(end + 1) });
    };
    socket.on('data', receive).on('error', refuse).on('close', refuse);
  });
}

function parsed<T>(
  schema: { safeParse(value: unknown): { success: true; data: T } | { success: false } },
  line: string,
): T | null {
  try {
    const result = schema.safeParse(JSON.parse(line));
    return result.success ? result.data : null;
  } catch {
    return null;
  }
}
