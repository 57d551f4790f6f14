import { Observable, Subject, type Subscriber } from 'rxjs';
import type { DutClient } from '../dut/client.ts';
import {
  assertRuns,
  benchmarkRuns,
  inferencesFor,
  makeScript,
  type Script,
  ScriptPlayer,
  withSync,
} from '../dut/scripts/index.ts';
import { timestampPulse_s } from '../dut/virtual/index.ts';
import { DeviceError, UsageError } from '../signal/errors.ts';
import type { RunPlan, SyncPlan } from '../signal/recording.ts';
import type { Chunk, LogLine } from '../signal/types.ts';
import { realTime } from '../transport/time.ts';
import { type OpenDut, openDut, unlessInterrupted } from './dut-connection.ts';
import { assertStreamingFits, boardOf, type Inputs, inputsOf, simulatedMark, soundOf } from './dut-inputs.ts';
import { MessageWorld } from './dut-world.ts';
import { type Measurement, measurementOf } from './measurement.ts';
import { Preparation } from './preparation.ts';
import { RemoteWorld } from './remote-world.ts';
import type { Rig } from './rig-file.ts';
import type { RunSource } from './run-source.ts';
import { syncPlanOf } from './sync-plan.ts';
import { setUpTrigger, type TriggerSetup } from './trigger-setup.ts';

/** What the benchmarks demand of a window. */
const leastWindow_s = 10;
const leastInferences = 10;

export interface DutRunOptions {
  /** Name and version of the program, for the log. */
  version: string;
  /** Ends the preparations. */
  interrupt?: AbortSignal;
  /** Told what the run waits for. */
  onNotice?: (text: string) => void;
}

/**
 * An energy run of a DUT on a serial port: the script of the benchmark is played on it, directly or through an IO manager, while the
 * instrument measures it. It runs in real time.
 *
 * The number of inferences is measured beforehand where the rig does not say it, so the DUT is asked before this returns.
 *
 * @throws UsageError for a profile without such a run, or inputs that are missing; DeviceError as port, DUT and instrument do
 */
export async function dutRun(rig: Rig, options: DutRunOptions): Promise<RunSource> {
  const runs = benchmarkRuns[rig.profile];
  if (runs === undefined) {
    throw new UsageError('rig.profile', {
      where: `profile ${rig.profile}`,
      problem: 'there is no energy run of it for a DUT on a serial port',
      remedy: `choose one of ${Object.keys(benchmarkRuns).join(', ')}`,
    });
  }
  const { inputBytes } = runs;
  if (inputBytes === null) assertStreamingFits(rig);
  const world = await worldOf(rig);
  const measurement = await measurementOf(rig, world);
  const preparation = new Preparation();
  const basis = {
    profile: rig.profile,
    pairing: 'falling-pairs',
    channel: rig.trigger.channel,
    windows: runs.windows,
    holdOff_s: rig.trigger.hold_off_s ?? timestampPulse_s,
    minWidth_s: rig.trigger.min_width_s ?? 0,
    pulse_s: rig.trigger.pulse_s ?? timestampPulse_s,
  } satisfies Omit<RunPlan, 'inferencesPerWindow'>;
  let dut: OpenDut | null = null;
  try {
    if (rig.trigger.source === 'instrument') measurement.assertTriggerFits({ ...basis, inferencesPerWindow: null });
    await measurement.power(true);
    dut = await openDut(rig, 'energy', runs.scores);
    preparation.listen(dut);
    const identity = await unlessInterrupted(options.interrupt, dut.client.open());
    assertRuns(identity, rig.profile);
    const inputs =
      inputBytes === null
        ? await soundOf(rig, boardOf(dut), identity.name)
        : await inputsOf(rig, inputBytes, identity.name, runs.windows);
    const inferences =
      inputBytes === null
        ? 1
        : (rig.dut.inferences ??
          (await unlessInterrupted(options.interrupt, measuredInferences(dut.client, inputs, inputBytes))));
    const isRelayed = dut.io !== null;
    const benchmark = makeScript('energy', rig.profile, inputs.list, {
      inferences,
      isRelayed,
      hasIoTimer: dut.io?.kind === 'uno',
    });
    const plan: RunPlan = { ...basis, inferencesPerWindow: inferences };
    if (rig.trigger.source === 'io-manager' && dut.io !== null) {
      await unlessInterrupted(options.interrupt, dut.io.measureRoundTrip());
    }
    const trigger = setUpTrigger(rig, dut, plan, leastWindow_s, options.onNotice ?? (() => {}));
    const description = trigger?.source.describe();
    const planned = trigger?.plan ?? plan;
    const sync = syncOf(rig, planned, measurement);
    const script = sync === null ? benchmark : withSync(benchmark, sync, isRelayed);
    const isFollowingMessages = !world.isExact && measurement.isInWorld;
    const opened = dut;
    const stop = new AbortController();
    const simulated = measurement.simulated || identity.name.startsWith(simulatedMark);
    return {
      simulated,
      clocks: description === undefined ? measurement.clocks : [...measurement.clocks, description.clock],
      streams: measurement.streams,
      plan: sync === null ? planned : { ...planned, sync },
      provenance: {
        simulated,
        instrument: measurement.facts,
        dut: {
          name: rig.dut.name,
          firmwareName: identity.name,
          firmware: identity.profile,
          model: identity.model,
          simulated: identity.name.startsWith(simulatedMark),
          connection: isRelayed ? 'io-manager' : 'direct',
        },
        supply: rig.supply,
        trigger: {
          kind: description?.kind ?? (isFollowingMessages ? 'dut-messages' : 'instrument-pin'),
          isCoarse: description?.isCoarse ?? isFollowingMessages,
          ...(description && {
            label: description.label,
            resolution_s: description.resolution_s,
            latency_s: description.latency_s,
            shortestPulse_s: description.shortestPulse_s,
            // Of the instrument: it may be wired to the same pin.
            input: rig.trigger.channel,
          }),
          ...(trigger?.late && { lines: trigger.late.lines }),
        },
      },
      isVirtualTime: false,
      // EnergyRunner knows no streaming benchmark.
      hasEnergyRunnerLayout: inputBytes !== null,
      hasMlcommonsLayout: inputBytes === null,
      interrupt: () => stop.abort(),
      ...(trigger?.late && { lateEdges: trigger.late.edges }),
      chunks$: new Observable((subscriber) => {
        const run = new DutRun(script, opened, measurement, trigger, inputs.read, options.version, stop, subscriber);
        const heard = world instanceof MessageWorld ? (line: LogLine) => world.heard(line) : null;
        void run.play(heard);
        return () => run.end();
      }),
    };
  } catch (error) {
    const isKept = dut !== null && error instanceof DeviceError;
    if (isKept) await powerOff(measurement, preparation);
    await dut?.client.close();
    await measurement.close();
    if (!isKept) throw error;
    const { simulated, clocks, streams, facts: instrument } = measurement;
    const provenance = { instrument, dut: { name: rig.dut.name }, supply: rig.supply };
    const plan = { ...basis, inferencesPerWindow: null };
    return preparation.failed(error, { simulated, clocks, streams, plan, provenance });
  }
}

async function powerOff(measurement: Measurement, preparation: Preparation): Promise<void> {
  try {
    await measurement.power(false);
    preparation.say('emon', 'm-power[off]');
  } catch (error) {
    const reason = (error as Error).message.replaceAll(/[[\]]/g, ' ');
    preparation.say('emon', `e-[nothing acknowledges that the supply is off: ${reason}]`);
  }
}

/** An emulated DUT tells what it draws, where somebody simulates an instrument; of others nothing but the messages is known. */
async function worldOf(rig: Rig): Promise<MessageWorld | RemoteWorld> {
  const served = rig.instrument.connection === 'emulated' ? await RemoteWorld.find(rig) : null;
  return served ?? new MessageWorld(rig);
}

/**
 * The pattern that the DUT is to play on the pin that brackets windows too; null where the rig asks for none.
 * @throws UsageError `rig.sync` where no pin is seen, and as `syncPlanOf`
 */
function syncOf(rig: Rig, plan: RunPlan, { streams, clocks }: Measurement): SyncPlan | null {
  const { sync = 'none', source } = rig.trigger;
  if (sync !== 'none' && source === 'dut-messages') {
    throw new UsageError('rig.sync', {
      where: 'trigger.sync',
      problem: 'the pattern is played on a pin, and this run hears of no pin',
      remedy: 'leave out `sync`, or choose another `source`',
    });
  }
  return syncPlanOf(sync, plan.channel, streams[0]!, clocks);
}

async function measuredInferences(client: DutClient, inputs: Inputs, inputBytes: number): Promise<number> {
  const [first] = inputs.list;
  if (first === undefined) return leastInferences;
  await client.load((await inputs.read(first)).subarray(0, inputBytes));
  return inferencesFor(client, leastWindow_s, leastInferences);
}

/** One run under way. */
class DutRun {
  readonly #player: ScriptPlayer;
  readonly #dut: OpenDut;
  readonly #measurement: Measurement;
  readonly #trigger: TriggerSetup | null;
  readonly #out: Subscriber<Chunk>;
  readonly #stop: AbortController;
  readonly #lines$ = new Subject<LogLine>();
  /** Lines from before the measurement has a time 0. */
  #held: LogLine[] = [];
  #isOver = false;

  constructor(
    script: Script,
    dut: OpenDut,
    measurement: Measurement,
    trigger: TriggerSetup | null,
    readInput: Inputs['read'],
    version: string,
    stop: AbortController,
    out: Subscriber<Chunk>,
  ) {
    this.#dut = dut;
    this.#measurement = measurement;
    this.#trigger = trigger;
    this.#stop = stop;
    this.#out = out;
    this.#player = new ScriptPlayer(script, {
      dut: dut.client,
      instrument: {
        name: measurement.name,
        power: (on) => measurement.power(on),
        trace: (on) => this.#trace(on),
        voltage_mV: () => measurement.voltage_mV(),
      },
      io: dut.io,
      readInput,
      version,
      sessionId: new Date().toISOString().replace(/\D/g, '').slice(0, 14),
      // The log's time 0 is the measurement's, which may not have begun yet.
      start_ns: 0,
      emit: (line) => this.#emit(line),
      interrupt: stop.signal,
    });
  }

  /** @param heard takes each log line with the host's time, for a world that follows the messages */
  async play(heard: ((line: LogLine) => void) | null): Promise<void> {
    this.#dut.onLine((source, line) => {
      if (source === 'dut') this.#trigger?.heard?.(line);
      this.#player.heard(source, line);
    });
    let failure: Error | null = null;
    // The script ends first, so that the supply is off, and the capture says so, before the failure closes it.
    const fail = (error: Error) => {
      if (failure !== null) return;
      failure = error;
      const text = `e-[${error.message.replaceAll(/[[\]]/g, ' ')}]`;
      this.#emit({ kind: 'log', time_s: realTime.now_ns() / 1e9, source: 'session', text });
      this.#stop.abort();
    };
    const next = (chunk: Chunk) => this.#out.next(chunk);
    const edges = this.#trigger?.source.edges$.subscribe({ next, error: fail });
    if (heard) this.#lines$.subscribe(heard);
    const subscription = this.#measurement.chunks$.subscribe({ next, error: fail });
    try {
      await this.#player.play().catch((error) => {
        failure ??= error;
      });
      await this.#measurement.settle().catch((error) => {
        failure ??= error;
      });
      this.#release(realTime.now_ns());
      if (failure === null) this.#out.complete();
      else this.#out.error(failure);
    } finally {
      this.#isOver = true;
      subscription.unsubscribe();
      edges?.unsubscribe();
      await this.#trigger?.source.stop();
      await this.#dut.client.close();
      await this.#measurement.close();
    }
  }

  /** Nobody listens any more: the supply goes off and the ports are closed. */
  end(): void {
    if (!this.#isOver) this.#stop.abort();
  }

  /** The trigger listens while the trace is on: what it shows before belongs to no window. */
  async #trace(on: boolean): Promise<void> {
    if (on) await this.#measurement.trace(true);
    if (on) await this.#trigger?.source.start();
    else {
      await this.#trigger?.source.stop();
      await this.#measurement.trace(false);
    }
  }

  #emit(line: LogLine): void {
    this.#lines$.next(line);
    const zero_ns = this.#measurement.zero_ns();
    if (zero_ns === null) this.#held.push(line);
    else {
      this.#release(zero_ns);
      this.#out.next({ ...line, time_s: line.time_s - zero_ns / 1e9 });
    }
  }

  #release(zero_ns: number): void {
    for (const line of this.#held) this.#out.next({ ...line, time_s: line.time_s - zero_ns / 1e9 });
    this.#held = [];
  }
}
