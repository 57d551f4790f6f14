import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { lastValueFrom, Observable, takeUntil, tap } from 'rxjs';
import { CaptureWriter } from '../capture/capture-writer.ts';
import { openRunFolder } from '../capture/run-folder.ts';
import { renderReport } from '../report/html.ts';
import type { ScoreDocument } from '../scoring/score-document.ts';
import { type ScoredRun, scoreRun } from '../scoring/score-run.ts';
import { DeviceError, JoulemarkError, UsageError } from '../signal/errors.ts';
import type { Recording } from '../signal/recording.ts';
import type { Edge } from '../signal/types.ts';
import type { DutWorld } from './dut-world.ts';
import { exportEnergyRunner } from './energyrunner-export.ts';
import type { Rig } from './rig-file.ts';
import { chunkTime_s, paced, type RunSource, streamRates } from './run-source.ts';
import { simulateRun } from './virtual-rig.ts';

/** Name and version of the program, as they stand in reports and manifests. */
export const generatedBy = `Joulemark ${JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version}`;

export interface RunOptions {
  /** The run folder to make; it must not exist. */
  folder: string;
  /** Text of the rig file as it is recorded. */
  rigText: string;
  /** Net energy above this baseline, as part of the result. */
  net?: 'low-quantile' | 'two-cluster';
  /** Virtual seconds a real second; absent: as fast as it goes. */
  pace?: number;
  /** Ends the run; what was captured is closed properly and kept. */
  interrupt?: AbortSignal;
  /** Share of the promised edges that has come, or null where nothing was promised. */
  onProgress?: (share: number | null) => void;
  /** Index of the last sample that was handed to the capture. */
  onProduced?: (index: number) => void;
  /** Told what the run waits for. */
  onNotice?: (text: string) => void;
  /** Private key (PEM) that signs the run. */
  privateKey?: string;
  /** What an emulated DUT on a serial port does to the world; absent: its messages stand in for it. */
  dutWorld?: DutWorld;
}

export interface RunOutcome {
  folder: string;
  reportPath: string;
  document: ScoreDocument;
  interrupted: boolean;
  /** The run in the layout of EnergyRunner, beside the run folder; null where it has none. */
  energyRunnerFolder: string | null;
}

/**
 * Runs a rig into a run folder: everything raw goes to disk first, then the result is computed by replaying the closed
 * capture through the code that `score` uses, the report is written and the folder is sealed.
 *
 * @throws UsageError where the folder exists or the rig cannot be run; DeviceError where an instrument or a DUT fails under way: the
 * capture so far is closed, sealed and kept
 */
export async function runBenchmark(rig: Rig, options: RunOptions): Promise<RunOutcome> {
  const startedAt = new Date().toISOString();
  const run = await sourceOf(rig, options);
  // Batches of a run in virtual time are closed by that time, so that the same seed gives the same bytes.
  let virtual_ms = 0;
  const writer = CaptureWriter.create(
    options.folder,
    {
      simulated: run.simulated,
      clocks: [...run.clocks],
      streams: [...run.streams],
      plan: run.plan,
      provenance: { ...run.provenance, scoring: { slicing: rig.slicing, net: options.net ?? null } },
    },
    [{ name: 'rig.yaml', bytes: Buffer.from(options.rigText) }],
    run.isVirtualTime ? { now_ms: () => virtual_ms } : {},
  );

  const rates = streamRates(run);
  const promised = promisedEdges(run);
  let edges = 0;
  const ends = new Map<string, number>();
  const flush = run.isVirtualTime ? null : setInterval(() => writer.flushDue(), flushEvery_ms);
  let failure: JoulemarkError | null = null;
  await lastValueFrom(
    run.chunks$.pipe(
      takeUntil(aborted(options.interrupt)),
      tap((chunk) => {
        virtual_ms = Math.max(virtual_ms, chunkTime_s(chunk, rates) * 1000);
        writer.push(chunk);
        if (chunk.kind === 'edges') {
          edges += chunk.edges.filter((edge) => counts(edge, run)).length;
          options.onProgress?.(promised === null ? null : Math.min(1, edges / promised));
        } else if (chunk.kind === 'block') {
          const end = chunk.firstTick + chunk.length * chunk.ticksPerSample;
          ends.set(chunk.stream, end);
          options.onProduced?.(end / chunk.ticksPerSample - 1);
        }
      }),
    ),
    { defaultValue: null },
  )
    .catch((error) => {
      // A bug leaves the capture as a killed process would.
      if (!(error instanceof JoulemarkError)) throw error;
      failure = error;
    })
    .finally(() => {
      if (flush !== null) clearInterval(flush);
    });
  const isCutOff = (options.interrupt?.aborted ?? false) || failure !== null;
  if (isCutOff) {
    for (const [stream, firstTick] of ends) {
      writer.push({ kind: 'gap', stream, firstTick, count: null, cause: 'cut-off' });
    }
  }
  if (!isCutOff && run.lateEdges !== undefined) {
    try {
      for await (const batch of run.lateEdges(options.interrupt)) writer.push(batch);
    } catch (error) {
      if (!(error instanceof JoulemarkError)) throw error;
      failure = error;
    }
  }
  const interrupted = options.interrupt?.aborted ?? false;
  writer.finish();

  const recording = await openRunFolder(options.folder, { unsealedIs: 'closed' });
  const { document, files } = await resultFiles(recording);
  for (const { name, bytes } of files) writer.addFile(name, bytes);
  writer.seal(
    { generatedBy, startedAt, finishedAt: new Date().toISOString(), host: hostname(), interrupted },
    { privateKey: options.privateKey },
  );
  if (failure !== null) throw keptAfter(failure, options.folder);
  return {
    folder: options.folder,
    reportPath: join(options.folder, 'report.html'),
    document,
    interrupted,
    energyRunnerFolder: run.hasEnergyRunnerLayout && !interrupted ? await exportBeside(options.folder) : null,
  };
}

/** The error with the news that nothing is lost of what came before it. */
function keptAfter(error: JoulemarkError, folder: string): JoulemarkError {
  return new DeviceError(error.code, {
    where: error.where,
    problem: error.message.slice(error.where.length + 2),
    remedy: `${error.remedy}. What was captured before is kept in ${folder}`,
    cause: error,
  });
}

/** The run that was just sealed, once more in the layout of EnergyRunner. */
async function exportBeside(folder: string): Promise<string> {
  const beside = `${folder.replace(/[\\/]+$/, '')}-energyrunner`;
  await exportEnergyRunner(await openRunFolder(folder), beside);
  return beside;
}

/** The result and the report of a replayed run folder, as they are written into it. */
export async function resultFiles(
  recording: Recording,
): Promise<{ document: ScoreDocument; files: { name: string; bytes: Uint8Array }[] }> {
  const scored = await scoreRun(recording);
  return {
    document: scored.document,
    files: [
      { name: 'result.json', bytes: Buffer.from(`${JSON.stringify(scored.document, null, 2)}\n`) },
      { name: 'report.html', bytes: Buffer.from(reportOf(scored)) },
    ],
  };
}

/** The HTML report of a scored run. */
export function reportOf({ document, trace }: ScoredRun): string {
  const { dut } = document.provenance as { dut?: { name?: unknown } };
  const names = [document.profile, dut?.name].filter((name) => typeof name === 'string');
  return renderReport({
    document,
    trace: trace === null ? null : [{ ...trace, unit: 'W' }],
    ...(document.source.path === '.' && { title: names.join(' on ') }),
    generatedBy,
  });
}

/** A live capture is looked at this often for batches that are due. */
const flushEvery_ms = 10;

/** The run that a rig asks for: the virtual rig, or an instrument that is emulated or real. */
async function sourceOf(rig: Rig, options: RunOptions): Promise<RunSource> {
  if (rig.instrument.family !== 'virtual') {
    if (isSerialPort(rig.dut.connection)) return serialDutRun(rig, options);
    const { instrumentRun } = await import('./instrument-run.ts');
    return instrumentRun(rig);
  }
  if (rig.dut.connection === 'qemu') {
    const { qemuRun } = await import('./qemu-run.ts');
    return qemuRun(rig);
  }
  if (rig.dut.connection !== 'emulated') return serialDutRun(rig, options);
  const run = simulateRun(rig, rig.seed, rig.faults);
  const rates = streamRates(run);
  return {
    ...run,
    simulated: true,
    isVirtualTime: true,
    chunks$: paced(run.chunks, options.pace, (chunk) => chunkTime_s(chunk, rates)),
  };
}

/** Of all that `dut.connection` may say, a path. */
function isSerialPort(connection: string): boolean {
  return !['auto', 'emulated', 'qemu'].includes(connection);
}

async function serialDutRun(rig: Rig, options: RunOptions): Promise<RunSource> {
  // Before a port is opened: the capture would refuse it only then.
  if (existsSync(options.folder)) {
    throw new UsageError('capture.folder-exists', {
      where: options.folder,
      problem: 'exists already; a run never writes into a folder that exists',
      remedy: 'Name a folder that does not exist yet, on a disk that can be written.',
    });
  }
  const { dutRun } = await import('./dut-run.ts');
  return dutRun(rig, {
    version: generatedBy,
    ...(options.onNotice === undefined ? {} : { onNotice: options.onNotice }),
    ...(options.dutWorld === undefined ? {} : { world: options.dutWorld }),
  });
}

/** Does this edge count against what the plan promised? */
function counts(edge: Edge, run: RunSource): boolean {
  return run.plan.pairing !== 'falling-pairs' || edge.polarity === 'fall';
}

function promisedEdges(run: RunSource): number | null {
  if (run.plan.windows === null) return null;
  return 2 * run.plan.windows + (run.plan.pairing === 'falling-pairs' ? 1 : 0);
}

function aborted(signal: AbortSignal | undefined): Observable<void> {
  return new Observable((subscriber) => {
    if (signal?.aborted) subscriber.next();
    const stop = () => subscriber.next();
    signal?.addEventListener('abort', stop);
    return () => signal?.removeEventListener('abort', stop);
  });
}
