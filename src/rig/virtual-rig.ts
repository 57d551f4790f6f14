import {
  energyRun,
  type InferenceWindow,
  perInferenceRun,
  type ScriptEvent,
  timestampPulse_s,
  VirtualDut,
  virtualAnswers,
  virtualBenchmarks,
} from '../dut/virtual/index.ts';
import {
  drawFaults,
  type TriggerPlan,
  type VirtualFaultKind,
  VirtualInstrument,
} from '../instruments/virtual/index.ts';
import { Plant } from '../plant/plant.ts';
import { Random } from '../plant/random.ts';
import { UsageError } from '../signal/errors.ts';
import type { RunPlan, WindowTruth } from '../signal/recording.ts';
import type { Chunk, ClockInfo, LogLine, StreamInfo } from '../signal/types.ts';
import { type Rig, virtualSettings } from './rig-file.ts';

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

const energyRunWindows = 5;
/** Power just outside a window is the mean over this long. */
const outside_s = 1e-3;

/**
 * Plays the virtual rig: the virtual DUT runs the profile's script on a plant, and the virtual instrument measures it.
 * The same rig, seed and faults give the same chunks.
 *
 * @throws UsageError for a profile or settings that the virtual rig does not have
 */
export function simulateRun(rig: Rig, seed: number, faults: readonly VirtualFaultKind[] = []): SimulatedRun {
  if (rig.instrument.family !== 'virtual' || rig.supply === null) {
    throw new UsageError('rig.instrument', {
      where: `instrument ${rig.instrument.family}`,
      problem: 'the virtual rig measures with the virtual instrument only',
      remedy: 'use `family: virtual`',
    });
  }
  const { rate_Hz } = virtualSettings(rig);
  const random = new Random(seed);
  const { channel } = rig.trigger;
  const isPerInference = rig.profile === 'per-inference';
  const benchmark = benchmarkOf(rig);
  const windows = isPerInference ? rig.inferences : energyRunWindows;

  const supply_V = rig.supply.voltage_V;
  const waves = random.fork('waves');
  const wave = (amplitude: number, frequency_Hz: number) => ({
    amplitude,
    frequency_Hz,
    phase_rad: waves.between(0, 2 * Math.PI),
  });
  const plant = new Plant({
    supply_V,
    sourceResistance_ohm: 0.35,
    // Switching ripple, mains pick-up and slow drift (invented).
    waves: [wave(4e-3, waves.between(2100, 2900)), wave(1e-3, 100), wave(3e-3, waves.between(0.008, 0.02))],
    channels: { [channel]: !isPerInference },
  });
  const dut = new VirtualDut(plant, random.fork('dut'), channel, isPerInference ? 115_200 : 9600);
  const answers = virtualAnswers(
    benchmark.model,
    benchmark.classes,
    windows,
    rig.dut.error_rate,
    random.fork('answers'),
  );
  const script = (isPerInference ? perInferenceRun : energyRun)(dut, rig.dut.name, benchmark, answers);

  // A pulse is two changes of the line; the first pulse of the energy run is the handshake.
  const pulse = (k: number) => [2 * k, 2 * k + 1];
  const inferencesPerWindow = isPerInference ? 1 : benchmark.iterations;
  const triggerPlan: TriggerPlan = {
    windows,
    window_s: inferencesPerWindow * benchmark.inference_s,
    startChanges: (w) => (isPerInference ? [2 * w] : pulse(2 * w + 1)),
    endChanges: (w) => (isPerInference ? [2 * w + 1] : pulse(2 * w + 2)),
  };
  const instrument = new VirtualInstrument(
    plant,
    { rate_Hz, channel },
    drawFaults(faults, triggerPlan, random.fork('faults')),
    random.fork('instrument'),
    `SIM-V${String(seed).padStart(6, '0')}`,
  );
  return {
    clocks: [instrument.clock],
    streams: [instrument.stream],
    plan: {
      profile: isPerInference ? null : rig.profile,
      pairing: isPerInference ? 'level-high' : 'falling-pairs',
      channel,
      windows,
      inferencesPerWindow,
      // A level's bounce shows both polarities: there only the width tells it from a window.
      holdOff_s: rig.trigger.hold_off_s ?? (isPerInference ? 0 : timestampPulse_s),
      minWidth_s: rig.trigger.min_width_s ?? (isPerInference ? timestampPulse_s : 0),
      pulse_s: isPerInference ? benchmark.inference_s : timestampPulse_s,
    },
    provenance: {
      simulated: true,
      instrument: { ...instrument.identity, simulated: true, rate_Hz },
      dut: { name: rig.dut.name, model: benchmark.model, simulated: true, errorRate: rig.dut.error_rate },
      supply: { voltage_V: supply_V },
      seed,
      faults: [...faults],
    },
    chunks: play(plant, script, instrument),
  };
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

function* play(
  plant: Plant,
  script: Generator<ScriptEvent>,
  instrument: VirtualInstrument,
): Generator<Chunk, void, undefined> {
  let lines: LogLine[] = [];
  let windows: InferenceWindow[] = [];
  let isOver = false;
  while (!instrument.isUnplugged) {
    const blockEnd_s = instrument.nextBlockEnd_s;
    while (!isOver && plant.horizon_s < blockEnd_s + outside_s) {
      const event = script.next();
      if (event.done) {
        plant.finish();
        isOver = true;
      } else if (event.value.kind === 'log') lines.push(event.value);
      else windows.push(event.value);
    }
    const limit_s = isOver ? Math.min(blockEnd_s, plant.horizon_s) : blockEnd_s;
    const before_s = instrument.sampled_s;
    yield* instrument.readBlock(limit_s);
    const now_s = instrument.sampled_s;
    const isLast = isOver && now_s === before_s;

    const due = (time_s: number) => isLast || time_s <= now_s;
    for (const window of windows) {
      if (due(window.end_s)) lines.push(truthLine(plant, instrument, window));
    }
    windows = windows.filter((window) => !due(window.end_s));
    lines.sort((a, b) => a.time_s - b.time_s);
    yield* lines.filter((line) => due(line.time_s));
    lines = lines.filter((line) => !due(line.time_s));
    if (isLast) return;
    const oldest_s = Math.min(now_s, windows[0]?.start_s ?? now_s) - 2 * outside_s;
    plant.forget(oldest_s);
    instrument.forget(oldest_s);
  }
}

/** The truth of a window is the plant's own integral; nothing that the instrument reported enters it. */
function truthLine(plant: Plant, instrument: VirtualInstrument, window: InferenceWindow): LogLine {
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
