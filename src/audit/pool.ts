import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { auditSite } from './audit-site.ts';
import type { AuditedClaim, AuditOptions, ClaimSite } from './types.ts';

/** Claims that a thread is given at a time. */
const batch = 4;

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
      for (const [k, site] of sites.entries()) {
        signal?.throwIfAborted();
        answers[k] = await auditSite(site, this.#options);
        onDone(site);
      }
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
