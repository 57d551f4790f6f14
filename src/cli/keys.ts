import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { UsageError } from '../signal/errors.ts';

/** Text of a private key file (PEM, Ed25519). @throws UsageError where it cannot be read or is none */
export function readPrivateKey(path: string): string {
  return readKey(path, 'private', createPrivateKey);
}

/** Text of a public key file (PEM, Ed25519). @throws UsageError where it cannot be read or is none */
export function readPublicKey(path: string): string {
  return readKey(path, 'public', createPublicKey);
}

function readKey(path: string, kind: string, parse: (pem: string) => KeyObject): string {
  const fail = (problem: string, cause?: unknown): never => {
    throw new UsageError('key.unusable', { where: path, problem, remedy: 'make one with `joulemark keygen`', cause });
  };
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    fail(`the key cannot be read: ${(cause as Error).message}`, cause);
  }
  try {
    if (parse(text).asymmetricKeyType === 'ed25519') return text;
  } catch (cause) {
    fail(`is no ${kind} key in PEM form`, cause);
  }
  return fail(`is no Ed25519 ${kind} key`);
}
