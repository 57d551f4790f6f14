import type { ClaimSite, FileEntry, Folder, Place } from '../types.ts';

/** Files of a run, by the part that they play; `testing` stands for `run_1`. */
export const requiredFiles = [
  'power/client.json',
  'power/client.log',
  'power/ptd_logs.txt',
  'power/server.json',
  'power/server.log',
  'ranging/mlperf_log_detail.txt',
  'ranging/mlperf_log_summary.txt',
  'ranging/spl.txt',
  'testing/mlperf_log_detail.txt',
  'testing/mlperf_log_summary.txt',
  'testing/spl.txt',
] as const;

export type PartName = (typeof requiredFiles)[number];

/** Names of the folders of a run; other names are looked into only where a folder has few folders. */
const usualName = /^(run_?\d*|ranging|power|testing)$/i;
const MAX_UNUSUAL_FOLDERS = 8;
const MAX_RUNS = 64;

interface Part {
  name: string;
  /** Path below the run folder, '' for the run folder itself. */
  prefix: string;
  files: FileEntry[];
  hasPowerLog: boolean;
  hasSession: boolean;
  hasLoadgen: boolean;
  isRanging: boolean;
}

/**
 * PTDaemon runs whose folder this is: it holds, one level down, power logs (`spl.txt`, told by name or content) or
 * the record of a session (`server.json` beside `ptd_logs.txt` or `client.json`). A folder with several tested runs
 * (`run_1`, `run_2`...) gives one site each. The root of an audit may also be the folder of a single `spl.txt`.
 */
export async function findRuns(folder: Folder, place: Place): Promise<Omit<ClaimSite, 'id' | 'auditor'>[]> {
  const parts = await partsOf(folder);
  const power = parts.filter((part) => part.hasSession).sort(byUsualName(/^power$/i))[0];
  const withLog = parts.filter((part) => part.hasPowerLog);
  const isSession = power !== undefined && parts.some((part) => part !== power && part.hasLoadgen);
  if (withLog.length === 0 && !isSession) return folder.relative === '' ? loneLog(folder, place) : [];
  const ranging = parts.find((part) => part.isRanging && part !== power);
  const candidates = withLog.some((part) => part !== ranging) ? withLog : parts.filter((part) => part.hasLoadgen);
  const tested = candidates.filter((part) => part !== ranging).sort((a, b) => (a.name < b.name ? -1 : 1));
  const chosen: (Part | undefined)[] = tested.length === 0 ? [undefined] : tested.slice(0, MAX_RUNS);
  return chosen.map((testing, k) => ({
    path: folder.path,
    relative: folder.relative,
    place,
    mode: k === 0 || testing === undefined ? 'power' : `power-${testing.name}`,
    files: { ...partFiles('power', power), ...partFiles('ranging', ranging), ...partFiles('testing', testing) },
  }));
}

async function loneLog(folder: Folder, place: Place): Promise<Omit<ClaimSite, 'id' | 'auditor'>[]> {
  const part = await partOf(folder, folder.path, '');
  if (!part.hasPowerLog) return [];
  return [{ path: folder.path, relative: '', place, mode: 'power', files: partFiles('testing', part) }];
}

async function partsOf(folder: Folder): Promise<Part[]> {
  const all = folder.folders;
  const names = all.length > MAX_UNUSUAL_FOLDERS ? all.filter((name) => usualName.test(name)) : all;
  const parts: Part[] = [];
  for (const name of names.slice(0, MAX_RUNS)) {
    const sub = await folder.sub(name);
    if (sub !== null) parts.push(await partOf(sub, name, `${name}/`));
  }
  return parts;
}

async function partOf(folder: Folder, name: string, prefix: string): Promise<Part> {
  const { files } = folder;
  const log = pick(files, 'spl.txt');
  const mark = log === null ? null : markOf(await folder.head(log));
  const has = (file: string) => pick(files, file) !== null;
  const hasDaemonLog = daemonLogs(files).length > 0;
  return {
    name,
    prefix,
    files,
    hasPowerLog: log !== null,
    hasSession: hasDaemonLog || (has('client.json') && has('server.json')),
    hasLoadgen: has('mlperf_log_detail.txt') || has('mlperf_log_summary.txt'),
    isRanging: /rang/i.test(name) || (!usualName.test(name) && mark === 'ranging'),
  };
}

function markOf(head: string | null): string | null {
  return /,Mark,[^,\r\n]*_(ranging|testing)\b/.exec(head ?? '')?.[1] ?? null;
}

/** The file of this name, in any case, else one whose name ends in it (`xyz_spl.txt`). */
function pick(files: FileEntry[], name: string): string | null {
  const names = files.map((file) => file.name);
  return (
    names.find((n) => n === name) ??
    names.find((n) => n.toLowerCase() === name) ??
    names.find((n) => n.toLowerCase().endsWith(`_${name}`)) ??
    null
  );
}

/** `ptd_logs.txt`, or one log an analyzer. */
function daemonLogs(files: FileEntry[]): string[] {
  const one = pick(files, 'ptd_logs.txt');
  if (one !== null) return [one];
  return files.map((file) => file.name).filter((name) => /^ptd_logs?_\w+\.txt$/i.test(name));
}

function partFiles(role: 'power' | 'ranging' | 'testing', part: Part | undefined): Record<string, string> {
  if (part === undefined) return {};
  const found: Record<string, string> = {};
  for (const required of requiredFiles) {
    if (!required.startsWith(`${role}/`) || required === 'power/ptd_logs.txt') continue;
    const name = pick(part.files, required.slice(role.length + 1));
    if (name !== null) found[required] = part.prefix + name;
  }
  if (role === 'power') {
    daemonLogs(part.files).forEach((name, k) => {
      found[k === 0 ? 'power/ptd_logs.txt' : `power/ptd_logs.txt#${k + 1}`] = part.prefix + name;
    });
  }
  return found;
}

function byUsualName(name: RegExp): (a: Part, b: Part) => number {
  return (a, b) => Number(name.test(b.name)) - Number(name.test(a.name));
}
