import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { auditSite } from './audit-site.ts';
import type { AuditedClaim, AuditOptions, ClaimSite } from './types.ts';

/** Claims that a thread is given at a time. */
const batch = 4;
/** Claims under way at once in one thread: while one waits for its files, another computes. */
const together = 4;

/** What a worker thread answers to a batch of claims. */
export interface PoolAnswer {
  first: number;
  audited: AuditedClaim[];
}

/**
 * Audits claims on worker threads, or in this thread where there are none (or where the program runs from source,
 * which threads cannot load). The answers come in the order of the claims, whoever gave them.
 */
export class Pool {
  readonly #options: AuditOptions;
  readonly #workers: Worker[] = [];

  constructor(threads: number, options: AuditOptions) {
    this.#options = options;
    const file = fileURLToPath(new URL('./worker.js', import.meta.url));
    if (!existsSync(file)) return;
    for (let k = 0; k < threads; k++) this.#workers.push(new Worker(file, { workerData: options }));
  }

  /** @throws the reason of the signal, or the error of a thread that died */
  async run(
    sites: readonly ClaimSite[],
    onDone: (site: ClaimSite) => void,
    signal?: AbortSignal,
  ): Promise<AuditedClaim[]> {
    const answers: AuditedClaim[] = new Array(sites.length);
    if (this.#workers.length === 0) {
      await auditTogether(sites, this.#options, (k, claim) => {
        signal?.throwIfAborted();
        answers[k] = claim;
        onDone(sites[k] as ClaimSite);
      });
      return answers;
    }
    let next = 0;
    await Promise.all(
      this.#workers.map(
        (worker) =>
          new Promise<void>((resolve, reject) => {
            const give = () => {
              if (signal?.aborted) reject(signal.reason);
              else if (next >= sites.length) resolve();
              else {
                worker.postMessage({ first: next, sites: sites.slice(next, next + batch) });
                next += batch;
              }
            };
            worker.on('error', reject);
            worker.on('message', ({ first, audited }: PoolAnswer) => {
              audited.forEach((claim, i) => {
                answers[first + i] = claim;
                onDone(sites[first + i] as ClaimSite);
              });
              give();
            });
            give();
          }),
      ),
    );
    return answers;
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }
}

/** Audits claims in this thread, a few at once, and hands each over with its index. */
export async function auditTogether(
  sites: readonly ClaimSite[],
  options: AuditOptions,
  onDone: (k: number, claim: AuditedClaim) => void,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let k = next++; k < sites.length; k = next++) onDone(k, await auditSite(sites[k] as ClaimSite, options));
  };
  await Promise.all(Array.from({ length: Math.min(together, sites.length) }, worker));
}
