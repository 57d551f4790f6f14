import { DeviceError } from '../../signal/errors.ts';
import type { LogLine } from '../../signal/types.ts';
import { realTime, type TimeSource, wait } from '../../transport/time.ts';
import type { DutClient, DutIdentity } from '../client.ts';
import type { DutyCycle, IoManager } from '../io-manager.ts';
import type { TimedLine } from '../line-queue.ts';
import { parseDutLine } from '../protocol.ts';
import { playSync } from '../sync.ts';
import { nameOf } from './benchmarks.ts';
import type { Script, ScriptAction, ScriptInput, ScriptStep } from './script.ts';

/** What a script needs of the instrument; whoever assembles the rig implements it. */
export interface InstrumentControls {
  /** As the log calls it, e.g. `lpm01a`, `virtual`. */
  readonly name: string;
  power(on: boolean): Promise<void>;
  /** Begins to measure, or ends it. */
  trace(on: boolean): Promise<void>;
  /** The supply's voltage, or null where nothing knows it. */
  voltage_mV(): Promise<number | null>;
}

export interface PlayerRig {
  dut: DutClient;
  /** Null in performance and accuracy runs without an instrument. */
  instrument: InstrumentControls | null;
  io: IoManager | null;
  /** Bytes of an input file. */
  readInput(input: ScriptInput): Promise<Uint8Array>;
  /** Name and version of the program, for the log. */
  version: string;
  /** `YYYYMMDDhhmmss`. */
  sessionId: string;
  time?: TimeSource;
  /** `time` at which the log's time is 0. */
  start_ns: number;
  emit(line: LogLine): void;
  /** Takes each timestamp of the DUT's counter as it is believed. */
  onLap?(lap_us: number): void;
  interrupt?: AbortSignal;
}

export interface ScriptAnswer {
  input: ScriptInput;
  scores: number[];
}

export interface ScriptOutcome {
  answers: ScriptAnswer[];
  /** Counter of the DUT at the handshake and at both ends of each window; empty in energy mode. */
  laps_us: number[];
  /** Streaming wakeword: detections on the board's clock, and the duty cycle. */
  detections_s: number[];
  dutyCycle: DutyCycle | null;
  /** True where `interrupt` ended the run. */
  interrupted: boolean;
}

/** The DUT is still busy for a moment after a sound has ended (MLCommons benchmark/runner). */
const afterSound_ms = 250;
/** The line is left alone for this long after a sync pattern. */
const besideSync_ms = 20;
/** The recording of the benchmark. */
const wholeRecording_s = 1200;

/** @throws DeviceError `dut.model` where a DUT runs another benchmark's network than the profile's */
export function assertRuns(identity: DutIdentity, model: string): void {
  if (identity.model === model || (model === 'sww01' && identity.model === 'strww01')) return;
  throw new DeviceError('dut.model', {
    where: identity.name,
    problem: `the DUT runs ${identity.model}, the profile is ${model}`,
    remedy: `flash the firmware of ${model}, or choose the profile ${identity.model}`,
  });
}

/**
 * Plays a script and tells of it in the grammar of EnergyRunner's log. A DUT line goes to the log as `dut`; one that looks like
 * an answer and was not believed goes as `dut-damaged`, so that no reader of the log believes it.
 */
export class ScriptPlayer {
  readonly #script: Script;
  readonly #rig: PlayerRig;
  readonly #time: TimeSource;
  #isMuted = false;
  /** Lines held back while it is not known whether the answer among them is intact. */
  #held: LogLine[] | null = null;
  #last_s = 0;
  /** What the DUT holds. */
  #input: ScriptInput | null = null;

  constructor(script: Script, rig: PlayerRig) {
    this.#script = script;
    this.#rig = rig;
    this.#time = rig.time ?? realTime;
  }

  /** Takes a line of the DUT or the IO manager, for the log; wire it to their `onLine`. */
  heard(source: 'dut' | 'io', received: TimedLine): void {
    if (this.#isMuted) return;
    const line = this.#line(source, received.text, received.arrival_ns);
    if (this.#held !== null && (this.#held.length > 0 || line.text.includes('esults-'))) this.#held.push(line);
    else this.#rig.emit(line);
  }

  /**
   * Plays the script to its end. The supply is off afterwards, whatever happened, and the log says whether the instrument acknowledged it.
   * @throws DeviceError as the client; `dut.model` where the DUT runs another network, `dut.mode` where its firmware is that of the
   * other mode, `dut.timestamps` where a window has no two timestamps
   */
  async play(): Promise<ScriptOutcome> {
    const { instrument, interrupt, sessionId } = this.#rig;
    const outcome: ScriptOutcome = { answers: [], laps_us: [], detections_s: [], dutyCycle: null, interrupted: false };
    this.#say('session', `m-session-start-id[${sessionId}]`);
    this.#say('parser', `m-bmark-run-name[${this.#script.runName}]-code[${this.#script.code}]`);
    this.#say('sequencer', 'm-sequencer-start');
    const total_ms = this.#script.steps.reduce((sum, { ms }) => sum + Math.max(0, ms), 0);
    let acc_ms = 0;
    // The DUT was asked before the script began, so its supply may be on by now.
    let isOn = instrument !== null;
    let failure: unknown = null;
    try {
      for (const [k, step] of this.#script.steps.entries()) {
        if (interrupt?.aborted) break;
        this.#say(
          'sequencer',
          `m-sequencing-i[${k + 1}]-command[${step.command}]-ack[${step.ack}]-ms[${step.ms}]-acc[${acc_ms}]-total_ms[${total_ms}]`,
        );
        acc_ms += step.ms;
        this.#say('parser', `Command "${step.command}"`);
        if (step.action.do === 'power') isOn = step.action.on;
        await this.#unlessInterrupted(this.#act(step, outcome));
      }
    } catch (error) {
      if (!(error instanceof Interruption)) {
        this.#sayError('session', (error as Error).message);
        failure = error;
      }
    } finally {
      this.#isMuted = false;
      this.#release(null);
    }
    if (isOn) {
      try {
        await instrument?.power(false);
        this.#say('emon', 'm-power[off]');
      } catch (error) {
        this.#sayError('emon', `nothing acknowledges that the supply is off: ${(error as Error).message}`);
        failure ??= error;
      }
    }
    if (failure !== null) throw failure;
    outcome.interrupted = interrupt?.aborted ?? false;
    this.#say('sequencer', 'm-sequencer-stop');
    this.#say('session', `m-session-stop-id[${sessionId}]`);
    this.#say('session', `Saved this run to session ID ${sessionId}`);
    return outcome;
  }

  async #act({ action, command }: ScriptStep, outcome: ScriptOutcome): Promise<void> {
    const { dut, instrument, io } = this.#rig;
    const word = command.split(' ', 1)[0]!;
    const finished = () => this.#say('parser', `m-ready-finished[${word}]`);
    switch (action.do) {
      case 'version':
        this.#say('parser', `m-version[${this.#rig.version}]`);
        finished();
        return;
      case 'configure':
        for (const [key, value] of Object.entries(this.#script.config)) {
          this.#say('parser', `m-bm-cfg-name[${this.#script.code}]-key[${key}]-val[${value}]`);
        }
        finished();
        return;
      case 'power':
        await instrument?.power(action.on);
        this.#say('emon', `m-power[${action.on ? 'on' : 'off'}]`);
        this.#say('emon', 'm-ready');
        finished();
        if (action.on) await dut.open();
        return;
      case 'profile':
        finished();
        // Without a supply to switch, this is the first that is heard of the DUT.
        if (instrument === null) await dut.open();
        await dut.profile();
        assertRuns(this.#rig.dut.identity, this.#script.model);
        return;
      case 'timer-mode':
        // `enableTimer` sets the mode too.
        finished();
        return;
      case 'io-timer':
        finished();
        await (action.on ? io?.enableTimer('falling') : io?.disableTimer());
        return;
      case 'timer':
        this.#say('emon', `m-timer[${action.on ? 'on' : 'off'}]`);
        this.#say('emon', 'm-ready');
        finished();
        return;
      case 'trace':
        await instrument?.trace(action.on);
        if (!action.on) {
          for (const [file, type] of [
            ['trace1-energy.bin', 'emon'],
            ['trace1-timestamps.json', 'etime'],
          ]) {
            this.#say('emon', `m-regfile-fn[${file}]-type[${type}]-name[${instrument?.name}]`);
          }
        }
        this.#say('emon', `m-trace[${action.on ? 'on' : 'off'}]`);
        this.#say('emon', 'm-ready');
        finished();
        return;
      case 'timestamp': {
        finished();
        const lap_us = await dut.timestamp();
        this.#checkMode();
        if (lap_us !== null) this.#lap(lap_us, outcome);
        return;
      }
      case 'echo':
        this.#say('parser', `Echoing message in ${action.delay_ms} ms...`);
        finished();
        await wait(this.#time, action.delay_ms);
        this.#say('parser', `m-echo-message[${action.label}]`);
        return;
      case 'load':
        return this.#load(action, word);
      case 'infer':
        finished();
        return this.#infer(action, outcome);
      case 'voltage': {
        const voltage_mV = await instrument?.voltage_mV();
        if (typeof voltage_mV === 'number') this.#say('emon', `m-voltage-mv[${Math.round(voltage_mV)}]`);
        this.#say('emon', 'm-ready');
        finished();
        return;
      }
      case 'sync':
        finished();
        await playSync(dut, action.order, action.chip_us);
        // No other pulse stands right beside the pattern.
        await wait(this.#time, besideSync_ms);
        return;
      case 'stream':
        finished();
        return this.#stream(this.#script.inputs[action.input]!, outcome);
    }
  }

  async #load(action: Extract<ScriptAction, { do: 'load' }>, word: string): Promise<void> {
    const input = this.#script.inputs[action.input]!;
    const file = await this.#rig.readInput(input);
    const from = action.offset ?? 0;
    const bytes = file.subarray(from, from + (action.length ?? file.length));
    this.#say('host', `m-input-[${nameOf(input.file)}]-label-[${input.label ?? ''}]`);
    this.#say('parser', `File size is ${file.length}, loading...`);
    this.#say('parser', `Starting at byte offset ${from}`);
    this.#say('parser', `Sending ${bytes.length} bytes`);
    this.#say('parser', 'm-mute-target[dut]');
    this.#isMuted = true;
    const begun_ns = this.#time.now_ns();
    await this.#rig.dut.load(bytes);
    this.#isMuted = false;
    const took_s = Math.max(1e-3, (this.#time.now_ns() - begun_ns) / 1e9);
    for (const target of word === 'bloadp' ? ['dut', 'io', 'parser'] : ['dut']) {
      this.#say('parser', `m-unmute-target[${target}]`);
    }
    this.#say('parser', `m-${word}-done`);
    const hexDigits_kb = (8 * bytes.length) / 1000;
    this.#say('parser', `Binary load took ${took_s.toFixed(3)} sec, or ${(hexDigits_kb / took_s).toFixed(3)} kb/sec`);
    this.#say('parser', `m-ready-finished[${word}]`);
    this.#input = input;
  }

  async #infer({ inferences, warmups }: Extract<ScriptAction, { do: 'infer' }>, outcome: ScriptOutcome): Promise<void> {
    this.#held = [];
    const { scores, fields, laps_us } = await this.#rig.dut.infer(inferences, warmups);
    this.#release(fields);
    this.#checkMode();
    if (this.#script.mode === 'performance' && laps_us.length !== 2) {
      throw new DeviceError('dut.timestamps', {
        where: this.#rig.dut.identity.name,
        problem: `too few timestamps: ${laps_us.length} intact m-lap-us around a window, expected 2`,
        remedy: 'check the line to the DUT, and that its firmware is that of performance mode; then run again',
      });
    }
    for (const lap_us of laps_us) this.#lap(lap_us, outcome);
    if (this.#input !== null) outcome.answers.push({ input: this.#input, scores });
  }

  /** MLCommons benchmark/runner: start, record, play, stop, print. */
  async #stream(input: ScriptInput, outcome: ScriptOutcome): Promise<void> {
    const { dut, io } = this.#rig;
    if (io === null) throw new Error('ScriptPlayer: a streaming run needs an interface board');
    const { duration_s = wholeRecording_s, words = null } = input;
    this.#say('host', `m-sound-[${JSON.stringify({ file: nameOf(input.file), duration_s, words })}]`);
    // Energy firmware pulses its pin at each of these: a handshake, the beginning of the window, and its end.
    await dut.command('stop');
    await dut.command('start');
    await io.recordDetections();
    await io.play(input.file, duration_s);
    await wait(this.#time, afterSound_ms);
    await dut.command('stop');
    outcome.detections_s = await io.detections();
    const { start_s, stop_s } = await io.dutyCycle();
    outcome.dutyCycle = { start_s, stop_s };
    const detections_ms = outcome.detections_s.map((at_s) => Math.round(at_s * 1000));
    this.#say('host', `m-heard-[${JSON.stringify({ detections_ms, busy: { start_s, stop_s } })}]`);
  }

  /** Energy firmware pulses a pin, the other prints laps: the wrong one gives no windows at all. */
  #checkMode(): void {
    const { mode, name } = this.#rig.dut.identity;
    const wanted = this.#script.mode === 'energy' ? 'energy' : 'performance';
    if (mode === null || mode === wanted || this.#script.mode === 'accuracy') return;
    throw new DeviceError('dut.mode', {
      where: name,
      problem: `its firmware is that of ${mode} mode, the run needs that of ${wanted} mode`,
      remedy: `build the firmware with EE_CFG_ENERGY_MODE=${wanted === 'energy' ? 1 : 0}`,
    });
  }

  /** Lets the held lines go: of the answers among them only the one that was believed stays an answer. */
  #release(fields: readonly string[] | null): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const line of held) {
      if (!line.text.includes('esults-')) this.#rig.emit(line);
      else {
        const { messages } = parseDutLine({ text: line.text, isDamaged: false, isCut: false });
        const answers = messages.filter((message) => message.kind === 'results');
        const isBelieved = answers.length > 0 && answers.every((answer) => answer.fields.join() === fields?.join());
        this.#rig.emit(isBelieved ? line : { ...line, source: 'dut-damaged' });
      }
    }
  }

  #lap(lap_us: number, outcome: ScriptOutcome): void {
    outcome.laps_us.push(lap_us);
    this.#rig.onLap?.(lap_us);
  }

  #sayError(source: string, message: string): void {
    this.#say(source, `e-[${message.replaceAll(/[[\]]/g, ' ')}]`);
  }

  #say(source: string, text: string): void {
    this.#rig.emit(this.#line(source, text));
  }

  /** The log's times never go back, also where a line is read later than another was written. */
  #line(source: string, text: string, at_ns = this.#time.now_ns()): LogLine {
    this.#last_s = Math.max(this.#last_s, (at_ns - this.#rig.start_ns) / 1e9);
    return { kind: 'log', time_s: this.#last_s, source, text };
  }

  /** The outcome of `work`, or an end as soon as the run is interrupted; the work itself is left to end by its own time limit. */
  #unlessInterrupted<T>(work: Promise<T>): Promise<T> {
    const { interrupt } = this.#rig;
    if (interrupt === undefined) return work;
    return new Promise<T>((resolve, reject) => {
      const stop = () => reject(new Interruption());
      interrupt.addEventListener('abort', stop, { once: true });
      work.then(resolve, reject).finally(() => interrupt.removeEventListener('abort', stop));
    });
  }
}

class Interruption extends Error {}
