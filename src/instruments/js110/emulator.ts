import { crc32 } from 'node:zlib';
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
import { callAt, PendingFaults } from '../emulator-parts.ts';
import { SampledPins } from '../sampled-pins.ts';
import {
  js110Calibration,
  js110Endpoint,
  js110FrameBytes,
  js110FrameSamples,
  js110Gpi,
  js110MissingWord,
  js110PacketType,
  js110RangeOff,
  js110Rate_Hz,
  js110RawFrame,
  js110Request,
  js110Select,
  js110SettingsResult,
  js110Streaming,
  js110Usb,
} from './spec.ts';

export const js110Faults: FaultCatalogue = {
  'drop-frames=': 'loses N frames on the way; the packet index goes on',
  'index-jump=': 'the packet index jumps by N although no frame is lost',
  'missing=': 'sends N words that say that a sample is missing',
  'lose-sample': 'loses one sample inside the instrument, which only the toggle bit shows',
  'bad-status': 'sends a frame whose status is not 0',
  'bad-length': 'sends a frame that states a wrong length',
  'short-packet': 'sends only part of a frame',
  rubbish: 'sends only rubbish from now on',
  stall: 'sends nothing any more and answers nothing',
  unplug: 'vanishes',
  'wrong-device': 'echoes something else',
  refuse: 'refuses its settings',
  'settings-busy': 'never carries out its settings',
  'settings-error': 'answers its settings with an error',
  'bad-checksum': 'the active calibration has a wrong checksum',
  'nan-gain': 'the active calibration has NaN for the gain of range 2',
  'no-calibration': 'holds no calibration at all',
  'old-firmware': 'sends the short status of old firmware, and garbled information',
};

const FRAME_MS = (1000 * js110FrameSamples) / js110Rate_Hz;
const SAMPLE_S = 1 / js110Rate_Hz;
/** Frames are made so many at a time: 2 ms. */
const BATCH_FRAMES = 32;
/** Frames that wait for a slow host, 130 ms; then frames are lost. The instrument has far less. */
const QUEUE_BYTES = 1 << 20;
/** Every stream begins with words without a sample. */
const LEADING_MISSING = 5;
/** After a change of range the current reads this code for 1.5 us. */
const SETTLING_SAMPLES = 3;
const SETTLING_CODE = 12_345;
/** The emulator leaves a range upwards above this code. */
const RANGE_END_CODE = 15_000;
const FULL_CODE = 16_383;

/** Coefficients of an invented JS110. */
const CURRENT = {
  offset: [-2806.75, -2822.5, -2820.875, -2822.625, -2820.5, -2820.625, -2818.75],
  gain: [6.8e-4, 1.6e-4, 1.45e-5, 1.5e-6, 1.505e-7, 1.495e-8, 1.5e-9],
};
const VOLTAGE = { offset: [-1150.5, -2041.75], gain: [9.5e-4, 2.95e-4] };

const SERIAL_HEX = '51'.repeat(16);

/** A Joulescope JS110 seen from its USB port. It encodes by itself; only the numbers of the protocol are shared. */
export class Js110Emulator implements Emulator, UsbModel {
  readonly serial: string;
  readonly descriptor: UsbModelDescriptor;
  readonly faultsDone: FaultDone[] = [];
  readonly #options: EmulatorOptions;
  readonly #sourceStart_ns: number;
  readonly #pins: SampledPins;
  readonly #faults = new PendingFaults();
  readonly #queue = new UsbInQueue(js110FrameBytes, QUEUE_BYTES);
  readonly #records: Record<number, Uint8Array>;
  #socket: UsbSocket | null = null;

  #loopback = new Uint8Array();
  #settings = new Uint8Array(16);
  #extio = new Uint8Array(24);
  /** Answers to come for settings_result; the last one stays. */
  #results: number[] = [js110SettingsResult.pending];

  #isStreaming = false;
  #isStalled = false;
  #isRubbish = false;
  #cancel: () => void = () => {};
  #start_ns = 0;
  #firstSample_s: number | null = null;
  /** Samples taken since streaming was switched on. */
  #taken = 0;
  #index = 0;
  #lostFrames = 0;
  /** Frames that the fault under way still has to lose. */
  #framesToLose = 0;
  #range = js110RangeOff;
  #settling = 0;
  #missing = 0;
  #toggleSlip = 0;
  #levels = 0;
  #charge_C = 0;
  #energy_J = 0;
  #window = emptyWindow();
  readonly #current = new Float64Array(BATCH_FRAMES * js110FrameSamples);
  readonly #voltage = new Float64Array(BATCH_FRAMES * js110FrameSamples);

  constructor(options: EmulatorOptions) {
    this.serial = checkEmulatorSerial(options.serial ?? 'SIM-JS110-0001');
    this.descriptor = {
      ...js110Usb,
      release: 0x0100,
      manufacturer: 'Joulemark',
      product: 'Emulated JS110',
      serial: this.serial,
      endpoints: [{ address: js110Endpoint, packetSize: js110FrameBytes }],
    };
    this.#options = options;
    this.#sourceStart_ns = options.sourceStart_ns ?? options.time.now_ns();
    this.#pins = new SampledPins(options.source, options.inputs ?? [], SAMPLE_S);
    this.#records = {
      [js110Calibration.active]: calibrationRecord(calibrationJson()),
      [js110Calibration.factory]: calibrationRecord(calibrationJson()),
    };
    this.#settings.set([1, 16, js110PacketType.settings]);
    this.#extio.set([1, 24, js110PacketType.extio]);
    new DataView(this.#extio.buffer).setUint32(20, 3300, true);
  }

  get firstSample_s(): number | null {
    return this.#firstSample_s;
  }

  /** Frames that were lost because the host did not read. */
  get lostFrames(): number {
    return this.#lostFrames;
  }

  /** Charge and energy of all samples so far, before they are converted to codes. */
  get totals(): { charge_C: number; energy_J: number } {
    return { charge_C: this.#charge_C, energy_J: this.#energy_J };
  }

  inject(fault: string): void {
    const parsed = parseFault(fault, js110Faults);
    switch (parsed.name) {
      case 'stall':
        this.#isStalled = true;
        break;
      case 'unplug':
        this.stop();
        this.faultsDone.push({ fault, sample: this.#taken });
        this.#socket?.unplugged();
        break;
      case 'bad-checksum':
        this.#records[js110Calibration.active]![100]! ^= 1;
        break;
      case 'nan-gain':
        this.#records[js110Calibration.active] = calibrationRecord(
          calibrationJson().replace(String(CURRENT.gain[2]), 'NaN'),
        );
        break;
      case 'no-calibration':
        for (const record of Object.values(this.#records)) record.fill(0xff);
        break;
      default:
        this.#faults.add(parsed);
    }
  }

  stop(): void {
    this.#isStreaming = false;
    this.#cancel();
  }

  plug(socket: UsbSocket): void {
    this.#socket = socket;
  }

  takeIn(_endpoint: number, maxLength: number): Uint8Array | null {
    return this.#queue.take(maxLength);
  }

  bulkOut(): UsbRefusal {
    return 'stall';
  }

  controlIn({ request, value, index }: UsbControl, length: number): Uint8Array | UsbRefusal {
    if (this.#isStalled) return 'silence';
    switch (request) {
      case js110Request.loopbackBuffer:
        return this.#faults.has('wrong-device') ? this.#loopback.toReversed() : this.#loopback;
      case js110Request.settings:
        return this.#settings;
      case js110Request.extio:
        return this.#extio;
      case js110Request.status:
        return this.#status();
      case js110Request.serialNumber:
        return new Uint8Array(Buffer.from(SERIAL_HEX, 'hex'));
      case js110Request.calibration:
        return this.#records[value]?.slice(index, index + length) ?? 'stall';
      case js110Request.info:
        return this.#info();
    }
    return 'stall';
  }

  controlOut({ request }: UsbControl, data: Uint8Array): 'ok' | UsbRefusal {
    if (this.#isStalled) return 'silence';
    switch (request) {
      case js110Request.loopbackBuffer:
        this.#loopback = data.slice();
        return 'ok';
      case js110Request.settings:
        if (data.length !== 16 || data[2] !== js110PacketType.settings || this.#faults.has('refuse')) return 'stall';
        this.#settings = data.slice();
        this.#answerSettings();
        this.#settingsChanged();
        return 'ok';
      case js110Request.extio:
        if (data.length !== 24 || data[2] !== js110PacketType.extio) return 'stall';
        this.#extio = data.slice();
        this.#answerSettings();
        return 'ok';
    }
    return 'stall';
  }

  #answerSettings(): void {
    const { pending, busy, done } = js110SettingsResult;
    if (this.#faults.has('settings-busy')) this.#results = [busy];
    else if (this.#faults.has('settings-error')) this.#results = [pending, busy, 5];
    else this.#results = [pending, busy, busy, done];
  }

  #status(): Uint8Array {
    const result = this.#results.length > 1 ? this.#results.shift()! : this.#results[0]!;
    const length = this.#faults.has('old-firmware') ? 24 : 104;
    const bytes = new Uint8Array(104);
    const view = new DataView(bytes.buffer);
    bytes.set([1, length, js110PacketType.status]);
    view.setInt32(8, result, true);
    view.setUint32(12, this.#index, true);
    bytes.set(this.#settings.subarray(9, 12), 21);
    const q = (value: number, bits: number) => BigInt(Math.round(value * 2 ** bits));
    view.setBigInt64(24, BigInt(this.#taken), true);
    view.setBigInt64(40, q(this.#charge_C, 27), true);
    view.setBigInt64(48, q(this.#energy_J, 27), true);
    if (this.#taken > 0) {
      const { charge_C, energy_J, voltage_Vs, current, voltage, power } = this.#window;
      const i32 = (at: number, value: number, bits: number) => view.setInt32(at, Math.round(value * 2 ** bits), true);
      const duration_s = this.#taken * SAMPLE_S;
      view.setBigInt64(32, q(energy_J / duration_s, 34), true);
      view.setInt32(56, this.#taken, true);
      i32(68, charge_C / duration_s, 27);
      i32(72, current.min, 27);
      i32(76, current.max, 27);
      i32(80, voltage_Vs / duration_s, 17);
      i32(84, voltage.min, 17);
      i32(88, voltage.max, 17);
      i32(92, power.min, 21);
      i32(96, power.max, 21);
    }
    view.setInt32(60, js110Rate_Hz / 2, true);
    view.setInt32(64, js110Rate_Hz, true);
    return bytes.subarray(0, length);
  }

  #info(): Uint8Array {
    if (this.#faults.has('old-firmware'))
      return Uint8Array.from([1, 12, js110PacketType.info, 0, 0, 0, 0, 0, 0x7b, 0xff]);
    // Since firmware 1.1.0 the text comes without a header.
    return new Uint8Array(
      Buffer.from(JSON.stringify({ type: 'info', ctl: { hw: { rev: 'SIM' }, fw: { ver: '1.3.0' } } })),
    );
  }

  #settingsChanged(): void {
    const shouldStream = this.#settings[12] === js110Streaming.on && this.#settings[8] === 1;
    if (shouldStream && !this.#isStreaming) this.#startStream();
    else if (!shouldStream) this.stop();
  }

  #startStream(): void {
    this.#isStreaming = true;
    this.#start_ns = this.#options.time.now_ns();
    this.#firstSample_s = (this.#start_ns - this.#sourceStart_ns) / 1e9;
    this.#taken = 0;
    this.#window = emptyWindow();
    this.#index = 0;
    this.#range = js110RangeOff;
    this.#missing = LEADING_MISSING;
    this.#toggleSlip = 0;
    this.#pins.start(this.#firstSample_s);
    this.#schedule();
  }

  #schedule(): void {
    const due_ns = this.#start_ns + (this.#taken / js110FrameSamples + BATCH_FRAMES) * FRAME_MS * 1e6;
    this.#cancel = callAt(this.#options.time, due_ns, () => {
      if (!this.#isStreaming || this.#isStalled) return;
      this.#sendBatch();
      this.#schedule();
    });
  }

  #sendBatch(): void {
    const n = BATCH_FRAMES * js110FrameSamples;
    const t0_s = this.#firstSample_s! + this.#taken * SAMPLE_S;
    this.#options.source.fillMeans(t0_s, SAMPLE_S, n, this.#current, this.#voltage);
    this.#pins.nextBatch(t0_s, n);
    for (let k = 0; k < n; k++) {
      const current = this.#current[k]!;
      const voltage = this.#voltage[k]!;
      this.#charge_C += current * SAMPLE_S;
      this.#energy_J += current * voltage * SAMPLE_S;
      addToWindow(this.#window, current, voltage);
    }
    for (let frame = 0; frame < BATCH_FRAMES; frame++) {
      const first = this.#taken;
      const bytes = this.#encodeFrame(frame * js110FrameSamples);
      this.#taken += js110FrameSamples;
      this.#index = (this.#index + 1) & 0xffff;
      const sent = this.#damage(bytes, first);
      if (sent !== null && !this.#queue.push(sent)) this.#lostFrames++;
    }
    this.#socket?.ready(js110Endpoint);
  }

  #encodeFrame(from: number): Uint8Array {
    const view = new DataView(new ArrayBuffer(js110FrameBytes));
    const voltageRange = (this.#settings[11]! >> 1) & 1;
    view.setUint8(0, js110RawFrame);
    view.setUint16(2, js110FrameBytes | (voltageRange << 15), true);
    view.setUint16(4, this.#index, true);
    view.setUint16(6, Math.floor(this.#taken / (js110Rate_Hz / 1000)) & 0x7ff, true);
    const missing = this.#faults.take('missing');
    if (missing) {
      this.faultsDone.push({ fault: `missing=${missing.value}`, sample: this.#taken });
      this.#missing = missing.value;
    }
    if (this.#faults.take('lose-sample')) {
      this.faultsDone.push({ fault: 'lose-sample', sample: this.#taken });
      this.#toggleSlip ^= 1;
    }
    // A batch of edges is spread over its frames: indices count from the batch's first sample.
    for (let k = 0; k < js110FrameSamples; k++) {
      this.#levels = this.#pins.levelsAt(from + k);
      view.setUint32(8 + 4 * k, this.#word(from + k, voltageRange), true);
    }
    return new Uint8Array(view.buffer);
  }

  #word(k: number, voltageRange: number): number {
    const { range, code } = this.#convert(this.#current[k]!);
    if (range !== this.#range) {
      this.#range = range;
      this.#settling = range === js110RangeOff ? 0 : SETTLING_SAMPLES;
    }
    let current = code;
    if (this.#settling > 0) {
      this.#settling--;
      current = SETTLING_CODE;
    }
    if (this.#missing > 0) {
      this.#missing--;
      return js110MissingWord;
    }
    let voltage = clampCode(this.#voltage[k]! / VOLTAGE.gain[voltageRange]! - VOLTAGE.offset[voltageRange]!);
    const currentPin = this.#pin(this.#extio[10]!);
    const voltagePin = this.#pin(this.#extio[11]!);
    if (currentPin !== null) current = (current & ~1) | currentPin;
    if (voltagePin !== null) voltage = (voltage & ~1) | voltagePin;
    const toggle = (k & 1) ^ this.#toggleSlip;
    return ((voltage << 18) | (toggle << 17) | ((range >> 2) << 16) | (current << 2) | (range & 3)) >>> 0;
  }

  /** Level of the pin that takes the place of an LSB; null where none does. Without an I/O voltage the pins read 0. */
  #pin(mapping: number): number | null {
    if (mapping !== js110Gpi.gpi0 && mapping !== js110Gpi.gpi1) return null;
    const isPowered = new DataView(this.#extio.buffer).getUint32(20, true) > 0;
    return isPowered ? (this.#levels >> (mapping === js110Gpi.gpi0 ? 0 : 1)) & 1 : 0;
  }

  /** The converter: the selected range, or the most sensitive one that can hold the current, and its code. */
  #convert(current_A: number): { range: number; code: number } {
    const select = this.#settings[9]!;
    if (select === js110Select.off) return { range: js110RangeOff, code: 0 };
    const codeIn = (range: number) => clampCode(current_A / CURRENT.gain[range]! - CURRENT.offset[range]!);
    if (select !== js110Select.auto) {
      const range = Math.log2(select);
      return { range, code: codeIn(range) };
    }
    for (let range = CURRENT.gain.length - 1; ; range--) {
      const code = codeIn(range);
      if (code <= RANGE_END_CODE || range === 0) return { range, code };
    }
  }

  /** The frame as it leaves, or null if it is lost. */
  #damage(frame: Uint8Array, first: number): Uint8Array | null {
    const done = (fault: string) => this.faultsDone.push({ fault, sample: first });
    const drop = this.#faults.take('drop-frames');
    if (drop) {
      done(`drop-frames=${drop.value}`);
      this.#framesToLose = drop.value;
    }
    if (this.#framesToLose > 0) {
      this.#framesToLose--;
      return null;
    }
    const jump = this.#faults.take('index-jump');
    if (jump) {
      done(`index-jump=${jump.value}`);
      this.#index = (this.#index + jump.value) & 0xffff;
    }
    if (this.#faults.take('bad-status')) {
      done('bad-status');
      frame[1] = 7;
    }
    if (this.#faults.take('bad-length')) {
      done('bad-length');
      frame[2] = 0x40;
    }
    if (this.#faults.take('rubbish')) {
      done('rubbish');
      this.#isRubbish = true;
    }
    if (this.#isRubbish) return Uint8Array.from(frame, (_, k) => (k * 151 + first) & 0xff);
    if (this.#faults.take('short-packet')) {
      done('short-packet');
      return frame.subarray(0, 100);
    }
    return frame;
  }
}

/** Sums and extremes since streaming was switched on; the instrument's own window of 0.5 s is not imitated. */
const emptyWindow = () => {
  const none = () => ({ min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY });
  return { charge_C: 0, energy_J: 0, voltage_Vs: 0, current: none(), voltage: none(), power: none() };
};

function addToWindow(window: ReturnType<typeof emptyWindow>, current: number, voltage: number): void {
  const power = current * voltage;
  window.charge_C += current * SAMPLE_S;
  window.energy_J += power * SAMPLE_S;
  window.voltage_Vs += voltage * SAMPLE_S;
  widen(window.current, current);
  widen(window.voltage, voltage);
  widen(window.power, power);
}

function widen(extremes: { min: number; max: number }, value: number): void {
  if (value < extremes.min) extremes.min = value;
  if (value > extremes.max) extremes.max = value;
}

function clampCode(code: number): number {
  return Math.max(0, Math.min(FULL_CODE, Math.round(code)));
}

function calibrationJson(): string {
  // Range 7 is the open path: the bare word NaN, as in real records.
  const list = (values: readonly number[]) => `[${values.join(', ')}, NaN]`;
  return (
    `{"version": "1.0.0", "time": "2018-01-01T00:00:00+00:00", "timestamp": "0", "product_name": "Emulated JS110", ` +
    `"vendor_name": "Joulemark", "subtype_name": "Calibration", "product": "1.1.1", "serial_number": "${SERIAL_HEX}", ` +
    `"voltage": {"offset": [${VOLTAGE.offset}], "gain": [${VOLTAGE.gain}]}, ` +
    `"current": {"offset": ${list(CURRENT.offset)}, "gain": ${list(CURRENT.gain)}}}`
  );
}

/** Time, version, vendor, product, subtype, hardware, serial number: other software refuses a record without it. */
function calibrationHeader(): Buffer {
  const header = Buffer.alloc(40);
  header.writeUInt32LE(0x0100_0000, 8);
  header.writeUInt32LE(1, 12);
  header.writeUInt16LE(1, 16);
  header.writeUInt16LE(1, 18);
  header.write(SERIAL_HEX, 24, 'hex');
  return header;
}

/** A calibration record, not signed: a header, a section of coefficients and an end. */
function calibrationRecord(json: string): Uint8Array {
  const section = (tag: string, data: Buffer): Buffer => {
    const head = Buffer.alloc(8);
    head.write(tag, 'latin1');
    head.writeUInt32LE(data.length, 4);
    let body = Buffer.concat([head, data]);
    while ((body.length - 8 + 4) % 8 !== 0) body = Buffer.concat([body, Buffer.alloc(1)]);
    const check = Buffer.alloc(4);
    check.writeUInt32LE(crc32(body));
    return Buffer.concat([body, check]);
  };
  const body = Buffer.concat([
    section('HDR', calibrationHeader()),
    section('AJS', Buffer.from(json)),
    section('END', Buffer.alloc(0)),
  ]);
  const header = Buffer.alloc(32);
  Buffer.from('d3746167666d74200d0a200a20201a1c', 'hex').copy(header);
  header.writeBigUInt64LE(BigInt(32 + body.length), 16);
  header[27] = 1;
  header.writeUInt32LE(crc32(header.subarray(0, 28)), 28);
  return new Uint8Array(Buffer.concat([header, body]));
}
