import type { FindingEntry } from './types.ts';

const joulemark = 'Joulemark (docs/findings.md).';

/** Findings that any family of claims can have, and those of the walk itself. */
export const commonFindings: Readonly<Record<string, FindingEntry>> = {
  'tree.unreadable': {
    severity: 'warning',
    decides: null,
    title: 'A file or folder could not be read',
    explanation:
      'The audit went on without it. What it holds was not audited; a claim that needs it says so with a finding of its own.',
    rule: 'Every folder below the audited path is read, or named here.',
    source: joulemark,
    shows: 'The path, and the reason that the operating system gave.',
    reply: 'Make the file readable, or submit it again.',
  },
  'tree.link': {
    severity: 'info',
    decides: null,
    title: 'A symbolic link was not followed',
    explanation:
      'Links to folders are never followed (they can form loops), and links to files only inside the audited tree.',
    rule: 'An audit reads the submitted files and nothing outside of them.',
    source: joulemark,
    shows: 'The link and where it leads.',
    reply: 'Submit the file itself in place of the link.',
  },
  'tree.special-file': {
    severity: 'info',
    decides: null,
    title: 'A pipe, socket or device was left out',
    explanation: 'Only regular files are read: a pipe could block the audit, a device could never end.',
    rule: 'Evidence is a regular file.',
    source: joulemark,
    shows: 'The path.',
    reply: 'Submit a regular file.',
  },
  'tree.odd-name': {
    severity: 'info',
    decides: null,
    title: 'A name holds invisible or control characters',
    explanation:
      'The name holds characters that do not show, or that turn the direction of writing, so that it reads as another name. It is audited like any other.',
    rule: 'Names read as what they are.',
    source: joulemark,
    shows: 'The name with these characters written out.',
    reply: 'Rename the file.',
  },
  'tree.too-deep': {
    severity: 'warning',
    decides: null,
    title: 'Folders lie too deep',
    explanation: 'What lies below this folder was not audited.',
    rule: 'At most 512 folders inside each other.',
    source: joulemark,
    shows: 'The folder at which the walk stopped.',
    reply: 'Audit the deep folder by its own path.',
  },
  'claim.simulated': {
    severity: 'error',
    decides: { answer: 'evidence', is: 'incomplete' },
    title: 'The run was simulated',
    explanation:
      'The files carry the mark of a simulated instrument or device under test. A simulation shows how a program computes, not what a device consumes.',
    rule: 'A simulated run is no claim.',
    source: 'Joulemark: emulators answer with serial numbers SIM-..., and exports carry the mark [SIMULATED ...].',
    shows: 'The mark and where it stands.',
    reply: 'Submit a run of real hardware.',
  },
  'claim.failed': {
    severity: 'error',
    decides: { answer: 'arithmetic', is: 'none' },
    title: 'The claim could not be audited',
    explanation:
      'A file that the claim needs is missing or does not follow its format, so nothing could be recomputed.',
    rule: 'A claim is recomputed from the submitted evidence.',
    source: joulemark,
    shows: 'The file, with the offset or line, and what was expected there.',
    reply: 'Submit the file that is missing, whole.',
  },
  'claim.digits': {
    severity: 'info',
    decides: null,
    title: 'A claimed figure has fewer digits than it needs',
    explanation:
      'Rounding alone changes the figure by more than 0.1 %, so runs that differ by less cannot be told apart, and the recomputation can only confirm the digits that are there.',
    rule: 'A figure is printed with enough digits that rounding stays below 0.1 % of it.',
    source: joulemark,
    shows: 'The figure as printed and the share that rounding can change.',
    reply: 'Nothing: the published tools print it so.',
  },
  'arithmetic.differs': {
    severity: 'error',
    decides: { answer: 'arithmetic', is: 'differs' },
    title: 'A claimed figure does not follow from the evidence',
    explanation:
      'The published arithmetic, applied to the submitted evidence, gives another figure than the claimed one, by more than rounding explains.',
    rule: 'Every printed field follows from the submitted evidence to the printed digit.',
    source: 'specs: reproduced on 123 published energy, 280 performance and 221 accuracy runs.',
    shows: 'Each field that differs: as printed, as recomputed, and by how much.',
    reply: 'Submit the evidence that the figure was computed from, or the figure that this evidence gives.',
  },
  'arithmetic.none': {
    severity: 'warning',
    decides: { answer: 'arithmetic', is: 'none' },
    title: 'The claimed figure cannot be recomputed',
    explanation:
      'The evidence that the figure would be computed from is not in the submission, or no figure is claimed.',
    rule: 'A claim is recomputed from the submitted evidence.',
    source: joulemark,
    shows: 'What is missing.',
    reply: 'Submit what is missing.',
  },
};
