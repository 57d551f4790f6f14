import { basename, join, resolve, sep } from 'node:path';
import { findProfile } from '../../scoring/profiles/index.ts';
import { benchmarkName } from '../place.ts';
import type { ClaimSite, Folder, Place } from '../types.ts';
import { isCandidate, type Role, roleOf } from './roles.ts';

export type TinyMode = 'energy' | 'performance' | 'accuracy';

/**
 * The Tiny claims of one folder, told by content: a log or a results file of either runner, a trace, or the MLCommons
 * runner's data. Several logs in one folder are several claims; what shares a prefix belongs together.
 */
export async function findTinyClaims(folder: Folder, place: Place): Promise<Omit<ClaimSite, 'id' | 'auditor'>[]> {
  const found: { name: string; role: Role; head: string }[] = [];
  for (const { name } of folder.files) {
    if (!isCandidate(name)) continue;
    const head = await folder.head(name);
    if (head === null) continue;
    const role = roleOf(name, head);
    if (role !== null) found.push({ name, role, head });
  }
  const of = (...roles: Role[]) => found.filter((f) => roles.includes(f.role));
  const marks = of('simulated-mark', 'eembc-mark');
  const leads = of('er-log', 'mlc-log');
  const groups: (typeof found)[] = [];
  const taken = new Set<string>();
  const claimable = of('er-log', 'mlc-log', 'er-results', 'mlc-results', 'mlc-data', 'trace');
  if (claimable.length === 0) return [];
  if (leads.length <= 1 && of('er-results', 'mlc-results').length <= 1) groups.push(found);
  else {
    for (const lead of leads) {
      const key = prefixOf(lead.name);
      const group = found.filter((f) => f === lead || (!leads.includes(f) && prefixOf(f.name) === key));
      for (const f of group) taken.add(f.name);
      groups.push([...group, ...marks]);
    }
    const left = found.filter((f) => !taken.has(f.name) && !marks.includes(f));
    for (const rest of left) {
      if (rest.role === 'er-results' || rest.role === 'mlc-results') groups.push([rest, ...marks]);
    }
    // Traces and their timestamps belong to the log of an energy run, whatever their prefix.
    const loose = left.filter((f) => ['trace', 'timestamps', 'mlc-data', 'script'].includes(f.role));
    const energy = groups.find((g) => modeOf(g, folder) === 'energy');
    if (energy !== undefined) energy.push(...loose);
    else if (loose.some((f) => f.role === 'trace' || f.role === 'mlc-data')) groups.push([...loose, ...marks]);
  }
  return groups.map((group) => {
    const files: Record<string, string> = {};
    for (const { name, role } of group) {
      // A second file of one role is kept under a name of its own: the audit reports it.
      files[files[role] === undefined ? role : `other-${role}:${name}`] = join(folder.path, name);
    }
    const mode = modeOf(group, folder);
    return {
      path: folder.path,
      relative: folder.relative,
      place: placeIn(folder, place, group),
      mode,
      files,
    };
  });
}

/** `performance` of `performance_log.txt`; '' for the usual names. */
function prefixOf(name: string): string {
  return name
    .toLowerCase()
    .replace(/\.[a-z]+$/, '')
    .replace(/(?:^|[_-])(?:log|results?|script|postproc|trace\d*[_-]energy|trace\d*[_-]timestamps)$/, '');
}

/** What a group of files claims: by the results, then by the log, then by the folder's name. */
function modeOf(group: { role: Role; head: string }[], folder: Folder): TinyMode {
  const results = group.find((f) => f.role === 'er-results' || f.role === 'mlc-results')?.head ?? '';
  const log = group.find((f) => f.role === 'er-log' || f.role === 'mlc-log')?.head ?? '';
  if (/Energy data for|Power Edition Output|Median energy/.test(results)) return 'energy';
  if (/Top-1: |Top 1% = /.test(results)) return 'accuracy';
  if (/-key\[runMode\]-val\[multi\]|No loop count specified|with 0\/1 \(warmup\/measured\)/.test(log))
    return 'accuracy';
  if (/Performance results for window|True positives/.test(results)) return 'performance';
  if (group.some((f) => f.role === 'trace')) return 'energy';
  const data = group.find((f) => f.role === 'mlc-data')?.head ?? '';
  if (/"power"\s*:/.test(data)) return 'energy';
  if (/^\d+\.\d+ emon: |m-timestamp-mode-energy|^\s*Captured samples|^samples:\d/m.test(log)) return 'energy';
  const name = basename(folder.path).toLowerCase();
  if (/en[er]*gy|power/.test(name)) return 'energy';
  return name.includes('accuracy') ? 'accuracy' : 'performance';
}

/**
 * The benchmark by its folder where that is a known one, else by the model in the log, else the folder's own name. A
 * submission can have folders between those of the system and of the benchmark (`framework/board/kws`); then all of
 * them name the system.
 */
function placeIn(folder: Folder, place: Place, group: { role: Role; head: string }[]): Place {
  if (place.benchmark !== null && findProfile(place.benchmark) !== null) return place;
  const names = resolve(folder.path).split(sep);
  const below = names.slice(names.lastIndexOf('results') + 1);
  const known = names.includes('results') ? below.findIndex((name, i) => i > 1 && findProfile(name) !== null) : -1;
  if (known > 1) {
    return { ...place, system: below.slice(0, known).join('/'), benchmark: benchmarkName(below[known] as string) };
  }
  return { ...place, benchmark: benchmarkFrom(group) ?? place.benchmark };
}

function benchmarkFrom(group: { role: Role; head: string }[]): string | null {
  for (const { role, head } of group) {
    if (role !== 'er-log' && role !== 'mlc-log') continue;
    const model = /-key\[model\]-val\[([^\]\s]+)\]|m-model-\[([^\]\s]+)\]|Device model retrieved: (\S+)/.exec(head);
    if (model !== null) return benchmarkName(model[1] ?? model[2] ?? model[3] ?? null);
  }
  return null;
}
