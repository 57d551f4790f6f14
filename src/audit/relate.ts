import { readFile, stat } from 'node:fs/promises';
import { z } from 'zod';
import { FormatError, UsageError } from '../signal/errors.ts';
import type { AuditedClaim, Observation } from './types.ts';
import { reasonOf } from './walk.ts';

/** A claim of an earlier audit, as far as duplicates need it. */
export interface IndexedClaim {
  sha256: string;
  id: string;
  path: string;
  round: string | null;
  submitter: string | null;
  system: string | null;
  benchmark: string | null;
}

const maxIndex_bytes = 512 * 1024 * 1024;
/** Energy mode and performance mode of one system agree to this share (measured on published runs). */
const throughputTolerance_rel = 0.02;

const place = z.string().nullable().catch(null);
const indexDocument = z.object({
  schema: z.literal('joulemark.audit/1'),
  claims: z.array(
    z.object({
      id: z.string(),
      path: z.string(),
      round: place,
      submitter: place,
      system: place,
      benchmark: place,
      measured: z.object({ evidenceSha: z.string().nullable().catch(null) }).catch({ evidenceSha: null }),
    }),
  ),
});

/**
 * Reads an index of earlier audits: the JSON document of an audit.
 *
 * @throws UsageError if the file cannot be read, FormatError if it is no such document
 */
export async function readIndex(path: string): Promise<IndexedClaim[]> {
  const remedy = 'Give the JSON that `joulemark audit --json` wrote.';
  let text: string;
  try {
    const { size } = await stat(path);
    if (size > maxIndex_bytes)
      throw new UsageError('index.too-large', { where: path, problem: 'is too large', remedy });
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError('index.unreadable', { where: path, problem: `cannot be read (${reasonOf(error)})`, remedy });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new FormatError('index.malformed', { where: path, problem: (error as Error).message, remedy });
  }
  const parsed = indexDocument.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const problem = `at ${issue?.path.join('.') ?? 'the top'}: ${issue?.message}`;
    throw new FormatError('index.malformed', { where: path, problem, remedy });
  }
  return parsed.data.claims.flatMap(({ measured, ...claim }) =>
    measured.evidenceSha === null ? [] : [{ ...claim, sha256: measured.evidenceSha }],
  );
}

/**
 * What only shows between claims: one trace under several claims (of this audit or an earlier one), and energy and
 * performance runs of one system that differ in throughput.
 *
 * @returns observations by claim id
 */
export function relate(audited: readonly AuditedClaim[], index: readonly IndexedClaim[]): Map<string, Observation[]> {
  const found = new Map<string, Observation[]>();
  const add = (id: string, observation: Observation) => {
    const list = found.get(id);
    if (list) list.push(observation);
    else found.set(id, [observation]);
  };
  relateTraces(audited, index, add);
  relateThroughput(audited, add);
  return found;
}

type Add = (id: string, observation: Observation) => void;

function relateTraces(audited: readonly AuditedClaim[], index: readonly IndexedClaim[], add: Add): void {
  const bySha = new Map<string, IndexedClaim[]>();
  const enter = (claim: IndexedClaim) => {
    const list = bySha.get(claim.sha256);
    if (list) list.push(claim);
    else bySha.set(claim.sha256, [claim]);
  };
  for (const { draft, facts } of audited) {
    const sha256 = facts.evidenceSha;
    if (typeof sha256 !== 'string') continue;
    enter({
      sha256,
      id: draft.id,
      path: draft.path,
      round: draft.round,
      submitter: draft.submitter,
      system: draft.system,
      benchmark: draft.benchmark,
    });
  }
  const own = new Set(audited.map(({ draft }) => draft.path));
  for (const claim of index) if (!own.has(claim.path)) enter(claim);
  for (const { draft, facts } of audited) {
    const sha256 = facts.evidenceSha;
    if (typeof sha256 !== 'string') continue;
    const others = (bySha.get(sha256) ?? []).filter((o) => o.id !== draft.id || o.path !== draft.path);
    if (others.length === 0) continue;
    const foreign = others.filter(
      (o) =>
        o.round === draft.round &&
        (o.submitter !== draft.submitter || o.system !== draft.system || !isSameModel(o.benchmark, draft.benchmark)),
    );
    const code = foreign.length > 0 ? 'trace.shared' : 'trace.resubmitted';
    const named = (foreign.length > 0 ? foreign : others).slice(0, 20);
    const message = `the samples are the same to the byte as those of ${named.map((o) => o.id).join(', ')}`;
    add(draft.id, { code, path: draft.path, message, evidence: { sha256, others: named } });
  }
}

/** One run may serve both accuracy targets of a model (`bert-99`, `bert-99.9`). */
function isSameModel(a: string | null, b: string | null): boolean {
  const model = (name: string | null) => name?.replace(/-99(\.9)?$/, '') ?? null;
  return model(a) === model(b);
}

function relateThroughput(audited: readonly AuditedClaim[], add: Add): void {
  const byRun = new Map<string, AuditedClaim[]>();
  for (const claim of audited) {
    const group = claim.facts.run;
    if (typeof group !== 'string' || typeof claim.facts.throughput_ips !== 'number') continue;
    const list = byRun.get(group);
    if (list) list.push(claim);
    else byRun.set(group, [claim]);
  }
  for (const claims of byRun.values()) {
    const performance = claims.find((c) => c.draft.mode === 'performance');
    if (performance === undefined) continue;
    const b = performance.facts.throughput_ips as number;
    for (const energy of claims.filter((c) => c.draft.mode === 'energy')) {
      const a = energy.facts.throughput_ips as number;
      const difference = a / b - 1;
      if (Math.abs(difference) <= throughputTolerance_rel) continue;
      const message = `throughput is ${a.toPrecision(6)} inf./s in energy mode and ${b.toPrecision(6)} in performance mode (${(difference * 100).toFixed(1)} %)`;
      const evidence = {
        energy_ips: a,
        performance_ips: b,
        difference_rel: difference,
        performance: performance.draft.id,
      };
      add(energy.draft.id, { code: 'energy.throughput-differs', path: energy.draft.path, message, evidence });
    }
  }
}
