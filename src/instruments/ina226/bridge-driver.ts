import { Subject } from 'rxjs';
import { DeviceError, UsageError } from '../../signal/errors.ts';
import type { ClockInfo, Edge, Gap, GapCause, SampleBlock, StreamInfo } from '../../signal/types.ts';
import type { ByteStream } from '../../transport/byte-stream.ts';
import { silent } from '../../transport/errors.ts';
import { realTime, type TimeSource, wait } from '../../transport/time.ts';
import {
  type InstrumentChunk,
  type InstrumentIdentity,
  isSimulatedSerial,
  type PowerInstrument,
} from '../power-instrument.ts';
import { configurationFor, encodeConfiguration, periodOf_us } from './configuration.ts';
import { type Inb1Message, Inb1Reader, inb1Version } from './inb1.ts';
import { RailStream, railStreamInfo } from './rail-stream.ts';
import { type Ina226Settings, ina226DefaultRate_Hz, type Rail, railsOf } from './settings.ts';
import { ina226Accuracy, ina226Addresses, ina226FullShunt } from './spec.ts';

export interface Ina226BridgeOptions {
  time?: TimeSource;
}

const CLOCK = 'instrument';
/** A command is answered at once; bytes of an earlier session may come first. */
const ANSWER_MS = 600;
const DRAIN_MS = 60;
const ATTEMPTS = 2;
const SILENCE_MS = 800;
const SILENCE_CHECK_MS = 250;
/** A frame has so many samples, or fewer where more ticks lie between two of them. */
const FRAME_SAMPLES = 16;
const MAX_TICKS_BETWEEN = 0xffff;
/** Edges are captured by a timer of so many ticks' resolution: rectangular, one tick wide. */
const EDGE_U_TICKS = 1 / Math.sqrt(12);
/** Bridges have up to 8 lines. */
const MAX_LINES = 8;
/** Neighbouring results farther apart than so many periods are not one after the other. */
const NEIGHBOURS = 1.5;

type State = 'closed' | 'open' | 'configured' | 'sampling' | 'stopped';

interface Chip {
  rail: Rail;
  stream: RailStream;
  period_ticks: number;
  lastTick: number | null;
  /** Number that the next sample should have. */
  sequence: number;
  /** Losses that the bridge has told of itself. */
  lost: number;
  isOverloaded: boolean;
}

/** INA226 chips behind an INB1 bridge: samples and edges are captured by one timer of the bridge. */
export class Ina226Bridge implements PowerInstrument<Ina226Settings> {
  readonly #port: ByteStream;
  readonly #time: TimeSource;
  readonly #chunks = new Subject<InstrumentChunk>();
  readonly samples$ = this.#chunks.asObservable();
  readonly supply = null;

  #state: State = 'closed';
  #identity: InstrumentIdentity | null = null;
  #tickHz = 0;
  #found = 0;
  #rails: Rail[] = [];
  #lines: readonly string[] = [];
  #chips = new Map<number, Chip>();
  #onMessage: (message: Inb1Message) => void = () => {};
  #onBytes: (bytes: Uint8Array) => void = () => {};
  #reader = new Inb1Reader();
  #lastSample_ns = 0;
  #stopWatching: () => void = () => {};

  constructor(port: ByteStream, options: Ina226BridgeOptions = {}) {
    this.#port = port;
    this.#time = options.time ?? realTime;
    port.onData((bytes) => this.#onBytes(bytes));
    port.closed.then((reason) => {
      if (reason.kind === 'lost') this.#fail(reason.error, 'unplugged');
    });
  }

  get clocks(): readonly ClockInfo[] {
    if (this.#state === 'closed') throw this.#wrongOrder('clocks', 'open()');
    return [{ id: CLOCK, tickHz: this.#tickHz, kind: 'instrument', epoch_ns: null }];
  }

  async open(): Promise<InstrumentIdentity> {
    const [line] = await this.#greet();
    const fields = Object.fromEntries([...line!.matchAll(/(\w+)=(\S+)/g)].map(([, key, value]) => [key, value]));
    const [version, tickHz, chips] = [Number(fields.v), Number(fields.tick), Number(fields.chips)];
    if (version !== inb1Version || !(tickHz > 0) || !Number.isInteger(chips)) {
      throw new DeviceError('device.firmware', {
        where: this.#port.name,
        problem: `it speaks another version of INB1: ${JSON.stringify(line)}`,
        remedy: `flash the bridge of this version of Joulemark (INB1 version ${inb1Version})`,
      });
    }
    if (chips === 0) {
      throw new DeviceError('device.missing', {
        where: this.#port.name,
        problem: 'the bridge has found no INA226 on its bus',
        remedy: 'check SDA, SCL, the supply of the chip and its address pins, then reset the bridge',
      });
    }
    this.#tickHz = tickHz;
    this.#found = chips;
    this.#state = 'open';
    const serial = fields.sn ?? null;
    this.#identity = {
      family: 'ina226',
      model: `${ina226Accuracy.model} behind an INB1 bridge`,
      serial,
      firmware: fields.fw ?? null,
      hardware: null,
      simulated: isSimulatedSerial(serial),
      connection: this.#port.name,
      rates_Hz: [],
      supplyRange_V: null,
      notices: [],
    };
    return this.#identity;
  }

  describe(): InstrumentIdentity {
    if (!this.#identity) throw this.#wrongOrder('describe()', 'open()');
    return this.#identity;
  }

  async configure(settings: Ina226Settings): Promise<void> {
    if (this.#state !== 'open' && this.#state !== 'configured') throw this.#wrongOrder('configure()', 'open()');
    const rails = railsOf(settings);
    const refuse = (where: string, problem: string, remedy: string) =>
      new UsageError('instrument.settings', { where: `instrument.settings.${where}`, problem, remedy });
    const beyond = rails.find((rail) => numberOf(rail) >= this.#found);
    if (beyond) {
      throw refuse(
        'chips',
        `the bridge has ${this.#found} chips and none with number ${numberOf(beyond)}`,
        'count its chips from 0x40: the first is 0x40, the second 0x41',
      );
    }
    const lines = settings.logicInputs ?? ['line0'];
    if (lines.length > MAX_LINES) throw refuse('logicInputs', 'names more than 8 lines', 'name 8 at most');
    const chosen = configurationFor(settings.rate_Hz ?? ina226DefaultRate_Hz);
    this.#chips = new Map();
    for (const rail of rails) {
      const chip = numberOf(rail);
      await this.#ask(`shunt ${chip} ${rail.shunt_ohm.toFixed(9)}`);
      await this.#ask(`cfg ${chip} ${encodeConfiguration(chosen).toString(16)}`);
      this.#chips.set(chip, {
        rail,
        stream: new RailStream(rail),
        period_ticks: (periodOf_us(chosen) * this.#tickHz) / 1e6,
        lastTick: null,
        sequence: 0,
        lost: 0,
        isOverloaded: false,
      });
    }
    await this.#ask(`gpio ${2 ** lines.length - 1} both`);
    this.#rails = rails;
    this.#lines = lines;
    this.#state = 'configured';
  }

  get streams(): readonly StreamInfo[] {
    if (this.#rails.length === 0) throw this.#wrongOrder('streams', 'configure()');
    return this.#rails.map((rail) => railStreamInfo(rail, CLOCK));
  }

  async start(): Promise<void> {
    if (this.#state !== 'configured') throw this.#wrongOrder('start()', 'configure()');
    this.#state = 'sampling';
    this.#lastSample_ns = this.#time.now_ns();
    this.#watch();
    await this.#ask('start');
  }

  async stop(): Promise<void> {
    if (!this.#isSampling()) return;
    this.#stopWatching();
    try {
      await this.#ask('stop');
    } catch (error) {
      if (error instanceof DeviceError) this.#fail(error, 'unknown');
      throw error;
    }
    // The instrument may have vanished meanwhile.
    if (!this.#isSampling()) return;
    this.#finish();
    this.#chunks.complete();
  }

  async close(): Promise<void> {
    await this.stop().catch(() => {});
    this.#stopWatching();
    this.#state = 'closed';
    this.#chunks.complete();
    await this.#port.close();
  }

  #isSampling(): boolean {
    return this.#state === 'sampling';
  }

  /** Ends an earlier session, switches to frames and asks who it is. */
  async #greet(): Promise<string[]> {
    let text = '';
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      this.#onBytes = (bytes) => {
        text = (text + Buffer.from(bytes).toString('latin1')).slice(-200);
      };
      await this.#port.write(Buffer.from('\nstop\nbin\n'));
      await wait(this.#time, DRAIN_MS);
      this.#reader = new Inb1Reader();
      this.#onBytes = (bytes) => {
        for (const message of this.#reader.push(bytes)) this.#take(message);
      };
      try {
        const lines = await this.#ask('id');
        if (lines[0]?.startsWith('INB1 ')) return lines;
      } catch (error) {
        if (!(error instanceof DeviceError) || error.code !== 'device.silent') throw error;
      }
    }
    if (text === '') throw silent(this.#port.name, 'the command id of an INB1 bridge', ANSWER_MS);
    throw new DeviceError('device.wrong', {
      where: this.#port.name,
      problem: `expected an INB1 bridge, found ${JSON.stringify(text.slice(0, 60))}`,
      remedy: 'choose the port of the bridge; close other programs that use it',
    });
  }

  /** Sends a command; the lines that it answers before its `ok`. */
  #ask(command: string): Promise<string[]> {
    const word = command.split(' ', 1)[0]!;
    return new Promise((resolve, reject) => {
      const lines: string[] = [];
      const finish = (settle: () => void) => {
        cancel();
        this.#onMessage = () => {};
        settle();
      };
      const cancel = this.#time.after(ANSWER_MS, () =>
        finish(() => reject(silent(this.#port.name, `the command ${word}`, ANSWER_MS))),
      );
      this.#port.closed.then((reason) => {
        if (reason.kind === 'lost') finish(() => reject(reason.error));
      });
      this.#onMessage = (message) => {
        if (message.type !== 'log') return;
        if (message.text === `ok ${word}`) finish(() => resolve(lines));
        else if (message.text.startsWith(`err ${word} `)) finish(() => reject(this.#refused(command, message.text)));
        else lines.push(message.text);
      };
      this.#port.write(Buffer.from(`${command}\n`)).catch((error) => finish(() => reject(error)));
    });
  }

  #take(message: Inb1Message): void {
    this.#onMessage(message);
    if (!this.#isSampling()) return;
    switch (message.type) {
      case 'samples':
        this.#takeSamples(message);
        break;
      case 'edge':
        this.#takeEdge(message);
        break;
      case 'overrun': {
        const chip = this.#chips.get(message.chip);
        if (chip) chip.lost = message.lost;
        break;
      }
    }
  }

  #takeSamples({ chip: number, sequence, ticks, shunt, bus }: Inb1Message & { type: 'samples' }): void {
    const chip = this.#chips.get(number);
    if (!chip || ticks.length === 0) return;
    const arrival_ns = this.#time.now_ns();
    this.#lastSample_ns = arrival_ns;
    const missing = (sequence - chip.sequence) >>> 0;
    if (missing > 0) {
      // Samples that the bridge itself could not read in time are announced before.
      const cause: GapCause = chip.lost > 0 ? 'dropped' : 'link-loss';
      const start = chip.lastTick ?? ticks[0]! - chip.period_ticks * (missing + 1);
      this.#emit(chip.stream.flush(), chip.stream.gap(start, missing < 2 ** 31 ? missing : null, cause));
      chip.lost = 0;
      chip.lastTick = null;
    }
    chip.sequence = (sequence + ticks.length) >>> 0;
    for (const [k, end] of ticks.entries()) {
      const last = chip.lastTick;
      const isNeighbour = last !== null && end > last && end - last < NEIGHBOURS * chip.period_ticks;
      const start = isNeighbour ? last : end - chip.period_ticks;
      this.#emit(chip.stream.add(start, end, shunt[k]!, bus[k]!, arrival_ns));
      chip.lastTick = end;
      this.#noteOverload(chip, shunt[k]!, end);
    }
    this.#chunks.next({ kind: 'progress', clock: CLOCK, upTo: ticks.at(-1)! });
  }

  #takeEdge({ tick, line, isHigh, sequence }: Inb1Message & { type: 'edge' }): void {
    const channel = this.#lines[line];
    if (channel === undefined) return;
    const edge: Edge = {
      clock: CLOCK,
      tick,
      u_ticks: EDGE_U_TICKS,
      channel,
      polarity: isHigh ? 'rise' : 'fall',
      seq: sequence,
      arrival_ns: this.#time.now_ns(),
    };
    this.#chunks.next({ kind: 'edges', edges: [edge] });
  }

  #noteOverload(chip: Chip, shunt: number, tick: number): void {
    const isOverloaded = Math.abs(shunt) >= ina226FullShunt;
    if (isOverloaded && !chip.isOverloaded) {
      const text = `the shunt of ${chip.rail.name} has more than 81.92 mV across it`;
      this.#chunks.next({ kind: 'event', code: 'overload', clock: CLOCK, tick, text, arrival_ns: this.#time.now_ns() });
    }
    chip.isOverloaded = isOverloaded;
  }

  #emit(...chunks: (SampleBlock | Gap | null)[]): void {
    for (const chunk of chunks) if (chunk) this.#chunks.next(chunk);
  }

  #watch(): void {
    this.#stopWatching = this.#time.after(SILENCE_CHECK_MS, () => {
      if (this.#time.now_ns() - this.#lastSample_ns < SILENCE_MS * 1e6 + this.#frame_ns) {
        this.#watch();
        return;
      }
      this.#fail(
        new DeviceError('device.stalled', {
          where: this.#port.name,
          problem: `no samples for ${Math.round(SILENCE_MS + this.#frame_ns / 1e6)} ms`,
          remedy: 'check the supply of the chips and the wires of their ALERT pins, and reset the bridge',
        }),
        'unknown',
      );
    });
  }

  /** How long the bridge may collect samples before it sends them. */
  get #frame_ns(): number {
    const times = [...this.#chips.values()].map(
      ({ period_ticks }) => period_ticks * (period_ticks > MAX_TICKS_BETWEEN ? 2 : FRAME_SAMPLES),
    );
    return (Math.max(...times) / this.#tickHz) * 1e9;
  }

  #finish(): void {
    this.#stopWatching();
    this.#state = 'stopped';
    for (const { stream } of this.#chips.values()) this.#emit(stream.flush());
  }

  #fail(error: DeviceError, cause: GapCause): void {
    if (!this.#isSampling()) return;
    this.#finish();
    for (const { stream, lastTick } of this.#chips.values()) this.#emit(stream.gap(lastTick ?? 0, null, cause));
    if (cause !== 'unplugged') this.#port.write(Buffer.from('stop\n')).catch(() => {});
    this.#chunks.error(error);
  }

  #refused(command: string, answer: string): DeviceError {
    return new DeviceError('device.refused', {
      where: this.#port.name,
      problem: `the bridge refused ${JSON.stringify(command)}: ${answer}`,
      remedy: 'check the wiring of the chips, and that the bridge has the firmware of this version of Joulemark',
    });
  }

  #wrongOrder(call: string, needed: string): DeviceError {
    return new DeviceError('device.not-open', {
      where: this.#port.name,
      problem: `${call} was called out of order`,
      remedy: `call ${needed} first`,
    });
  }
}

/** A bridge numbers its chips; a rig counts them from the first address. */
const numberOf = (rail: Rail): number => rail.address - ina226Addresses.first;
