import { dirname, resolve } from 'node:path';
import { type EnergyRunnerResults, readResults } from '../../capture/formats/energyrunner/results.ts';
import { readTimestamps, type Timestamps } from '../../capture/formats/energyrunner/timestamps.ts';
import { openTrace, type TraceHeader } from '../../capture/formats/energyrunner/trace.ts';
import { findProfile } from '../../scoring/profiles/index.ts';
import { Case, maxWindows, medianOrNull } from '../case.ts';
import { compare, countWindows } from '../compare.ts';
import type { AuditedClaim, ClaimSite } from '../types.ts';
import { type Alignment, align, publishedPairs, tolerance_s } from './alignment.ts';
import {
  checkInputs,
  checkLayout,
  checkLog,
  checkModel,
  checkWindows,
  type RunWindow,
  simulatedMark,
} from './rules.ts';
import { type RunLog, readRunLog } from './run-log.ts';
import { lpm01aBlock, lpm01aLimit_A, overRangeCode } from './trace-checks.ts';
import { passTrace, type TracePass, type TraceWindow } from './trace-pass.ts';

/** The rate of every published trace; at another one no public file settles what a value means. */
const settledRate_Hz = 1000;
/** More timestamps than any real file has. */
const maxTimestamps = 10_000;
/** Most that trace length and the time from trace on to trace off may differ (measured: 2.5 s on 123 runs). */
const traceLengthTolerance_s = 2.5;
/** A rate between log and trace beyond this is a sign of mixed files (provisional: no positive case is known). */
const slopeLimit_ppm = 3000;

/** Audits an energy run of EnergyRunner. */
export async function auditEnergy(site: ClaimSite): Promise<AuditedClaim> {
  const audit = new Case(site);
  const paths = site.files;
  const log = paths['er-log']
    ? await audit.read('log.unreadable', paths['er-log'], () => readRunLog(paths['er-log'] as string))
    : null;
  const resultsPath = audit.resultsFile(paths['er-results'], paths['er-log']);
  const results = resultsPath
    ? await audit.read('results.unreadable', resultsPath, () => readResults(resultsPath))
    : null;
  const stamps = await readStamps(audit);
  const header = await readHeader(audit);
  if (!paths['er-log']) audit.observe('log.missing', site.path, 'there is no log');

  const pairs = publishedPairs(stamps?.seconds ?? []);
  const alignment = log && stamps ? align(stamps.seconds, log.calls, log.handshake_s) : null;
  const suspicious = alignment?.claimed.some((w) => w.holds !== 'inference') ?? false;
  const voltage_V = log?.instrument === 'lpm01a' && log.voltage_mV ? log.voltage_mV / 1000 : null;
  const pass =
    header && stamps
      ? await audit.read('trace.damaged', header.path, () =>
          passTrace(header, [pairs, alignment?.implied ?? []], voltage_V, {
            digits: log?.instrument === 'lpm01a',
            envelope: suspicious,
          }),
        )
      : null;

  const inferences = inferencesOf(log, results, pairs.length);
  compareFields(audit, results, pairs, pass, inferences);
  audit.judgeArithmetic(missingEvidence(header, stamps));
  judgeSupport(audit, alignment, pass, inferences);

  if (log) {
    checkLog(audit, log, paths['er-log'] as string);
    checkModel(audit, log.config.model ?? null, log.dutModel, log.calls, paths['er-log'] as string);
    checkIterations(audit, log, results);
    if (stamps) checkEdges(audit, log, stamps, alignment, pass);
  }
  if (pass) checkTrace(audit, pass, log, stamps);
  const mark = simulatedMark(audit, log?.dutName ?? null);
  if (mark !== null) audit.observe('claim.simulated', site.path, `marked as simulated: ${mark}`, { mark });

  const profile = findProfile(site.place.benchmark ?? log?.config.model ?? log?.dutModel ?? '');
  checkWindows(audit, profile, runWindows(pairs, results, inferences), resultsPath ?? site.path);
  if (log) checkInputs(audit, profile, log.calls, paths['er-log'] as string);
  checkLayout(audit, 'energyrunner');

  audit.facts.evidenceSha = pass?.sha256 ?? null;
  audit.facts.run = dirname(resolve(site.path));
  audit.facts.throughput_ips = audit.recomputed.throughput_ips ?? audit.claimed.throughput_ips ?? null;
  audit.measured.session = log?.sessionId ?? null;
  audit.measured.runnerVersion = log?.runnerVersion ?? null;
  audit.measured.instrument = log?.instrument ?? null;
  audit.measured.voltage_mV = log?.voltage_mV ?? null;
  audit.measured.evidenceSha = pass?.sha256 ?? null;
  audit.measured.offset_s = alignment?.offset_s ?? null;
  audit.measured.slope_ppm = alignment?.slope_ppm ?? null;
  const counts = countWindows(audit.windows);
  return audit.result(counts);
}

async function readStamps(audit: Case): Promise<Timestamps | null> {
  const path = audit.site.files.timestamps;
  if (path === undefined) {
    audit.observe('timestamps.missing', audit.site.path, 'there is no timestamps file, so the windows are not known');
    return null;
  }
  const stamps = await audit.read('timestamps.damaged', path, () => readTimestamps(path));
  if (stamps === null) return null;
  for (const { code, message } of stamps.warnings) {
    if (code === 'timestamps.repaired') audit.observe('timestamps.repaired', path, message);
  }
  if (stamps.seconds.length > maxTimestamps) {
    audit.observe('timestamps.damaged', path, `holds ${stamps.seconds.length} entries; a run has eleven`);
    return null;
  }
  if (stamps.seconds.some((t, i) => i > 0 && t < (stamps.seconds[i - 1] as number))) {
    audit.observe('timestamps.unsorted', path, 'the timestamps are not in ascending order', {
      timestamps_s: stamps.seconds.slice(0, 50),
    });
    return null;
  }
  return stamps;
}

async function readHeader(audit: Case): Promise<TraceHeader | null> {
  const path = audit.site.files.trace;
  if (path === undefined) {
    audit.observe('trace.missing', audit.site.path, 'there is no energy trace, so no energy can be recomputed');
    return null;
  }
  const header = await audit.read('trace.damaged', path, () => openTrace(path));
  if (header !== null && header.rate_Hz !== settledRate_Hz) {
    const message = `the sample rate is ${header.rate_Hz} Hz; at any rate but 1000 Hz it is not known whether values are uJ or mW`;
    audit.observe('trace.unit-unknown', path, message, { rate_Hz: header.rate_Hz });
    return null;
  }
  return header;
}

function missingEvidence(header: TraceHeader | null, stamps: Timestamps | null): string {
  if (header === null) return 'without a usable trace';
  return stamps === null ? 'without usable timestamps' : 'the evidence is not complete';
}

/** Inferences of each window: by the log, else by the results file. */
function inferencesOf(log: RunLog | null, results: EnergyRunnerResults | null, windows: number): (number | null)[] {
  return Array.from({ length: windows }, (_, i) => {
    const index = 2 * (i + 1);
    const printed = results?.performanceWindows.find((w) => w.index === index)?.inferences?.value ?? null;
    return log?.calls[i]?.inferences ?? printed;
  });
}

/** Every printed field against the published arithmetic. */
function compareFields(
  audit: Case,
  results: EnergyRunnerResults | null,
  pairs: ReturnType<typeof publishedPairs>,
  pass: TracePass | null,
  inferences: (number | null)[],
): void {
  const byIndex = new Map<number, { window: TraceWindow | null; runtime_s: number; n: number | null }>();
  pairs.forEach((pair, i) => {
    const window = pass?.windows[0]?.[i] ?? null;
    byIndex.set(pair.index, { window, runtime_s: pair.to_s - pair.from_s, n: inferences[i] ?? null });
  });
  const indices = new Set([
    ...(results?.energyWindows.length ? pairs.map((pair) => pair.index) : []),
    ...(results?.energyWindows.map((w) => w.index) ?? []),
    ...(results?.performanceWindows.map((w) => w.index) ?? []),
  ]);
  for (const index of [...indices].sort((a, b) => a - b).slice(0, maxWindows)) {
    const found = byIndex.get(index);
    const w = found?.window ?? null;
    const n = found?.n ?? null;
    const duration_s = w === null ? null : w.gridEnd_s - w.gridStart_s;
    const perInference = w === null || n === null ? null : w.energy_uJ / n;
    const energy = results?.energyWindows.find((e) => e.index === index);
    const performance = results?.performanceWindows.find((p) => p.index === index);
    const runtime_s = found?.runtime_s ?? null;
    const name = `window ${index}`;
    audit.windows.push([
      compare(`${name}: at time`, energy?.start_s ?? null, w?.gridStart_s ?? null),
      compare(`${name}: for`, energy?.duration_s ?? null, duration_s),
      compare(`${name}: energy`, energy?.energy_uJ ?? null, w?.energy_uJ ?? null),
      compare(
        `${name}: power`,
        energy?.power_uW ?? null,
        w === null || duration_s === null ? null : w.energy_uJ / duration_s,
      ),
      compare(`${name}: energy/inf.`, energy?.energyPerInference_uJ ?? null, perInference),
      compare(`${name}: # inferences`, performance?.inferences ?? null, n),
      compare(`${name}: runtime`, performance?.runtime_s ?? null, runtime_s),
      compare(
        `${name}: throughput`,
        performance?.throughput_ips ?? null,
        runtime_s === null || n === null ? null : n / runtime_s,
      ),
    ]);
  }
  const all = [...byIndex.values()];
  const energies = all.map(({ window, n }) => (window === null || n === null ? null : window.energy_uJ / n));
  const throughputs = all.map(({ runtime_s, n }) => (n === null ? null : n / runtime_s));
  const medianEnergy = medianOrNull(energies);
  // Of a single window EnergyRunner prints no medians.
  const [energyOnly, throughputOnly] = [soleOf(results?.energyWindows), soleOf(results?.performanceWindows)];
  const printedEnergy = results?.medianEnergy_uJ ?? energyOnly?.energyPerInference_uJ ?? null;
  const printedThroughput = results?.medianThroughput_ips ?? throughputOnly?.throughput_ips ?? null;
  audit.figure('energyPerInference_uJ', 'median energy', printedEnergy, medianEnergy);
  audit.figure('throughput_ips', 'median throughput', printedThroughput, medianOrNull(throughputs));
  if (medianEnergy !== null) audit.recomputed.inferencesPerJoule = 1e6 / medianEnergy;
}

function soleOf<T>(list: readonly T[] | undefined): T | undefined {
  return list?.length === 1 ? list[0] : undefined;
}

/** The figure that the evidence does support: over the windows that the log implies, where they are all known. */
function judgeSupport(
  audit: Case,
  alignment: Alignment | null,
  pass: TracePass | null,
  inferences: (number | null)[],
): void {
  if (alignment === null || pass === null) return;
  const figures = alignment.implied.map(({ inference, from_s, to_s }, i) => {
    const n = inferences[inference] ?? inferences[0] ?? null;
    const window = pass.windows[1]?.[i];
    return {
      inference: inference + 1,
      from_s,
      to_s,
      energy_uJ: window?.energy_uJ ?? null,
      inferences: n,
      energyPerInference_uJ: window === undefined || n === null ? null : window.energy_uJ / n,
      throughput_ips: n === null ? null : n / (to_s - from_s),
    };
  });
  const energy = medianOrNull(figures.map((f) => f.energyPerInference_uJ));
  audit.supported.energyPerInference_uJ = energy;
  audit.supported.throughput_ips = medianOrNull(figures.map((f) => f.throughput_ips));
  if (energy !== null) audit.supported.inferencesPerJoule = 1e6 / energy;
  audit.measured.impliedWindows = figures;
}

/** Edges against log lines. */
function checkEdges(
  audit: Case,
  log: RunLog,
  stamps: Timestamps,
  alignment: Alignment | null,
  pass: TracePass | null,
): void {
  const path = audit.site.files.timestamps as string;
  const expected = 1 + 2 * log.calls.length;
  if (alignment === null) {
    if (log.calls.length === 0)
      audit.observe('log.no-inferences', path, 'the log shows no inference to align the trace to');
    else if (stamps.seconds.length !== expected) {
      const message = `${stamps.seconds.length} timestamps where ${log.calls.length} inferences and a handshake make ${expected}`;
      audit.observe('edges.count', path, message, { timestamps: stamps.seconds.length, expected });
    }
    return;
  }
  const lost = alignment.edges.filter((e) => e.timestamp === null);
  for (const edge of lost.slice(0, 20)) {
    const what =
      edge.what === 'handshake'
        ? 'the handshake'
        : `the ${edge.what === 'start' ? 'start' : 'end'} of inference ${edge.inference + 1}`;
    const message = `no timestamp lies within ${tolerance_s} s of ${what}, which the log puts at ${edge.expected_s.toFixed(3)} s`;
    audit.observe('edges.lost', path, message, {
      edge: edge.what,
      inference: edge.inference + 1,
      expected_s: edge.expected_s,
    });
  }
  for (const index of alignment.extra.slice(0, 20)) {
    const t = stamps.seconds[index] as number;
    audit.observe('edges.extra', path, `timestamp ${index} (${t} s) belongs to no line of the log`, {
      index,
      time_s: t,
    });
  }
  const gaps = alignment.claimed.filter((w) => w.holds === 'gap');
  const unknown = alignment.claimed.filter((w) => w.holds === 'unknown');
  const complete = log.calls.every((c) => c.start_s !== null && c.done_s !== null);
  if (gaps.length > 0) {
    const supported = audit.supported.energyPerInference_uJ;
    const claimed = audit.claimed.energyPerInference_uJ ?? audit.recomputed.energyPerInference_uJ;
    const effect =
      supported && claimed
        ? `; the windows that the log implies give ${supported.toFixed(3)} uJ/inf. (${percent(claimed / supported - 1)} claimed)`
        : '';
    const message = `${gaps.length} of ${alignment.claimed.length} claimed windows lie between two inferences, not over one${effect}`;
    audit.observe('windows.gap', path, message, {
      claimed: alignment.claimed,
      implied: audit.measured.impliedWindows ?? alignment.implied,
      supported: audit.supported,
    });
  } else if (unknown.length > 0 && complete) {
    const message = `${unknown.length} of ${alignment.claimed.length} claimed windows do not match the inferences of the log to ${tolerance_s} s`;
    audit.observe('windows.unaligned', path, message, { claimed: alignment.claimed, lost: lost.length });
  } else if (unknown.length > 0) {
    const message = `${unknown.length} of ${alignment.claimed.length} claimed windows cannot be checked: their lines are missing in the log`;
    audit.observe('windows.unchecked', path, message, { claimed: alignment.claimed });
  }
  if (gaps.length + unknown.length > 0 && pass?.envelope) {
    audit.plots.push({
      title: 'Power of the trace, claimed windows and the windows that the log implies',
      x: 'time in s',
      y: 'power in mW',
      points: pass.envelope,
      spans: [
        ...alignment.claimed.map((w) => ({ label: 'claimed' as const, from: w.from_s, to: w.to_s })),
        ...alignment.implied.map((w) => ({ label: 'implied' as const, from: w.from_s, to: w.to_s })),
      ],
    });
  }
  const { slope_ppm, slopeUncertainty_ppm } = alignment;
  if (
    slope_ppm !== null &&
    slopeUncertainty_ppm !== null &&
    Math.abs(slope_ppm) > slopeLimit_ppm &&
    Math.abs(slope_ppm) > 4 * slopeUncertainty_ppm
  ) {
    const message = `the clock of the trace runs ${slope_ppm.toFixed(0)} ppm against the log's`;
    audit.observe('clock.slope', path, message, { slope_ppm, slopeUncertainty_ppm, limit_ppm: slopeLimit_ppm });
  }
}

function percent(share: number): string {
  return `${share > 0 ? '+' : ''}${(share * 100).toFixed(1)} %`;
}

/** What the samples themselves show. */
function checkTrace(audit: Case, pass: TracePass, log: RunLog | null, stamps: Timestamps | null): void {
  const { header, inspector, over } = pass;
  const path = header.path;
  const length_s = header.samples / header.rate_Hz;
  const last = stamps?.seconds.at(-1);
  if (last !== undefined && last > length_s) {
    const message = `the last timestamp is ${last} s, the trace ends at ${length_s.toFixed(3)} s`;
    audit.observe('edges.beyond-trace', path, message, { last_s: last, length_s });
  }
  if (log?.traceOn_s != null && log.traceOff_s !== null) {
    const logged_s = log.traceOff_s - log.traceOn_s;
    audit.measured.traceLength_s = length_s;
    if (Math.abs(logged_s - length_s) > traceLengthTolerance_s) {
      const message = `the trace is ${length_s.toFixed(3)} s long, the log has it on for ${logged_s.toFixed(3)} s`;
      audit.observe('trace.length', path, message, { length_s, logged_s, tolerance_s: traceLengthTolerance_s });
    }
  }
  if (log?.instrument === 'lpm01a') {
    // Joulemark writes every whole millisecond between trace on and trace off.
    const isByEnergyRunner = !log.runnerVersion?.startsWith('Joulemark ');
    if (isByEnergyRunner && header.samples % lpm01aBlock !== 0) {
      const message = `${header.samples} samples are no multiple of ${lpm01aBlock}, the block of the LPM01A`;
      audit.observe('trace.block', path, message, { samples: header.samples, block: lpm01aBlock });
    }
    if (inspector.otherDigits > 0) {
      const message = `${inspector.otherDigits} of ${inspector.samples} samples are no decimals of four significant digits, which is all that an LPM01A sends`;
      audit.observe('trace.digits', path, message, { samples: inspector.samples, other: inspector.otherDigits });
    }
  }
  if (inspector.negative > 0) {
    const message = `${inspector.negative} of ${inspector.samples} samples are negative`;
    audit.observe('trace.negative', path, message, { samples: inspector.samples, negative: inspector.negative });
  }
  const claimed = pass.windows[0]?.reduce((n, w) => n + w.samples, 0) ?? 0;
  const code = over === null ? null : overRangeCode(over.samples, claimed);
  if (over !== null && code !== null) {
    const message = `${over.samples} of ${claimed} samples in the windows lie above ${lpm01aLimit_A * 1000} mA (up to ${(over.highest_A * 1000).toFixed(2)} mA at the set voltage), the limit of the LPM01A`;
    audit.observe(code, path, message, { ...over, limit_A: lpm01aLimit_A, voltage_mV: log?.voltage_mV });
    if (code === 'current.over-range') forgetSupport(audit);
  }
  audit.measured.samples = header.samples;
  audit.measured.highest_A = over?.highest_A ?? null;
}

/** What the instrument does not warrant is not supported. */
function forgetSupport({ supported }: Case): void {
  for (const name of Object.keys(supported)) supported[name as keyof typeof supported] = null;
}

/** N of the script, of the device and of the results must be one. */
function checkIterations(audit: Case, log: RunLog, results: EnergyRunnerResults | null): void {
  const path = audit.site.files['er-log'] as string;
  const differing: Record<string, unknown>[] = [];
  let k = 0;
  log.calls.forEach((call, i) => {
    const told = call.start_s === null ? null : (log.started[k++] ?? null);
    const started = told !== null && isCut(told, call.inferences) && hasLostBytes(log) ? null : told;
    const printed = results?.performanceWindows.find((w) => w.index === 2 * (i + 1))?.inferences?.value ?? null;
    const all = [call.inferences, started, printed].filter((n) => n !== null);
    if (new Set(all).size > 1) differing.push({ inference: i + 1, commanded: call.inferences, started, printed });
  });
  if (differing.length === 0) return;
  const [first] = differing;
  const message = `inference ${first?.inference}: ${first?.commanded} commanded, the device started ${first?.started ?? 'not logged'}, ${first?.printed ?? 'none'} printed`;
  audit.observe('iterations.differ', path, message, { differing: differing.slice(0, 20) });
}

/** True where a number is another one that lost digits. */
function isCut(part: number, whole: number): boolean {
  const [short, long] = [String(part), String(whole)];
  if (short.length >= long.length) return false;
  let at = 0;
  for (const digit of long) if (digit === short[at]) at++;
  return at === short.length;
}

/** The serial line of the device garbled other lines too, so a digit can be missing in its messages. */
function hasLostBytes({ counts }: RunLog): boolean {
  return counts.nonAscii + counts.nul + counts.merged + counts.unprefixed > 0;
}

function runWindows(
  pairs: ReturnType<typeof publishedPairs>,
  results: EnergyRunnerResults | null,
  inferences: (number | null)[],
): RunWindow[] {
  if (pairs.length > 0) {
    return pairs.map((p, i) => ({ index: p.index, duration_s: p.to_s - p.from_s, iterations: inferences[i] ?? null }));
  }
  return (results?.performanceWindows ?? []).map((w) => ({
    index: w.index,
    duration_s: w.runtime_s?.value ?? null,
    iterations: w.inferences?.value ?? null,
  }));
}
