import { JoulemarkError } from '../signal/errors.ts';
import { auditors } from './auditors.ts';
import type { AuditedClaim, AuditOptions, ClaimSite } from './types.ts';

/**
 * Audits one claim. Whatever goes wrong inside becomes the finding `claim.failed` of that claim, so that one claim
 * never ends the audit of the rest.
 */
export async function auditSite(site: ClaimSite, options: AuditOptions): Promise<AuditedClaim> {
  const auditor = auditors.find((a) => a.id === site.auditor);
  if (auditor === undefined) throw new Error(`no auditor ${site.auditor}`);
  try {
    return await auditor.audit(site, options);
  } catch (error) {
    return failed(site, error);
  }
}

function failed(site: ClaimSite, error: unknown): AuditedClaim {
  const expected = error instanceof JoulemarkError;
  const message = expected ? error.message : `the audit itself failed: ${String(error)}`;
  const evidence = expected ? { code: error.code, where: error.where, remedy: error.remedy } : { error: String(error) };
  return {
    draft: {
      id: site.id,
      auditor: site.auditor,
      path: site.path,
      ...site.place,
      mode: site.mode,
      claimed: {},
      recomputed: {},
      supported: {},
      windows: { claimed: 0, recomputable: 0, exact: 0 },
      comparisons: [],
      measured: {},
    },
    observations: [{ code: 'claim.failed', path: site.path, message, evidence }],
    facts: {},
  };
}
