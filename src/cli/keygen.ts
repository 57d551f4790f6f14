import { generateKeyPairSync } from 'node:crypto';
import type { CommonOptions } from './options.ts';
import { assertNew, note, printJson, writeNew } from './output.ts';

/** Makes an Ed25519 key pair: `<name>.key.pem` (readable by its owner only) signs, `<name>.pub.pem` is handed out. */
export async function keygen(name: string, options: CommonOptions): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const files = { privateKey: `${name}.key.pem`, publicKey: `${name}.pub.pem` };
  for (const path of Object.values(files)) assertNew(path);
  writeNew(files.privateKey, privateKey, 0o600);
  writeNew(files.publicKey, publicKey);
  if (options.json) printJson({ schema: 'joulemark.keygen/1', ...files });
  note(`Private key: ${files.privateKey} (keep it; \`run --sign\` takes it)`, options);
  note(`Public key:  ${files.publicKey} (hand it out; \`verify --trust\` and \`audit --trust\` take it)`, options);
}
