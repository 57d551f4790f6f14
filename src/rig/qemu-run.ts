import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Observable, type Subscriber } from 'rxjs';
import type { QemuEvent } from '../dut/qemu/timeline.ts';
import { defaultQemuTools, type QemuFirmware, type QemuTools } from '../dut/qemu/toolchain.ts';
import {
  inferencesFor,
  makeScript,
  type Script,
  type ScriptInput,
  ScriptPlayer,
  withSync,
} from '../dut/scripts/index.ts';
import { type InferenceWindow, timestampPulse_s, virtualCurrents_A } from '../dut/virtual/index.ts';
import { drawFaults, type TriggerPlan, VirtualInstrument } from '../instruments/virtual/index.ts';
import { Plant } from '../plant/plant.ts';
import { Random } from '../plant/random.ts';
import { UsageError } from '../signal/errors.ts';
import type { RunPlan } from '../signal/recording.ts';
import type { Chunk, Polarity } from '../signal/types.ts';
import type { LineListener } from './dut-connection.ts';
import { withGroupDelays } from './group-delays.ts';
import { openQemuDut, type QemuDut } from './qemu-dut.ts';
import { type Rig, virtualSettings } from './rig-file.ts';
import type { RunSource } from './run-source.ts';
import { syncPlanOf } from './sync-plan.ts';
import { outside_s, truthLine } from './virtual-rig.ts';

/** The network of the QEMU DUT answers as this benchmark. */
const model = 'kws01';
const windowsOfEnergyRun = 5;
/** An energy window lasts at least this long, in the DUT's own time. */
const leastWindow_s = 10;
const leastInferences = 10;
/** Idle time after the last command, so that the last window has something on its right. */
const tail_s = 0.05;
const sourceResistance_ohm = 0.1;
/** Current during an inference (invented, as all of this DUT's currents). */
const active_A = 11.2e-3;

const testSet = fileURLToPath(new URL('../../firmware-hooks/network/test-set/', import.meta.url));

/** Where a run over the QEMU DUT gets its firmware mode and its windows from. */
interface QemuPlan {
  mode: QemuFirmware;
  script: Script;
  plan: RunPlan;
  trigger: TriggerPlan;
}

/**
 * A run of the real firmware in QEMU, measured by the virtual instrument: the DUT client drives it over its PTY, and the
 * current of the plant follows the edges of its GPIO registers, all in the firmware's own time.
 * Profile `kws01`: an energy run with five windows. `per-inference`: one window for each of the rig's inferences.
 *
 * @throws UsageError for another profile or instrument; DeviceError `dependency.missing` and as QEMU and the DUT do
 */
export async function qemuRun(rig: Rig, tools: QemuTools = defaultQemuTools()): Promise<RunSource> {
  if (rig.supply === null) throw new Error('qemuRun: the virtual instrument always has a supply');
  const inputs = await testInputs();
  const { mode, trigger, ...planned } = await planRun(rig, inputs, tools);
  const random = new Random(rig.seed);
  const { settings, facts } = virtualSettings(rig);
  const { channel } = rig.trigger;
  const plant = new Plant({
    supply_V: rig.supply.voltage_V,
    sourceResistance_ohm,
    waves: [
      { amplitude: 4e-3, frequency_Hz: 2487, phase_rad: random.between(0, 2 * Math.PI) },
      { amplitude: 1e-3, frequency_Hz: 100, phase_rad: random.between(0, 2 * Math.PI) },
    ],
    channels: { [channel]: mode === 'energy' },
  });
  const instrument = new VirtualInstrument(
    plant,
    settings,
    drawFaults(rig.faults, trigger, random.fork('faults')),
    random.fork('instrument'),
    `SIM-Q${String(rig.seed).padStart(6, '0')}`,
  );
  const sync = syncPlanOf(rig.trigger.sync ?? 'none', channel, instrument.stream, [instrument.clock]);
  if (sync !== null && rig.faults.length > 0) {
    throw new UsageError('rig.sync', {
      where: 'trigger.sync',
      problem: 'faults strike the edges of windows, and those of the pattern are on the same pin',
      remedy: 'leave out `sync` or `faults`',
    });
  }
  const plan = sync === null ? planned.plan : { ...planned.plan, sync };
  const script = sync === null ? planned.script : withSync(planned.script, sync, false);
  const world = new QemuWorld(plant, instrument, channel, mode, script.inferences!);
  const stop = new AbortController();
  return {
    simulated: true,
    clocks: [instrument.clock],
    streams: withGroupDelays([instrument.stream], rig),
    plan,
    provenance: {
      simulated: true,
      instrument: { ...instrument.identity, simulated: true, ...facts },
      dut: {
        name: rig.dut.name,
        model,
        simulated: true,
        emulator: 'QEMU microbit',
        ...(rig.dut.via === 'io-manager' && { connection: 'io-manager' }),
      },
      supply: { voltage_V: rig.supply.voltage_V, sourceResistance_ohm },
      seed: rig.seed,
      faults: [...rig.faults],
    },
    isVirtualTime: true,
    hasEnergyRunnerLayout: mode === 'energy',
    interrupt: () => stop.abort(),
    chunks$: new Observable((subscriber) => {
      playOnQemu(script, mode, tools, rig.dut.via, world, subscriber, stop.signal).then(
        () => subscriber.complete(),
        (error) => subscriber.error(error),
      );
      return () => stop.abort();
    }),
  };
}

async function planRun(rig: Rig, inputs: readonly ScriptInput[], tools: QemuTools): Promise<QemuPlan> {
  const { channel } = rig.trigger;
  const isRelayed = rig.dut.via === 'io-manager';
  const options = { isRelayed, hasIoTimer: isRelayed };
  if (rig.profile === 'per-inference') {
    const asked = Array.from({ length: rig.inferences }, (_, k) => inputs[k % inputs.length]!);
    return {
      mode: 'marks',
      script: makeScript('accuracy', model, asked, options),
      plan: {
        profile: null,
        pairing: 'level-high',
        channel,
        windows: rig.inferences,
        inferencesPerWindow: 1,
        holdOff_s: rig.trigger.hold_off_s ?? 0,
        minWidth_s: rig.trigger.min_width_s ?? timestampPulse_s,
        pulse_s: timestampPulse_s,
      },
      trigger: {
        windows: rig.inferences,
        window_s: timestampPulse_s,
        startChanges: (w) => [2 * w],
        endChanges: (w) => [2 * w + 1],
      },
    };
  }
  if (rig.profile !== model) {
    throw new UsageError('rig.profile', {
      where: `profile ${rig.profile}`,
      problem: 'the firmware in QEMU cannot run it',
      remedy: `choose ${model} or per-inference`,
    });
  }
  const inferences =
    rig.dut.inferences ??
    (await onQemu('energy', tools, 'direct', async ({ client }) => {
      await client.load(await readFile(inputs[0]!.file));
      return inferencesFor(client, leastWindow_s, leastInferences);
    }));
  const pulse = (k: number) => [2 * k, 2 * k + 1];
  return {
    mode: 'energy',
    script: makeScript('energy', model, inputs, { ...options, inferences }),
    plan: {
      profile: model,
      pairing: 'falling-pairs',
      channel,
      windows: windowsOfEnergyRun,
      inferencesPerWindow: inferences,
      holdOff_s: rig.trigger.hold_off_s ?? timestampPulse_s,
      minWidth_s: rig.trigger.min_width_s ?? 0,
      pulse_s: timestampPulse_s,
    },
    trigger: {
      windows: windowsOfEnergyRun,
      window_s: leastWindow_s,
      startChanges: (w) => pulse(2 * w + 1),
      endChanges: (w) => pulse(2 * w + 2),
    },
  };
}

/** The committed test set of the firmware's network. */
async function testInputs(): Promise<ScriptInput[]> {
  const rows = (await readFile(join(testSet, 'y_labels.csv'), 'utf8')).trim().split('\n');
  return rows.map((row) => {
    const [name, , label] = row.split(',').map((field) => field.trim());
    return { file: join(testSet, name!), bytes: 490, label: Number(label) };
  });
}

/** Boots and closes a DUT around `work`. */
async function onQemu<T>(
  mode: QemuFirmware,
  tools: QemuTools,
  via: Rig['dut']['via'],
  work: (running: QemuDut) => Promise<T>,
  onLine: LineListener | null = null,
): Promise<T> {
  const running = await openQemuDut(mode, tools, via);
  try {
    running.onLine(onLine);
    await running.client.open();
    return await work(running);
  } finally {
    await running.close();
  }
}

async function playOnQemu(
  script: Script,
  mode: QemuFirmware,
  tools: QemuTools,
  via: Rig['dut']['via'],
  world: QemuWorld,
  out: Subscriber<Chunk>,
  interrupt: AbortSignal,
): Promise<void> {
  let player: ScriptPlayer | null = null;
  const work = async ({ client, io, time, onEvent }: QemuDut) => {
    const start_ns = time.now_ns();
    const emit = (chunk: Chunk) => out.next(chunk);
    const stopListening = onEvent((event) => world.happen(event, start_ns * 1e-9, emit));
    player = new ScriptPlayer(script, {
      dut: client,
      instrument:
        script.mode === 'energy'
          ? { name: 'virtual', power: async () => {}, trace: async () => {}, voltage_mV: async () => null }
          : null,
      io,
      readInput: ({ file }) => readFile(file),
      version: 'qemu',
      sessionId: '00000000000000',
      time,
      start_ns,
      emit,
      interrupt,
    });
    await player.play();
    stopListening();
    world.end(emit);
  };
  await onQemu(mode, tools, via, work, (source, line) => player?.heard(source, line));
}

/** The plant and the instrument, as far as the DUT's events have come. */
class QemuWorld {
  readonly #plant: Plant;
  readonly #instrument: VirtualInstrument;
  readonly #channel: string;
  readonly #mode: QemuFirmware;
  readonly #inferences: number;
  #line = '';
  #current_A: number = virtualCurrents_A.idle;
  /** Energy mode: `m-infer-start` has come, so that the next falling edge starts a window. */
  #isArmed = false;
  #start_s: number | null = null;
  /** The DUT plays the sync pattern: the line tells the current, and no window. */
  #isSyncing = false;
  #windows: InferenceWindow[] = [];

  constructor(plant: Plant, instrument: VirtualInstrument, channel: string, mode: QemuFirmware, inferences: number) {
    this.#plant = plant;
    this.#instrument = instrument;
    this.#channel = channel;
    this.#mode = mode;
    this.#inferences = inferences;
  }

  /** Something that the DUT did; `start_s` is its time at which the run began. */
  happen(event: QemuEvent, start_s: number, emit: (chunk: Chunk) => void): void {
    const time_s = event.time_s - start_s;
    this.#plant.hold(time_s, this.#current_A);
    if (event.kind === 'edge') {
      this.#plant.edge(time_s, this.#channel, event.polarity);
      this.#edge(event.polarity, time_s);
    } else {
      this.#character(event.byte);
    }
    this.#measure(emit);
  }

  /** The DUT is done. */
  end(emit: (chunk: Chunk) => void): void {
    this.#plant.hold(this.#plant.horizon_s + tail_s, virtualCurrents_A.idle);
    this.#plant.finish();
    this.#measure(emit);
    for (const chunk of this.#instrument.readBlock(this.#plant.horizon_s)) emit(chunk);
    this.#tellTruths(emit);
  }

  #edge(polarity: Polarity, time_s: number): void {
    if (this.#isSyncing) {
      this.#current_A = polarity === 'rise' ? virtualCurrents_A.syncLoad : virtualCurrents_A.idle;
      return;
    }
    const isStart = this.#mode === 'energy' ? polarity === 'fall' && this.#isArmed : polarity === 'rise';
    if (isStart) {
      this.#isArmed = false;
      this.#start_s = time_s;
      this.#current_A = active_A;
    } else if (polarity === 'fall' && this.#start_s !== null) {
      this.#windows.push({ kind: 'window', start_s: this.#start_s, end_s: time_s, inferences: this.#inferences });
      this.#start_s = null;
      this.#current_A = virtualCurrents_A.idle;
    }
  }

  /** Warm-ups have no edges; what the DUT says tells of them. */
  #character(byte: number): void {
    const character = String.fromCharCode(byte);
    if (character !== '\n') {
      this.#line += character;
      return;
    }
    const line = this.#line.trimEnd();
    this.#line = '';
    if (line.startsWith('m-warmup-start-')) this.#current_A = virtualCurrents_A.warmUp;
    else if (line === 'm-warmup-done') this.#current_A = virtualCurrents_A.idle;
    else if (line.startsWith('m-infer-start-')) this.#isArmed = true;
    else if (line.startsWith('m-sync-start-')) {
      this.#isSyncing = true;
      // Where the line idles high, the first chips show no edge.
      if (this.#mode === 'energy') this.#current_A = virtualCurrents_A.syncLoad;
    } else if (line === 'm-sync-done') {
      this.#isSyncing = false;
      this.#current_A = virtualCurrents_A.idle;
    }
  }

  #measure(emit: (chunk: Chunk) => void): void {
    const { horizon_s } = this.#plant;
    while (!this.#instrument.isUnplugged && this.#instrument.nextBlockEnd_s <= horizon_s) {
      for (const chunk of this.#instrument.readBlock(this.#instrument.nextBlockEnd_s)) emit(chunk);
      this.#tellTruths(emit);
    }
  }

  /** The truth of each window that lies wholly behind, and so does what is just outside. */
  #tellTruths(emit: (chunk: Chunk) => void): void {
    const settled_s = Math.min(this.#instrument.sampled_s, this.#plant.horizon_s - outside_s);
    for (let window = this.#windows[0]; window !== undefined && window.end_s <= settled_s; window = this.#windows[0]) {
      this.#windows.shift();
      emit(truthLine(this.#plant, this.#instrument, window));
    }
    const oldest_s =
      Math.min(settled_s, this.#windows[0]?.start_s ?? settled_s, this.#start_s ?? settled_s) - 2 * outside_s;
    this.#plant.forget(oldest_s);
    this.#instrument.forget(oldest_s);
  }
}
