import { DeviceError } from '../../signal/errors.ts';
import { type Gap, type SampleBlock, SampleFlag } from '../../signal/types.ts';
import {
  type Ppk2Modifiers,
  ppk2DefaultModifiers,
  ppk2Opcode,
  type ppk2PowerMode,
  ppk2Ranges,
  ppk2Volts,
} from './spec.ts';

/** Commands, host to instrument. None is acknowledged. */
export const ppk2Command = {
  start: () => Uint8Array.of(ppk2Opcode.averageStart),
  stop: () => Uint8Array.of(ppk2Opcode.averageStop),
  metadata: () => Uint8Array.of(ppk2Opcode.getMetadata),
  running: (on: boolean) => Uint8Array.of(ppk2Opcode.deviceRunning, on ? 1 : 0),
  regulator: (voltage_mV: number) => Uint8Array.of(ppk2Opcode.regulatorSet, voltage_mV >> 8, voltage_mV & 0xff),
  powerMode: (mode: keyof typeof ppk2PowerMode) => Uint8Array.of(ppk2Opcode.powerMode, mode === 'ampere' ? 1 : 2),
  userGain: (range: number, gain: number) => {
    const bytes = new Uint8Array(6);
    bytes[0] = ppk2Opcode.setUserGain;
    bytes[1] = range;
    new DataView(bytes.buffer).setFloat32(2, gain, true);
    return bytes;
  },
};

/** What the instrument says of itself. */
export interface Ppk2Metadata {
  /** True if it carries a factory calibration; null where it does not say. */
  calibrated: boolean | null;
  modifiers: Ppk2Modifiers;
  /** Fields that were missing, 0 or NaN and became the default, e.g. `GS0`. O, S and I are not listed: their default is 0. */
  defaulted: string[];
  /** Supply voltage that it remembers, in mV; null where it does not say. */
  vdd_mV: number | null;
  hardware: string | null;
  /** Serial number in the metadata. Only emulators have it there; that of an instrument is its USB serial number. */
  serial: string | null;
}

/** The text that ends the metadata. */
const METADATA_END = 'END';

/** The whole answer to GetMetadata (up to its END) if it has all arrived, else null. */
export function completeMetadata(received: string): string | null {
  const end = received.indexOf(METADATA_END);
  return end < 0 ? null : received.slice(0, end);
}

/**
 * Parses the answer to GetMetadata by the rule of Nordic's app: what is missing, NaN or exactly 0 becomes the default.
 * @returns null if the text holds no metadata at all (another device)
 */
export function parseMetadata(text: string): Ppk2Metadata | null {
  const field = (key: string): string | null => {
    // Stale bytes of a stopped stream may stand directly before the first key.
    const match = (
      key === 'Calibrated' ? /Calibrated:[ \t]*([^\r\n]*)/ : new RegExp(`(?:^|\\n)${key}:[ \t]*([^\r\n]*)`)
    ).exec(text);
    return match ? match[1]!.trim() : null;
  };
  const numberOf = (key: string): number | null => {
    const raw = field(key);
    if (raw === null || raw === '') return null;
    const value = Number(raw);
    return Number.isFinite(value) ? value : null;
  };
  const defaulted: string[] = [];
  let found = 0;
  const modifiers = Object.fromEntries(
    Object.entries(ppk2DefaultModifiers).map(([name, defaults]) => [
      name,
      (defaults as readonly number[]).map((byDefault, range) => {
        const value = numberOf(`${name}${range}`);
        if (value !== null) found++;
        if (value) return value;
        if (byDefault !== 0) defaulted.push(`${name}${range}`);
        return byDefault;
      }),
    ]),
  ) as unknown as Ppk2Modifiers;
  const calibrated = field('Calibrated');
  if (found === 0 && calibrated === null) return null;
  return {
    calibrated: calibrated === '1' ? true : calibrated === '0' ? false : null,
    modifiers,
    defaulted,
    vdd_mV: numberOf('VDD'),
    hardware: field('HW'),
    serial: field('SN')?.replaceAll('"', '') ?? null,
  };
}

/**
 * Current of one reading in A: r0 = (adc - O) k / R; I = UG (r0 (GS r0 + GI) + S VDD/1000 + I), with adc = 4 code and
 * VDD the last voltage sent to the regulator (before one: that of the metadata).
 */
export function ppk2Current(code: number, range: number, modifiers: Ppk2Modifiers, vdd_mV: number): number {
  const { R, GS, GI, O, S, I, UG } = modifiers;
  const r0 = (4 * code - O[range]!) * (ppk2Volts / R[range]!);
  return UG[range]! * (r0 * (GS[range]! * r0 + GI[range]!) + S[range]! * (vdd_mV / 1000) + I[range]!);
}

/** The decoder lost the border between samples and found it again. */
export interface Resync {
  kind: 'resync';
  /** The first good sample. */
  tick: number;
  /** Bytes that were skipped. */
  skippedBytes: number;
}

/** So many words with consecutive counters make a border between samples; by chance 1 in 64^7. */
const RUN_WORDS = 8;
const RUN_BYTES = 4 * RUN_WORDS;
/** After this much without a border (1 s) it is no PPK2 stream. */
const MAX_UNLOCKED_BYTES = 400_000;
/** Samples in a block. */
const MAX_BLOCK = 8192;
/** Rubbish of up to so many words is told from samples that were destroyed. */
const RUBBISH_WORDS = 16;
/** The end of the code's 14 bits. */
const FULL_CODE = 0x3fff;
/** Bits 16:0 of a word: range and code. */
const RANGE_AND_CODE = 0x1ffff;

/**
 * Sample words to blocks. A word is a little-endian u32: code 13:0, range 16:14, counter 23:18, logic 31:24; nothing
 * frames the stream. The counter tells n lost samples modulo 64 (a loss of exactly 64, 128... leaves no trace here:
 * see ArrivalCheck). At a word that breaks the counter or has no range, nothing more is emitted until 8 words in a row fit
 * together again, at any byte offset; what lies between becomes a Gap, never a sample.
 */
export class Ppk2Decoder {
  readonly #where: string;
  readonly #stream: string;
  #lookup: Float32Array;
  #bytes = new Uint8Array(1 << 16);
  #words = new Uint32Array(this.#bytes.buffer);
  #length = 0;
  #locked = false;
  /** Where the search for a border goes on. */
  #searched = 0;
  #started = false;
  #counter = 0;
  #tick = 0;

  /** `stream` names the blocks, `where` the instrument in errors. */
  constructor(modifiers: Ppk2Modifiers, vdd_mV: number, stream: string, where: string) {
    this.#stream = stream;
    this.#where = where;
    this.#lookup = new Float32Array(8 << 14);
    for (let range = 0; range < ppk2Ranges; range++) {
      for (let code = 0; code <= FULL_CODE; code++) {
        this.#lookup[(range << 14) | code] = ppk2Current(code, range, modifiers, vdd_mV);
      }
    }
  }

  /** Tick after the last sample that has arrived, words included that are not decided on yet. */
  get arrivedTick(): number {
    return this.#tick + (this.#started ? this.#length >> 2 : 0);
  }

  /**
   * Takes bytes as they arrive.
   * @throws DeviceError `device.protocol` after 1 s of bytes that are no PPK2 stream
   */
  push(chunk: Uint8Array): (SampleBlock | Gap | Resync)[] {
    this.#append(chunk);
    const out: (SampleBlock | Gap | Resync)[] = [];
    let done = 0;
    for (;;) {
      if (!this.#locked) {
        const border = this.#findBorder(done);
        if (border === null) break;
        this.#lock(border, done, out);
        // The typed view needs the border at a multiple of four.
        this.#discard(border);
        done = 0;
      }
      const words = (this.#length - done) >> 2;
      if (words === 0) break;
      const n = Math.min(words, MAX_BLOCK);
      const good = this.#decode(done >> 2, n, out);
      done += 4 * good;
      if (good < n) {
        this.#locked = false;
        this.#searched = done;
      }
    }
    this.#discard(done);
    return out;
  }

  /** The stream has ended: words that never fitted together again are a Gap. */
  end(): Gap[] {
    const count = this.#started && !this.#locked ? this.#length >> 2 : 0;
    const firstTick = this.#tick;
    this.#length = 0;
    this.#tick += count;
    return count > 0 ? [{ kind: 'gap', stream: this.#stream, firstTick, count, cause: 'invalid' }] : [];
  }

  #append(chunk: Uint8Array): void {
    if (this.#length + chunk.length > this.#bytes.length) {
      const larger = new Uint8Array(2 ** Math.ceil(Math.log2(this.#length + chunk.length)));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
      this.#words = new Uint32Array(larger.buffer);
    }
    this.#bytes.set(chunk, this.#length);
    this.#length += chunk.length;
  }

  #discard(count: number): void {
    if (count === 0) return;
    this.#bytes.copyWithin(0, count, this.#length);
    this.#length -= count;
    this.#searched = Math.max(0, this.#searched - count);
  }

  /** Decodes up to `n` words from word `first`; appends a block of the good ones before the first bad one. */
  #decode(first: number, n: number, out: (SampleBlock | Gap | Resync)[]): number {
    const words = this.#words;
    const lookup = this.#lookup;
    const current = new Float32Array(n);
    const range = new Uint8Array(n);
    const logic = new Uint8Array(n);
    let bad = 0;
    let full = 0;
    let counter = this.#counter;
    for (let i = 0; i < n; i++) {
      const word = words[first + i]!;
      current[i] = lookup[word & RANGE_AND_CODE]!;
      range[i] = (word >>> 14) & 7;
      logic[i] = word >>> 24;
      bad |= (((word >>> 18) ^ counter++) & 63) | ((word >>> 16) & ((word >>> 15) | (word >>> 14)) & 1);
      full |= (word & FULL_CODE) + 1;
    }
    const good = bad === 0 ? n : this.#firstBad(first, n);
    if (good === 0) return 0;
    const block: SampleBlock = {
      kind: 'block',
      stream: this.#stream,
      firstTick: this.#tick,
      ticksPerSample: 1,
      length: good,
      current: good === n ? current : current.slice(0, good),
      range: good === n ? range : range.slice(0, good),
      logic: good === n ? logic : logic.slice(0, good),
    };
    if (full > FULL_CODE) this.#flagSaturated(block, first);
    out.push(block);
    this.#tick += good;
    this.#counter = (this.#counter + good) & 63;
    return good;
  }

  #firstBad(first: number, n: number): number {
    for (let i = 0; i < n; i++) {
      const word = this.#words[first + i]!;
      if (((word >>> 18) & 63) !== ((this.#counter + i) & 63) || ((word >>> 14) & 7) >= ppk2Ranges) return i;
    }
    return n;
  }

  #flagSaturated(block: SampleBlock, first: number): void {
    let flags: Uint8Array | null = null;
    for (let i = 0; i < block.length; i++) {
      if ((this.#words[first + i]! & FULL_CODE) !== FULL_CODE) continue;
      flags ??= new Uint8Array(block.length);
      flags[i] = SampleFlag.saturated;
    }
    if (flags) block.flags = flags;
  }

  /** The first byte offset from which RUN_WORDS words have ranges and consecutive counters. */
  #findBorder(from: number): number | null {
    const bytes = this.#bytes;
    let at = Math.max(from, this.#searched);
    for (; at + RUN_BYTES <= this.#length; at++) {
      const counter = bytes[at + 2]! >>> 2;
      let k = 0;
      for (; k < RUN_WORDS; k++) {
        const top = bytes[at + 4 * k + 2]!;
        if (top >>> 2 !== ((counter + k) & 63)) break;
        if ((top & 1) !== 0 && (bytes[at + 4 * k + 1]! & 0xc0) !== 0) break;
      }
      if (k === RUN_WORDS) return at;
    }
    this.#searched = at;
    if (this.#length - from > MAX_UNLOCKED_BYTES) {
      throw new DeviceError('device.protocol', {
        where: this.#where,
        problem: 'for 1 s the bytes have followed no PPK2 sample format',
        remedy: 'check that this is the first of the two ports of a PPK2 and that no other program reads it',
      });
    }
    return null;
  }

  #lock(border: number, fault: number, out: (SampleBlock | Gap | Resync)[]): void {
    const counter = this.#bytes[border + 2]! >>> 2;
    if (this.#started) {
      const skipped = border - fault;
      const destroyed = skipped >> 2;
      const least = Math.max(0, destroyed - RUBBISH_WORDS);
      const missing = least + ((counter - this.#counter - least) & 63);
      if (missing > 0) {
        const cause = missing > destroyed && skipped % 4 === 0 ? 'link-loss' : 'invalid';
        out.push({ kind: 'gap', stream: this.#stream, firstTick: this.#tick, count: missing, cause });
        this.#tick += missing;
      }
      if (skipped > 0) out.push({ kind: 'resync', tick: this.#tick, skippedBytes: skipped });
    }
    this.#locked = true;
    this.#started = true;
    this.#counter = counter;
  }
}

/**
 * The spike filter of Nordic's app: two exponential means stand in for the first samples after a range switch. It
 * smooths real steps and does not preserve energy (-4.5 % on a test wave), so its output is a second stream.
 */
export class SpikeFilter {
  #average: number | null = null;
  #average4 = 0;
  #range = 0;
  #after = 0;
  #consecutive = 0;

  /** The filtered copy of a block's current. */
  apply(current: ArrayLike<number>, range: Uint8Array): Float32Array {
    const out = new Float32Array(current.length);
    let [average, average4] = [
      this.#average ?? current[0] ?? 0,
      this.#average === null ? (current[0] ?? 0) : this.#average4,
    ];
    let previous = this.#average === null ? (range[0] ?? 0) : this.#range;
    for (let i = 0; i < current.length; i++) {
      const x = current[i]!;
      const r = range[i]!;
      const [before, before4] = [average, average4];
      average = 0.18 * x + 0.82 * average;
      average4 = 0.06 * x + 0.94 * average4;
      out[i] = x;
      if (previous !== r || this.#after > 0) {
        if (previous !== r) {
          this.#consecutive = 0;
          this.#after = 3;
        } else this.#consecutive++;
        if (r === 4) {
          if (this.#consecutive < 2) {
            average = before;
            average4 = before4;
          }
          out[i] = average4;
        } else out[i] = average;
        this.#after--;
      }
      previous = r;
    }
    if (current.length > 0) {
      this.#average = average;
      this.#average4 = average4;
      this.#range = previous;
    }
    return out;
  }
}
