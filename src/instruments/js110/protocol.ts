import { crc32 } from 'node:zlib';
import { FormatError } from '../../signal/errors.ts';
import type { UsbControl } from '../../transport/usb.ts';
import { js110PacketType, type js110Select, js110VoltageRange } from './spec.ts';

/** bmRequestType of vendor requests to the device. */
const TO_DEVICE = 0x40;
const FROM_DEVICE = 0xc0;

const HEADER_BYTES = 8;
const HEADER_VERSION = 1;
const SETTINGS_BYTES = 16;
const EXTIO_BYTES = 24;
const STATUS_BYTES = 104;
/** Up to and including the discard counter; old firmware sends no statistics. */
const SHORT_STATUS_BYTES = 24;

/** What a request for so many bytes brings: settings, extio and info are shorter where they are shorter. */
export const js110Lengths = { settings: SETTINGS_BYTES, extio: EXTIO_BYTES, status: 128, info: 1024, serialNumber: 16 };

export const outRequest = (request: number): UsbControl => ({ requestType: TO_DEVICE, request, value: 0, index: 0 });

export const inRequest = (request: number, value = 0, index = 0): UsbControl => ({
  requestType: FROM_DEVICE,
  request,
  value,
  index,
});

function packet(type: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set([HEADER_VERSION, length, type]);
  return bytes;
}

export interface Js110WireSettings {
  sensorPower: boolean;
  select: (typeof js110Select)[keyof typeof js110Select];
  source: number;
  voltageRange: keyof typeof js110VoltageRange;
  streaming: number;
}

export function encodeSettings(settings: Js110WireSettings): Uint8Array {
  const bytes = packet(js110PacketType.settings, SETTINGS_BYTES);
  const options = js110VoltageRange[settings.voltageRange] << 1;
  bytes.set(
    [settings.sensorPower ? 1 : 0, settings.select, settings.source, options, settings.streaming],
    HEADER_BYTES,
  );
  return bytes;
}

export interface Js110Extio {
  /** What takes the place of the LSB of the current code and of the voltage code: see js110Gpi. */
  currentGpi: number;
  voltageGpi: number;
  gpo0: number;
  gpo1: number;
  ioVoltage_mV: number;
}

export function encodeExtio(extio: Js110Extio): Uint8Array {
  const bytes = packet(js110PacketType.extio, EXTIO_BYTES);
  bytes.set([0, 0, extio.currentGpi, extio.voltageGpi, extio.gpo0, extio.gpo1], HEADER_BYTES);
  new DataView(bytes.buffer).setUint32(20, extio.ioVoltage_mV, true);
  return bytes;
}

/** @returns null if the answer is no extio packet */
export function parseExtio(bytes: Uint8Array): Js110Extio | null {
  if (bytes.length < EXTIO_BYTES || bytes[2] !== js110PacketType.extio) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    currentGpi: bytes[10]!,
    voltageGpi: bytes[11]!,
    gpo0: bytes[12]!,
    gpo1: bytes[13]!,
    ioVoltage_mV: view.getUint32(20, true),
  };
}

/** The instrument's own integrals and statistics. */
export interface Js110Statistics {
  /** Samples behind the integrals, since the sensor was powered. */
  samplesTotal: number;
  charge_C: number;
  energy_J: number;
  meanPower_W: number;
  meanCurrent_A: number;
  minCurrent_A: number;
  maxCurrent_A: number;
  meanVoltage_V: number;
  minVoltage_V: number;
  maxVoltage_V: number;
  minPower_W: number;
  maxPower_W: number;
}

export interface Js110Status {
  /** See js110SettingsResult; anything else is an error of the instrument. */
  settingsResult: number;
  /** Null where the firmware is too old to have them, or has none yet. */
  statistics: Js110Statistics | null;
}

/** @returns null if the answer is no status packet */
export function parseStatus(bytes: Uint8Array): Js110Status | null {
  if (bytes.length < SHORT_STATUS_BYTES || bytes[2] !== js110PacketType.status) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const settingsResult = view.getInt32(8, true);
  if (bytes.length < STATUS_BYTES || view.getInt32(56, true) === 0) return { settingsResult, statistics: null };
  const i32 = (at: number, q: number) => view.getInt32(at, true) / 2 ** q;
  const i64 = (at: number, q: number) => Number(view.getBigInt64(at, true)) / 2 ** q;
  return {
    settingsResult,
    statistics: {
      samplesTotal: i64(24, 0),
      meanPower_W: i64(32, 34),
      charge_C: i64(40, 27),
      energy_J: i64(48, 27),
      meanCurrent_A: i32(68, 27),
      minCurrent_A: i32(72, 27),
      maxCurrent_A: i32(76, 27),
      meanVoltage_V: i32(80, 17),
      minVoltage_V: i32(84, 17),
      maxVoltage_V: i32(88, 17),
      minPower_W: i32(92, 21),
      maxPower_W: i32(96, 21),
    },
  };
}

export interface Js110Info {
  firmware: string | null;
  hardware: string | null;
}

/** The answer to INFO: JSON, which a header may precede. Fields that are not there are null; null if it is no JSON. */
export function parseInfo(bytes: Uint8Array): Js110Info | null {
  const text = Buffer.from(bytes).toString('latin1');
  const start = text.indexOf('{');
  const end = text.lastIndexOf('}');
  if (start < 0 || end < start) return null;
  try {
    const info = JSON.parse(text.slice(start, end + 1).replace(/\bNaN\b/g, 'null'));
    const string = (value: unknown) => (typeof value === 'string' ? value : null);
    return { firmware: string(info?.ctl?.fw?.ver), hardware: string(info?.ctl?.hw?.rev) };
  } catch {
    return null;
  }
}

const MAGIC = Uint8Array.from(Buffer.from('d3746167666d74200d0a200a20201a1c', 'hex'));
const RECORD_HEADER_BYTES = 32;
const RECORD_VERSION = 1;
const TLV_HEADER_BYTES = 8;
/** A real record has 968 bytes. */
const MAX_RECORD_BYTES = 65_536;

/** Offsets are in codes, gains in A or V a code. */
export interface Js110CalibrationRecord {
  /** By range 0 to 6. */
  currentOffset: readonly number[];
  currentGain: readonly number[];
  /** By voltage range: 15 V, 5 V. */
  voltageOffset: readonly number[];
  voltageGain: readonly number[];
  /** Sections in their order. */
  sections: readonly string[];
}

const broken = (where: string, offset: number, problem: string) =>
  new FormatError('js110.calibration', {
    where: `${where}: calibration record, byte ${offset}`,
    problem,
    remedy: 'restore the calibration with the software of the maker; the factory record may still be whole',
  });

/**
 * Length of a calibration record, from its first 32 bytes.
 * @throws FormatError `js110.calibration`
 */
export function calibrationLength(header: Uint8Array, where: string): number {
  if (header.length < RECORD_HEADER_BYTES) throw broken(where, header.length, 'it ends in its header');
  if (!MAGIC.every((byte, k) => header[k] === byte)) throw broken(where, 0, 'it does not begin as such a record does');
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  if (header[27] !== RECORD_VERSION) throw broken(where, 27, `its version is ${header[27]}, not ${RECORD_VERSION}`);
  if (view.getUint32(28, true) !== crc32(header.subarray(0, 28))) throw broken(where, 28, 'its checksum is wrong');
  const length = view.getBigUint64(16, true);
  if (length < RECORD_HEADER_BYTES || length > MAX_RECORD_BYTES) {
    throw broken(where, 16, `it claims to have ${length} bytes`);
  }
  return Number(length);
}

/**
 * Parses a calibration record: sections of tag, flags, length, data, padding and CRC-32 (over all of these).
 * @throws FormatError `js110.calibration` with the byte, also where a coefficient that is needed is missing or NaN
 */
export function parseCalibration(bytes: Uint8Array, where: string): Js110CalibrationRecord {
  const end = calibrationLength(bytes, where);
  if (bytes.length < end) throw broken(where, bytes.length, `it ends early: ${end} bytes are announced`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const sections: string[] = [];
  let json: { at: number; text: string } | null = null;
  for (let at = RECORD_HEADER_BYTES; at < end; ) {
    if (at + TLV_HEADER_BYTES > end) throw broken(where, at, 'a section ends in its header');
    const tag = Buffer.from(bytes.subarray(at, at + 3)).toString('latin1');
    const length = view.getUint32(at + 4, true);
    const padding = (8 - ((length + 4) & 7)) & 7;
    const covered = TLV_HEADER_BYTES + length + padding;
    if (at + covered + 4 > end) throw broken(where, at, `section ${tag} reaches beyond the end`);
    if (view.getUint32(at + covered, true) !== crc32(bytes.subarray(at, at + covered))) {
      throw broken(where, at, `the checksum of section ${tag} is wrong`);
    }
    sections.push(tag);
    if (tag === 'AJS') {
      const data = bytes.subarray(at + TLV_HEADER_BYTES, at + TLV_HEADER_BYTES + length);
      json = { at, text: Buffer.from(data).toString('utf8') };
    }
    at += covered + 4;
  }
  if (json === null) throw broken(where, end, 'section AJS, which holds the coefficients, is missing');
  return { ...coefficients(json, where), sections };
}

function coefficients({ at, text }: { at: number; text: string }, where: string) {
  let parsed: Record<string, Record<string, unknown> | undefined> | null;
  try {
    // Range 7 has the bare word NaN, which is no JSON.
    parsed = JSON.parse(text.replace(/\bNaN\b/g, 'null'));
  } catch {
    throw broken(where, at, 'section AJS is no JSON');
  }
  const list = (quantity: string, name: string, count: number): number[] => {
    const values = parsed?.[quantity]?.[name];
    for (let k = 0; k < count; k++) {
      if (!Array.isArray(values) || !Number.isFinite(values[k])) {
        throw broken(where, at, `${quantity}.${name}[${k}] is missing or not a number`);
      }
    }
    return (values as number[]).slice(0, count);
  };
  return {
    currentOffset: list('current', 'offset', 7),
    currentGain: list('current', 'gain', 7),
    voltageOffset: list('voltage', 'offset', 2),
    voltageGain: list('voltage', 'gain', 2),
  };
}
