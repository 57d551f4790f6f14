import { basename, resolve } from 'node:path';
import { UsageError } from '../signal/errors.ts';
import { auditors } from './auditors.ts';
import { type AuditDocument, summarize } from './document.ts';
import { placeOf } from './place.ts';
import { Pool } from './pool.ts';
import { readIndex, relate } from './relate.ts';
import type { AuditedClaim, Claim, ClaimSite, Finding } from './types.ts';
import { finish, toFinding } from './verdict.ts';
import { reasonOf, walk } from './walk.ts';

export interface AuditPathsOptions {
  /** Folder with the label lists of the benchmarks. */
  labels?: string | null;
  /** Public keys (PEM) whose signatures on Joulemark's own run folders are trusted. */
  trustedKeys?: readonly string[];
  /** JSON documents of earlier audits, to find traces that were submitted before. */
  index?: readonly string[];
  /** Worker threads; 0 audits in this thread. Default: what pays for the number of claims. */
  threads?: number;
  /** Called as folders are walked (total null) and as claims are audited. */
  onProgress?: (progress: { done: number; total: number | null; path: string }) => void;
  /** Ends the audit early: the promise is rejected with the signal's reason. */
  signal?: AbortSignal;
}

/**
 * Recomputes every claim found below the paths and names every broken rule. The document is the same each time for
 * the same files: claims stand in the order of the tree, and their ids come from paths relative to the audited root.
 * Memory is bounded by the number of claims, not by the size of their files.
 *
 * @throws UsageError if none of the paths can be read, or an index or the folder of labels cannot
 */
export async function auditPaths(paths: readonly string[], options: AuditPathsOptions = {}): Promise<AuditDocument> {
  const index = (await Promise.all((options.index ?? []).map(readIndex))).flat();
  const { sites, findings, bytes } = await findSites(paths, options);
  const pool = new Pool(options.threads ?? threadsFor(bytes), {
    labels: options.labels ?? null,
    trustedKeys: options.trustedKeys ?? [],
  });
  let audited: AuditedClaim[];
  try {
    let done = 0;
    audited = await pool.run(
      sites,
      (site) => options.onProgress?.({ done: ++done, total: sites.length, path: site.path }),
      options.signal,
    );
  } finally {
    await pool.close();
  }
  const related = relate(audited, index);
  const claims: Claim[] = [];
  for (const { draft, observations } of audited) {
    const done = finish(draft, [...observations, ...(related.get(draft.id) ?? [])]);
    claims.push(done.claim);
    findings.push(...done.findings);
  }
  return { schema: 'joulemark.audit/1', claims, findings, summary: summarize(claims, findings) };
}

/** Threads cost about 0.15 s of computing each to start; one thread audits some 100 MB in a second. */
function threadsFor(bytes: number): number {
  return bytes < 200e6 ? 0 : 2;
}

async function findSites(
  paths: readonly string[],
  options: AuditPathsOptions,
): Promise<{ sites: ClaimSite[]; findings: Finding[]; bytes: number }> {
  const sites: ClaimSite[] = [];
  const findings: Finding[] = [];
  const failures: UsageError[] = [];
  const ids = new Set<string>();
  let folders = 0;
  let bytes = 0;
  for (const path of paths) {
    try {
      for await (const item of walk(path)) {
        options.signal?.throwIfAborted();
        if (item.kind === 'observation') {
          findings.push(toFinding(item.observation, null));
          continue;
        }
        const { folder, only } = item;
        options.onProgress?.({ done: ++folders, total: null, path: folder.path });
        const place = placeOf(folder.path);
        for (const auditor of auditors) {
          try {
            const all = await auditor.find(folder, place);
            if (all.length > 0) bytes += folder.files.reduce((sum, file) => sum + file.size_bytes, 0);
            for (const found of all) {
              if (only !== undefined && !auditor.exclusive && !Object.values(found.files).includes(only)) continue;
              const id = uniqueId(`${found.relative || basename(resolve(found.path))}#${found.mode}`, ids);
              sites.push({ ...found, id, auditor: auditor.id });
            }
            if (auditor.exclusive && all.length > 0) break;
          } catch (error) {
            const message = `could not be searched for claims (${reasonOf(error)})`;
            const observation = { code: 'tree.unreadable', path: folder.path, message };
            findings.push(toFinding(observation, null));
          }
        }
      }
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      failures.push(error);
      const observation = { code: 'tree.unreadable', path, message: error.message, evidence: { remedy: error.remedy } };
      findings.push(toFinding(observation, null));
    }
  }
  if (failures.length === paths.length && failures[0] !== undefined) throw failures[0];
  return { sites, findings, bytes };
}

function uniqueId(wanted: string, taken: Set<string>): string {
  let id = wanted;
  for (let k = 2; taken.has(id); k++) id = `${wanted}~${k}`;
  taken.add(id);
  return id;
}
