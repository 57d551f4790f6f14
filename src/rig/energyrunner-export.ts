import { rmSync } from 'node:fs';
import { openEnergyRunner } from '../capture/formats/energyrunner/index.ts';
import {
  type EnergyRunnerRun,
  formatAccuracyResults,
  formatEnergyResults,
  formatPerformanceResults,
  type WrittenWindow,
  writeEnergyRunnerRun,
  writtenRate_Hz,
} from '../capture/formats/energyrunner/write.ts';
import { writeResults } from '../capture/formats/layout-folder.ts';
import { PowerReader } from '../scoring/power-view.ts';
import { scorePublished } from '../scoring/published.ts';
import type { ScoreDocument, ScoredWindow } from '../scoring/score-document.ts';
import type { PlacedEdges, ScoredRun } from '../scoring/score-run.ts';
import { RefusalError } from '../signal/errors.ts';
import type { Recording } from '../signal/recording.ts';
import type { Edge, LogLine, StreamInfo } from '../signal/types.ts';
import { formatSi } from '../signal/units.ts';
import { holdOff } from '../sync/edge-filters.ts';
import { energyMethodOf } from '../sync/energy-method.ts';

/** Of the runner (`timestamp-hold-us`). */
const holdOff_s = 50e-6;

/** Uncertainty of the timestamps from which on the log tells of it: half of the last digit that the layout gives them. */
const notable_u_s = 0.5e-3;
/** Timestamps less certain than this share of a window would make figures that only look like those of EnergyRunner. */
const most_u_rel = 0.01;

/** What was written. */
export interface ExportedLayout {
  /** The published arithmetic over the files just written; null for runs that measure no power. */
  score: ScoreDocument | null;
  /** The most energy that the trace has in a millisecond, as a power; null without a trace. */
  peakPower_W: number | null;
}

/**
 * Writes a run in EnergyRunner's layout, into a folder that must not exist: log.txt and results.txt, and for an energy run
 * trace1-energy.bin (1 kHz) and trace1-timestamps.json. The figures are those of the published arithmetic over the files just
 * written.
 *
 * Samples are joined to milliseconds by their share of the time; the time of lost samples counts as no energy, and the log
 * says how many were lost. Edges of another clock are where scoring has put them; the log says so where that is coarser
 * than the digits of the timestamps.
 *
 * @param scored the recording as `scoreRun` gives it
 * @throws RefusalError where the recording is no run with a handshake and windows, or says no figure honestly; the folder is then
 * gone again
 */
export async function exportEnergyRunner(
  recording: Recording,
  folder: string,
  scored: Pick<ScoredRun, 'document' | 'placed'>,
): Promise<ExportedLayout> {
  const { refusal: refused } = scored.document;
  if (refused !== null) throw refusal(recording, refused.message);
  if (scored.document.mode !== undefined) return exportUnmeasured(recording, folder, scored.document);
  const layout = await energyLayout(recording, scored);
  writeEnergyRunnerRun(folder, layout.run);
  try {
    const score = await scorePublished(await openEnergyRunner(folder));
    const windows = score.windows.map(writtenWindow);
    const { energyPerInference_uJ, throughput_ips } = score.median;
    if (windows.some((window) => window === null) || energyPerInference_uJ === null || throughput_ips === null) {
      throw refusal(recording, 'nothing says how many inferences its windows hold');
    }
    const written = windows.filter((window) => window !== null);
    const text = formatEnergyResults(written, { energyPerInference_uJ, throughput_ips }, layout.end_s);
    writeResults(folder, text);
    return { score, peakPower_W: layout.peakPower_W };
  } catch (error) {
    // Made above; without results it would only look like a run of EnergyRunner.
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

async function energyLayout(
  recording: Recording,
  { document, placed }: Pick<ScoredRun, 'document' | 'placed'>,
): Promise<{ run: EnergyRunnerRun; end_s: number; peakPower_W: number }> {
  const { plan } = recording;
  const lines = await logOf(recording);
  const handshake_s = handshakeInLog(lines);
  const isByMessages = plan?.pairing === 'level-high' && handshake_s !== null;
  if (plan === null || placed === null || (plan.pairing !== 'falling-pairs' && !isByMessages)) {
    throw refusal(recording, 'it has no handshake edge and no windows between falling edges');
  }
  const stream = recording.streams.find((each) => each.ticksPerSample !== null && energyMethodOf(each) !== null);
  if (stream === undefined) throw refusal(recording, 'no regular stream carries power');
  const { tickHz } = recording.clocks.find(({ id }) => id === stream.clock)!;
  const { bins_uJ, start_s, lost, samples } = await millisecondsOf(recording, stream, tickHz);
  const edges = placed.edges.filter(({ channel }) => channel === plan.channel).sort((a, b) => a.tick - b.tick);
  const times_s = isByMessages
    ? messageTimes(edges, tickHz, lines, handshake_s)
    : holdOff(edges, holdOff_s * tickHz)
        .kept.filter(({ polarity }) => polarity === 'fall')
        .map(({ tick }) => tick / tickHz);
  const timestamps_s = times_s.map((time_s) => time_s - start_s);

  const isOwnLog = !lines.some(({ source }) => source === 'sequencer');
  const log = isOwnLog ? retold(lines, recording, timestamps_s) : lines;
  const end_s = log.at(-1)?.time_s ?? 0;
  const say = (source: string, text: string) => log.push({ kind: 'log', time_s: end_s, source, text });
  if (lost > 0) {
    say(
      'emon',
      `m-[Dropped ${lost} packets out of ${samples + lost}, ${((100 * lost) / (samples + lost)).toFixed(3)}%]`,
    );
  }
  const doubt = doubtOf(recording, edges, tickHz, document, placed);
  if (doubt !== null) say('session', `m-[${doubt}]`);
  return {
    run: {
      simulated: recording.simulated ?? false,
      log,
      isRelayed: isOwnLog || log.some(({ source }) => source === 'io'),
      trace_uJ: bins_uJ,
      timestamps_s,
    },
    end_s,
    peakPower_W: bins_uJ.reduce((most, energy_uJ) => Math.max(most, energy_uJ), 0) / 1000,
  };
}

/**
 * What the log says of timestamps that came on another clock than that of the trace; null where they are as good as their digits.
 * @throws RefusalError where they are too coarse for windows of this length
 */
function doubtOf(
  recording: Recording,
  edges: readonly Edge[],
  tickHz: number,
  document: ScoreDocument,
  { alignments }: PlacedEdges,
): string | null {
  const isCoarse = (recording.provenance.trigger as { isCoarse?: unknown } | undefined)?.isCoarse === true;
  if (alignments.length === 0) {
    return isCoarse ? 'Timestamps follow the messages of the DUT' : null;
  }
  const isKnown = edges.every(({ u_ticks }) => u_ticks !== null);
  const u_s = isKnown ? edges.reduce((most, { u_ticks }) => Math.max(most, u_ticks! / tickHz), 0) : null;
  const shortest_s = Math.min(...document.windows.map(({ runtime_s }) => runtime_s));
  if (u_s !== null && u_s > most_u_rel * shortest_s) {
    throw refusal(
      recording,
      `its timestamps have a standard uncertainty of ${formatSi(u_s, 's')}, which is too much for windows of ${shortest_s.toFixed(3)} s`,
    );
  }
  if (u_s !== null && u_s <= notable_u_s && !isCoarse) return null;
  const ways = alignments.map(({ model, method }) => `clock ${model.from.id} by ${method}`).join(' and ');
  const doubt = u_s === null ? 'standard uncertainty unknown' : `standard uncertainty ${(u_s * 1e3).toFixed(1)} ms`;
  return `Timestamps are put on the clock of the trace from ${ways}, ${doubt}`;
}

/**
 * Times where the edges are the arrival of `m-infer-start` and `m-infer-done`: these, and before them the handshake, which has no edge,
 * as far before the first as it stands before that one in the log.
 */
function messageTimes(
  edges: readonly Edge[],
  tickHz: number,
  lines: readonly LogLine[],
  handshake_s: number,
): number[] {
  const times_s = edges.map(({ tick }) => tick / tickHz);
  const first_s = lines.find(({ source, text }) => source === 'dut' && text.startsWith('m-infer-start-'))?.time_s;
  if (times_s[0] === undefined || first_s === undefined) return times_s;
  return [times_s[0] - (first_s - handshake_s), ...times_s];
}

/** Log time of the `m-ready` that answers the handshake; null where there is none. */
function handshakeInLog(lines: readonly LogLine[]): number | null {
  const asked = lines.findIndex(
    ({ source, text }) => source === 'parser' && /^Command "(io )?dut timestamp"$/.test(text),
  );
  if (asked < 0) return null;
  return lines.slice(asked).find(({ source, text }) => source === 'dut' && text === 'm-ready')?.time_s ?? null;
}

/** The log from time 0 on: the run's time 0 may be that of the instrument, which began later than the log. */
async function logOf(recording: Recording): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for await (const line of recording.log()) lines.push(line);
  const before_s = Math.min(0, lines[0]?.time_s ?? 0);
  return lines.map((line) => ({ ...line, time_s: line.time_s - before_s }));
}

/** A performance or accuracy run: a log and its figures. */
async function exportUnmeasured(
  recording: Recording,
  folder: string,
  { mode, windows, median, accuracy }: ScoreDocument,
): Promise<ExportedLayout> {
  const log = await logOf(recording);
  const end_s = log.at(-1)?.time_s ?? 0;
  const laps = windows.flatMap(({ inferences, throughput_ips, runtime_s }, k) =>
    inferences === null || throughput_ips === null
      ? []
      : [{ index: 2 * (k + 1), inferences, runtime_s, throughput_ips }],
  );
  const results =
    mode === 'accuracy'
      ? formatAccuracyResults(accuracy?.top1_pct ?? null, accuracy?.auc ?? null, end_s)
      : formatPerformanceResults(laps, median.throughput_ips ?? 0, end_s);
  const isRelayed = log.some(({ source }) => source === 'io');
  writeEnergyRunnerRun(folder, { simulated: recording.simulated ?? false, log, isRelayed });
  writeResults(folder, results);
  return { score: null, peakPower_W: null };
}

function writtenWindow(window: ScoredWindow): WrittenWindow | null {
  const { energy_uJ, power_uW, inferences, energyPerInference_uJ, throughput_ips } = window;
  if (energy_uJ === null || power_uW === null) return null;
  if (inferences === null || energyPerInference_uJ === null || throughput_ips === null) return null;
  return { ...window, energy_uJ, power_uW, inferences, energyPerInference_uJ, throughput_ips };
}

/** Energy in each whole millisecond from the first sample on. */
export async function millisecondsOf(recording: Recording, stream: StreamInfo, tickHz: number) {
  const reader = new PowerReader(stream, tickHz);
  let bins = new Float64Array(1 << 16);
  let start_s: number | null = null;
  let end_s = 0;
  let lost = 0;
  let samples = 0;
  for await (const chunk of recording.samples()) {
    if (chunk.stream !== stream.id) continue;
    if (chunk.kind === 'gap') {
      lost += chunk.count ?? 0;
      continue;
    }
    samples += chunk.length;
    for (const { power, length, start_s: from_s, dt_s } of reader.runs(chunk)) {
      start_s ??= from_s;
      end_s = from_s + length * dt_s - start_s;
      const needed = Math.ceil(end_s * writtenRate_Hz) + 1;
      if (needed > bins.length) {
        const larger = new Float64Array(Math.max(needed, 2 * bins.length));
        larger.set(bins);
        bins = larger;
      }
      addEnergy(bins, power, length, (from_s - start_s) * writtenRate_Hz, dt_s * writtenRate_Hz);
    }
  }
  if (start_s === null) throw refusal(recording, 'it holds no samples');
  // A border that falls on a whole millisecond must not lose it to rounding.
  const whole = Math.floor(end_s * writtenRate_Hz + 1e-6);
  return { bins_uJ: Float32Array.from(bins.subarray(0, whole)), start_s, lost, samples };
}

/** Adds samples of `width` milliseconds each, the first at `from`, to bins in uJ, split where they cross a border. */
function addEnergy(bins: Float64Array, power_W: Float64Array, length: number, from: number, width: number): void {
  for (let k = 0; k < length; k++) {
    const [a, b] = [from + k * width, from + (k + 1) * width];
    // 1 W for 1 ms is 1000 uJ.
    const density = power_W[k] * 1000;
    for (let bin = Math.floor(a); bin < b; bin++) {
      const overlap = Math.min(b, bin + 1) - Math.max(a, bin);
      if (overlap > 0) bins[bin] += density * overlap;
    }
  }
}

/** The log of a run of the virtual rig, which knows no runner, as the runner would have told it. */
function retold(lines: readonly LogLine[], recording: Recording, timestamps_s: readonly number[]): LogLine[] {
  const { plan } = recording;
  const inputs = lines.flatMap(({ source, text }) => {
    const input = source === 'host' ? /^m-input-\[(.*)\]-label-\[/.exec(text)?.[1] : undefined;
    return input === undefined ? [] : [input];
  });
  const out: LogLine[] = [];
  const say = (time_s: number, source: string, ...texts: string[]) => {
    for (const text of texts) out.push({ kind: 'log', time_s, source, text });
  };
  const inferences = plan?.inferencesPerWindow ?? 1;
  say(0, 'session', 'm-session-start-id[simulated]');
  say(0, 'parser', 'm-bmark-run-name[ML Energy 1.0.1]-code[ulp-ml]', 'm-version[Joulemark virtual rig]');
  for (const [key, value] of [
    ['iterWarmup', '1'],
    ['iterInfer', String(inferences)],
    ['runMode', 'bmark'],
    ['model', plan?.profile ?? 'none'],
  ]) {
    say(0, 'parser', `m-bm-cfg-name[ulp-ml]-key[${key}]-val[${value}]`);
  }
  say(0, 'emon', 'm-power[on]', 'm-timer[on]', 'm-trace[on]');
  let window = 0;
  let handshake: number | undefined = timestamps_s[0];
  for (const line of lines) {
    if (handshake !== undefined && line.time_s >= handshake) {
      say(handshake, 'io', 'm-dut-passthrough(timestamp)', 'm-ready');
      handshake = undefined;
    }
    if (line.source !== 'dut') continue;
    if (line.text.startsWith('m-warmup-start-')) {
      const command = `infer ${inferences} ${line.text.slice('m-warmup-start-'.length)}`;
      say(line.time_s, 'parser', `Command "bloadp "${inputs[window++] ?? 'unknown'}""`, 'm-bloadp-done');
      say(line.time_s, 'parser', `Command "io dut ${command}"`);
      say(line.time_s, 'io', `m-dut-passthrough(${command})`, 'm-ready');
    }
    out.push({ ...line });
  }
  const end_s = lines.at(-1)?.time_s ?? 0;
  say(end_s, 'emon', 'm-regfile-fn[trace1-energy.bin]-type[emon]-name[virtual]');
  say(end_s, 'emon', 'm-regfile-fn[trace1-timestamps.json]-type[etime]-name[virtual]', 'm-trace[off]', 'm-timer[off]');
  const { voltage_V } = (recording.provenance.supply ?? {}) as { voltage_V?: number };
  if (voltage_V !== undefined) say(end_s, 'emon', `m-voltage-mv[${Math.round(voltage_V * 1000)}]`);
  say(end_s, 'emon', 'm-power[off]');
  say(end_s, 'session', 'm-session-stop-id[simulated]');
  return out;
}

function refusal(recording: Recording, problem: string): RefusalError {
  return new RefusalError('export.impossible', {
    where: recording.path,
    problem: `cannot be written in the layout of EnergyRunner: ${problem}`,
    remedy: 'use the run of a benchmark profile (kws01, ic01, ad01, vww01)',
  });
}
