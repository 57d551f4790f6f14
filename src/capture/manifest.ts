import { createHash, createPrivateKey, createPublicKey, hash, sign, verify } from 'node:crypto';
import { closeSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { FormatError } from '../signal/errors.ts';
import type { ChainedFileSummary } from './chain.ts';
import { openForReading, readSmallFile, writeDurably } from './files.ts';
import { captureFiles } from './run-header.ts';

export const manifestSchema = 'joulemark.manifest/1';

/** Size of the blocks by which files are hashed that the chain does not cover. */
export const fileBlockBytes = 64 << 10;

/** A file that the chain does not cover: its hash and those of its 64 KiB blocks. */
export interface PlainFileEntry {
  size: number;
  sha256: string;
  blocks: string[];
}

export interface Manifest {
  schema: typeof manifestSchema;
  /** `recovered` where `joulemark recover` closed a capture that was cut off. */
  status: 'closed' | 'recovered';
  /** What may differ between two runs of the same seed: wall times, host, paths. */
  info: Record<string, unknown>;
  /** Every file of the folder but the manifest. */
  files: Record<string, PlainFileEntry | ChainedFileSummary>;
  signature: { algorithm: 'ed25519'; publicKey: string; signature: string } | null;
  /** SHA-256 of the manifest's bytes with this field left out. */
  seal: string;
}

export interface SealOptions {
  status?: Manifest['status'];
  /** Ed25519 private key in PEM form; the manifest is signed with it. */
  privateKey?: string;
}

const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.number().int().min(0);

const manifestFile = z.strictObject({
  schema: z.literal(manifestSchema),
  status: z.enum(['closed', 'recovered']),
  info: z.record(z.string(), z.unknown()),
  files: z.record(
    z.string(),
    z.union([
      z.strictObject({ size: count, sha256: sha256Hex, blocks: z.array(sha256Hex) }),
      z.strictObject({ size: count, blocks: count, blocksSha256: sha256Hex }),
    ]),
  ),
  signature: z
    .strictObject({
      algorithm: z.literal('ed25519'),
      publicKey: z.string().regex(/^[0-9a-f]{64}$/),
      signature: z.string().regex(/^[0-9a-f]{128}$/),
    })
    .nullable(),
  seal: sha256Hex,
});

/**
 * Seals a finished run folder: writes `manifest.json` over every file that it holds.
 * @param chained summaries of the files that the chain covers (CaptureWriter.summaries)
 * @param info wall times, host, paths: whatever must not be in the other files
 */
export function sealRunFolder(
  folder: string,
  chained: Record<string, ChainedFileSummary>,
  info: Record<string, unknown>,
  options: SealOptions = {},
): void {
  const files: Manifest['files'] = Object.fromEntries(
    listFiles(folder)
      .filter(({ kind }) => kind === 'file')
      .map(({ name }) => [name, Object.hasOwn(chained, name) ? chained[name]! : hashFile(join(folder, name))]),
  );
  const content = {
    schema: manifestSchema,
    status: options.status ?? 'closed',
    info: JSON.parse(JSON.stringify(info)) as Record<string, unknown>,
    files,
  } as const;
  const signature = options.privateKey === undefined ? null : signBytes(encode(content), options.privateKey);
  const unsealed = { ...content, signature };
  writeDurably(join(folder, captureFiles.manifest), encode({ ...unsealed, seal: hash('sha256', encode(unsealed)) }));
}

/** The bytes that the signature signs: the manifest without its signature and its seal. */
export function bytesToSign(manifest: Manifest): Uint8Array {
  const { signature: _, seal: __, ...content } = manifest;
  return encode(content);
}

/**
 * Reads a manifest and checks that it is whole: its bytes are the canonical ones, and its seal fits.
 * @returns the manifest, or what is wrong with it
 */
export function decodeManifest(bytes: Uint8Array): { manifest: Manifest } | { problem: string } {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    return { problem: `is not JSON: ${(error as Error).message}` };
  }
  const parsed = manifestFile.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    return { problem: `${issue.path.join('.') || 'top level'}: ${issue.message}` };
  }
  // The bytes of the parsed JSON itself: zod may have put the keys into another order.
  if (Buffer.compare(encode(json as object), bytes) !== 0)
    return { problem: 'was changed: its bytes are not canonical' };
  const { seal, ...unsealed } = json as Manifest;
  if (hash('sha256', encode(unsealed)) !== seal) return { problem: 'was changed: its seal does not fit' };
  return { manifest: json as Manifest };
}

/** True where the folder was closed by `joulemark recover`. */
export function isRecovered(folder: string): boolean {
  const path = join(folder, captureFiles.manifest);
  const decoded = decodeManifest(readSmallFile(path));
  if ('manifest' in decoded) return decoded.manifest.status === 'recovered';
  throw new FormatError('format.manifest', {
    where: path,
    problem: decoded.problem,
    remedy: 'The folder was changed after it was sealed. `joulemark verify` names every change; use another copy.',
  });
}

/** What can be said of a manifest's signature, given the public keys (PEM) that the reader trusts. */
export function checkSignature(manifest: Manifest, trustedKeys: string[]): 'none' | 'valid' | 'invalid' | 'untrusted' {
  if (manifest.signature === null) return 'none';
  if (!signatureHolds(bytesToSign(manifest), manifest.signature)) return 'invalid';
  return trustedKeys.some((pem) => publicKeyHex(pem) === manifest.signature!.publicKey) ? 'valid' : 'untrusted';
}

/** The 32 bytes of an Ed25519 public key (from a public or private key in PEM form) in hexadecimal. */
export function publicKeyHex(pem: string): string {
  const { x } = createPublicKey(pem).export({ format: 'jwk' });
  return Buffer.from(x!, 'base64url').toString('hex');
}

/** One entry below a run folder. */
export interface FolderEntry {
  /** With `/` between folders. */
  name: string;
  kind: 'file' | 'folder' | 'unreadable folder' | 'no file';
}

/** Every entry below a run folder but the manifest (where that is a file), sorted by name within each folder. */
export function listFiles(folder: string, below = ''): FolderEntry[] {
  const entries = readdirSync(join(folder, below), { withFileTypes: true });
  return entries
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry): FolderEntry[] => {
      const name = below + entry.name;
      if (name === captureFiles.manifest && entry.isFile()) return [];
      if (!entry.isDirectory()) return [{ name, kind: entry.isFile() ? 'file' : 'no file' }];
      try {
        return [{ name, kind: 'folder' }, ...listFiles(folder, `${name}/`)];
      } catch {
        return [{ name, kind: 'unreadable folder' }];
      }
    });
}

/** Hashes a file that the chain does not cover. */
export function hashFile(path: string): PlainFileEntry {
  const { fd } = openForReading(path);
  try {
    const whole = createHash('sha256');
    const blocks: string[] = [];
    const block = Buffer.allocUnsafe(fileBlockBytes);
    let size = 0;
    for (;;) {
      let n = 0;
      for (let got = -1; got !== 0 && n < block.length; n += got)
        got = readSync(fd, block, n, block.length - n, size + n);
      if (n === 0) return { size, sha256: whole.digest('hex'), blocks };
      const bytes = block.subarray(0, n);
      whole.update(bytes);
      blocks.push(hash('sha256', bytes));
      size += n;
    }
  } finally {
    closeSync(fd);
  }
}

function signatureHolds(bytes: Uint8Array, { publicKey, signature }: NonNullable<Manifest['signature']>): boolean {
  const x = Buffer.from(publicKey, 'hex').toString('base64url');
  try {
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    return verify(null, bytes, key, Buffer.from(signature, 'hex'));
  } catch {
    // 32 bytes that are no point of the curve.
    return false;
  }
}

function signBytes(bytes: Uint8Array, privateKey: string): Manifest['signature'] {
  const signature = sign(null, bytes, createPrivateKey(privateKey));
  return { algorithm: 'ed25519', publicKey: publicKeyHex(privateKey), signature: signature.toString('hex') };
}

/** The canonical bytes of a document: JSON with two spaces, keys in their order, one line feed at the end. */
function encode(document: object): Uint8Array {
  return Buffer.from(`${JSON.stringify(document, null, 2)}\n`);
}
