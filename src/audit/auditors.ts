import { runFolderAuditor } from './joulemark/run-folder.ts';
import { powerAuditor } from './ptdaemon/auditor.ts';
import { tinyAuditor } from './tiny/index.ts';
import type { ClaimAuditor } from './types.ts';

/** Every family of claims that Joulemark can audit, in the order in which they are asked. */
export const auditors: readonly ClaimAuditor[] = [runFolderAuditor, tinyAuditor, powerAuditor];
