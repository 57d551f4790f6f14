import { z } from 'zod';
import { type PtdSample, parseSample } from '../../capture/formats/ptdaemon/sample-line.ts';
import { DeviceError } from '../../signal/errors.ts';
import type { ClockInfo, Gap, StreamInfo } from '../../signal/types.ts';
import type { ByteStream } from '../../transport/byte-stream.ts';
import { leastRoundTrip_s } from '../../transport/round-trip.ts';
import { realTime, type TimeSource } from '../../transport/time.ts';
import { rangesOf } from '../accuracy-sheet.ts';
import { CallOrder } from '../call-order.ts';
import { ChunkEmitter } from '../chunk-emitter.ts';
import { expected, gapCauseOf, settingError, whenLost } from '../driver-errors.ts';
import { PollLoop } from '../poll-loop.ts';
import type { CommonSettings, InstrumentEvent, InstrumentIdentity, PowerInstrument } from '../power-instrument.ts';
import { streamOf } from '../stream-info.ts';
import { newestUncertainty, PtdClient, type PtdRange, type PtdUncertainty } from './protocol.ts';
import { ptdaemonAccuracy, ptdaemonInterval_ms, ptdaemonVersions } from './spec.ts';

const badSetting = settingError('ptdaemon');

export interface PtdaemonSettings extends CommonSettings {
  /** Samples averaged away at the start of a measurement. Default 0. */
  rampUpSamples?: number;
  /** Stands in each sample of the daemon's own log. */
  mark?: string;
  /** In V, or `auto`; absent = as the analyzer is set. What was set before open() is restored at close(). */
  voltageRange?: number | 'auto';
  /** In A, or `auto`. */
  currentRange?: number | 'auto';
}

const range = z.union([z.literal('auto'), z.number().positive()]);

/** The settings that stand in a rig file. */
export const ptdaemonSettingsSchema = z.strictObject({
  rate_Hz: z.number().positive().optional(),
  rampUpSamples: z.int().nonnegative().optional(),
  mark: z.string().optional(),
  voltageRange: range.optional(),
  currentRange: range.optional(),
});

export interface PtdaemonOptions {
  time?: TimeSource;
}

const CLOCK = 'ptdaemon';
const STREAM = 'main';
const TICK_HZ = 1000;
/** The daemon samples four times a second at most (WT210); longer intervals than a minute are a mistake. */
const INTERVALS_MS = { min: 100, max: 60_000 };
/** Asked for beyond what should be new, so that a late poll loses nothing. */
const SPARE_SAMPLES = 4;
/** A sample that is later than its interval and this is told; single ones may be missed by the daemon. */
const LATE_MS = 500;
/** So many intervals without a sample are the end. */
const MAX_MISSED = 3;
/** A step of the daemon's clock by more than this is a change of its time (DST), not a lost sample. */
const CLOCK_STEP_MS = 30 * 60_000;
/** Intervals may differ by so much before samples count as missing. */
const LATE_INTERVALS = 1.5;

/** An analyzer behind SPEC's PTDaemon. */
export class Ptdaemon implements PowerInstrument<PtdaemonSettings> {
  readonly #stream: ByteStream;
  readonly #time: TimeSource;
  readonly #client: PtdClient;
  readonly #order: CallOrder;
  readonly #chunks: ChunkEmitter;
  readonly samples$: PowerInstrument['samples$'];
  readonly supply = null;

  #initial: { amps: PtdRange; volts: PtdRange } | null = null;
  #settings: PtdaemonSettings | null = null;
  #interval_ms = ptdaemonInterval_ms;
  #roundTrip_s: number | null = null;
  #hasUncertainty = true;
  /** Analyzers that give no volts or amps give watts alone. */
  #hasVoltAmps = false;

  readonly #polls: PollLoop;
  #lastLine: string | null = null;
  #lastSample_ns = 0;
  #isLate = false;
  /** The daemon's time of tick 0, less the steps of its clock. */
  #zero_ms: number | null = null;
  #lastTick = 0;
  #uncertainty: PtdUncertainty | null = null;

  constructor(stream: ByteStream, options: PtdaemonOptions = {}) {
    this.#stream = stream;
    this.#time = options.time ?? realTime;
    this.#order = new CallOrder(stream.name);
    this.#chunks = new ChunkEmitter(this.#time, CLOCK);
    this.samples$ = this.#chunks.chunks$;
    this.#polls = new PollLoop(
      this.#time,
      () => this.#pollOnce(),
      (error) => this.#failWith(error),
    );
    this.#client = new PtdClient(stream, this.#time);
    whenLost(stream.closed, (error) => this.#fail(error, 'unplugged'));
  }

  async open(): Promise<InstrumentIdentity> {
    await this.#client.hello();
    const identity = await this.#client.identify();
    if (identity.mode === 'temperature' || !identity.watts) {
      throw new DeviceError('device.wrong', {
        where: this.#stream.name,
        problem: `this PTDaemon measures ${identity.mode === 'temperature' ? 'temperature' : 'no watts'} (${identity.driver})`,
        remedy: 'connect to the daemon of the power analyzer',
      });
    }
    this.#hasVoltAmps = identity.volts && identity.amps;
    this.#initial = await this.#client.ranges();
    this.#roundTrip_s = await leastRoundTrip_s(this.#time, () => this.#client.ranges());
    const notices: string[] = [];
    const version = identity.version?.split('-')[0] ?? null;
    if (version === null || !(ptdaemonVersions as readonly string[]).includes(version)) {
      notices.push(`unknown PTDaemon ${version ?? '(version not told)'}; ${ptdaemonVersions.join(', ')} are known`);
    }
    const serial = identity.analyzer?.serial ?? null;
    return this.#order.opened({
      family: 'ptdaemon',
      model: identity.analyzer?.model ?? identity.driver,
      serial,
      firmware: identity.analyzer?.firmware ?? null,
      hardware: identity.version === null ? null : `PTDaemon ${identity.version}`,
      rates_Hz: [],
      supplyRange_V: null,
      notices,
    });
  }

  describe(): InstrumentIdentity {
    return this.#order.describe();
  }

  async configure(settings: PtdaemonSettings): Promise<void> {
    this.#order.check('configure()');
    const interval_ms = settings.rate_Hz === undefined ? ptdaemonInterval_ms : 1000 / settings.rate_Hz;
    if (!Number.isInteger(interval_ms) || interval_ms < INTERVALS_MS.min || interval_ms > INTERVALS_MS.max) {
      throw badSetting(
        'rate_Hz',
        `is ${settings.rate_Hz}`,
        'choose 1 (what MLPerf uses), or 1000 over whole milliseconds',
      );
    }
    const rampUp = settings.rampUpSamples ?? 0;
    if (!Number.isInteger(rampUp) || rampUp < 0) {
      throw badSetting('rampUpSamples', `is ${rampUp}`, 'give a whole number of samples');
    }
    if (settings.mark !== undefined && !/^[\w.:+ -]{1,64}$/.test(settings.mark)) {
      throw badSetting('mark', `is ${JSON.stringify(settings.mark)}`, 'use letters, digits, blanks and . : + - _');
    }
    if (settings.logicInputs?.some((name) => name !== '')) {
      throw badSetting('logicInputs', 'names an input', 'leave it out: an analyzer behind PTDaemon has no inputs');
    }
    for (const [quantity, name] of [
      ['V', 'voltageRange'],
      ['A', 'currentRange'],
    ] as const) {
      const range = settings[name];
      if (range === undefined) continue;
      if (range !== 'auto' && !(range > 0 && Number.isFinite(range))) {
        throw badSetting(name, `is ${range}`, 'give a positive number or auto');
      }
      await this.#client.setRange(quantity, range);
    }
    this.#settings = settings;
    this.#interval_ms = interval_ms;
    this.#order.moveTo('configured');
  }

  /** Milliseconds of the daemon's host since the beginning of the first sample. */
  get clocks(): readonly ClockInfo[] {
    // Polls and samples may keep step, so that each sample waits as long for its poll.
    const latencyBound_s = this.#roundTrip_s === null ? null : this.#roundTrip_s + this.#pollEvery_ms / 1000;
    return [{ id: CLOCK, tickHz: TICK_HZ, kind: 'instrument', epoch_ns: null, latencyBound_s }];
  }

  get streams(): readonly StreamInfo[] {
    if (!this.#settings) throw this.#order.wrong('streams', 'configure()');
    return [
      streamOf({
        id: STREAM,
        rail: 'wall',
        clock: CLOCK,
        ticksPerSample: null,
        quantities: this.#hasVoltAmps ? ['power', 'voltage', 'current'] : ['power'],
        precision: 'f64',
        semantics: 'mean-forward',
        ranges: rangesOf(ptdaemonAccuracy),
      }),
    ];
  }

  async start(): Promise<void> {
    this.#order.check('start()');
    const { rampUpSamples, mark } = this.#settings!;
    await this.#client.go(this.#interval_ms, rampUpSamples ?? 0, mark ?? null);
    this.#order.moveTo('sampling');
    this.#lastSample_ns = this.#time.now_ns() + (rampUpSamples ?? 0) * this.#interval_ms * 1e6;
    this.#schedule();
  }

  /** Writes a mark into the daemon's log from now on. @throws DeviceError as the daemon refuses it */
  async mark(name: string): Promise<void> {
    await this.#client.ask(`Mark,${name}`);
  }

  async stop(): Promise<void> {
    if (!this.#order.isSampling()) return;
    await this.#polls.end();
    if (!this.#order.isSampling()) return;
    try {
      await this.#client.stop();
      await this.#poll();
      if (!this.#order.isSampling()) return;
      if (this.#hasUncertainty) this.#event('info', (await this.#client.uncertainty()).line);
    } catch (error) {
      this.#failWith(error);
    }
    if (!this.#order.isSampling()) return;
    this.#order.moveTo('stopped');
    this.#chunks.complete();
  }

  async close(): Promise<void> {
    if (!this.#order.isClosed()) {
      await this.stop().catch(() => {});
      this.#polls.cancel();
      await this.#restoreRanges().catch(() => {});
      this.#order.moveTo('closed');
      this.#chunks.complete();
    }
    await this.#stream.close();
  }

  async #restoreRanges(): Promise<void> {
    const { voltageRange, currentRange } = this.#settings ?? {};
    const { volts, amps } = this.#initial ?? { volts: null, amps: null };
    if (voltageRange !== undefined && volts !== null) await this.#client.setRange('V', volts);
    if (currentRange !== undefined && amps !== null) await this.#client.setRange('A', amps);
  }

  get #pollEvery_ms(): number {
    return Math.min(this.#interval_ms / 2, 300);
  }

  #schedule(): void {
    this.#polls.schedule(this.#pollEvery_ms);
  }

  async #pollOnce(): Promise<void> {
    await this.#poll();
    if (this.#order.isSampling()) this.#judgeSilence();
  }

  #judgeSilence(): void {
    const silent_ms = (this.#time.now_ns() - this.#lastSample_ns) / 1e6;
    if (silent_ms > this.#interval_ms * MAX_MISSED + LATE_MS) {
      this.#fail(this.#stalled(), 'unknown');
      return;
    }
    const isLate = silent_ms > this.#interval_ms + LATE_MS;
    if (isLate && !this.#isLate) this.#event('loss-estimate', `no sample for ${Math.round(silent_ms)} ms`);
    this.#isLate = isLate;
    this.#schedule();
  }

  async #poll(): Promise<void> {
    const waited_ms = (this.#time.now_ns() - this.#lastSample_ns) / 1e6;
    const wanted = Math.max(1, Math.ceil(waited_ms / this.#interval_ms) + SPARE_SAMPLES);
    let lines = await this.#client.lastSamples(wanted);
    if (this.#lastLine !== null && lines.length >= wanted && !lines.includes(this.#lastLine)) {
      lines = await this.#client.lastSamples(null);
    }
    const arrival_ns = this.#time.now_ns();
    const fresh = this.#lastLine === null ? lines : lines.slice(lines.lastIndexOf(this.#lastLine) + 1);
    if (fresh.length === 0 || !this.#order.isSampling()) return;
    this.#lastLine = fresh.at(-1)!;
    this.#lastSample_ns = arrival_ns;
    const uncertainty = await this.#newUncertainty();
    if (this.#order.isSampling()) this.#emit(fresh, uncertainty, arrival_ns);
  }

  async #newUncertainty(): Promise<number | null> {
    if (!this.#hasUncertainty) return null;
    try {
      const { uncertainty } = await this.#client.uncertainty();
      if (uncertainty === null) return null;
      const newest = newestUncertainty(this.#uncertainty, uncertainty);
      this.#uncertainty = uncertainty;
      return newest;
    } catch (error) {
      // Older daemons do not know the command.
      if (!(error instanceof DeviceError && error.code === 'device.refused')) throw error;
      this.#hasUncertainty = false;
      return null;
    }
  }

  #emit(lines: readonly string[], uncertainty: number | null, arrival_ns: number): void {
    let run: { sample: PtdSample; start: number; end: number }[] = [];
    const flush = () => {
      if (run.length > 0) this.#emitBlock(run, uncertainty, arrival_ns);
      run = [];
    };
    for (const line of lines) {
      const sample = parseSample(line.split(','));
      if (sample === null) {
        this.#event('error', line.slice(0, 200));
        continue;
      }
      const { start, end, missing } = this.#place(sample);
      if (missing > 0) {
        flush();
        this.#gap(this.#lastTick, missing, 'dropped');
      }
      if (this.#isReading(sample)) run.push({ sample, start, end });
      else {
        flush();
        this.#gap(start, 1, 'invalid');
      }
      this.#lastTick = end;
    }
    flush();
    this.#chunks.progress(this.#lastTick);
  }

  /** Where a sample lies on the clock: it ends at its time stamp and begins where the one before it ended, if that fits. */
  #place(sample: PtdSample): { start: number; end: number; missing: number } {
    this.#zero_ms ??= sample.time_ms - this.#interval_ms;
    let end = sample.time_ms - this.#zero_ms;
    const step_ms = end - this.#lastTick - this.#interval_ms;
    if (Math.abs(step_ms) > CLOCK_STEP_MS) {
      this.#zero_ms += step_ms;
      end -= step_ms;
      this.#event(
        'info',
        `the daemon's clock was set by ${Math.round(step_ms / 1000)} s; ticks go on without the step`,
      );
    }
    // Two readings at one time, or a clock set back a little: no time has passed.
    if (end <= this.#lastTick) return { start: this.#lastTick, end: this.#lastTick, missing: 0 };
    const elapsed = end - this.#lastTick;
    const missing = elapsed > LATE_INTERVALS * this.#interval_ms ? Math.round(elapsed / this.#interval_ms) - 1 : 0;
    return { start: missing > 0 ? end - this.#interval_ms : this.#lastTick, end, missing };
  }

  /** -1 and -2 stand for a sample that the analyzer did not give; so does `nan`. */
  #isReading({ watts, volts, amps }: PtdSample): boolean {
    const values = this.#hasVoltAmps ? [watts, volts, amps] : [watts];
    return values.every((value) => Number.isFinite(value) && value !== -1 && value !== -2);
  }

  #emitBlock(
    run: readonly { sample: PtdSample; start: number; end: number }[],
    uncertainty: number | null,
    arrival_ns: number,
  ): void {
    const column = (value: (entry: (typeof run)[number]) => number) => Float64Array.from(run, value);
    this.#chunks.emit({
      kind: 'block',
      stream: STREAM,
      firstTick: Math.floor(run[0]!.start),
      ticksPerSample: 0,
      length: run.length,
      power: column(({ sample }) => sample.watts),
      ...(this.#hasVoltAmps
        ? { voltage: column(({ sample }) => sample.volts), current: column(({ sample }) => sample.amps) }
        : {}),
      startTicks: column(({ start }) => start),
      endTicks: column(({ end }) => end),
      ...(uncertainty === null ? {} : { u_rel: column(() => uncertainty) }),
      arrival_ns,
    });
  }

  #gap(firstTick: number, count: number | null, cause: Gap['cause']): void {
    this.#chunks.gap(STREAM, Math.floor(firstTick), count, cause);
  }

  #event(code: InstrumentEvent['code'], text: string): void {
    this.#chunks.event(code, text, this.#lastTick);
  }

  #stalled(): DeviceError {
    return new DeviceError('device.stalled', {
      where: this.#stream.name,
      problem: `no sample for more than ${MAX_MISSED} intervals of ${this.#interval_ms} ms`,
      remedy: "look into the daemon's log, and check the cable to its analyzer",
    });
  }

  #failWith(error: unknown): void {
    const failure = expected(error);
    this.#fail(failure, gapCauseOf(failure));
  }

  /** Ends the stream with a Gap of unknown length and the error, and stops the daemon's measurement if that can be done. */
  #fail(error: DeviceError, cause: Gap['cause']): void {
    if (!this.#order.isSampling()) return;
    this.#order.moveTo('stopped');
    this.#polls.cancel();
    this.#gap(this.#lastTick, null, cause);
    this.#client.stop().catch(() => {});
    this.#chunks.fail(error);
  }
}
