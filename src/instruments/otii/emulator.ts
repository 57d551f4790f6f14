import type { ByteStream } from '../../transport/byte-stream.ts';
import {
  checkEmulatorSerial,
  type Emulator,
  type EmulatorOptions,
  type FaultCatalogue,
  type FaultDone,
  parseFault,
} from '../emulator.ts';
import { PendingFaults, sendToHost } from '../emulator-parts.ts';

export const otiiFaults: FaultCatalogue = {
  'no-license': 'the account has no Automation Toolbox licence',
  'wrong-password': 'refuses the login',
  'not-logged-in': 'nobody is logged in',
  'no-device': 'no device is plugged in',
  'two-devices': 'two devices are plugged in',
  'other-protocol': 'speaks protocol 0.9',
  'wrong-device': 'is another kind of server',
  progress: 'sends progress lines before each reply',
  information: 'sends information between the replies',
  'slow=': 'each reply takes N ms',
  'refuse-setting': 'refuses the next setting of the device',
  'drop=': 'loses N samples of the current; the time stamps tell',
  'null-values=': 'N values of the current are null',
  'no-samples': 'the recording grows no more',
  'stop-voltage': 'the voltage grows no more',
  'wrong-rate': 'samples come at half the rate',
  rubbish: 'the next reply is no JSON',
  'half-line': 'the next reply breaks off in the middle',
  'device-gone': 'says that the device has been disconnected',
  stall: 'answers nothing any more',
  unplug: 'closes the connection',
};

/** Data entries that it gives at a time. */
const MAX_ENTRIES = 40_000;
const PROJECT = 1;
const LICENCE = { id: 1, type: 'Automation', available: true, hostname: '', addons: [] };
const EDGE_SLACK_S = 1e-9;

type Data = Record<string, unknown>;

class Refusal extends Error {
  readonly code: string;

  constructor(code: string, text = code) {
    super(text);
    this.code = code;
  }
}

export interface OtiiEmulatorOptions extends EmulatorOptions {
  /** Default `Arc`: 4 kHz of current, 1 kHz of voltage. An `Ace` takes other rates. */
  type?: 'Arc' | 'Ace';
}

/** A loss of samples of the current: from which one on, and how many. */
interface Loss {
  at: number;
  count: number;
}

/** The server of the Otii application with one device, seen from its TCP port. */
export class OtiiEmulator implements Emulator {
  readonly serial: string;
  readonly faultsDone: FaultDone[] = [];
  readonly #stream: ByteStream;
  readonly #options: OtiiEmulatorOptions;
  readonly #sourceStart_ns: number;
  readonly #inputs: readonly string[];
  readonly #faults = new PendingFaults();
  readonly #requests: string[] = [];
  readonly #channels = new Set<string>();
  #received = '';
  #work: Promise<void> = Promise.resolve();
  #isStalled = false;
  #isLoggedIn = true;
  #isReserved = false;
  #hasProject = false;
  readonly #rates_Hz = { mc: 4000, mv: 1000 };
  #volts = 3;
  #isOn = false;
  #recording: { start_ns: number; end_ns: number | null } | null = null;
  #recordings = 0;
  #frozen_ns: { mc: number | null; mv: number | null } = { mc: null, mv: null };
  #losses: Loss[] = [];
  #nulls: Loss | null = null;

  /** `stream` is the server's side of a connection. */
  constructor(stream: ByteStream, options: OtiiEmulatorOptions) {
    this.serial = checkEmulatorSerial(options.serial ?? 'SIM-OTII-0001');
    this.#stream = stream;
    this.#options = options;
    this.#sourceStart_ns = options.sourceStart_ns ?? options.time.now_ns();
    this.#inputs = options.inputs ?? [];
    if (options.type === 'Ace') this.#rates_Hz = { mc: 10_000, mv: 10_000 };
    stream.onData((bytes) => this.#receive(bytes));
    stream.closed.then(() => this.stop());
    // A fault that is injected right after this must still be heard.
    options.time.after(0, () => this.#greet());
  }

  get firstSample_s(): number | null {
    return this.#recording === null ? null : (this.#recording.start_ns - this.#sourceStart_ns) / 1e9;
  }

  /** The commands that were sent to it, in order. */
  get requests(): readonly string[] {
    return this.#requests;
  }

  inject(fault: string): void {
    const parsed = parseFault(fault, otiiFaults);
    const now_ns = this.#options.time.now_ns();
    switch (parsed.name) {
      case 'stall':
        this.#isStalled = true;
        break;
      case 'unplug':
        this.#stream.close();
        break;
      case 'wrong-password':
      case 'not-logged-in':
        this.#isLoggedIn = false;
        this.#faults.add(parsed);
        break;
      case 'device-gone':
        this.#information(`Device ${this.serial} disconnected`);
        break;
      case 'no-samples':
        this.#frozen_ns = { mc: now_ns, mv: now_ns };
        break;
      case 'stop-voltage':
        this.#frozen_ns.mv = now_ns;
        break;
      case 'drop':
        this.#losses.push({ at: this.#taken('mc'), count: parsed.value });
        this.faultsDone.push({ fault, sample: this.#taken('mc') });
        break;
      case 'null-values':
        this.#nulls = { at: this.#taken('mc'), count: parsed.value };
        this.faultsDone.push({ fault, sample: this.#taken('mc') });
        break;
      default:
        this.#faults.add(parsed);
    }
  }

  stop(): void {
    if (this.#recording) this.#recording.end_ns ??= this.#options.time.now_ns();
  }

  #send(text: string): void {
    if (!this.#isStalled) sendToHost(this.#stream, new TextEncoder().encode(text));
  }

  #line(document: Data): void {
    this.#send(`${JSON.stringify(document)}\r\n`);
  }

  #information(info: string): void {
    this.#line({ type: 'information', info });
  }

  #greet(): void {
    if (this.#faults.has('wrong-device')) {
      this.#send('SSH-2.0-OpenSSH_9.2\r\n');
      return;
    }
    const protocol_version = this.#faults.has('other-protocol') ? '0.9' : '0.1';
    this.#line({
      type: 'information',
      info: 'connected',
      data: { otii_version: '3.4.0', protocol_version, server: 'Otii emulation' },
    });
  }

  #receive(bytes: Uint8Array): void {
    this.#received += Buffer.from(bytes).toString('utf8');
    const lines = this.#received.split('\r\n');
    this.#received = lines.pop()!;
    for (const line of lines) this.#work = this.#work.then(() => this.#answer(line));
  }

  async #answer(line: string): Promise<void> {
    if (this.#isStalled) return;
    const { cmd, data = {}, trans_id } = JSON.parse(line) as { cmd: string; data?: Data; trans_id: string };
    this.#requests.push(cmd);
    const slow = this.#faults.find('slow');
    if (slow) await new Promise<void>((resolve) => this.#options.time.after(slow.value, resolve));
    if (this.#faults.has('information')) this.#information('The battery of the mouse is low');
    if (this.#faults.has('progress')) {
      for (const progress of [0.25, 0.75]) this.#line({ type: 'progress', cmd, trans_id, data: { progress } });
    }
    if (this.#faults.take('rubbish')) this.#send('{"type": "response", \u0007\r\n');
    else if (this.#faults.take('half-line')) this.#send(`{"type":"response","trans_id":"${trans_id}","da`);
    else this.#reply(cmd, data, trans_id);
  }

  #reply(cmd: string, data: Data, trans_id: string): void {
    try {
      this.#line({ type: 'response', cmd, trans_id, data: this.#execute(cmd, data) });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#line({ type: 'error', errorcode: error.code, cmd, trans_id, data: { message: error.message } });
    }
  }

  #execute(command: string, data: Data): Data {
    if (command === 'otii_is_logged_in') return { logged_in: this.#isLoggedIn };
    if (command === 'otii_login') return this.#logIn();
    if (!this.#isLoggedIn) throw new Refusal('Not logged in');
    if (this.#faults.has('no-license')) throw new Refusal('No license', 'No Automation Toolbox license reserved');
    if (/^arc_set|^arc_enable/.test(command) && this.#faults.take('refuse-setting')) {
      throw new Refusal('Invalid key value', 'value out of range');
    }
    const run = this.#commands[command];
    if (!run) throw new Refusal('Invalid command');
    return run(data) ?? {};
  }

  #logIn(): Data {
    if (this.#faults.has('wrong-password')) throw new Refusal('Could not login', 'Wrong username or password');
    this.#isLoggedIn = true;
    return {};
  }

  readonly #commands: Readonly<Record<string, (data: Data) => Data | undefined>> = {
    otii_logout: () => {
      this.#isLoggedIn = false;
    },
    otii_get_licenses: () => ({ licenses: [this.#licence()] }),
    otii_has_license: (data) => ({ has_license: this.#isReserved && data.license_type === LICENCE.type }),
    otii_reserve_license: () => {
      this.#isReserved = true;
    },
    otii_return_license: () => {
      this.#isReserved = false;
    },
    otii_get_devices: () => ({ devices: this.#devices() }),
    otii_get_device_id: (data) => {
      const device = this.#devices().find(({ name }) => name === data.device_name);
      if (!device) throw new Refusal('Device not connected');
      return { device_id: device.device_id };
    },
    otii_set_all_main: (data) => this.#switchMain(data),
    otii_get_active_project: () => ({ project_id: this.#hasProject ? PROJECT : -1 }),
    otii_create_project: () => {
      this.#hasProject = true;
      return { project_id: PROJECT };
    },
    arc_add_to_project: (data) => this.#own(data),
    arc_enable_channel: (data) => {
      this.#own(data);
      const channel = String(data.channel);
      if (!['mc', 'mv', 'i1', 'i2'].includes(channel)) throw new Refusal('Invalid key value', 'channel');
      if (data.enable === false) this.#channels.delete(channel);
      else this.#channels.add(channel);
    },
    arc_is_connected: (data) => ({ connected: data.device_id === this.serial }),
    arc_set_range: (data) => this.#own(data),
    arc_set_exp_voltage: (data) => this.#own(data),
    arc_enable_exp_port: (data) => this.#own(data),
    arc_set_max_current: (data) => this.#own(data),
    arc_set_channel_samplerate: (data) => {
      if (this.#options.type !== 'Ace') throw new Refusal('Command not valid for device type');
      if (Number(data.value) > 50_000) throw new Refusal('Invalid key value', 'value');
      this.#rates_Hz[data.channel as 'mc' | 'mv'] = Number(data.value);
    },
    arc_get_channel_samplerate: (data) => {
      if (this.#options.type !== 'Ace') throw new Refusal('Command not valid for device type');
      return { value: this.#rates_Hz[data.channel as 'mc' | 'mv'] };
    },
    arc_get_value: (data) => {
      this.#own(data);
      return { value: this.#valueNow(String(data.channel)) };
    },
    arc_get_gpi: (data) => {
      this.#own(data);
      return { value: this.#levelNow(data.pin === 1 ? 0 : 1) };
    },
    arc_get_main: (data) => {
      this.#own(data);
      return { value: this.#isOn };
    },
    arc_get_main_voltage: (data) => {
      this.#own(data);
      return { value: this.#volts };
    },
    arc_set_main_voltage: (data) => {
      this.#own(data);
      if (!(Number(data.value) >= 0.5 && Number(data.value) <= 5)) throw new Refusal('Invalid key value', 'value');
      this.#volts = Number(data.value);
      this.#supplyChanged();
    },
    arc_set_main: (data) => {
      this.#own(data);
      this.#switchMain(data);
    },
    project_start_recording: () => {
      this.#recording = { start_ns: this.#options.time.now_ns(), end_ns: null };
      this.#recordings++;
      this.#losses = [];
    },
    project_stop_recording: () => {
      if (!this.#recording) throw new Refusal('Command failure', 'No recording is running');
      this.stop();
    },
    project_get_last_recording: () => ({
      recording_id: this.#recordings === 0 ? -1 : this.#recordings,
      name: 'Recording',
    }),
    // Only the last one is kept.
    project_get_recordings: () => ({
      recordings: this.#recordings === 0 ? [] : [{ recording_id: this.#recordings, name: 'Recording' }],
    }),
    recording_is_running: () => ({ running: this.#recording !== null && this.#recording.end_ns === null }),
    recording_get_channel_info: (data) => {
      const channel = this.#analog(data);
      const rate_Hz = this.#rates_Hz[channel];
      return { offset: 0, from: 0, to: this.#taken(channel) / rate_Hz, sample_rate: rate_Hz };
    },
    recording_get_channel_data_index: (data) => ({
      index: Math.round(Number(data.timestamp) * this.#rates_Hz[this.#analog(data)]),
    }),
    recording_get_channel_statistics: (data) =>
      this.#statistics(this.#analog(data), Number(data.from), Number(data.to)),
    recording_get_channel_data_count: (data) => ({ count: this.#entries(String(data.channel)) }),
    recording_get_channel_data: (data) =>
      this.#channelData(String(data.channel), Number(data.index), Number(data.count)),
  };

  #devices(): Data[] {
    const device = { device_id: this.serial, name: 'Emulated', type: this.#options.type ?? 'Arc' };
    if (this.#faults.has('no-device')) return [];
    return this.#faults.has('two-devices')
      ? [device, { ...device, device_id: 'SIM-OTII-0002', name: 'Other' }]
      : [device];
  }

  #own(data: Data): undefined {
    if (data.device_id !== this.serial) throw new Refusal('Device not connected');
  }

  #licence(): Data {
    return { ...LICENCE, reserved_to: this.#isReserved ? 'emulation' : '' };
  }

  #switchMain(data: Data): undefined {
    this.#isOn = data.enable === true;
    this.#supplyChanged();
  }

  #now_s(): number {
    return (this.#options.time.now_ns() - this.#sourceStart_ns) / 1e9;
  }

  #valueNow(channel: string): number {
    if (channel === 'mv') return this.#isOn ? this.#volts : 0;
    if (channel !== 'mc') throw new Refusal('Invalid key value', 'channel');
    const [current, voltage] = [new Float64Array(1), new Float64Array(1)];
    this.#options.source.fillMeans(this.#now_s(), 1 / this.#rates_Hz.mc, 1, current, voltage);
    return this.#isOn ? current[0]! : 0;
  }

  #levelNow(input: number): boolean {
    const channel = this.#inputs[input];
    return channel !== undefined && this.#options.source.levelAt(channel, this.#now_s());
  }

  #analog(data: Data): 'mc' | 'mv' {
    const { channel } = data;
    if (channel !== 'mc' && channel !== 'mv') throw new Refusal('Invalid key value', 'channel');
    this.#entries(channel);
    return channel;
  }

  #statistics(channel: 'mc' | 'mv', from_s: number, to_s: number): Data {
    const rate_Hz = this.#rates_Hz[channel];
    const first = Math.max(0, Math.round(from_s * rate_Hz));
    const n = Math.min(this.#taken(channel), Math.round(to_s * rate_Hz)) - first;
    if (!(n > 0)) throw new Refusal('Invalid key value', 'from, to');
    let [min, max, sum, energy] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 0];
    const [current, voltage] = [new Float64Array(MAX_ENTRIES), new Float64Array(MAX_ENTRIES)];
    for (let done = 0; done < n; done += MAX_ENTRIES) {
      const length = Math.min(MAX_ENTRIES, n - done);
      const start_s = this.firstSample_s! + (first + done) / rate_Hz;
      this.#options.source.fillMeans(start_s, 1 / rate_Hz, length, current, voltage);
      for (let i = 0; i < length; i++) {
        const value = channel === 'mc' ? current[i]! : voltage[i]!;
        min = Math.min(min, value);
        max = Math.max(max, value);
        sum += value;
        energy += (current[i]! * voltage[i]!) / rate_Hz;
      }
    }
    return { min, max, average: sum / n, energy };
  }

  #supplyChanged(): void {
    this.#options.onSupply?.(this.#isOn ? this.#volts : 0);
  }

  /** Samples that a channel has taken since the recording began. */
  #taken(channel: 'mc' | 'mv'): number {
    if (!this.#recording) return 0;
    const now_ns = Math.min(
      this.#recording.end_ns ?? Number.POSITIVE_INFINITY,
      this.#frozen_ns[channel] ?? Number.POSITIVE_INFINITY,
      this.#options.time.now_ns(),
    );
    return Math.max(0, Math.floor(((now_ns - this.#recording.start_ns) / 1e9) * this.#rates_Hz[channel] + 1e-6));
  }

  #entries(channel: string): number {
    if (!this.#recording || !this.#channels.has(channel)) throw new Refusal('Command failure', 'No such channel');
    if (channel === 'mv') return this.#taken('mv');
    if (channel === 'mc') {
      const taken = this.#taken('mc');
      return taken - this.#losses.reduce((sum, { at, count }) => sum + Math.min(count, Math.max(0, taken - at)), 0);
    }
    return this.#edges(channel).length;
  }

  #edges(channel: string): { timestamp: number; value: boolean }[] {
    const input = this.#inputs[channel === 'i1' ? 0 : 1];
    const start_s = this.firstSample_s!;
    const now_ns = this.#recording!.end_ns ?? this.#options.time.now_ns();
    const end_s = (now_ns - this.#sourceStart_ns) / 1e9 + EDGE_SLACK_S;
    return this.#options.source
      .edgesBetween(start_s, end_s)
      .filter((edge) => edge.channel === input)
      .map(({ time_s, polarity }) => ({ timestamp: time_s - start_s, value: polarity === 'rise' }));
  }

  #channelData(channel: string, index: number, count: number): Data {
    if (count > MAX_ENTRIES) throw new Refusal('Request too large');
    const available = this.#entries(channel);
    const n = Math.max(0, Math.min(count, available - index));
    if (channel !== 'mc' && channel !== 'mv') {
      return { data_type: 'digital', values: this.#edges(channel).slice(index, index + n) };
    }
    const rate_Hz = this.#rates_Hz[channel];
    // A reply has one time stamp, so that it ends where samples were lost.
    const { sample, length } = channel === 'mc' ? this.#beforeLoss(index, n) : { sample: index, length: n };
    const [current, voltage] = [new Float64Array(length), new Float64Array(length)];
    this.#options.source.fillMeans(this.firstSample_s! + sample / rate_Hz, 1 / rate_Hz, length, current, voltage);
    const nulls = this.#nulls;
    const values = Array.from(channel === 'mc' ? current : voltage, (value, i) => {
      const isNull = channel === 'mc' && nulls && sample + i >= nulls.at && sample + i < nulls.at + nulls.count;
      return isNull ? null : Math.fround(value);
    });
    const interval = (this.#faults.has('wrong-rate') ? 2 : 1) / rate_Hz;
    return { data_type: 'analog', timestamp: sample / rate_Hz, interval, values };
  }

  /** Which sample entry `index` is, and how many entries follow it without a loss. */
  #beforeLoss(index: number, n: number): { sample: number; length: number } {
    let sample = index;
    for (const { at, count } of this.#losses) {
      if (sample < at) return { sample, length: Math.min(n, at - sample) };
      sample += count;
    }
    return { sample, length: n };
  }
}
