import type { AuditedClaim, AuditOptions, ClaimAuditor, ClaimSite } from '../types.ts';
import { auditAccuracy } from './accuracy.ts';
import { auditEnergy } from './energy.ts';
import { findTinyClaims } from './find.ts';
import { auditMlcAccuracy } from './mlc-accuracy.ts';
import { auditMlcEnergy } from './mlc-energy.ts';
import { auditMlcPerformance } from './mlc-performance.ts';
import { auditPerformance } from './performance.ts';

/** MLPerf Tiny claims, of EnergyRunner and of the MLCommons runner. */
export const tinyAuditor: ClaimAuditor = {
  id: 'mlperf-tiny',
  find: findTinyClaims,
  audit(site: ClaimSite, options: AuditOptions): Promise<AuditedClaim> {
    const { files, mode } = site;
    const eembc = files['er-log'] ?? files['er-results'] ?? files.trace;
    if (eembc === undefined) {
      if (mode === 'energy') return auditMlcEnergy(site);
      return mode === 'accuracy' ? auditMlcAccuracy(site, options) : auditMlcPerformance(site);
    }
    if (mode === 'energy') return auditEnergy(site);
    return mode === 'accuracy' ? auditAccuracy(site, options) : auditPerformance(site);
  },
};
