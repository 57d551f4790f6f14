import { parentPort, workerData } from 'node:worker_threads';
import { auditSite } from './audit-site.ts';
import type { PoolAnswer } from './pool.ts';
import type { AuditedClaim, AuditOptions, ClaimSite } from './types.ts';

// The other side of Pool: audits the batches that it is sent.
const options = workerData as AuditOptions;

parentPort?.on('message', async ({ first, sites }: { first: number; sites: ClaimSite[] }) => {
  const audited: AuditedClaim[] = [];
  for (const site of sites) audited.push(await auditSite(site, options));
  parentPort?.postMessage({ first, audited } satisfies PoolAnswer);
});
