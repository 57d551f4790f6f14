import { Subject } from 'rxjs';
import { z } from 'zod';
import { DeviceError, UsageError } from '../../signal/errors.ts';
import { type ClockInfo, type Gap, type SampleBlock, SampleFlag, type StreamInfo } from '../../signal/types.ts';
import { leastRoundTrip_s } from '../../transport/round-trip.ts';
import { realTime, type TimeSource, wait } from '../../transport/time.ts';
import type { UsbDevice, UsbInStream } from '../../transport/usb.ts';
import {
  type CommonSettings,
  type InstrumentChunk,
  type InstrumentEvent,
  type InstrumentIdentity,
  type InstrumentSupply,
  isSimulatedSerial,
  type PowerInstrument,
} from '../power-instrument.ts';
import { parseSettings } from '../settings.ts';
import { checkSupplyVoltage } from '../supply-limit.ts';
import { MonsoonDecoder } from './decoder.ts';
import {
  encodeCurrentLimit,
  encodeVoltage,
  getRequest,
  lvpmScale,
  type MonsoonCoefficients,
  maxCurrentLimit_A,
  parseAnswer,
  scaleUnit_A,
  setRequest,
  signed8,
  signed16,
  startRequest,
  stopRequest,
} from './protocol.ts';
import {
  type MonsoonChannel,
  type MonsoonModel,
  monsoonCalibrationInterval_ms,
  monsoonChannels,
  monsoonDefaultScales,
  monsoonDefaultZeroOffsets,
  monsoonEndpoint,
  monsoonError,
  monsoonFlag,
  monsoonKnownFirmware,
  monsoonModelCode,
  monsoonOpcode,
  monsoonPacketBytes,
  monsoonPassthrough,
  monsoonRanges,
  monsoonRate_Hz,
  monsoonResistorOpcode,
  monsoonSamplingBit,
  monsoonScaleOpcode,
  monsoonStatusFirmware,
  monsoonSupply_V,
  monsoonZeroOffsetOpcode,
} from './spec.ts';

const rails = ['main', 'usb', 'aux'] as const;

/** What a rig file may say under `settings`. */
export const monsoonSettingsSchema = z.strictObject({
  rate_Hz: z.literal(monsoonRate_Hz).optional().describe(`Only ${monsoonRate_Hz}.`),
  rails: z.array(z.enum(rails)).min(1).optional().describe('Channels to record; each is a stream. Default `[main]`.'),
  usbPassthrough: z
    .enum(Object.keys(monsoonPassthrough) as (keyof typeof monsoonPassthrough)[])
    .optional()
    .describe('`auto` cuts the USB channel while sampling. Default `on` where the rail `usb` is recorded, else `off`.'),
  currentLimit_A: z
    .number()
    .positive()
    .optional()
    .describe('Above it the supply trips. Absent = as the instrument is set.'),
  powerUpCurrentLimit_A: z.number().positive().optional().describe('The same just after the supply went on.'),
  powerUpTime_ms: z.int().min(0).max(255).optional().describe('How long `powerUpCurrentLimit_A` holds.'),
  calibrationInterval_ms: z
    .int()
    .min(1)
    .max(65_535)
    .optional()
    .describe(
      `Time from one pair of zero and reference samples to the next. Default ${monsoonCalibrationInterval_ms}.`,
    ),
});

export type MonsoonSettings = CommonSettings & z.infer<typeof monsoonSettingsSchema>;

export interface MonsoonOptions {
  time?: TimeSource;
}

const CLOCK = 'instrument';
/** The instrument's own queue lasts for 3 ms; a transfer is one packet of up to 3 samples. */
const TRANSFERS = 64;
/** Packets of an earlier measurement that wait in the instrument come at once. */
const STALE_MS = 10;
/** Packets still come for some milliseconds after STOP. */
const STOP_DRAIN_MS = 20;
const SILENCE_MS = 1000;
const SILENCE_CHECK_MS = 250;
/** Bounds of the calibration of the output voltage, beyond which PyMonsoon calibrates it again. */
const DAC_LOW = { above: 0xd000, below: 0xf000 };
const DAC_HIGH = { above: 0xc000, below: 0xd000 };
const ERASED = 0xffff;

type State = 'closed' | 'open' | 'configured' | 'sampling' | 'stopped';

/** Monsoon HVPM, or LVPM with USB firmware. */
export class Monsoon implements PowerInstrument<MonsoonSettings> {
  readonly #device: UsbDevice;
  readonly #time: TimeSource;
  readonly #chunks = new Subject<InstrumentChunk>();
  readonly samples$ = this.#chunks.asObservable();
  readonly supply: InstrumentSupply = {
    setVoltage: (voltage_V) => this.#setVoltage(voltage_V),
    on: () => this.#supplyOn(),
    off: () => this.#supplyOff(),
  };

  #state: State = 'closed';
  #identity: InstrumentIdentity | null = null;
  #model: MonsoonModel = 'HVPM';
  #coefficients: Record<MonsoonChannel, MonsoonCoefficients> | null = null;
  #settings: MonsoonSettings | null = null;
  #voltage_V: number | null = null;
  #roundTrip_s: number | null = null;

  #stream: UsbInStream | null = null;
  #decoder: MonsoonDecoder | null = null;
  #isOutputOn: boolean | null = null;
  #lastBytes_ns = 0;
  #stopWatching: () => void = () => {};
  #isOverloaded = false;

  constructor(device: UsbDevice, options: MonsoonOptions = {}) {
    this.#device = device;
    this.#time = options.time ?? realTime;
    device.closed.then((reason) => {
      if (reason.kind === 'lost') this.#fail(reason.error, 'unplugged');
    });
  }

  async open(): Promise<InstrumentIdentity> {
    const notices: string[] = [];
    if (await this.#isInSampleMode()) {
      await this.#device.controlOut(stopRequest());
      if (await this.#isInSampleMode()) throw this.#busy('it samples, and a STOP does not end that');
      notices.push('it was still sampling for an earlier program and has been stopped');
    }
    this.#model = await this.#readModel();
    const firmware = (await this.#get(monsoonOpcode.firmware)) & 0xff;
    if (firmware < monsoonStatusFirmware || firmware > monsoonKnownFirmware) {
      notices.push(`firmware ${firmware} is not known; only ${monsoonStatusFirmware} to ${monsoonKnownFirmware} are`);
    }
    this.#coefficients = await (this.#model === 'HVPM' ? this.#readHvpm(notices) : this.#readLvpm());
    await this.#checkDac(notices);
    this.#roundTrip_s = await leastRoundTrip_s(this.#time, () => this.#get(monsoonOpcode.firmware));
    const { serial } = this.#device;
    this.#state = 'open';
    this.#identity = {
      family: 'monsoon',
      model: `Monsoon ${this.#model}`,
      serial,
      firmware: String(firmware),
      hardware: null,
      simulated: isSimulatedSerial(serial),
      connection: this.#device.name,
      rates_Hz: [monsoonRate_Hz],
      supplyRange_V: monsoonSupply_V[this.#model],
      notices,
    };
    return this.#identity;
  }

  describe(): InstrumentIdentity {
    if (!this.#identity) throw this.#wrongOrder('describe()', 'open()');
    return this.#identity;
  }

  async configure(settings: MonsoonSettings): Promise<void> {
    if (this.#state !== 'open' && this.#state !== 'configured') throw this.#wrongOrder('configure()', 'open()');
    this.#check(settings);
    const { currentLimit_A, powerUpCurrentLimit_A, powerUpTime_ms } = settings;
    await this.#set(monsoonOpcode.voltage, 0);
    // Main and USB voltage in every measurement.
    await this.#set(monsoonOpcode.voltageChannel, 0);
    await this.#set(monsoonOpcode.usbPassthrough, monsoonPassthrough[passthroughOf(settings)]);
    if (powerUpCurrentLimit_A !== undefined) await this.#setLimit(monsoonOpcode.powerUpLimit, powerUpCurrentLimit_A);
    if (currentLimit_A !== undefined) await this.#setLimit(monsoonOpcode.runLimit, currentLimit_A);
    if (powerUpTime_ms !== undefined) await this.#set(monsoonOpcode.powerUpTime, powerUpTime_ms);
    this.#settings = settings;
    this.#state = 'configured';
  }

  get clocks(): readonly ClockInfo[] {
    const latencyBound_s = this.#roundTrip_s;
    return [{ id: CLOCK, tickHz: monsoonRate_Hz, kind: 'instrument', epoch_ns: null, latencyBound_s }];
  }

  get streams(): readonly StreamInfo[] {
    return this.#rails.map((rail) => ({
      id: rail,
      rail,
      clock: CLOCK,
      ticksPerSample: 1,
      quantities: rail === 'aux' ? ['current'] : ['current', 'voltage'],
      precision: 'f32',
      semantics: 'mean-forward',
      groupDelay_s: null,
      scale: {},
      assumedVoltage_V: null,
      ranges: [...monsoonRanges],
      logicInputs: [],
      calibration: null,
    }));
  }

  async start(): Promise<void> {
    if (this.#state !== 'configured') throw this.#wrongOrder('start()', 'configure()');
    this.#decoder = new MonsoonDecoder({
      model: this.#model,
      coefficients: this.#coefficients!,
      rails: this.#rails,
      where: this.#device.name,
    });
    this.#stream = this.#device.streamIn(
      monsoonEndpoint,
      { transfers: TRANSFERS, transferLength: monsoonPacketBytes },
      (bytes) => this.#sample(bytes),
    );
    // What comes before belongs to an earlier measurement.
    await wait(this.#time, STALE_MS);
    await this.#assertIdle();
    const { setup, data } = startRequest(this.#settings!.calibrationInterval_ms ?? monsoonCalibrationInterval_ms);
    this.#state = 'sampling';
    this.#lastBytes_ns = this.#time.now_ns();
    this.#watch();
    await this.#device.controlOut(setup, data);
  }

  async stop(): Promise<void> {
    if (this.#state !== 'sampling') return;
    this.#stopWatching();
    try {
      await this.#device.controlOut(stopRequest());
    } catch (error) {
      if (error instanceof DeviceError) this.#fail(error, 'unknown');
      throw error;
    }
    await wait(this.#time, STOP_DRAIN_MS);
    await this.#stream!.stop();
    // The instrument may have vanished meanwhile.
    if (!this.#isSampling()) return;
    this.#endSampling();
    this.#chunks.complete();
  }

  async close(): Promise<void> {
    const wasOpen = this.#state !== 'closed';
    await this.stop().catch(() => {});
    await this.#stream?.stop();
    this.#stopWatching();
    if (wasOpen) await this.#cutSupply().catch(() => {});
    this.#state = 'closed';
    this.#chunks.complete();
    await this.#device.close();
  }

  get #rails(): readonly (typeof rails)[number][] {
    if (!this.#settings) throw this.#wrongOrder('streams', 'configure()');
    return rails.filter((rail) => (this.#settings!.rails ?? ['main']).includes(rail));
  }

  #isSampling(): boolean {
    return this.#state === 'sampling';
  }

  #check(settings: MonsoonSettings): void {
    const { logicInputs, maxVoltage_V: _, ...own } = settings;
    parseSettings('monsoon', monsoonSettingsSchema, own);
    const refuse = (setting: string, problem: string, remedy: string) =>
      new UsageError('instrument.settings', { where: `instrument.settings.${setting}`, problem, remedy });
    if ((logicInputs?.length ?? 0) > 0) {
      throw refuse('logicInputs', 'a Monsoon has no logic inputs', 'let the host watch the trigger pin');
    }
    if (own.rails?.includes('usb') && passthroughOf(settings) !== 'on') {
      throw refuse('usbPassthrough', 'cuts the USB channel that is to be recorded', 'set it to on, or leave it out');
    }
    const max_A = maxCurrentLimit_A(this.#model);
    for (const setting of ['currentLimit_A', 'powerUpCurrentLimit_A'] as const) {
      if ((own[setting] ?? 0) > max_A) {
        throw refuse(setting, `is more than the ${max_A} A that an ${this.#model} takes`, 'set a lower limit');
      }
    }
  }

  /** The answer to a GET, whatever it is. */
  async #read(opcode: number): Promise<number> {
    const answer = parseAnswer(await this.#device.controlIn(getRequest(opcode), 4));
    if (answer === null) throw this.#wrongDevice(`it answers the question 0x${opcode.toString(16)} with too few bytes`);
    return answer;
  }

  async #get(opcode: number): Promise<number> {
    const answer = await this.#read(opcode);
    if (answer === monsoonError)
      throw this.#busy(`it answers the question 0x${opcode.toString(16)} with its error word`);
    return answer;
  }

  async #isInSampleMode(): Promise<boolean> {
    const firmware = await this.#read(monsoonOpcode.firmware);
    if (firmware === monsoonError) return true;
    if ((firmware & 0xff) < monsoonStatusFirmware) return false;
    return ((await this.#read(monsoonOpcode.startStatus)) & monsoonSamplingBit) !== 0;
  }

  /** It takes no values while it samples, and does not say so. */
  async #assertIdle(): Promise<void> {
    if (!(await this.#isInSampleMode())) return;
    await this.#device.controlOut(stopRequest());
    throw this.#busy('it samples although nobody here told it to');
  }

  async #set(opcode: number, value: number): Promise<void> {
    await this.#assertIdle();
    const { setup, data } = setRequest(opcode, value);
    await this.#device.controlOut(setup, data);
  }

  async #setLimit(opcode: number, limit_A: number): Promise<void> {
    const code = encodeCurrentLimit(this.#model, limit_A);
    await this.#set(opcode, code);
    const readBack = (await this.#get(opcode)) & 0xffff;
    if (readBack === code) return;
    throw new DeviceError('device.setting', {
      where: this.#device.name,
      problem: `the current limit of ${limit_A} A (code ${code}) reads back as code ${readBack}`,
      remedy: 'choose another limit, or leave it out to keep that of the instrument',
    });
  }

  async #readModel(): Promise<MonsoonModel> {
    const code = (await this.#get(monsoonOpcode.model)) & 0xffff;
    for (const model of ['HVPM', 'LVPM'] as const) if (monsoonModelCode[model] === code) return model;
    throw this.#wrongDevice(`it says that it is hardware model ${code}, which is neither LVPM (1) nor HVPM (2)`);
  }

  async #readHvpm(notices: string[]): Promise<Record<MonsoonChannel, MonsoonCoefficients>> {
    const lost: string[] = [];
    const coefficients = await this.#forChannels(async (channel) => {
      let scale = (await this.#get(monsoonScaleOpcode[channel])) & 0xffff;
      const offsetOpcode = monsoonZeroOffsetOpcode[channel];
      let zeroOffset = offsetOpcode === undefined ? 0 : signed16(await this.#get(offsetOpcode));
      if (scale === 0 || scale === ERASED) {
        lost.push(channel);
        scale = monsoonDefaultScales[channel];
        zeroOffset = monsoonDefaultZeroOffsets[channel];
      }
      return { scale_A: scale * scaleUnit_A('HVPM', channel), zeroOffset };
    });
    if (lost.length > 0) notices.push(`factory defaults stand in for the lost scales of ${lost.join(', ')}`);
    return coefficients;
  }

  #readLvpm(): Promise<Record<MonsoonChannel, MonsoonCoefficients>> {
    return this.#forChannels(async (channel) => {
      const resistorOffset = signed8(await this.#get(monsoonResistorOpcode[channel]));
      return { scale_A: lvpmScale(channel, resistorOffset) * scaleUnit_A('LVPM', channel), zeroOffset: 0 };
    });
  }

  async #forChannels(
    read: (channel: MonsoonChannel) => Promise<MonsoonCoefficients>,
  ): Promise<Record<MonsoonChannel, MonsoonCoefficients>> {
    const all: Partial<Record<MonsoonChannel, MonsoonCoefficients>> = {};
    for (const channel of monsoonChannels) all[channel] = await read(channel);
    return all as Record<MonsoonChannel, MonsoonCoefficients>;
  }

  async #checkDac(notices: string[]): Promise<void> {
    const low = (await this.#get(monsoonOpcode.dacLow)) & 0xffff;
    const high = (await this.#get(monsoonOpcode.dacHigh)) & 0xffff;
    const isWithin = (code: number, { above, below }: { above: number; below: number }) => code > above && code < below;
    if (isWithin(low, DAC_LOW) && isWithin(high, DAC_HIGH)) return;
    notices.push(`the calibration of its output voltage is doubtful (codes ${low} and ${high}): measure the voltage`);
  }

  async #setVoltage(voltage_V: number): Promise<void> {
    checkSupplyVoltage(voltage_V, monsoonSupply_V[this.#model], this.#settings?.maxVoltage_V, this.#device.name);
    if (this.#state !== 'configured') throw this.#wrongOrder('setVoltage()', 'configure(), before start()');
    this.#voltage_V = voltage_V;
    if (this.#isOutputOn) await this.#set(monsoonOpcode.voltage, encodeVoltage(voltage_V));
  }

  async #supplyOn(): Promise<void> {
    if (this.#voltage_V === null) {
      throw new UsageError('supply.no-voltage', {
        where: this.#device.name,
        problem: 'the supply has no voltage yet',
        remedy: 'set supply.voltage_V in the rig file; there is no default',
      });
    }
    if (this.#state !== 'configured') throw this.#wrongOrder('on()', 'configure(), before start()');
    await this.#set(monsoonOpcode.voltage, encodeVoltage(this.#voltage_V));
    this.#isOutputOn = true;
  }

  /** It takes no voltage while it samples, so this ends the measurement. */
  async #supplyOff(): Promise<void> {
    await this.stop().catch(() => {});
    await this.#cutSupply();
  }

  async #cutSupply(): Promise<void> {
    const { setup, data } = setRequest(monsoonOpcode.voltage, 0);
    await this.#device.controlOut(setup, data);
    this.#isOutputOn = false;
  }

  #sample(packet: Uint8Array): void {
    if (!this.#isSampling()) return;
    const arrival_ns = this.#time.now_ns();
    this.#lastBytes_ns = arrival_ns;
    const decoder = this.#decoder!;
    try {
      this.#emit(decoder.push(packet), arrival_ns);
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      this.#fail(error, 'invalid');
      return;
    }
    if (decoder.flags !== null) this.#takeFlags(decoder.flags);
  }

  #takeFlags(flags: number): void {
    if ((flags & monsoonFlag.overCurrent) !== 0) {
      this.#event('supply-trip', 'the instrument cut the supply: over-current, or too hot', this.#decoder!.arrivedTick);
      this.#fail(
        new DeviceError('device.overcurrent', {
          where: this.#device.name,
          problem: 'the instrument cut the supply: the current exceeded its limit, or it is too hot',
          remedy: 'check the device under test for a short circuit, or raise currentLimit_A',
        }),
        'unknown',
      );
      return;
    }
    const isOn = (flags & monsoonFlag.output) !== 0;
    if (this.#isOutputOn !== null && isOn !== this.#isOutputOn) {
      this.#event('supply', `the output is ${isOn ? 'on' : 'off'}`, this.#decoder!.arrivedTick);
    }
    this.#isOutputOn = isOn;
  }

  #emit(items: readonly (SampleBlock | Gap)[], arrival_ns: number): void {
    for (const item of items) {
      if (item.kind === 'block') item.arrival_ns = arrival_ns;
      this.#chunks.next(item);
      if (item.kind === 'block' && item.stream === this.#rails[0]) this.#noteOverload(item);
    }
  }

  #noteOverload(block: SampleBlock): void {
    const at = block.flags?.findIndex((flags) => (flags & SampleFlag.saturated) !== 0) ?? -1;
    if (at >= 0 && !this.#isOverloaded) {
      this.#event('overload', 'a converter is at the end of its scale', block.firstTick + at);
    }
    this.#isOverloaded = at >= 0;
  }

  #event(code: InstrumentEvent['code'], text: string, tick: number): void {
    this.#chunks.next({ kind: 'event', code, clock: CLOCK, tick, text, arrival_ns: this.#time.now_ns() });
  }

  #watch(): void {
    this.#stopWatching = this.#time.after(SILENCE_CHECK_MS, () => {
      if (this.#time.now_ns() - this.#lastBytes_ns < SILENCE_MS * 1e6) {
        this.#watch();
        return;
      }
      this.#fail(
        new DeviceError('device.stalled', {
          where: this.#device.name,
          problem: `no samples for ${SILENCE_MS} ms`,
          remedy: 'plug the Monsoon into another USB port (no hub), close other programs that use it, and start again',
        }),
        'unknown',
      );
    });
  }

  #endSampling(): void {
    this.#stopWatching();
    this.#state = 'stopped';
    this.#emit(this.#decoder!.end(), this.#time.now_ns());
  }

  /** Ends the stream with a Gap of unknown length and the error, and switches the supply off if that can still be done. */
  #fail(error: DeviceError, cause: Gap['cause']): void {
    if (!this.#isSampling()) return;
    this.#endSampling();
    const firstTick = this.#decoder!.arrivedTick;
    for (const stream of this.#rails) this.#chunks.next({ kind: 'gap', stream, firstTick, count: null, cause });
    if (cause !== 'unplugged') {
      this.#device
        .controlOut(stopRequest())
        .then(() => this.#cutSupply())
        .catch(() => {});
    }
    this.#stream?.stop();
    this.#chunks.error(error);
  }

  #busy(problem: string): DeviceError {
    return new DeviceError('device.busy', {
      where: this.#device.name,
      problem,
      remedy: 'close other programs that use it, plug it in again and start again',
    });
  }

  #wrongDevice(problem: string): DeviceError {
    return new DeviceError('device.wrong', {
      where: this.#device.name,
      problem,
      remedy: 'check that this is an HVPM or LVPM and not its boot loader, and plug it in again',
    });
  }

  #wrongOrder(call: string, needed: string): DeviceError {
    return new DeviceError('device.not-open', {
      where: this.#device.name,
      problem: `${call} was called out of order`,
      remedy: `call ${needed} first`,
    });
  }
}

function passthroughOf(settings: MonsoonSettings): keyof typeof monsoonPassthrough {
  return settings.usbPassthrough ?? (settings.rails?.includes('usb') ? 'on' : 'off');
}
