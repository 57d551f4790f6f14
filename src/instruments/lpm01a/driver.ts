import { z } from 'zod';
import { DeviceError } from '../../signal/errors.ts';
import type { ClockInfo, GapCause, SampleBlock, StreamInfo } from '../../signal/types.ts';
import type { ByteStream } from '../../transport/byte-stream.ts';
import { silent } from '../../transport/errors.ts';
import { leastRoundTrip_s } from '../../transport/round-trip.ts';
import { realTime, type TimeSource, wait, within } from '../../transport/time.ts';
import { rangesOf } from '../accuracy-sheet.ts';
import { CallOrder } from '../call-order.ts';
import { ChunkEmitter } from '../chunk-emitter.ts';
import { settingError, whenLost } from '../driver-errors.ts';
import type {
  CommonSettings,
  InstrumentEvent,
  InstrumentIdentity,
  InstrumentSupply,
  PowerInstrument,
} from '../power-instrument.ts';
import { watchSilence } from '../silence-watch.ts';
import { streamOf } from '../stream-info.ts';
import { checkSupplyVoltage, noSupplyVoltage } from '../supply-limit.ts';
import { compareVersions, type Lpm01aFormat, type Lpm01aItem, Lpm01aParser, milli, parseVersion } from './protocol.ts';
import {
  lpm01aAccuracy,
  lpm01aAsciiMax_Hz,
  lpm01aFirmware,
  lpm01aRates_Hz,
  lpm01aSupply_V,
  lpm01aTimestampSamples,
} from './spec.ts';

const badSetting = settingError('lpm01a');

/** What a rig file may say under `settings`. */
export const lpm01aSettingsSchema = z.strictObject({
  rate_Hz: z
    .number()
    .optional()
    .describe(`One of ${lpm01aRates_Hz.join(', ')}. Default 1000, the rate of EnergyRunner.`),
  output: z
    .enum(['current', 'energy'])
    .optional()
    .describe(
      "`energy`: joules per sampling interval, from the board's own voltage. `current`: amperes. Default `energy`.",
    ),
  format: z
    .enum(['ascii_dec', 'bin_hexa'])
    .optional()
    .describe(
      'Default: `ascii_dec` up to 5 kHz, which it sustains, `bin_hexa` above. Events on D7 are specified for `ascii_dec` only.',
    ),
  acquisition: z
    .enum(['dyn', 'stat'])
    .optional()
    .describe('`dyn`: up to 50 mA, fast. `stat`: up to 200 mA. Default `dyn`.'),
  functionMode: z.enum(['optim', 'high']).optional().describe('`high` exists for `current` only. Default `optim`.'),
  trigger: z
    .enum(['sw', 'd7'])
    .optional()
    .describe('`d7`: the start only arms it, and an edge on D7 starts it. Default `sw`.'),
  triggerDelay_s: z.number().min(0).max(30).optional().describe('Time from the start to the first sample. Default 0.'),
  currentThreshold_A: z.number().min(0).max(0.05).optional().describe('Acquisition starts above this current.'),
});

export type Lpm01aSettings = CommonSettings & z.infer<typeof lpm01aSettingsSchema>;

export interface Lpm01aOptions {
  time?: TimeSource;
}

const CLOCK = 'instrument';
const STREAM = 'main';
const DEFAULT_RATE_HZ = 1000;
const ANSWER_MS = 1000;
/** Output of an earlier acquisition has ended when nothing has come for so long. */
const QUIET_MS = 200;
/** A board that still talks after this does not stop. */
const DRAIN_LIMIT_MS = 1000;
const STOP_MS = 1500;
/** After the end of the acquisition a few lines still come. */
const AFTER_END_MS = 50;
const SILENCE_CHECK_MS = 250;
/** Seconds without a sample that are an error, or 1.5 sampling intervals, whichever is longer. */
const SILENCE_S = 1;
const BUFFER_WARNING_PCT = 80;
/** From this rate on time-stamps come at least once a second: binary samples wait for theirs, which proves them aligned. */
const HOLD_FROM_HZ = 1000;
/** An event lies within +/- 1 sample of its place in the stream: rectangular. */
const EVENT_U_TICKS = 1 / Math.sqrt(3);

interface Answer {
  ok: boolean;
  text: string;
}

/** ST X-NUCLEO-LPM01A ("PowerShield") over its USB serial port. It always supplies the device under test itself. */
export class Lpm01a implements PowerInstrument<Lpm01aSettings> {
  readonly #port: ByteStream;
  readonly #time: TimeSource;
  readonly #order: CallOrder;
  readonly #chunks: ChunkEmitter;
  readonly samples$: PowerInstrument['samples$'];

  #settings: Lpm01aSettings | null = null;
  #rate_Hz = DEFAULT_RATE_HZ;
  #voltage_V: number | null = null;
  #hasControl = false;
  #roundTrip_s: number | null = null;

  #parser = new Lpm01aParser('ascii_dec');
  #awaited: ((answer: Answer) => void) | null = null;
  #refusal: ((detail: string) => void) | null = null;
  #value: ((text: string) => void) | null = null;
  #ended: (() => void) | null = null;
  #lastBytes_ns = 0;
  #received = '';

  #tick = 0;
  /** Samples and missing samples since the last time-stamp. */
  #sinceStamp = 0;
  #stamp_ms = 0;
  /** Blocks that wait for the next time-stamp. */
  #held: SampleBlock[] = [];
  #isDesynced = false;
  #lastEvent: number | null = null;
  #isHostSlow = false;
  /** Arrival of the last sample or time-stamp. */
  #lastSign_ns = 0;
  #stopWatching: () => void = () => {};

  constructor(port: ByteStream, options: Lpm01aOptions = {}) {
    this.#port = port;
    this.#time = options.time ?? realTime;
    this.#order = new CallOrder(port.name);
    this.#chunks = new ChunkEmitter(this.#time, CLOCK);
    this.samples$ = this.#chunks.chunks$;
    port.onData((bytes) => this.#receive(bytes));
    whenLost(port.closed, (error) => this.#fail(error, 'unplugged'));
  }

  async open(): Promise<InstrumentIdentity> {
    await this.#silence();
    await this.#demand('htc');
    this.#hasControl = true;
    const board = await this.#demand('powershield');
    const version = await this.#demand('version');
    this.#roundTrip_s = await leastRoundTrip_s(this.#time, () => this.#demand('version'));
    const status = await this.#status();
    const firmware = parseVersion(version.text)?.join('.') ?? null;
    const serial = board.text.replace(/^powershield\s*/i, '').trim() || null;
    const notices: string[] = [];
    if (firmware === null) notices.push(`its firmware version cannot be read: ${version.text}`);
    else if (compareVersions(parseVersion(firmware)!, parseVersion(lpm01aFirmware)!) > 0) {
      notices.push(`firmware ${firmware} is newer than ${lpm01aFirmware}, the newest that is known`);
    }
    if (!/\bok\b/i.test(status)) notices.push(`its status was: ${status}`);
    return this.#order.opened({
      family: 'lpm01a',
      model: lpm01aAccuracy.model,
      serial,
      firmware,
      hardware: null,
      rates_Hz: lpm01aRates_Hz,
      supplyRange_V: lpm01aSupply_V,
      notices,
    });
  }

  describe(): InstrumentIdentity {
    return this.#order.describe();
  }

  /**
   * @throws UsageError `instrument.setting`; DeviceError `device.firmware` before 1.0.6, which cannot switch its supply
   * off; DeviceError `device.refused` with the board's own words
   */
  async configure(settings: Lpm01aSettings): Promise<void> {
    this.#order.check('configure()');
    const rate_Hz = settings.rate_Hz ?? DEFAULT_RATE_HZ;
    const format = settings.format ?? (rate_Hz <= lpm01aAsciiMax_Hz ? 'ascii_dec' : 'bin_hexa');
    const output = settings.output ?? 'energy';
    this.#check(settings, rate_Hz, format, output);
    // First of all: by default the board would power the device at 3.3 V as soon as it starts.
    await this.#supplyOff();
    await this.#demandOneOf('acqtime inf', 'acqtime 0');
    await this.#demand(`trigdelay ${seconds(settings.triggerDelay_s ?? 0)}`);
    await this.#demand(`trigsrc ${settings.trigger ?? 'sw'}`);
    await this.#demand('eventsrc d7 fal');
    await this.#demand(`acqmode ${settings.acquisition ?? 'dyn'}`);
    if (settings.functionMode !== undefined) await this.#demand(`funcmode ${settings.functionMode}`);
    if (settings.currentThreshold_A !== undefined) {
      const threshold = `${Math.round(settings.currentThreshold_A * 1e6)}u`;
      await this.#demandOneOf(`currthres ${threshold}`, `currthre ${threshold}`);
    }
    await this.#demand(`output ${output}`);
    await this.#demand(`format ${format}`);
    await this.#demand(`freq ${frequency(rate_Hz)}`);
    this.#rate_Hz = rate_Hz;
    this.#settings = { ...settings, rate_Hz, format, output };
    this.#order.moveTo('configured');
  }

  get clocks(): readonly ClockInfo[] {
    const latencyBound_s = this.#roundTrip_s;
    return [{ id: CLOCK, tickHz: this.#rate_Hz, kind: 'instrument', epoch_ns: null, latencyBound_s }];
  }

  get streams(): readonly StreamInfo[] {
    const settings = this.#settings;
    if (!settings) throw this.#order.wrong('streams', 'configure()');
    const range = settings.acquisition === 'stat' ? 1 : 0;
    return [
      streamOf({
        id: STREAM,
        clock: CLOCK,
        ticksPerSample: 1,
        quantities: [settings.output!],
        precision: 'f64',
        semantics: 'mean-forward',
        assumedVoltage_V: settings.output === 'current' ? this.#voltage_V : null,
        ranges: rangesOf(lpm01aAccuracy).filter((info) => info.index === range),
      }),
    ];
  }

  get supply(): InstrumentSupply | null {
    return {
      setVoltage: (voltage_V) => this.#setVoltage(voltage_V),
      on: () => this.#supplyOn(),
      off: () => this.#supplyOff(),
    };
  }

  async start(): Promise<void> {
    this.#order.check('start()');
    const { format, trigger } = this.#settings!;
    this.#parser = new Lpm01aParser(format!);
    this.#order.moveTo('sampling');
    try {
      await this.#demand('start');
    } catch (error) {
      if (this.#order.isSampling()) this.#order.moveTo('configured');
      throw error;
    }
    this.#lastSign_ns = trigger === 'd7' ? Number.POSITIVE_INFINITY : this.#time.now_ns();
    if (this.#order.isSampling()) this.#watch();
  }

  async stop(): Promise<void> {
    if (!this.#order.isSampling()) return;
    const ended = new Promise<void>((resolve) => {
      this.#ended = resolve;
    });
    this.#stopWatching();
    await this.#write('stop');
    await within(this.#time, STOP_MS, ended, () =>
      silent(this.#port.name, 'stop (waited for the end of the acquisition)', STOP_MS),
    ).catch((error) => {
      this.#fail(error, 'unknown');
      throw error;
    });
    await wait(this.#time, AFTER_END_MS);
    if (!this.#order.isSampling()) return;
    this.#endSampling();
    this.#chunks.complete();
  }

  async close(): Promise<void> {
    if (!this.#order.isClosed()) {
      await this.stop().catch(() => {});
      await this.#supplyOff().catch(() => {});
    }
    if (this.#hasControl) await this.#command('hrc').catch(() => {});
    this.#hasControl = false;
    this.#order.moveTo('closed');
    this.#stopWatching();
    this.#chunks.complete();
    await this.#port.close();
  }

  #check(settings: Lpm01aSettings, rate_Hz: number, format: Lpm01aFormat, output: string): void {
    if (!lpm01aRates_Hz.some((rate) => rate === rate_Hz)) {
      throw badSetting('rate_Hz', `the board has no ${rate_Hz} Hz`, `choose from ${lpm01aRates_Hz.join(', ')}`);
    }
    if (format === 'ascii_dec' && rate_Hz > lpm01aAsciiMax_Hz) {
      throw badSetting(
        'format',
        `ascii_dec stops after a second or less at ${rate_Hz} Hz`,
        'use bin_hexa, or 5000 Hz at most',
      );
    }
    if (settings.functionMode === 'high' && output !== 'current') {
      throw badSetting('functionMode', 'high exists for output current only', 'use optim, or output current');
    }
    if (settings.logicInputs && settings.logicInputs.length > 1) {
      throw badSetting('logicInputs', 'names more than one input', 'name the one trigger input, D7');
    }
  }

  /** Ends what an earlier program left running, until the board is quiet. */
  async #silence(): Promise<void> {
    this.#received = '';
    const start_ns = this.#time.now_ns();
    this.#lastBytes_ns = start_ns;
    await this.#write('stop');
    for (;;) {
      await wait(this.#time, QUIET_MS / 4);
      const now_ns = this.#time.now_ns();
      if (now_ns - this.#lastBytes_ns >= QUIET_MS * 1e6) break;
      if (now_ns - start_ns > DRAIN_LIMIT_MS * 1e6) throw this.#wrongDevice('a device that does not stop talking');
    }
    this.#parser = new Lpm01aParser('ascii_dec');
  }

  async #write(command: string): Promise<void> {
    await this.#port.write(new TextEncoder().encode(`${command}\r\n`));
  }

  /** Sends one command and waits for its answer. */
  async #command(command: string): Promise<Answer> {
    const answer = new Promise<Answer>((resolve) => {
      this.#awaited = resolve;
    });
    const lost = this.#port.closed.then((reason): never => {
      if (reason.kind === 'lost') throw reason.error;
      throw this.#order.wrong(command, 'open()');
    });
    // The write below may reject first.
    lost.catch(() => {});
    await this.#write(command);
    const onTimeout = () =>
      this.#order.identity === null && this.#received !== ''
        ? this.#wrongDevice(JSON.stringify(this.#received.slice(0, 60)))
        : silent(this.#port.name, `the command ${command} of an LPM01A`, ANSWER_MS);
    const result = await within(this.#time, ANSWER_MS, Promise.race([answer, lost]), onTimeout).finally(() => {
      this.#awaited = null;
    });
    return result.ok ? result : { ok: false, text: await this.#withDetail(result.text) };
  }

  /** A refusal may be followed by a line that says why. */
  async #withDetail(text: string): Promise<string> {
    const detail = new Promise<string>((resolve) => {
      this.#refusal = resolve;
    });
    const none = wait(this.#time, AFTER_END_MS).then(() => '');
    const why = await Promise.race([detail, none]);
    this.#refusal = null;
    return why ? `${text} (${why})` : text;
  }

  /** Reading the status clears a latched error. The value stands on the line of the answer or on the next one. */
  async #status(): Promise<string> {
    const nextLine = new Promise<string>((resolve) => {
      this.#value = resolve;
    });
    const { text } = await this.#command('status');
    const onThisLine = text.replace(/^status:?\s*/i, '');
    const none = wait(this.#time, AFTER_END_MS).then(() => '(no answer)');
    const status = onThisLine || (await Promise.race([nextLine, none]));
    this.#value = null;
    return status;
  }

  async #demand(command: string): Promise<Answer> {
    const answer = await this.#command(command);
    if (answer.ok) return answer;
    throw new DeviceError('device.refused', {
      where: this.#port.name,
      problem: `the board refused ${command}: ${answer.text || 'no reason given'}`,
      remedy: `check the setting; firmware ${lpm01aFirmware} or newer may know it`,
    });
  }

  /** The spelling differs between firmware and manual: tries one, then the other. */
  async #demandOneOf(first: string, second: string): Promise<Answer> {
    const answer = await this.#command(first);
    return answer.ok ? answer : this.#demand(second);
  }

  async #setVoltage(voltage_V: number): Promise<void> {
    checkSupplyVoltage(voltage_V, lpm01aSupply_V, this.#settings?.maxVoltage_V, this.#port.name);
    this.#order.check('setVoltage()');
    await this.#demand(`volt ${milli(voltage_V)}`);
    this.#voltage_V = voltage_V;
  }

  async #supplyOn(): Promise<void> {
    if (this.#voltage_V === null) throw noSupplyVoltage(this.#port.name);
    await this.#demand('pwr on nostatus');
    if (this.#order.isSampling()) this.#event('supply', 'supply on');
  }

  async #supplyOff(): Promise<void> {
    const answer = await this.#command('pwr off');
    if (!answer.ok) {
      throw new DeviceError('device.firmware', {
        where: this.#port.name,
        problem: `firmware ${this.#order.identity?.firmware ?? '(unknown)'} rejects \`pwr off\`, so its supply cannot be kept off`,
        remedy: `update the board to firmware ${lpm01aFirmware} or newer`,
      });
    }
    if (this.#order.isSampling()) this.#event('supply', 'supply off');
  }

  #receive(bytes: Uint8Array): void {
    const arrival_ns = this.#time.now_ns();
    this.#lastBytes_ns = arrival_ns;
    if (this.#order.isClosed() && this.#received.length < 1000) {
      this.#received += Buffer.from(bytes).toString('latin1');
    }
    const before = this.#tick;
    for (const item of this.#parser.push(bytes)) this.#take(item, arrival_ns);
    if (this.#order.isSampling() && this.#tick > before) {
      this.#chunks.progress(this.#tick - 1);
    }
  }

  #take(item: Lpm01aItem, arrival_ns: number): void {
    if (item.kind === 'answer') this.#awaited?.(item);
    else if (item.kind === 'detail') this.#refusal?.(item.text);
    else if (this.#order.isSampling()) this.#takeSampling(item, arrival_ns);
    else if (item.kind === 'text' || item.kind === 'error') this.#value?.(item.text);
    // `pwr` may be answered by its effect alone.
    if (item.kind === 'power') this.#awaited?.({ ok: true, text: `pwr ${item.on ? 'on' : 'off'}` });
  }

  #takeSampling(item: Lpm01aItem, arrival_ns: number): void {
    switch (item.kind) {
      case 'samples':
        this.#takeSamples(item.values, arrival_ns);
        break;
      case 'bad':
        this.#event('error', `no sample: ${JSON.stringify(item.text.slice(0, 60))}`);
        this.#gap(item.samples, 'invalid');
        break;
      case 'desync':
        this.#isDesynced = true;
        this.#event('resync', 'found the border between samples again at a time-stamp');
        break;
      case 'timestamp':
        this.#lastSign_ns = arrival_ns;
        this.#takeTimestamp(item.time_ms, item.buffer_pct);
        break;
      case 'event':
        this.#takeEvent(item.number, arrival_ns);
        break;
      case 'overcurrent':
        this.#event('overload', 'overcurrent');
        this.#event('supply-trip', 'the board cut the supply of the device under test');
        this.#failWith('device.overcurrent', 'the current exceeded what the board measures, and it cut the supply', [
          'check the device under test for a short circuit;',
          'the limit is 50 mA in dynamic and 200 mA in static acquisition',
        ]);
        break;
      case 'error':
        this.#event('error', item.text);
        this.#failWith('device.error', `the board reports an error: ${item.text}`, [
          'if the buffer was full, lower the rate or use bin_hexa; then start again',
        ]);
        break;
      case 'end':
        if (this.#ended) this.#ended();
        else {
          this.#failWith('device.stopped', 'the board ended the acquisition by itself', [
            'look at its display for an error; lower the rate if its buffer was full',
          ]);
        }
        break;
      case 'power':
        this.#event('supply', `supply ${item.on ? 'on' : 'off'}`);
        break;
      case 'voltage':
        this.#event('info', `supply voltage ${item.voltage_V} V`);
        break;
      case 'temperature':
        this.#event('info', `temperature ${item.temperature_C} degC`);
        break;
      case 'text':
        this.#event('info', item.text);
        break;
    }
  }

  get #isHolding(): boolean {
    return this.#settings!.format === 'bin_hexa' && this.#rate_Hz >= HOLD_FROM_HZ;
  }

  #takeSamples(values: Float64Array, arrival_ns: number): void {
    this.#lastSign_ns = arrival_ns;
    const block: SampleBlock = {
      kind: 'block',
      stream: STREAM,
      firstTick: this.#tick,
      ticksPerSample: 1,
      length: values.length,
      [this.#settings!.output!]: values,
      arrival_ns,
    };
    this.#tick += values.length;
    this.#sinceStamp += values.length;
    if (this.#isHolding) this.#held.push(block);
    else this.#chunks.emit(block);
  }

  #gap(count: number, cause: GapCause): void {
    if (count <= 0) return;
    this.#release();
    this.#chunks.gap(STREAM, this.#tick, count, cause);
    this.#tick += count;
    this.#sinceStamp += count;
  }

  #release(): void {
    for (const block of this.#held.splice(0)) this.#chunks.emit(block);
  }

  /** Between two time-stamps lie 1000 samples for each 1000 sampling intervals that passed. */
  #takeTimestamp(time_ms: number, buffer_pct: number): void {
    const elapsed_ms = time_ms - this.#stamp_ms;
    this.#stamp_ms = time_ms;
    const thousands = Math.round((elapsed_ms * this.#rate_Hz) / 1000 / lpm01aTimestampSamples);
    const expected = thousands * lpm01aTimestampSamples;
    const surplus = this.#sinceStamp - expected;
    // A time that runs backwards (the counter of the board has wrapped) tells nothing.
    if (elapsed_ms >= 0) {
      if (this.#isHolding && (this.#isDesynced || surplus > 0)) this.#discardHeld(expected);
      else if (surplus > 0) this.#event('error', `${surplus} samples more than the time-stamps allow`);
      else this.#gap(-surplus, this.#isDesynced ? 'invalid' : 'link-loss');
    }
    this.#release();
    this.#isDesynced = false;
    this.#sinceStamp = 0;
    this.#takeBuffer(buffer_pct);
  }

  /** Nobody can tell which samples since the last time-stamp are real: they all become a Gap. */
  #discardHeld(expected: number): void {
    const first = this.#held[0]?.firstTick ?? this.#tick;
    const inHand = this.#held.reduce((sum, block) => sum + block.length, 0);
    this.#held = [];
    this.#tick = first;
    this.#sinceStamp -= inHand;
    this.#gap(expected - this.#sinceStamp, 'invalid');
  }

  #takeBuffer(buffer_pct: number): void {
    const isSlow = buffer_pct >= BUFFER_WARNING_PCT;
    if (isSlow && !this.#isHostSlow) this.#event('host-slow', `the board's buffer is ${buffer_pct} % full`);
    this.#isHostSlow = isSlow;
  }

  #takeEvent(number: number, arrival_ns: number): void {
    if (this.#lastEvent !== null && number !== this.#lastEvent + 1) {
      this.#event('error', `event ${number} follows event ${this.#lastEvent}: edges are missing`);
    }
    this.#lastEvent = number;
    const channel = this.#settings!.logicInputs?.[0] ?? 'D7';
    // The board writes `ris` for falling edges, too; `eventsrc d7 fal` lets only these through.
    this.#chunks.emit({
      kind: 'edges',
      edges: [
        { clock: CLOCK, tick: this.#tick, u_ticks: EVENT_U_TICKS, channel, polarity: 'fall', seq: number, arrival_ns },
      ],
    });
  }

  #event(code: InstrumentEvent['code'], text: string): void {
    this.#chunks.event(code, text, this.#tick);
  }

  #watch(): void {
    const limit_s = Math.max(SILENCE_S, 1.5 / this.#rate_Hz);
    const watch = { every_ms: SILENCE_CHECK_MS, limit_ms: limit_s * 1e3, lastSign_ns: () => this.#lastSign_ns };
    this.#stopWatching = watchSilence(this.#time, watch, () => {
      this.#failWith('device.stalled', `no samples for ${limit_s.toFixed(1)} s`, [
        'plug the board into another USB port, close other programs that use it, and start again',
      ]);
    });
  }

  #endSampling(): void {
    this.#stopWatching();
    this.#order.moveTo('stopped');
    this.#release();
  }

  #failWith(code: string, problem: string, remedy: string[]): void {
    this.#fail(new DeviceError(code, { where: this.#port.name, problem, remedy: remedy.join(' ') }), 'unknown');
  }

  /** Ends the stream with a Gap of unknown length and the error, and switches the supply off if that can still be done. */
  #fail(error: DeviceError, cause: GapCause): void {
    if (!this.#order.isSampling()) return;
    this.#endSampling();
    this.#chunks.gap(STREAM, this.#tick, null, cause);
    this.#chunks.fail(error);
    if (cause !== 'unplugged') {
      this.#write('stop')
        .then(() => this.#supplyOff())
        .catch(() => {});
    }
  }

  #wrongDevice(found: string): DeviceError {
    return new DeviceError('device.wrong', {
      where: this.#port.name,
      problem: `expected the answers of an LPM01A, found ${found}`,
      remedy: 'choose the port of the LPM01A (USB 0483:5740); close other programs that use it',
    });
  }
}

/** A frequency as the board spells it: `5k`. */
const frequency = (rate_Hz: number): string => (rate_Hz >= 1000 ? `${rate_Hz / 1000}k` : `${rate_Hz}`);

/** A time as the board spells it: whole seconds plain, else in milliseconds. */
const seconds = (time_s: number): string => (Number.isInteger(time_s) ? `${time_s}` : milli(time_s));
