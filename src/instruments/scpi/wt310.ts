import { z } from 'zod';
import { type ClockInfo, type SampleBlock, SampleFlag, type StreamInfo } from '../../signal/types.ts';
import { rangesOf } from '../accuracy-sheet.ts';
import type { InstrumentEvent } from '../power-instrument.ts';
import { parseSettings } from '../settings.ts';
import { streamOf } from '../stream-info.ts';
import type { ScpiContext, ScpiModel, ScpiRun } from './model.ts';
import { floatAt } from './protocol.ts';
import type { ScpiSession } from './session.ts';
import { scpiAccuracy, wt310Intervals_ms } from './spec.ts';

/** Settings of a rig file; which ones a run needs is found out by configure(). */
export const wt310Settings = z.strictObject({
  rate_Hz: z.number().optional(),
  maxVoltage_V: z.number().optional(),
  element: z.union([z.literal(1), z.literal(2), z.literal(3)]).default(1),
  voltageRange: z.union([z.literal('auto'), z.number().positive()]).optional(),
  currentRange: z.union([z.literal('auto'), z.number().positive()]).optional(),
  crestFactor: z.union([z.literal(3), z.literal(6)]).optional(),
  mode: z.enum(['RMS', 'VMEAN', 'DC']).default('DC'),
  format: z.enum(['ascii', 'float']).default('ascii'),
});

type Settings = z.infer<typeof wt310Settings>;

/** Microseconds of the host's monotonic clock at which readings arrived. */
const CLOCK: ClockInfo = { id: 'wt310', tickHz: 1e6, kind: 'host', epoch_ns: null };

/** Bits of the extended event register. */
const EESR_OVER = { voltagePeak: 1 << 7, currentPeak: 1 << 8, overRange: 1 << 6, overflow: 1 << 4 };

/** Yokogawa WT310, WT310E, WT330, WT330E: readings are fetched as each update falls. */
export const wt310: ScpiModel = {
  id: 'wt310',
  title: 'Yokogawa WT310 or WT330',
  matches: (maker, model) => /^YOKOGAWA$/i.test(maker) && /^WT3[13]\dE?/.test(model),
  errorQuery: ':STAT:ERR?',
  rates_Hz: wt310Intervals_ms.map((interval_ms) => 1000 / interval_ms).reverse(),
  identify: async () => ({ hardware: null, supplyRange_V: null, notices: [] }),

  async configure(session, settings, context) {
    const checked = parseSettings('wt310', wt310Settings, settings);
    const interval_ms = checked.rate_Hz === undefined ? 100 : 1000 / checked.rate_Hz;
    parseSettings('wt310', z.object({ rate_Hz: z.literal([...wt310.rates_Hz]) }), { rate_Hz: 1000 / interval_ms });
    await session.setUp(setUpCommands(checked, interval_ms));
    return new Wt310Run(session, checked, interval_ms, context);
  },
};

function setUpCommands(settings: Settings, interval_ms: number): string[] {
  const { element, voltageRange, currentRange } = settings;
  const range = (quantity: 'VOLT' | 'CURR', unit: string, value: number | 'auto' | undefined) => {
    if (value === undefined) return [];
    if (value === 'auto') return [`:INP:${quantity}:AUTO ON`];
    return [`:INP:${quantity}:AUTO OFF`, `:INP:${quantity}:RANG ${value}${unit}`];
  };
  return [
    ':COMM:REM ON',
    ':COMM:HEAD OFF',
    ':COMM:VERB ON',
    ...(settings.crestFactor === undefined ? [] : [`:INP:CFAC ${settings.crestFactor}`]),
    `:INP:MODE ${settings.mode}`,
    ...range('VOLT', 'V', voltageRange),
    ...range('CURR', 'A', currentRange),
    `:SAMP:RATE ${interval_ms < 1000 ? `${interval_ms}MS` : `${interval_ms / 1000}S`}`,
    `:NUM:FORM ${settings.format === 'float' ? 'FLOAT' : 'ASCII'}`,
    ':NUM:NORM:NUM 3',
    `:NUM:NORM:ITEM1 U,${element}`,
    `:NUM:NORM:ITEM2 I,${element}`,
    `:NUM:NORM:ITEM3 P,${element}`,
    ':STAT:FILT1 FALL',
  ];
}

class Wt310Run implements ScpiRun {
  readonly clock = CLOCK;
  readonly stream: StreamInfo;
  readonly supply = null;
  /** The instrument itself says when the next update is there. */
  readonly pollEvery_ms = 0;
  readonly #session: ScpiSession;
  readonly #settings: Settings;
  readonly #interval_us: number;
  readonly #context: ScpiContext;
  #start = 0;
  #end: number | null = null;
  #isOverloaded = false;

  constructor(session: ScpiSession, settings: Settings, interval_ms: number, context: ScpiContext) {
    this.#session = session;
    this.#settings = settings;
    this.#interval_us = 1000 * interval_ms;
    this.#context = context;
    this.stream = streamOf({
      id: 'main',
      clock: CLOCK.id,
      ticksPerSample: null,
      quantities: ['power', 'voltage', 'current'],
      precision: settings.format === 'float' ? 'f32' : 'f64',
      semantics: 'mean-forward',
      ranges: rangesOf(scpiAccuracy.wt310),
    });
  }

  get nextTick(): number {
    return Math.floor(this.#end ?? this.#start);
  }

  async start(): Promise<void> {
    // Clears the register, so that the first wait ends with the next update and not with an earlier one.
    await this.#session.ask(':STAT:EESR?');
    this.#start = this.#context.time.now_ns() / 1000;
  }

  async poll(): Promise<void> {
    const limit_ms = (2 * this.#interval_us) / 1000 + 1000;
    await this.#session.command(':COMM:WAIT 1');
    const [voltage, current, power] = await this.#values(limit_ms);
    const arrival_ns = this.#context.time.now_ns();
    const events = await this.#session.askNumber(':STAT:EESR?');
    this.#emit({ voltage: voltage!, current: current!, power: power! }, events, arrival_ns);
  }

  async stop(): Promise<void> {}

  async release(): Promise<void> {
    await this.#session.command(':COMM:REM OFF');
  }

  async #values(limit_ms: number): Promise<number[]> {
    const query = ':NUM:NORM:VAL?';
    if (this.#settings.format === 'float') {
      const block = await this.#session.askBlock(query, limit_ms);
      if (block.length !== 12) throw this.#session.unexpected(query, `${block.length} bytes`, '12 bytes');
      const view = new DataView(block.buffer, block.byteOffset, block.length);
      return [0, 4, 8].map((at) => floatAt(view, at));
    }
    const answer = await this.#session.ask(query, limit_ms);
    const values = this.#session.numbers(query, answer);
    if (values.length !== 3) throw this.#session.unexpected(query, answer, 'three numbers');
    return [...values];
  }

  /** A reading is the mean over the interval that has just ended; updates that were not fetched in time are gone. */
  #emit(values: { voltage: number; current: number; power: number }, events: number, arrival_ns: number): void {
    const now = arrival_ns / 1000;
    const interval = this.#interval_us;
    const elapsed = this.#end === null ? interval : now - this.#end;
    const missed = elapsed > 1.5 * interval ? Math.round(elapsed / interval) - 1 : 0;
    const { emit } = this.#context;
    if (missed > 0)
      emit({ kind: 'gap', stream: 'main', firstTick: this.nextTick, count: missed, cause: 'host-overrun' });
    const start = this.#end === null || missed > 0 ? Math.max(now - interval, this.#end ?? now - interval) : this.#end;
    this.#end = now;
    const isOver = Object.values(values).some((value) => Math.abs(value) === Number.POSITIVE_INFINITY);
    const isPeakOver = (events & (EESR_OVER.voltagePeak | EESR_OVER.currentPeak | EESR_OVER.overRange)) !== 0;
    if (Object.values(values).every(Number.isFinite)) {
      const array = (value: number) =>
        this.#settings.format === 'float' ? Float32Array.of(value) : Float64Array.of(value);
      const block: SampleBlock = {
        kind: 'block',
        stream: 'main',
        firstTick: Math.floor(start),
        ticksPerSample: 0,
        length: 1,
        power: array(values.power),
        voltage: array(values.voltage),
        current: array(values.current),
        startTicks: Float64Array.of(start),
        endTicks: Float64Array.of(now),
        arrival_ns,
      };
      if (isPeakOver) block.flags = Uint8Array.of(SampleFlag.saturated);
      emit(block);
    } else emit({ kind: 'gap', stream: 'main', firstTick: Math.floor(start), count: 1, cause: 'invalid' });
    if ((isOver || isPeakOver) && !this.#isOverloaded) {
      const text = isOver ? 'a reading is over its range' : 'the peak of voltage or current exceeds its range';
      const event: InstrumentEvent = { kind: 'event', code: 'overload', clock: CLOCK.id, tick: now, text, arrival_ns };
      emit(event);
    }
    this.#isOverloaded = isOver || isPeakOver;
    emit({ kind: 'progress', clock: CLOCK.id, upTo: now });
  }
}
