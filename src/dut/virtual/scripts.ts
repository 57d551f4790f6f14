import type { SyncPlan } from '../../signal/recording.ts';
import type { VirtualAnswer } from './answers.ts';
import { type VirtualBenchmark, virtualCurrents_A } from './benchmarks.ts';
import type { ScriptEvent, VirtualDut } from './virtual-dut.ts';

/** Firmware text of MLPerf Tiny. */
const profileMessage = 'm-profile-[ULPMark for tinyML Firmware V0.0.1]';

/** The UART has gone quiet for this long before a window begins, and stays so after it ends. */
const energyRunQuiet_s = 10e-3;
const perInferenceQuiet_s = 5e-3;

/** The pattern is played at the beginning, at the end, and whenever the last time is so long ago. */
const syncEvery_s = 60;
/** Nothing else happens for this long before and after it. */
const syncQuiet_s = 20e-3;

/** One `db` command carries 26 bytes as hex digits: `db `, the digits and `%`. */
const downloadBlockBytes = 26;
/** Time from the end of a command to its answer; with it 490 bytes take 1.6 to 1.7 s, as in published logs. */
const commandTurnaround_s = 17e-3;

/**
 * The MLPerf Tiny energy run: handshake edge, head of 1 s, then for each input a download, a warm-up inference and a
 * window of `benchmark.iterations` inferences between two falling edges; tail of 1 s. The line idles high.
 */
export function* energyRun(
  dut: VirtualDut,
  dutName: string,
  benchmark: VirtualBenchmark,
  answers: Iterable<VirtualAnswer>,
  sync: SyncPlan | null = null,
): Generator<ScriptEvent> {
  const { iterations } = benchmark;
  const player = new SyncPlayer(dut, sync);
  yield* boot(dut, dutName, benchmark);
  player.play();
  dut.receive('timestamp%'.length);
  dut.idle(energyRunQuiet_s);
  dut.timestamp();
  dut.idle(energyRunQuiet_s);
  yield* dut.say('m-ready');
  dut.idle(1);
  for (const answer of answers) {
    player.playIfDue();
    yield* download(dut, benchmark.inputBytes);
    dut.receive(`infer ${iterations} 1%`.length);
    dut.idle(commandTurnaround_s);
    yield* dut.say('m-warmup-start-1');
    dut.warmUp(benchmark);
    yield* dut.say('m-warmup-done', `m-infer-start-${iterations}`);
    dut.idle(energyRunQuiet_s);
    const start_s = dut.now_s;
    dut.timestamp();
    for (let k = 0; k < iterations; k++) dut.infer(benchmark);
    const end_s = dut.now_s;
    dut.timestamp();
    yield { kind: 'window', start_s, end_s, inferences: iterations };
    dut.idle(energyRunQuiet_s);
    yield* dut.say('m-infer-done');
    yield* results(dut, answer);
    yield* dut.say('m-ready');
    dut.idle(0.1);
  }
  player.play();
  dut.idle(1);
}

/**
 * One window an inference: the inputs lie on the DUT, the line is high during each inference, and the answer is printed
 * after it.
 */
export function* perInferenceRun(
  dut: VirtualDut,
  dutName: string,
  benchmark: VirtualBenchmark,
  answers: Iterable<VirtualAnswer>,
  sync: SyncPlan | null = null,
): Generator<ScriptEvent> {
  const player = new SyncPlayer(dut, sync);
  yield* boot(dut, dutName, benchmark);
  player.play();
  yield* dut.say('m-warmup-start-1');
  dut.warmUp(benchmark);
  yield* dut.say('m-warmup-done');
  for (const answer of answers) {
    player.playIfDue();
    dut.idle(perInferenceQuiet_s);
    const start_s = dut.now_s;
    dut.setPin(true);
    dut.infer(benchmark);
    const end_s = dut.now_s;
    dut.setPin(false);
    yield { kind: 'window', start_s, end_s, inferences: 1 };
    dut.idle(perInferenceQuiet_s);
    yield* results(dut, answer);
  }
  yield* dut.say('m-ready');
  player.play();
  dut.idle(0.1);
}

/** Plays the sync pattern of a run now and then, where it has one. */
class SyncPlayer {
  readonly #dut: VirtualDut;
  readonly #sync: SyncPlan | null;
  #last_s = 0;

  constructor(dut: VirtualDut, sync: SyncPlan | null) {
    this.#dut = dut;
    this.#sync = sync;
  }

  play(): void {
    if (this.#sync === null) return;
    this.#dut.idle(syncQuiet_s);
    this.#dut.sync(this.#sync);
    this.#dut.idle(syncQuiet_s);
    this.#last_s = this.#dut.now_s;
  }

  playIfDue(): void {
    if (this.#dut.now_s - this.#last_s >= syncEvery_s) this.play();
  }
}

function* boot(dut: VirtualDut, dutName: string, benchmark: VirtualBenchmark): Generator<ScriptEvent> {
  dut.spend(0.12, virtualCurrents_A.boot);
  yield* dut.say(
    'm-timestamp-mode-energy',
    `m-name-dut-[${dutName}]`,
    profileMessage,
    `m-model-[${benchmark.model}]`,
    'm-init-done',
    'm-ready',
  );
  dut.idle(0.05);
}

function* download(dut: VirtualDut, bytes: number): Generator<ScriptEvent> {
  dut.receive(`db load ${bytes}%`.length);
  dut.idle(commandTurnaround_s);
  yield* dut.say(`m-[Expecting ${bytes} bytes]`, 'm-ready');
  for (let sent = 0; sent < bytes; sent += downloadBlockBytes) {
    const digits = 2 * Math.min(downloadBlockBytes, bytes - sent);
    dut.receive('db %'.length + digits);
    dut.idle(commandTurnaround_s);
    dut.print('m-ready');
  }
  yield* dut.say('m-load-done');
}

function* results(dut: VirtualDut, answer: VirtualAnswer): Generator<ScriptEvent> {
  const text = `m-input-[${answer.input}]-label-[${answer.label}]`;
  yield { kind: 'log', time_s: dut.now_s, source: 'host', text };
  yield* dut.say(`m-results-[${answer.scores.join(',')}]`);
}
