import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { gunzipSync } from 'node:zlib';

/** Unpacks the regular files of a gzip'd ustar archive below a folder; other entries and odd paths are skipped. */
export function unpackTarGz(archive: string, folder: string): void {
  const tar = gunzipSync(readFileSync(archive));
  for (let at = 0; at + 512 <= tar.length; ) {
    const header = tar.subarray(at, at + 512);
    const text = (from: number, length: number) => header.toString('utf8', from, from + length).split('\0')[0] ?? '';
    const size = Number.parseInt(text(124, 12).trim() || '0', 8);
    const prefix = text(345, 155);
    const name = normalize(prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`);
    const type = header[156];
    const isFile = type === 0 || type === 0x30;
    if (isFile && name !== '.' && !name.startsWith('..') && !name.startsWith('/')) {
      const path = join(folder, name);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, tar.subarray(at + 512, at + 512 + size));
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
}
