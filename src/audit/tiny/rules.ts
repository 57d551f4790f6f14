import { basename } from 'node:path';
import { findProfile, profiles } from '../../scoring/profiles/index.ts';
import type { Profile } from '../../scoring/profiles/profile.ts';
import type { Case } from '../case.ts';
import { tinyRound } from '../rounds/index.ts';
import { fileName, type RunLog } from './run-log.ts';

/** A window held against the demands of the benchmark. */
export interface RunWindow {
  index: number;
  duration_s: number | null;
  iterations: number | null;
}

/** The benchmark's demands on the windows of an energy or performance run. */
export function checkWindows(audit: Case, profile: Profile | null, windows: readonly RunWindow[], path: string): void {
  if (profile === null) {
    audit.observe('rules.unknown', path, 'the benchmark is not known, so neither are its demands');
    return;
  }
  const short = windows.filter((w) => w.duration_s !== null && w.duration_s < profile.minimumDuration_s);
  if (short.length > 0) {
    const least = Math.min(...short.map((w) => w.duration_s as number));
    const message = `${short.length} of ${windows.length} windows last less than ${profile.minimumDuration_s} s, the shortest ${least.toFixed(3)} s`;
    audit.observe('window.too-short', path, message, { windows: short.slice(0, 20) });
  }
  const few = windows.filter((w) => w.iterations !== null && w.iterations < profile.minimumIterations);
  if (few.length > 0) {
    const message = `${few.length} of ${windows.length} windows hold fewer than ${profile.minimumIterations} inferences`;
    audit.observe('window.few-iterations', path, message, { windows: few.slice(0, 20) });
  }
  if (windows.length !== profile.windows) {
    const message = `${windows.length} windows where the benchmark demands ${profile.windows}`;
    audit.observe('windows.count', path, message, { found: windows.length, demanded: profile.windows });
  }
}

/** Inputs and warm-ups of an energy or performance run. */
export function checkInputs(
  audit: Case,
  profile: Profile | null,
  calls: readonly { file: string | null; warmups: number | null }[],
  path: string,
): void {
  if (profile === null) return;
  const inputs = calls.flatMap((c) => (c.file === null ? [] : [fileName(c.file)]));
  const lists = profile.labels.map((l) => l.firstInputs);
  if (inputs.length > 0 && lists.length > 0) {
    const expected = lists.some((list) => inputs.every((name, i) => i < list.length && name === list[i]));
    if (!expected) {
      const message = `the inputs are not the first ${profile.windows} of the benchmark: ${inputs.slice(0, 5).join(', ')}`;
      audit.observe('inputs.unexpected', path, message, { inputs: inputs.slice(0, 20), expected: lists });
    }
  }
  const warmups = calls.flatMap((c) => (c.warmups === null ? [] : [c.warmups]));
  if (warmups.some((w) => w !== profile.warmups)) {
    const message = `warm-up inferences: ${[...new Set(warmups)].slice(0, 5).join(', ')}; the runner asks for ${profile.warmups}`;
    audit.observe('warmups.unusual', path, message, { warmups: warmups.slice(0, 20) });
  }
}

/**
 * The benchmark of the folder and the one that ran must be one. What ran is told by the runner's configuration, else
 * by the inputs, and only where neither says it by the name that the device prints.
 */
export function checkModel(
  audit: Case,
  configured: string | null,
  printed: string | null,
  inputs: readonly { file: string | null }[],
  path: string,
): void {
  const folder = audit.site.place.benchmark === null ? null : findProfile(audit.site.place.benchmark);
  const fromRunner = configured === null ? null : findProfile(configured);
  const fromDevice = printed === null ? null : findProfile(printed);
  const firstInput = fileName(inputs.find(({ file }) => file !== null)?.file ?? '');
  const fromInputs = profiles.find((p) => p.labels.some((list) => list.firstInputs[0] === firstInput)) ?? null;
  const evidence = { folder: audit.site.place.benchmark, configured, device: printed, firstInput: firstInput || null };
  const ran = fromRunner ?? fromInputs ?? fromDevice;
  if (folder !== null && ran !== null && ran.id !== folder.id) {
    const message = `the folder is that of ${folder.name}, the log shows a run of ${ran.name}`;
    audit.observe('model.differs', path, message, evidence);
  } else if (ran !== null && fromDevice !== null && ran.id !== fromDevice.id) {
    const message = `the run is one of ${ran.id}, the device says ${fromDevice.id}`;
    audit.observe('model.inconsistent', path, message, evidence);
  }
}

/** What the text of an EnergyRunner log shows of its own state. */
export function checkLog(audit: Case, log: RunLog, path: string): void {
  const { counts } = log;
  const garbled = {
    unprefixed: counts.unprefixed,
    merged: counts.merged,
    nonAscii: counts.nonAscii,
    nul: counts.nul,
    ansi: counts.ansi,
    cut: counts.cut,
  };
  const kinds = Object.entries(garbled).filter(([, n]) => n > 0);
  if (kinds.length > 0) {
    const message = `of ${counts.lines} lines: ${kinds.map(([kind, n]) => `${n} ${garbledNames[kind]}`).join(', ')}`;
    audit.observe('log.garbled', path, message, { lines: counts.lines, ...garbled });
  }
  if (log.timeWentBackAt !== null) {
    audit.observe('log.time-back', path, `time goes back at line ${log.timeWentBackAt}`, { line: log.timeWentBackAt });
  }
  if (log.overflow) audit.observe('log.too-long', path, 'the log holds more results than any run of a benchmark has');
  if (log.errors.length > 0) {
    const message = `${log.errors.length} error lines, the first: e-[${(log.errors[0]?.text ?? '').slice(0, 80)}]`;
    const errors = log.errors.slice(0, 10).map((e) => ({ source: e.source, text: e.text.slice(0, 200) }));
    audit.observe('log.errors', path, message, { errors });
  }
  if (log.dropped !== null && log.dropped.packets > 0) {
    const { packets, total, percent } = log.dropped;
    const code = percent > dropLimit_pct ? 'packets.dropped-many' : 'packets.dropped';
    audit.observe(code, path, `${packets} of ${total} packets of the instrument were dropped (${percent} %)`, {
      packets,
      total,
      percent,
    });
  }
}

/** `emon-drop-thresh-pct` of the runner. */
const dropLimit_pct = 0.1;

const garbledNames: Record<string, string> = {
  unprefixed: 'without a time and a source',
  merged: 'merged with another',
  nonAscii: 'with non-ASCII bytes',
  nul: 'with NUL bytes',
  ansi: 'with ANSI escapes',
  cut: 'longer than any real line',
};

const modeFolders = new Set(['energy', 'performance', 'accuracy']);

/** The layout that the round asks for, and names that differ from it. Evidence under another name is read all the same. */
export function checkLayout(audit: Case, runner: 'energyrunner' | 'mlcommons'): void {
  const { site } = audit;
  const round = tinyRound(site.place.round, site.mode);
  const folder = basename(site.path);
  const part = (name: 'log' | 'results' | 'script') =>
    site.files[`er-${name}`] ?? site.files[`mlc-${name}`] ?? (name === 'script' ? site.files.script : undefined);
  const unusual: string[] = [];
  if (!modeFolders.has(folder)) unusual.push(`${folder}/`);
  else if (folder !== site.mode) unusual.push(`${folder}/ (the files are of a run in ${site.mode} mode)`);
  for (const [role, path] of Object.entries(site.files)) {
    const name = basename(path);
    if (role.startsWith('other-')) unusual.push(`${name} (a second one of its kind)`);
    else if (!(regularNames[role] ?? [name]).includes(name) && !round?.files.some((f) => f.names.includes(name))) {
      unusual.push(name);
    }
  }
  if (unusual.length > 0) {
    audit.observe('names.unusual', site.path, `found under other names: ${unusual.join(', ')}`, { names: unusual });
  }
  if (round === null) return;
  if (!round.runners.includes(runner)) {
    const message = `round ${round.id} knows the runner of EEMBC only, the files are of the MLCommons runner`;
    audit.observe('runner.unexpected', site.path, message, { round: round.id, runner });
  }
  if (runner === 'energyrunner') {
    const missing = round.files.filter((f) => !f.optional && part(f.part) === undefined).map((f) => f.names[0]);
    if (missing.length > 0) {
      const message = `round ${round.id} asks for ${missing.join(', ')}`;
      audit.observe('files.missing', site.path, message, { missing, source: round.source });
    }
    if (round.runnerMark !== null && site.files['eembc-mark'] === undefined) {
      const message = `round ${round.id} asks for a file ${round.runnerMark} beside a run of the EEMBC runner`;
      audit.observe('runner.unmarked', site.path, message);
    }
  }
}

const regularNames: Record<string, string[]> = {
  'er-log': ['log.txt'],
  'mlc-log': ['log.txt'],
  'er-results': ['results.txt', 'result.txt'],
  'mlc-results': ['results.txt', 'result.txt'],
  'mlc-data': ['results.json'],
  trace: ['trace1-energy.bin'],
  timestamps: ['trace1-timestamps.json'],
  script: ['script.async'],
};

/**
 * The figure that a quality target is held against: the printed one, which is what the rules judge, unless the evidence
 * gives another.
 */
export function judgedFigure(audit: Case, name: 'top1_pct' | 'auc'): number | null {
  const [claimed, recomputed] = [audit.claimed[name] ?? null, audit.recomputed[name] ?? null];
  return audit.has('arithmetic.differs') ? (recomputed ?? claimed) : (claimed ?? recomputed);
}

/** The quality that the closed division demands. */
export function checkQuality(
  audit: Case,
  profile: Profile | null,
  found: Partial<Record<string, number | null>>,
): void {
  const { place, path } = audit.site;
  if (profile === null) {
    audit.observe('rules.unknown', path, 'the benchmark is not known, so neither is its quality target');
    return;
  }
  if (place.division === 'open') return;
  for (const target of profile.quality) {
    const value = found[target.metric];
    if (value === null || value === undefined) continue;
    const met = target.sense === 'at-least' ? value >= target.value : value <= target.value;
    if (met) continue;
    const demand = `${target.sense === 'at-least' ? 'at least' : 'at most'} ${target.value}`;
    const message = `${target.metric} is ${value}, the benchmark demands ${demand}`;
    const code = place.division === null ? 'quality.below' : 'quality.missed';
    audit.observe(code, path, message, { metric: target.metric, value, target: target.value });
  }
}

/** A mark of simulation in the files, or null. */
export function simulatedMark(audit: Case, dutName: string | null): string | null {
  const mark = audit.site.files['simulated-mark'];
  if (mark !== undefined) return mark;
  return dutName !== null && /^\s*\[?SIMULATED/i.test(dutName) ? `m-name-dut-[${dutName}]` : null;
}
