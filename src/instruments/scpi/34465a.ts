import { z } from 'zod';
import type { ClockInfo, StreamInfo } from '../../signal/types.ts';
import { rangesOf } from '../accuracy-sheet.ts';
import { settingError } from '../driver-errors.ts';
import { parseSettings } from '../settings.ts';
import { streamOf } from '../stream-info.ts';
import type { ScpiContext, ScpiModel, ScpiRun } from './model.ts';
import { overrun, RegularRun } from './regular-run.ts';
import type { ScpiSession } from './session.ts';
import { dmm34465aMemory, dmm34465aMinAperture_s, dmm34465aOverflow, scpiAccuracy } from './spec.ts';

const badSetting = settingError('34465a');

/** Settings of a rig file; which ones a run needs is found out by configure(). */
export const dmm34465aSettings = z.strictObject({
  rate_Hz: z.number().positive().default(1000),
  maxVoltage_V: z.number().optional(),
  /** Fixed, in A: a change of range takes time in which nothing is measured. */
  currentRange: z.number().positive().optional(),
  /** What is measured is the current; this voltage is assumed constant. */
  externalVoltage_V: z.number().positive().optional(),
});

type Settings = z.infer<typeof dmm34465aSettings>;

const TICK_HZ = 1e6;
const POLL_MS = 100;
/** It stops by itself after so many readings. */
const MAX_READINGS = 1_000_000_000;

/** Keysight 34465A: direct current into its memory, which is emptied by and by. */
export const dmm34465a: ScpiModel = {
  id: '34465a',
  title: 'Keysight 34465A',
  matches: (_maker, model) => /^344(65|70)A/.test(model),
  errorQuery: 'SYST:ERR?',
  rates_Hz: [],
  identify: async () => ({ hardware: null, supplyRange_V: null, notices: [] }),

  async configure(session, settings, context) {
    const checked = parseSettings('34465a', dmm34465aSettings, settings);
    if (checked.currentRange === undefined) {
      throw badSetting(
        'currentRange',
        'is not set, and a range that changes by itself loses samples',
        'give the range in A under instrument.settings, e.g. currentRange: 0.1',
      );
    }
    const wanted = TICK_HZ / checked.rate_Hz;
    if (!Number.isInteger(wanted) || wanted < dmm34465aMinAperture_s * TICK_HZ) {
      throw badSetting(
        'rate_Hz',
        `is ${checked.rate_Hz}`,
        'choose 1,000,000 over a whole number from 20 on (50,000 at most)',
      );
    }
    await session.setUp([
      'ABOR',
      `CONF:CURR:DC ${checked.currentRange}`,
      `CURR:DC:APER ${wanted / TICK_HZ}`,
      'CURR:DC:ZERO:AUTO OFF',
      'SAMP:SOUR TIM',
      `SAMP:TIM ${wanted / TICK_HZ}`,
      `SAMP:COUN ${MAX_READINGS}`,
      'TRIG:SOUR IMM',
    ]);
    const period_s = await session.askNumber('SAMP:TIM?');
    const ticks = Math.round(period_s * TICK_HZ);
    if (ticks < 1 || Math.abs(ticks - period_s * TICK_HZ) > 1e-3) {
      throw session.unexpected('SAMP:TIM?', String(period_s), 'whole microseconds');
    }
    return new DmmRun(session, checked, ticks, context);
  },
};

class DmmRun extends RegularRun implements ScpiRun {
  readonly clock: ClockInfo = { id: 'instrument', tickHz: TICK_HZ, kind: 'instrument', epoch_ns: null };
  readonly stream: StreamInfo;
  readonly supply = null;
  readonly pollEvery_ms = POLL_MS;
  readonly #session: ScpiSession;
  readonly #context: ScpiContext;
  readonly #memory_s: number;

  constructor(session: ScpiSession, settings: Settings, ticks: number, context: ScpiContext) {
    super(context, ticks / TICK_HZ);
    this.#session = session;
    this.#context = context;
    this.#memory_s = (dmm34465aMemory * ticks) / TICK_HZ;
    this.stream = streamOf({
      id: 'main',
      clock: 'instrument',
      ticksPerSample: ticks,
      quantities: ['current'],
      precision: 'f64',
      semantics: 'mean-forward',
      assumedVoltage_V: settings.externalVoltage_V ?? null,
      ranges: rangesOf(scpiAccuracy.dmm34465a),
    });
  }

  async start(): Promise<void> {
    await this.#session.setUp(['INIT']);
    this.begin();
  }

  async poll(): Promise<void> {
    await this.#fetch();
  }

  async stop(): Promise<void> {
    await this.#session.command('ABOR');
    await this.#fetch();
  }

  async release(): Promise<void> {}

  async #fetch(): Promise<void> {
    const query = 'R?';
    const block = await this.#session.askBlock(query);
    const arrival_ns = this.#context.time.now_ns();
    // Asked after the readings: what overflowed before them is then known before they are passed on.
    const status = await this.#session.askNumber('STAT:QUES:COND?');
    if ((status & dmm34465aOverflow) !== 0) throw overrun(this.#session.name, 'it says so itself');
    const text = Buffer.from(block).toString('latin1');
    if (text !== '') this.samples({ current: this.#session.numbers(query, text) }, arrival_ns);
    this.checkElapsed(arrival_ns, this.#memory_s, this.#session.name);
  }
}
