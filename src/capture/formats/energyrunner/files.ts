import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { FormatError } from '../../../signal/errors.ts';
import { type Warning, warning } from '../../../signal/warnings.ts';
import { listFolder } from '../folder.ts';
import { TRACE_MARK } from './trace.ts';

/** Paths of a session's files; null where there is none. */
export interface EnergyRunnerFiles {
  folder: string;
  trace: string | null;
  timestamps: string | null;
  log: string | null;
  results: string | null;
  script: string | null;
  /** A file `SIMULATED` lies in the folder (exports of simulated runs). */
  simulated: boolean;
  /** What the folder holds, for messages. */
  found: string[];
  warnings: Warning[];
}

export type EnergyRunnerRole = 'trace' | 'timestamps' | 'log' | 'results' | 'script';

/**
 * File names of each role, most regular first. The first entry holds every name that the rules of some round or the
 * runner itself use; later ones occur in published folders or are likely.
 */
const names: Record<EnergyRunnerRole, [regular: RegExp, ...others: RegExp[]]> = {
  trace: [/^trace1-energy\.bin$/, /^trace1-energy\.bin$/i, /energy.*\.bin$/i],
  timestamps: [/^trace1-timestamps\.json$/, /^trace1-timestamps\.json$/i, /timestamps?.*\.json$/i],
  log: [
    /^(?:energy_)?log\.txt$/,
    /^(?:energy_)?log\.txt$/i,
    /energy.*log\.txt$/i,
    /log\.txt$/i,
    /log.*\.txt$/i,
    /\.log$/i,
  ],
  results: [
    /^(?:energy_)?results?\.txt$/,
    /^(?:energy_)?results?\.txt$/i,
    /energy.*results?\.txt$/i,
    /results?\.txt$/i,
    /results?.*\.txt$/i,
  ],
  script: [/^(?:energy_)?script\.async$/, /script\.async$/i, /\.async$/i],
};

/** The role that a file name has in an EnergyRunner folder, or null. */
export function roleOf(fileName: string): EnergyRunnerRole | null {
  if (isHidden(fileName)) return null;
  for (const [role, patterns] of Object.entries(names)) {
    if (patterns.some((pattern) => pattern.test(fileName))) return role as EnergyRunnerRole;
  }
  return null;
}

/**
 * Finds the files of an EnergyRunner session in a folder, as they really occur: prefixes (`kws_log.txt`), other
 * letter case, AppleDouble `._` files beside them. A path of one of the files stands for its folder and that file.
 * Throws a FormatError where the path cannot be read or two files claim to be the trace.
 */
export async function findEnergyRunnerFiles(path: string): Promise<EnergyRunnerFiles> {
  const { folder, given, fileNames } = await listFolder(path);
  const givenRole = given === null ? null : roleOf(given);
  // A path of a file that is none of these stands for nothing, except for a trace under some other name.
  const stranger = given !== null && givenRole === null;
  const visible = stranger ? [given!] : fileNames.filter((name) => !isHidden(name));
  const warnings: Warning[] = [];
  const chosen = new Map<EnergyRunnerRole, string>();
  for (const role of Object.keys(names) as EnergyRunnerRole[]) {
    const preferred = role === givenRole ? given : null;
    const name = preferred ?? choose(role, visible, chosen.get('trace'), folder, warnings);
    if (name !== null) chosen.set(role, name);
  }
  if (!chosen.has('trace')) {
    const byContent = await markedFiles(folder, visible);
    if (byContent.length === 1) chosen.set('trace', byContent[0]!);
  }
  const unusual = [...chosen].filter(([role, name]) => !names[role][0].test(name)).map(([, name]) => name);
  if (unusual.length > 0) {
    warnings.push(warning('names.unusual', `${folder}: read under unusual names: ${unusual.join(', ')}`));
  }
  const at = (role: EnergyRunnerRole) => {
    const name = chosen.get(role);
    return name === undefined ? null : join(folder, name);
  };
  return {
    folder,
    trace: at('trace'),
    timestamps: at('timestamps'),
    log: at('log'),
    results: at('results'),
    script: at('script'),
    simulated: fileNames.includes('SIMULATED'),
    found: fileNames,
    warnings,
  };
}

function choose(
  role: EnergyRunnerRole,
  fileNames: string[],
  trace: string | undefined,
  folder: string,
  warnings: Warning[],
): string | null {
  // Files of one capture share the stem: trace2-energy.bin goes with trace2-timestamps.json.
  const stem = trace === undefined ? null : /^(.*)energy\.bin$/i.exec(trace)?.[1];
  if (role === 'timestamps' && stem) {
    const sibling = fileNames.find((name) => name.toLowerCase() === `${stem}timestamps.json`.toLowerCase());
    if (sibling !== undefined) return sibling;
  }
  for (const pattern of names[role]) {
    const candidates = fileNames.filter((name) => pattern.test(name));
    if (candidates.length === 1) return candidates[0]!;
    if (candidates.length === 0) continue;
    if (role === 'trace') {
      throw new FormatError('energyrunner.ambiguous', {
        where: folder,
        problem: `several files may be the trace: ${candidates.join(', ')}`,
        remedy: 'Give the path of the one that is meant.',
      });
    }
    warnings.push(
      warning('names.unusual', `${folder}: ${candidates.join(', ')} may each be the ${role} file; none was read`),
    );
    return null;
  }
  return null;
}

/** AppleDouble companions (`._x`) carry a Mac's metadata under the real file's name. */
function isHidden(name: string): boolean {
  return name.startsWith('.');
}

/** Names of the .bin files whose first byte is that of a trace. */
async function markedFiles(folder: string, fileNames: string[]): Promise<string[]> {
  const marked: string[] = [];
  for (const name of fileNames.filter((each) => /\.bin$/i.test(each)).slice(0, 64)) {
    try {
      const file = await open(join(folder, name), 'r');
      try {
        const first = Buffer.alloc(1);
        const { bytesRead } = await file.read(first, 0, 1, 0);
        if (bytesRead === 1 && first[0] === TRACE_MARK) marked.push(name);
      } finally {
        await file.close();
      }
    } catch {
      // A file that cannot be read is no candidate; its real trouble is reported where it is needed.
    }
  }
  return marked;
}
