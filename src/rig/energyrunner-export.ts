import { openEnergyRunner } from '../capture/formats/energyrunner/index.ts';
import {
  formatEnergyResults,
  type WrittenWindow,
  writeEnergyRunnerResults,
  writeEnergyRunnerRun,
  writtenRate_Hz,
} from '../capture/formats/energyrunner/write.ts';
import { PowerReader } from '../scoring/power-view.ts';
import { scorePublished } from '../scoring/published.ts';
import type { ScoreDocument, ScoredWindow } from '../scoring/score-document.ts';
import { RefusalError } from '../signal/errors.ts';
import type { Recording } from '../signal/recording.ts';
import type { Edge, LogLine, StreamInfo } from '../signal/types.ts';
import { holdOff } from '../sync/edge-filters.ts';
import { energyMethodOf } from '../sync/energy-method.ts';

/** Of the runner (`timestamp-hold-us`). */
const holdOff_s = 50e-6;

/**
 * Writes an energy run in EnergyRunner's layout: log.txt, trace1-energy.bin (1 kHz), trace1-timestamps.json and results.txt, whose
 * figures are those of the published arithmetic over the files just written.
 *
 * Samples are joined to milliseconds by their share of the time; the time of lost samples counts as no energy, and the
 * log says how many were lost.
 *
 * @returns the score of what was written
 * @throws RefusalError where the recording is no energy run with a handshake and windows
 */
export async function exportEnergyRunner(recording: Recording, folder: string): Promise<ScoreDocument> {
  const { plan } = recording;
  if (plan === null || plan.pairing !== 'falling-pairs') {
    throw refusal(recording, 'it has no handshake edge and no windows between falling edges');
  }
  const stream = recording.streams.find((each) => each.ticksPerSample !== null && energyMethodOf(each) !== null);
  if (stream === undefined) throw refusal(recording, 'no regular stream carries power');
  const clock = recording.clocks.find(({ id }) => id === stream.clock)!;
  const { bins_uJ, start_s, lost, samples } = await millisecondsOf(recording, stream, clock.tickHz);
  const edges: Edge[] = [];
  for await (const batch of recording.edges()) {
    edges.push(...batch.edges.filter((edge) => edge.clock === clock.id && edge.channel === plan.channel));
  }
  edges.sort((a, b) => a.tick - b.tick);
  const falling = holdOff(edges, holdOff_s * clock.tickHz).kept.filter(({ polarity }) => polarity === 'fall');
  const timestamps_s = falling.map(({ tick }) => tick / clock.tickHz - start_s);

  const lines: LogLine[] = [];
  for await (const line of recording.log()) lines.push(line);
  // The run's time 0 may be that of the instrument, which began later than the log.
  const before_s = Math.min(0, lines[0]?.time_s ?? 0);
  if (before_s < 0) for (const line of lines) line.time_s -= before_s;
  const isOwnLog = !lines.some(({ source }) => source === 'sequencer');
  const log = isOwnLog ? retold(lines, recording, timestamps_s) : lines;
  if (lost > 0) {
    const text = `m-[Dropped ${lost} packets out of ${samples + lost}, ${((100 * lost) / (samples + lost)).toFixed(3)}%]`;
    log.push({ kind: 'log', time_s: log.at(-1)?.time_s ?? 0, source: 'emon', text });
  }
  writeEnergyRunnerRun(folder, {
    simulated: recording.simulated ?? false,
    log,
    isRelayed: isOwnLog || log.some(({ source }) => source === 'io'),
    trace_uJ: bins_uJ,
    timestamps_s,
  });
  const score = await scorePublished(await openEnergyRunner(folder));
  const windows = score.windows.map(writtenWindow);
  const { energyPerInference_uJ, throughput_ips } = score.median;
  if (windows.every((window) => window !== null) && energyPerInference_uJ !== null && throughput_ips !== null) {
    const text = formatEnergyResults(windows, { energyPerInference_uJ, throughput_ips }, log.at(-1)?.time_s ?? 0);
    writeEnergyRunnerResults(folder, text);
  }
  return score;
}

function writtenWindow(window: ScoredWindow): WrittenWindow | null {
  const { inferences, energyPerInference_uJ, throughput_ips } = window;
  if (inferences === null || energyPerInference_uJ === null || throughput_ips === null) return null;
  return { ...window, inferences, energyPerInference_uJ, throughput_ips };
}

/** Energy in each whole millisecond from the first sample on. */
async function millisecondsOf(recording: Recording, stream: StreamInfo, tickHz: number) {
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
