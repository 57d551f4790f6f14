import type { ByteStream } from '../../transport/byte-stream.ts';
import {
  checkEmulatorSerial,
  type Emulator,
  type EmulatorOptions,
  type FaultCatalogue,
  type FaultDone,
  parseFault,
} from '../emulator.ts';
import { Ina226Model } from './chip-model.ts';

export const ina226BridgeFaults: FaultCatalogue = {
  'lose-frames=': 'loses N frames of samples on the way',
  'overrun=': 'the bridge itself misses N results and says so',
  'damage-frame': 'damages one frame',
  rubbish: 'sends rubbish between two frames',
  'lose-edge': 'loses one edge on the way; its number is left out',
  stall: 'sends nothing any more and answers nothing',
  'no-samples': 'sends no samples any more, but obeys',
  unplug: 'closes the connection',
  'wrong-device': 'answers like another kind of device',
  'new-version': 'speaks another version of the protocol',
  'no-chip': 'has found no chip',
  'refuse-cfg': 'refuses configurations',
};

export interface Ina226BridgeEmulatorOptions extends EmulatorOptions {
  /** Shunts of the chips; absent = one with 0.1 ohm. */
  shunts_ohm?: readonly number[];
  /** How much longer than typical conversions take; absent = 0.013. */
  slow_rel?: number;
}

const TICK_S = 1e-6;
const SLOW_REL = 0.013;
/** Samples of one chip in a frame, and how often the bridge looks for results. */
const FRAME_SAMPLES = 16;
const TURN_MS = 5;
/** The bridge counts from its own start. */
const BOOT_TICKS = 5_000_000;

interface Held {
  first: number;
  sequence: number;
  samples: { tick: number; shunt: number; bus: number }[];
}

/** An INB1 bridge with INA226 chips, seen from its serial port. It encodes by itself. */
export class Ina226BridgeEmulator implements Emulator {
  readonly serial: string;
  readonly faultsDone: FaultDone[] = [];
  readonly #port: ByteStream;
  readonly #options: Ina226BridgeEmulatorOptions;
  readonly #sourceStart_ns: number;
  readonly #chips: { model: Ina226Model; shunt_ohm: number; configuration: number; held: Held }[];
  readonly #faults: { name: string; value: number }[] = [];
  #line = '';
  #isBinary = false;
  #isRunning = false;
  #isStalled = false;
  #lines = 0;
  #edges = 0;
  /** Results and edges up to here have been sent. */
  #upTo_s = 0;
  #edgesUpTo_s = 0;
  /** Results that the fault under way still has to miss. */
  #toMiss = 0;
  #firstSample_s: number | null = null;
  #cancel: () => void = () => {};

  constructor(port: ByteStream, options: Ina226BridgeEmulatorOptions) {
    this.serial = checkEmulatorSerial(options.serial ?? 'SIM-INB1-0001');
    this.#port = port;
    this.#options = options;
    this.#sourceStart_ns = options.sourceStart_ns ?? options.time.now_ns();
    const { source, slow_rel = SLOW_REL, shunts_ohm = [0.1] } = options;
    this.#chips = shunts_ohm.map((shunt_ohm) => ({
      model: new Ina226Model({ source, shunt_ohm, slow_rel }, this.#now_s()),
      shunt_ohm,
      configuration: 0x4127,
      held: { first: 0, sequence: 0, samples: [] },
    }));
    port.onData((bytes) => {
      for (const byte of bytes) this.#take(String.fromCharCode(byte));
    });
    port.closed.then(() => this.stop());
  }

  get firstSample_s(): number | null {
    return this.#firstSample_s;
  }

  /** Tick of the bridge at the source's own time 0. */
  readonly bootTicks = BOOT_TICKS;

  inject(fault: string): void {
    const parsed = parseFault(fault, ina226BridgeFaults);
    if (parsed.name === 'stall') this.#isStalled = true;
    else if (parsed.name === 'unplug') this.#port.close();
    else this.#faults.push(parsed);
  }

  stop(): void {
    this.#isRunning = false;
    this.#cancel();
  }

  #now_s(): number {
    return (this.#options.time.now_ns() - this.#sourceStart_ns) / 1e9;
  }

  #hasFault(name: string): boolean {
    return this.#faults.some((fault) => fault.name === name);
  }

  #takeFault(name: string): { value: number } | null {
    const at = this.#faults.findIndex((fault) => fault.name === name);
    return at < 0 ? null : this.#faults.splice(at, 1)[0]!;
  }

  #send(bytes: Uint8Array): void {
    // A host that has gone away is no failure of the bridge.
    this.#port.write(bytes).catch(() => {});
  }

  #take(character: string): void {
    if (this.#isStalled) return;
    if (character !== '\n') {
      this.#line += character;
      return;
    }
    const line = this.#line.trim();
    this.#line = '';
    if (line !== '') this.#carryOut(line);
  }

  #carryOut(line: string): void {
    const [word, ...words] = line.split(/ +/) as [string, ...string[]];
    if (this.#hasFault('wrong-device')) {
      this.#send(Buffer.from(`?unknown command ${word}\r\n> `));
      return;
    }
    const problem = this.#execute(word, words);
    this.#say(problem === null ? `ok ${word}` : `err ${word} 1 ${problem}`);
    // The answer to `bin` is still text.
    if (word === 'bin') this.#isBinary = true;
  }

  /** Why a command is refused, or null where it was carried out. */
  #execute(word: string, words: string[]): string | null {
    const chip = this.#chips[Number(words[0])];
    switch (word) {
      case 'id': {
        const version = this.#hasFault('new-version') ? 9 : 1;
        const chips = this.#hasFault('no-chip') ? 0 : this.#chips.length;
        this.#say(`INB1 v=${version} fw=emulator sn=${this.serial} tick=1000000 chips=${chips}`);
        break;
      }
      case 'scan':
        for (const k of this.#chips.keys()) this.#say(`chip ${k} addr=0x${(0x40 + k).toString(16)} id=0x2260`);
        break;
      case 'shunt':
        return chip ? null : 'shunt <chip> <ohm>';
      case 'cfg':
        if (!chip || this.#hasFault('refuse-cfg')) return 'the chip does not answer';
        chip.configuration = Number.parseInt(words[1]!, 16);
        break;
      case 'gpio':
        this.#lines = Number(words[0]);
        break;
      case 'bin':
        break;
      case 'start':
        this.#start();
        break;
      case 'stop':
        if (this.#isRunning) for (const k of this.#chips.keys()) this.#flush(k);
        this.stop();
        break;
      default:
        return 'unknown command';
    }
    return null;
  }

  #say(text: string): void {
    if (this.#isBinary) this.#frame(6, Buffer.from(text));
    else this.#send(Buffer.from(`${text}\n`));
  }

  #start(): void {
    const now_s = this.#now_s();
    this.#isRunning = true;
    this.#edges = 0;
    this.#upTo_s = now_s;
    this.#edgesUpTo_s = now_s;
    this.#firstSample_s = now_s;
    const hello = Buffer.alloc(6 + 8 * this.#chips.length);
    hello.writeUInt8(1, 0);
    hello.writeUInt32LE(1_000_000, 1);
    hello.writeUInt8(this.#chips.length, 5);
    for (const [k, chip] of this.#chips.entries()) {
      chip.model.write(0, chip.configuration, now_s);
      chip.held = { first: 0, sequence: 0, samples: [] };
      hello.writeUInt8(k, 6 + 8 * k);
      hello.writeUInt8(0x26, 7 + 8 * k);
      hello.writeUInt16LE(chip.configuration, 8 + 8 * k);
      hello.writeFloatLE(chip.shunt_ohm, 10 + 8 * k);
    }
    this.#frame(1, hello);
    this.#turn();
  }

  #turn(): void {
    this.#cancel = this.#options.time.after(TURN_MS, () => {
      if (!this.#isRunning || this.#isStalled) return;
      this.#work();
      this.#turn();
    });
  }

  /** Everything since the last turn: results as they became ready, then edges. */
  #work(): void {
    const now_s = this.#now_s();
    for (const [k, { model }] of this.#chips.entries()) {
      for (let at_s = this.#upTo_s; ; ) {
        const ready_s = model.nextReady_s(at_s);
        if (ready_s === null || ready_s > now_s) break;
        at_s = ready_s + TICK_S / 100;
        const { shunt, bus } = model.latest(at_s)!;
        if (!this.#hasFault('no-samples')) this.#hold(k, ticksOf(ready_s), shunt, bus);
      }
    }
    this.#sendEdges(now_s);
    this.#upTo_s = now_s;
    if (this.#takeFault('rubbish')) this.#send(Buffer.from([1, 2, 3, 250, 9, 0]));
  }

  #hold(k: number, tick: number, shunt: number, bus: number): void {
    const { held } = this.#chips[k]!;
    const overrun = k === 0 ? this.#takeFault('overrun') : null;
    if (overrun) {
      this.faultsDone.push({ fault: `overrun=${overrun.value}`, sample: held.sequence + held.samples.length });
      this.#tellOverrun(overrun.value);
      this.#toMiss = overrun.value;
    }
    if (k === 0 && this.#toMiss > 0) {
      this.#toMiss--;
      return;
    }
    // A longer pause does not fit into 16 bits.
    const last = held.samples.at(-1);
    if (last && tick - last.tick > 0xffff) this.#flush(k);
    if (held.samples.length === 0) held.first = tick;
    held.samples.push({ tick, shunt, bus });
    if (held.samples.length === FRAME_SAMPLES) this.#flush(k);
  }

  #tellOverrun(lost: number): void {
    this.#flush(0);
    this.#chips[0]!.held.sequence += lost;
    const body = Buffer.alloc(5);
    body.writeUInt32LE(lost, 1);
    this.#frame(4, body);
  }

  #flush(k: number): void {
    const { held, model } = this.#chips[k]!;
    const n = held.samples.length;
    if (n === 0) return;
    const body = Buffer.alloc(18 + 6 * n);
    body.writeUInt8(k, 0);
    body.writeUInt32LE(held.sequence, 1);
    body.writeBigUInt64LE(BigInt(held.first), 5);
    body.writeUInt32LE(Math.round(model.period_s / (1 + (this.#options.slow_rel ?? SLOW_REL)) / TICK_S), 13);
    body.writeUInt8(n, 17);
    let last = held.first;
    for (const [i, { tick, shunt, bus }] of held.samples.entries()) {
      body.writeUInt16LE(tick - last, 18 + 6 * i);
      body.writeInt16LE(shunt, 20 + 6 * i);
      body.writeUInt16LE(bus, 22 + 6 * i);
      last = tick;
    }
    const first = held.sequence;
    held.sequence += n;
    held.samples = [];
    const loss = this.#faults.find((fault) => fault.name === 'lose-frames');
    if (loss) {
      this.faultsDone.push({ fault: 'lose-frames', sample: first });
      loss.value--;
      if (loss.value <= 0) this.#takeFault('lose-frames');
      return;
    }
    this.#frame(2, body);
  }

  #sendEdges(now_s: number): void {
    const inputs = this.#options.inputs ?? [];
    for (const { time_s, channel, polarity } of this.#options.source.edgesBetween(this.#edgesUpTo_s, now_s)) {
      const line = inputs.indexOf(channel);
      if (line < 0 || (this.#lines & (1 << line)) === 0) continue;
      const body = Buffer.alloc(14);
      body.writeBigUInt64LE(BigInt(ticksOf(time_s)), 0);
      body.writeUInt8(line, 8);
      body.writeUInt8(polarity === 'rise' ? 1 : 0, 9);
      body.writeUInt32LE(this.#edges++, 10);
      if (!this.#takeFault('lose-edge')) this.#frame(3, body);
    }
    this.#edgesUpTo_s = now_s;
  }

  #frame(type: number, body: Uint8Array): void {
    const content = Buffer.concat([Buffer.of(type), body, Buffer.alloc(2)]);
    content.writeUInt16LE(crc(content.subarray(0, -2)), content.length - 2);
    const stuffed = stuff(content);
    if (type === 2 && this.#takeFault('damage-frame')) {
      const { sequence } = this.#chips[0]!.held;
      this.faultsDone.push({ fault: 'damage-frame', sample: sequence });
      stuffed[5]! ^= 0x55;
      if (stuffed[5] === 0) stuffed[5] = 1;
    }
    this.#send(stuffed);
  }
}

const ticksOf = (time_s: number): number => BOOT_TICKS + Math.round(time_s / TICK_S);

function crc(bytes: Uint8Array): number {
  return bytes.reduce((state, byte) => {
    for (let bit = 7; bit >= 0; bit--) {
      const top = ((state >> 15) ^ (byte >> bit)) & 1;
      state = ((state << 1) & 0xffff) ^ (top ? 0x1021 : 0);
    }
    return state;
  }, 0xffff);
}

/** Consistent overhead byte stuffing with its final 0x00. */
function stuff(content: Uint8Array): Buffer {
  const out: number[] = [];
  let group: number[] = [];
  const close = () => {
    out.push(group.length + 1, ...group);
    group = [];
  };
  for (const byte of content) {
    if (byte === 0) close();
    else {
      group.push(byte);
      if (group.length === 254) close();
    }
  }
  close();
  return Buffer.from([...out, 0]);
}
