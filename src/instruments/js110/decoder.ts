import { DeviceError } from '../../signal/errors.ts';
import { type Gap, type GapCause, type SampleBlock, SampleFlag } from '../../signal/types.ts';
import type { Js110CalibrationRecord } from './protocol.ts';
import { js110FrameBytes, js110FrameSamples, js110RangeOff, js110Rate_Hz, js110RawFrame } from './spec.ts';
import { type Js110Suppression, maxPrePost, missingRange, rangeCodes, windowTable } from './suppression.ts';

export interface Js110DecoderOptions {
  calibration: Js110CalibrationRecord;
  suppression: Js110Suppression;
  /** True where the LSBs of the codes carry the pins IN0 and IN1. */
  hasLogic: boolean;
  /** Names the blocks. */
  stream: string;
  /** Names the instrument in errors. */
  where: string;
}

const FRAME_WORDS = js110FrameBytes / 4;
const HEADER_WORDS = FRAME_WORDS - js110FrameSamples;
/** 1 s without one good frame: this is no JS110 stream. */
const MAX_BAD_FRAMES = Math.ceil(js110Rate_Hz / js110FrameSamples);
/** A jump of the packet index by more cannot be told from rubbish: the stream would have been silent for 1 s. */
const MAX_LOST_FRAMES = MAX_BAD_FRAMES;
/** Windows that run into each other hold samples back; after so many the change of ranges is taken for rubbish. */
const MAX_HELD = 1 << 16;
/** Room for the missing samples that close windows, so that each gap does not need new memory. */
const SPARE = 1024;
/** In a sound frame the toggle bit breaks once or twice. */
const MAX_TOGGLE_BREAKS = 8;

// Fields of a sample word.
const RANGE_BITS = 0x1_0003;
const TOGGLE_BIT = 0x2_0000;
const MISSING = -1;
/** Current and voltage code at the end of their scales; the LSB may be a pin. */
const CURRENT_HIGH = 0xfff8;
const VOLTAGE_HIGH = 0x1fff;

/** A stretch of samples without numbers; `to` = `from` where their number is not known. */
interface Hole {
  from: number;
  to: number;
  cause: GapCause;
}

/**
 * Frames of 126 sample words to blocks of calibrated current, voltage and power. Packet indices that jump, frames with
 * an error and missing words become Gaps; the samples after each change of range are replaced by the rules of
 * pyjoulescope. A sample word is a little-endian u32: range 1:0 and 16, current code 15:2, toggle 17, voltage code 31:18.
 */
export class Js110Decoder {
  readonly #options: Js110DecoderOptions;
  readonly #windows: Uint8Array;
  readonly #pre: number;
  readonly #post: number;
  // Index 7 (open path) reads 0 A: code * 0 + 0.
  readonly #offset = new Float64Array(8);
  readonly #gain = new Float64Array(8);

  // The samples that are being decoded; they begin at #tick.
  #tick = 0;
  #length = 0;
  #current = new Float32Array(0);
  #voltage = new Float32Array(0);
  #power = new Float32Array(0);
  #range = new Uint8Array(0);
  #logic = new Uint8Array(0);
  #flags: Uint8Array | null = null;
  #holes: Hole[] = [];
  #hasStarted = false;

  /** Currents just before the samples that are being decoded, NaN where missing; the last one is the latest. */
  readonly #before = new Float64Array(maxPrePost).fill(Number.NaN);
  #lastRange = js110RangeOff;
  /** First sample of the open window, or -1. */
  #windowStart = -1;
  #remaining = 0;

  /** Packet index of the last frame, or -1. */
  #index = -1;
  /** Bad frames since the last good one, and those among them whose place is not known. */
  #badFrames = 0;
  #unplacedFrames = 0;
  /** Expected toggle bit, or -1 where it is not known. */
  #toggle = -1;

  constructor(options: Js110DecoderOptions) {
    const { calibration, suppression } = options;
    this.#options = options;
    this.#windows = windowTable(suppression);
    this.#pre = suppression.mode === 'mean' ? suppression.pre : 1;
    this.#post = suppression.mode === 'mean' ? suppression.post : 1;
    this.#offset.set(calibration.currentOffset);
    this.#gain.set(calibration.currentGain);
  }

  /** Tick after the last sample that has arrived, also of those that are held back. */
  get arrivedTick(): number {
    return this.#tick + this.#length;
  }

  /**
   * Takes the bytes of whole USB transfers; a frame never spans two of them.
   * @throws DeviceError `device.protocol` after 1 s of bytes that are no JS110 frames
   */
  push(chunk: Uint8Array): (SampleBlock | Gap)[] {
    const out: (SampleBlock | Gap)[] = [];
    const frames = Math.floor(chunk.length / js110FrameBytes);
    const aligned = chunk.byteOffset % 4 === 0 ? chunk : chunk.slice();
    const words = new Int32Array(aligned.buffer, aligned.byteOffset, frames * FRAME_WORDS);
    for (let frame = 0; frame < frames; frame++) {
      this.#takeFrame(words, frame * FRAME_WORDS, frames - frame, out);
    }
    if (chunk.length % js110FrameBytes !== 0) this.#countUnplaced();
    this.#flush(out);
    return out;
  }

  /** The stream has ended: samples of a window that never closed are left out. */
  end(): (SampleBlock | Gap)[] {
    const out: (SampleBlock | Gap)[] = [];
    if (this.#windowStart >= 0) {
      this.#length = this.#windowStart;
      this.#windowStart = -1;
      this.#holes = this.#holes.filter((hole) => hole.from < this.#length);
    }
    this.#flush(out);
    return out;
  }

  #takeFrame(words: Int32Array, at: number, framesLeft: number, out: (SampleBlock | Gap)[]): void {
    const header = words[at]!;
    const length = (header >>> 16) & 0x7fff;
    const index = words[at + 1]! & 0xffff;
    const step = this.#index < 0 ? 1 : (index - this.#index) & 0xffff;
    if ((header & 0xff) !== js110RawFrame || length !== js110FrameBytes || step === 0) {
      this.#countUnplaced();
      return;
    }
    if (step > 1 && index === 0 && this.#tick === 0) this.#restart();
    else if (step > 1) this.#lose(step - 1, out);
    this.#index = index;
    this.#unplacedFrames = 0;
    this.#reserve(framesLeft * js110FrameSamples);
    const status = (header >>> 8) & 0xff;
    const first = at + HEADER_WORDS;
    if (status === 0 && this.#decodeSteady(words, first, header >>> 31)) {
      this.#badFrames = 0;
    } else if (status === 0 && isPlausible(words, first)) {
      this.#badFrames = 0;
      this.#decode(words, first, header >>> 31);
    } else {
      this.#countBad();
      for (let k = 0; k < js110FrameSamples; k++) this.#addMissing('invalid');
    }
  }

  /** Indices begin at 0: what came before in the first transfer belongs to an earlier measurement. */
  #restart(): void {
    this.#length = 0;
    this.#holes = [];
    this.#flags = null;
    this.#windowStart = -1;
    this.#lastRange = js110RangeOff;
    this.#toggle = -1;
  }

  #countUnplaced(): void {
    this.#unplacedFrames++;
    this.#countBad();
  }

  #countBad(): void {
    if (++this.#badFrames < MAX_BAD_FRAMES) return;
    throw new DeviceError('device.protocol', {
      where: this.#options.where,
      problem: 'for 1 s the bytes have followed no JS110 frame format',
      remedy: 'plug the instrument in again, without a hub, and start again',
    });
  }

  /** Frames are missing according to the packet index, among them those that came damaged. */
  #lose(frames: number, out: (SampleBlock | Gap)[]): void {
    if (frames > MAX_LOST_FRAMES) {
      if (this.#windowStart >= 0) this.#abandonWindow();
      this.#addHole(this.#length, this.#length, 'unknown');
      this.#toggle = -1;
      return;
    }
    const cause = frames === this.#unplacedFrames ? 'invalid' : 'link-loss';
    let count = frames * js110FrameSamples;
    // Missing samples close a window that is open; the rest of them need not be spelled out.
    do {
      this.#reserve(1);
      this.#addMissing(cause);
      count--;
    } while (this.#windowStart >= 0 && count > 0);
    this.#flush(out);
    this.#before.fill(Number.NaN);
    this.#gap(out, this.#tick, count, cause);
    this.#tick += count;
  }

  /** Decodes a frame of one range without errors, outside of windows; false (and nothing done) for any other. */
  #decodeSteady(words: Int32Array, at: number, voltageRange: number): boolean {
    const word = words[at]!;
    const range = (word & 3) | ((word >>> 14) & 4);
    if (this.#windowStart >= 0 || range !== this.#lastRange || range === js110RangeOff || this.#toggle < 0)
      return false;
    const { voltageOffset, voltageGain } = this.#options.calibration;
    const offset = this.#offset[range]!;
    const gain = this.#gain[range]!;
    const offsetV = voltageOffset[voltageRange]!;
    const gainV = voltageGain[voltageRange]!;
    const start = this.#length;
    const end = start + js110FrameSamples;
    const current = this.#current;
    const voltage = this.#voltage;
    const power = this.#power;
    let expected = (word & RANGE_BITS) | (this.#toggle << 17);
    let odd = 0;
    for (let k = start, w = at; k < end; k++, w++) {
      const x = words[w]!;
      const i = (((x >>> 2) & 0x3fff) + offset) * gain;
      const v = ((x >>> 18) + offsetV) * gainV;
      current[k] = i;
      voltage[k] = v;
      power[k] = i * v;
      // A code at the end of its scale carries into the bit above it.
      odd |=
        ((x ^ expected) & (RANGE_BITS | TOGGLE_BIT)) |
        (((x & CURRENT_HIGH) + 8) & 0x1_0000) |
        (((x >>> 19) + 1) & 0x2000);
      expected ^= TOGGLE_BIT;
    }
    if (odd !== 0) return false;
    this.#range.fill(range, start, end);
    if (this.#options.hasLogic) {
      const logic = this.#logic;
      for (let k = start, w = at; k < end; k++, w++) logic[k] = logicOf(words[w]!);
    }
    this.#length = end;
    return true;
  }

  #decode(words: Int32Array, at: number, voltageRange: number): void {
    const { voltageOffset, voltageGain } = this.#options.calibration;
    const offsetV = voltageOffset[voltageRange]!;
    const gainV = voltageGain[voltageRange]!;
    for (let w = at; w < at + js110FrameSamples; w++) {
      const x = words[w]!;
      if (x === MISSING) {
        this.#addMissing('dropped');
        continue;
      }
      const toggle = (x >>> 17) & 1;
      // An odd number of samples has been lost inside the instrument.
      if (this.#toggle >= 0 && toggle !== this.#toggle) this.#addHole(this.#length, this.#length, 'dropped');
      this.#toggle = toggle ^ 1;
      const range = (x & 3) | ((x >>> 14) & 4);
      const i = (((x >>> 2) & 0x3fff) + this.#offset[range]!) * this.#gain[range]!;
      const v = ((x >>> 18) + offsetV) * gainV;
      const k = this.#length++;
      this.#current[k] = i;
      this.#voltage[k] = v;
      this.#power[k] = i * v;
      this.#range[k] = range;
      if (this.#options.hasLogic) this.#logic[k] = logicOf(x);
      const isHigh = range !== js110RangeOff && (x & CURRENT_HIGH) === CURRENT_HIGH;
      if (isHigh || x >>> 19 === VOLTAGE_HIGH) this.#flag(k, SampleFlag.saturated);
      if (range !== this.#lastRange || this.#windowStart >= 0) this.#followRange(range);
    }
  }

  #addMissing(cause: GapCause): void {
    const k = this.#length++;
    this.#current[k] = Number.NaN;
    this.#voltage[k] = Number.NaN;
    this.#power[k] = Number.NaN;
    this.#addHole(k, k + 1, cause);
    this.#toggle = -1;
    this.#followRange(missingRange);
  }

  #addHole(from: number, to: number, cause: GapCause): void {
    const last = this.#holes.at(-1);
    if (last && last.to === from && last.cause === cause && last.from < last.to && from < to) last.to = to;
    else this.#holes.push({ from, to, cause });
  }

  #flag(k: number, flags: number): void {
    this.#flags ??= new Uint8Array(this.#current.length);
    this.#flags[k] = flags;
  }

  /** The sample that has just been added has this range: opens and closes windows. */
  #followRange(range: number): void {
    const k = this.#length - 1;
    if (range !== this.#lastRange) {
      const window = this.#windows[rangeCodes * range + this.#lastRange]!;
      this.#lastRange = range;
      if (window > 0) {
        if (this.#windowStart < 0) this.#windowStart = k;
        this.#remaining = Math.max(this.#remaining, window + this.#post);
      }
    }
    if (this.#windowStart < 0) return;
    this.#remaining--;
    if (this.#remaining === 0) this.#closeWindow();
    else if (this.#length - this.#windowStart > MAX_HELD) this.#abandonWindow();
  }

  /** Replaces the samples of the window by what lies before it and its last samples. */
  #closeWindow(): void {
    const start = this.#windowStart;
    const end = this.#length - this.#post;
    this.#windowStart = -1;
    const current = this.#current;
    if (this.#options.suppression.mode === 'nan') {
      this.#discard(start, end);
      return;
    }
    let before = 0;
    for (let k = 1; k <= this.#pre; k++) before += this.#currentAt(start - k);
    let after = 0;
    for (let k = end; k < this.#length; k++) after += current[k]!;
    const isUsable = this.#pre > 0 && Number.isFinite(before);
    let first = after / this.#post;
    let slope = 0;
    if (this.#options.suppression.mode === 'mean') {
      if (isUsable) first = (before + after) / (this.#pre + this.#post);
    } else if (isUsable) {
      slope = (after - before) / (end - start + 1);
      first = before + slope;
    }
    // The sample behind the window is missing itself.
    if (Number.isNaN(first)) {
      this.#discard(start, end);
      return;
    }
    for (let k = start; k < end; k++) {
      current[k] = first + slope * (k - start);
      this.#power[k] = current[k]! * this.#voltage[k]!;
      this.#flag(k, SampleFlag.interpolated);
    }
  }

  /** The samples of a window that cannot be closed are missing. */
  #abandonWindow(): void {
    this.#discard(this.#windowStart, this.#length);
    this.#windowStart = -1;
    this.#remaining = 0;
  }

  /** Samples without a usable current; some of them may be missing already. */
  #discard(from: number, to: number): void {
    for (let k = from; k < to; k++) {
      this.#current[k] = Number.NaN;
      if (!Number.isNaN(this.#voltage[k]!)) this.#addHole(k, k + 1, 'invalid');
    }
  }

  #currentAt(k: number): number {
    return k >= 0 ? this.#current[k]! : this.#before[maxPrePost + k]!;
  }

  /** Makes room for `count` samples more. */
  #reserve(count: number): void {
    if (this.#current.length >= this.#length + count) return;
    const size = this.#length + count + SPARE;
    const grown = <T extends Float32Array | Uint8Array>(from: T, to: T): T => {
      to.set(from.subarray(0, this.#length));
      return to;
    };
    this.#current = grown(this.#current, new Float32Array(size));
    this.#voltage = grown(this.#voltage, new Float32Array(size));
    this.#power = grown(this.#power, new Float32Array(size));
    this.#range = grown(this.#range, new Uint8Array(size));
    if (this.#options.hasLogic) this.#logic = grown(this.#logic, new Uint8Array(size));
    if (this.#flags) this.#flags = grown(this.#flags, new Uint8Array(size));
  }

  /** Hands over everything before an open window. */
  #flush(out: (SampleBlock | Gap)[]): void {
    const limit = this.#windowStart >= 0 ? this.#windowStart : this.#length;
    this.#emit(limit, out);
    for (let k = 0; k < maxPrePost; k++) this.#before[k] = this.#currentAt(limit - maxPrePost + k);
    // What was handed over stays as it is; the rest of the same memory is filled further.
    this.#current = this.#current.subarray(limit);
    this.#voltage = this.#voltage.subarray(limit);
    this.#power = this.#power.subarray(limit);
    this.#range = this.#range.subarray(limit);
    this.#logic = this.#logic.subarray(limit);
    this.#flags = this.#flags && limit < this.#length ? this.#flags.subarray(limit) : null;
    this.#holes = this.#holes
      .filter((hole) => hole.to > limit || this.#isHeld(hole, limit))
      .map((hole) => ({ ...hole, from: Math.max(0, hole.from - limit), to: hole.to - limit }));
    this.#tick += limit;
    this.#length -= limit;
    if (this.#windowStart >= 0) this.#windowStart = 0;
  }

  /** Blocks and gaps of the samples before `limit`. */
  #emit(limit: number, out: (SampleBlock | Gap)[]): void {
    let at = 0;
    if (this.#holes.length > 0) {
      for (const hole of this.#holes.sort((a, b) => a.from - b.from)) {
        if (this.#isHeld(hole, limit)) break;
        const { from, to, cause } = hole;
        this.#block(at, Math.min(from, limit), out);
        const start = Math.max(at, from);
        const end = Math.min(to, limit);
        if (from === to) this.#gap(out, this.#tick + start, null, cause);
        else if (end > start) this.#gap(out, this.#tick + start, end - start, cause);
        at = Math.max(at, end);
      }
    }
    this.#block(at, limit, out);
  }

  /** Behind what is handed over; at the very end of everything nothing is held. */
  #isHeld(hole: Hole, limit: number): boolean {
    return hole.from >= limit && limit < this.#length;
  }

  #block(from: number, to: number, out: (SampleBlock | Gap)[]): void {
    if (to <= from) return;
    this.#hasStarted = true;
    const block: SampleBlock = {
      kind: 'block',
      stream: this.#options.stream,
      firstTick: this.#tick + from,
      ticksPerSample: 1,
      length: to - from,
      current: this.#current.subarray(from, to),
      voltage: this.#voltage.subarray(from, to),
      power: this.#power.subarray(from, to),
      range: this.#range.subarray(from, to),
    };
    if (this.#options.hasLogic) block.logic = this.#logic.subarray(from, to);
    if (this.#flags) block.flags = this.#flags.subarray(from, to);
    out.push(block);
  }

  /** What is missing before the first sample of a stream is no loss: it always begins so. */
  #gap(out: (SampleBlock | Gap)[], firstTick: number, count: number | null, cause: GapCause): void {
    if (!this.#hasStarted || count === 0) return;
    const last = out.at(-1);
    const joins = last?.kind === 'gap' && last.cause === cause && last.count !== null && count !== null;
    if (joins && last.firstTick + last.count! === firstTick) last.count! += count!;
    else out.push({ kind: 'gap', stream: this.#options.stream, firstTick, count, cause });
  }
}

/** Bit 0: the pin in the LSB of the current code; bit 1: the pin in the LSB of the voltage code. */
const logicOf = (word: number): number => ((word >>> 2) & 1) | ((word >>> 17) & 2);

/** In rubbish the toggle bit does not alternate. Missing words have none. */
function isPlausible(words: Int32Array, at: number): boolean {
  let breaks = 0;
  for (let w = at + 1; w < at + js110FrameSamples; w++) {
    const [x, previous] = [words[w]!, words[w - 1]!];
    if (x !== MISSING && previous !== MISSING && ((x ^ previous) & TOGGLE_BIT) === 0) breaks++;
  }
  return breaks <= MAX_TOGGLE_BREAKS;
}
