import type { UsbControl } from '../../transport/usb.ts';
import {
  type MonsoonChannel,
  type MonsoonModel,
  monsoonCalibrationDepth,
  monsoonChannels,
  monsoonHeaderBytes,
  monsoonMaxMeasurements,
  monsoonMeasurementBytes,
  monsoonRequest,
} from './spec.ts';

/** bmRequestType of vendor requests to the device. */
const TO_DEVICE = 0x40;
const FROM_DEVICE = 0xc0;

const FULL_SCALE_A = 15.625;
const ZERO_LIMIT_CODE = 3840;
const LIMIT_CODES = 65_535;
const LVPM_LIMIT_A = 8;
const LVPM_LIMIT_CODES = 1023;
const SAMPLE_TYPE = 0x30;

export const getRequest = (opcode: number): UsbControl => ({
  requestType: FROM_DEVICE,
  request: monsoonRequest.value,
  value: 0,
  index: opcode,
});

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** The request that sets a value: the value travels in the set-up packet and, once more, as data. */
export function setRequest(opcode: number, value: number): { setup: UsbControl; data: Uint8Array } {
  return {
    setup: {
      requestType: TO_DEVICE,
      request: monsoonRequest.value,
      value: value & 0xffff,
      index: (((value >>> 16) & 0xff) << 8) | opcode,
    },
    data: u32(value),
  };
}

/** Starts sampling without end. */
export function startRequest(calibrationInterval_ms: number): { setup: UsbControl; data: Uint8Array } {
  return {
    setup: { requestType: TO_DEVICE, request: monsoonRequest.start, value: calibrationInterval_ms, index: 0 },
    data: u32(0xffff_ffff),
  };
}

export const stopRequest = (): UsbControl => ({
  requestType: TO_DEVICE,
  request: monsoonRequest.stop,
  value: 0,
  index: 0,
});

/** The 32-bit answer to a GET, or null if it is too short. */
export function parseAnswer(bytes: Uint8Array): number | null {
  return bytes.length < 4 ? null : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
}

/** Output voltage in steps of 2^-20 V. */
export const encodeVoltage = (voltage_V: number): number => Math.trunc(voltage_V * 2 ** 20);

/** Code of a current limit in A: HVPM.py and LVPM.py of PyMonsoon. */
export function encodeCurrentLimit(model: MonsoonModel, limit_A: number): number {
  return model === 'HVPM'
    ? Math.trunc(ZERO_LIMIT_CODE + (limit_A / FULL_SCALE_A) * (LIMIT_CODES - ZERO_LIMIT_CODE))
    : Math.trunc(LVPM_LIMIT_CODES * (1 - limit_A / LVPM_LIMIT_A));
}

/** The highest current limit that the code can carry, in A. */
export const maxCurrentLimit_A = (model: MonsoonModel): number => (model === 'HVPM' ? FULL_SCALE_A : LVPM_LIMIT_A);

export const signed8 = (word: number): number => (word << 24) >> 24;
export const signed16 = (word: number): number => (word << 16) >> 16;

/** Scales of an LVPM from its resistor offsets. A for aux, mA (fine: uA) for the others, as for an HVPM. */
export function lvpmScale(channel: MonsoonChannel, resistorOffset: number): number {
  const ratio = (nominal_ohm: number) => nominal_ohm / (nominal_ohm + 1e-4 * resistorOffset);
  switch (channel) {
    case 'mainFine':
    case 'usbFine':
      return 35_946 * ratio(0.05);
    case 'mainCoarse':
    case 'usbCoarse':
      return 3103.4 * ratio(0.05);
    case 'auxFine':
      return 0.05049 * ratio(0.1);
    case 'auxCoarse':
      return 1.289 * ratio(0.1);
  }
}

/** Amperes in one unit of a channel's scale. */
export function scaleUnit_A(model: MonsoonModel, channel: MonsoonChannel): number {
  // PyMonsoon calls the LVPM's aux constants mA, but their size says A.
  if (model === 'LVPM' && channel.startsWith('aux')) return 1;
  return channel.endsWith('Fine') ? 1e-6 : 1e-3;
}

export interface MonsoonHeader {
  /** Samples that the instrument has dropped, modulo 65536. */
  dropped: number;
  /** Number of the packet, modulo 16. */
  sequence: number;
  flags: number;
  /** Measurements in the packet. */
  count: number;
}

/** The header of a packet, or null where there is none that can be. */
export function parseHeader(packet: Uint8Array): MonsoonHeader | null {
  if (packet.length < monsoonHeaderBytes) return null;
  const count = packet[3]!;
  if (count < 1 || count > monsoonMaxMeasurements) return null;
  return { dropped: packet[0]! | (packet[1]! << 8), sequence: packet[2]! & 0x0f, flags: packet[2]!, count };
}

/** True if the packet holds all the measurements that its header announces. */
export const isWhole = (packet: Uint8Array, { count }: MonsoonHeader): boolean =>
  packet.length >= monsoonHeaderBytes + count * monsoonMeasurementBytes;

/** Codes of one measurement; `codes` in the order of monsoonChannels. Made once and filled again. */
export interface MonsoonMeasurement {
  codes: number[];
  mainVoltage: number;
  usbVoltage: number;
  type: number;
}

export const emptyMeasurement = (): MonsoonMeasurement => ({
  codes: monsoonChannels.map(() => 0),
  mainVoltage: 0,
  usbVoltage: 0,
  type: 0,
});

/** Reads measurement `k` of a whole packet: big-endian, unlike the header. Codes are unsigned (HVPM) or signed (LVPM). */
export function readMeasurement(packet: Uint8Array, k: number, model: MonsoonModel, into: MonsoonMeasurement): void {
  const at = monsoonHeaderBytes + k * monsoonMeasurementBytes;
  const word = (offset: number) => (packet[at + offset]! << 8) | packet[at + offset + 1]!;
  for (let channel = 0; channel < monsoonChannels.length; channel++) {
    const code = word(2 * channel);
    into.codes[channel] = model === 'LVPM' ? signed16(code) : code;
  }
  into.mainVoltage = word(12);
  into.usbVoltage = word(14);
  into.type = packet[at + 17]! & SAMPLE_TYPE;
}

/** The last zero or reference codes of a channel, and their mean. */
class CodeMean {
  readonly #codes: number[] = [];
  mean = 0;

  /** A code of 0 says nothing. */
  push(code: number): void {
    if (code === 0) return;
    this.#codes.push(code);
    if (this.#codes.length > monsoonCalibrationDepth) this.#codes.shift();
    this.mean = this.#codes.reduce((sum, one) => sum + one, 0) / this.#codes.length;
  }

  get isComplete(): boolean {
    return this.#codes.length === monsoonCalibrationDepth;
  }
}

/** Scale (in A) and offset of a channel, from the instrument. */
export interface MonsoonCoefficients {
  scale_A: number;
  zeroOffset: number;
}

/**
 * Turns the codes of one channel into A by its last zero and reference codes:
 * (code - z) scale / (mean(R) - z), z = mean(Z) + zero offset.
 * Source: PyMonsoon, sampleEngine.py.
 */
export class ChannelScaling {
  readonly #coefficients: MonsoonCoefficients;
  readonly #zero = new CodeMean();
  readonly #reference = new CodeMean();
  #offset = 0;
  /** A a code; 0 while the references cannot be told from zero. */
  slope_A = 0;

  constructor(coefficients: MonsoonCoefficients) {
    this.#coefficients = coefficients;
  }

  /** Five codes of each kind have been seen. */
  get isComplete(): boolean {
    return this.#zero.isComplete && this.#reference.isComplete;
  }

  pushZero(code: number): void {
    this.#zero.push(code);
    this.#update();
  }

  pushReference(code: number): void {
    this.#reference.push(code);
    this.#update();
  }

  current_A(code: number): number {
    return (code - this.#offset) * this.slope_A;
  }

  #update(): void {
    this.#offset = this.#zero.mean + this.#coefficients.zeroOffset;
    const span = this.#reference.mean - this.#offset;
    this.slope_A = span === 0 ? 0 : this.#coefficients.scale_A / span;
  }
}
