import { DeviceError } from '../../signal/errors.ts';
import type { ClockInfo, Gap, SampleBlock, StreamInfo } from '../../signal/types.ts';
import { silent } from '../../transport/errors.ts';
import { leastRoundTrip_s } from '../../transport/round-trip.ts';
import { realTime, type TimeSource, wait, within } from '../../transport/time.ts';
import type { UsbDevice, UsbInStream } from '../../transport/usb.ts';
import { rangesOf } from '../accuracy-sheet.ts';
import { CallOrder } from '../call-order.ts';
import { ChunkEmitter } from '../chunk-emitter.ts';
import { expected, settingError, stalledOnUsb, whenLost } from '../driver-errors.ts';
import { LogicEdges } from '../logic-edges.ts';
import type { CommonSettings, InstrumentEvent, InstrumentIdentity, PowerInstrument } from '../power-instrument.ts';
import { watchSilence } from '../silence-watch.ts';
import { streamOf } from '../stream-info.ts';
import {
  type ConnectInfo,
  encodeFrame,
  encodePublish,
  FrameReader,
  type Publication,
  parseControl,
  parseMetadata,
  parsePublish,
  parseStatistics,
  type TimeMap,
  type TopicMetadata,
  timesyncReply,
  versionText,
} from './protocol.ts';
import {
  type Js220StreamName,
  js220Accuracy,
  js220DecimationVersion,
  js220Divisors,
  js220Frame_bytes,
  js220FullRate_Hz,
  js220Inputs,
  js220Port,
  js220Request,
  js220Streams,
  js220Tick_Hz,
  js220Usb,
} from './spec.ts';
import { inputsOf, Js220Decoder } from './streams.ts';

const badSetting = settingError('js220');

export interface Js220Settings extends CommonSettings {
  /** `auto`, or a range as the instrument calls it. Default `auto`. */
  currentRange?: string;
  /** The same for the voltage. Default `auto`. */
  voltageRange?: string;
  /** Reference level of the inputs, as the instrument calls it. Default: its own default. */
  gpioReference?: string;
  /**
   * Adds the power that the instrument computes before it reduces the rate. Default: below 1 MHz (at 1 MHz power is the
   * product of current and voltage, which is not sent twice).
   */
  power?: boolean;
  /** Adds a stream `statistics` with the means that the instrument itself forms, so many a second. Default off. */
  statistics_Hz?: number;
}

export interface Js220Options {
  time?: TimeSource;
  /** Unix time in ns when `time` is at 0; absent = by the computer's clock. */
  epoch_ns?: bigint;
}

/** Floats that fill a frame, after the header and the number of the first sample. */
const MESSAGE_SAMPLES = (js220Frame_bytes - 8) / 4;
const CLOCK = 'instrument';
const MAIN = 'main';
const INPUTS = 'inputs';
const STATISTICS = 'statistics';

const CONTROL_MS = 400;
/** How long it may take until the link is up, and until a ping comes back. */
const CONNECT_MS = 700;
const PONG_MS = 700;
/** While little is sent a transfer must be as small as a frame, or it would wait to be filled. */
const QUIET_TRANSFER = { transfers: 8, transferLength: 512 };
const STREAM_TRANSFER = { transfers: 8, transferLength: 16_384 };
/** What was measured before stop() is still on its way for so long. */
const STOP_DRAIN_MS = 30;
/** Old samples in a transfer that was not full may come once more, so that the error is there after 2 s at most. */
const SILENCE_MS = 700;
const SILENCE_CHECK_MS = 200;
const MAX_TOPICS = 4096;

/** Joulescope JS220 over USB. */
export class Js220 implements PowerInstrument<Js220Settings> {
  readonly #usb: UsbDevice;
  readonly #time: TimeSource;
  readonly #epoch_ns: bigint;
  readonly #order: CallOrder;
  readonly #chunks: ChunkEmitter;
  readonly samples$: PowerInstrument['samples$'];
  /** It measures only. */
  readonly supply = null;

  #connected: ConnectInfo | null = null;
  #settings: Js220Settings | null = null;
  #roundTrip_s: number | null = null;
  #divisor = 1;
  #statisticsCount: number | null = null;
  readonly #metadata = new Map<string, TopicMetadata>();
  #timeMap: TimeMap | null = null;

  #input: UsbInStream | null = null;
  readonly #frames = new FrameReader();
  #outFrameId = 0;
  #sending: Promise<void> = Promise.resolve();
  #onConnect: (info: ConnectInfo) => void = () => {};
  #onPong: () => void = () => {};
  /** Topics that the instrument refused since the last ping, with its return codes. */
  #refusals: string[] = [];
  readonly #unknownOps = new Set<number>();

  #decoder: Js220Decoder | null = null;
  #edges: LogicEdges | null = null;
  #statisticsEnd: number | null = null;
  #invalidFrames = 0;
  #advanced = { main: 0, inputs: 0, main_ns: 0, inputs_ns: 0 };
  #stopWatching: () => void = () => {};

  constructor(usb: UsbDevice, options: Js220Options = {}) {
    this.#usb = usb;
    this.#time = options.time ?? realTime;
    this.#order = new CallOrder(usb.name);
    this.#chunks = new ChunkEmitter(this.#time, CLOCK);
    this.samples$ = this.#chunks.chunks$;
    this.#epoch_ns = options.epoch_ns ?? BigInt(Date.now()) * 1_000_000n - BigInt(Math.round(this.#time.now_ns()));
    whenLost(usb.closed, (error) => this.#fail(error, 'unplugged'));
  }

  async open(): Promise<InstrumentIdentity> {
    await this.#control(js220Request.disconnect);
    this.#listen(QUIET_TRANSFER);
    const connected = new Promise<ConnectInfo>((resolve) => {
      this.#onConnect = resolve;
    });
    const status = await this.#control(js220Request.connect);
    if (status !== 0) throw this.#refused('CONNECT', `status ${status}`);
    const info = await this.#within(CONNECT_MS, connected, 'CONNECT of a JS220');
    if (info.protocol >>> 24 !== 1) {
      throw new DeviceError('device.version', {
        where: this.#usb.name,
        problem: `it speaks protocol ${versionText(info.protocol)}, and only version 1 is known`,
        remedy: 'look for a newer Joulemark, or for a firmware of the instrument with protocol 1',
      });
    }
    this.#connected = info;
    await this.#send(js220Port.pubsub, encodePublish('$', null));
    await this.#ping();
    if (this.#metadata.size === 0) {
      throw new DeviceError('device.metadata', {
        where: this.#usb.name,
        problem: 'the instrument sent no usable metadata, without which its settings have no numbers',
        remedy: 'unplug it, plug it in again, and update its firmware if that does not help',
      });
    }
    this.#roundTrip_s = await leastRoundTrip_s(this.#time, () => this.#ping());
    const serial = this.#usb.serial;
    return this.#order.opened({
      family: 'js220',
      model: js220Accuracy.model,
      serial,
      firmware: versionText(info.firmware),
      hardware: versionText(info.hardware),
      rates_Hz: this.#divisors()
        .map((divisor) => js220FullRate_Hz / divisor)
        .reverse(),
      supplyRange_V: null,
      notices: this.#canDecimate() ? [] : ['its firmware is older than 1.3.0: it can sample at 1 MHz only'],
    });
  }

  describe(): InstrumentIdentity {
    return this.#order.describe();
  }

  async configure(settings: Js220Settings): Promise<void> {
    this.#order.check('configure()');
    const divisor = js220FullRate_Hz / (settings.rate_Hz ?? js220FullRate_Hz);
    if (!this.#divisors().includes(divisor)) {
      throw badSetting('rate_Hz', `is ${settings.rate_Hz}`, `choose from ${this.describe().rates_Hz.join(', ')}`);
    }
    if ((settings.logicInputs?.length ?? 0) > js220Inputs.length) {
      throw badSetting('logicInputs', 'names more than 5 inputs', 'name GPI 0 to 3 and the trigger input at most');
    }
    const statisticsCount =
      settings.statistics_Hz === undefined ? null : Math.round(js220FullRate_Hz / settings.statistics_Hz);
    if (statisticsCount !== null && !(statisticsCount >= 1000 && statisticsCount < 2 ** 24)) {
      throw badSetting('statistics_Hz', `is ${settings.statistics_Hz}`, 'choose 0.06 to 1000');
    }
    const values: [topic: string, value: number][] = [
      ...this.#rangeValues('s/i/range', 'currentRange', settings.currentRange ?? 'auto'),
      ...this.#rangeValues('s/v/range', 'voltageRange', settings.voltageRange ?? 'auto'),
    ];
    if (settings.gpioReference !== undefined) {
      values.push(['c/gpio/vref', this.#option('c/gpio/vref', 'gpioReference', settings.gpioReference)]);
    }
    if (this.#canDecimate()) values.push(['s/dwnN/N', divisor]);
    if (statisticsCount !== null) values.push(['s/stats/scnt', statisticsCount]);
    await this.#publishAll(values);
    this.#settings = settings;
    this.#divisor = divisor;
    this.#statisticsCount = statisticsCount;
    this.#order.moveTo('configured');
  }

  get clocks(): readonly ClockInfo[] {
    // A block is passed on when the last of its streams has come, which may be a whole message after the first.
    const message_s = (MESSAGE_SAMPLES * 2 * this.#divisor) / js220Tick_Hz;
    const latencyBound_s = this.#roundTrip_s === null ? null : this.#roundTrip_s + message_s;
    return [{ id: CLOCK, tickHz: js220Tick_Hz, kind: 'instrument', epoch_ns: null, latencyBound_s }];
  }

  get streams(): readonly StreamInfo[] {
    const settings = this.#settings;
    if (!settings) throw this.#order.wrong('streams', 'configure()');
    const main = streamOf({
      id: MAIN,
      clock: CLOCK,
      ticksPerSample: 2 * this.#divisor,
      quantities: this.#withPower ? ['current', 'voltage', 'power'] : ['current', 'voltage'],
      precision: 'f32',
      semantics: 'mean-forward',
      ranges: this.#ranges(),
    });
    const streams = [main];
    if (this.#hasInputs) {
      streams.push({
        ...main,
        id: INPUTS,
        ticksPerSample: 1,
        quantities: [],
        semantics: 'point',
        ranges: [],
        logicInputs: [...this.#inputs],
      });
    }
    if (this.#statisticsCount !== null) {
      const ticksPerSample = 2 * this.#statisticsCount;
      const quantities: StreamInfo['quantities'] = ['current', 'voltage', 'power'];
      streams.push({ ...main, id: STATISTICS, ticksPerSample, quantities, precision: 'f64', ranges: [] });
    }
    return streams;
  }

  async start(): Promise<void> {
    this.#order.check('start()');
    const logic = inputsOf(this.#inputs);
    const names: Js220StreamName[] = ['range', 'current', 'voltage'];
    // At full rate the bus has no room for the power, which is the product anyway.
    const isPowerSent = this.#withPower && this.#divisor > 1;
    if (isPowerSent) names.push('power');
    for (const name of logic) if (name) names.push(name);
    if (this.#statisticsCount !== null) names.push('statistics');
    this.#decoder = new Js220Decoder({
      main: MAIN,
      inputs: INPUTS,
      ticksPerSample: 2 * this.#divisor,
      power: isPowerSent,
      logic,
      where: this.#usb.name,
    });
    if (this.#timeMap) this.#decoder.timeMap(this.#timeMap);
    this.#edges = new LogicEdges(CLOCK, this.#inputs);
    await this.#input?.stop();
    this.#listen(STREAM_TRANSFER);
    this.#invalidFrames = this.#frames.invalid;
    this.#order.moveTo('sampling');
    const now_ns = this.#time.now_ns();
    this.#advanced = { main: 0, inputs: 0, main_ns: now_ns, inputs_ns: now_ns };
    this.#watch();
    for (const name of names) await this.#send(js220Port.pubsub, encodePublish(js220Streams[name].topic, 1));
  }

  async stop(): Promise<void> {
    if (!this.#order.isSampling()) return;
    await wait(this.#time, STOP_DRAIN_MS);
    // The instrument may have vanished meanwhile.
    if (!this.#order.isSampling()) return;
    this.#endSampling();
    await this.#switchOff();
    this.#chunks.complete();
  }

  async close(): Promise<void> {
    if (this.#order.isClosed()) {
      // An open() that failed may have left the link up.
      if (this.#input) await this.#control(js220Request.disconnect).catch(() => {});
      await this.#input?.stop();
      await this.#usb.close();
      return;
    }
    await this.stop().catch(() => {});
    this.#order.moveTo('closed');
    this.#stopWatching();
    await this.#control(js220Request.disconnect).catch(() => {});
    await this.#input?.stop();
    this.#chunks.complete();
    await this.#usb.close();
  }

  get #inputs(): readonly string[] {
    return this.#settings?.logicInputs ?? js220Inputs;
  }

  get #hasInputs(): boolean {
    return this.#inputs.some((name) => name !== '');
  }

  get #withPower(): boolean {
    return this.#settings?.power ?? this.#divisor > 1;
  }

  #canDecimate(): boolean {
    const { firmware, fpga } = this.#connected!;
    return firmware >= js220DecimationVersion && fpga >= js220DecimationVersion;
  }

  #divisors(): number[] {
    if (!this.#canDecimate()) return [1];
    const range = this.#metadata.get('s/dwnN/N')?.range;
    return js220Divisors.filter((divisor) => !range || (divisor >= range.min && divisor <= range.max));
  }

  /** The ranges of the sheet under the names that the instrument itself gives them. */
  #ranges(): StreamInfo['ranges'] {
    const options = this.#metadata.get('s/i/range/select')?.options ?? [];
    return rangesOf(js220Accuracy).map((range) => {
      const name = options.find(({ value }) => value === range.index)?.names[0];
      return name === undefined ? range : { ...range, name };
    });
  }

  #rangeValues(topic: string, setting: string, range: string): [topic: string, value: number][] {
    if (range === 'auto') return [[`${topic}/mode`, this.#option(`${topic}/mode`, setting, 'auto')]];
    return [
      [`${topic}/select`, this.#option(`${topic}/select`, setting, range)],
      [`${topic}/mode`, this.#option(`${topic}/mode`, setting, 'manual')],
    ];
  }

  /** The number that stands for a name, which only the instrument's metadata tells. */
  #option(topic: string, setting: string, name: string): number {
    const options = this.#metadata.get(topic)?.options ?? [];
    if (options.length === 0) {
      throw new DeviceError('device.metadata', {
        where: this.#usb.name,
        problem: `the instrument's metadata does not tell the numbers of ${topic}`,
        remedy: 'update its firmware, or leave the setting out',
      });
    }
    const plain = (text: string) => text.toLowerCase().replaceAll(' ', '');
    const found = options.find(({ names }) => names.some((other) => plain(other) === plain(name)));
    if (found) return found.value;
    const known = options.map(({ names }) => names[0]).join(', ');
    throw badSetting(setting, `is ${name}`, `choose from ${known}`);
  }

  async #control(request: number): Promise<number> {
    const setup = { requestType: 0xc0, request, value: 0, index: 0 };
    const answer = await this.#usb.controlIn(setup, 1, CONTROL_MS);
    return answer[0] ?? 0;
  }

  #listen(transfer: typeof QUIET_TRANSFER): void {
    this.#input = this.#usb.streamIn(js220Usb.endpointIn, transfer, (chunk) => this.#receive(chunk));
  }

  /** Frames must leave in the order of their ids. */
  #send(port: number, payload: Uint8Array): Promise<void> {
    const frame = encodeFrame(this.#outFrameId, port, payload);
    this.#outFrameId = (this.#outFrameId + 1) & 0xffff;
    const sent = this.#sending.then(() => this.#usb.bulkOut(js220Usb.endpointOut, frame, CONTROL_MS));
    this.#sending = sent.catch(() => {});
    return sent;
  }

  /** Sets topics and waits until the instrument has taken them all. */
  async #publishAll(values: readonly [topic: string, value: number][]): Promise<void> {
    this.#refusals = [];
    for (const [topic, value] of values) await this.#send(js220Port.pubsub, encodePublish(topic, value));
    await this.#ping();
    if (this.#refusals.length > 0) throw this.#refused('a setting', this.#refusals.join(', '));
  }

  /** Everything that was sent before has been carried out when the answer comes. */
  async #ping(): Promise<void> {
    const pong = new Promise<void>((resolve) => {
      this.#onPong = resolve;
    });
    await this.#send(js220Port.pubsub, encodePublish('c/!ping', 1));
    await this.#within(PONG_MS, pong, 'a ping');
  }

  #within<T>(limit_ms: number, work: Promise<T>, what: string): Promise<T> {
    const lost = this.#usb.closed.then((reason): never => {
      throw reason.kind === 'lost' ? reason.error : silent(this.#usb.name, what, 0);
    });
    lost.catch(() => {});
    return within(this.#time, limit_ms, Promise.race([work, lost]), () => silent(this.#usb.name, what, limit_ms));
  }

  #receive(chunk: Uint8Array): void {
    const arrival_ns = this.#time.now_ns();
    try {
      this.#frames.read(chunk, (port, start, end, missing) => {
        if (missing > 0) this.#decoder?.linkLoss();
        if (port >= js220Port.stream) this.#streamMessage(port, chunk, start, end, arrival_ns);
        else if (port === js220Port.control) this.#controlMessage(chunk.subarray(start, end), arrival_ns);
        else if (port === js220Port.pubsub) this.#publication(parsePublish(chunk.subarray(start, end)));
      });
      if (!this.#order.isSampling()) return;
      for (const item of this.#decoder!.drain()) this.#emit(item, arrival_ns);
      this.#noticeProgress(arrival_ns);
    } catch (error) {
      this.#fail(expected(error), 'invalid');
    }
  }

  #controlMessage(payload: Uint8Array, arrival_ns: number): void {
    const message = parseControl(payload);
    switch (message?.op) {
      case 'connect':
        // Frames of an earlier session may still have been on the way.
        this.#outFrameId = 0;
        this.#onConnect(message);
        break;
      case 'timesync': {
        const utc = (now_ns: number) => this.#epoch_ns + BigInt(Math.round(now_ns));
        const reply = timesyncReply(message.words, utc(arrival_ns), utc(this.#time.now_ns()));
        // A device that is gone is told by `closed`.
        this.#send(js220Port.control, reply).catch(() => {});
        break;
      }
      case 'timemap':
        this.#timeMap = message.timeMap;
        this.#decoder?.timeMap(message.timeMap);
        break;
      case 'unknown':
        if (!this.#unknownOps.has(message.code) && this.#order.isSampling()) {
          this.#event(
            'info',
            `a control message of unknown kind ${message.code}: its firmware is newer than this driver`,
          );
        }
        this.#unknownOps.add(message.code);
        break;
    }
  }

  #publication(publication: Publication | null): void {
    if (!publication) return;
    const { topic, value } = publication;
    if (topic === 'c/!pong') this.#onPong();
    else if (topic.endsWith('$') && typeof value === 'string') {
      const metadata = parseMetadata(value);
      if (metadata && this.#metadata.size < MAX_TOPICS) this.#metadata.set(topic.slice(0, -1), metadata);
    } else if (topic.endsWith('#') && value !== 0) this.#refusals.push(`${topic.slice(0, -1)} (code ${value})`);
  }

  #streamMessage(port: number, chunk: Uint8Array, start: number, end: number, arrival_ns: number): void {
    if (!this.#order.isSampling()) return;
    if (this.#decoder!.message(port, chunk, start, end)) return;
    if (this.#statisticsCount === null || port !== js220Port.stream + js220Streams.statistics.index) return;
    this.#statistics(chunk.subarray(start, end), arrival_ns);
  }

  #statistics(payload: Uint8Array, arrival_ns: number): void {
    const record = parseStatistics(payload);
    const origin = this.#decoder!.origin;
    if (record === null || origin === null || record.firstTick < origin) return;
    const ticksPerSample = 2 * this.#statisticsCount!;
    if (record.count !== this.#statisticsCount) return;
    const firstTick = record.firstTick - origin;
    if (this.#statisticsEnd !== null && firstTick > this.#statisticsEnd) {
      const count = Math.round((firstTick - this.#statisticsEnd) / ticksPerSample);
      this.#chunks.gap(STATISTICS, this.#statisticsEnd, count, 'dropped');
    }
    this.#statisticsEnd = firstTick + ticksPerSample;
    this.#chunks.emit({
      kind: 'block',
      stream: STATISTICS,
      firstTick,
      ticksPerSample,
      length: 1,
      current: Float64Array.of(record.current.mean),
      voltage: Float64Array.of(record.voltage.mean),
      power: Float64Array.of(record.power.mean),
      arrival_ns,
    });
  }

  #emit(item: SampleBlock | Gap, arrival_ns: number): void {
    const isInput = item.stream === INPUTS;
    if (item.kind === 'gap') {
      if (isInput) this.#edges!.gap(item);
      this.#chunks.emit(item);
      return;
    }
    item.arrival_ns = arrival_ns;
    if (!isInput && this.#withPower && !item.power) item.power = product(item);
    const edges = isInput ? this.#edges!.push(item) : null;
    this.#chunks.emit(item);
    if (edges) this.#chunks.emit(edges);
    const isEdgeSource = isInput || !this.#hasInputs;
    if (isEdgeSource) {
      const upTo = item.firstTick + (item.length - 1) * item.ticksPerSample;
      this.#chunks.progress(upTo);
    }
  }

  #event(code: InstrumentEvent['code'], text: string): void {
    this.#chunks.event(code, text, this.#decoder?.nextTick ?? 0);
  }

  #noticeProgress(now_ns: number): void {
    const decoder = this.#decoder!;
    if (decoder.nextTick > this.#advanced.main) {
      this.#advanced.main = decoder.nextTick;
      this.#advanced.main_ns = now_ns;
    }
    if (decoder.nextInputTick > this.#advanced.inputs) {
      this.#advanced.inputs = decoder.nextInputTick;
      this.#advanced.inputs_ns = now_ns;
    }
    const invalid = this.#frames.invalid - this.#invalidFrames;
    if (invalid > 0) this.#event('resync', `${invalid} frames with no valid header were skipped`);
    this.#invalidFrames = this.#frames.invalid;
  }

  #watch(): void {
    const lastSign_ns = () => {
      const { main_ns, inputs_ns } = this.#advanced;
      return this.#hasInputs ? Math.min(main_ns, inputs_ns) : main_ns;
    };
    const watch = { every_ms: SILENCE_CHECK_MS, limit_ms: SILENCE_MS, lastSign_ns };
    this.#stopWatching = watchSilence(this.#time, watch, () => {
      const which = lastSign_ns() === this.#advanced.main_ns ? 'current and voltage' : 'the inputs';
      const why = this.#decoder!.isMapped ? '' : ' (the instrument never told where its sample counter stands)';
      const problem = `no samples of ${which} for ${SILENCE_MS} ms${why}`;
      this.#fail(stalledOnUsb(this.#usb.name, 'JS220', problem), 'unknown');
    });
  }

  #endSampling(): void {
    this.#stopWatching();
    this.#order.moveTo('stopped');
  }

  async #switchOff(): Promise<void> {
    const names = Object.keys(js220Streams) as Js220StreamName[];
    for (const name of names) await this.#send(js220Port.pubsub, encodePublish(js220Streams[name].topic, 0));
  }

  /** Ends the streams with a Gap of unknown length and the error. */
  #fail(error: DeviceError, cause: Gap['cause']): void {
    if (!this.#order.isSampling()) return;
    this.#endSampling();
    const decoder = this.#decoder!;
    this.#chunks.gap(MAIN, decoder.nextTick, null, cause);
    if (this.#hasInputs) {
      this.#chunks.gap(INPUTS, decoder.nextInputTick, null, cause);
    }
    if (cause !== 'unplugged') this.#switchOff().catch(() => {});
    this.#chunks.fail(error);
  }

  #refused(what: string, answer: string): DeviceError {
    return new DeviceError('device.refused', {
      where: this.#usb.name,
      problem: `the instrument refused ${what}: ${answer}`,
      remedy: 'unplug it, plug it in again, and update its firmware if that does not help',
    });
  }
}

/** V*I of each sample, rounded to single precision as the instrument's own power is. */
function product(block: SampleBlock): Float32Array {
  const power = new Float32Array(block.length);
  for (let i = 0; i < power.length; i++) power[i] = block.current![i]! * block.voltage![i]!;
  return power;
}
