import { z } from 'zod';
import { DeviceError } from '../../signal/errors.ts';
import type { ClockInfo, Gap, SampleBlock, StreamInfo } from '../../signal/types.ts';
import type { ByteStream } from '../../transport/byte-stream.ts';
import { silent } from '../../transport/errors.ts';
import { realTime, type TimeSource, wait } from '../../transport/time.ts';
import { rangesOf } from '../accuracy-sheet.ts';
import { ArrivalCheck, type LateNote } from '../arrival-check.ts';
import { CallOrder } from '../call-order.ts';
import { ChunkEmitter } from '../chunk-emitter.ts';
import { expected, settingError, stalledOnUsb, whenLost } from '../driver-errors.ts';
import { LogicEdges } from '../logic-edges.ts';
import type { CommonSettings, InstrumentIdentity, InstrumentSupply, PowerInstrument } from '../power-instrument.ts';
import { SaturationNotice } from '../saturation.ts';
import { watchSilence } from '../silence-watch.ts';
import { streamOf } from '../stream-info.ts';
import { checkSupplyVoltage, noSupplyVoltage } from '../supply-limit.ts';
import {
  completeMetadata,
  Ppk2Decoder,
  type Ppk2Metadata,
  parseMetadata,
  ppk2Command,
  type Resync,
  SpikeFilter,
} from './protocol.ts';
import { ppk2Accuracy, ppk2Hardware, ppk2Ranges, ppk2Rate_Hz, ppk2Supply_V } from './spec.ts';

const badSetting = settingError('ppk2');

/** What a rig file may say under `settings`. */
export const ppk2SettingsSchema = z.strictObject({
  mode: z
    .enum(['source', 'ampere'])
    .describe(
      '`source`: it supplies and measures. `ampere`: it measures what another supply gives. There is no default.',
    ),
  rate_Hz: z.number().optional().describe(`Only ${ppk2Rate_Hz}.`),
  spikeFilter: z
    .boolean()
    .optional()
    .describe("Adds a second stream, `main-filtered`, with the spike filter of Nordic's app. Default off."),
  externalVoltage_V: z
    .number()
    .positive()
    .optional()
    .describe('Ampere mode: the voltage of the other supply, if known; it is assumed constant.'),
});

export type Ppk2Settings = CommonSettings & z.infer<typeof ppk2SettingsSchema>;

export interface Ppk2Options {
  /** USB serial number, from the list of ports; the instrument does not tell it over the port. */
  serial?: string | null;
  time?: TimeSource;
}

const CLOCK = 'instrument';
const STREAM = 'main';
const FILTERED = 'main-filtered';
const DEFAULT_INPUTS = ['D0', 'D1', 'D2', 'D3', 'D4', 'D5', 'D6', 'D7'];

/** Samples still come for some milliseconds after AverageStop. */
const STOP_DRAIN_MS = 60;
const METADATA_ATTEMPTS = 2;
const METADATA_MS = 700;
/** Metadata has about 800 bytes; more is a stream that does not stop, or another device. */
const METADATA_MAX_BYTES = 65_536;
/** 100,000 samples a second do not pause for this long. */
const SILENCE_MS = 1000;
const SILENCE_CHECK_MS = 250;
/** The user gains are reset if one is farther off, as Nordic's app does. */
const USER_GAIN_TOLERANCE = 0.1;
/** What the counter of 6 bits cannot see. */
const COUNTER_MODULUS = 64;

/** Nordic Power Profiler Kit II over its first serial port. */
export class Ppk2 implements PowerInstrument<Ppk2Settings> {
  readonly #port: ByteStream;
  readonly #time: TimeSource;
  readonly #usbSerial: string | null;
  readonly #order: CallOrder;
  readonly #chunks: ChunkEmitter;
  readonly samples$: PowerInstrument['samples$'];

  #metadata: Ppk2Metadata | null = null;
  /** From the one question that it answers to the first byte of its answer, in s. */
  #roundTrip_s = Number.POSITIVE_INFINITY;
  #settings: Ppk2Settings | null = null;
  /** The last RegulatorSet in mV, or null before one. */
  #regulator_mV: number | null = null;
  #isOn = false;

  #onBytes: (bytes: Uint8Array) => void = () => {};
  #decoder: Ppk2Decoder | null = null;
  #arrival: ArrivalCheck | null = null;
  #edges: LogicEdges | null = null;
  #filter: SpikeFilter | null = null;
  #lastBytes_ns = 0;
  #stopWatching: () => void = () => {};
  readonly #saturation = new SaturationNotice();

  constructor(port: ByteStream, options: Ppk2Options = {}) {
    this.#port = port;
    this.#time = options.time ?? realTime;
    this.#order = new CallOrder(port.name);
    this.#chunks = new ChunkEmitter(this.#time, CLOCK);
    this.samples$ = this.#chunks.chunks$;
    this.#usbSerial = options.serial ?? null;
    port.onData((bytes) => this.#onBytes(bytes));
    whenLost(port.closed, (error) => this.#fail(error, 'unplugged'));
  }

  async open(): Promise<InstrumentIdentity> {
    const metadata = await this.#readMetadata();
    const serial = this.#usbSerial ?? metadata.serial;
    const notices: string[] = [];
    if (metadata.calibrated !== true) notices.push('it says that it is not calibrated');
    if (metadata.defaulted.length > 0) {
      notices.push(`default coefficients stand in for ${metadata.defaulted.join(', ')} (missing, 0 or not a number)`);
    }
    if (metadata.hardware !== ppk2Hardware) {
      notices.push(`unknown hardware ${metadata.hardware ?? '(not told)'}; only ${ppk2Hardware} is known`);
    }
    if (metadata.modifiers.UG.some((gain) => Math.abs(gain - 1) > USER_GAIN_TOLERANCE)) {
      notices.push(`user gains ${metadata.modifiers.UG.join(', ')} were far from 1 and have been reset to 1`);
      for (let range = 0; range < ppk2Ranges; range++) await this.#port.write(ppk2Command.userGain(range, 1));
      metadata.modifiers = { ...metadata.modifiers, UG: new Array(ppk2Ranges).fill(1) };
    }
    this.#metadata = metadata;
    return this.#order.opened({
      family: 'ppk2',
      model: ppk2Accuracy.model,
      serial,
      firmware: null,
      hardware: metadata.hardware,
      rates_Hz: [ppk2Rate_Hz],
      supplyRange_V: ppk2Supply_V,
      notices,
    });
  }

  describe(): InstrumentIdentity {
    return this.#order.describe();
  }

  async configure(settings: Ppk2Settings): Promise<void> {
    this.#order.check('configure()');
    if (settings.mode !== 'source' && settings.mode !== 'ampere') {
      throw badSetting('mode', 'is neither source nor ampere', 'say whether the PPK2 supplies the device itself');
    }
    if (settings.rate_Hz !== undefined && settings.rate_Hz !== ppk2Rate_Hz) {
      throw badSetting('rate_Hz', `is not ${ppk2Rate_Hz}`, 'leave it out: a PPK2 has one rate');
    }
    if ((settings.logicInputs?.length ?? 0) > DEFAULT_INPUTS.length) {
      throw badSetting('logicInputs', 'names more than 8 inputs', 'name D0 to D7 at most');
    }
    await this.#switch(false);
    await this.#port.write(ppk2Command.powerMode(settings.mode));
    if (settings.mode === 'ampere') {
      // The offsets depend on the regulator, which an earlier program may have left elsewhere.
      const vdd_V = (this.#metadata!.vdd_mV ?? Number.NaN) / 1000;
      if (this.#regulator_mV === null && vdd_V >= ppk2Supply_V.min && vdd_V <= ppk2Supply_V.max) {
        await this.#port.write(ppk2Command.regulator(1000 * vdd_V));
      }
      await this.#port.write(ppk2Command.running(true));
    }
    this.#settings = settings;
    this.#order.moveTo('configured');
  }

  get clocks(): readonly ClockInfo[] {
    const latencyBound_s = Number.isFinite(this.#roundTrip_s) ? this.#roundTrip_s : null;
    return [{ id: CLOCK, tickHz: ppk2Rate_Hz, kind: 'instrument', epoch_ns: null, latencyBound_s }];
  }

  get streams(): readonly StreamInfo[] {
    const settings = this.#settings;
    if (!settings) throw this.#order.wrong('streams', 'configure()');
    const voltage = settings.mode === 'source' ? this.#regulator_mV : null;
    const stream = streamOf({
      id: STREAM,
      clock: CLOCK,
      ticksPerSample: 1,
      quantities: ['current'],
      precision: 'f32',
      semantics: 'mean-forward',
      assumedVoltage_V: voltage === null ? (settings.externalVoltage_V ?? null) : voltage / 1000,
      ranges: rangesOf(ppk2Accuracy),
      logicInputs: [...this.#inputs],
      hiddenLossUnit: COUNTER_MODULUS,
    });
    return settings.spikeFilter ? [stream, { ...stream, id: FILTERED, logicInputs: [] }] : [stream];
  }

  get supply(): InstrumentSupply | null {
    if (this.#settings?.mode !== 'source') return null;
    return {
      setVoltage: (voltage_V) => this.#setVoltage(voltage_V),
      on: () => this.#supplyOn(),
      off: () => this.#switch(false),
    };
  }

  async start(): Promise<void> {
    this.#order.check('start()');
    const metadata = this.#metadata!;
    const vdd_mV = this.#regulator_mV ?? metadata.vdd_mV ?? 0;
    this.#decoder = new Ppk2Decoder(metadata.modifiers, vdd_mV, STREAM, this.#port.name);
    this.#arrival = new ArrivalCheck({ stream: STREAM, tickHz: ppk2Rate_Hz, unit: COUNTER_MODULUS });
    this.#edges = new LogicEdges(CLOCK, this.#inputs);
    this.#filter = this.#settings!.spikeFilter ? new SpikeFilter() : null;
    this.#onBytes = (bytes) => this.#sample(bytes);
    this.#order.moveTo('sampling');
    this.#lastBytes_ns = this.#time.now_ns();
    this.#watch();
    await this.#port.write(ppk2Command.start());
  }

  async stop(): Promise<void> {
    if (!this.#order.isSampling()) return;
    await this.#port.write(ppk2Command.stop());
    await wait(this.#time, STOP_DRAIN_MS);
    // The instrument may have vanished meanwhile.
    if (!this.#order.isSampling()) return;
    this.#endSampling();
    this.#chunks.complete();
  }

  async close(): Promise<void> {
    if (this.#order.isClosed()) {
      await this.#port.close();
      return;
    }
    await this.stop().catch(() => {});
    await this.#switch(false).catch(() => {});
    this.#order.moveTo('closed');
    this.#onBytes = () => {};
    this.#stopWatching();
    this.#chunks.complete();
    await this.#port.close();
  }

  get #inputs(): readonly string[] {
    return this.#settings?.logicInputs ?? DEFAULT_INPUTS;
  }

  async #readMetadata(): Promise<Ppk2Metadata> {
    let received = '';
    for (let attempt = 0; attempt < METADATA_ATTEMPTS; attempt++) {
      this.#onBytes = () => {};
      // A stream that another program left running would hide the answer.
      await this.#port.write(ppk2Command.stop());
      await wait(this.#time, STOP_DRAIN_MS);
      const answer = this.#collectMetadata(this.#time.now_ns());
      await this.#port.write(ppk2Command.metadata());
      const { text, isComplete } = await answer;
      if (isComplete) {
        const metadata = parseMetadata(text);
        if (metadata) return metadata;
      }
      received = text || received;
    }
    if (received === '') throw silent(this.#port.name, 'the metadata command of a PPK2', METADATA_MS);
    throw new DeviceError('device.wrong', {
      where: this.#port.name,
      problem: `expected the metadata of a PPK2, found ${JSON.stringify(received.slice(0, 60))}`,
      remedy: 'choose the first of the two ports of a PPK2; close other programs that use it',
    });
  }

  #collectMetadata(asked_ns: number): Promise<{ text: string; isComplete: boolean }> {
    return new Promise((resolve) => {
      let received = '';
      const finish = (text: string, isComplete: boolean) => {
        cancel();
        this.#onBytes = () => {};
        resolve({ text, isComplete });
      };
      const cancel = this.#time.after(METADATA_MS, () => finish(received, false));
      // The next write then says that the instrument vanished.
      this.#port.closed.then(() => finish(received, false));
      this.#onBytes = (bytes) => {
        if (received === '') this.#roundTrip_s = Math.min(this.#roundTrip_s, (this.#time.now_ns() - asked_ns) / 1e9);
        received += Buffer.from(bytes).toString('latin1');
        const text = completeMetadata(received);
        if (text !== null && parseMetadata(text) !== null) finish(text, true);
        else if (received.length > METADATA_MAX_BYTES) finish(received, false);
      };
    });
  }

  async #setVoltage(voltage_V: number): Promise<void> {
    checkSupplyVoltage(voltage_V, ppk2Supply_V, this.#settings?.maxVoltage_V, this.#port.name);
    this.#order.check('setVoltage()');
    const voltage_mV = Math.floor(voltage_V * 1000 + 1e-6);
    await this.#port.write(ppk2Command.regulator(voltage_mV));
    this.#regulator_mV = voltage_mV;
  }

  async #supplyOn(): Promise<void> {
    if (this.#regulator_mV === null) throw noSupplyVoltage(this.#port.name);
    await this.#switch(true);
  }

  async #switch(on: boolean): Promise<void> {
    await this.#port.write(ppk2Command.running(on));
    if (on !== this.#isOn && this.#order.isSampling()) {
      this.#chunks.event('supply', `supply ${on ? 'on' : 'off'}`, this.#arrivedTick);
    }
    this.#isOn = on;
  }

  #sample(bytes: Uint8Array): void {
    const arrival_ns = this.#time.now_ns();
    this.#lastBytes_ns = arrival_ns;
    const decoder = this.#decoder!;
    try {
      const items = decoder.push(bytes);
      for (const item of items) if (item.kind === 'block') item.arrival_ns = arrival_ns;
      for (const item of this.#arrival!.push(items, decoder.arrivedTick, arrival_ns)) this.#emit(item as DecodedItem);
    } catch (error) {
      this.#fail(expected(error), 'invalid');
    }
  }

  #emit(item: DecodedItem): void {
    switch (item.kind) {
      case 'block':
        this.#emitBlock(item);
        break;
      case 'gap':
        this.#edges!.gap(item);
        this.#chunks.emit(item);
        if (this.#filter) this.#chunks.emit({ ...item, stream: FILTERED });
        break;
      case 'resync':
        this.#chunks.event(
          'resync',
          `found the border between samples again after ${item.skippedBytes} bytes`,
          item.tick,
        );
        break;
      case 'late':
        this.#chunks.event(
          'loss-estimate',
          `from here on samples arrive ${(item.late_ns / 1e6).toFixed(2)} ms later than before: up to ` +
            `${Math.round((item.late_ns / 1e9) * ppk2Rate_Hz)} samples may be missing, or the computer is slow`,
          item.tick,
        );
        break;
    }
  }

  #emitBlock(block: SampleBlock): void {
    const edges = this.#edges!.push(block);
    this.#chunks.emit(block);
    if (this.#filter) {
      const { logic: _, current, range, ...rest } = block;
      this.#chunks.emit({ ...rest, stream: FILTERED, current: this.#filter.apply(current!, range!), range: range! });
    }
    if (edges) this.#chunks.emit(edges);
    this.#chunks.progress(block.firstTick + block.length - 1);
    const overloadTick = this.#saturation.onset(block);
    if (overloadTick !== null) this.#chunks.event('overload', 'the converter is at the end of its scale', overloadTick);
  }

  /** Tick after the last sample that has arrived. */
  get #arrivedTick(): number {
    return this.#decoder!.arrivedTick + this.#arrival!.shift;
  }

  #watch(): void {
    const watch = { every_ms: SILENCE_CHECK_MS, limit_ms: SILENCE_MS, lastSign_ns: () => this.#lastBytes_ns };
    this.#stopWatching = watchSilence(this.#time, watch, () =>
      this.#fail(stalledOnUsb(this.#port.name, 'PPK2', `no samples for ${SILENCE_MS} ms`), 'unknown'),
    );
  }

  /** Passes on what the decoder and the arrival check still hold. */
  #endSampling(): void {
    this.#stopWatching();
    this.#onBytes = () => {};
    this.#order.moveTo('stopped');
    const rest = this.#decoder!.end();
    const held = this.#arrival!.end();
    for (const gap of rest) gap.firstTick += this.#arrival!.shift;
    for (const item of [...held, ...rest]) this.#emit(item as DecodedItem);
  }

  /** Ends the stream with a Gap of unknown length and the error, and switches the supply off if that can still be done. */
  #fail(error: DeviceError, cause: Gap['cause']): void {
    if (!this.#order.isSampling()) return;
    this.#endSampling();
    this.#emit({ kind: 'gap', stream: STREAM, firstTick: this.#arrivedTick, count: null, cause });
    if (cause !== 'unplugged') {
      this.#port
        .write(ppk2Command.stop())
        .then(() => this.#switch(false))
        .catch(() => {});
    }
    this.#chunks.fail(error);
  }
}

type DecodedItem = SampleBlock | Gap | Resync | LateNote;
