import { Subject } from 'rxjs';
import { DeviceError, UsageError } from '../../signal/errors.ts';
import type { ClockInfo, StreamInfo } from '../../signal/types.ts';
import { realTime, type TimeSource } from '../../transport/time.ts';
import {
  type CommonSettings,
  type InstrumentChunk,
  type InstrumentIdentity,
  type InstrumentSupply,
  isSimulatedSerial,
  type PowerInstrument,
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

type State = 'closed' | 'open' | 'configured' | 'sampling' | 'stopped';

/** An analyzer with a SCPI command language: Yokogawa WT310 and WT330, Keysight N6705 and 34465A. */
export class ScpiInstrument implements PowerInstrument<ScpiSettings> {
  readonly #link: ScpiLink;
  readonly #time: TimeSource;
  readonly #chunks = new Subject<InstrumentChunk>();
  readonly samples$ = this.#chunks.asObservable();

  #state: State = 'closed';
  #identity: InstrumentIdentity | null = null;
  #model: ScpiModel | null = null;
  #session: ScpiSession | null = null;
  #run: ScpiRun | null = null;
  #cancelPoll: () => void = () => {};
  #polling: Promise<void> = Promise.resolve();

  constructor(link: ScpiLink, options: ScpiOptions = {}) {
    this.#link = link;
    this.#time = options.time ?? realTime;
    link.closed.then((reason) => {
      if (reason.kind === 'lost') this.#fail(reason.error);
    });
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
    const details = await model.identify(this.#session);
    this.#state = 'open';
    this.#identity = {
      family: model.id,
      model: `${maker} ${name}`,
      serial: serial || null,
      firmware: firmware || null,
      hardware: details.hardware,
      simulated: isSimulatedSerial(serial),
      connection: this.#link.name,
      rates_Hz: model.rates_Hz,
      supplyRange_V: details.supplyRange_V,
      notices: details.notices,
    };
    return this.#identity;
  }

  describe(): InstrumentIdentity {
    if (!this.#identity) throw this.#wrongOrder('describe()', 'open()');
    return this.#identity;
  }

  async configure(settings: ScpiSettings): Promise<void> {
    if (this.#state !== 'open' && this.#state !== 'configured') throw this.#wrongOrder('configure()', 'open()');
    if (settings.logicInputs?.some((name) => name !== '')) {
      throw new UsageError('instrument.setting', {
        where: `${this.#model!.id} setting logicInputs`,
        problem: 'these instruments have no inputs that are sampled',
        remedy: 'leave it out, and let the trigger be seen by another instrument',
      });
    }
    const { logicInputs: _, ...rest } = settings;
    this.#run = await this.#model!.configure(this.#session!, rest, {
      time: this.#time,
      identity: this.#identity!,
      emit: (chunk) => this.#chunks.next(chunk),
    });
    this.#state = 'configured';
  }

  get clocks(): readonly ClockInfo[] {
    if (!this.#run) throw this.#wrongOrder('clocks', 'configure()');
    return [this.#run.clock];
  }

  get streams(): readonly StreamInfo[] {
    if (!this.#run) throw this.#wrongOrder('streams', 'configure()');
    return [this.#run.stream];
  }

  get supply(): InstrumentSupply | null {
    return this.#run?.supply ?? null;
  }

  async start(): Promise<void> {
    if (this.#state !== 'configured') throw this.#wrongOrder('start()', 'configure()');
    await this.#run!.start();
    this.#state = 'sampling';
    this.#schedule();
  }

  async stop(): Promise<void> {
    if (!this.#isSampling()) return;
    this.#cancelPoll();
    await this.#polling;
    if (!this.#isSampling()) return;
    try {
      await this.#run!.stop();
    } catch (error) {
      this.#failWith(error);
      return;
    }
    this.#state = 'stopped';
    this.#chunks.complete();
  }

  async close(): Promise<void> {
    if (this.#state !== 'closed') {
      await this.stop().catch(() => {});
      this.#cancelPoll();
      await this.#run?.supply?.off().catch(() => {});
      await this.#run?.release().catch(() => {});
      this.#state = 'closed';
      this.#chunks.complete();
    }
    await this.#link.close();
  }

  #isSampling(): boolean {
    return this.#state === 'sampling';
  }

  #schedule(): void {
    this.#cancelPoll = this.#time.after(this.#run!.pollEvery_ms, () => {
      this.#polling = this.#run!.poll().then(
        () => {
          if (this.#isSampling()) this.#schedule();
        },
        (error) => this.#failWith(error),
      );
    });
  }

  #failWith(error: unknown): void {
    if (!(error instanceof DeviceError)) throw error;
    this.#fail(error);
  }

  /** Ends the stream with a Gap of unknown length and the error, and switches a supply off if that can still be done. */
  #fail(error: DeviceError): void {
    if (!this.#isSampling()) return;
    this.#state = 'stopped';
    this.#cancelPoll();
    const run = this.#run!;
    const cause =
      error.code === 'device.vanished' ? 'unplugged' : error.code === 'device.overrun' ? 'dropped' : 'unknown';
    this.#chunks.next({ kind: 'gap', stream: run.stream.id, firstTick: run.nextTick, count: null, cause });
    run.supply?.off().catch(() => {});
    this.#chunks.error(error);
  }

  #wrongOrder(call: string, needed: string): DeviceError {
    return new DeviceError('device.not-open', {
      where: this.#link.name,
      problem: `${call} was called out of order`,
      remedy: `call ${needed} first`,
    });
  }
}
