import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { finalize, lastValueFrom, Observable, takeUntil, tap } from 'rxjs';
import { CaptureWriter } from '../capture/capture-writer.ts';
import { openRunFolder } from '../capture/run-folder.ts';
import { renderReport } from '../report/html.ts';
import { refusedDocument, type ScoreDocument } from '../scoring/score-document.ts';
import { type ScoredRun, scoreRun } from '../scoring/score-run.ts';
import { DeviceError, JoulemarkError, RefusalError, UsageError } from '../signal/errors.ts';
import type { Recording, RunPlan } from '../signal/recording.ts';
import type { Chunk, Edge, LogLine } from '../signal/types.ts';
import { exportEnergyRunner } from './energyrunner-export.ts';
import { exportMlcommons } from './mlcommons-export.ts';
import type { Rig } from './rig-file.ts';
import { chunkTime_s, paced, type RunSource, streamRates } from './run-source.ts';
import { auditLayout, type SelfAudit } from './self-audit.ts';
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
}

export interface RunOutcome {
  folder: string;
  reportPath: string;
  document: ScoreDocument;
  interrupted: boolean;
  /** What went wrong while an interrupted run came to its end, e.g. that the supply did not go off; null where nothing did. */
  failure: JoulemarkError | null;
  /** The run in the layout of EnergyRunner, beside the run folder; null where it has none. */
  energyRunnerFolder: string | null;
  /** Why a run that tells its log as EnergyRunner does has no layout; null where it has one, or never could have. */
  energyRunnerRefusal: string | null;
  /** A streaming energy run as the MLCommons runner leaves one, beside the run folder; null where it has none. */
  mlcommonsFolder: string | null;
  /** Our own audit of the layout beside the run folder; null without one. */
  audit: SelfAudit | null;
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
  const promised = promisedOf(run);
  let arrived = 0;
  let logged_s = 0;
  const ends = new Map<string, number>();
  const flush = run.isVirtualTime ? null : setInterval(() => writer.flushDue(), flushEvery_ms);
  let failure: JoulemarkError | null = null;
  await lastValueFrom(
    run.chunks$.pipe(
      takeUntil(
        ended(run, options.interrupt, () => {
          const text = `e-[Interrupted: after ${endLimit_ms / 1000} s nothing has acknowledged that the supply is off]`;
          writer.push({ kind: 'log', time_s: logged_s, source: 'session', text });
        }),
      ),
      tap((chunk) => {
        virtual_ms = Math.max(virtual_ms, chunkTime_s(chunk, rates) * 1000);
        writer.push(chunk);
        if (chunk.kind === 'log') logged_s = chunk.time_s;
        const counted = countOf(chunk, run);
        if (counted > 0) {
          arrived += counted;
          options.onProgress?.(promised === null ? null : Math.min(1, arrived / promised));
        }
        if (chunk.kind === 'block') {
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
  const { scored, files } = await resultOf(recording);
  for (const { name, bytes } of files) writer.addFile(name, bytes);
  writer.seal(
    { generatedBy, startedAt, finishedAt: new Date().toISOString(), host: hostname(), interrupted },
    { privateKey: options.privateKey },
  );
  if (failure !== null && !interrupted) throw keptAfter(failure, options.folder);
  return {
    folder: options.folder,
    reportPath: join(options.folder, 'report.html'),
    document: scored.document,
    interrupted,
    failure,
    ...(await layoutBeside(run, options.folder, interrupted, scored)),
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

/** The run that was just sealed, once more in the layout of its benchmark's runner, with our own audit of it. */
async function layoutBeside(
  run: RunSource,
  folder: string,
  interrupted: boolean,
  scored: ScoredRun,
): Promise<Pick<RunOutcome, 'energyRunnerFolder' | 'energyRunnerRefusal' | 'mlcommonsFolder' | 'audit'>> {
  const none = (energyRunnerRefusal: string | null) => ({
    energyRunnerFolder: null,
    energyRunnerRefusal,
    mlcommonsFolder: null,
    audit: null,
  });
  const isStreaming = run.hasMlcommonsLayout ?? false;
  if (!run.hasEnergyRunnerLayout && !isStreaming) return none(null);
  if (interrupted) return none('the run was interrupted');
  const beside = layoutFolder(folder, isStreaming ? 'mlcommons' : 'energyrunner');
  const recording = await openRunFolder(folder);
  try {
    const write = isStreaming ? exportMlcommons : exportEnergyRunner;
    const audit = await auditLayout(recording, beside, scored.document, await write(recording, beside, scored));
    if (isStreaming) return { ...none(null), mlcommonsFolder: beside, audit };
    return { ...none(null), energyRunnerFolder: beside, audit };
  } catch (error) {
    if (error instanceof RefusalError) return none(error.message.slice(error.where.length + 2));
    throw error;
  }
}

function layoutFolder(folder: string, layout: 'energyrunner' | 'mlcommons'): string {
  return `${folder.replace(/[\\/]+$/, '')}-${layout}`;
}

/** The result and the report of a replayed run folder, as they are written into it. */
export async function resultFiles(
  recording: Recording,
): Promise<{ document: ScoreDocument; files: { name: string; bytes: Uint8Array }[] }> {
  const { scored, files } = await resultOf(recording);
  return { document: scored.document, files };
}

async function resultOf(
  recording: Recording,
): Promise<{ scored: ScoredRun; files: { name: string; bytes: Uint8Array }[] }> {
  const scored = await scoredOrRefused(recording);
  return {
    scored,
    files: [
      { name: 'result.json', bytes: Buffer.from(`${JSON.stringify(scored.document, null, 2)}\n`) },
      { name: 'report.html', bytes: Buffer.from(reportOf(scored)) },
    ],
  };
}

/** A capture that cannot be scored at all is closed all the same, with the reason as its result. */
async function scoredOrRefused(recording: Recording): Promise<ScoredRun> {
  try {
    return await scoreRun(recording);
  } catch (error) {
    if (!(error instanceof RefusalError)) throw error;
    const refusal = { code: error.code, message: error.message.slice(error.where.length + 2) };
    return { document: refusedDocument(recording, refusal), trace: null, placed: null };
  }
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
  assertFree(options.folder);
  if (rig.dut.connection === 'pty') return servedDutRun(rig, options);
  const { mode } = rig.dut;
  if (mode !== 'energy') {
    const { unmeasuredRun } = await import('./unmeasured-run.ts');
    return unmeasuredRun(rig, mode, preparationOf(options));
  }
  if (rig.instrument.family !== 'virtual') {
    if (isSerialPort(rig.dut.connection)) return serialDutRun(rig, options);
    const { instrumentRun } = await import('./instrument-run.ts');
    const run = await instrumentRun(rig);
    return { ...run, hasEnergyRunnerLayout: hasHandshake(run.plan) };
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
    hasEnergyRunnerLayout: hasHandshake(run.plan),
    chunks$: paced(run.chunks, options.pace, (chunk) => chunkTime_s(chunk, rates)),
  };
}

/** EnergyRunner's windows lie between falling edges, after one that is the handshake. */
function hasHandshake(plan: RunPlan): boolean {
  return plan.pairing === 'falling-pairs';
}

/** Of all that `dut.connection` may say, a path. */
function isSerialPort(connection: string): boolean {
  return !['auto', 'emulated', 'qemu'].includes(connection);
}

/** A run of an emulated DUT on a PTY that is served as long as the run lasts. */
async function servedDutRun(rig: Rig, options: RunOptions): Promise<RunSource> {
  const { serveDut } = await import('../dut/emulators/serve.ts');
  const { profile, dut } = rig;
  const served = await serveDut({
    model: profile,
    mode: dut.mode === 'energy' ? 'energy' : 'performance',
    faults: [],
    ...(dut.via === 'io-manager' && { ioManager: profile === 'sww01' ? 'interface-board' : 'uno' }),
  });
  try {
    const run = await sourceOf({ ...rig, dut: { ...dut, connection: served.address } }, options);
    return { ...run, chunks$: run.chunks$.pipe(finalize(() => void served.close())) };
  } catch (error) {
    await served.close();
    throw error;
  }
}

async function serialDutRun(rig: Rig, options: RunOptions): Promise<RunSource> {
  const { dutRun } = await import('./dut-run.ts');
  return dutRun(rig, {
    ...preparationOf(options),
    ...(options.onNotice === undefined ? {} : { onNotice: options.onNotice }),
  });
}

function preparationOf({ interrupt }: RunOptions): { version: string; interrupt?: AbortSignal } {
  return { version: generatedBy, ...(interrupt === undefined ? {} : { interrupt }) };
}

/** Before a port is opened: the capture would refuse a folder that exists only then, and the layout when all is over. */
function assertFree(folder: string): void {
  const layouts = [layoutFolder(folder, 'energyrunner'), layoutFolder(folder, 'mlcommons')];
  const taken = [folder, ...layouts].find((path) => existsSync(path));
  if (taken === undefined) return;
  throw new UsageError('capture.folder-exists', {
    where: taken,
    problem: 'exists already; a run never writes into a folder that exists',
    remedy: 'Name a folder that does not exist yet, on a disk that can be written.',
  });
}

/** How much of what the plan promised this chunk brings. */
function countOf(chunk: Chunk, { plan }: RunSource): number {
  if (chunk.kind === 'edges') {
    const isPromised = ({ channel, polarity }: Edge) =>
      (channel === plan.channel || channel === plan.stopChannel) &&
      (plan.pairing !== 'falling-pairs' || polarity === 'fall');
    return chunk.edges.filter(isPromised).length;
  }
  return plan.mode === 'accuracy' && chunk.kind === 'log' && isAnswer(chunk) ? 1 : 0;
}

function isAnswer({ source, text }: LogLine): boolean {
  return source === 'dut' && text.startsWith('m-results-[');
}

/** Edges, or in an accuracy run answers. */
function promisedOf({ plan }: RunSource): number | null {
  if (plan.answers !== undefined) return plan.answers;
  if (plan.windows === null) return null;
  const isFalling = plan.pairing === 'falling-pairs';
  // A sync pattern on the same line has 2^(order - 1) edges, and is played at the beginning and at the end.
  const pattern = plan.sync?.channel === plan.channel ? 2 ** plan.sync.order / (isFalling ? 2 : 1) : 0;
  return 2 * plan.windows + (isFalling ? 1 : 0) + pattern;
}

/** How long an interrupted run may take to switch its supply off. */
const endLimit_ms = 10_000;

/**
 * Fires where an interrupted run is to be left: at once, or where it ends by itself, when it has not done so in time.
 * @param onLate called before that
 */
function ended(run: RunSource, signal: AbortSignal | undefined, onLate: () => void): Observable<void> {
  return new Observable((subscriber) => {
    let timer: NodeJS.Timeout | undefined;
    const stop = () => {
      if (run.interrupt === undefined) {
        subscriber.next();
        return;
      }
      run.interrupt();
      timer = setTimeout(() => {
        onLate();
        subscriber.next();
      }, endLimit_ms);
    };
    if (signal?.aborted) stop();
    else signal?.addEventListener('abort', stop, { once: true });
    return () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    };
  });
}
