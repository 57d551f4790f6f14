import { z } from 'zod';
import { DeviceError } from '../../signal/errors.ts';
import type { ClockInfo, Edge, Gap, StreamInfo } from '../../signal/types.ts';
import type { ByteStream } from '../../transport/byte-stream.ts';
import { leastRoundTrip_s } from '../../transport/round-trip.ts';
import { realTime, type TimeSource } from '../../transport/time.ts';
import { rangesOf } from '../accuracy-sheet.ts';
import { CallOrder } from '../call-order.ts';
import { ChunkEmitter } from '../chunk-emitter.ts';
import { expected, gapCauseOf, settingError, whenLost } from '../driver-errors.ts';
import { PollLoop } from '../poll-loop.ts';
import type {
  CommonSettings,
  InstrumentEvent,
  InstrumentIdentity,
  InstrumentSupply,
  PowerInstrument,
} from '../power-instrument.ts';
import { streamOf } from '../stream-info.ts';
import { checkSupplyVoltage, noSupplyVoltage } from '../supply-limit.ts';
import { OtiiClient, parseAnalog, parseDigital } from './protocol.ts';
import { OtiiRecorder } from './recorder.ts';
import { otiiAccuracy, otiiArcRates_Hz, otiiChunk, otiiInputs } from './spec.ts';

const badSetting = settingError('otii');

export interface OtiiSettings extends CommonSettings {
  /** `low` switches between the ranges by itself, `high` stays in the high one. Default: as the device is set. */
  range?: 'low' | 'high';
  /** Logic level of the expansion port in V. Default: as the device is set. */
  expansionVoltage_V?: number;
  /** The supply goes off above this current. Default: as the device is set. */
  currentLimit_A?: number;
}

/** The settings that stand in a rig file. */
export const otiiSettingsSchema = z.strictObject({
  rate_Hz: z.number().positive().optional(),
  range: z.enum(['low', 'high']).optional(),
  expansionVoltage_V: z.number().positive().optional(),
  currentLimit_A: z.number().positive().optional(),
});

export interface OtiiOptions {
  time?: TimeSource;
  /** Absent = the server must be logged in already. */
  login?: { username: string; password: string };
  /** Reserved at open, where the account has several. */
  licenceId?: number;
  /** Name of the device, where the server has several. */
  device?: string;
}

const CLOCK = 'recording';
const STREAM = 'main';
const CHANNELS = { current: 'mc', voltage: 'mv' } as const;
const POLL_MS = 200;
const SILENCE_MS = 1200;
/** What the server says when a device of its has gone. */
const GONE = /disconnect/i;
/** The server is given so long to look for devices, in s. */
const FIND_S = 1;
/** The server knows the limits of its devices and does not tell them. */
const SUPPLY_RANGE_V = { min: 0, max: Number.POSITIVE_INFINITY };

const device = z.looseObject({ device_id: z.string(), name: z.string(), type: z.string() });
type Device = z.infer<typeof device>;

/** Qoitech Otii Arc or Ace through the TCP server of the Otii application. */
export class Otii implements PowerInstrument<OtiiSettings> {
  readonly #stream: ByteStream;
  readonly #time: TimeSource;
  readonly #options: OtiiOptions;
  readonly #client: OtiiClient;
  readonly #order: CallOrder;
  readonly #chunks: ChunkEmitter;
  readonly samples$: PowerInstrument['samples$'];

  #device: Device | null = null;
  #project: number | null = null;
  #settings: OtiiSettings | null = null;
  #rates_Hz = otiiArcRates_Hz;
  #roundTrip_s: number | null = null;
  #isVoltageSet = false;
  #hasSwitchedOn = false;

  #recording: number | null = null;
  #recorder: OtiiRecorder | null = null;
  #edgeIndex = [0, 0];
  #edgeSeq = [0, 0];
  readonly #polls: PollLoop;
  #lastData_ns = 0;

  constructor(stream: ByteStream, options: OtiiOptions = {}) {
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
    this.#options = options;
    this.#client = new OtiiClient(stream, this.#time, (text) => this.#information(text));
    whenLost(stream.closed, (error) => this.#fail(error, 'unplugged'));
  }

  async open(): Promise<InstrumentIdentity> {
    const { version } = await this.#client.greeting();
    await this.#logIn();
    const found = await this.#client.ask(z.looseObject({ devices: z.array(device) }), 'otii_get_devices', {
      timeout: FIND_S,
    });
    this.#device = this.#choose(found.devices);
    const serial = this.#device.device_id;
    return this.#order.opened({
      family: 'otii',
      model: `Otii ${this.#device.type}`,
      serial,
      firmware: null,
      hardware: version === null ? null : `Otii server ${version}`,
      rates_Hz: [],
      supplyRange_V: SUPPLY_RANGE_V,
      notices: [],
    });
  }

  describe(): InstrumentIdentity {
    return this.#order.describe();
  }

  async configure(settings: OtiiSettings): Promise<void> {
    this.#order.check('configure()');
    if ((settings.logicInputs?.length ?? 0) > otiiInputs.length) {
      throw badSetting('logicInputs', 'names more than 2 inputs', 'name GPI 1 and GPI 2 at most');
    }
    await this.#useProject();
    await this.#deviceCommand('arc_add_to_project');
    for (const channel of Object.values(CHANNELS)) await this.#enable(channel);
    if (settings.range !== undefined) await this.#deviceCommand('arc_set_range', { range: settings.range });
    if (settings.expansionVoltage_V !== undefined) {
      await this.#deviceCommand('arc_set_exp_voltage', { value: settings.expansionVoltage_V });
    }
    const inputs = otiiInputs.filter((_, k) => (settings.logicInputs ?? otiiInputs)[k]);
    if (inputs.length > 0) await this.#deviceCommand('arc_enable_exp_port', { enable: true });
    for (const input of inputs) await this.#enable(input);
    if (settings.currentLimit_A !== undefined) {
      await this.#deviceCommand('arc_set_max_current', { value: settings.currentLimit_A });
    }
    this.#rates_Hz = await this.#findRates(settings.rate_Hz);
    this.#roundTrip_s = await this.#deviceRoundTrip_s();
    this.#settings = settings;
    this.#order.moveTo('configured');
  }

  get clocks(): readonly ClockInfo[] {
    // Samples of both channels must be there before either is passed on, so one may wait for the slower channel.
    const latencyBound_s = this.#roundTrip_s === null ? null : this.#roundTrip_s + 1 / this.#rates_Hz.voltage;
    return [{ id: CLOCK, tickHz: this.#rates_Hz.current, kind: 'instrument', epoch_ns: null, latencyBound_s }];
  }

  get streams(): readonly StreamInfo[] {
    if (!this.#settings) throw this.#order.wrong('streams', 'configure()');
    return [
      streamOf({
        id: STREAM,
        clock: CLOCK,
        ticksPerSample: 1,
        quantities: ['current', 'voltage'],
        precision: 'f64',
        semantics: 'mean-forward',
        ranges: rangesOf(otiiAccuracy),
      }),
    ];
  }

  get supply(): InstrumentSupply | null {
    if (!this.#settings) return null;
    return {
      setVoltage: (voltage_V) => this.#setVoltage(voltage_V),
      on: () => this.#supplyOn(),
      off: () => this.#supplyOff(),
    };
  }

  async start(): Promise<void> {
    this.#order.check('start()');
    await this.#client.request('project_start_recording', { project_id: this.#project });
    const { recording_id } = await this.#client.ask(
      z.looseObject({ recording_id: z.number() }),
      'project_get_last_recording',
      { project_id: this.#project },
    );
    this.#recording = recording_id;
    this.#recorder = new OtiiRecorder(STREAM, this.#rates_Hz, this.#stream.name);
    this.#lastData_ns = this.#time.now_ns();
    this.#order.moveTo('sampling');
    this.#polls.schedule(POLL_MS);
  }

  async stop(): Promise<void> {
    if (!this.#order.isSampling()) return;
    await this.#polls.end();
    if (!this.#order.isSampling()) return;
    try {
      await this.#client.request('project_stop_recording', { project_id: this.#project });
      await this.#poll();
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
      if (this.#hasSwitchedOn) await this.#supplyOff().catch(() => {});
      this.#order.moveTo('closed');
      this.#chunks.complete();
    }
    await this.#stream.close();
  }

  async #logIn(): Promise<void> {
    const { login, licenceId } = this.#options;
    const { logged_in } = await this.#client.ask(z.looseObject({ logged_in: z.boolean() }), 'otii_is_logged_in');
    if (!logged_in && login) await this.#client.request('otii_login', login);
    if (licenceId !== undefined) await this.#client.request('otii_reserve_license', { license_id: licenceId });
  }

  #choose(devices: Device[]): Device {
    const wanted = this.#options.device;
    const fitting = devices.filter(
      ({ name, device_id }) => wanted === undefined || wanted === name || wanted === device_id,
    );
    const [only] = fitting;
    if (only && fitting.length === 1) return only;
    const names = devices.map(({ name }) => name).join(', ');
    throw new DeviceError(only ? 'device.ambiguous' : 'device.missing', {
      where: this.#stream.name,
      problem: only
        ? `the Otii server has several devices: ${names}`
        : `the Otii server has ${wanted === undefined ? 'no device' : `no device ${wanted}; it has ${names || 'none'}`}`,
      remedy: only ? 'say which one to use' : 'plug the device into the computer on which the Otii application runs',
    });
  }

  async #useProject(): Promise<void> {
    const shape = z.looseObject({ project_id: z.number() });
    let { project_id } = await this.#client.ask(shape, 'otii_get_active_project');
    if (project_id === -1) ({ project_id } = await this.#client.ask(shape, 'otii_create_project'));
    this.#project = project_id;
  }

  #deviceCommand(command: string, data: Record<string, unknown> = {}): Promise<unknown> {
    return this.#client.request(command, { device_id: this.#device!.device_id, ...data });
  }

  async #enable(channel: string): Promise<void> {
    await this.#deviceCommand('arc_enable_channel', { channel, enable: true });
  }

  /** An Ace tells its rates and takes others; an Arc has its own, and refuses to be asked. */
  async #findRates(wanted_Hz: number | undefined): Promise<{ current: number; voltage: number }> {
    if (this.#device!.type === 'Arc') {
      if (wanted_Hz !== undefined && wanted_Hz !== otiiArcRates_Hz.current) {
        throw badSetting('rate_Hz', `is ${wanted_Hz}`, `leave it out: an Arc has ${otiiArcRates_Hz.current} Hz`);
      }
      return otiiArcRates_Hz;
    }
    const channels = Object.values(CHANNELS);
    if (wanted_Hz !== undefined) {
      for (const channel of channels)
        await this.#deviceCommand('arc_set_channel_samplerate', { channel, value: wanted_Hz });
    }
    const [current, voltage] = await Promise.all(
      channels.map(async (channel) => {
        const reply = await this.#deviceCommand('arc_get_channel_samplerate', { channel });
        const shape = z.looseObject({ value: z.number().positive() });
        const parsed = shape.safeParse(reply);
        return this.#client.must(parsed.success ? parsed.data.value : null, 'arc_get_channel_samplerate');
      }),
    );
    if (!Number.isInteger(current! / voltage!)) {
      throw badSetting('rate_Hz', `gives ${current} Hz of current and ${voltage} Hz of voltage`, 'choose one rate');
    }
    return { current: current!, voltage: voltage! };
  }

  /** A reading goes the whole way, to the device and back; null where the server has none to give. */
  async #deviceRoundTrip_s(): Promise<number | null> {
    try {
      return await leastRoundTrip_s(this.#time, () =>
        this.#deviceCommand('arc_get_value', { channel: CHANNELS.voltage }),
      );
    } catch (error) {
      if (error instanceof DeviceError && error.code === 'device.refused') return null;
      throw error;
    }
  }

  async #pollOnce(): Promise<void> {
    await this.#poll();
    if (!this.#order.isSampling()) return;
    if (this.#time.now_ns() - this.#lastData_ns < SILENCE_MS * 1e6) this.#polls.schedule(POLL_MS);
    else this.#fail(this.#stalled(), 'unknown');
  }

  async #poll(): Promise<void> {
    const recorder = this.#recorder!;
    const before = recorder.nextTick;
    // Nothing that is passed on ends after the newest sample of the current, which was there by now.
    const arrival_ns = await this.#readAnalog(recorder.current, CHANNELS.current);
    await this.#readAnalog(recorder.voltage, CHANNELS.voltage);
    const items = recorder.drain();
    // Asked after the samples: all edges up to the last sample are then there.
    for (const [k, input] of otiiInputs.entries()) {
      const name = (this.#settings!.logicInputs ?? otiiInputs)[k];
      if (name) await this.#readEdges(k, input, name, arrival_ns);
    }
    if (!this.#order.isSampling()) return;
    for (const item of items) {
      if (item.kind === 'block') item.arrival_ns = arrival_ns;
      this.#chunks.emit(item);
    }
    if (recorder.nextTick === before) return;
    this.#lastData_ns = arrival_ns;
    this.#chunks.progress(recorder.nextTick - 1);
  }

  #channelData(channel: string): Record<string, unknown> {
    return { recording_id: this.#recording, device_id: this.#device!.device_id, channel };
  }

  async #count(channel: string): Promise<number> {
    const shape = z.looseObject({ count: z.int().nonnegative() });
    return (await this.#client.ask(shape, 'recording_get_channel_data_count', this.#channelData(channel))).count;
  }

  /** Reads everything that the server has. @returns when the server said how much that is */
  async #readAnalog(into: OtiiRecorder['current'], channel: string): Promise<number> {
    const total = await this.#count(channel);
    const counted_ns = this.#time.now_ns();
    while (into.index < total) {
      const count = Math.min(otiiChunk, total - into.index);
      const command = 'recording_get_channel_data';
      const reply = await this.#client.request(command, { ...this.#channelData(channel), index: into.index, count });
      const data = this.#client.must(parseAnalog(reply), command);
      if (data.values.length === 0) break;
      into.push(data);
    }
    return counted_ns;
  }

  async #readEdges(k: number, channel: string, name: string, arrival_ns: number): Promise<void> {
    const total = await this.#count(channel);
    const index = this.#edgeIndex[k]!;
    if (total <= index) return;
    const command = 'recording_get_channel_data';
    const count = Math.min(otiiChunk, total - index);
    const reply = await this.#client.request(command, { ...this.#channelData(channel), index, count });
    const found = this.#client.must(parseDigital(reply), command);
    this.#edgeIndex[k] = index + found.length;
    const edges = found.map(
      ({ timestamp_s, level }): Edge => ({
        clock: CLOCK,
        tick: timestamp_s * this.#rates_Hz.current,
        // How exactly the server stamps edges is not documented.
        u_ticks: null,
        channel: name,
        polarity: level ? 'rise' : 'fall',
        seq: this.#edgeSeq[k]!++,
        arrival_ns,
      }),
    );
    if (edges.length > 0 && this.#order.isSampling()) this.#chunks.emit({ kind: 'edges', edges });
  }

  async #setVoltage(voltage_V: number): Promise<void> {
    checkSupplyVoltage(voltage_V, SUPPLY_RANGE_V, this.#settings?.maxVoltage_V, this.#stream.name);
    await this.#deviceCommand('arc_set_main_voltage', { value: voltage_V });
    this.#isVoltageSet = true;
  }

  async #supplyOn(): Promise<void> {
    if (!this.#isVoltageSet) throw noSupplyVoltage(this.#stream.name);
    this.#hasSwitchedOn = true;
    await this.#deviceCommand('arc_set_main', { enable: true });
  }

  async #supplyOff(): Promise<void> {
    await this.#deviceCommand('arc_set_main', { enable: false });
    this.#hasSwitchedOn = false;
  }

  #information(text: string): void {
    if (!this.#order.isSampling()) return;
    this.#event('info', text);
    if (!GONE.test(text)) return;
    const error = new DeviceError('device.vanished', {
      where: this.#stream.name,
      problem: `the Otii server says "${text}"`,
      remedy: 'plug the device in again, and start again',
    });
    this.#fail(error, 'unplugged');
  }

  #event(code: InstrumentEvent['code'], text: string): void {
    this.#chunks.event(code, text, this.#recorder?.nextTick ?? 0);
  }

  #stalled(): DeviceError {
    return new DeviceError('device.stalled', {
      where: this.#stream.name,
      problem: `the recording has not grown for ${SILENCE_MS} ms`,
      remedy: 'check in the Otii application that the recording runs and that the device is connected',
    });
  }

  #failWith(error: unknown): void {
    const failure = expected(error);
    this.#fail(failure, gapCauseOf(failure));
  }

  /** Ends the stream with a Gap of unknown length and the error; the supply goes off if the server can still be asked. */
  #fail(error: DeviceError, cause: Gap['cause']): void {
    if (!this.#order.isSampling()) return;
    this.#order.moveTo('stopped');
    this.#polls.cancel();
    this.#chunks.gap(STREAM, this.#recorder!.nextTick, null, cause);
    if (this.#hasSwitchedOn) this.#supplyOff().catch(() => {});
    this.#client.request('project_stop_recording', { project_id: this.#project }).catch(() => {});
    this.#chunks.fail(error);
  }
}
