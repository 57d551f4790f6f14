import { parentPort, workerData } from 'node:worker_threads';
import { auditTogether, type PoolAnswer } from './pool.ts';
import type { AuditedClaim, AuditOptions, ClaimSite } from './types.ts';

// The other side of Pool: audits the batches that it is sent.
const options = workerData as AuditOptions;

parentPort?.on('message', async ({ first, sites }: { first: number; sites: ClaimSite[] }) => {
  const audited: AuditedClaim[] = new Array(sites.length);
  await auditTogether(sites, options, (k, claim) => {
    audited[k] = claim;
  });
  parentPort?.postMessage({ first, audited } satisfies PoolAnswer);
});
