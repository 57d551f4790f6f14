import { readFileSync } from 'node:fs';
import { UsageError } from '../signal/errors.ts';

/** Text of a key file (PEM). @throws UsageError where it cannot be read */
export function readKey(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new UsageError('key.unreadable', {
      where: path,
      problem: `the key cannot be read: ${(cause as Error).message}`,
      remedy: 'make one with `joulemark keygen`',
      cause,
    });
  }
}
