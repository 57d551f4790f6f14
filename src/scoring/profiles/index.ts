import { ad01 } from './ad01.ts';
import { ic01 } from './ic01.ts';
import { kws01 } from './kws01.ts';
import type { Profile } from './profile.ts';
import { sww01 } from './sww01.ts';
import { vww01 } from './vww01.ts';

/** Every benchmark that Joulemark knows. */
export const profiles: readonly Profile[] = [ad01, ic01, kws01, vww01, sww01];

/**
 * The profile of a benchmark by its model id (`kws01`), folder name (`kws`) or another name in use
 * (`keyword_spotting`), in any case; null where none has that name.
 */
export function findProfile(name: string): Profile | null {
  const wanted = name.trim().toLowerCase();
  return profiles.find((p) => p.id === wanted || p.aliases.includes(wanted)) ?? null;
}
