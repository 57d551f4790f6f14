import { Observable, type Subscriber } from 'rxjs';
import type { InferenceWindow } from '../dut/virtual/index.ts';
import { instrumentFamilies } from '../instruments/families.ts';
import type { EmulatedInstrument, InstrumentFamily } from '../instruments/family.ts';
import type { InstrumentChunk, InstrumentIdentity } from '../instruments/power-instrument.ts';
import type { Plant } from '../plant/plant.ts';
import { Random } from '../plant/random.ts';
import { UsageError } from '../signal/errors.ts';
import type { RunPlan, WindowTruth } from '../signal/recording.ts';
import type { Chunk, ClockInfo, Edge, LogLine, SampleBlock, StreamInfo } from '../signal/types.ts';
import { VirtualTime } from '../transport/time.ts';
import { withGroupDelays } from './group-delays.ts';
import type { Rig } from './rig-file.ts';
import type { RunSource } from './run-source.ts';
import { syncPlanOf } from './sync-plan.ts';
import { startVirtualWorld, syncChannelOf, type VirtualWorld } from './virtual-world.ts';

/** An emulated run goes on in steps of this much virtual time. */
const step_ms = 20;
/** Power just outside a window is the mean over this long. */
const outside_s = 1e-3;

/** A fault of the emulator, and when it happens in the run. */
export interface TimedFault {
  at_s: number;
  /** `name` or `name=number`, from the family's list of faults. */
  fault: string;
}

/**
 * A run of the virtual DUT, measured by an emulated instrument: the real driver talks to the emulator over an in-memory
 * wire in virtual time, and the emulator reads the plant on which the DUT acts.
 *
 * @throws UsageError for settings that the family does not have
 */
export async function instrumentRun(rig: Rig, faults: readonly TimedFault[] = []): Promise<RunSource> {
  const family = await instrumentFamilies[rig.instrument.family]();
  if (rig.instrument.connection !== 'emulated' && rig.instrument.connection !== 'auto') {
    throw new UsageError('rig.connection', {
      where: `instrument.connection: ${rig.instrument.connection}`,
      problem: 'the virtual DUT cannot be measured by a real instrument',
      remedy: 'use `connection: emulated`, or name the serial port of a real DUT under `dut.connection`',
    });
  }
  // The instrument supplies the DUT, so there is no resistance between the two; it may assume its own voltage.
  const world = startVirtualWorld(rig, rig.seed, { sourceResistance_ohm: 0 });
  // An instrument without an input for the pin, or whose input is not to be used: the host watches the pin, on its own clock.
  const hostPin = family.trigger === null || rig.trigger.source === 'gpio';
  if (!hostPin) assertTriggerFits(family, world.plan);
  const supply = rig.supply!;
  const time = new VirtualTime();
  const sourceStart_ns = time.now_ns();
  const emulated = family.emulate({
    source: world.plant,
    time,
    sourceStart_ns,
    inputs: hostPin ? [] : [rig.trigger.channel],
    onSupply: () => {},
    delay_ms: linkDelay(new Random(rig.seed).fork('link')),
  });
  const { instrument } = emulated;
  const identity = await time.run(instrument.open());
  const settings = family.settings({ settings: rig.instrument.settings, supply, channel: rig.trigger.channel });
  await time.run(instrument.configure(settings as never));
  if (instrument.supply !== null) {
    await time.run(instrument.supply.setVoltage(supply.voltage_V));
    await time.run(instrument.supply.on());
  }
  const { clocks, streams } = instrument;
  const wanted = rig.trigger.sync ?? suitableSync(hostPin, streams[0]!);
  const sync = syncPlanOf(wanted, syncChannelOf(rig), streams[0]!, clocks);
  if (sync !== null) world.playSync(sync);
  return {
    simulated: identity.simulated,
    clocks: hostPin ? [...new Set([...clocks, hostClockOf(clocks)])] : clocks,
    streams: withGroupDelays(streams, rig),
    plan: world.plan,
    provenance: {
      simulated: identity.simulated,
      instrument: instrumentFacts(identity),
      ...world.provenance,
      seed: rig.seed,
    },
    isVirtualTime: true,
    chunks$: new Observable((subscriber) => {
      const channels = [rig.trigger.channel, ...(sync === null ? [] : [sync.channel])];
      const pin = hostPin ? new HostPin(world.plant, channels, sourceStart_ns, hostClockOf(clocks)) : null;
      const player = new EmulatedRun(world, family, emulated, time, sourceStart_ns, pin, faults, subscriber);
      player.play();
      return () => player.end();
    }),
  };
}

/**
 * A run whose edges the instrument cannot see is refused before it begins.
 * @throws UsageError `trigger.none`, `trigger.polarity` or `trigger.pulse`
 */
export function assertTriggerFits(family: InstrumentFamily, plan: RunPlan): void {
  const { trigger } = family;
  const refuse = (code: string, problem: string, remedy: string): never => {
    throw new UsageError(code, { where: family.title, problem, remedy });
  };
  if (trigger === null) {
    refuse('trigger.none', 'has no input for the trigger pin', 'use an instrument with one');
  } else if (plan.pairing !== 'falling-pairs' && trigger.polarities.length < 2) {
    refuse(
      'trigger.polarity',
      `reports ${trigger.polarities[0] === 'fall' ? 'falling' : 'rising'} edges only, and this run is bracketed by both`,
      'run a profile that uses falling edges (kws01, ic01, ad01, vww01), or another instrument',
    );
  } else if (plan.pulse_s < trigger!.shortestPulse_s) {
    refuse(
      'trigger.pulse',
      `sees pulses from ${trigger!.shortestPulse_s * 1e6} us on, and this run's may be ${plan.pulse_s * 1e6} us short`,
      'use an instrument with faster inputs',
    );
  }
}

/** What the report and the result say of an instrument. */
export function instrumentFacts(identity: InstrumentIdentity): Record<string, unknown> {
  const { family, model, serial, firmware, hardware, simulated, notices } = identity;
  return { family, model, serial, firmware, hardware, simulated, notices };
}

/** An instrument's chunk as the run knows it: events become log lines. */
export function runChunk(chunk: InstrumentChunk, clocks: readonly ClockInfo[]): Chunk {
  if (chunk.kind !== 'event') return chunk;
  const tickHz = clocks.find((clock) => clock.id === chunk.clock)?.tickHz ?? 1;
  return {
    kind: 'log',
    time_s: chunk.tick / tickHz,
    source: 'instrument',
    text: `m-event-[${chunk.code}] ${chunk.text}`,
  };
}

/** Kernel time-stamps of a GPIO line: how far off they are is invented. */
const hostEdge_u_s = 2e-6;

const hostClock: ClockInfo = { id: 'host', tickHz: 1e9, kind: 'host', epoch_ns: null };

/** The clock that arrival times are on, as an instrument names it that stamps by that clock itself, or a new one. */
function hostClockOf(clocks: readonly ClockInfo[]): ClockInfo {
  return (
    clocks.find(({ kind, epoch_ns, latencyBound_s }) => kind === 'host' && !epoch_ns && !latencyBound_s) ?? hostClock
  );
}

/** How long messages take on the wire to an emulated instrument: never less than the first, and the second more on average (invented). */
const leastDelay_ms = 0.125;
const meanExcess_ms = 0.3;

function linkDelay(random: Random): () => number {
  return () => leastDelay_ms - meanExcess_ms * Math.log(1 - random.uniform());
}

/** Where the host watches the pin, the pattern relates its clock to the samples better than arrival times do. */
function suitableSync(hostPin: boolean, stream: StreamInfo): 'pattern' | 'none' {
  return hostPin && stream.ticksPerSample !== null ? 'pattern' : 'none';
}

/** Pins of the DUT as the host sees them on GPIO lines, for instruments without an input. */
class HostPin {
  readonly #clock: ClockInfo;
  readonly #plant: Plant;
  readonly #channels: readonly string[];
  readonly #start_ns: number;
  #until_s = 0;
  #seq = 0;

  constructor(plant: Plant, channels: readonly string[], start_ns: number, clock: ClockInfo) {
    this.#clock = clock;
    this.#plant = plant;
    this.#channels = channels;
    this.#start_ns = start_ns;
  }

  /** The edges up to this moment that have not been emitted yet. */
  emit(now_ns: number, out: Subscriber<Chunk>): void {
    const until_s = (now_ns - this.#start_ns) * 1e-9;
    const edges = this.#plant
      .edgesBetween(this.#until_s, until_s)
      .filter((edge) => this.#channels.includes(edge.channel))
      .map(({ time_s, channel, polarity }): Edge => {
        const arrival_ns = this.#start_ns + time_s * 1e9;
        const { id, tickHz } = this.#clock;
        return {
          clock: id,
          tick: arrival_ns * 1e-9 * tickHz,
          u_ticks: hostEdge_u_s * tickHz,
          channel,
          polarity,
          seq: this.#seq++,
          arrival_ns,
        };
      });
    this.#until_s = until_s;
    if (edges.length > 0) out.next({ kind: 'edges', edges });
  }
}

/** Lets virtual time pass until the DUT is done and its last sample has come. */
class EmulatedRun {
  readonly #world: VirtualWorld;
  readonly #family: InstrumentFamily;
  readonly #emulated: EmulatedInstrument;
  readonly #time: VirtualTime;
  readonly #pin: HostPin | null;
  readonly #out: Subscriber<Chunk>;
  readonly #faults: TimedFault[];
  #windows: InferenceWindow[] = [];
  /** Time of the world at the instrument's tick 0, as far as arrivals tell; null before the first block. */
  #zero_s: number | null = null;
  #ended = false;

  /** @param start_ns `time` at which that of the world is 0 */
  constructor(
    world: VirtualWorld,
    family: InstrumentFamily,
    emulated: EmulatedInstrument,
    time: VirtualTime,
    start_ns: number,
    pin: HostPin | null,
    faults: readonly TimedFault[],
    out: Subscriber<Chunk>,
  ) {
    this.#world = world;
    this.#family = family;
    this.#emulated = emulated;
    this.#time = time;
    this.#pin = pin;
    this.#out = out;
    this.#faults = [...faults].sort((a, b) => a.at_s - b.at_s);
    const { clocks, samples$ } = emulated.instrument;
    samples$.subscribe({
      next: (chunk) => {
        if (chunk.kind === 'block' && chunk.arrival_ns !== undefined) {
          this.#zero_s ??= (chunk.arrival_ns - start_ns) * 1e-9 - this.#end_s(chunk);
        }
        out.next(runChunk(chunk, clocks));
      },
      error: (error) => out.error(error),
    });
  }

  async play(): Promise<void> {
    const { instrument } = this.#emulated;
    const { plant } = this.#world;
    try {
      await this.#time.run(instrument.start());
      const start_ns = this.#time.now_ns();
      while (!this.#ended && !this.#out.closed) {
        await this.#time.advance(step_ms);
        this.#happen((this.#time.now_ns() - start_ns) * 1e-9);
        this.#pin?.emit(this.#time.now_ns(), this.#out);
        this.#log();
        const passed_s = (this.#time.now_ns() - start_ns) * 1e-9;
        if (plant.end_s !== null && passed_s > plant.end_s) break;
      }
      await this.#time.run(instrument.stop());
      await this.#time.run(instrument.close());
      this.#zero_s ??= 0;
      this.#log();
      this.#out.complete();
    } catch (error) {
      this.#out.error(error);
    }
  }

  end(): void {
    this.#ended = true;
    this.#emulated.emulator.stop();
  }

  #happen(passed_s: number): void {
    while (this.#faults.length > 0 && this.#faults[0]!.at_s <= passed_s) {
      this.#emulated.emulator.inject(this.#faults.shift()!.fault);
    }
  }

  #end_s(block: SampleBlock): number {
    const { clocks, streams } = this.#emulated.instrument;
    const stream = streams.find(({ id }) => id === block.stream);
    const { tickHz } = clocks.find(({ id }) => id === stream!.clock)!;
    return (block.endTicks?.at(-1) ?? block.firstTick + block.length * block.ticksPerSample) / tickHz;
  }

  /** What the world said, on the instrument's clock, which the run goes by. */
  #log(): void {
    const zero_s = this.#zero_s;
    if (zero_s === null) return;
    for (const event of this.#world.takeEvents()) {
      if (event.kind === 'log') this.#out.next({ ...event, time_s: event.time_s - zero_s });
      else this.#windows.push(event);
    }
    const settled = this.#windows.filter((window) => window.end_s + outside_s < this.#world.plant.horizon_s);
    this.#windows = this.#windows.filter((window) => !settled.includes(window));
    for (const window of settled) {
      const line = emulatedTruth(this.#world.plant, this.#family, window);
      this.#out.next({ ...line, time_s: line.time_s - zero_s });
    }
  }
}

/**
 * The truth of a window is the plant's own integral; of the instrument only its resolution enters.
 * @param late_s by how much the plant was told of something too late
 */
export function emulatedTruth(
  plant: Plant,
  family: InstrumentFamily,
  { start_s, end_s }: InferenceWindow,
  late_s = 0,
): LogLine {
  const { energy_J, charge_C } = plant.integrals(start_s, end_s);
  const truth: WindowTruth = {
    start_s,
    end_s,
    energy_J,
    insidePower_W: energy_J / (end_s - start_s),
    outsidePower_W: outsidePower_W(plant, start_s, end_s),
    noise_rel: 0,
    resolution_rel: family.resolution_rel(charge_C / (end_s - start_s)) ?? 0,
    ...(late_s > 0 && { late_s }),
  };
  return { kind: 'log', time_s: end_s, source: 'plant', text: `m-truth-[${JSON.stringify(truth)}]` };
}

function outsidePower_W(plant: Plant, start_s: number, end_s: number): number {
  return (plant.energy_J(start_s - outside_s, start_s) + plant.energy_J(end_s, end_s + outside_s)) / (2 * outside_s);
}
