import type { InferenceWindow } from '../dut/virtual/index.ts';
import { drawFaults, type VirtualFaultKind, VirtualInstrument } from '../instruments/virtual/index.ts';
import type { Plant } from '../plant/plant.ts';
import { Random } from '../plant/random.ts';
import { UsageError } from '../signal/errors.ts';
import type { RunPlan, WindowTruth } from '../signal/recording.ts';
import type { Chunk, ClockInfo, LogLine, StreamInfo } from '../signal/types.ts';
import { withGroupDelays } from './group-delays.ts';
import { type Rig, virtualSettings } from './rig-file.ts';
import { syncPlanOf } from './sync-plan.ts';
import { startVirtualWorld, syncChannelOf, type VirtualWorld } from './virtual-world.ts';

/** A run of the virtual rig: what is known before it, and everything that flows from it. */
export interface SimulatedRun {
  clocks: ClockInfo[];
  streams: StreamInfo[];
  plan: RunPlan;
  provenance: Record<string, unknown>;
  /**
   * Blocks, gaps, edges, progress and log lines in the order in which they reach the host, in virtual time, as fast as
   * they are pulled. Blocks carry `arrival_ns`, log lines `time_s`: whoever wants the pace of real time waits for these.
   */
  chunks: Generator<Chunk, void, undefined>;
}

/** Power just outside a window is the mean over this long. */
export const outside_s = 1e-3;

/**
 * Plays the virtual rig: the virtual DUT runs the profile's script on a plant, and the virtual instrument measures it.
 * The same rig, seed and faults give the same chunks.
 *
 * @throws UsageError for a rig with another instrument, or a profile that the virtual DUT cannot run
 */
export function simulateRun(rig: Rig, seed: number, faults: readonly VirtualFaultKind[] = []): SimulatedRun {
  if (rig.instrument.family !== 'virtual') {
    throw new UsageError('rig.instrument', {
      where: `instrument ${rig.instrument.family}`,
      problem: 'the virtual rig measures with the virtual instrument only',
      remedy: 'use `family: virtual`',
    });
  }
  const world = startVirtualWorld(rig, seed);
  const random = new Random(seed);
  const { settings, facts } = virtualSettings(rig);
  const instrument = new VirtualInstrument(
    world.plant,
    settings,
    drawFaults(faults, world.trigger, random.fork('faults')),
    random.fork('instrument'),
    `SIM-V${String(seed).padStart(6, '0')}`,
  );
  const { sync: wanted = 'none' } = rig.trigger;
  const sync = syncPlanOf(wanted, syncChannelOf(rig), instrument.stream, [instrument.clock]);
  if (sync !== null) world.playSync(sync);
  return {
    clocks: [instrument.clock],
    streams: withGroupDelays([instrument.stream], rig),
    plan: world.plan,
    provenance: {
      simulated: true,
      instrument: { ...instrument.identity, simulated: true, ...facts },
      ...world.provenance,
      seed,
      faults: [...faults],
    },
    chunks: play(world, instrument),
  };
}

function* play(world: VirtualWorld, instrument: VirtualInstrument): Generator<Chunk, void, undefined> {
  const { plant } = world;
  let lines: LogLine[] = [];
  let windows: InferenceWindow[] = [];
  while (!instrument.isUnplugged) {
    const blockEnd_s = instrument.nextBlockEnd_s;
    world.advance(blockEnd_s + outside_s);
    for (const event of world.takeEvents()) {
      if (event.kind === 'log') lines.push(event);
      else windows.push(event);
    }
    const before_s = instrument.sampled_s;
    yield* instrument.readBlock(Math.min(blockEnd_s, plant.end_s ?? blockEnd_s));
    const now_s = instrument.sampled_s;
    // At the end the last line comes after the last whole sample.
    const isLast = plant.end_s !== null && now_s === before_s;

    const isDue = (time_s: number) => isLast || time_s <= now_s;
    for (const window of windows) {
      if (isDue(window.end_s)) lines.push(truthLine(plant, instrument, window));
    }
    windows = windows.filter((window) => !isDue(window.end_s));
    lines.sort((a, b) => a.time_s - b.time_s);
    yield* lines.filter((line) => isDue(line.time_s));
    lines = lines.filter((line) => !isDue(line.time_s));
    if (isLast) return;
    const oldest_s = Math.min(now_s, windows[0]?.start_s ?? now_s) - 2 * outside_s;
    plant.forget(oldest_s);
    instrument.forget(oldest_s);
  }
}

/** The truth of a window is the plant's own integral; nothing that the instrument reported enters it. */
export function truthLine(plant: Plant, instrument: VirtualInstrument, window: InferenceWindow): LogLine {
  const { start_s, end_s } = window;
  const duration_s = end_s - start_s;
  const { energy_J, charge_C, currentSquared_A2s } = plant.integrals(start_s, end_s);
  const noise = instrument.noiseBetween(start_s, end_s);
  const meanCurrent_A = charge_C / duration_s;
  const meanVoltage_V = energy_J / charge_C;
  // var(V*I) of one sample = V^2 var(I) + I^2 var(V); the samples' noises are independent.
  const variance_W2 =
    meanVoltage_V ** 2 * noise.currentVariance_A2 + (currentSquared_A2s / duration_s) * noise.voltageVariance_V2;
  const truth: WindowTruth = {
    start_s,
    end_s,
    energy_J,
    insidePower_W: energy_J / duration_s,
    outsidePower_W:
      (plant.energy_J(start_s - outside_s, start_s) + plant.energy_J(end_s, end_s + outside_s)) / (2 * outside_s),
    noise_rel: (Math.sqrt(variance_W2 / noise.samples) * duration_s) / energy_J,
    resolution_rel: noise.resolution_A / meanCurrent_A + noise.resolution_V / meanVoltage_V,
  };
  return { kind: 'log', time_s: end_s, source: 'plant', text: `m-truth-[${JSON.stringify(truth)}]` };
}
