import { z } from 'zod';
import { DeviceError, FormatError, UsageError } from '../../signal/errors.ts';
import type { ClockInfo, Gap, SampleBlock, StreamInfo } from '../../signal/types.ts';
import { leastRoundTrip_s } from '../../transport/round-trip.ts';
import { realTime, type TimeSource, wait } from '../../transport/time.ts';
import type { UsbDevice, UsbInStream } from '../../transport/usb.ts';
import { CallOrder } from '../call-order.ts';
import { ChunkEmitter } from '../chunk-emitter.ts';
import { expected, stalledOnUsb, whenLost } from '../driver-errors.ts';
import { LogicEdges } from '../logic-edges.ts';
import type { CommonSettings, InstrumentIdentity, PowerInstrument } from '../power-instrument.ts';
import { SaturationNotice } from '../saturation.ts';
import { parseSettings } from '../settings.ts';
import { watchSilence } from '../silence-watch.ts';
import { streamOf } from '../stream-info.ts';
import { Js110Decoder } from './decoder.ts';
import {
  calibrationLength,
  encodeExtio,
  encodeSettings,
  inRequest,
  type Js110CalibrationRecord,
  type Js110Statistics,
  type Js110Status,
  js110Lengths,
  outRequest,
  parseCalibration,
  parseExtio,
  parseInfo,
  parseStatus,
} from './protocol.ts';
import {
  js110Accuracy,
  js110Calibration,
  js110Endpoint,
  js110FrameBytes,
  js110Gpi,
  js110IoVoltages_V,
  js110Ranges,
  js110Rate_Hz,
  js110Request,
  js110Select,
  js110SettingsResult,
  js110Source,
  js110Streaming,
  js110VoltageRange,
} from './spec.ts';
import { js110DefaultSuppression, maxManualWindow, maxPrePost } from './suppression.ts';

/** What a rig file may say under `settings`. */
export const js110SettingsSchema = z.strictObject({
  rate_Hz: z.literal(js110Rate_Hz).optional().describe(`Only ${js110Rate_Hz}.`),
  currentRange: z
    .enum(Object.keys(js110Select) as (keyof typeof js110Select)[])
    .optional()
    .describe('Default `auto`. `off` opens the path: the device under test loses its supply.'),
  voltageRange: z
    .enum(Object.keys(js110VoltageRange) as (keyof typeof js110VoltageRange)[])
    .optional()
    .describe('Default `15 V`.'),
  ioVoltage_V: z
    .literal([...js110IoVoltages_V])
    .optional()
    .describe(
      'Level of the pins IN0 and IN1: that of the device under test, or they read 0. Absent = as the instrument is set.',
    ),
  suppression: z
    .strictObject({
      mode: z
        .enum(['off', 'mean', 'interp', 'nan'])
        .optional()
        .describe(
          '`interp`: a straight line between the samples before and after. `mean`: the mean of the samples before and ' +
            'after. `nan`: the samples are missing. `off`: nothing is done. Default `interp`.',
        ),
      window: z
        .union([z.enum(['n', 'm']), z.int().min(0).max(maxManualWindow)])
        .optional()
        .describe('Table of window lengths by ranges, or one length in samples for every change. Default `n`.'),
      pre: z.int().min(0).max(maxPrePost).optional().describe('`mean`: samples before the window. Default 1.'),
      post: z.int().min(1).max(maxPrePost).optional().describe('`mean`: samples after the window. Default 1.'),
    })
    .optional()
    .describe('What becomes of the samples just after a change of range.'),
});

export type Js110Settings = CommonSettings & z.infer<typeof js110SettingsSchema>;

export interface Js110Options {
  time?: TimeSource;
}

const CLOCK = 'instrument';
const STREAM = 'main';
const INPUTS = ['IN0', 'IN1'];

const STATUS_POLL_MS = 4;
const SETTINGS_LIMIT_MS = 1800;
const CALIBRATION_CHUNK = 4096;
const CALIBRATION_HEADER = 32;
/** 16 transfers of 4 ms each bridge the pauses of a busy computer. */
const TRANSFERS = 16;
const TRANSFER_BYTES = 64 * js110FrameBytes;
/** Frames of an earlier measurement that wait in the instrument come at once. */
const STALE_MS = 10;
/** Samples still come for some milliseconds after streaming was switched off. */
const STOP_DRAIN_MS = 20;
const SILENCE_MS = 1000;
const SILENCE_CHECK_MS = 250;

/** Joulescope JS110. It has no supply: it stands between a supply and the device under test, which stays powered at close(). */
export class Js110 implements PowerInstrument<Js110Settings> {
  readonly #device: UsbDevice;
  readonly #time: TimeSource;
  readonly #order: CallOrder;
  readonly #chunks: ChunkEmitter;
  readonly samples$: PowerInstrument['samples$'];
  readonly supply = null;

  #calibration: Js110CalibrationRecord | null = null;
  #settings: Js110Settings | null = null;
  #roundTrip_s: number | null = null;

  #stream: UsbInStream | null = null;
  #decoder: Js110Decoder | null = null;
  #edges: LogicEdges | null = null;
  #lastBytes_ns = 0;
  #stopWatching: () => void = () => {};
  readonly #saturation = new SaturationNotice();

  constructor(device: UsbDevice, options: Js110Options = {}) {
    this.#device = device;
    this.#time = options.time ?? realTime;
    this.#order = new CallOrder(device.name);
    this.#chunks = new ChunkEmitter(this.#time, CLOCK);
    this.samples$ = this.#chunks.chunks$;
    whenLost(device.closed, (error) => this.#fail(error, 'unplugged'));
  }

  async open(): Promise<InstrumentIdentity> {
    await this.#checkLoopback();
    const notices: string[] = [];
    this.#calibration = await this.#readCalibration(notices);
    const info = parseInfo(await this.#device.controlIn(inRequest(js110Request.info), js110Lengths.info));
    if (info?.firmware == null) notices.push('it does not tell its firmware version');
    const status = await this.#readStatus();
    if (status === null) throw this.#unexpected('a status packet');
    this.#roundTrip_s = await leastRoundTrip_s(this.#time, () => this.#readStatus());
    const serial = this.#device.serial ?? (await this.#readSerialNumber());
    return this.#order.opened({
      family: 'js110',
      model: js110Accuracy.model,
      serial,
      firmware: info?.firmware ?? null,
      hardware: info?.hardware ?? null,
      rates_Hz: [js110Rate_Hz],
      supplyRange_V: null,
      notices,
    });
  }

  describe(): InstrumentIdentity {
    return this.#order.describe();
  }

  async configure(settings: Js110Settings): Promise<void> {
    this.#order.check('configure()');
    this.#check(settings);
    const kept = parseExtio(await this.#device.controlIn(inRequest(js110Request.extio), js110Lengths.extio));
    if (kept === null) throw this.#unexpected('an extio packet');
    this.#settings = settings;
    const inputs = this.#inputs.length;
    await this.#send(js110Request.settings, this.#encodeSettings(js110Streaming.off));
    await this.#send(
      js110Request.extio,
      encodeExtio({
        ...kept,
        currentGpi: inputs > 0 ? js110Gpi.gpi0 : js110Gpi.none,
        voltageGpi: inputs > 1 ? js110Gpi.gpi1 : js110Gpi.none,
        ioVoltage_mV: settings.ioVoltage_V === undefined ? kept.ioVoltage_mV : Math.round(settings.ioVoltage_V * 1000),
      }),
    );
    this.#order.moveTo('configured');
  }

  get clocks(): readonly ClockInfo[] {
    const latencyBound_s = this.#roundTrip_s;
    return [{ id: CLOCK, tickHz: js110Rate_Hz, kind: 'instrument', epoch_ns: null, latencyBound_s }];
  }

  get streams(): readonly StreamInfo[] {
    if (!this.#settings) throw this.#order.wrong('streams', 'configure()');
    return [
      streamOf({
        id: STREAM,
        clock: CLOCK,
        ticksPerSample: 1,
        quantities: ['current', 'voltage', 'power'],
        precision: 'f32',
        semantics: 'mean-forward',
        ranges: js110Ranges(this.#calibration!.currentGain),
        logicInputs: [...this.#inputs],
      }),
    ];
  }

  async start(): Promise<void> {
    this.#order.check('start()');
    this.#decoder = new Js110Decoder({
      calibration: this.#calibration!,
      suppression: { ...js110DefaultSuppression, ...this.#settings!.suppression },
      hasLogic: this.#inputs.length > 0,
      stream: STREAM,
      where: this.#device.name,
    });
    this.#edges = new LogicEdges(CLOCK, this.#inputs);
    this.#stream = this.#device.streamIn(
      js110Endpoint,
      { transfers: TRANSFERS, transferLength: TRANSFER_BYTES },
      (bytes) => this.#sample(bytes),
    );
    // What comes before belongs to an earlier measurement.
    await wait(this.#time, STALE_MS);
    this.#order.moveTo('sampling');
    this.#lastBytes_ns = this.#time.now_ns();
    this.#watch();
    await this.#send(js110Request.settings, this.#encodeSettings(js110Streaming.on));
  }

  async stop(): Promise<void> {
    if (!this.#order.isSampling()) return;
    this.#stopWatching();
    try {
      await this.#send(js110Request.settings, this.#encodeSettings(js110Streaming.off));
    } catch (error) {
      if (error instanceof DeviceError) this.#fail(error, 'unknown');
      throw error;
    }
    await wait(this.#time, STOP_DRAIN_MS);
    await this.#stream!.stop();
    // The instrument may have vanished meanwhile.
    if (!this.#order.isSampling()) return;
    this.#endSampling();
    this.#chunks.complete();
  }

  async close(): Promise<void> {
    await this.stop().catch(() => {});
    await this.#stream?.stop();
    this.#stopWatching();
    this.#order.moveTo('closed');
    this.#chunks.complete();
    await this.#device.close();
  }

  /**
   * Charge, energy and extremes that the instrument itself has summed up since its sensor was powered; null where its
   * firmware has none. An independent check of the samples.
   * @throws DeviceError of the transport
   */
  async readStatistics(): Promise<Js110Statistics | null> {
    return (await this.#readStatus())?.statistics ?? null;
  }

  get #inputs(): readonly string[] {
    return this.#settings?.logicInputs ?? INPUTS;
  }

  #check({ logicInputs, maxVoltage_V: _, ...own }: Js110Settings): void {
    parseSettings('js110', js110SettingsSchema, own);
    if ((logicInputs?.length ?? 0) > INPUTS.length) {
      throw new UsageError('instrument.settings', {
        where: 'instrument.settings.logicInputs',
        problem: 'names more than 2 inputs',
        remedy: 'name IN0 and IN1 at most',
      });
    }
  }

  #encodeSettings(streaming: number): Uint8Array {
    const { currentRange = 'auto', voltageRange = '15 V' } = this.#settings!;
    return encodeSettings({
      sensorPower: true,
      select: js110Select[currentRange],
      source: js110Source.raw,
      voltageRange,
      streaming,
    });
  }

  async #checkLoopback(): Promise<void> {
    const sent = Uint8Array.from({ length: 16 }, (_, k) => k + 1);
    await this.#device.controlOut(outRequest(js110Request.loopbackBuffer), sent);
    const got = await this.#device.controlIn(inRequest(js110Request.loopbackBuffer), sent.length);
    if (Buffer.compare(sent, got) !== 0) throw this.#unexpected('the echo of a JS110');
  }

  async #readCalibration(notices: string[]): Promise<Js110CalibrationRecord> {
    try {
      return await this.#readRecord(js110Calibration.active);
    } catch (cause) {
      if (!(cause instanceof FormatError)) throw cause;
      notices.push(`the factory calibration stands in for the active one (${cause.message})`);
    }
    try {
      return await this.#readRecord(js110Calibration.factory);
    } catch (cause) {
      if (!(cause instanceof FormatError)) throw cause;
      throw new DeviceError('device.calibration', {
        where: cause.where,
        problem: `it holds no usable calibration: ${cause.message}`,
        remedy: cause.remedy,
        cause,
      });
    }
  }

  async #readRecord(which: number): Promise<Js110CalibrationRecord> {
    const read = (offset: number, length: number) =>
      this.#device.controlIn(inRequest(js110Request.calibration, which, offset), length);
    const header = await read(0, CALIBRATION_HEADER);
    const length = calibrationLength(header, this.#device.name);
    const record = new Uint8Array(length);
    record.set(header);
    for (let at = header.length; at < length; ) {
      const part = await read(at, Math.min(CALIBRATION_CHUNK, length - at));
      // parseCalibration() then says where it ends.
      if (part.length === 0) return parseCalibration(record.subarray(0, at), this.#device.name);
      record.set(part.subarray(0, length - at), at);
      at += part.length;
    }
    return parseCalibration(record, this.#device.name);
  }

  async #readSerialNumber(): Promise<string> {
    const bytes = await this.#device.controlIn(inRequest(js110Request.serialNumber), js110Lengths.serialNumber);
    return Buffer.from(bytes).toString('hex');
  }

  /** Null if the answer is no status packet. */
  async #readStatus(): Promise<Js110Status | null> {
    return parseStatus(await this.#device.controlIn(inRequest(js110Request.status), js110Lengths.status));
  }

  /** Sends settings or extio and waits until the instrument has carried them out. */
  async #send(request: number, bytes: Uint8Array): Promise<void> {
    await this.#device.controlOut(outRequest(request), bytes);
    const deadline_ns = this.#time.now_ns() + SETTINGS_LIMIT_MS * 1e6;
    while (this.#time.now_ns() < deadline_ns) {
      await wait(this.#time, STATUS_POLL_MS);
      const status = await this.#readStatus();
      if (status === null) continue;
      switch (status.settingsResult) {
        case js110SettingsResult.done:
          return;
        case js110SettingsResult.pending:
        case js110SettingsResult.busy:
          continue;
      }
      throw new DeviceError('device.setting', {
        where: this.#device.name,
        problem: `it answered its settings with error ${status.settingsResult}`,
        remedy: 'plug it in again and start again',
      });
    }
    throw new DeviceError('device.stalled', {
      where: this.#device.name,
      problem: `it did not carry out its settings within ${SETTINGS_LIMIT_MS} ms`,
      remedy: 'plug it in again and start again',
    });
  }

  #sample(bytes: Uint8Array): void {
    if (!this.#order.isSampling()) return;
    const arrival_ns = this.#time.now_ns();
    this.#lastBytes_ns = arrival_ns;
    try {
      this.#emit(this.#decoder!.push(bytes), arrival_ns);
    } catch (error) {
      this.#fail(expected(error), 'invalid');
    }
  }

  #emit(items: readonly (SampleBlock | Gap)[], arrival_ns: number): void {
    for (const item of items) {
      if (item.kind === 'gap') {
        this.#edges!.gap(item);
        this.#chunks.emit(item);
        continue;
      }
      item.arrival_ns = arrival_ns;
      this.#chunks.emit(item);
      const edges = this.#edges!.push(item);
      if (edges) this.#chunks.emit(edges);
      this.#chunks.progress(item.firstTick + item.length - 1);
      const overloadTick = this.#saturation.onset(item);
      if (overloadTick !== null) this.#chunks.event('overload', 'a converter is at the end of its scale', overloadTick);
    }
  }

  #watch(): void {
    const watch = { every_ms: SILENCE_CHECK_MS, limit_ms: SILENCE_MS, lastSign_ns: () => this.#lastBytes_ns };
    this.#stopWatching = watchSilence(this.#time, watch, () =>
      this.#fail(stalledOnUsb(this.#device.name, 'JS110', `no samples for ${SILENCE_MS} ms`), 'unknown'),
    );
  }

  #endSampling(): void {
    this.#stopWatching();
    this.#order.moveTo('stopped');
    this.#emit(this.#decoder!.end(), this.#time.now_ns());
  }

  /** Ends the stream with a Gap of unknown length and the error. */
  #fail(error: DeviceError, cause: Gap['cause']): void {
    if (!this.#order.isSampling()) return;
    this.#endSampling();
    this.#emit([{ kind: 'gap', stream: STREAM, firstTick: this.#decoder!.arrivedTick, count: null, cause }], 0);
    if (cause !== 'unplugged') {
      this.#device
        .controlOut(outRequest(js110Request.settings), this.#encodeSettings(js110Streaming.off))
        .catch(() => {});
    }
    this.#stream?.stop();
    this.#chunks.fail(error);
  }

  #unexpected(what: string): DeviceError {
    return new DeviceError('device.wrong', {
      where: this.#device.name,
      problem: `it does not answer with ${what}`,
      remedy: 'check that this is a JS110 and not its boot loader, and plug it in again',
    });
  }
}
