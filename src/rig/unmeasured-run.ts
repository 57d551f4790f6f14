import { Observable, type Subscriber } from 'rxjs';
import { smallNetwork } from '../dut/emulators/small-network.ts';
import { defaultQemuTools } from '../dut/qemu/toolchain.ts';
import { assertRuns, benchmarkRuns, inferencesFor, makeScript, ScriptPlayer } from '../dut/scripts/index.ts';
import { findProfile } from '../scoring/profiles/index.ts';
import { lapWrap_us } from '../scoring/score-unmeasured.ts';
import { DeviceError, UsageError } from '../signal/errors.ts';
import type { RunPlan, UnmeasuredMode } from '../signal/recording.ts';
import type { Chunk, ClockInfo } from '../signal/types.ts';
import { openDut, type ReachedDut, unlessInterrupted } from './dut-connection.ts';
import { assertStreamingFits, boardOf, inputsOf, simulatedMark, soundOf } from './dut-inputs.ts';
import { Preparation } from './preparation.ts';
import type { Rig } from './rig-file.ts';
import type { RunSource } from './run-source.ts';

export interface UnmeasuredRunOptions {
  /** Name and version of the program, for the log. */
  version: string;
  /** Ends the preparations. */
  interrupt?: AbortSignal;
}

/** The counter of the DUT, as it prints it in `m-lap-us-...`; unwrapped. */
const lapClock: ClockInfo = { id: 'dut', tickHz: 1e6, kind: 'dut', epoch_ns: null };
const lapChannel = 'laps';
/** A timestamp lies anywhere inside its microsecond. */
const lap_u_ticks = 1 / Math.sqrt(12);

/**
 * A performance or accuracy run of a DUT on a serial port or in QEMU, without an instrument: what flows is the log, and each timestamp
 * of the DUT's counter as a falling edge on its clock. It runs in the time of the DUT.
 *
 * The number of inferences is measured beforehand where the rig does not say it, so the DUT is asked before this returns.
 *
 * @throws UsageError for a benchmark without such a run, or inputs that are missing; DeviceError as port and DUT do
 */
export async function unmeasuredRun(rig: Rig, mode: UnmeasuredMode, options: UnmeasuredRunOptions): Promise<RunSource> {
  const runs = benchmarkRuns[rig.profile];
  const profile = findProfile(rig.profile);
  if (runs === undefined || profile === null) {
    throw new UsageError('rig.profile', {
      where: `profile ${rig.profile}`,
      problem: `there is no ${mode} run of it for a DUT on a serial port`,
      remedy: `choose one of ${Object.keys(benchmarkRuns).join(', ')}`,
    });
  }
  const { inputBytes } = runs;
  if (inputBytes === null) assertStreamingFits(rig);
  if (['auto', 'emulated'].includes(rig.dut.connection)) {
    throw new UsageError('rig.invalid', {
      where: `dut.mode: ${mode}`,
      problem: 'needs a DUT on a serial port',
      remedy: 'name its port under `dut.connection`, or say `pty` for an emulated one, `qemu` for the firmware in QEMU',
    });
  }
  const { interrupt } = options;
  const dut: ReachedDut =
    rig.dut.connection === 'qemu' ? await qemuDut(rig) : await openDut(rig, 'performance', runs.scores);
  const preparation = new Preparation(dut.time);
  preparation.listen(dut);
  try {
    const identity = await unlessInterrupted(interrupt, dut.client.open());
    assertRuns(identity, rig.profile);
    const isAccuracy = mode === 'accuracy';
    const count = isAccuracy ? Number.POSITIVE_INFINITY : runs.windows;
    const inputs =
      inputBytes === null
        ? await soundOf(rig, boardOf(dut), identity.name)
        : await inputsOf(rig, inputBytes, identity.name, count);
    const measured = async (): Promise<number | null> => {
      if (isAccuracy || inputBytes === null || inputs.list[0] === undefined) return null;
      await dut.client.load((await inputs.read(inputs.list[0])).subarray(0, inputBytes));
      return inferencesFor(dut.client, profile.minimumDuration_s, profile.minimumIterations);
    };
    const inferences = rig.dut.inferences ?? (await unlessInterrupted(interrupt, measured()));
    const isRelayed = dut.io !== null;
    const script = makeScript(mode, rig.profile, inputs.list, {
      ...(inferences === null ? {} : { inferences }),
      isRelayed,
      hasIoTimer: false,
    });
    const simulated = identity.name.startsWith(simulatedMark);
    const plan: RunPlan = {
      mode,
      profile: rig.profile,
      pairing: 'falling-pairs',
      channel: lapChannel,
      ...(isAccuracy && inputBytes !== null && { answers: script.windows }),
      windows: isAccuracy || inputBytes === null ? null : script.windows,
      inferencesPerWindow: script.inferences,
      holdOff_s: 0,
      minWidth_s: 0,
      pulse_s: 0,
    };
    const stop = new AbortController();
    const play = async (out: Subscriber<Chunk>): Promise<void> => {
      let last_us = 0;
      let seq = 0;
      const onLap = (lap_us: number) => {
        // The counter went on for less than one turn since the last timestamp, or nothing can be told.
        last_us = lap_us + lapWrap_us * Math.ceil(Math.max(0, last_us - lap_us) / lapWrap_us);
        const edge = { clock: lapClock.id, tick: last_us, u_ticks: lap_u_ticks, channel: lapChannel, seq: seq++ };
        out.next({ kind: 'edges', edges: [{ ...edge, polarity: 'fall' }] });
      };
      const player = new ScriptPlayer(script, {
        dut: dut.client,
        instrument: null,
        io: dut.io,
        readInput: inputs.read,
        version: options.version,
        sessionId: new Date().toISOString().replace(/\D/g, '').slice(0, 14),
        time: dut.time,
        start_ns: dut.time.now_ns(),
        emit: (line) => out.next(line),
        onLap,
        interrupt: stop.signal,
      });
      dut.onLine((source, line) => player.heard(source, line));
      try {
        await player.play();
        out.complete();
      } catch (error) {
        out.error(error);
      } finally {
        await dut.close();
      }
    };
    return {
      simulated,
      clocks: [lapClock],
      streams: [],
      plan,
      provenance: {
        simulated,
        dut: {
          name: rig.dut.name,
          firmwareName: identity.name,
          firmware: identity.profile,
          model: identity.model,
          simulated,
          connection: isRelayed ? 'io-manager' : 'direct',
        },
      },
      isVirtualTime: false,
      // EnergyRunner knows no streaming benchmark.
      hasEnergyRunnerLayout: inputBytes !== null,
      interrupt: () => stop.abort(),
      chunks$: new Observable((subscriber) => {
        void play(subscriber);
        return () => stop.abort();
      }),
    };
  } catch (error) {
    await dut.close();
    if (!(error instanceof DeviceError)) throw error;
    const plan: RunPlan = {
      mode,
      profile: rig.profile,
      pairing: 'falling-pairs',
      channel: lapChannel,
      windows: null,
      inferencesPerWindow: null,
      holdOff_s: 0,
      minWidth_s: 0,
      pulse_s: 0,
    };
    const provenance = { dut: { name: rig.dut.name } };
    return preparation.failed(error, { simulated: false, clocks: [lapClock], streams: [], plan, provenance });
  }
}

async function qemuDut(rig: Rig): Promise<ReachedDut> {
  if (rig.profile !== smallNetwork.model) {
    throw new UsageError('rig.profile', {
      where: `profile ${rig.profile}`,
      problem: 'the firmware in QEMU cannot run it',
      remedy: `choose ${smallNetwork.model}`,
    });
  }
  const { openQemuDut } = await import('./qemu-dut.ts');
  return openQemuDut('performance', defaultQemuTools(), rig.dut.via);
}
