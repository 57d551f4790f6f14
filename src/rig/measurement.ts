import { type Observable, Subject } from 'rxjs';
import type { InstrumentControls } from '../dut/scripts/index.ts';
import type { InferenceWindow } from '../dut/virtual/index.ts';
import { instrumentFamilies } from '../instruments/families.ts';
import type { InstrumentFamily } from '../instruments/family.ts';
import type { PowerInstrument } from '../instruments/power-instrument.ts';
import { drawFaults, VirtualInstrument } from '../instruments/virtual/index.ts';
import { Random } from '../plant/random.ts';
import { UsageError } from '../signal/errors.ts';
import type { RunPlan } from '../signal/recording.ts';
import type { Chunk, ClockInfo, StreamInfo } from '../signal/types.ts';
import { realTime, type TimeSource, wait } from '../transport/time.ts';
import type { DutWorld } from './dut-world.ts';
import { withGroupDelays } from './group-delays.ts';
import { assertTriggerFits, emulatedTruth, instrumentFacts, runChunk } from './instrument-run.ts';
import { type Rig, virtualSettings } from './rig-file.ts';
import { outside_s, truthLine } from './virtual-rig.ts';

/** An instrument in real time, as a script switches it and a run records it. */
export interface Measurement extends InstrumentControls {
  simulated: boolean;
  /** It measures the plant of the world, and nothing real. */
  readonly isInWorld: boolean;
  clocks: readonly ClockInfo[];
  streams: readonly StreamInfo[];
  facts: Record<string, unknown>;
  /** What it measures while its trace is on. Hot. */
  chunks$: Observable<Chunk>;
  /** Host nanoseconds of the clock's tick 0; null before it is known. */
  zero_ns(): number | null;
  /** @throws UsageError where it cannot see the edges of the plan */
  assertTriggerFits(plan: RunPlan): void;
  /** Resolves when everything measured so far has been emitted. */
  settle(): Promise<void>;
  /** Supply off, transport closed. Idempotent; never rejects. */
  close(): Promise<void>;
}

/**
 * The instrument of a rig, which closes the world when it is closed itself.
 * @throws UsageError, DeviceError as the instrument does
 */
export async function measurementOf(rig: Rig, world: DutWorld): Promise<Measurement> {
  let measurement: DriverMeasurement | null = null;
  try {
    if (rig.instrument.family === 'virtual') return new VirtualMeasurement(rig, world);
    const family = await instrumentFamilies[rig.instrument.family]();
    const time = rig.instrument.connection === 'emulated' ? new WorldTime(world) : realTime;
    measurement = new DriverMeasurement(rig, family, await connected(rig, family, world, time), world, time);
    await measurement.open();
    return measurement;
  } catch (error) {
    await measurement?.close();
    world.close();
    throw error;
  }
}

async function connected(
  rig: Rig,
  family: InstrumentFamily,
  world: DutWorld,
  time: TimeSource,
): Promise<PowerInstrument<never>> {
  const { connection } = rig.instrument;
  if (connection === 'emulated') {
    const { instrument } = family.emulate({
      source: world.plant,
      time,
      sourceStart_ns: world.start_ns,
      inputs: [rig.trigger.channel],
    });
    return instrument;
  }
  if (connection !== 'auto') return family.connect(connection);
  const found = (await family.find()).filter(({ obstacle }) => obstacle === null);
  if (found.length === 1) return family.connect(found[0].connection);
  throw new UsageError('rig.connection', {
    where: 'instrument.connection: auto',
    problem: `${found.length} instruments of the family ${family.id} were found`,
    remedy: found.length === 0 ? 'plug it in; `joulemark devices` lists what is there' : 'name the one that is meant',
  });
}

/** How far behind the present the plant is read; emulated instruments may look ahead by less than this. */
const behind_s = 0.03;
/** A world that stands still is looked at this often. */
const stillEvery_ms = 2;

/** Real time, a little behind, that stands still where the world has not been told yet what happens: so nobody reads too early. */
class WorldTime implements TimeSource {
  readonly #world: DutWorld;

  constructor(world: DutWorld) {
    this.#world = world;
  }

  now_ns(): number {
    const { start_ns } = this.#world;
    return Math.min(realTime.now_ns(), start_ns + this.#world.settled_s() * 1e9) - behind_s * 1e9;
  }

  after(delay_ms: number, callback: () => void): () => void {
    const due_ns = this.now_ns() + delay_ms * 1e6;
    let timer: NodeJS.Timeout;
    const look = () => {
      const left_ms = (due_ns - this.now_ns()) / 1e6;
      if (left_ms <= 0) callback();
      else timer = setTimeout(look, Math.max(stillEvery_ms, left_ms));
    };
    timer = setTimeout(look, delay_ms);
    return () => clearTimeout(timer);
  }
}

const pumpEvery_ms = 10;
const truthsEvery_ms = 100;

/** What lies further back is forgotten. The one window of the streaming benchmark lasts 1,200 s. */
const remembered_s = 1800;

/** How much of a plant is still there. */
class Memory {
  forgotten_s = 0;
  #isWhole = true;

  /**
   * A window that reaches back beyond it has no truth, and none behind it has: truths go by their order.
   * @returns whether this one has
   */
  covers({ start_s }: InferenceWindow): boolean {
    this.#isWhole &&= start_s - 2 * outside_s >= this.forgotten_s;
    return this.#isWhole;
  }
}
/** No fault is drawn, so none needs to know where the windows are. */
const noWindows = { windows: 0, window_s: 0, startChanges: () => [], endChanges: () => [] };

/** The virtual instrument beside a DUT that lives in real time. */
class VirtualMeasurement implements Measurement {
  readonly name = 'virtual';
  readonly simulated = true;
  readonly isInWorld = true;
  readonly clocks: readonly ClockInfo[];
  readonly streams: readonly StreamInfo[];
  readonly facts: Record<string, unknown>;
  readonly chunks$ = new Subject<Chunk>();
  readonly #world: DutWorld;
  readonly #instrument: VirtualInstrument;
  readonly #voltage_mV: number;
  readonly #timer: NodeJS.Timeout;
  #isTracing = false;
  /** Windows that began before are none of the trace's. */
  #traceFrom_s = 0;
  /** First tick that belongs to the trace. */
  #first: number | null = null;
  #windows: InferenceWindow[] = [];
  readonly #memory = new Memory();

  constructor(rig: Rig, world: DutWorld) {
    if (rig.faults.length > 0) {
      throw new UsageError('rig.faults', {
        where: 'faults',
        problem: 'are drawn for the virtual DUT only, whose windows are known before the run',
        remedy: 'leave `faults` out',
      });
    }
    const { settings, facts } = virtualSettings(rig);
    const random = new Random(rig.seed).fork('instrument');
    this.#world = world;
    this.#instrument = new VirtualInstrument(
      world.plant,
      settings,
      drawFaults([], noWindows, random),
      random,
      `SIM-V${String(rig.seed).padStart(6, '0')}`,
    );
    this.clocks = [this.#instrument.clock];
    this.streams = withGroupDelays([this.#instrument.stream], rig);
    this.facts = { ...this.#instrument.identity, simulated: true, ...facts };
    this.#voltage_mV = (rig.supply?.voltage_V ?? 0) * 1000;
    this.#timer = setInterval(() => this.#pump(), pumpEvery_ms);
    world.onLost((error) => this.chunks$.error(error));
  }

  zero_ns(): number {
    return this.#world.start_ns;
  }

  assertTriggerFits(): void {}

  async power(on: boolean): Promise<void> {
    this.#world.power(on);
  }

  async trace(on: boolean): Promise<void> {
    if (on) {
      this.#pump();
      this.#isTracing = true;
      this.#traceFrom_s = this.#now_s();
    } else {
      await this.settle();
      this.#isTracing = false;
    }
  }

  async voltage_mV(): Promise<number> {
    return this.#voltage_mV;
  }

  async settle(): Promise<void> {
    const until_s = this.#now_s();
    while (this.#instrument.sampled_s < until_s) {
      await wait(realTime, pumpEvery_ms);
      this.#pump();
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#world.power(false);
    this.#world.close();
    this.chunks$.complete();
  }

  #now_s(): number {
    return (realTime.now_ns() - this.#world.start_ns) / 1e9;
  }

  #pump(): void {
    const instrument = this.#instrument;
    const until_s = Math.min(this.#now_s() - behind_s, this.#world.settled_s());
    while (instrument.nextBlockEnd_s <= until_s) {
      for (const chunk of instrument.readBlock(instrument.nextBlockEnd_s)) this.#pass(chunk);
    }
    this.#windows.push(...this.#world.takeWindows());
    const settled_s = Math.min(instrument.sampled_s, this.#world.plant.horizon_s) - outside_s;
    for (const window of this.#windows) {
      if (window.end_s > settled_s || !this.#isTracing || window.start_s < this.#traceFrom_s) continue;
      if (this.#memory.covers(window)) this.chunks$.next(truthLine(this.#world.plant, instrument, window));
    }
    this.#windows = this.#windows.filter(({ end_s }) => end_s > settled_s);
    if (settled_s < remembered_s) return;
    this.#memory.forgotten_s = settled_s - remembered_s;
    this.#world.plant.forget(this.#memory.forgotten_s);
    instrument.forget(this.#memory.forgotten_s);
  }

  #pass(chunk: Chunk): void {
    if (!this.#isTracing) return;
    // The instrument's arrival times count from the beginning of the world, a run's on the host's clock.
    const arrival = (arrival_ns: number | undefined) =>
      arrival_ns === undefined ? {} : { arrival_ns: arrival_ns + this.#world.start_ns };
    if (chunk.kind === 'block') {
      this.#first ??= chunk.firstTick;
      this.chunks$.next({ ...chunk, ...arrival(chunk.arrival_ns) });
      return;
    }
    if (chunk.kind !== 'edges') {
      this.chunks$.next(chunk);
      return;
    }
    // Edges come before the block that they lie in; those of an earlier block are no part of the trace.
    const { rate_Hz } = this.facts as { rate_Hz: number };
    const from = this.#first ?? this.#instrument.sampled_s * rate_Hz;
    const edges = chunk.edges
      .filter(({ tick }) => tick >= from)
      .map((edge) => ({ ...edge, ...arrival(edge.arrival_ns) }));
    if (edges.length > 0) this.chunks$.next({ kind: 'edges', edges });
  }
}

/** A driver with its instrument, real or emulated. */
class DriverMeasurement implements Measurement {
  readonly name: string;
  readonly chunks$ = new Subject<Chunk>();
  simulated = false;
  readonly isInWorld: boolean;
  clocks: readonly ClockInfo[] = [];
  streams: readonly StreamInfo[] = [];
  facts: Record<string, unknown> = {};
  readonly #rig: Rig;
  readonly #family: InstrumentFamily;
  readonly #instrument: PowerInstrument<never>;
  readonly #world: DutWorld;
  readonly #time: TimeSource;
  #zero_ns: number | null = null;
  #truths: NodeJS.Timeout | null = null;
  #windows: InferenceWindow[] = [];
  readonly #memory = new Memory();

  constructor(
    rig: Rig,
    family: InstrumentFamily,
    instrument: PowerInstrument<never>,
    world: DutWorld,
    time: TimeSource,
  ) {
    this.name = family.id;
    this.isInWorld = rig.instrument.connection === 'emulated';
    this.#rig = rig;
    this.#family = family;
    this.#instrument = instrument;
    this.#world = world;
    this.#time = time;
  }

  async open(): Promise<void> {
    const { settings } = this.#rig.instrument;
    const { supply, trigger } = this.#rig;
    const identity = await this.#instrument.open();
    await this.#instrument.configure(this.#family.settings({ settings, supply, channel: trigger.channel }) as never);
    if (this.#instrument.supply !== null && supply !== null) await this.#instrument.supply.setVoltage(supply.voltage_V);
    // A DUT that nothing but an emulated instrument measures is as simulated as the instrument.
    this.simulated = identity.simulated || this.isInWorld;
    this.facts = instrumentFacts(identity);
    this.clocks = this.#instrument.clocks;
    this.streams = withGroupDelays(this.#instrument.streams, this.#rig);
    this.#instrument.samples$.subscribe({
      next: (chunk) => this.chunks$.next(runChunk(chunk, this.clocks)),
      error: (error) => this.chunks$.error(error),
    });
    this.#world.onLost((error) => this.chunks$.error(error));
  }

  zero_ns(): number | null {
    return this.#zero_ns;
  }

  assertTriggerFits(plan: RunPlan): void {
    assertTriggerFits(this.#family, plan);
  }

  async power(on: boolean): Promise<void> {
    const { supply } = this.#instrument;
    if (supply !== null && this.#rig.supply !== null) await (on ? supply.on() : supply.off());
    this.#world.power(on);
  }

  async trace(on: boolean): Promise<void> {
    if (on) {
      await this.#instrument.start();
      this.#zero_ns = this.#time.now_ns();
      if (this.isInWorld) this.#truths = setInterval(() => this.#tellTruths(), truthsEvery_ms);
    } else {
      await this.#instrument.stop();
      this.#tellTruths();
      if (this.#truths !== null) clearInterval(this.#truths);
    }
  }

  async voltage_mV(): Promise<number | null> {
    return this.#rig.supply === null ? null : this.#rig.supply.voltage_V * 1000;
  }

  async settle(): Promise<void> {}

  async close(): Promise<void> {
    if (this.#truths !== null) clearInterval(this.#truths);
    await this.#instrument.close();
    this.#world.power(false);
    this.#world.close();
    this.chunks$.complete();
  }

  /** The truth of each window that lies wholly behind. */
  #tellTruths(): void {
    const { plant, start_ns } = this.#world;
    const zero_s = ((this.#zero_ns ?? 0) - start_ns) / 1e9;
    this.#windows.push(...this.#world.takeWindows().filter(({ start_s }) => start_s >= zero_s));
    while (this.#windows.length > 0 && this.#windows[0]!.end_s + outside_s < plant.horizon_s) {
      const window = this.#windows.shift()!;
      if (!this.#memory.covers(window)) continue;
      const line = emulatedTruth(plant, this.#family, window, this.#world.takeLateness_s());
      this.chunks$.next({ ...line, time_s: line.time_s - zero_s });
    }
    const settled_s = Math.min(plant.horizon_s, this.#windows[0]?.start_s ?? Number.POSITIVE_INFINITY);
    if (settled_s < remembered_s) return;
    this.#memory.forgotten_s = settled_s - remembered_s;
    plant.forget(this.#memory.forgotten_s);
  }
}
