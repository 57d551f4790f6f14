import { DeviceError } from '../../signal/errors.ts';
import { type Gap, type GapCause, type SampleBlock, SampleFlag } from '../../signal/types.ts';
import {
  ChannelScaling,
  emptyMeasurement,
  isWhole,
  type MonsoonCoefficients,
  type MonsoonHeader,
  parseHeader,
  readMeasurement,
} from './protocol.ts';
import {
  type MonsoonChannel,
  type MonsoonModel,
  monsoonChannels,
  monsoonFineThreshold,
  monsoonRange,
  monsoonRate_Hz,
  monsoonSampleType,
  monsoonVolts,
} from './spec.ts';

export type MonsoonRail = 'main' | 'usb' | 'aux';

export interface MonsoonDecoderOptions {
  model: MonsoonModel;
  coefficients: Readonly<Record<MonsoonChannel, MonsoonCoefficients>>;
  /** Rails to decode; each is a stream of its own name. */
  rails: readonly MonsoonRail[];
  /** For messages. */
  where: string;
}

/** Samples of a block: 12.8 ms. */
const BLOCK_SAMPLES = 64;
const SEQUENCES = 16;
const DROPPED_MODULUS = 65_536;
/** A counter that jumps by more than a second cannot be told from rubbish. */
const MAX_DROPPED = monsoonRate_Hz;
/** Without five calibrations of each kind in so many samples there will be none (PyMonsoon). */
const MAX_UNCALIBRATED = 20_000;
/** A stretch without measurements is told after half a second at the latest. */
const MAX_PENDING = monsoonRate_Hz / 2;
/** So many packets in a row that are none: this is no stream of a Monsoon. */
const MAX_BAD_PACKETS = 32;

interface RailState {
  rail: MonsoonRail;
  /** Positions of its codes in a measurement. */
  coarse: number;
  fine: number;
  threshold: number;
  volts: number | null;
  current: Float32Array;
  voltage: Float32Array;
  range: Uint8Array;
  flags: Uint8Array;
}

/**
 * Turns packets into blocks and gaps, one stream a rail. Every sample of the instrument has its place in time: samples
 * that are calibrations, invalid, dropped or lost are gaps.
 */
export class MonsoonDecoder {
  readonly #options: MonsoonDecoderOptions;
  readonly #scalings: readonly ChannelScaling[];
  readonly #rails: readonly RailState[];
  readonly #measurement = emptyMeasurement();
  /** The ends of the converters' scale. */
  readonly #codes: { min: number; max: number };

  #tick = 0;
  /** Samples in the arrays of the rails. */
  #filled = 0;
  #anyFlag = false;
  /** Samples without a measurement since the last block or gap. */
  #pendingInvalid = 0;
  #previous: MonsoonHeader | null = null;
  #isCalibrated = false;
  #uncalibrated = 0;
  #badPackets = 0;
  #items: (SampleBlock | Gap)[] = [];

  constructor(options: MonsoonDecoderOptions) {
    this.#options = options;
    this.#scalings = monsoonChannels.map((channel) => new ChannelScaling(options.coefficients[channel]));
    this.#codes = options.model === 'HVPM' ? { min: 0, max: 0xffff } : { min: -0x8000, max: 0x7fff };
    this.#rails = options.rails.map((rail) => ({
      rail,
      coarse: monsoonChannels.indexOf(`${rail}Coarse`),
      fine: monsoonChannels.indexOf(`${rail}Fine`),
      threshold: monsoonFineThreshold[options.model][rail],
      volts: rail === 'aux' ? null : monsoonVolts[options.model][rail],
      ...this.#arrays(),
    }));
  }

  /** Tick after the last sample that has arrived. */
  get arrivedTick(): number {
    return this.#tick;
  }

  /** Flags of the last packet, or null before one. */
  get flags(): number | null {
    return this.#previous?.flags ?? null;
  }

  /**
   * Takes one packet: what one bulk transfer has brought.
   * @throws DeviceError `device.protocol` for a stream of rubbish, `device.calibration` where calibrations do not come
   */
  push(packet: Uint8Array): (SampleBlock | Gap)[] {
    const header = parseHeader(packet);
    if (header === null) this.#bad();
    else if (isWhole(packet, header)) {
      this.#follow(header);
      this.#take(packet, header.count);
    } else this.#half(header);
    return this.#taken();
  }

  /** What is still held back. */
  end(): (SampleBlock | Gap)[] {
    this.#flush();
    this.#flushInvalid();
    if (this.#badPackets > 0) this.#gap(null, 'invalid');
    return this.#taken();
  }

  #taken(): (SampleBlock | Gap)[] {
    const items = this.#items;
    this.#items = [];
    return items;
  }

  #bad(): void {
    this.#badPackets++;
    if (this.#badPackets < MAX_BAD_PACKETS) return;
    throw new DeviceError('device.protocol', {
      where: this.#options.where,
      problem: `${MAX_BAD_PACKETS} packets in a row are none of a Monsoon`,
      remedy: 'check that this is an HVPM or LVPM, plug it in again and start again',
    });
  }

  /** A packet that ends early: its samples are lost, and if it follows the one before it, their number is known. */
  #half(header: MonsoonHeader): void {
    const previous = this.#previous;
    const follows =
      previous !== null &&
      this.#badPackets === 0 &&
      header.sequence === (previous.sequence + 1) % SEQUENCES &&
      header.dropped === previous.dropped;
    if (!follows) {
      this.#bad();
      return;
    }
    this.#previous = header;
    this.#skip(header.count);
  }

  /** Compares sequence and dropped count with those of the packet before. */
  #follow(header: MonsoonHeader): void {
    const previous = this.#previous;
    const bad = this.#badPackets;
    this.#previous = header;
    this.#badPackets = 0;
    // What was lost before the first packet lies before tick 0.
    if (previous === null) return;
    const lost = (header.sequence - previous.sequence - 1 + SEQUENCES) % SEQUENCES;
    const dropped = (header.dropped - previous.dropped + DROPPED_MODULUS) % DROPPED_MODULUS;
    const isPlausible = dropped <= MAX_DROPPED;
    if (lost > 0 || bad > 0 || !isPlausible) {
      // How many measurements the lost packets held is not known; time goes on as if they were like this one.
      this.#gap(null, lost > bad ? 'link-loss' : bad > 0 ? 'invalid' : 'unknown');
      this.#tick += Math.max(lost, bad) * header.count + (isPlausible ? dropped : 0);
    } else if (dropped > 0) {
      this.#gap(dropped, 'dropped');
      this.#tick += dropped;
    }
  }

  #take(packet: Uint8Array, count: number): void {
    // As in PyMonsoon, measurements of the packet that completes the first calibration are not used.
    const isReady = this.#isCalibrated;
    for (let k = 0; k < count; k++) {
      readMeasurement(packet, k, this.#options.model, this.#measurement);
      const { type } = this.#measurement;
      if (type === monsoonSampleType.measurement && isReady) this.#put();
      else this.#skip(1);
      if (type === monsoonSampleType.zero || type === monsoonSampleType.reference) this.#calibrate(type);
    }
    if (this.#isCalibrated) this.#uncalibrated = 0;
    else this.#countUncalibrated(count);
  }

  #calibrate(type: number): void {
    const { codes } = this.#measurement;
    for (let channel = 0; channel < codes.length; channel++) {
      const scaling = this.#scalings[channel]!;
      if (type === monsoonSampleType.zero) scaling.pushZero(codes[channel]!);
      else scaling.pushReference(codes[channel]!);
    }
    // Where zero and reference are the same, nothing can be scaled by them.
    this.#isCalibrated =
      this.#scalings.every((scaling) => scaling.isComplete) &&
      this.#rails.every(
        ({ coarse, fine }) => this.#scalings[coarse]!.slope_A !== 0 && this.#scalings[fine]!.slope_A !== 0,
      );
  }

  #countUncalibrated(count: number): void {
    this.#uncalibrated += count;
    if (this.#uncalibrated < MAX_UNCALIBRATED) return;
    throw new DeviceError('device.calibration', {
      where: this.#options.where,
      problem: `no usable zero and reference samples among ${MAX_UNCALIBRATED} samples`,
      remedy:
        'plug it in again, disconnect the device under test and start again; if it stays so, the instrument is faulty',
    });
  }

  /** One measurement becomes one sample of each rail. */
  #put(): void {
    this.#flushInvalid();
    const { codes, mainVoltage, usbVoltage } = this.#measurement;
    const { min, max } = this.#codes;
    const k = this.#filled;
    for (const state of this.#rails) {
      const isFine = codes[state.fine]! < state.threshold;
      const at = isFine ? state.fine : state.coarse;
      state.current[k] = this.#scalings[at]!.current_A(codes[at]!);
      state.range[k] = isFine ? monsoonRange.fine : monsoonRange.coarse;
      const voltageCode = state.rail === 'main' ? mainVoltage : usbVoltage;
      if (state.volts !== null) state.voltage[k] = voltageCode * state.volts;
      const isSaturated = codes[at]! <= min || codes[at]! >= max || (state.volts !== null && voltageCode === 0xffff);
      state.flags[k] = isSaturated ? SampleFlag.saturated : 0;
      if (isSaturated) this.#anyFlag = true;
    }
    this.#filled++;
    this.#tick++;
    if (this.#filled === BLOCK_SAMPLES) this.#flush();
  }

  /** Samples that hold no measurement. */
  #skip(count: number): void {
    this.#flush();
    this.#pendingInvalid += count;
    this.#tick += count;
    if (this.#pendingInvalid >= MAX_PENDING) this.#flushInvalid();
  }

  #flush(): void {
    const length = this.#filled;
    if (length === 0) return;
    this.#filled = 0;
    for (const state of this.#rails) {
      this.#items.push({
        kind: 'block',
        stream: state.rail,
        firstTick: this.#tick - length,
        ticksPerSample: 1,
        length,
        current: state.current.subarray(0, length),
        ...(state.volts !== null && { voltage: state.voltage.subarray(0, length) }),
        range: state.range.subarray(0, length),
        ...(this.#anyFlag && { flags: state.flags.subarray(0, length) }),
      });
      // The block's arrays are its own.
      Object.assign(state, this.#arrays());
    }
    this.#anyFlag = false;
  }

  #flushInvalid(): void {
    const count = this.#pendingInvalid;
    if (count === 0) return;
    this.#pendingInvalid = 0;
    this.#pushGap(this.#tick - count, count, 'invalid');
  }

  #gap(count: number | null, cause: GapCause): void {
    this.#flush();
    this.#flushInvalid();
    this.#pushGap(this.#tick, count, cause);
  }

  #pushGap(firstTick: number, count: number | null, cause: GapCause): void {
    for (const { rail } of this.#rails) this.#items.push({ kind: 'gap', stream: rail, firstTick, count, cause });
  }

  #arrays(): Pick<RailState, 'current' | 'voltage' | 'range' | 'flags'> {
    return {
      current: new Float32Array(BLOCK_SAMPLES),
      voltage: new Float32Array(BLOCK_SAMPLES),
      range: new Uint8Array(BLOCK_SAMPLES),
      flags: new Uint8Array(BLOCK_SAMPLES),
    };
  }
}
