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
import {
  type MonsoonChannel,
  type MonsoonModel,
  monsoonChannels,
  monsoonEndpoint,
  monsoonError,
  monsoonFlag,
  monsoonKnownFirmware,
  monsoonModelCode,
  monsoonOpcode,
  monsoonPacketBytes,
  monsoonPassthrough,
  monsoonRate_Hz,
  monsoonRequest,
  monsoonResistorOpcode,
  monsoonSampleType,
  monsoonSamplingBit,
  monsoonScaleOpcode,
  monsoonUsb,
  monsoonZeroOffsetOpcode,
} from './spec.ts';

export const monsoonFaults: FaultCatalogue = {
  'drop=': 'drops N samples inside the instrument, and counts them',
  'counter-jump=': 'the dropped count jumps by N although no sample is dropped',
  'lose-packets=': 'loses N packets on the way, which only the 4-bit sequence shows',
  'invalid=': 'sends N samples marked invalid',
  'half-packet': 'sends only part of a packet',
  'bad-count': 'sends a packet that announces 9 measurements',
  'over-current': 'cuts the supply and says so in the flags',
  rubbish: 'sends only rubbish from now on',
  stall: 'sends nothing any more and answers nothing',
  unplug: 'vanishes',
  'wrong-device': 'says that it is a hardware model that does not exist',
  refuse: 'refuses every value that it is told',
  'error-word': 'answers the question for its model with the error word',
  'left-sampling': 'still samples for an earlier program when it is opened',
  'never-stops': 'the same, and a STOP does not end it',
  'limit-ignored': 'keeps its current limit, whatever it is told',
  'eeprom-lost': 'has lost its scales',
  'bad-dac': 'the calibration of its output voltage is far off',
  'old-firmware': 'has firmware 20, which knows no start status',
  'no-reference': 'never sends reference samples',
};

const SAMPLE_S = 1 / monsoonRate_Hz;
/** Samples are made so many at a time: 3 ms, no more than the instrument's own queue holds. */
const BATCH = 15;
const MEASUREMENTS = 3;
/** Packets that wait for a slow host, a third of a second; then samples are dropped. The instrument holds 16 samples. */
const QUEUE_BYTES = 1 << 15;
/** Pairs of zero and reference samples at the start. */
const FIRST_PAIRS = 5;
const USB_VOLTAGE_V = 5;
const OLD_FIRMWARE = 20;

type Scales = Readonly<Record<MonsoonChannel, number>>;

interface Invented {
  /** What the opcodes of scales and offsets answer. */
  registers: Readonly<Record<number, number>>;
  zero: Scales;
  reference: Scales;
  /** Amperes a code, by the equations of the specification. */
  steps_A: Scales;
  /** The code at 0 A. */
  origin: Scales;
  minCode: number;
  maxCode: number;
  volts: { main: number; usb: number };
}

const perChannel = (of: (channel: MonsoonChannel) => number): Scales =>
  Object.fromEntries(monsoonChannels.map((channel) => [channel, of(channel)])) as Record<MonsoonChannel, number>;

function inventHvpm(): Invented {
  const scale: Scales = {
    mainFine: 36_500,
    mainCoarse: 6400,
    usbFine: 14_000,
    usbCoarse: 600,
    auxFine: 3100,
    auxCoarse: 250,
  };
  const offset: Scales = { mainFine: 15, mainCoarse: -7, usbFine: 4, usbCoarse: -3, auxFine: 0, auxCoarse: 0 };
  const zero: Scales = {
    mainFine: 1500,
    mainCoarse: 1400,
    usbFine: 1300,
    usbCoarse: 1200,
    auxFine: 1100,
    auxCoarse: 1000,
  };
  const reference: Scales = {
    mainFine: 38_000,
    mainCoarse: 64_900,
    usbFine: 15_300,
    usbCoarse: 8900,
    auxFine: 4200,
    auxCoarse: 3500,
  };
  const origin = perChannel((channel) => zero[channel] + offset[channel]);
  const unit_A = (channel: MonsoonChannel) => (channel.endsWith('Fine') ? 1e-6 : 1e-3);
  const registers: Record<number, number> = {};
  for (const channel of monsoonChannels) {
    registers[monsoonScaleOpcode[channel]] = scale[channel];
    const opcode = monsoonZeroOffsetOpcode[channel];
    if (opcode !== undefined) registers[opcode] = offset[channel] & 0xffff;
  }
  return {
    registers,
    zero,
    reference,
    origin,
    steps_A: perChannel((channel) => (scale[channel] / (reference[channel] - origin[channel])) * unit_A(channel)),
    minCode: 0,
    maxCode: 0xffff,
    volts: { main: 250e-6, usb: 125e-6 },
  };
}

function inventLvpm(): Invented {
  const offset: Scales = { mainFine: -5, mainCoarse: 3, usbFine: -1, usbCoarse: 0, auxFine: 7, auxCoarse: -128 };
  const zero: Scales = { mainFine: 120, mainCoarse: -15, usbFine: 90, usbCoarse: 20, auxFine: -60, auxCoarse: 30 };
  const reference: Scales = {
    mainFine: 20_120,
    mainCoarse: 18_000,
    usbFine: 20_000,
    usbCoarse: 18_000,
    auxFine: 25_000,
    auxCoarse: 24_000,
  };
  const nominal: Scales = {
    mainFine: 35_946e-6,
    mainCoarse: 3103.4e-3,
    usbFine: 35_946e-6,
    usbCoarse: 3103.4e-3,
    auxFine: 0.05049,
    auxCoarse: 1.289,
  };
  const registers: Record<number, number> = {};
  for (const channel of monsoonChannels) registers[monsoonResistorOpcode[channel]] = offset[channel] & 0xff;
  const ohm = (channel: MonsoonChannel) => (channel.startsWith('aux') ? 0.1 : 0.05);
  return {
    registers,
    zero,
    reference,
    origin: zero,
    steps_A: perChannel(
      (channel) =>
        (nominal[channel] * ohm(channel)) /
        (ohm(channel) + offset[channel] * 1e-4) /
        (reference[channel] - zero[channel]),
    ),
    minCode: -0x8000,
    maxCode: 0x7fff,
    volts: { main: 125e-6, usb: 125e-6 },
  };
}

const invented: Readonly<Record<MonsoonModel, Invented>> = { HVPM: inventHvpm(), LVPM: inventLvpm() };

/** Amperes a code of the emulated HVPM. */
export const monsoonSteps_A: Scales = invented.HVPM.steps_A;

/** What the emulated USB and aux channels carry, as a fraction of the source's current: invented, to tell them apart. */
const SHARE = { main: 1, usb: 0.5, aux: 0.25 };

/** A Monsoon seen from its USB port. It encodes by itself; only the numbers of the protocol are shared. */
export class MonsoonEmulator implements Emulator, UsbModel {
  readonly serial: string;
  readonly descriptor: UsbModelDescriptor;
  readonly faultsDone: FaultDone[] = [];
  readonly #options: EmulatorOptions;
  readonly #model: MonsoonModel;
  readonly #invented: Invented;
  readonly #sourceStart_ns: number;
  readonly #faults: { name: string; value: number }[] = [];
  readonly #queue = new UsbInQueue(monsoonPacketBytes, QUEUE_BYTES);
  readonly #registers = new Map<number, number>();
  #socket: UsbSocket | null = null;

  #isSampling = false;
  #isStalled = false;
  #isRubbish = false;
  #isTripped = false;
  #cancel: () => void = () => {};
  #start_ns = 0;
  #firstSample_s: number | null = null;
  #interval = 0;
  /** Samples taken since START. */
  #taken = 0;
  #maxSamples = 0;
  #sequence = 0;
  #dropped = 0;
  #toDrop = 0;
  #toMarkInvalid = 0;
  #packetsToLose = 0;
  readonly #current = new Float64Array(BATCH);
  readonly #voltage = new Float64Array(BATCH);

  constructor(options: EmulatorOptions, model: MonsoonModel = 'HVPM') {
    this.serial = checkEmulatorSerial(options.serial ?? `SIM-${model}-0001`);
    this.descriptor = {
      ...monsoonUsb,
      release: 0x0100,
      manufacturer: 'Joulemark',
      product: `Emulated ${model}`,
      serial: this.serial,
      endpoints: [{ address: monsoonEndpoint, packetSize: monsoonPacketBytes }],
    };
    this.#options = options;
    this.#model = model;
    this.#invented = invented[model];
    this.#sourceStart_ns = options.sourceStart_ns ?? options.time.now_ns();
    for (const [opcode, value] of Object.entries(this.#invented.registers)) this.#registers.set(Number(opcode), value);
    this.#registers.set(monsoonOpcode.model, monsoonModelCode[model]);
    this.#registers.set(monsoonOpcode.firmware, monsoonKnownFirmware);
    this.#registers.set(monsoonOpcode.serialNumber, Number(/\d*$/.exec(this.serial)![0]) & 0xffff);
    this.#registers.set(monsoonOpcode.dacLow, 0xe000);
    this.#registers.set(monsoonOpcode.dacHigh, 0xc800);
  }

  get firstSample_s(): number | null {
    return this.#firstSample_s;
  }

  /** Volts at its terminals, 0 for off. */
  get output_V(): number {
    return (this.#registers.get(monsoonOpcode.voltage) ?? 0) / 2 ** 20;
  }

  /** True between START and STOP. */
  get isSampling(): boolean {
    return this.#isSampling;
  }

  /** What an opcode was set to last. */
  register(opcode: number): number | undefined {
    return this.#registers.get(opcode);
  }

  inject(fault: string): void {
    const parsed = parseFault(fault, monsoonFaults);
    switch (parsed.name) {
      case 'stall':
        this.#isStalled = true;
        break;
      case 'unplug':
        this.stop();
        this.faultsDone.push({ fault, sample: this.#taken });
        this.#socket?.unplugged();
        break;
      case 'left-sampling':
        this.#isSampling = true;
        break;
      case 'never-stops':
        this.#isSampling = true;
        this.#faults.push(parsed);
        break;
      case 'wrong-device':
        this.#registers.set(monsoonOpcode.model, 0);
        break;
      case 'old-firmware':
        this.#registers.set(monsoonOpcode.firmware, OLD_FIRMWARE);
        break;
      case 'bad-dac':
        this.#registers.set(monsoonOpcode.dacLow, 0);
        break;
      case 'eeprom-lost':
        for (const opcode of Object.values(monsoonScaleOpcode)) this.#registers.set(opcode, 0xffff);
        break;
      default:
        this.#faults.push(parsed);
    }
  }

  stop(): void {
    this.#isSampling = false;
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

  controlIn({ request, index }: UsbControl): Uint8Array | UsbRefusal {
    if (this.#isStalled) return 'silence';
    if (request !== monsoonRequest.value) return 'stall';
    const answer = new Uint8Array(4);
    new DataView(answer.buffer).setUint32(0, this.#answer(index & 0xff), true);
    return answer;
  }

  controlOut({ request, value, index }: UsbControl, data: Uint8Array): 'ok' | UsbRefusal {
    if (this.#isStalled) return 'silence';
    switch (request) {
      case monsoonRequest.value:
        return this.#take(index & 0xff, (((index >> 8) & 0xff) << 16) | value, data);
      case monsoonRequest.start:
        if (this.#isSampling || data.length !== 4) return 'stall';
        this.#startSampling(value, new DataView(data.buffer, data.byteOffset).getUint32(0, true));
        return 'ok';
      case monsoonRequest.stop:
        if (!this.#hasFault('never-stops')) this.stop();
        return 'ok';
    }
    return 'stall';
  }

  #hasFault(name: string): boolean {
    return this.#faults.some((fault) => fault.name === name);
  }

  #takeFault(name: string): { value: number } | null {
    const at = this.#faults.findIndex((fault) => fault.name === name);
    return at < 0 ? null : this.#faults.splice(at, 1)[0]!;
  }

  #answer(opcode: number): number {
    const hasStatus = this.#registers.get(monsoonOpcode.firmware) !== OLD_FIRMWARE;
    if (opcode === monsoonOpcode.startStatus && hasStatus) return this.#isSampling ? monsoonSamplingBit : 0;
    if (this.#isSampling || (opcode === monsoonOpcode.model && this.#hasFault('error-word'))) return monsoonError;
    return this.#registers.get(opcode) ?? 0;
  }

  #take(opcode: number, value: number, data: Uint8Array): 'ok' | UsbRefusal {
    if (this.#hasFault('refuse') || data.length !== 4) return 'stall';
    // The value travels twice, and must be the same.
    if (new DataView(data.buffer, data.byteOffset).getUint32(0, true) !== value) return 'stall';
    // While it samples it ignores values.
    if (this.#isSampling) return 'ok';
    const isLimit = opcode === monsoonOpcode.powerUpLimit || opcode === monsoonOpcode.runLimit;
    if (isLimit && this.#hasFault('limit-ignored')) return 'ok';
    this.#registers.set(opcode, value);
    if (opcode === monsoonOpcode.voltage) {
      this.#isTripped = false;
      this.#options.onSupply?.(this.output_V);
    }
    return 'ok';
  }

  #startSampling(interval_ms: number, maxSamples: number): void {
    this.#isSampling = true;
    this.#start_ns = this.#options.time.now_ns();
    this.#firstSample_s = (this.#start_ns - this.#sourceStart_ns) / 1e9;
    this.#interval = (interval_ms * monsoonRate_Hz) / 1000;
    this.#maxSamples = maxSamples;
    this.#taken = 0;
    this.#sequence = 0;
    this.#dropped = 0;
    this.#queue.clear();
    this.#schedule();
  }

  #schedule(): void {
    const due_ns = this.#start_ns + (this.#taken + BATCH) * SAMPLE_S * 1e9;
    this.#cancel = this.#options.time.after((due_ns - this.#options.time.now_ns()) / 1e6, () => {
      if (!this.#isSampling || this.#isStalled) return;
      this.#sendBatch();
      if (this.#taken >= this.#maxSamples) this.stop();
      else this.#schedule();
    });
  }

  #sendBatch(): void {
    const t0_s = this.#firstSample_s! + this.#taken * SAMPLE_S;
    this.#options.source.fillMeans(t0_s, SAMPLE_S, BATCH, this.#current, this.#voltage);
    let packet: Uint8Array[] = [];
    let first = this.#taken;
    for (let k = 0; k < BATCH; k++) {
      this.#beginFaults();
      if (packet.length === 0) first = this.#taken;
      if (this.#toDrop > 0 && packet.length === 0) {
        this.#toDrop--;
        this.#dropped = (this.#dropped + 1) & 0xffff;
      } else packet.push(this.#measure(k));
      this.#taken++;
      if (packet.length === MEASUREMENTS || (k === BATCH - 1 && packet.length > 0)) {
        this.#send(packet, first);
        packet = [];
      }
    }
    this.#socket?.ready(monsoonEndpoint);
  }

  #beginFaults(): void {
    const begin = (name: string): number => {
      const fault = this.#takeFault(name);
      if (fault === null) return 0;
      this.faultsDone.push({ fault: `${name}=${fault.value}`, sample: this.#taken });
      return fault.value;
    };
    // At the border between packets, so that what is lost is known to the sample.
    if (this.#taken % BATCH !== 0) return;
    this.#toDrop += begin('drop');
    this.#toMarkInvalid += begin('invalid');
    this.#packetsToLose += begin('lose-packets');
    this.#dropped = (this.#dropped + begin('counter-jump')) & 0xffff;
    if (this.#takeFault('over-current')) {
      this.faultsDone.push({ fault: 'over-current', sample: this.#taken });
      this.#isTripped = true;
      this.#registers.set(monsoonOpcode.voltage, 0);
      this.#options.onSupply?.(0);
    }
  }

  /** The 18 bytes of one sample. */
  #measure(k: number): Uint8Array {
    const bytes = new Uint8Array(18);
    const view = new DataView(bytes.buffer);
    const type = this.#typeOf(this.#taken);
    bytes[17] = type;
    const isOn = this.output_V > 0;
    const hasUsb = this.#registers.get(monsoonOpcode.usbPassthrough) === monsoonPassthrough.on;
    const { zero, reference, origin, steps_A, minCode, maxCode, volts } = this.#invented;
    for (const [position, channel] of monsoonChannels.entries()) {
      const rail = channel.replace(/Coarse|Fine/, '') as keyof typeof SHARE;
      const isPowered = rail === 'usb' ? hasUsb : isOn;
      const current_A = isPowered ? this.#current[k]! * SHARE[rail] : 0;
      const code = Math.round(current_A / steps_A[channel] + origin[channel]);
      if (type === monsoonSampleType.zero) view.setUint16(2 * position, zero[channel] & 0xffff);
      else if (type === monsoonSampleType.reference) view.setUint16(2 * position, reference[channel] & 0xffff);
      else view.setUint16(2 * position, Math.max(minCode, Math.min(maxCode, code)) & 0xffff);
    }
    view.setUint16(12, isOn ? Math.round(this.#voltage[k]! / volts.main) : 0);
    view.setUint16(14, hasUsb ? Math.round(USB_VOLTAGE_V / volts.usb) : 0);
    return bytes;
  }

  /** Pairs of zero and reference samples at the start and once an interval. */
  #typeOf(sample: number): number {
    const { zero, reference, measurement, invalid } = monsoonSampleType;
    if (this.#toMarkInvalid > 0) {
      this.#toMarkInvalid--;
      return invalid;
    }
    const position = sample < 2 * FIRST_PAIRS ? sample % 2 : sample % this.#interval;
    if (position === 0) return zero;
    if (position === 1) return this.#hasFault('no-reference') ? measurement : reference;
    return measurement;
  }

  #send(measurements: readonly Uint8Array[], first: number): void {
    const packet = new Uint8Array(4 + 18 * measurements.length);
    const output = this.output_V > 0 ? monsoonFlag.output : 0;
    const trip = this.#isTripped ? monsoonFlag.overCurrent : 0;
    packet.set([this.#dropped & 0xff, this.#dropped >> 8, this.#sequence | output | trip, measurements.length]);
    for (const [k, bytes] of measurements.entries()) packet.set(bytes, 4 + 18 * k);
    this.#sequence = (this.#sequence + 1) & 0x0f;
    if (this.#packetsToLose > 0) {
      this.#packetsToLose--;
      return;
    }
    if (!this.#queue.push(this.#damage(packet, first))) {
      this.#dropped = (this.#dropped + measurements.length) & 0xffff;
    }
  }

  #damage(packet: Uint8Array, first: number): Uint8Array {
    const done = (fault: string) => this.faultsDone.push({ fault, sample: first });
    if (this.#takeFault('bad-count')) {
      done('bad-count');
      packet[3] = 9;
    }
    if (this.#takeFault('rubbish')) {
      done('rubbish');
      this.#isRubbish = true;
    }
    if (this.#isRubbish) return Uint8Array.from(packet, (_, k) => (k * 151 + first + 77) & 0xff);
    if (this.#takeFault('half-packet')) {
      done('half-packet');
      return packet.subarray(0, 30);
    }
    return packet;
  }
}
