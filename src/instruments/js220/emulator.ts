import type { UsbControl } from '../../transport/usb.ts';
import {
  UsbInQueue,
  type UsbModel,
  type UsbModelDescriptor,
  type UsbRefusal,
  type UsbSocket,
} from '../../transport/usb-model.ts';
import {
  checkEmulatorSerial,
  type Emulator,
  type EmulatorOptions,
  type FaultCatalogue,
  type FaultDone,
  parseFault,
} from '../emulator.ts';
import { PendingFaults } from '../emulator-parts.ts';
import {
  type Js220StreamName,
  js220Control,
  js220Frame_bytes,
  js220Inputs,
  js220Port,
  js220Request,
  js220Streams,
  js220Type,
  js220Usb,
} from './spec.ts';

export const js220Faults: FaultCatalogue = {
  'drop-frames=': 'loses N frames on the way; the frame ids go on',
  'skip=': 'loses N ticks of 2 MHz of every stream inside the instrument; the sample ids jump',
  'overlap=': 'each stream repeats its last N ticks at the head of its next message',
  'old-message': 'each stream sends its last message again',
  'counter-jump': 'the sample counter jumps by 2^31 ticks',
  'near-wrap': 'the sample counter starts 50 ms before its low 32 bits wrap',
  misaligned: 'the voltage begins 63 samples later than the current',
  'nan=': 'N readings of the current are NaN',
  'short-frame': 'sends half a frame',
  rubbish: 'sends a frame of rubbish',
  'unknown-op': 'sends a control message that nobody knows',
  'no-timemap': 'never says where its sample counter stands',
  'stop-stream=': 'the stream of port 16 + N stops, the others go on',
  'no-samples': 'sends no samples any more, but obeys',
  stall: 'answers nothing any more',
  unplug: 'is pulled out in the middle of a measurement',
  'bad-status': 'answers CONNECT with an error',
  'no-connect': 'accepts CONNECT but never says that the link is up',
  'wrong-protocol': 'speaks protocol 2.0.0',
  'old-firmware': 'has firmware 1.2.0, which cannot reduce the rate',
  'no-metadata': 'sends no metadata',
  'broken-metadata': 'its metadata is no JSON',
  'no-pong': 'does not answer a ping',
  'refuse-setting': 'refuses the next setting with a return code',
  'wrong-device': 'refuses vendor requests, like another kind of device',
};

const TICK_HZ = 2_000_000;
/** How often it looks what it has to send. */
const PACE_MS = 2;
const TIMESYNC_MS = 1000;
const QUEUE_BYTES = 1 << 20;
const PAYLOAD_BYTES = js220Frame_bytes - 4 - 4;
const EDGE_SLACK = 1e-6;
/** Where its counter stands when it is made; invented, above 32 bits. */
const COUNTER_START = 7 * 2 ** 32 + 1_234_567_888;
const COUNTER_NEAR_WRAP = 8 * 2 ** 32 - TICK_HZ / 20;
const UNIX_2018_S = 1_514_764_800n;

/** Upper ends of its ranges 5 to 1 (invented round figures); beyond them it is in range 0. */
const RANGE_ENDS_A = [18e-6, 180e-6, 1.8e-3, 18e-3, 180e-3];

/** Invented numbers, so that nobody can do without asking. */
const METADATA: Readonly<Record<string, { dtype: 'u8' | 'u32'; default?: number; [key: string]: unknown }>> = {
  's/i/range/mode': {
    dtype: 'u8',
    brief: 'range mode',
    default: 3,
    options: [
      [3, 'auto'],
      [5, 'manual'],
      [7, 'off'],
    ],
  },
  's/i/range/select': {
    dtype: 'u8',
    options: [
      [0, '10 A'],
      [1, '180 mA'],
      [2, '18 mA'],
      [3, '1.8 mA'],
      [4, '180 uA'],
      [5, '18 uA'],
    ],
  },
  's/v/range/mode': {
    dtype: 'u8',
    options: [
      [2, 'auto'],
      [4, 'manual'],
    ],
  },
  's/v/range/select': {
    dtype: 'u8',
    options: [
      [0, '15 V'],
      [1, '2 V'],
    ],
  },
  'c/gpio/vref': {
    dtype: 'u8',
    options: [
      [6, 'external'],
      [9, '3v3', '3.3 V'],
    ],
  },
  's/dwnN/N': { dtype: 'u32', range: [1, 1000] },
  's/stats/scnt': { dtype: 'u32', range: [1000, 16_000_000] },
};
const AUTO_CURRENT = 3;

interface Stream {
  name: Js220StreamName;
  index: number;
  /** Ticks from element to element. */
  step: number;
  start: number;
  /** Tick of the next element. */
  next: number;
  last: Uint8Array | null;
  overlap: number;
  isRepeating: boolean;
  isStopped: boolean;
}

/** A Joulescope JS220 seen from USB. It encodes by itself; only the numbers of the protocol are shared. */
export class Js220Emulator implements Emulator, UsbModel {
  readonly serial: string;
  readonly descriptor: UsbModelDescriptor;
  readonly faultsDone: FaultDone[] = [];
  readonly #options: EmulatorOptions;
  readonly #sourceStart_ns: number;
  readonly #made_ns: number;
  readonly #inputs: readonly string[];
  readonly #faults = new PendingFaults();
  readonly #queue = new UsbInQueue(js220Frame_bytes, QUEUE_BYTES);
  readonly #streams = new Map<number, Stream>();
  readonly #settings = new Map<string, number>();

  #socket: UsbSocket | null = null;
  #isConnected = false;
  #isStalled = false;
  #hasNoSamples = false;
  #frameId = 0;
  #framesToDrop = 0;
  #counterOffset = COUNTER_START;
  #skip: { at: number; length: number } | null = null;
  #nanLeft = 0;
  #cancel: () => void = () => {};
  #nextSync_ns = 0;
  /** UTC of tick 0 in ns, from the host's answers. */
  #utcOfTick0_ns: bigint | null = null;
  #lastSync: { start: bigint; end: number } | null = null;
  #replies = 0;
  #mainStart: number | null = null;

  constructor(options: EmulatorOptions) {
    this.serial = checkEmulatorSerial(options.serial ?? 'SIM-JS220-0001');
    this.#options = options;
    this.#made_ns = options.time.now_ns();
    this.#sourceStart_ns = options.sourceStart_ns ?? this.#made_ns;
    this.#inputs = options.inputs ?? [];
    this.descriptor = {
      vendorId: js220Usb.vendorId,
      productId: js220Usb.productId,
      release: 0x0100,
      manufacturer: 'Jetperch',
      product: 'Joulescope JS220',
      serial: this.serial,
      endpoints: [
        { address: js220Usb.endpointIn, packetSize: js220Frame_bytes },
        { address: js220Usb.endpointOut, packetSize: js220Frame_bytes },
      ],
    };
  }

  get firstSample_s(): number | null {
    return this.#mainStart === null ? null : this.#sourceTime_s(this.#mainStart);
  }

  /** Sample id of the first sample of the stream under way, all 64 bits; null before one. */
  get firstSampleId(): number | null {
    return this.#mainStart;
  }

  /** Time synchronisations that the host has answered. */
  get timesyncReplies(): number {
    return this.#replies;
  }

  inject(fault: string): void {
    const parsed = parseFault(fault, js220Faults);
    const { name, value } = parsed;
    switch (name) {
      case 'stall':
        this.#isStalled = true;
        break;
      case 'no-samples':
        this.#hasNoSamples = true;
        break;
      case 'near-wrap':
        this.#counterOffset = COUNTER_NEAR_WRAP - this.#elapsedTicks();
        break;
      case 'unplug':
        this.stop();
        this.#done(fault);
        this.#socket?.unplugged();
        break;
      case 'drop-frames':
        this.#framesToDrop = value;
        this.#done(fault);
        break;
      case 'skip':
        this.#planSkip(value);
        this.#done(fault, this.#skip!.at);
        break;
      case 'counter-jump':
        this.#counterOffset += 2 ** 31;
        for (const stream of this.#streams.values()) stream.next += 2 ** 31;
        this.#sendTimemap();
        this.#done(fault);
        break;
      case 'overlap':
        for (const stream of this.#streams.values()) stream.overlap = value;
        break;
      case 'old-message':
        for (const stream of this.#streams.values()) stream.isRepeating = true;
        break;
      case 'stop-stream':
        for (const stream of this.#streams.values()) if (stream.index === value) stream.isStopped = true;
        break;
      case 'nan':
        this.#nanLeft = value;
        this.#done(fault, this.#streams.get(js220Streams.current.index)?.next);
        break;
      case 'unknown-op':
        this.#sendFrame(js220Port.control, Uint8Array.of(9, 0, 0, 0));
        break;
      case 'short-frame':
        this.#sendFrame(js220Port.stream + 5, new Uint8Array(300), 200);
        break;
      case 'rubbish':
        this.#push(Uint8Array.from({ length: js220Frame_bytes }, (_, i) => (i * 151 + 255) & 0xff));
        break;
      default:
        this.#faults.add(parsed);
    }
  }

  stop(): void {
    this.#streams.clear();
    this.#cancel();
    this.#isConnected = false;
  }

  plug(socket: UsbSocket): void {
    this.#socket = socket;
  }

  controlIn(setup: UsbControl, _length: number): Uint8Array | UsbRefusal {
    if (this.#isStalled) return 'silence';
    if (setup.requestType !== 0xc0 || this.#faults.has('wrong-device')) return 'stall';
    switch (setup.request) {
      case js220Request.connect:
        return Uint8Array.of(this.#connect(setup.value));
      case js220Request.disconnect:
        this.stop();
        return Uint8Array.of(0);
      default:
        return 'stall';
    }
  }

  controlOut(): 'ok' | UsbRefusal {
    return this.#isStalled ? 'silence' : 'stall';
  }

  takeIn(endpoint: number, maxLength: number): Uint8Array | null {
    return endpoint === js220Usb.endpointIn && !this.#isStalled ? this.#queue.take(maxLength) : null;
  }

  bulkOut(endpoint: number, data: Uint8Array): 'ok' | UsbRefusal {
    if (this.#isStalled) return 'silence';
    if (endpoint !== js220Usb.endpointOut || data.length < 4) return 'stall';
    const bytes = Buffer.from(data);
    const header = bytes.readUInt32LE(0);
    const payload = bytes.subarray(4, 4 + ((header >>> 16) & 0x1ff));
    if (!this.#isConnected) return 'ok';
    const port = (header >>> 25) & 31;
    if (port === js220Port.control && payload[0] === js220Control.timesync) this.#takeTimesync(payload);
    if (port === js220Port.pubsub && payload.length >= 36) this.#takePublish(payload);
    return 'ok';
  }

  #done(fault: string, tick = this.#now()): void {
    const step = this.#streams.get(js220Streams.current.index)?.step ?? 2;
    this.faultsDone.push({ fault, sample: Math.ceil((tick - (this.#mainStart ?? tick)) / step) });
  }

  #elapsedTicks(): number {
    return Math.floor(((this.#options.time.now_ns() - this.#made_ns) * TICK_HZ) / 1e9);
  }

  /** The sample counter. */
  #now(): number {
    return this.#counterOffset + this.#elapsedTicks();
  }

  #sourceTime_s(tick: number): number {
    return (this.#made_ns - this.#sourceStart_ns) / 1e9 + (tick - this.#counterOffset) / TICK_HZ;
  }

  #connect(mode: number): number {
    if (this.#faults.has('bad-status')) return 1;
    this.stop();
    this.#queue.clear();
    this.#frameId = 0;
    if (mode === 0) this.#settings.clear();
    this.#isConnected = true;
    if (this.#faults.has('no-connect')) return 0;
    const words = [
      this.#faults.has('wrong-protocol') ? 0x0200_0000 : 0x0100_0000,
      1,
      this.#faults.has('old-firmware') ? 0x0102_0000 : 0x0103_0000,
      0x0108_0000,
      0x0103_0000,
    ];
    const payload = Buffer.alloc(24);
    payload[0] = js220Control.connect;
    for (const [k, word] of words.entries()) payload.writeUInt32LE(word, 4 + 4 * k);
    this.#sendFrame(js220Port.control, payload);
    this.#nextSync_ns = this.#options.time.now_ns();
    this.#pace();
    return 0;
  }

  #pace(): void {
    this.#cancel = this.#options.time.after(PACE_MS, () => {
      if (!this.#isConnected || this.#isStalled) return;
      if (this.#options.time.now_ns() >= this.#nextSync_ns) {
        this.#nextSync_ns += TIMESYNC_MS * 1e6;
        this.#sendTimesync();
      }
      if (!this.#hasNoSamples) this.#sendStreams();
      this.#pace();
    });
  }

  /** A frame of 512 bytes; `claimed` is the length that its header tells. */
  #sendFrame(port: number, payload: Uint8Array, sent = js220Frame_bytes): void {
    const frame = Buffer.alloc(js220Frame_bytes);
    frame.writeUInt32LE(this.#frameId + payload.length * 2 ** 16 + port * 2 ** 25);
    frame.set(payload, 4);
    this.#frameId = (this.#frameId + 1) % 65_536;
    this.#push(frame.subarray(0, sent));
  }

  #push(frame: Uint8Array): void {
    if (this.#framesToDrop > 0) {
      this.#framesToDrop--;
      return;
    }
    this.#queue.push(frame);
    this.#socket?.ready(js220Usb.endpointIn);
  }

  #sendTimesync(): void {
    const payload = Buffer.alloc(44);
    payload[0] = js220Control.timesync;
    this.#lastSync = { start: BigInt(this.#now()), end: 0 };
    payload.writeBigUInt64LE(0x1122334455667788n, 4);
    payload.writeBigUInt64LE(this.#lastSync.start, 12);
    this.#sendFrame(js220Port.control, payload);
    this.#sendTimemap();
  }

  #takeTimesync(payload: Buffer): void {
    const isAnswer =
      payload.length >= 44 &&
      payload.readBigUInt64LE(4) === 0x1122334455667788n &&
      payload.readBigUInt64LE(12) === this.#lastSync?.start;
    if (!isAnswer) return;
    this.#replies++;
    const toUnix = (time64: bigint) => ((time64 * 1_000_000_000n) >> 30n) + UNIX_2018_S * 1_000_000_000n;
    const middle_ns = (toUnix(payload.readBigInt64LE(20)) + toUnix(payload.readBigInt64LE(28))) / 2n;
    const middleTick = (Number(this.#lastSync!.start) + this.#now()) / 2;
    this.#utcOfTick0_ns = middle_ns - BigInt(Math.round((middleTick * 1e9) / TICK_HZ));
    this.#sendTimemap();
  }

  #sendTimemap(): void {
    if (this.#faults.has('no-timemap')) return;
    const counter = this.#now();
    const payload = Buffer.alloc(36);
    payload[0] = js220Control.timemap;
    const utc_ns = (this.#utcOfTick0_ns ?? 0n) + BigInt(Math.round((counter * 1e9) / TICK_HZ));
    payload.writeBigInt64LE(((utc_ns - UNIX_2018_S * 1_000_000_000n) * 2n ** 30n) / 1_000_000_000n, 12);
    payload.writeBigUInt64LE(BigInt(counter), 20);
    payload.writeBigUInt64LE(BigInt(TICK_HZ) * 2n ** 32n, 28);
    this.#sendFrame(js220Port.control, payload);
  }

  #publish(topic: string, type: number, data: Uint8Array): void {
    const payload = Buffer.alloc(36 + data.length);
    payload.write(topic, 0, 31, 'utf8');
    payload[32] = type;
    payload.set(data, 36);
    this.#sendFrame(js220Port.pubsub, payload);
  }

  #publishNumber(topic: string, type: number, value: number): void {
    const data = Buffer.alloc(8);
    data.writeInt32LE(value | 0);
    this.#publish(topic, type, data);
  }

  #takePublish(payload: Buffer): void {
    const end = payload.indexOf(0);
    const topic = payload.toString('utf8', 0, end < 0 || end > 32 ? 32 : end);
    const value = payload.length >= 44 ? payload.readUInt32LE(36) : 0;
    if (topic === '$') this.#sendMetadata();
    else if (topic === 'c/!ping') {
      if (!this.#faults.has('no-pong')) this.#publishNumber('c/!pong', js220Type.u32, value);
    } else if (topic === '?') this.#sendValues();
    else this.#set(topic, value);
  }

  /** The values that are set, as answers to a question: `?` behind the topic. */
  #sendValues(): void {
    for (const [topic, metadata] of Object.entries(METADATA)) {
      const value = this.#settings.get(topic) ?? metadata.default;
      if (value !== undefined) this.#publishNumber(`${topic}?`, js220Type[metadata.dtype], value);
    }
  }

  #sendMetadata(): void {
    if (this.#faults.has('no-metadata')) return;
    for (const [topic, metadata] of Object.entries(METADATA)) {
      const json = this.#faults.has('broken-metadata') ? '{"options": [[0, ' : JSON.stringify(metadata);
      this.#publish(`${topic}$`, js220Type.json, Buffer.from(`${json}\0`));
    }
  }

  #set(topic: string, value: number): void {
    const { options } = (METADATA[topic] ?? {}) as { options?: [number, ...string[]][] };
    const isKnown = options === undefined || options.some(([number]) => number === value);
    const code = this.#faults.take('refuse-setting') || !isKnown ? 5 : 0;
    this.#publishNumber(`${topic}#`, js220Type.i32, code);
    if (code !== 0) return;
    this.#settings.set(topic, value);
    const stream = Object.entries(js220Streams).find(([, port]) => port.topic === topic);
    if (stream) this.#switch(stream[0] as Js220StreamName, stream[1].index, value !== 0);
  }

  #switch(name: Js220StreamName, index: number, on: boolean): void {
    if (!on) {
      this.#streams.delete(index);
      return;
    }
    const isAnalog = name === 'current' || name === 'voltage' || name === 'power';
    const step = isAnalog ? 2 * (this.#settings.get('s/dwnN/N') ?? 1) : name === 'statistics' ? 2 : 1;
    let start = Math.ceil(this.#now() / step) * step;
    if (name === 'voltage' && this.#faults.take('misaligned')) start += 63 * step;
    if (isAnalog || name === 'range') {
      const isFirst = ![4, 5, 6, 7].some((other) => this.#streams.has(other));
      this.#mainStart = Math.max(isFirst ? 0 : this.#mainStart!, start);
      const steps = [...this.#streams.values(), { step }].map((stream) => stream.step);
      const grid = Math.max(...steps);
      this.#mainStart = Math.ceil(this.#mainStart / grid) * grid;
    }
    this.#streams.set(index, {
      name,
      index,
      step,
      start,
      next: start,
      last: null,
      overlap: 0,
      isRepeating: false,
      isStopped: false,
    });
  }

  /** A loss of `length` ticks of all streams at a tick where a message of each of them can end. */
  #planSkip(length: number): void {
    const streams = [...this.#streams.values()];
    const grid = 8 * Math.max(2, ...streams.map((stream) => stream.step));
    const at = Math.ceil(Math.max(this.#now(), ...streams.map((stream) => stream.next)) / grid + 1) * grid;
    this.#skip = { at, length };
  }

  #sendStreams(): void {
    const now = this.#now();
    for (const stream of this.#streams.values()) {
      while (!stream.isStopped && this.#sendMessage(stream, now));
    }
  }

  /** Sends the stream's next message if all of its samples have been taken by `now`. */
  #sendMessage(stream: Stream, now: number): boolean {
    if (stream.name === 'statistics') return this.#sendStatistics(stream, now);
    const perByte = stream.name === 'range' ? 2 : 8;
    const isFloat = stream.step > 1 || ![4, 8, 9, 10, 11, 12].includes(stream.index);
    const capacity = isFloat ? PAYLOAD_BYTES / 4 : PAYLOAD_BYTES * perByte;
    if (stream.isRepeating && stream.last) {
      stream.isRepeating = false;
      this.#sendFrame(js220Port.stream + stream.index, stream.last);
    }
    const skip = this.#skip;
    if (skip && stream.next === skip.at) {
      stream.next = Math.ceil((skip.at + skip.length) / stream.step) * stream.step;
    }
    const back = Math.floor(stream.overlap / stream.step);
    const first = stream.next - back * stream.step;
    let count = capacity;
    if (skip && first < skip.at) count = Math.min(count, (skip.at - first) / stream.step);
    if (!isFloat) count -= count % perByte;
    if (first + count * stream.step > now) return false;
    stream.overlap = 0;
    const data = isFloat ? this.#floats(stream, first, count) : this.#packed(stream, first, count, perByte);
    const payload = Buffer.alloc(4 + data.length);
    payload.writeUInt32LE(first % 2 ** 32);
    payload.set(data, 4);
    this.#sendFrame(js220Port.stream + stream.index, payload);
    stream.last = payload;
    stream.next = first + count * stream.step;
    return true;
  }

  #means(tick: number, step: number, n: number): { current: Float64Array; voltage: Float64Array } {
    const [current, voltage] = [new Float64Array(n), new Float64Array(n)];
    this.#options.source.fillMeans(this.#sourceTime_s(tick), step / TICK_HZ, n, current, voltage);
    if (this.#settings.get('s/i/range/mode') === 7) current.fill(0);
    return { current, voltage };
  }

  #floats(stream: Stream, tick: number, n: number): Uint8Array {
    const data = Buffer.alloc(4 * n);
    const write = (value: (i: number) => number) => {
      for (let i = 0; i < n; i++) data.writeFloatLE(value(i), 4 * i);
    };
    if (stream.name === 'power') {
      const parts = stream.step / 2;
      const { current, voltage } = this.#means(tick, 2, n * parts);
      write((i) => {
        let sum = 0;
        for (let k = i * parts; k < (i + 1) * parts; k++) sum += current[k]! * voltage[k]!;
        return sum / parts;
      });
      return data;
    }
    const { current, voltage } = this.#means(tick, stream.step, n);
    if (stream.name === 'voltage') write((i) => voltage[i]!);
    else write((i) => (this.#nanLeft > 0 && this.#nanLeft-- > 0 ? Number.NaN : current[i]!));
    return data;
  }

  #packed(stream: Stream, tick: number, n: number, perByte: number): Uint8Array {
    const data = new Uint8Array(n / perByte);
    if (stream.name === 'range') {
      const mode = this.#settings.get('s/i/range/mode') ?? AUTO_CURRENT;
      const { current } = this.#means(tick, 1, n);
      for (let i = 0; i < n; i++) {
        const range = mode === AUTO_CURRENT ? rangeOf(current[i]!) : (this.#settings.get('s/i/range/select') ?? 0);
        data[i >> 1]! |= range << (4 * (i & 1));
      }
      return data;
    }
    const t0_s = this.#sourceTime_s(tick);
    const channel = this.#inputs[js220Inputs.indexOf(stream.name as (typeof js220Inputs)[number])] ?? '';
    let level = this.#options.source.levelAt(channel, t0_s - EDGE_SLACK / TICK_HZ);
    let from = 0;
    const fill = (to: number) => {
      if (level) for (let i = from; i < to; i++) data[i >> 3]! |= 1 << (i & 7);
      from = to;
    };
    // The pins are read at the beginning of each tick.
    const slack_s = EDGE_SLACK / TICK_HZ;
    for (const edge of this.#options.source.edgesBetween(t0_s - slack_s, t0_s + (n - 1) / TICK_HZ + slack_s)) {
      if (edge.channel !== channel) continue;
      fill(Math.min(n, Math.max(from, Math.ceil((edge.time_s - t0_s) * TICK_HZ - 1e-3))));
      level = edge.polarity === 'rise';
    }
    fill(n);
    return data;
  }

  #sendStatistics(stream: Stream, now: number): boolean {
    const count = this.#settings.get('s/stats/scnt') ?? 500_000;
    if (stream.next + 2 * count > now) return false;
    const payload = Buffer.alloc(192);
    payload.writeUInt32LE(0x92000000 + count, 0);
    payload.writeUInt32LE(TICK_HZ, 4);
    payload.writeBigUInt64LE(BigInt(stream.next), 8);
    payload.writeBigUInt64LE(BigInt(stream.start), 16);
    const { current, voltage } = this.#means(stream.next, 2, count);
    const power = current.map((i, k) => i * voltage[k]!);
    const i128 = (value: bigint, at: number) => {
      payload.writeBigUInt64LE(BigInt.asUintN(64, value), at);
      payload.writeBigInt64LE(value >> 64n, at + 8);
    };
    const moments = (values: Float64Array, k: number, squares: number, bits: number) => {
      let [sum, sumOfSquares, min, max] = [0n, 0n, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
      for (const value of values) {
        const fixed = BigInt(Math.round(value * 2 ** bits));
        sum += fixed;
        sumOfSquares += fixed * fixed;
        min = Math.min(min, value);
        max = Math.max(max, value);
      }
      payload.writeBigInt64LE(sum, 24 + 8 * k);
      payload.writeBigInt64LE(BigInt(Math.round(min * 2 ** bits)), 32 + 8 * k);
      payload.writeBigInt64LE(BigInt(Math.round(max * 2 ** bits)), 40 + 8 * k);
      i128(sumOfSquares, 96 + 16 * squares);
    };
    moments(current, 0, 0, 31);
    moments(voltage, 3, 2, 31);
    moments(power, 6, 4, 27);
    this.#charge += sumOf(current);
    this.#energy += sumOf(power);
    i128(BigInt(Math.round(this.#charge * 2 ** 31)), 96 + 16);
    i128(BigInt(Math.round(this.#energy * 2 ** 31)), 96 + 80);
    this.#sendFrame(js220Port.stream + stream.index, payload);
    stream.next += 2 * count;
    return true;
  }

  #charge = 0;
  #energy = 0;
}

const sumOf = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0);

function rangeOf(current_A: number): number {
  const k = RANGE_ENDS_A.findIndex((end_A) => Math.abs(current_A) < end_A);
  return k < 0 ? 0 : 5 - k;
}
