import { Subject } from 'rxjs';
import { DeviceError } from '../../signal/errors.ts';
import type { ClockInfo, StreamInfo } from '../../signal/types.ts';
import { leastRoundTrip_s } from '../../transport/round-trip.ts';
import { realTime, type TimeSource } from '../../transport/time.ts';
import { CallOrder } from '../call-order.ts';
import { expected, gapCauseOf, settingError, whenLost } from '../driver-errors.ts';
import { PollLoop } from '../poll-loop.ts';
import type {
  CommonSettings,
  InstrumentChunk,
  InstrumentIdentity,
  InstrumentSupply,
  PowerInstrument,
} from '../power-instrument.ts';
import { dmm34465a } from './34465a.ts';
import type { ScpiModel, ScpiRun } from './model.ts';
import { n6705 } from './n6705.ts';
import { type ScpiLink, ScpiSession } from './session.ts';
import { wt310 } from './wt310.ts';

/** Which settings there are depends on the model: docs/instruments/scpi.md. */
export interface ScpiSettings extends CommonSettings {
  [setting: string]: unknown;
}

export interface ScpiOptions {
  time?: TimeSource;
}

const models: readonly ScpiModel[] = [wt310, n6705, dmm34465a];

/** An analyzer with a SCPI command language: Yokogawa WT310 and WT330, Keysight N6705 and 34465A. */
export class ScpiInstrument implements PowerInstrument<ScpiSettings> {
  readonly #link: ScpiLink;
  readonly #time: TimeSource;
  readonly #order: CallOrder;
  readonly #chunks = new Subject<InstrumentChunk>();
  readonly samples$ = this.#chunks.asObservable();

  #model: ScpiModel | null = null;
  #session: ScpiSession | null = null;
  #run: ScpiRun | null = null;
  #roundTrip_s: number | null = null;
  readonly #polls: PollLoop;

  constructor(link: ScpiLink, options: ScpiOptions = {}) {
    this.#link = link;
    this.#time = options.time ?? realTime;
    this.#order = new CallOrder(link.name);
    this.#polls = new PollLoop(
      this.#time,
      () => this.#pollOnce(),
      (error) => this.#fail(expected(error)),
    );
    whenLost(link.closed, (error) => this.#fail(error));
  }

  async open(): Promise<InstrumentIdentity> {
    const answer = await new ScpiSession(this.#link).ask('*IDN?');
    const [maker = '', name = '', serial = '', firmware = ''] = answer.split(',').map((field) => field.trim());
    const model = models.find((candidate) => candidate.matches(maker, name));
    if (!model) {
      throw new DeviceError('device.wrong', {
        where: this.#link.name,
        problem: `expected ${models.map(({ title }) => title).join(', ')}; found ${JSON.stringify(answer.slice(0, 80))}`,
        remedy: 'check the address; other models have other commands and are not supported',
      });
    }
    this.#model = model;
    this.#session = new ScpiSession(this.#link, model.errorQuery);
    // What earlier programs left in the queue is not ours.
    await this.#session.takeErrors();
    const session = this.#session;
    this.#roundTrip_s = await leastRoundTrip_s(this.#time, () => session.ask('*IDN?'));
    const details = await model.identify(session);
    return this.#order.opened({
      family: model.id,
      model: `${maker} ${name}`,
      serial: serial || null,
      firmware: firmware || null,
      hardware: details.hardware,
      rates_Hz: model.rates_Hz,
      supplyRange_V: details.supplyRange_V,
      notices: details.notices,
    });
  }

  describe(): InstrumentIdentity {
    return this.#order.describe();
  }

  async configure(settings: ScpiSettings): Promise<void> {
    this.#order.check('configure()');
    if (settings.logicInputs?.some((name) => name !== '')) {
      throw settingError(this.#model!.id)(
        'logicInputs',
        'these instruments have no inputs that are sampled',
        'leave it out, and let the trigger be seen by another instrument',
      );
    }
    const { logicInputs: _, ...rest } = settings;
    this.#run = await this.#model!.configure(this.#session!, rest, {
      time: this.#time,
      identity: this.#order.describe(),
      emit: (chunk) => this.#chunks.next(chunk),
    });
    this.#order.moveTo('configured');
  }

  get clocks(): readonly ClockInfo[] {
    if (!this.#run) throw this.#order.wrong('clocks', 'configure()');
    const { clock, stream } = this.#run;
    // Fetches and samples may keep step: a sample then waits in the memory until the next one is complete.
    const wait_s = (stream.ticksPerSample ?? 0) / clock.tickHz;
    return [{ ...clock, latencyBound_s: this.#roundTrip_s === null ? null : this.#roundTrip_s + wait_s }];
  }

  get streams(): readonly StreamInfo[] {
    if (!this.#run) throw this.#order.wrong('streams', 'configure()');
    return [this.#run.stream];
  }

  get supply(): InstrumentSupply | null {
    return this.#run?.supply ?? null;
  }

  async start(): Promise<void> {
    this.#order.check('start()');
    await this.#run!.start();
    this.#order.moveTo('sampling');
    this.#polls.schedule(this.#run!.pollEvery_ms);
  }

  async stop(): Promise<void> {
    if (!this.#order.isSampling()) return;
    await this.#polls.end();
    if (!this.#order.isSampling()) return;
    try {
      await this.#run!.stop();
    } catch (error) {
      this.#fail(expected(error));
      return;
    }
    this.#order.moveTo('stopped');
    this.#chunks.complete();
  }

  async close(): Promise<void> {
    if (!this.#order.isClosed()) {
      await this.stop().catch(() => {});
      this.#polls.cancel();
      await this.#run?.supply?.off().catch(() => {});
      await this.#run?.release().catch(() => {});
      this.#order.moveTo('closed');
      this.#chunks.complete();
    }
    await this.#link.close();
  }

  async #pollOnce(): Promise<void> {
    await this.#run!.poll();
    if (this.#order.isSampling()) this.#polls.schedule(this.#run!.pollEvery_ms);
  }

  /** Ends the stream with a Gap of unknown length and the error, and switches a supply off if that can still be done. */
  #fail(error: DeviceError): void {
    if (!this.#order.isSampling()) return;
    this.#order.moveTo('stopped');
    this.#polls.cancel();
    const run = this.#run!;
    const cause = gapCauseOf(error);
    this.#chunks.next({ kind: 'gap', stream: run.stream.id, firstTick: run.nextTick, count: null, cause });
    run.supply?.off().catch(() => {});
    this.#chunks.error(error);
  }
}
