import type { AuditedClaim, AuditOptions, ClaimAuditor, ClaimSite } from '../types.ts';
import { auditAccuracy } from './accuracy.ts';
import { auditEnergy } from './energy.ts';
import { findTinyClaims } from './find.ts';
import { auditPerformance } from './performance.ts';

/** MLPerf Tiny claims, of EnergyRunner and of the MLCommons runner. */
export const tinyAuditor: ClaimAuditor = {
  id: 'mlperf-tiny',
  find: findTinyClaims,
  audit(site: ClaimSite, options: AuditOptions): Promise<AuditedClaim> {
    if (site.mode === 'energy') return auditEnergy(site);
    return site.mode === 'accuracy' ? auditAccuracy(site, options) : auditPerformance(site);
  },
};
