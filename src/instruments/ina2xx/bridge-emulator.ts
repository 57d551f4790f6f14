import type { ByteStream } from '../../transport/byte-stream.ts';
import {
  checkEmulatorSerial,
  type Emulator,
  type EmulatorOptions,
  type FaultCatalogue,
  type FaultDone,
  parseFault,
} from '../emulator.ts';
import { PendingFaults } from '../emulator-parts.ts';
import type { ChipModel, EmulatedType } from './emulated-chip.ts';

export const bridgeFaults: FaultCatalogue = {
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

export interface BridgeEmulatorOptions extends EmulatorOptions {
  /** Shunts of the chips; absent = one with 0.1 ohm. */
  shunts_ohm?: readonly number[];
  /** How much longer than typical conversions take; absent = what is usual of the type. */
  slow_rel?: number;
}

const TICK_S = 1e-6;
/** Samples of one chip in a frame, and how often the bridge looks for results. */
const FRAME_SAMPLES = 16;
const TURN_MS = 5;
/** The bridge counts from its own start. */
const BOOT_TICKS = 5_000_000;

interface EmulatedChip {
  model: ChipModel;
  shunt_ohm: number;
  configuration: readonly number[];
  /** When its next result is ready; null while it does not convert. */
  due_s: number | null;
  held: Held;
}

interface Held {
  first: number;
  sequence: number;
  samples: { tick: number; shunt: number; bus: number }[];
}

/** An INB1 bridge with chips of one type, seen from its serial port. It encodes by itself. */
export class BridgeEmulator implements Emulator {
  readonly serial: string;
  readonly faultsDone: FaultDone[] = [];
  readonly #type: EmulatedType;
  readonly #port: ByteStream;
  readonly #options: BridgeEmulatorOptions;
  readonly #sourceStart_ns: number;
  readonly #chips: EmulatedChip[];
  readonly #faults = new PendingFaults();
  #line = '';
  #isBinary = false;
  #isRunning = false;
  #isStalled = false;
  #lines = 0;
  #edges = 0;
  /** Edges up to here have been sent. */
  #edgesUpTo_s = 0;
  /** Results that the fault under way still has to miss. */
  #toMiss = 0;
  #firstSample_s: number | null = null;
  #cancel: () => void = () => {};

  constructor(type: EmulatedType, port: ByteStream, options: BridgeEmulatorOptions) {
    this.serial = checkEmulatorSerial(options.serial ?? 'SIM-INB1-0001');
    this.#type = type;
    this.#port = port;
    this.#options = options;
    this.#sourceStart_ns = options.sourceStart_ns ?? options.time.now_ns();
    const { source, shunts_ohm = [0.1] } = options;
    const now_s = this.#now_s();
    this.#chips = shunts_ohm.map((shunt_ohm) => {
      const model = type.makeModel({ source, shunt_ohm, slow_rel: this.#slow_rel }, now_s);
      const configuration = type.configuration.map((register) => model.read(register, now_s));
      return { model, shunt_ohm, configuration, due_s: null, held: { first: 0, sequence: 0, samples: [] } };
    });
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
    const parsed = parseFault(fault, bridgeFaults);
    if (parsed.name === 'stall') this.#isStalled = true;
    else if (parsed.name === 'unplug') this.#port.close();
    else this.#faults.add(parsed);
  }

  stop(): void {
    this.#isRunning = false;
    this.#cancel();
  }

  #now_s(): number {
    return (this.#options.time.now_ns() - this.#sourceStart_ns) / 1e9;
  }

  get #slow_rel(): number {
    return this.#options.slow_rel ?? this.#type.slow_rel;
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
    if (this.#faults.has('wrong-device')) {
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
        const version = this.#faults.has('new-version') ? 9 : 1;
        const chips = this.#faults.has('no-chip') ? 0 : this.#chips.length;
        this.#say(`INB1 v=${version} fw=emulator sn=${this.serial} tick=1000000 chips=${chips}`);
        break;
      }
      case 'scan':
        for (const k of this.#chips.keys()) {
          this.#say(`chip ${k} addr=0x${(0x40 + k).toString(16)} id=0x${this.#type.die.toString(16)}`);
        }
        break;
      case 'shunt':
        return chip ? null : 'shunt <chip> <ohm>';
      case 'cfg':
        if (!chip || this.#faults.has('refuse-cfg')) return 'the chip does not answer';
        if (words.length !== 1 + this.#type.configuration.length) return 'another number of registers is needed';
        chip.configuration = words.slice(1).map((word) => Number.parseInt(word, 16));
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
    this.#edgesUpTo_s = now_s;
    this.#firstSample_s = now_s;
    const hello = Buffer.alloc(6 + 8 * this.#chips.length);
    hello.writeUInt8(1, 0);
    hello.writeUInt32LE(1_000_000, 1);
    hello.writeUInt8(this.#chips.length, 5);
    for (const [k, chip] of this.#chips.entries()) {
      for (const [i, register] of this.#type.configuration.entries()) {
        chip.model.write(register, chip.configuration[i]!, now_s);
      }
      chip.due_s = chip.model.nextReady_s(now_s);
      chip.held = { first: 0, sequence: 0, samples: [] };
      hello.writeUInt8(k, 6 + 8 * k);
      hello.writeUInt8(this.#type.bridge.model, 7 + 8 * k);
      hello.writeUInt16LE(chip.configuration[0]!, 8 + 8 * k);
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
    for (const [k, chip] of this.#chips.entries()) {
      while (chip.due_s !== null && chip.due_s <= now_s) {
        const after_s = chip.due_s + TICK_S / 100;
        const { shunt, bus } = chip.model.latest(after_s)!;
        if (!this.#faults.has('no-samples')) this.#hold(k, ticksOf(chip.due_s), shunt, bus);
        chip.due_s = chip.model.nextReady_s(after_s);
      }
    }
    this.#sendEdges(now_s);
    if (this.#faults.take('rubbish')) this.#send(Buffer.from([1, 2, 3, 250, 9, 0]));
  }

  #hold(k: number, tick: number, shunt: number, bus: number): void {
    const { held } = this.#chips[k]!;
    const overrun = k === 0 ? this.#faults.take('overrun') : null;
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
    const { codeBytes } = this.#type.bridge;
    const sampleBytes = 2 + 2 * codeBytes;
    const body = Buffer.alloc(18 + sampleBytes * n);
    body.writeUInt8(k, 0);
    body.writeUInt32LE(held.sequence, 1);
    body.writeBigUInt64LE(BigInt(held.first), 5);
    body.writeUInt32LE(Math.round(model.period_s / (1 + this.#slow_rel) / TICK_S), 13);
    body.writeUInt8(n, 17);
    let last = held.first;
    for (const [i, { tick, shunt, bus }] of held.samples.entries()) {
      const sample = 18 + sampleBytes * i;
      body.writeUInt16LE(tick - last, sample);
      body.writeIntLE(shunt, sample + 2, codeBytes);
      body.writeUIntLE(bus, sample + 2 + codeBytes, codeBytes);
      last = tick;
    }
    const first = held.sequence;
    held.sequence += n;
    held.samples = [];
    const loss = this.#faults.find('lose-frames');
    if (loss) {
      this.faultsDone.push({ fault: 'lose-frames', sample: first });
      loss.value--;
      if (loss.value <= 0) this.#faults.take('lose-frames');
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
      if (!this.#faults.take('lose-edge')) this.#frame(3, body);
    }
    this.#edgesUpTo_s = now_s;
  }

  #frame(type: number, body: Uint8Array): void {
    const content = Buffer.concat([Buffer.of(type), body, Buffer.alloc(2)]);
    content.writeUInt16LE(crc(content.subarray(0, -2)), content.length - 2);
    const stuffed = stuff(content);
    if (type === 2 && this.#faults.take('damage-frame')) {
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
