import { Subject } from 'rxjs';
import { z } from 'zod';
import { DeviceError, UsageError } from '../../signal/errors.ts';
import type { ClockInfo, Edge, Gap, StreamInfo } from '../../signal/types.ts';
import type { ByteStream } from '../../transport/byte-stream.ts';
import { realTime, type TimeSource } from '../../transport/time.ts';
import { rangesOf } from '../accuracy-sheet.ts';
import {
  type CommonSettings,
  type InstrumentChunk,
  type InstrumentEvent,
  type InstrumentIdentity,
  type InstrumentSupply,
  isSimulatedSerial,
  type PowerInstrument,
} from '../power-instrument.ts';
import { checkSupplyVoltage } from '../supply-limit.ts';
import { OtiiClient, parseAnalog, parseDigital } from './protocol.ts';
import { OtiiRecorder } from './recorder.ts';
import { otiiAccuracy, otiiArcRates_Hz, otiiChunk, otiiInputs } from './spec.ts';

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

type State = 'closed' | 'open' | 'configured' | 'sampling' | 'stopped';

/** Qoitech Otii Arc or Ace through the TCP server of the Otii application. */
export class Otii implements PowerInstrument<OtiiSettings> {
  readonly #stream: ByteStream;
  readonly #time: TimeSource;
  readonly #options: OtiiOptions;
  readonly #client: OtiiClient;
  readonly #chunks = new Subject<InstrumentChunk>();
  readonly samples$ = this.#chunks.asObservable();

  #state: State = 'closed';
  #identity: InstrumentIdentity | null = null;
  #device: Device | null = null;
  #project: number | null = null;
  #settings: OtiiSettings | null = null;
  #rates_Hz = otiiArcRates_Hz;
  #isVoltageSet = false;
  #hasSwitchedOn = false;

  #recording: number | null = null;
  #recorder: OtiiRecorder | null = null;
  #edgeIndex = [0, 0];
  #edgeSeq = [0, 0];
  #cancelPoll: () => void = () => {};
  #polling: Promise<void> = Promise.resolve();
  #lastData_ns = 0;

  constructor(stream: ByteStream, options: OtiiOptions = {}) {
    this.#stream = stream;
    this.#time = options.time ?? realTime;
    this.#options = options;
    this.#client = new OtiiClient(stream, this.#time, (text) => this.#information(text));
    stream.closed.then((reason) => {
      if (reason.kind === 'lost') this.#fail(reason.error, 'unplugged');
    });
  }

  async open(): Promise<InstrumentIdentity> {
    const { version } = await this.#client.greeting();
    await this.#logIn();
    const found = await this.#client.ask(z.looseObject({ devices: z.array(device) }), 'otii_get_devices', {
      timeout: FIND_S,
    });
    this.#device = this.#choose(found.devices);
    const serial = this.#device.device_id;
    this.#state = 'open';
    this.#identity = {
      family: 'otii',
      model: `Otii ${this.#device.type}`,
      serial,
      firmware: null,
      hardware: version === null ? null : `Otii server ${version}`,
      simulated: isSimulatedSerial(serial),
      connection: this.#stream.name,
      rates_Hz: [],
      supplyRange_V: SUPPLY_RANGE_V,
      notices: [],
    };
    return this.#identity;
  }

  describe(): InstrumentIdentity {
    if (!this.#identity) throw this.#wrongOrder('describe()', 'open()');
    return this.#identity;
  }

  async configure(settings: OtiiSettings): Promise<void> {
    if (this.#state !== 'open' && this.#state !== 'configured') throw this.#wrongOrder('configure()', 'open()');
    if ((settings.logicInputs?.length ?? 0) > otiiInputs.length) {
      throw this.#badSetting('logicInputs', 'names more than 2 inputs', 'name GPI 1 and GPI 2 at most');
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
    this.#settings = settings;
    this.#state = 'configured';
  }

  get clocks(): readonly ClockInfo[] {
    return [{ id: CLOCK, tickHz: this.#rates_Hz.current, kind: 'instrument', epoch_ns: null }];
  }

  get streams(): readonly StreamInfo[] {
    if (!this.#settings) throw this.#wrongOrder('streams', 'configure()');
    return [
      {
        id: STREAM,
        rail: 'main',
        clock: CLOCK,
        ticksPerSample: 1,
        quantities: ['current', 'voltage'],
        precision: 'f64',
        semantics: 'mean-forward',
        groupDelay_s: null,
        scale: {},
        assumedVoltage_V: null,
        ranges: rangesOf(otiiAccuracy),
        logicInputs: [],
        calibration: null,
      },
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
    if (this.#state !== 'configured') throw this.#wrongOrder('start()', 'configure()');
    await this.#client.request('project_start_recording', { project_id: this.#project });
    const { recording_id } = await this.#client.ask(
      z.looseObject({ recording_id: z.number() }),
      'project_get_last_recording',
      { project_id: this.#project },
    );
    this.#recording = recording_id;
    this.#recorder = new OtiiRecorder(STREAM, this.#rates_Hz, this.#stream.name);
    this.#lastData_ns = this.#time.now_ns();
    this.#state = 'sampling';
    this.#schedule();
  }

  async stop(): Promise<void> {
    if (!this.#isSampling()) return;
    this.#cancelPoll();
    await this.#polling;
    if (!this.#isSampling()) return;
    try {
      await this.#client.request('project_stop_recording', { project_id: this.#project });
      await this.#poll();
    } catch (error) {
      this.#failWith(error);
    }
    if (!this.#isSampling()) return;
    this.#state = 'stopped';
    this.#chunks.complete();
  }

  async close(): Promise<void> {
    if (this.#state !== 'closed') {
      await this.stop().catch(() => {});
      this.#cancelPoll();
      if (this.#hasSwitchedOn) await this.#supplyOff().catch(() => {});
      this.#state = 'closed';
      this.#chunks.complete();
    }
    await this.#stream.close();
  }

  #isSampling(): boolean {
    return this.#state === 'sampling';
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
        throw this.#badSetting('rate_Hz', `is ${wanted_Hz}`, `leave it out: an Arc has ${otiiArcRates_Hz.current} Hz`);
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
      throw this.#badSetting(
        'rate_Hz',
        `gives ${current} Hz of current and ${voltage} Hz of voltage`,
        'choose one rate',
      );
    }
    return { current: current!, voltage: voltage! };
  }

  #schedule(): void {
    this.#cancelPoll = this.#time.after(POLL_MS, () => {
      this.#polling = this.#poll().then(
        () => {
          if (!this.#isSampling()) return;
          if (this.#time.now_ns() - this.#lastData_ns < SILENCE_MS * 1e6) this.#schedule();
          else this.#fail(this.#stalled(), 'unknown');
        },
        (error) => this.#failWith(error),
      );
    });
  }

  async #poll(): Promise<void> {
    const recorder = this.#recorder!;
    const before = recorder.nextTick;
    for (const [quantity, channel] of Object.entries(CHANNELS)) {
      await this.#readAnalog(recorder[quantity as keyof typeof CHANNELS], channel);
    }
    const arrival_ns = this.#time.now_ns();
    const items = recorder.drain();
    // Asked after the samples: all edges up to the last sample are then there.
    for (const [k, input] of otiiInputs.entries()) {
      const name = (this.#settings!.logicInputs ?? otiiInputs)[k];
      if (name) await this.#readEdges(k, input, name, arrival_ns);
    }
    if (!this.#isSampling()) return;
    for (const item of items) {
      if (item.kind === 'block') item.arrival_ns = arrival_ns;
      this.#chunks.next(item);
    }
    if (recorder.nextTick === before) return;
    this.#lastData_ns = arrival_ns;
    this.#chunks.next({ kind: 'progress', clock: CLOCK, upTo: recorder.nextTick - 1 });
  }

  #channelData(channel: string): Record<string, unknown> {
    return { recording_id: this.#recording, device_id: this.#device!.device_id, channel };
  }

  async #count(channel: string): Promise<number> {
    const shape = z.looseObject({ count: z.int().nonnegative() });
    return (await this.#client.ask(shape, 'recording_get_channel_data_count', this.#channelData(channel))).count;
  }

  async #readAnalog(into: OtiiRecorder['current'], channel: string): Promise<void> {
    const total = await this.#count(channel);
    while (into.index < total) {
      const count = Math.min(otiiChunk, total - into.index);
      const command = 'recording_get_channel_data';
      const reply = await this.#client.request(command, { ...this.#channelData(channel), index: into.index, count });
      const data = this.#client.must(parseAnalog(reply), command);
      if (data.values.length === 0) return;
      into.push(data);
    }
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
    if (edges.length > 0 && this.#isSampling()) this.#chunks.next({ kind: 'edges', edges });
  }

  async #setVoltage(voltage_V: number): Promise<void> {
    checkSupplyVoltage(voltage_V, SUPPLY_RANGE_V, this.#settings?.maxVoltage_V, this.#stream.name);
    await this.#deviceCommand('arc_set_main_voltage', { value: voltage_V });
    this.#isVoltageSet = true;
  }

  async #supplyOn(): Promise<void> {
    if (!this.#isVoltageSet) {
      throw new UsageError('supply.no-voltage', {
        where: this.#stream.name,
        problem: 'the supply has no voltage yet',
        remedy: 'set supply.voltage_V in the rig file; there is no default',
      });
    }
    this.#hasSwitchedOn = true;
    await this.#deviceCommand('arc_set_main', { enable: true });
  }

  async #supplyOff(): Promise<void> {
    await this.#deviceCommand('arc_set_main', { enable: false });
    this.#hasSwitchedOn = false;
  }

  #information(text: string): void {
    if (!this.#isSampling()) return;
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
    const tick = this.#recorder?.nextTick ?? 0;
    this.#chunks.next({ kind: 'event', code, clock: CLOCK, tick, text, arrival_ns: this.#time.now_ns() });
  }

  #stalled(): DeviceError {
    return new DeviceError('device.stalled', {
      where: this.#stream.name,
      problem: `the recording has not grown for ${SILENCE_MS} ms`,
      remedy: 'check in the Otii application that the recording runs and that the device is connected',
    });
  }

  #failWith(error: unknown): void {
    if (!(error instanceof DeviceError)) throw error;
    this.#fail(error, error.code === 'device.vanished' ? 'unplugged' : 'unknown');
  }

  /** Ends the stream with a Gap of unknown length and the error; the supply goes off if the server can still be asked. */
  #fail(error: DeviceError, cause: Gap['cause']): void {
    if (!this.#isSampling()) return;
    this.#state = 'stopped';
    this.#cancelPoll();
    this.#chunks.next({ kind: 'gap', stream: STREAM, firstTick: this.#recorder!.nextTick, count: null, cause });
    if (this.#hasSwitchedOn) this.#supplyOff().catch(() => {});
    this.#client.request('project_stop_recording', { project_id: this.#project }).catch(() => {});
    this.#chunks.error(error);
  }

  #wrongOrder(call: string, needed: string): DeviceError {
    return new DeviceError('device.not-open', {
      where: this.#stream.name,
      problem: `${call} was called out of order`,
      remedy: `call ${needed} first`,
    });
  }

  #badSetting(setting: string, problem: string, remedy: string): UsageError {
    return new UsageError('instrument.setting', { where: `otii setting ${setting}`, problem, remedy });
  }
}
