import { DeviceError } from '../../signal/errors.ts';
import type { ClockInfo, Edge, Gap, GapCause, SampleBlock, StreamInfo } from '../../signal/types.ts';
import type { ByteStream } from '../../transport/byte-stream.ts';
import { silent } from '../../transport/errors.ts';
import { leastRoundTrip_s } from '../../transport/round-trip.ts';
import { realTime, type TimeSource, wait } from '../../transport/time.ts';
import { CallOrder } from '../call-order.ts';
import { ChunkEmitter } from '../chunk-emitter.ts';
import { expected, whenLost } from '../driver-errors.ts';
import type { InstrumentIdentity, PowerInstrument } from '../power-instrument.ts';
import { watchSilence } from '../silence-watch.ts';
import { hex16 } from './chip-registers.ts';
import type { ChipSettings, ChipType, RailPlan } from './chip-type.ts';
import type { ConversionStream } from './conversion-stream.ts';
import { type Inb1Message, Inb1Reader, inb1Version } from './inb1.ts';
import { chipAddresses, type Rail, refusedSetting } from './rails.ts';

export interface BridgeOptions {
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

interface Chip {
  stream: ConversionStream;
  period_ticks: number;
  lastTick: number | null;
  /** Number that the next sample should have. */
  sequence: number;
  /** Losses that the bridge has told of itself. */
  lost: number;
  isOverloaded: boolean;
}

/** Chips of one type behind an INB1 bridge: samples and edges are captured by one timer of the bridge. */
export class ChipsBehindBridge<Settings extends ChipSettings> implements PowerInstrument<Settings> {
  readonly #type: ChipType<Settings>;
  readonly #port: ByteStream;
  readonly #time: TimeSource;
  readonly #order: CallOrder;
  readonly #chunks: ChunkEmitter;
  readonly samples$: PowerInstrument['samples$'];
  readonly supply = null;

  #tickHz = 0;
  #roundTrip_s: number | null = null;
  /** What each chip of the bridge says of its type, by its number. */
  #dies: (number | null)[] = [];
  #plans: RailPlan[] = [];
  #lines: readonly string[] = [];
  #chips = new Map<number, Chip>();
  #onMessage: (message: Inb1Message) => void = () => {};
  #onBytes: (bytes: Uint8Array) => void = () => {};
  #reader = new Inb1Reader();
  #lastSample_ns = 0;
  #stopWatching: () => void = () => {};

  constructor(type: ChipType<Settings>, port: ByteStream, options: BridgeOptions = {}) {
    this.#type = type;
    this.#port = port;
    this.#time = options.time ?? realTime;
    port.onData((bytes) => this.#onBytes(bytes));
    this.#order = new CallOrder(port.name);
    this.#chunks = new ChunkEmitter(this.#time, CLOCK);
    this.samples$ = this.#chunks.chunks$;
    whenLost(port.closed, (error) => this.#fail(error, 'unplugged'));
  }

  get clocks(): readonly ClockInfo[] {
    if (this.#order.isClosed()) throw this.#order.wrong('clocks', 'open()');
    const latencyBound_s = this.#roundTrip_s;
    return [{ id: CLOCK, tickHz: this.#tickHz, kind: 'instrument', epoch_ns: null, latencyBound_s }];
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
    const { family, name, model } = this.#type;
    if (chips === 0) {
      throw new DeviceError('device.missing', {
        where: this.#port.name,
        problem: `the bridge has found no ${name} on its bus`,
        remedy: 'check SDA, SCL, the supply of the chip and its address pins, then reset the bridge',
      });
    }
    this.#roundTrip_s = await leastRoundTrip_s(this.#time, () => this.#ask('id'));
    this.#tickHz = tickHz;
    this.#dies = await this.#scan(chips);
    if (!this.#dies.some((die) => this.#isOwn(die))) {
      throw new DeviceError('device.wrong', {
        where: this.#port.name,
        problem: `no ${name} among the chips of the bridge: ${this.#dies.map(dieText).join(', ')}`,
        remedy: 'choose the family of the chips that are there',
      });
    }
    return this.#order.opened({
      family,
      model: `${model} behind an INB1 bridge`,
      serial: fields.sn ?? null,
      firmware: fields.fw ?? null,
      hardware: null,
      rates_Hz: [],
      supplyRange_V: null,
      notices: [],
    });
  }

  describe(): InstrumentIdentity {
    return this.#order.describe();
  }

  async configure(settings: Settings): Promise<void> {
    this.#order.check('configure()');
    const plans = this.#type.plan(settings);
    for (const { rail, bridge } of plans) {
      const die = this.#dies[numberOf(rail)];
      if (die === undefined) {
        throw refusedSetting(
          'chips',
          `the bridge has ${this.#dies.length} chips and none with number ${numberOf(rail)}`,
          'count its chips from 0x40: the first is 0x40, the second 0x41',
        );
      }
      if (!this.#isOwn(die)) {
        const problem = `chip ${numberOf(rail)} of the bridge is no ${this.#type.name} (${dieText(die)})`;
        throw refusedSetting('chips', problem, 'name one that is');
      }
      if (bridge === null) {
        throw refusedSetting('output', 'a bridge sends conversions only', 'leave it out, or wire the chip to a bus');
      }
    }
    const lines = settings.logicInputs ?? ['line0'];
    if (lines.length > MAX_LINES) throw refusedSetting('logicInputs', 'names more than 8 lines', 'name 8 at most');
    this.#chips = new Map();
    for (const { rail, period_us, bridge } of plans) {
      const chip = numberOf(rail);
      const words = bridge!.configuration.map((word) => word.toString(16)).join(' ');
      await this.#ask(`shunt ${chip} ${rail.shunt_ohm.toFixed(9)}`);
      await this.#ask(`cfg ${chip} ${words}`);
      this.#chips.set(chip, {
        stream: bridge!.stream(),
        period_ticks: (period_us * this.#tickHz) / 1e6,
        lastTick: null,
        sequence: 0,
        lost: 0,
        isOverloaded: false,
      });
    }
    await this.#ask(`gpio ${2 ** lines.length - 1} both`);
    this.#plans = plans;
    this.#lines = lines;
    this.#order.moveTo('configured');
  }

  get streams(): readonly StreamInfo[] {
    if (this.#plans.length === 0) throw this.#order.wrong('streams', 'configure()');
    return this.#plans.map((plan) => plan.stream(CLOCK));
  }

  async start(): Promise<void> {
    this.#order.check('start()');
    this.#order.moveTo('sampling');
    this.#lastSample_ns = this.#time.now_ns();
    this.#watch();
    await this.#ask('start');
  }

  async stop(): Promise<void> {
    if (!this.#order.isSampling()) return;
    this.#stopWatching();
    try {
      await this.#ask('stop');
    } catch (error) {
      this.#fail(expected(error), 'unknown');
      throw error;
    }
    // The instrument may have vanished meanwhile.
    if (!this.#order.isSampling()) return;
    this.#finish();
    this.#chunks.complete();
  }

  async close(): Promise<void> {
    await this.stop().catch(() => {});
    this.#stopWatching();
    this.#order.moveTo('closed');
    this.#chunks.complete();
    await this.#port.close();
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
        if (expected(error).code !== 'device.silent') throw error;
      }
    }
    if (text === '') throw silent(this.#port.name, 'the command id of an INB1 bridge', ANSWER_MS);
    throw new DeviceError('device.wrong', {
      where: this.#port.name,
      problem: `expected an INB1 bridge, found ${JSON.stringify(text.slice(0, 60))}`,
      remedy: 'choose the port of the bridge; close other programs that use it',
    });
  }

  /** The number that each of the bridge's chips says of its type; null for one that the bridge does not list. */
  async #scan(chips: number): Promise<(number | null)[]> {
    const dies = new Array<number | null>(chips).fill(null);
    for (const line of await this.#ask('scan')) {
      const [, chip, die] = /^chip (\d+) .*\bid=0x([0-9a-f]{1,4})$/i.exec(line) ?? [];
      if (chip !== undefined && Number(chip) < chips) dies[Number(chip)] = Number.parseInt(die!, 16);
    }
    return dies;
  }

  #isOwn(die: number | null): boolean {
    return die !== null && (die & 0xfff0) === this.#type.die;
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
    if (!this.#order.isSampling()) return;
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
    this.#chunks.progress(ticks.at(-1)!);
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
    this.#chunks.emit({ kind: 'edges', edges: [edge] });
  }

  #noteOverload(chip: Chip, shunt: number, tick: number): void {
    const overload = chip.stream.overload(shunt);
    if (overload !== null && !chip.isOverloaded) this.#chunks.event('overload', overload, tick);
    chip.isOverloaded = overload !== null;
  }

  #emit(...chunks: (SampleBlock | Gap | null)[]): void {
    for (const chunk of chunks) if (chunk) this.#chunks.emit(chunk);
  }

  #watch(): void {
    const limit_ms = SILENCE_MS + this.#frame_ns / 1e6;
    const lastSign_ns = () => this.#lastSample_ns;
    this.#stopWatching = watchSilence(this.#time, { every_ms: SILENCE_CHECK_MS, limit_ms, lastSign_ns }, () =>
      this.#fail(
        new DeviceError('device.stalled', {
          where: this.#port.name,
          problem: `no samples for ${Math.round(limit_ms)} ms`,
          remedy: 'check the supply of the chips and the wires of their ALERT pins, and reset the bridge',
        }),
        'unknown',
      ),
    );
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
    this.#order.moveTo('stopped');
    for (const { stream } of this.#chips.values()) this.#emit(stream.flush());
  }

  #fail(error: DeviceError, cause: GapCause): void {
    if (!this.#order.isSampling()) return;
    this.#finish();
    for (const { stream, lastTick } of this.#chips.values()) this.#emit(stream.gap(lastTick ?? 0, null, cause));
    if (cause !== 'unplugged') this.#port.write(Buffer.from('stop\n')).catch(() => {});
    this.#chunks.fail(error);
  }

  #refused(command: string, answer: string): DeviceError {
    return new DeviceError('device.refused', {
      where: this.#port.name,
      problem: `the bridge refused ${JSON.stringify(command)}: ${answer}`,
      remedy: 'check the wiring of the chips, and that the bridge has the firmware of this version of Joulemark',
    });
  }
}

/** A bridge numbers its chips; a rig counts them from the first address. */
const numberOf = (rail: Rail): number => rail.address - chipAddresses.first;

const dieText = (die: number | null): string => (die === null ? 'unknown' : hex16(die));
