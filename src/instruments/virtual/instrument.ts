import type { Random } from '../../plant/random.ts';
import type { SignalSource } from '../../signal/signal-source.ts';
import {
  type ClockInfo,
  type Edge,
  type EdgeBatch,
  type Gap,
  type Polarity,
  type Progress,
  type SampleBlock,
  SampleFlag,
  type StreamInfo,
} from '../../signal/types.ts';
import type { VirtualFaults } from './faults.ts';
import {
  captureTimerHz,
  rangeDownAfterSamples,
  rangeDownAt,
  rangeUpAt,
  settlingNoise,
  settlingSamples,
  virtualLeastLatency_s,
  virtualRanges,
  virtualVoltage,
} from './spec.ts';

export interface VirtualInstrumentSettings {
  rate_Hz: number;
  /** The trigger line that it captures. */
  channel: string;
  /** Delay of the analog path in each range, in s, at most `mostDelay_s`. Absent: none. */
  analogDelay_s?: readonly number[];
  /**
   * Time constant of a first-order lag in each range, in s: a shunt with the capacitor behind it. The charge that the
   * capacitor has given is measured later, through whatever range is then in force. Absent: none.
   */
  analogLag_s?: readonly number[];
}

interface AnalogPath {
  delay_s: number;
  current: Float64Array;
  voltage: Float64Array;
}

type VirtualChunk = SampleBlock | Gap | EdgeBatch | Progress;

/** Noise and resolution that the instrument had over some samples. */
export interface NoiseFigures {
  /** Mean over the samples of the variance of one current reading, noise and quantisation, in A^2. */
  currentVariance_A2: number;
  voltageVariance_V2: number;
  /** Mean over the samples of the range's resolution. */
  resolution_A: number;
  resolution_V: number;
  samples: number;
}

/**
 * A virtual power instrument: an integrating converter that reports the mean of current and voltage over each sample
 * interval, with range switching, noise, quantisation and saturation, and a timer that captures the edges of one
 * trigger line. It is pulled, a block at a time, in virtual time; its clock starts with the plant.
 */
export class VirtualInstrument {
  readonly clock: ClockInfo;
  readonly stream: StreamInfo;
  readonly identity: { family: 'virtual'; model: string; serial: string };

  readonly #source: SignalSource;
  readonly #settings: VirtualInstrumentSettings;
  readonly #faults: VirtualFaults;
  readonly #noise: Random;
  readonly #arrival: Random;
  readonly #blockSamples: number;
  /** True duration of one sample. */
  readonly #dt_s: number;
  /** Means of current and voltage over the samples of a block, for each delay that a range has. */
  readonly #paths: AnalogPath[];
  /** Index of its path, for each range. */
  readonly #pathOf: number[];
  /** Time constant of each range's lag, or null where none has one; and the charge that is still to be measured. */
  readonly #lag_s: readonly number[] | null;
  #held_C = Number.NaN;

  #next = 0;
  #lastArrival_ns = 0;
  #isUnplugged = false;

  #range = 0;
  #below = 0;
  #settling = 0;
  /** Runs of samples with one noise: first sample, variance, resolution. */
  #noiseRuns: { first: number; variance_A2: number; resolution_A: number }[] = [];

  /** Changes of the line so far, and when those happened that a moment of the faults counts from. */
  #changes = 0;
  readonly #happened_s = new Map<number, number | null>();
  #level: boolean;
  /** Captured edges that are not reported yet; the faults' own may lie beyond the block under way. */
  #captured: { time_s: number; polarity: Polarity }[] = [];
  #edgeSeq = 0;
  readonly #drops: VirtualFaults['drops'];
  /** Samples before this one are dropped. */
  #droppedTo = 0;

  /** `serial` must begin with `SIM-`: that is how everything after it knows that the run is simulated. */
  constructor(
    source: SignalSource,
    settings: VirtualInstrumentSettings,
    faults: VirtualFaults,
    random: Random,
    serial: string,
  ) {
    this.#source = source;
    this.#settings = settings;
    this.#faults = faults;
    this.#drops = [...faults.drops];
    for (const moment of [...faults.drops, faults.saturation, faults.unplug]) {
      if (moment !== null) this.#happened_s.set(moment.afterChange, null);
    }
    this.#noise = random.fork('noise');
    this.#arrival = random.fork('arrival');
    const { rate_Hz } = settings;
    this.#dt_s = 1 / (rate_Hz * (1 + faults.skew));
    // About 25 ms, so that little is under way when a run is cut off.
    this.#blockSamples = Math.min(4096, Math.max(1, 2 ** Math.floor(Math.log2(rate_Hz * 0.03))));
    const delays_s = virtualRanges.map((_, range) => settings.analogDelay_s?.[range] ?? 0);
    const distinct = [...new Set(delays_s)];
    this.#pathOf = delays_s.map((delay_s) => distinct.indexOf(delay_s));
    this.#paths = distinct.map((delay_s) => ({
      delay_s,
      current: new Float64Array(this.#blockSamples),
      voltage: new Float64Array(this.#blockSamples),
    }));
    this.#lag_s = settings.analogLag_s?.some((lag_s) => lag_s > 0) ? settings.analogLag_s : null;
    this.#level = source.levelAt(settings.channel, 0);
    this.identity = { family: 'virtual', model: 'Joulemark virtual power instrument', serial };
    // As a round trip of its link would tell.
    const latencyBound_s = 2 * virtualLeastLatency_s;
    this.clock = { id: 'instrument', tickHz: rate_Hz, kind: 'virtual', epoch_ns: null, latencyBound_s };
    this.stream = {
      id: 'main',
      rail: 'main',
      clock: this.clock.id,
      ticksPerSample: 1,
      quantities: ['current', 'voltage'],
      precision: 'f32',
      semantics: 'mean-forward',
      groupDelay_s: distinct.length === 1 && distinct[0] === 0 && this.#lag_s === null ? 0 : null,
      scale: {},
      assumedVoltage_V: null,
      ranges: virtualRanges.map((range) => ({ ...range })),
      logicInputs: [settings.channel],
      calibration: null,
    };
  }

  get isUnplugged(): boolean {
    return this.#isUnplugged;
  }

  /** True time at which the next block ends; the source must be settled up to here before `readBlock`. */
  get nextBlockEnd_s(): number {
    return (this.#next + this.#blockSamples) * this.#dt_s;
  }

  /** True time up to which it has sampled. */
  get sampled_s(): number {
    return this.#next * this.#dt_s;
  }

  /** The next block (whole samples up to `limit_s` of true time at most), as it arrives at the host. */
  *readBlock(limit_s: number): Generator<VirtualChunk> {
    const first = this.#next;
    // An end that falls on the border of a sample must not lose that sample to rounding.
    const whole = Math.floor(limit_s / this.#dt_s + 1e-6) - first;
    let n = Math.min(this.#blockSamples, whole);
    if (n <= 0 || this.#isUnplugged) return;
    const from_s = first * this.#dt_s;
    let to_s = (first + n) * this.#dt_s;
    const logic = new Uint8Array(n);
    this.#captureEdges(first, from_s, to_s, logic);
    const unplug_s = this.#momentOf(this.#faults.unplug);
    if (unplug_s !== null && unplug_s < to_s) {
      this.#isUnplugged = true;
      n = Math.max(0, Math.floor(unplug_s / this.#dt_s) - first);
      to_s = (first + n) * this.#dt_s;
    }
    const arrival_ns = this.#arrivalAfter(to_s);
    const edges = this.#edgesUntil(to_s, arrival_ns);
    if (edges.length > 0) yield { kind: 'edges', edges };
    if (n > 0) {
      const block = this.#sample(first, n, logic.subarray(0, n), arrival_ns);
      yield* this.#withoutDropped(block);
    }
    this.#next = first + n;
    yield { kind: 'progress', clock: this.clock.id, upTo: this.#next };
    if (this.#isUnplugged) {
      const firstTick = Math.max(this.#next, this.#droppedTo);
      yield { kind: 'gap', stream: this.stream.id, firstTick, count: null, cause: 'unplugged' };
    }
  }

  /** Noise of the samples from true time `from_s` to `to_s`, which must have been sampled. */
  noiseBetween(from_s: number, to_s: number): NoiseFigures {
    const [first, last] = [Math.floor(from_s / this.#dt_s), Math.ceil(to_s / this.#dt_s)];
    let [variance, resolution, samples] = [0, 0, 0];
    this.#noiseRuns.forEach((run, k) => {
      const end = this.#noiseRuns[k + 1]?.first ?? this.#next;
      const n = Math.min(last, end) - Math.max(first, run.first);
      if (n <= 0) return;
      variance += n * run.variance_A2;
      resolution += n * run.resolution_A;
      samples += n;
    });
    return {
      currentVariance_A2: variance / samples,
      voltageVariance_V2: varianceOf(virtualVoltage.noise_V, virtualVoltage.resolution_V),
      resolution_A: resolution / samples,
      resolution_V: virtualVoltage.resolution_V,
      samples,
    };
  }

  /** Frees what `noiseBetween` remembers of the time before `time_s`. */
  forget(time_s: number): void {
    const first = time_s / this.#dt_s;
    const keep = this.#noiseRuns.findIndex((_, k) => (this.#noiseRuns[k + 1]?.first ?? this.#next) > first);
    if (keep > 256) this.#noiseRuns.splice(0, keep);
  }

  #sample(first: number, n: number, logic: Uint8Array, arrival_ns: number): SampleBlock {
    for (const path of this.#paths) this.#fillPath(path, first, n);
    const current = new Float32Array(n);
    const voltage = new Float32Array(n);
    const range = new Uint8Array(n);
    const flags = new Uint8Array(n);
    let isFlagged = false;
    const stuckFrom_s = this.#momentOf(this.#faults.saturation);
    const stuckFrom = stuckFrom_s === null ? Number.POSITIVE_INFINITY : stuckFrom_s / this.#dt_s;
    const stuckTo = stuckFrom + (this.#faults.saturation?.duration_s ?? 0) / this.#dt_s;
    const top = virtualRanges.length - 1;
    let { fullScale_A, resolution_A, noise_A } = virtualRanges[this.#range];
    for (let k = 0; k < n; k++) {
      let truth = this.#seen(this.#range, k);
      const isStuck = first + k >= stuckFrom && first + k < stuckTo;
      const wanted = isStuck ? stuckRange(truth) : this.#wantedRange(truth, top);
      if (wanted !== this.#range) {
        this.#range = wanted;
        this.#below = 0;
        this.#settling = settlingSamples;
        ({ fullScale_A, resolution_A, noise_A } = virtualRanges[wanted]);
        truth = this.#seen(wanted, k);
        this.#logNoise(first + k, settlingNoise * noise_A, resolution_A);
      } else if (this.#settling === 0 && this.#noiseRuns.length === 0) {
        this.#logNoise(first + k, noise_A, resolution_A);
      }
      let noise = noise_A;
      if (this.#settling > 0) {
        noise *= settlingNoise;
        flags[k] = SampleFlag.settling;
        isFlagged = true;
        if (--this.#settling === 0) this.#logNoise(first + k + 1, noise_A, resolution_A);
      }
      let reading = Math.round((truth + noise * this.#noise.normal()) / resolution_A) * resolution_A;
      if (reading >= fullScale_A || reading <= -fullScale_A) {
        reading = Math.sign(reading) * fullScale_A;
        flags[k] |= SampleFlag.saturated;
        isFlagged = true;
      }
      current[k] = reading;
      range[k] = this.#range;
      const path = this.#paths[this.#pathOf[this.#range]];
      if (this.#lag_s !== null) this.#held_C += (path.current[k] - truth) * this.#dt_s;
      const volts = path.voltage[k] + virtualVoltage.noise_V * this.#noise.normal();
      voltage[k] = Math.round(volts / virtualVoltage.resolution_V) * virtualVoltage.resolution_V;
    }
    return {
      kind: 'block',
      stream: this.stream.id,
      firstTick: first,
      ticksPerSample: 1,
      length: n,
      current,
      voltage,
      range,
      ...(isFlagged ? { flags } : {}),
      logic,
      arrival_ns,
    };
  }

  /** What a path shows of samples [first, first + n); before its first sample it shows that one. */
  #fillPath({ delay_s, current, voltage }: AnalogPath, first: number, n: number): void {
    const early = Math.min(n, Math.max(0, Math.ceil(delay_s / this.#dt_s - 1e-6) - first));
    const from_s = (first + early) * this.#dt_s - delay_s;
    if (early === n) this.#source.fillMeans(0, this.#dt_s, 1, current, voltage);
    else this.#source.fillMeans(from_s, this.#dt_s, n - early, current.subarray(early), voltage.subarray(early));
    if (early === 0) return;
    const shown = early === n ? 0 : early;
    current.fill(current[shown], 0, early);
    voltage.fill(voltage[shown], 0, early);
  }

  /** Mean current that a range shows of sample k, its delay and lag considered. */
  #seen(range: number, k: number): number {
    const current = this.#paths[this.#pathOf[range]].current[k];
    if (this.#lag_s === null) return current;
    const lag_s = this.#lag_s[range] ?? 0;
    // Before the first sample the current was steady.
    if (Number.isNaN(this.#held_C)) this.#held_C = current * lag_s;
    return current + ((this.#held_C - current * lag_s) * -Math.expm1(-this.#dt_s / lag_s)) / this.#dt_s;
  }

  #wantedRange(truth: number, top: number): number {
    let range = this.#range;
    while (range < top && truth > rangeUpAt * virtualRanges[range].fullScale_A) range++;
    if (range !== this.#range) return range;
    if (range > 0 && truth < rangeDownAt * virtualRanges[range - 1].fullScale_A) {
      if (++this.#below >= rangeDownAfterSamples) return range - 1;
    } else {
      this.#below = 0;
    }
    return range;
  }

  #logNoise(first: number, noise_A: number, resolution_A: number): void {
    const last = this.#noiseRuns.at(-1);
    if (last?.first === first) this.#noiseRuns.pop();
    this.#noiseRuns.push({ first, variance_A2: varianceOf(noise_A, resolution_A), resolution_A });
  }

  /** Takes the line's changes in [from_s, to_s) in: logic bits as they are, captured edges as the faults have them. */
  #captureEdges(first: number, from_s: number, to_s: number, logic: Uint8Array): void {
    const { channel } = this.#settings;
    const faults = this.#faults;
    const bitFrom = (time_s: number) => Math.min(logic.length, Math.max(0, Math.ceil(time_s / this.#dt_s) - first));
    let filled = 0;
    for (const edge of this.#source.edgesBetween(from_s, to_s)) {
      if (edge.channel !== channel) continue;
      const change = this.#changes++;
      const bit = bitFrom(edge.time_s);
      if (this.#level) logic.fill(1, filled, bit);
      filled = bit;
      this.#level = edge.polarity === 'rise';
      if (this.#happened_s.has(change)) this.#happened_s.set(change, edge.time_s);
      if (!faults.lostChanges.includes(change)) this.#captured.push(edge);
      for (const pulse of faults.extraPulses) {
        if (pulse.afterChange !== change) continue;
        const start_s = edge.time_s + pulse.delay_s;
        // The line is high inside a window, whatever the pairing.
        this.#captured.push(
          { time_s: start_s, polarity: 'fall' },
          { time_s: start_s + pulse.width_s, polarity: 'rise' },
        );
      }
      for (const bounce of faults.bounces) {
        if (bounce.change !== change) continue;
        bounce.offsets_s.forEach((offset_s, k) => {
          const polarity = (edge.polarity === 'rise') === (k % 2 === 1) ? 'rise' : 'fall';
          this.#captured.push({ time_s: edge.time_s + offset_s, polarity });
        });
      }
    }
    if (this.#level) logic.fill(1, filled);
  }

  /** Hands over the captured edges before `to_s`, stamped with the middle of their timer count. */
  #edgesUntil(to_s: number, arrival_ns: number): Edge[] {
    if (this.#captured.length === 0) return [];
    this.#captured.sort((a, b) => a.time_s - b.time_s);
    const n = this.#captured.filter((edge) => edge.time_s < to_s).length;
    const ticksPerCount = this.#settings.rate_Hz / captureTimerHz;
    return this.#captured.splice(0, n).map(({ time_s, polarity }) => ({
      clock: this.clock.id,
      tick: (Math.floor(time_s * (1 + this.#faults.skew) * captureTimerHz) + 0.5) * ticksPerCount,
      u_ticks: ticksPerCount / Math.sqrt(12),
      channel: this.#settings.channel,
      polarity,
      seq: this.#edgeSeq++,
      arrival_ns,
    }));
  }

  *#withoutDropped(block: SampleBlock): Generator<SampleBlock | Gap> {
    const end = block.firstTick + block.length;
    let at = Math.max(block.firstTick, this.#droppedTo);
    for (;;) {
      let nextDrop = -1;
      let dropAt = Math.max(at, end);
      this.#drops.forEach((drop, k) => {
        const moment_s = this.#momentOf(drop);
        const tick = moment_s === null ? end : Math.max(at, Math.floor(moment_s / this.#dt_s));
        if (tick < dropAt) [nextDrop, dropAt] = [k, tick];
      });
      if (dropAt > at) yield part(block, at - block.firstTick, dropAt - block.firstTick);
      if (nextDrop < 0) return;
      const [{ duration_s }] = this.#drops.splice(nextDrop, 1);
      const samples = Math.max(1, Math.round(duration_s / this.#dt_s));
      yield { kind: 'gap', stream: block.stream, firstTick: dropAt, count: samples, cause: 'dropped' };
      at = dropAt + samples;
      this.#droppedTo = at;
      if (at >= end) return;
    }
  }

  /** True time of a moment, or null while the change that it counts from has not happened. */
  #momentOf(moment: { afterChange: number; delay_s: number } | null): number | null {
    if (moment === null) return null;
    const since_s = this.#happened_s.get(moment.afterChange) ?? null;
    return since_s === null ? null : since_s + moment.delay_s;
  }

  /** Transfer and scheduling: 0.4 ms at least, up to 1 ms more, with an exponential tail; never before the last one. */
  #arrivalAfter(time_s: number): number {
    const latency_s =
      virtualLeastLatency_s + 1e-3 * this.#arrival.uniform() - 3e-4 * Math.log(1 - this.#arrival.uniform());
    this.#lastArrival_ns = Math.max(this.#lastArrival_ns, Math.round((time_s + latency_s) * 1e9));
    return this.#lastArrival_ns;
  }
}

function varianceOf(noise: number, resolution: number): number {
  return noise * noise + (resolution * resolution) / 12;
}

/** The highest range whose full scale lies below this current: there it saturates. */
function stuckRange(current_A: number): number {
  const fitting = virtualRanges.findIndex((range) => range.fullScale_A > current_A);
  return Math.max(0, (fitting < 0 ? virtualRanges.length : fitting) - 1);
}

function part(block: SampleBlock, from: number, to: number): SampleBlock {
  if (from === 0 && to === block.length) return block;
  return {
    ...block,
    firstTick: block.firstTick + from,
    length: to - from,
    current: block.current?.slice(from, to),
    voltage: block.voltage?.slice(from, to),
    range: block.range?.slice(from, to),
    ...(block.flags === undefined ? {} : { flags: block.flags.slice(from, to) }),
    logic: block.logic?.slice(from, to),
  };
}
