import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Observable, Subject, type Subscriber } from 'rxjs';
import { readLines } from '../capture/formats/lines.ts';
import { DutClient } from '../dut/client.ts';
import { DirectLink } from '../dut/command-port.ts';
import { simulatedInput } from '../dut/emulators/index.ts';
import { IoManager } from '../dut/io-manager.ts';
import type { TimedLine } from '../dut/line-queue.ts';
import { directBlockBytes } from '../dut/protocol.ts';
import {
  benchmarkRuns,
  inferencesFor,
  makeScript,
  type Script,
  type ScriptInput,
  ScriptPlayer,
} from '../dut/scripts/index.ts';
import { timestampPulse_s } from '../dut/virtual/index.ts';
import { FormatError, UsageError } from '../signal/errors.ts';
import type { RunPlan } from '../signal/recording.ts';
import type { Chunk, LogLine } from '../signal/types.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import { openSerial } from '../transport/serial.ts';
import { realTime } from '../transport/time.ts';
import { type DutWorld, MessageWorld } from './dut-world.ts';
import { type Measurement, measurementOf } from './measurement.ts';
import type { Rig } from './rig-file.ts';
import type { RunSource } from './run-source.ts';

/** Of a DUT in energy mode, and of the port to an IO manager. */
const energyBaud = 9600;
const ioManagerBaud = 115_200;
/** What the benchmarks demand of a window. */
const leastWindow_s = 10;
const leastInferences = 10;
const windowsOfEnergyRun = 5;
/** So begins the name of an emulated DUT. */
const simulatedMark = 'SIMULATED';

export interface DutRunOptions {
  /** Where the trigger edges and the current of an emulated DUT show; absent: the messages of the DUT stand in for them. */
  world?: DutWorld;
  /** Name and version of the program, for the log. */
  version: string;
}

/** A DUT that answers, with the way to it. */
interface OpenDut {
  client: DutClient;
  io: IoManager | null;
  /** Where the lines of the DUT and the IO manager go. */
  onLine(listener: ((source: 'dut' | 'io', line: TimedLine) => void) | null): void;
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
  if (runs === undefined || runs.inputBytes === null) {
    throw new UsageError('rig.profile', {
      where: `profile ${rig.profile}`,
      problem: 'there is no energy run of it for a DUT on a serial port',
      remedy: 'choose kws01, ic01, ad01 or vww01',
    });
  }
  const ownWorld = options.world === undefined ? new MessageWorld(rig) : null;
  const world = options.world ?? ownWorld!.world;
  const measurement = await measurementOf(rig, world);
  let dut: OpenDut | null = null;
  try {
    const { channel } = rig.trigger;
    const basis = {
      profile: rig.profile,
      pairing: 'falling-pairs',
      channel,
      windows: windowsOfEnergyRun,
      holdOff_s: rig.trigger.hold_off_s ?? timestampPulse_s,
      minWidth_s: rig.trigger.min_width_s ?? 0,
      pulse_s: timestampPulse_s,
    } satisfies Omit<RunPlan, 'inferencesPerWindow'>;
    measurement.assertTriggerFits({ ...basis, inferencesPerWindow: null });
    await measurement.power(true);
    dut = await openDut(rig, runs.scores);
    const identity = await dut.client.open();
    const inputs = await inputsOf(rig, runs.inputBytes, identity.name, windowsOfEnergyRun);
    const inferences = rig.dut.inferences ?? (await measuredInferences(dut.client, inputs, runs.inputBytes));
    const isRelayed = dut.io !== null;
    const script = makeScript('energy', rig.profile, inputs.list, {
      inferences,
      isRelayed,
      hasIoTimer: dut.io?.kind === 'uno',
    });
    const opened = dut;
    const simulated = measurement.simulated || identity.name.startsWith(simulatedMark);
    return {
      simulated,
      clocks: measurement.clocks,
      streams: measurement.streams,
      plan: { ...basis, inferencesPerWindow: inferences },
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
        trigger: { kind: ownWorld === null ? 'pin' : 'dut-messages', isCoarse: ownWorld !== null },
      },
      isVirtualTime: false,
      hasEnergyRunnerLayout: true,
      chunks$: new Observable((subscriber) => {
        const run = new DutRun(script, opened, measurement, inputs.read, options.version, subscriber);
        const heard = ownWorld === null ? null : (line: LogLine) => ownWorld.heard(line);
        void run.play(heard);
        return () => run.end();
      }),
    };
  } catch (error) {
    await dut?.client.close();
    await measurement.close();
    throw error;
  }
}

/** Opens the port that the rig names; behind an IO manager it is that one's. */
async function openDut(rig: Rig, scores: number | null): Promise<OpenDut> {
  const { connection, via } = rig.dut;
  let listener: ((source: 'dut' | 'io', line: TimedLine) => void) | null = null;
  const options = {
    ...(scores === null ? {} : { scores }),
    onLine: (line: TimedLine) => listener?.('dut', line),
  };
  const onLine: OpenDut['onLine'] = (next) => {
    listener = next;
  };
  const isRelayed = via === 'io-manager';
  const baudRate = isRelayed ? ioManagerBaud : (rig.dut.baud ?? energyBaud);
  const stream: ByteStream = await openSerial(connection, { baudRate });
  if (!isRelayed) return { client: new DutClient(new DirectLink(stream, directBlockBytes), options), io: null, onLine };
  const io = new IoManager(stream, {
    dutBaud: rig.dut.baud ?? energyBaud,
    onLine: (line) => listener?.('io', line),
  });
  return { client: new DutClient(io.dutLink(), options), io, onLine };
}

interface Inputs {
  list: ScriptInput[];
  read(input: ScriptInput): Promise<Uint8Array>;
}

/**
 * The first inputs of the folder that the rig names, by its y_labels.csv; without one, made-up inputs for a DUT that says that it is
 * simulated.
 */
async function inputsOf(rig: Rig, inputBytes: number, dutName: string, count: number): Promise<Inputs> {
  const folder = rig.dut.inputs;
  if (folder === undefined) {
    if (!dutName.startsWith(simulatedMark)) {
      throw new UsageError('rig.inputs', {
        where: 'dut.inputs',
        problem: 'nothing says where the inputs of the benchmark are',
        remedy: 'add `inputs:` under `dut:`, the folder with y_labels.csv and the input files',
      });
    }
    const list = Array.from({ length: count }, (_, k): ScriptInput => {
      return { file: `sim_${rig.profile}_${String(k).padStart(6, '0')}_${k}.bin`, bytes: inputBytes, label: k };
    });
    return { list, read: async ({ bytes, label }) => simulatedInput(bytes, label ?? 0, rig.seed) };
  }
  const list: ScriptInput[] = [];
  const labels = join(folder, 'y_labels.csv');
  for await (const { text, number } of readLines(labels)) {
    if (list.length === count) break;
    const [name, , label] = text.split(',').map((field) => field.trim());
    if (!name) continue;
    if (!/^\d{1,6}$/.test(label ?? '') || /[\\/]/.test(name)) {
      throw new FormatError('labels.malformed', {
        where: `${labels} line ${number}`,
        problem: `expected "file,classes,class", found ${JSON.stringify(text.slice(0, 60))}`,
        remedy: 'use the y_labels.csv of the benchmark',
      });
    }
    const file = join(folder, name);
    list.push({ file, bytes: await sizeOf(file), label: Number(label) });
  }
  return { list, read: ({ file }) => readFile(file) };
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (cause) {
    throw new UsageError('rig.inputs', {
      where: path,
      problem: `the input cannot be read: ${(cause as Error).message}`,
      remedy: 'put the input files beside y_labels.csv',
      cause,
    });
  }
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
  readonly #out: Subscriber<Chunk>;
  readonly #stop = new AbortController();
  readonly #lines$ = new Subject<LogLine>();
  /** Lines from before the measurement has a time 0. */
  #held: LogLine[] = [];
  #isOver = false;

  constructor(
    script: Script,
    dut: OpenDut,
    measurement: Measurement,
    readInput: Inputs['read'],
    version: string,
    out: Subscriber<Chunk>,
  ) {
    this.#dut = dut;
    this.#measurement = measurement;
    this.#out = out;
    this.#player = new ScriptPlayer(script, {
      dut: dut.client,
      instrument: measurement,
      io: dut.io,
      readInput,
      version,
      sessionId: new Date().toISOString().replace(/\D/g, '').slice(0, 14),
      // The log's time 0 is the measurement's, which may not have begun yet.
      start_ns: 0,
      emit: (line) => this.#emit(line),
      interrupt: this.#stop.signal,
    });
  }

  /** @param heard takes each log line with the host's time, for a world that follows the messages */
  async play(heard: ((line: LogLine) => void) | null): Promise<void> {
    this.#dut.onLine((source, line) => this.#player.heard(source, line));
    if (heard) this.#lines$.subscribe(heard);
    const subscription = this.#measurement.chunks$.subscribe({
      next: (chunk) => this.#out.next(chunk),
      error: (error) => this.#out.error(error),
    });
    try {
      await this.#player.play();
      await this.#measurement.settle();
      this.#release(realTime.now_ns());
      this.#out.complete();
    } catch (error) {
      await this.#measurement.settle().catch(() => {});
      this.#release(realTime.now_ns());
      this.#out.error(error);
    } finally {
      this.#isOver = true;
      subscription.unsubscribe();
      await this.#dut.client.close();
      await this.#measurement.close();
    }
  }

  /** Nobody listens any more: the supply goes off and the ports are closed. */
  end(): void {
    if (!this.#isOver) this.#stop.abort();
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
