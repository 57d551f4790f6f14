import { z } from 'zod';
import { DeviceError } from '../../signal/errors.ts';
import type { ClockInfo, StreamInfo } from '../../signal/types.ts';
import { rangesOf } from '../accuracy-sheet.ts';
import { settingError } from '../driver-errors.ts';
import type { InstrumentSupply } from '../power-instrument.ts';
import { parseSettings } from '../settings.ts';
import { streamOf } from '../stream-info.ts';
import { checkSupplyVoltage, noSupplyVoltage } from '../supply-limit.ts';
import type { ScpiContext, ScpiModel, ScpiRun } from './model.ts';
import { floatAt } from './protocol.ts';
import { RegularRun } from './regular-run.ts';
import type { ScpiSession } from './session.ts';
import { n6705Buffer_s, n6705MinPeriod_s, n6705Step_s, n6705Trips, scpiAccuracy } from './spec.ts';

const badSetting = settingError('n6705');

/** Settings of a rig file; which ones a run needs is found out by configure(). */
export const n6705Settings = z.strictObject({
  rate_Hz: z.number().positive().optional(),
  maxVoltage_V: z.number().positive().optional(),
  channel: z.int().min(1).max(4).default(1),
  /** Modules with one converter log voltage or current, not both. */
  voltage: z.boolean().default(true),
  currentLimit_A: z.number().positive().optional(),
});

type Settings = z.infer<typeof n6705Settings>;

const DEFAULT_PERIOD_S = 0.001;
/** Asked for at a time. */
const MAX_RECORDS = 10_000;
const POLL_MS = 100;

/** Keysight N6705 (N6700 modules): the external log of one channel. */
export const n6705: ScpiModel = {
  id: 'n6705',
  title: 'Keysight N6705',
  matches: (_maker, model) => /^N6705/.test(model),
  errorQuery: 'SYST:ERR?',
  rates_Hz: [],

  async identify(session) {
    const module = await session.ask('SYST:CHAN:MOD? (@1)');
    const max = await session.askNumber('VOLT? MAX,(@1)');
    return { hardware: `channel 1: ${module.replaceAll('"', '')}`, supplyRange_V: { min: 0, max }, notices: [] };
  },

  async configure(session, settings, context) {
    const checked = parseSettings('n6705', n6705Settings, settings);
    const parameters = checked.voltage ? 2 : 1;
    const wanted_s = checked.rate_Hz === undefined ? DEFAULT_PERIOD_S : 1 / checked.rate_Hz;
    if (wanted_s < n6705MinPeriod_s * parameters * (1 - 1e-9)) {
      throw badSetting(
        'rate_Hz',
        `is ${checked.rate_Hz}, a period below 102.4 us for each of ${parameters} quantities`,
        'choose a lower rate, or leave the voltage out (voltage: false)',
      );
    }
    const at = `(@${checked.channel})`;
    await session.setUp([
      `ABOR:ELOG ${at}`,
      `SENS:ELOG:FUNC:CURR ON,${at}`,
      `SENS:ELOG:FUNC:CURR:MINM OFF,${at}`,
      `SENS:ELOG:FUNC:VOLT ${checked.voltage ? 'ON' : 'OFF'},${at}`,
      ...(checked.voltage ? [`SENS:ELOG:FUNC:VOLT:MINM OFF,${at}`] : []),
      `SENS:ELOG:PER ${wanted_s},${at}`,
      'FORM REAL',
      'FORM:BORD NORM',
      `TRIG:ELOG:SOUR BUS,${at}`,
    ]);
    // It rounds to its own steps.
    const period_s = await session.askNumber(`SENS:ELOG:PER? ${at}`);
    const steps = Math.round(period_s / n6705Step_s);
    if (steps < 1 || Math.abs(steps * n6705Step_s - period_s) > 1e-3 * n6705Step_s + 1e-6 * period_s) {
      throw session.unexpected('SENS:ELOG:PER?', String(period_s), 'a multiple of 20.48 us');
    }
    return new N6705Run(session, checked, steps, context);
  },
};

class N6705Run extends RegularRun implements ScpiRun {
  readonly clock: ClockInfo = { id: 'instrument', tickHz: 1 / n6705Step_s, kind: 'instrument', epoch_ns: null };
  readonly stream: StreamInfo;
  readonly supply: InstrumentSupply;
  readonly pollEvery_ms = POLL_MS;
  readonly #session: ScpiSession;
  readonly #settings: Settings;
  readonly #context: ScpiContext;
  readonly #at: string;
  #isVoltageSet = false;
  #tripped = 0;

  constructor(session: ScpiSession, settings: Settings, steps: number, context: ScpiContext) {
    super(context, steps * n6705Step_s);
    this.#session = session;
    this.#settings = settings;
    this.#context = context;
    this.#at = `(@${settings.channel})`;
    this.stream = streamOf({
      id: 'main',
      clock: 'instrument',
      ticksPerSample: steps,
      quantities: settings.voltage ? ['current', 'voltage'] : ['current'],
      precision: 'f32',
      semantics: 'mean-forward',
      ranges: rangesOf(scpiAccuracy.n6705),
    });
    this.supply = {
      setVoltage: (voltage_V) => this.#setVoltage(voltage_V),
      on: () => this.#on(),
      off: () => session.command(`OUTP OFF,${this.#at}`),
    };
  }

  async start(): Promise<void> {
    await this.#session.setUp([`INIT:ELOG ${this.#at}`, `TRIG:ELOG ${this.#at}`]);
    this.begin();
  }

  async poll(): Promise<void> {
    await this.#fetch();
    await this.#lookForTrips();
  }

  async stop(): Promise<void> {
    await this.#fetch();
    await this.#session.command(`ABOR:ELOG ${this.#at}`);
  }

  async release(): Promise<void> {}

  async #fetch(): Promise<void> {
    const perRecord = this.#settings.voltage ? 2 : 1;
    for (;;) {
      const query = `FETC:ELOG? ${MAX_RECORDS},${this.#at}`;
      const block = await this.#session.askBlock(query);
      const arrival_ns = this.#context.time.now_ns();
      const records = block.length / 4 / perRecord;
      if (!Number.isInteger(records)) throw this.#session.unexpected(query, `${block.length} bytes`, 'whole records');
      const view = new DataView(block.buffer, block.byteOffset, block.length);
      const column = (offset: number) =>
        Float32Array.from({ length: records }, (_, k) => floatAt(view, 4 * (k * perRecord + offset)));
      this.samples(
        this.#settings.voltage ? { current: column(0), voltage: column(1) } : { current: column(0) },
        arrival_ns,
      );
      if (records < MAX_RECORDS) {
        this.checkElapsed(arrival_ns, n6705Buffer_s, this.#session.name);
        return;
      }
    }
  }

  async #lookForTrips(): Promise<void> {
    const status = await this.#session.askNumber(`STAT:QUES:COND? ${this.#at}`);
    const bits = Object.keys(n6705Trips)
      .map(Number)
      .filter((bit) => (status & (1 << bit)) !== 0);
    const fresh = bits.filter((bit) => (this.#tripped & (1 << bit)) === 0);
    this.#tripped = bits.reduce((sum, bit) => sum | (1 << bit), 0);
    if (fresh.length === 0) return;
    this.event('supply-trip', `the output is off: ${fresh.map((bit) => n6705Trips[bit]).join(', ')}`);
  }

  async #setVoltage(voltage_V: number): Promise<void> {
    const range_V = this.#context.identity.supplyRange_V!;
    checkSupplyVoltage(voltage_V, range_V, this.#settings.maxVoltage_V, this.#session.name);
    const { currentLimit_A } = this.#settings;
    await this.#session.setUp([
      ...(currentLimit_A === undefined ? [] : [`CURR ${currentLimit_A},${this.#at}`]),
      `VOLT ${voltage_V},${this.#at}`,
    ]);
    this.#isVoltageSet = true;
  }

  async #on(): Promise<void> {
    if (!this.#isVoltageSet) throw noSupplyVoltage(this.#session.name);
    await this.#session.setUp([`OUTP ON,${this.#at}`]);
    if (((await this.#session.askNumber(`OUTP? ${this.#at}`)) | 0) === 1) return;
    throw new DeviceError('device.refused', {
      where: this.#session.name,
      problem: 'the output did not go on',
      remedy: 'clear a tripped protection at the front panel, and check the inhibit input',
    });
  }
}
