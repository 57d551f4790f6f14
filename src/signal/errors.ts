/** Exit codes of the command line (see docs/architecture.md): done and well, done and bad, cannot be done, interrupted. */
export const ExitCode = { ok: 0, bad: 1, cannot: 2, interrupted: 130 } as const;

/**
 * An expected failure: bad usage, unreadable or malformed input, a missing device. It becomes one clear message and
 * exit code 2. A bug is never a JoulemarkError; bugs throw plain errors.
 */
export class JoulemarkError extends Error {
  override readonly name: string = 'JoulemarkError';
  /** Stable machine-readable kind, e.g. `format.truncated`. */
  readonly code: string;
  /** The file, device or option, with offset or line where there is one. */
  readonly where: string;
  /** What the user can do about it. */
  readonly remedy: string;

  constructor(code: string, fields: { where: string; problem: string; remedy: string; cause?: unknown }) {
    super(`${fields.where}: ${fields.problem}`, { cause: fields.cause });
    this.code = code;
    this.where = fields.where;
    this.remedy = fields.remedy;
  }
}

/** A file that does not follow its format. `where` names the file and the byte offset or line. */
export class FormatError extends JoulemarkError {
  override readonly name = 'FormatError';
}

/** Bad usage: an option, a rig file or a combination that cannot be carried out. */
export class UsageError extends JoulemarkError {
  override readonly name = 'UsageError';
}

/** An instrument or DUT that is missing, silent, busy or broken. */
export class DeviceError extends JoulemarkError {
  override readonly name = 'DeviceError';
}

/** The user ended what had not begun to be recorded. Exit code 130. */
export class InterruptedError extends JoulemarkError {
  override readonly name = 'InterruptedError';
}

/** No honest figure can be given (an impossible edge sequence, no complete window). Exit code 2. */
export class RefusalError extends JoulemarkError {
  override readonly name = 'RefusalError';
}
