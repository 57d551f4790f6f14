import { resolve, sep } from 'node:path';
import { findProfile } from '../scoring/profiles/index.ts';
import type { Place } from './types.ts';

const roundName = /(?:^|[_-])v?(\d{1,2}\.\d{1,2})$/i;
const divisionName = /^(closed|open|network)$/i;

/**
 * What a path tells of a claim, by the layout `<round>/<division>/<submitter>/results/<system>/<benchmark>/...` of the
 * published results. Whatever does not stand in the path is null.
 *
 * @param path path of the folder, as given or absolute
 */
export function placeOf(path: string): Place {
  const names = resolve(path).split(sep).filter(Boolean);
  const place: Place = { round: null, division: null, submitter: null, system: null, benchmark: null };
  const results = names.lastIndexOf('results');
  if (results > 0) {
    place.submitter = names[results - 1] ?? null;
    place.system = names[results + 1] ?? null;
    place.benchmark = benchmarkName(names[results + 2] ?? null);
  }
  const division = findLast(results > 0 ? names.slice(0, results) : names, (name) => divisionName.test(name));
  if (division >= 0) {
    place.division = names[division]?.toLowerCase() ?? null;
    place.submitter ??= names[division + 1] ?? null;
  }
  const end = division >= 0 ? division : results >= 0 ? results : names.length;
  for (let i = end - 1; i >= 0 && place.round === null; i--) {
    const version = roundName.exec(names[i] ?? '')?.[1];
    if (version !== undefined) place.round = `v${version}`;
  }
  return place;
}

/** The usual short name of a Tiny benchmark, or the folder's own name for others. */
export function benchmarkName(folder: string | null): string | null {
  if (folder === null) return null;
  return findProfile(folder)?.name ?? folder;
}

function findLast(names: string[], test: (name: string) => boolean): number {
  for (let i = names.length - 1; i >= 0; i--) if (test(names[i] as string)) return i;
  return -1;
}
