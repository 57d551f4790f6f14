/*
 * INB1: samples of INA226 or INA228 chips and edges of GPIO lines from a small microcontroller on a serial port (the sketch is in
 * firmware-hooks/ina226-bridge). COBS frames, each ended by 0x00; inside: type, body, CRC-16/CCITT-FALSE, little-endian.
 */

export const inb1Version = 1;

export const inb1Frame = { hello: 1, samples: 2, edge: 3, overrun: 4, syncReply: 5, log: 6 } as const;

/** A frame is far shorter; more without an end is rubbish. */
const MAX_FRAME = 4096;

/** CRC-16/CCITT-FALSE: polynomial 0x1021, initial value 0xFFFF. */
export function crc16(bytes: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
    crc &= 0xffff;
  }
  return crc;
}

/** Undoes consistent overhead byte stuffing (without the 0x00 at the end); null where the codes do not fit. */
export function cobsDecode(bytes: Uint8Array): Uint8Array | null {
  const out = new Uint8Array(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length; ) {
    const code = bytes[at]!;
    if (code === 0 || at + code > bytes.length) return null;
    for (let k = 1; k < code; k++) out[length++] = bytes[at + k]!;
    at += code;
    if (code < 0xff && at < bytes.length) out[length++] = 0;
  }
  return out.subarray(0, length);
}

/** What a bridge sends in frames. Ticks are of its own clock. */
export type Inb1Message =
  | { type: 'hello'; version: number; tickHz: number; chips: Inb1Chip[] }
  | {
      type: 'samples';
      chip: number;
      /** Number of the first sample; a sample that was lost has one too. */
      sequence: number;
      nominal_ticks: number;
      /** End of each conversion, with the codes of shunt and bus. */
      ticks: number[];
      shunt: number[];
      bus: number[];
    }
  | { type: 'edge'; tick: number; line: number; isHigh: boolean; sequence: number }
  | { type: 'overrun'; chip: number; lost: number }
  | { type: 'log'; text: string };

interface Inb1Chip {
  chip: number;
  model: number;
  configuration: number;
  shunt_ohm: number;
}

/** Takes the content of a frame (type, body, CRC) apart; null where it is damaged, and for types that are not used. */
export function parseInb1(frame: Uint8Array): Inb1Message | null {
  if (frame.length < 3) return null;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const end = frame.length - 2;
  if (crc16(frame.subarray(0, end)) !== view.getUint16(end, true)) return null;
  const tick = (at: number) => Number(view.getBigUint64(at, true));
  switch (frame[0]) {
    case inb1Frame.hello: {
      if (end < 7 || end < 7 + 8 * frame[6]!) return null;
      const chips = Array.from({ length: frame[6]! }, (_, k) => ({
        chip: frame[7 + 8 * k]!,
        model: frame[8 + 8 * k]!,
        configuration: view.getUint16(9 + 8 * k, true),
        shunt_ohm: view.getFloat32(11 + 8 * k, true),
      }));
      return { type: 'hello', version: frame[1]!, tickHz: view.getUint32(2, true), chips };
    }
    case inb1Frame.samples: {
      if (end < 19) return null;
      const n = frame[18]!;
      // INA226: 16 bits a code; INA228: 32.
      const isWide = n > 0 && end === 19 + 10 * n;
      const bytes = isWide ? 10 : 6;
      if (end !== 19 + bytes * n) return null;
      const [ticks, shunt, bus]: [number[], number[], number[]] = [[], [], []];
      let at = tick(6);
      for (let k = 0; k < n; k++) {
        const sample = 19 + bytes * k;
        if (k > 0) at += view.getUint16(sample, true);
        ticks.push(at);
        shunt.push(isWide ? view.getInt32(sample + 2, true) : view.getInt16(sample + 2, true));
        bus.push(isWide ? view.getInt32(sample + 6, true) : view.getUint16(sample + 4, true));
      }
      const sequence = view.getUint32(2, true);
      return { type: 'samples', chip: frame[1]!, sequence, nominal_ticks: view.getUint32(14, true), ticks, shunt, bus };
    }
    case inb1Frame.edge:
      if (end < 15) return null;
      return {
        type: 'edge',
        tick: tick(1),
        line: frame[9]!,
        isHigh: frame[10] !== 0,
        sequence: view.getUint32(11, true),
      };
    case inb1Frame.overrun:
      return end < 6 ? null : { type: 'overrun', chip: frame[1]!, lost: view.getUint32(2, true) };
    case inb1Frame.log:
      return { type: 'log', text: Buffer.from(frame.subarray(1, end)).toString('utf8') };
  }
  return null;
}

/** Splits a byte stream at the ends of frames; damaged frames are counted and left out. */
export class Inb1Reader {
  #partial: number[] = [];
  #isRubbish = false;
  damaged = 0;

  push(chunk: Uint8Array): Inb1Message[] {
    const messages: Inb1Message[] = [];
    for (const byte of chunk) {
      if (byte !== 0) {
        if (this.#partial.length < MAX_FRAME) this.#partial.push(byte);
        else this.#isRubbish = true;
        continue;
      }
      const content = this.#isRubbish ? null : cobsDecode(Uint8Array.from(this.#partial));
      const message = content === null ? null : parseInb1(content);
      if (message) messages.push(message);
      else if (this.#partial.length > 0) this.damaged++;
      this.#partial = [];
      this.#isRubbish = false;
    }
    return messages;
  }
}
