import { z } from 'zod';
import { js220Control, js220Frame_bytes, js220Type } from './spec.ts';

/** Bytes of a frame's header. */
const HEADER = 4;
const MAX_PAYLOAD = js220Frame_bytes - HEADER;

/** Header of a link frame: frame id 15:0, payload length 24:16, port 29:25, two zero bits. */
export interface FrameHeader {
  frameId: number;
  length: number;
  port: number;
}

/** The header in the first four bytes, or null if it cannot be one (bits 31:30 set, payload too long). */
export function parseFrameHeader(word: number): FrameHeader | null {
  const length = (word >>> 16) & 0x1ff;
  if (word >>> 30 !== 0 || length > MAX_PAYLOAD) return null;
  return { frameId: word & 0xffff, length, port: (word >>> 25) & 0x1f };
}

/** A frame from the host to the instrument. @throws RangeError if the payload does not fit */
export function encodeFrame(frameId: number, port: number, payload: Uint8Array): Uint8Array {
  if (payload.length > MAX_PAYLOAD) throw new RangeError(`a payload of ${payload.length} bytes`);
  const frame = new Uint8Array(HEADER + payload.length);
  new DataView(frame.buffer).setUint32(0, (frameId & 0xffff) | (payload.length << 16) | (port << 25), true);
  frame.set(payload, HEADER);
  return frame;
}

/** Takes the frames out of bulk transfers and watches the frame ids. */
export class FrameReader {
  #expected: number | null = null;
  #lost = 0;
  #invalid = 0;

  /** Frames that were lost on the way, by the frame ids (16 bits: a loss of 65,536 does not show). */
  get lost(): number {
    return this.#lost;
  }

  /** Frames without a valid header. */
  get invalid(): number {
    return this.#invalid;
  }

  /** The next frame may have any id. */
  reset(): void {
    this.#expected = null;
  }

  /**
   * Calls `onFrame` with each frame of a transfer: its port, where its payload lies in `chunk`, and how many frames are
   * missing before it. Frames stand every 512 bytes; the last one may be short.
   */
  read(chunk: Uint8Array, onFrame: (port: number, start: number, end: number, missing: number) => void): void {
    for (let at = 0; at + HEADER <= chunk.length; at += js220Frame_bytes) {
      const word = (chunk[at]! | (chunk[at + 1]! << 8) | (chunk[at + 2]! << 16) | (chunk[at + 3]! << 24)) >>> 0;
      const header = parseFrameHeader(word);
      if (header === null || at + HEADER + header.length > chunk.length) {
        this.#invalid++;
        continue;
      }
      const missing = this.#expected === null ? 0 : (header.frameId - this.#expected) & 0xffff;
      this.#expected = (header.frameId + 1) & 0xffff;
      this.#lost += missing;
      onFrame(header.port, at + HEADER, at + HEADER + header.length, missing);
    }
  }
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** What the instrument says when the link comes up. */
export interface ConnectInfo {
  protocol: number;
  appId: number;
  firmware: number;
  hardware: number;
  fpga: number;
}

/** A message of the control port. */
export type ControlMessage =
  | ({ op: 'connect' } & ConnectInfo)
  | { op: 'timesync'; words: [bigint, bigint] }
  | { op: 'timemap'; timeMap: TimeMap }
  | { op: 'echo' }
  | { op: 'unknown'; code: number };

/** Where the sample counter stood at a moment in UTC. */
export interface TimeMap {
  /** Unix time in ns. */
  utc_ns: bigint;
  /** Sample id, all 64 bits. */
  counter: number;
  /** What the instrument takes for the rate of the counter. */
  counter_Hz: number;
}

/** 1.3.0 from major << 24 | minor << 16 | patch */
export const versionText = (version: number): string =>
  `${version >>> 24}.${(version >>> 16) & 0xff}.${version & 0xffff}`;

/** Seconds from 1970 to 2018, where the instrument's time begins. */
const EPOCH_2018_NS = 1_514_764_800n * 1_000_000_000n;

/** Unix ns of a time in 2^-30 s since 2018. */
export const utcFromTime64 = (time64: bigint): bigint => ((time64 * 1_000_000_000n) >> 30n) + EPOCH_2018_NS;

/** 2^-30 s since 2018 of Unix ns. */
export const time64FromUtc = (utc_ns: bigint): bigint => ((utc_ns - EPOCH_2018_NS) << 30n) / 1_000_000_000n;

/** A message of port 0, or null if it is too short to be one. */
export function parseControl(payload: Uint8Array): ControlMessage | null {
  if (payload.length < 4) return null;
  const view = viewOf(payload);
  const code = payload[0]!;
  const has = (bytes: number) => payload.length >= 4 + bytes;
  switch (code) {
    case js220Control.connect: {
      if (!has(20)) return null;
      const [protocol, appId, firmware, hardware, fpga] = [4, 8, 12, 16, 20].map((at) => view.getUint32(at, true)) as [
        number,
        number,
        number,
        number,
        number,
      ];
      return { op: 'connect', protocol, appId, firmware, hardware, fpga };
    }
    case js220Control.echo:
      return { op: 'echo' };
    case js220Control.timesync:
      if (!has(40)) return null;
      return { op: 'timesync', words: [view.getBigUint64(4, true), view.getBigUint64(12, true)] };
    case js220Control.timemap: {
      if (!has(32)) return null;
      const counter = view.getBigUint64(20, true);
      if (counter > BigInt(Number.MAX_SAFE_INTEGER)) return null;
      return {
        op: 'timemap',
        timeMap: {
          utc_ns: utcFromTime64(view.getBigInt64(12, true)),
          counter: Number(counter),
          counter_Hz: Number(view.getBigUint64(28, true)) / 2 ** 32,
        },
      };
    }
    default:
      return { op: 'unknown', code };
  }
}

/**
 * The answer to a time synchronisation, which is mandatory: its first two words again, when the question came and when
 * the answer leaves.
 */
export function timesyncReply(words: readonly [bigint, bigint], received_ns: bigint, sent_ns: bigint): Uint8Array {
  const payload = new Uint8Array(44);
  const view = viewOf(payload);
  payload[0] = js220Control.timesync;
  view.setBigUint64(4, words[0], true);
  view.setBigUint64(12, words[1], true);
  view.setBigInt64(20, time64FromUtc(received_ns), true);
  view.setBigInt64(28, time64FromUtc(sent_ns), true);
  return payload;
}

const TOPIC_BYTES = 32;
const PUBLISH_HEADER = TOPIC_BYTES + 4;

/** A value of a topic, with the suffix of the topic still on it. */
export interface Publication {
  topic: string;
  /** Numbers as numbers (64-bit ones rounded), text and JSON as text; null for null and binary. */
  value: number | string | null;
}

/** A message of port 1, or null if it is none. */
export function parsePublish(payload: Uint8Array): Publication | null {
  if (payload.length < PUBLISH_HEADER) return null;
  const terminated = (bytes: Uint8Array): string => {
    const end = bytes.indexOf(0);
    return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('utf8');
  };
  const topic = terminated(payload.subarray(0, TOPIC_BYTES));
  if (topic === '') return null;
  const data = payload.subarray(PUBLISH_HEADER);
  const type = payload[TOPIC_BYTES]!;
  if (type === js220Type.string || type === js220Type.json) return { topic, value: terminated(data) };
  if (type === js220Type.null || type === js220Type.binary) return { topic, value: null };
  const read = data.length < 8 ? undefined : scalarReaders[type];
  return read === undefined ? null : { topic, value: read(viewOf(data)) };
}

/** Scalars always have eight bytes; the type says how many of them count. */
const scalarReaders: Readonly<Record<number, (view: DataView) => number>> = {
  [js220Type.f32]: (view) => view.getFloat32(0, true),
  [js220Type.f64]: (view) => view.getFloat64(0, true),
  [js220Type.u8]: (view) => view.getUint8(0),
  [js220Type.u16]: (view) => view.getUint16(0, true),
  [js220Type.u32]: (view) => view.getUint32(0, true),
  [js220Type.u64]: (view) => Number(view.getBigUint64(0, true)),
  [js220Type.i8]: (view) => view.getInt8(0),
  [js220Type.i16]: (view) => view.getInt16(0, true),
  [js220Type.i32]: (view) => view.getInt32(0, true),
  [js220Type.i64]: (view) => Number(view.getBigInt64(0, true)),
};

/**
 * The payload that sets a topic to a u32, or to null: 8 bytes of value each, as the driver of the maker sends them.
 * @throws RangeError if the topic is too long
 */
export function encodePublish(topic: string, value: number | null): Uint8Array {
  const name = new TextEncoder().encode(topic);
  if (name.length >= TOPIC_BYTES) throw new RangeError(`the topic ${topic} is too long`);
  const payload = new Uint8Array(PUBLISH_HEADER + 8);
  payload.set(name);
  payload[TOPIC_BYTES] = value === null ? js220Type.null : js220Type.u32;
  if (value !== null) viewOf(payload).setUint32(PUBLISH_HEADER, value, true);
  return payload;
}

/** What the instrument says of one topic: which numbers stand for which names, and the numbers that it takes. */
export interface TopicMetadata {
  options: { value: number; names: string[] }[];
  range: { min: number; max: number } | null;
}

const metadataSchema = z.looseObject({
  options: z.array(z.array(z.union([z.number(), z.string()])).min(2)).optional(),
  range: z.array(z.number()).min(2).optional(),
});

/** The metadata of a topic from its JSON, or null if that is unusable. */
export function parseMetadata(json: string): TopicMetadata | null {
  let document: unknown;
  try {
    // Firmware writes NaN without quotes, as JSON does not allow.
    document = JSON.parse(json.replace(/\bNaN\b/g, 'null'));
  } catch {
    return null;
  }
  const parsed = metadataSchema.safeParse(document);
  if (!parsed.success) return null;
  const options: TopicMetadata['options'] = [];
  for (const [value, ...names] of parsed.data.options ?? []) {
    if (typeof value === 'number' && Number.isInteger(value)) options.push({ value, names: names.map(String) });
  }
  const [min, max] = parsed.data.range ?? [];
  return { options, range: min === undefined || max === undefined ? null : { min, max } };
}

/** One statistics record: what the instrument itself summed up over a block of samples. */
export interface Statistics {
  /** Samples in the block, and their rate. */
  count: number;
  sample_Hz: number;
  /** Sample id of the block's first sample, all 64 bits, in ticks of 2 MHz. */
  firstTick: number;
  /** Sample id at which charge and energy were last set to 0. */
  accumulatedFrom: number;
  current: Moments;
  voltage: Moments;
  power: Moments;
  /** Since `accumulatedFrom`. */
  charge_C: number;
  energy_J: number;
}

interface Moments {
  mean: number;
  sd: number;
  min: number;
  max: number;
}

const STATISTICS_BYTES = 192;
/** Raw record, version 1, decimated by 2. */
const STATISTICS_KIND = 0x92;

/**
 * Parses a statistics record: i and v have scale 2^-31 (squares 2^-62), p has 2^-27 (squares 2^-54), charge and energy
 * 2^-31 over half the sample rate; sd = sqrt((x2 - x1^2/n)/n).
 * @returns null if it is none
 */
export function parseStatistics(payload: Uint8Array): Statistics | null {
  if (payload.length < STATISTICS_BYTES) return null;
  const view = viewOf(payload);
  const header = view.getUint32(0, true);
  const count = header & 0xff_ffff;
  const sample_Hz = view.getUint32(4, true);
  const firstTick = view.getBigUint64(8, true);
  const accumulatedFrom = view.getBigUint64(16, true);
  const limit = BigInt(Number.MAX_SAFE_INTEGER);
  if (header >>> 24 !== STATISTICS_KIND || count === 0 || sample_Hz === 0) return null;
  if (firstTick > limit || accumulatedFrom > limit) return null;
  const i64 = (k: number) => view.getBigInt64(24 + 8 * k, true);
  const i128 = (k: number) => (view.getBigInt64(104 + 16 * k, true) << 64n) + view.getBigUint64(96 + 16 * k, true);
  const moments = (first: number, squares: number, bits: number): Moments => {
    const x1 = i64(first);
    // Exact in integers: the difference of two large numbers would lose the digits that matter.
    const spread = i128(squares) * BigInt(count) - x1 * x1;
    return {
      mean: Number(x1) / (count * 2 ** bits),
      sd: Math.sqrt(Math.max(0, Number(spread))) / (count * 2 ** bits),
      min: Number(i64(first + 1)) / 2 ** bits,
      max: Number(i64(first + 2)) / 2 ** bits,
    };
  };
  const integral = (k: number) => Number(i128(k)) / 2 ** 31 / (sample_Hz / 2);
  return {
    count,
    sample_Hz,
    firstTick: Number(firstTick),
    accumulatedFrom: Number(accumulatedFrom),
    current: moments(0, 0, 31),
    voltage: moments(3, 2, 31),
    power: moments(6, 4, 27),
    charge_C: integral(1),
    energy_J: integral(5),
  };
}
