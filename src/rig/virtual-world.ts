import {
  energyRun,
  perInferenceRun,
  type ScriptEvent,
  timestampPulse_s,
  VirtualDut,
  virtualAnswers,
  virtualBenchmarks,
} from '../dut/virtual/index.ts';
import type { TriggerPlan } from '../instruments/virtual/index.ts';
import { Plant } from '../plant/plant.ts';
import { Random } from '../plant/random.ts';
import { UsageError } from '../signal/errors.ts';
import type { RunPlan, SyncPlan } from '../signal/recording.ts';
import type { Rig } from './rig-file.ts';

/** The virtual DUT at work on its plant: whatever instrument reads the plant, this is what happens there. */
export interface VirtualWorld {
  /** It is driven on demand: reading beyond the horizon lets the DUT act. `end_s` is set when the DUT is done. */
  plant: Plant;
  plan: RunPlan;
  trigger: TriggerPlan;
  provenance: { dut: Record<string, unknown>; supply: Record<string, unknown> };
  /**
   * The DUT plays this pattern at the beginning, at the end, and every minute in between, on its own line. Before the first
   * move of the DUT only.
   */
  playSync(sync: SyncPlan): void;
  /** Lets the DUT act until `until_s` is settled or it is done. */
  advance(until_s: number): void;
  /** What the DUT printed and which windows it ended since the last call; each is given once, in time order. */
  takeEvents(): ScriptEvent[];
}

const energyRunWindows = 5;

/**
 * A plant with the virtual DUT that runs the rig's profile on it. The same rig and seed give the same world.
 * `sourceResistance_ohm` lies between the supply and the DUT's terminals (0.1 is invented).
 * @throws UsageError for a profile that the virtual DUT cannot run, or a rig without a supply voltage
 */
export function startVirtualWorld(
  rig: Rig,
  seed: number,
  { sourceResistance_ohm = 0.1 }: { sourceResistance_ohm?: number } = {},
): VirtualWorld {
  if (rig.supply === null) {
    throw new UsageError('rig.supply', {
      where: 'supply',
      problem: 'the virtual DUT needs a supply voltage',
      remedy: 'add `voltage_V:` and `max_voltage_V:` under `supply:`',
    });
  }
  const random = new Random(seed);
  const { channel } = rig.trigger;
  const { voltage_V } = rig.supply;
  const isPerInference = rig.profile === 'per-inference';
  const benchmark = benchmarkOf(rig);
  const windows = isPerInference ? rig.inferences : energyRunWindows;
  const inferencesPerWindow = isPerInference ? 1 : benchmark.iterations;

  const waves = random.fork('waves');
  const wave = (amplitude: number, frequency_Hz: number) => ({
    amplitude,
    frequency_Hz,
    phase_rad: waves.between(0, 2 * Math.PI),
  });
  const plant = new Plant({
    supply_V: voltage_V,
    sourceResistance_ohm,
    // Switching ripple, mains pick-up and slow drift (invented).
    waves: [wave(4e-3, waves.between(2100, 2900)), wave(1e-3, 100), wave(3e-3, waves.between(0.008, 0.02))],
    channels: { [channel]: !isPerInference, [syncChannelOf(rig)]: false },
  });
  const dut = new VirtualDut(plant, random.fork('dut'), channel, isPerInference ? 115_200 : 9600);
  const { model, classes } = benchmark;
  const answers = virtualAnswers(model, classes, windows, rig.dut.error_rate, random.fork('answers'));
  const play = isPerInference ? perInferenceRun : energyRun;
  let sync: SyncPlan | null = null;
  let script: Generator<ScriptEvent> | null = null;

  let events: ScriptEvent[] = [];
  const advance = (until_s: number) => {
    script ??= play(dut, rig.dut.name, benchmark, answers, sync);
    while (plant.end_s === null && plant.horizon_s < until_s) {
      const step = script.next();
      if (step.done) plant.finish();
      else events.push(step.value);
    }
  };
  plant.onDemand(advance);

  // A pulse is two changes of the line; the first pulse of the energy run is the handshake.
  const pulse = (k: number) => [2 * k, 2 * k + 1];
  const plan: RunPlan = {
    profile: isPerInference ? null : rig.profile,
    pairing: isPerInference ? 'level-high' : 'falling-pairs',
    channel,
    windows,
    inferencesPerWindow,
    // A level's bounce shows both polarities: there only the width tells it from a window.
    holdOff_s: rig.trigger.hold_off_s ?? (isPerInference ? 0 : timestampPulse_s),
    minWidth_s: rig.trigger.min_width_s ?? (isPerInference ? timestampPulse_s : 0),
    pulse_s: isPerInference ? benchmark.inference_s : timestampPulse_s,
  };
  return {
    plant,
    plan,
    trigger: {
      windows,
      window_s: inferencesPerWindow * benchmark.inference_s,
      startChanges: (w) => (isPerInference ? [2 * w] : pulse(2 * w + 1)),
      endChanges: (w) => (isPerInference ? [2 * w + 1] : pulse(2 * w + 2)),
    },
    provenance: {
      dut: { name: rig.dut.name, model, simulated: true, errorRate: rig.dut.error_rate },
      supply: { voltage_V, sourceResistance_ohm },
    },
    playSync(wanted) {
      if (script !== null) throw new Error('playSync: the DUT has begun');
      plan.sync = wanted;
      sync = wanted;
    },
    advance,
    takeEvents: () => {
      const taken = events;
      events = [];
      return taken;
    },
  };
}

/** The line of the sync pattern: not the one that brackets inferences. */
export function syncChannelOf(rig: Rig): string {
  return rig.trigger.channel === 'sync' ? 'sync2' : 'sync';
}

function benchmarkOf(rig: Rig) {
  const known: Record<string, (typeof virtualBenchmarks)[keyof typeof virtualBenchmarks] | undefined> =
    virtualBenchmarks;
  const benchmark = rig.profile === 'per-inference' ? virtualBenchmarks[rig.dut.model ?? 'kws01'] : known[rig.profile];
  if (benchmark === undefined) {
    throw new UsageError('rig.profile', {
      where: `profile ${rig.profile}`,
      problem: 'the virtual DUT cannot run it',
      remedy: `choose one of ${Object.keys(virtualBenchmarks).join(', ')}, per-inference`,
    });
  }
  return benchmark;
}
