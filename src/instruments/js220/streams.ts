import { DeviceError } from '../../signal/errors.ts';
import type { Gap, GapCause, SampleBlock } from '../../signal/types.ts';
import type { TimeMap } from './protocol.ts';
import { type Js220StreamName, js220Inputs, js220Port, js220Streams } from './spec.ts';

const WRAP = 2 ** 32;
/** A sample id further off than this belongs to no known stretch (specs 4.2). */
const PLAUSIBLE = 2 ** 30;

/** Where the elements of a message belong: the first kept one, and how many leading ones are old. */
interface Placed {
  tick: number;
  trimmed: number;
}

/**
 * Places messages on the sample counter, of which they carry the low 32 bits (it wraps every 35.8 min). The first one is
 * placed by the time map; then a jump ahead is a loss, a jump back a repetition.
 */
class SampleIds {
  readonly #step: number;
  #expected: number | null = null;

  /** `step`: ticks from element to element. */
  constructor(step: number) {
    this.#step = step;
  }

  /** @returns null if the message cannot be placed, or is old as a whole */
  place(id: number, elements: number, timeMap: TimeMap | null): Placed | null {
    const expected = this.#expected ?? this.#first(id, timeMap);
    if (expected === null) return null;
    const skip = (((id - expected) % WRAP) + WRAP) % WRAP;
    const repeated = skip === 0 ? 0 : WRAP - skip;
    if (skip >= PLAUSIBLE && repeated >= PLAUSIBLE) {
      if (this.#expected === null) return null;
      this.#expected = null;
      return this.place(id, elements, timeMap);
    }
    const lost = skip < PLAUSIBLE ? Math.floor(skip / this.#step) : 0;
    const trimmed = skip < PLAUSIBLE ? 0 : Math.floor(repeated / this.#step);
    if (trimmed >= elements) return null;
    const tick = expected + lost * this.#step;
    this.#expected = tick + (elements - trimmed) * this.#step;
    return { tick, trimmed };
  }

  #first(id: number, timeMap: TimeMap | null): number | null {
    if (timeMap === null) return null;
    const ahead = ((((id - timeMap.counter) % WRAP) + WRAP + WRAP / 2) % WRAP) - WRAP / 2;
    const tick = timeMap.counter + ahead;
    return Math.abs(ahead) > PLAUSIBLE || tick < 0 ? null : tick - (tick % this.#step);
  }
}

/** Elements that follow each other without a hole. */
interface Run {
  tick: number;
  /** Index of the first element in the lane's array. */
  at: number;
  length: number;
  /** Why elements are missing before it, if any are. */
  cause: GapCause;
}

/** A lane that grows longer than this waits for another one that has stopped. */
const MAX_WAITING_S = 4;

/** What has arrived on one port and has not been put out yet; floats stay the words that they came as. */
class Lane<T extends Int32Array | Uint8Array> {
  readonly step: number;
  readonly runs: Run[] = [];
  elements: T;
  readonly #ids: SampleIds;
  #end = 0;
  #isLossOnLink = false;

  constructor(step: number, elements: T) {
    this.step = step;
    this.elements = elements;
    this.#ids = new SampleIds(step);
  }

  /** Frames were lost on the way: what is missing next is missing for that reason. */
  linkLoss(): void {
    this.#isLossOnLink = true;
  }

  /** Makes room for the elements of a message; the caller writes them at `at`, without the first `trimmed` ones. */
  place(id: number, elements: number, timeMap: TimeMap | null): { at: number; trimmed: number } | null {
    const placed = this.#ids.place(id, elements, timeMap);
    if (placed === null) return null;
    const count = elements - placed.trimmed;
    this.#reserve(count);
    const last = this.runs.at(-1);
    const at = this.#end;
    if (last && last.tick + last.length * this.step === placed.tick) last.length += count;
    else {
      const cause = this.#isLossOnLink ? 'link-loss' : 'dropped';
      this.runs.push({ tick: placed.tick, at, length: count, cause });
    }
    this.#isLossOnLink = false;
    this.#end = at + count;
    return { at, trimmed: placed.trimmed };
  }

  get waiting_ticks(): number {
    const [first, last] = [this.runs[0], this.runs.at(-1)];
    return first && last ? (last.at + last.length - first.at) * this.step : 0;
  }

  /** Where the element that begins at or before `tick` stands; it must lie in the first run. */
  indexOf(tick: number): number {
    const run = this.runs[0]!;
    return run.at + Math.floor((tick - run.tick) / this.step);
  }

  discardBefore(tick: number): void {
    let head = this.runs[0];
    while (head && head.tick + head.length * this.step <= tick) {
      this.runs.shift();
      head = this.runs[0];
    }
    if (!head || head.tick >= tick) return;
    const gone = Math.floor((tick - head.tick) / this.step);
    head.tick += gone * this.step;
    head.at += gone;
    head.length -= gone;
  }

  #reserve(count: number): void {
    if (this.#end + count <= this.elements.length) return;
    const first = this.runs[0]?.at ?? this.#end;
    const kept = this.#end - first;
    if (kept + count > this.elements.length) {
      const larger = new (this.elements.constructor as new (n: number) => T)(2 * (kept + count));
      larger.set(this.elements.subarray(first, this.#end));
      this.elements = larger;
    } else this.elements.copyWithin(0, first, this.#end);
    for (const run of this.runs) run.at -= first;
    this.#end = kept;
  }
}

type AnyLane = Lane<Int32Array> | Lane<Uint8Array>;

/** Puts out what all of its lanes have in common, in order, and says what is missing. */
class Aligner {
  readonly #lanes: readonly AnyLane[];
  readonly #step: number;
  #next: number | null = null;

  /** `step`: ticks from sample to sample of the result, a multiple of each lane's. */
  constructor(lanes: readonly AnyLane[], step: number) {
    this.#lanes = lanes;
    this.#step = step;
  }

  /** Tick after the last sample put out; null before the first. */
  get next(): number | null {
    return this.#next;
  }

  /** Nothing before `tick` is wanted; what is missing there is no loss. */
  startAt(tick: number): void {
    for (const lane of this.#lanes) lane.discardBefore(tick);
  }

  drain(onSamples: (tick: number, n: number) => void, onMissing: (tick: number, n: number, cause: GapCause) => void) {
    const step = this.#step;
    for (;;) {
      let start = this.#next ?? 0;
      let end = Number.POSITIVE_INFINITY;
      let cause: GapCause = 'unknown';
      let shortest: AnyLane | null = null;
      for (const lane of this.#lanes) {
        const run = lane.runs[0];
        if (!run) return;
        if (run.tick > start) {
          start = run.tick;
          cause = run.cause;
        }
        const runEnd = run.tick + run.length * lane.step;
        if (runEnd < end) {
          end = runEnd;
          shortest = lane;
        }
      }
      start = Math.ceil(start / step) * step;
      const n = Math.floor((end - start) / step);
      if (n <= 0) {
        // The last run may still grow; one that another follows may not.
        if (shortest!.runs.length === 1) return;
        shortest!.runs.shift();
        continue;
      }
      if (this.#next !== null && start > this.#next) onMissing(this.#next, (start - this.#next) / step, cause);
      onSamples(start, n);
      this.#next = start + n * step;
      for (const lane of this.#lanes) lane.discardBefore(this.#next);
    }
  }
}

export interface Js220DecoderOptions {
  /** Ids of the streams. */
  main: string;
  inputs: string;
  /** Ticks of 2 MHz from sample to sample of current, voltage and power. */
  ticksPerSample: number;
  power: boolean;
  /** Bit k of `logic` is the k-th name; null for an input that is not read. */
  logic: readonly (Js220StreamName | null)[];
  /** The instrument, for errors. */
  where: string;
}

const ID_BYTES = 4;
/** The exponent of a float32; where all of its bits are set the value is NaN or infinite, and one more makes bit 31. */
const EXPONENT = 0x7f80_0000;
const LOWEST_OF_EXPONENT = 0x0080_0000;

/**
 * Stream messages to blocks: current, voltage (and power) with their range on one stream, the inputs on another, both on
 * the clock of 2 MHz, whose tick 0 is the first sample. Messages of a stream's ports begin at different sample ids; a block
 * holds what all of them cover, and what any of them lacks becomes a Gap: `link-loss` where frames were lost on the way,
 * `dropped` where the instrument's own sample ids jump, `invalid` for a reading that is no number.
 */
export class Js220Decoder {
  readonly #options: Js220DecoderOptions;
  readonly #current: Lane<Int32Array>;
  readonly #voltage: Lane<Int32Array>;
  readonly #power: Lane<Int32Array> | null;
  readonly #range: Lane<Uint8Array>;
  readonly #inputs: { lane: Lane<Uint8Array>; bit: number }[] = [];
  readonly #floats = new Map<number, Lane<Int32Array>>();
  readonly #nibbles = new Map<number, Lane<Uint8Array>>();
  readonly #bits = new Map<number, Lane<Uint8Array>>();
  readonly #all: AnyLane[];
  readonly #main: Aligner;
  readonly #pins: Aligner | null;
  #timeMap: TimeMap | null = null;
  #origin: number | null = null;
  #out: (SampleBlock | Gap)[] = [];
  #words: Int32Array = new Int32Array();
  #hasSeenInvalid = false;

  constructor(options: Js220DecoderOptions) {
    this.#options = options;
    const port = (name: Js220StreamName) => js220Port.stream + js220Streams[name].index;
    const float = (name: Js220StreamName) => {
      const lane = new Lane(options.ticksPerSample, new Int32Array(1 << 14));
      this.#floats.set(port(name), lane);
      return lane;
    };
    this.#current = float('current');
    this.#voltage = float('voltage');
    this.#power = options.power ? float('power') : null;
    this.#range = new Lane(1, new Uint8Array(1 << 15));
    this.#nibbles.set(port('range'), this.#range);
    for (const [bit, name] of options.logic.entries()) {
      if (name === null) continue;
      const lane = new Lane(1, new Uint8Array(1 << 15));
      this.#bits.set(port(name), lane);
      this.#inputs.push({ lane, bit });
    }
    const main = [this.#current, this.#voltage, ...(this.#power ? [this.#power] : []), this.#range];
    const pins = this.#inputs.map(({ lane }) => lane);
    this.#all = [...main, ...pins];
    this.#main = new Aligner(main, options.ticksPerSample);
    this.#pins = pins.length > 0 ? new Aligner(pins, 1) : null;
  }

  /** Tick after the last sample of the main stream. */
  get nextTick(): number {
    return this.#origin === null ? 0 : this.#main.next! - this.#origin;
  }

  /** The same for the inputs. */
  get nextInputTick(): number {
    return Math.max(0, (this.#pins?.next ?? 0) - (this.#origin ?? 0));
  }

  /** The sample id that is tick 0; null before the first sample. */
  get origin(): number | null {
    return this.#origin;
  }

  /** True once sample ids can be placed. */
  get isMapped(): boolean {
    return this.#timeMap !== null;
  }

  timeMap(timeMap: TimeMap): void {
    this.#timeMap = timeMap;
  }

  /** Frames were lost on the way. */
  linkLoss(): void {
    for (const lane of this.#all) lane.linkLoss();
  }

  /**
   * Takes the payload [start, end) of one frame of a stream port, which begins at a multiple of four bytes of the
   * chunk's buffer. Ports that are not read are ignored.
   * @returns true if the port is one of those that are read
   */
  message(port: number, chunk: Uint8Array, start: number, end: number): boolean {
    const bytes = end - start - ID_BYTES;
    const floats = this.#floats.get(port);
    if (floats) {
      if (bytes >= 4) this.#takeFloats(floats, chunk, start, bytes >> 2);
      return true;
    }
    const nibbles = this.#nibbles.get(port);
    if (nibbles) {
      if (bytes >= 1) this.#takeNibbles(nibbles, chunk, start, 2 * bytes);
      return true;
    }
    const bits = this.#bits.get(port);
    if (bits && bytes >= 1) this.#takeBits(bits, chunk, start, 8 * bytes);
    return bits !== undefined;
  }

  /**
   * What is complete by now.
   * @throws DeviceError `device.protocol` when one port has stopped while the others go on
   */
  drain(): (SampleBlock | Gap)[] {
    this.#main.drain(
      (tick, n) => this.#emitMain(tick, n),
      (tick, n, cause) => this.#emitGap(this.#options.main, tick, n, cause),
    );
    if (this.#pins && this.#origin !== null) {
      if (this.#pins.next === null) this.#pins.startAt(this.#origin);
      this.#pins.drain(
        (tick, n) => this.#emitInputs(tick, n),
        (tick, n, cause) => this.#emitGap(this.#options.inputs, tick, n, cause),
      );
    }
    for (const lane of this.#all) {
      if (lane.waiting_ticks > MAX_WAITING_S * 2e6) {
        throw new DeviceError('device.protocol', {
          where: this.#options.where,
          problem: `the instrument's streams are more than ${MAX_WAITING_S} s apart`,
          remedy: 'unplug it, plug it in again and start again',
        });
      }
    }
    const out = this.#out;
    this.#out = [];
    return out;
  }

  #takeFloats(lane: Lane<Int32Array>, chunk: Uint8Array, start: number, count: number): void {
    const placed = lane.place(idAt(chunk, start), count, this.#timeMap);
    if (placed === null) return;
    // As whole words: a NaN keeps its bits, and the look for it costs nothing.
    const words = this.#wordsOf(chunk);
    const { elements } = lane;
    const first = (chunk.byteOffset + start + ID_BYTES) / 4 + placed.trimmed;
    const kept = count - placed.trimmed;
    const { at } = placed;
    let seen = 0;
    for (let i = 0; i < kept; i++) {
      const word = words[first + i]!;
      elements[at + i] = word;
      seen |= (word & EXPONENT) + LOWEST_OF_EXPONENT;
    }
    if (seen < 0) this.#hasSeenInvalid = true;
  }

  /** The words of a transfer as the machine reads them (little-endian, as the wire is). */
  #wordsOf(chunk: Uint8Array): Int32Array {
    if (this.#words.buffer !== chunk.buffer)
      this.#words = new Int32Array(chunk.buffer, 0, chunk.buffer.byteLength >> 2);
    return this.#words;
  }

  #takeNibbles(lane: Lane<Uint8Array>, chunk: Uint8Array, start: number, count: number): void {
    const placed = lane.place(idAt(chunk, start), count, this.#timeMap);
    if (placed === null) return;
    const { elements } = lane;
    const data = start + ID_BYTES;
    let at = placed.at;
    let k = placed.trimmed;
    if (k & 1) elements[at++] = chunk[data + (k++ >> 1)]! >> 4;
    for (; k < count; k += 2) {
      const byte = chunk[data + (k >> 1)]!;
      elements[at] = byte & 15;
      elements[at + 1] = byte >> 4;
      at += 2;
    }
  }

  #takeBits(lane: Lane<Uint8Array>, chunk: Uint8Array, start: number, count: number): void {
    const placed = lane.place(idAt(chunk, start), count, this.#timeMap);
    if (placed === null) return;
    const { elements } = lane;
    const data = start + ID_BYTES;
    let at = placed.at;
    let k = placed.trimmed;
    for (; k & 7 && k < count; k++) elements[at++] = (chunk[data + (k >> 3)]! >> (k & 7)) & 1;
    for (; k < count; k += 8) {
      let byte = chunk[data + (k >> 3)]!;
      for (const end = at + 8; at < end; byte >>= 1) elements[at++] = byte & 1;
    }
  }

  #emitMain(tick: number, n: number): void {
    this.#origin ??= tick;
    const step = this.#options.ticksPerSample;
    const cut = (lane: Lane<Int32Array>) => {
      const at = lane.indexOf(tick);
      return new Float32Array(lane.elements.slice(at, at + n).buffer);
    };
    const block: SampleBlock = {
      kind: 'block',
      stream: this.#options.main,
      firstTick: tick - this.#origin,
      ticksPerSample: step,
      length: n,
      current: cut(this.#current),
      voltage: cut(this.#voltage),
    };
    if (this.#power) block.power = cut(this.#power);
    const range = new Uint8Array(n);
    const { elements } = this.#range;
    for (let i = 0, k = this.#range.indexOf(tick); i < n; i++, k += step) range[i] = elements[k]!;
    block.range = range;
    if (this.#hasSeenInvalid) this.#splitInvalid(block);
    else this.#out.push(block);
  }

  #splitInvalid(block: SampleBlock): void {
    const arrays = [block.current!, block.voltage!, ...(block.power ? [block.power] : [])];
    const isValid = (i: number) => arrays.every((values) => Number.isFinite(values[i]));
    const step = block.ticksPerSample;
    for (let from = 0; from < block.length; ) {
      const valid = isValid(from);
      let to = from + 1;
      while (to < block.length && isValid(to) === valid) to++;
      const firstTick = block.firstTick + from * step;
      if (valid) {
        this.#out.push({
          ...block,
          firstTick,
          length: to - from,
          current: block.current!.slice(from, to),
          voltage: block.voltage!.slice(from, to),
          ...(block.power ? { power: block.power.slice(from, to) } : {}),
          range: block.range!.slice(from, to),
        });
      } else this.#out.push({ kind: 'gap', stream: block.stream, firstTick, count: to - from, cause: 'invalid' });
      from = to;
    }
  }

  #emitInputs(tick: number, n: number): void {
    const logic = new Uint8Array(n);
    for (const { lane, bit } of this.#inputs) {
      const { elements } = lane;
      for (let i = 0, k = lane.indexOf(tick); i < n; i++, k++) logic[i]! |= elements[k]! << bit;
    }
    const firstTick = tick - this.#origin!;
    this.#out.push({ kind: 'block', stream: this.#options.inputs, firstTick, ticksPerSample: 1, length: n, logic });
  }

  #emitGap(stream: string, tick: number, count: number, cause: GapCause): void {
    this.#out.push({ kind: 'gap', stream, firstTick: tick - this.#origin!, count, cause });
  }
}

function idAt(chunk: Uint8Array, at: number): number {
  return (chunk[at]! | (chunk[at + 1]! << 8) | (chunk[at + 2]! << 16) | (chunk[at + 3]! << 24)) >>> 0;
}

/** The inputs that a list of names selects: the k-th name is that of the k-th input; an empty one switches it off. */
export function inputsOf(names: readonly string[]): (Js220StreamName | null)[] {
  return js220Inputs.map((input, k) => (names[k] ? input : null));
}
