import type { FindingEntry } from './types.ts';

/** Findings that any family of claims can have, and those of the walk itself. */
export const commonFindings: Readonly<Record<string, FindingEntry>> = {
  'tree.unreadable': {
    severity: 'warning',
    decides: null,
    title: 'A file or folder could not be read',
    explanation:
      'The audit went on without it. What it holds was not audited; a claim that needs it says so with a finding of its own.',
    rule: 'Every folder below the audited path is read, or named here.',
    source: 'Joulemark; the message gives the reason that the operating system gave.',
    shows: 'The path and the reason.',
    reply: 'Make the file readable, or submit it again.',
  },
};
