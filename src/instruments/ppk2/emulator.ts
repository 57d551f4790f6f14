import type { ByteStream } from '../../transport/byte-stream.ts';
import {
  checkEmulatorSerial,
  type Emulator,
  type EmulatorOptions,
  type FaultCatalogue,
  type FaultDone,
  parseFault,
} from '../emulator.ts';
import { callAt, PendingFaults, sendToHost } from '../emulator-parts.ts';
import { SampledPins } from '../sampled-pins.ts';
import { ppk2Opcode, ppk2PowerMode, ppk2Ranges, ppk2Rate_Hz, ppk2Volts } from './spec.ts';

export const ppk2Faults: FaultCatalogue = {
  'drop-samples=': 'loses N samples on the way; the counter goes on',
  'drop-block': 'loses a block of 512 samples, as the firmware does when USB is too slow',
  'drop-bytes=': 'loses N bytes, so that the words are no longer aligned',
  'insert-bytes=': 'sends N bytes of rubbish',
  'corrupt-word': 'damages the range and the counter of one sample',
  'counter-jump=': 'the counter jumps by N although no sample is lost',
  stall: 'sends nothing any more and answers nothing',
  'no-samples': 'sends no samples any more, but obeys',
  unplug: 'closes the connection in the middle of a sample',
  'stale-bytes': 'sends samples of an earlier measurement before the metadata',
  nan: 'GI4 is -nan in the metadata',
  'missing-field': 'the metadata lacks R2',
  'zero-gain': 'the metadata holds GS0: 0',
  uncalibrated: 'the metadata says Calibrated: 0',
  'no-end': 'the metadata stops in the middle, for ever',
  'unknown-hardware': 'the metadata names another hardware',
  'wrong-device': 'answers like another kind of device',
};

const BLOCK_SAMPLES = 512;
const BLOCK_BYTES = 4 * BLOCK_SAMPLES;
const BLOCK_MS = (1000 * BLOCK_SAMPLES) / ppk2Rate_Hz;
const SAMPLE_S = 1 / ppk2Rate_Hz;
/** Where in a block the faults strike: not at its border. */
const FAULT_AT = 200;
/** Blocks that wait for the host before the next one is dropped. */
const QUEUE_BLOCKS = 8;
/** Pause between the pieces of the metadata. */
const PIECE_MS = 20;
/** The emulator leaves a range upwards above this code (invented: 64 uA, 0.6 mA, 6 mA and 70 mA). */
const RANGE_END_CODE = 1500;
const FULL_CODE = 16_383;

/** How many bytes follow each opcode. */
const ARGUMENTS: Readonly<Record<number, number>> = {
  [ppk2Opcode.deviceRunning]: 1,
  [ppk2Opcode.regulatorSet]: 2,
  [ppk2Opcode.powerMode]: 1,
  [ppk2Opcode.setUserGain]: 5,
};

/** Coefficients of an invented PPK2. */
const COEFFICIENTS = {
  R: [1031.64, 101.65, 10.15, 0.94, 0.043],
  GS: [1, 1.01, 0.98, 1.02, 1.03],
  GI: [0.9695, 0.9648, 0.9636, 0.9539, 0.9404],
  O: [121.5, 109.7, 90.6, 61.8, 75.9],
  S: [1.2e-7, 8e-8, 1e-6, 3e-6, 4e-5],
  I: [-5e-8, 1e-8, 1e-7, 1e-6, 1e-5],
};
const VDD_MV = 3000;

/** A Nordic PPK2 seen from its serial port. It encodes by itself; only the numbers of the protocol are shared. */
export class Ppk2Emulator implements Emulator {
  readonly serial: string;
  readonly faultsDone: FaultDone[] = [];
  readonly #port: ByteStream;
  readonly #options: EmulatorOptions;
  readonly #sourceStart_ns: number;
  readonly #pins: SampledPins;
  readonly #faults = new PendingFaults();

  #command: number[] = [];
  #isRunning = false;
  #mode: number = ppk2PowerMode.source;
  #regulator_mV = VDD_MV;
  readonly #userGain = [1, 1, 1, 1, 1];

  #isStreaming = false;
  #isStalled = false;
  #cancel: () => void = () => {};
  #start_ns = 0;
  #firstSample_s: number | null = null;
  /** Samples taken since AverageStart. */
  #taken = 0;
  #counter = 0;
  #waitingBlocks = 0;
  #droppedBlocks = 0;
  /** Samples that the fault under way still has to lose. */
  #lossLeft = 0;
  readonly #current = new Float64Array(BLOCK_SAMPLES);
  readonly #voltage = new Float64Array(BLOCK_SAMPLES);

  /** `port` is the device's side of a connection. */
  constructor(port: ByteStream, options: EmulatorOptions) {
    this.serial = checkEmulatorSerial(options.serial ?? 'SIM-PPK2-0001');
    this.#port = port;
    this.#options = options;
    this.#sourceStart_ns = options.sourceStart_ns ?? options.time.now_ns();
    this.#pins = new SampledPins(options.source, options.inputs ?? [], SAMPLE_S);
    port.onData((bytes) => {
      for (const byte of bytes) this.#take(byte);
    });
    port.closed.then(() => this.stop());
  }

  get firstSample_s(): number | null {
    return this.#firstSample_s;
  }

  /** Blocks that were dropped because the host did not read. */
  get droppedBlocks(): number {
    return this.#droppedBlocks;
  }

  inject(fault: string): void {
    const parsed = parseFault(fault, ppk2Faults);
    if (parsed.name === 'stall') this.#isStalled = true;
    else this.#faults.add(parsed);
  }

  stop(): void {
    this.#isStreaming = false;
    this.#cancel();
  }

  #take(byte: number): void {
    if (this.#isStalled) return;
    this.#command.push(byte);
    const [opcode, ...argument] = this.#command as [number, ...number[]];
    if (argument.length < (ARGUMENTS[opcode] ?? 0)) return;
    this.#command = [];
    this.#execute(opcode, argument);
  }

  #execute(opcode: number, argument: number[]): void {
    switch (opcode) {
      case ppk2Opcode.averageStart:
        this.#startStream();
        break;
      case ppk2Opcode.averageStop:
        this.stop();
        break;
      case ppk2Opcode.deviceRunning:
        this.#isRunning = argument[0] === 1;
        this.#supplyChanged();
        break;
      case ppk2Opcode.regulatorSet:
        this.#regulator_mV = Math.min(5000, Math.max(800, argument[0]! * 256 + argument[1]!));
        this.#supplyChanged();
        break;
      case ppk2Opcode.powerMode:
        this.#mode = argument[0]!;
        this.#supplyChanged();
        break;
      case ppk2Opcode.getMetadata:
        this.#sendMetadata();
        break;
      case ppk2Opcode.reset:
        this.stop();
        this.#isRunning = false;
        this.#supplyChanged();
        break;
      case ppk2Opcode.setUserGain:
        if (argument[0]! < ppk2Ranges) this.#userGain[argument[0]!] = Buffer.from(argument).readFloatLE(1);
        break;
    }
  }

  #supplyChanged(): void {
    if (this.#mode !== ppk2PowerMode.source) return;
    this.#options.onSupply?.(this.#isRunning ? this.#regulator_mV / 1000 : 0);
  }

  #send(bytes: Uint8Array): Promise<void> {
    return sendToHost(this.#port, bytes);
  }

  #sendText(text: string): void {
    this.#send(new TextEncoder().encode(text));
  }

  #sendMetadata(): void {
    if (this.#faults.take('wrong-device')) {
      this.#sendText('Micro-terminal v2 ready\r\n> ');
      return;
    }
    if (this.#faults.take('stale-bytes')) this.#send(Uint8Array.from({ length: 403 }, (_, i) => (i * 89) & 0xff));
    const perRange = (name: string, values: readonly number[]) =>
      values.map((value, range) => `${name}${range}: ${value.toFixed(20)}`);
    const lines = [
      `Calibrated: ${this.#faults.take('uncalibrated') ? 0 : 1}`,
      ...Object.entries(COEFFICIENTS).flatMap(([name, values]) => perRange(name, values)),
      `VDD: ${VDD_MV}`,
      `HW: ${this.#faults.take('unknown-hardware') ? 1234 : 9173}`,
      `mode: ${this.#mode}`,
      ...perRange('UG', this.#userGain),
      'IA: 56',
      // Of ours: a PPK2 has its serial number in its USB descriptor. Quoted, as Nordic's app reads the lines as JSON.
      `SN: "${this.serial}"`,
    ];
    const change = (key: string, replacement: string | null) => {
      const at = lines.findIndex((line) => line.startsWith(`${key}:`));
      lines.splice(at, 1, ...(replacement === null ? [] : [`${key}: ${replacement}`]));
    };
    if (this.#faults.take('nan')) change('GI4', '-nan');
    if (this.#faults.take('missing-field')) change('R2', null);
    if (this.#faults.take('zero-gain')) change('GS0', '0.00000000000000000000');
    const text = `${lines.join('\n')}\nEND\n`;
    const isCut = this.#faults.has('no-end');
    const cuts = [0, Math.floor(text.length / 3) + 1, Math.floor((2 * text.length) / 3), text.length];
    for (let piece = 0; piece < (isCut ? 2 : 3); piece++) {
      const part = text.slice(cuts[piece], cuts[piece + 1]);
      this.#options.time.after(piece * PIECE_MS, () => this.#sendText(part));
    }
  }

  #startStream(): void {
    this.stop();
    this.#isStreaming = true;
    this.#start_ns = this.#options.time.now_ns();
    this.#firstSample_s = (this.#start_ns - this.#sourceStart_ns) / 1e9;
    this.#taken = 0;
    this.#pins.start(this.#firstSample_s);
    this.#schedule();
  }

  #schedule(): void {
    const due_ns = this.#start_ns + (this.#taken / BLOCK_SAMPLES + 1) * BLOCK_MS * 1e6;
    this.#cancel = callAt(this.#options.time, due_ns, () => {
      if (!this.#isStreaming || this.#isStalled || this.#faults.take('no-samples')) return;
      this.#sendBlock();
      this.#schedule();
    });
  }

  #sendBlock(): void {
    const first = this.#taken;
    const words = this.#encodeBlock();
    this.#taken += BLOCK_SAMPLES;
    const bytes = this.#applyFaults(words, first);
    if (bytes === null) return;
    if (this.#waitingBlocks >= QUEUE_BLOCKS) {
      this.#droppedBlocks++;
      return;
    }
    this.#waitingBlocks++;
    this.#send(bytes).finally(() => {
      this.#waitingBlocks--;
    });
    if (this.#faults.take('unplug')) {
      this.faultsDone.push({ fault: 'unplug', sample: first + BLOCK_SAMPLES });
      this.#send(bytes.subarray(0, 3)).then(() => this.#port.close());
    }
  }

  #encodeBlock(): Uint8Array {
    const t0_s = this.#firstSample_s! + this.#taken * SAMPLE_S;
    this.#options.source.fillMeans(t0_s, SAMPLE_S, BLOCK_SAMPLES, this.#current, this.#voltage);
    this.#pins.nextBatch(t0_s, BLOCK_SAMPLES);
    const bytes = new Uint8Array(BLOCK_BYTES);
    for (let i = 0; i < BLOCK_SAMPLES; i++) {
      const { range, code } = this.#convert(this.#isRunning ? this.#current[i]! : 0);
      bytes[4 * i] = code & 0xff;
      bytes[4 * i + 1] = (code >> 8) | ((range & 3) << 6);
      bytes[4 * i + 2] = (range >> 2) | (this.#counter << 2);
      bytes[4 * i + 3] = this.#pins.levelsAt(i);
      this.#counter = (this.#counter + 1) % 64;
    }
    return bytes;
  }

  /** The converter: the most sensitive range that can hold the current, and its code. */
  #convert(current_A: number): { range: number; code: number } {
    for (let range = 0; ; range++) {
      const code = this.#codeOf(current_A, range);
      if (code <= RANGE_END_CODE || range === ppk2Ranges - 1) return { range, code: Math.min(code, FULL_CODE) };
    }
  }

  /** Inverts I = UG (r0 (GS r0 + GI) + S V + I0), r0 = (4 code - O) k / R. */
  #codeOf(current_A: number, range: number): number {
    const { R, GS, GI, O, S, I } = COEFFICIENTS;
    const y = current_A / this.#userGain[range]! - S[range]! * (this.#regulator_mV / 1000) - I[range]!;
    const root = Math.sqrt(Math.max(0, GI[range]! ** 2 + 4 * GS[range]! * y));
    const r0 = (2 * y) / (GI[range]! + root);
    return Math.max(0, Math.round(((r0 * R[range]!) / ppk2Volts + O[range]!) / 4));
  }

  /** The block as it leaves, or null if it is lost as a whole. */
  #applyFaults(block: Uint8Array, first: number): Uint8Array | null {
    const at = 4 * FAULT_AT;
    const without = (offset: number, count: number) =>
      Buffer.concat([block.subarray(0, offset), block.subarray(offset + count)]);
    const done = (fault: string) => this.faultsDone.push({ fault, sample: first + FAULT_AT });

    if (this.#lossLeft > 0) return this.#loseFrom(block, 0);
    const drop = this.#faults.take('drop-samples');
    if (drop) {
      done(`drop-samples=${drop.value}`);
      this.#lossLeft = drop.value;
      return this.#loseFrom(block, at);
    }
    if (this.#faults.take('drop-block')) {
      this.faultsDone.push({ fault: 'drop-block', sample: first });
      return null;
    }
    const dropBytes = this.#faults.take('drop-bytes');
    if (dropBytes) {
      done(`drop-bytes=${dropBytes.value}`);
      return without(at + 1, dropBytes.value);
    }
    const insert = this.#faults.take('insert-bytes');
    if (insert) {
      done(`insert-bytes=${insert.value}`);
      const rubbish = Buffer.from(Array.from({ length: insert.value }, (_, i) => (i * 151 + 77) & 0xff));
      return Buffer.concat([block.subarray(0, at), rubbish, block.subarray(at)]);
    }
    if (this.#faults.take('corrupt-word')) {
      done('corrupt-word');
      block[at + 1] = 0xff;
      block[at + 2] = block[at + 2]! ^ 0x55;
    }
    const jump = this.#faults.take('counter-jump');
    if (jump) {
      done(`counter-jump=${jump.value}`);
      for (let i = FAULT_AT; i < BLOCK_SAMPLES; i++) block[4 * i + 2] = (block[4 * i + 2]! + 4 * jump.value) & 0xff;
      this.#counter = (this.#counter + jump.value) % 64;
    }
    return block;
  }

  #loseFrom(block: Uint8Array, offset: number): Uint8Array | null {
    const lost = Math.min(this.#lossLeft, (BLOCK_BYTES - offset) / 4);
    this.#lossLeft -= lost;
    const kept = Buffer.concat([block.subarray(0, offset), block.subarray(offset + 4 * lost)]);
    return kept.length === 0 ? null : kept;
  }
}
