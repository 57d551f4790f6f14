import { generateKeyPairSync } from 'node:crypto';
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeManifest, sealRunFolder } from '../../src/capture/manifest.ts';
import { verifyRunFolder } from '../../src/capture/verify.ts';
import { fuzz } from '../support/fuzz.ts';
import { capture, sealedRun, typicalChunks, withTempFolder } from './support.ts';

/** Every file of a folder with `/` between folders. */
function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    statSync(join(folder, name)).isFile(),
  );
}

/** [offset, end) of each block of a file, as docs/run-folder.md defines blocks. */
function blocksOf(folder: string, name: string): [number, number][] {
  const bytes = readFileSync(join(folder, name));
  if (name === 'manifest.json') return [[0, bytes.length]];
  if (name === 'chain.jsonl') {
    const ends = [...bytes.keys()].filter((i) => bytes[i] === 10).map((i) => i + 1);
    return ends.map((end, i) => [ends[i - 1] ?? 0, end]);
  }
  const links = readFileSync(join(folder, 'chain.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const own = links.filter((link) => link.file === name).map(({ offset, length }) => [offset, offset + length]);
  if (own.length > 0) return own as [number, number][];
  return Array.from({ length: Math.ceil(bytes.length / 65_536) }, (_, i) => [i * 65_536, (i + 1) * 65_536]);
}

const files = [
  'run.json',
  'rig.yaml',
  'calibration/main.json',
  'samples-main.arrow',
  'samples-polled.arrow',
  'edges.arrow',
  'segments.arrow',
  'log.txt',
  'chain.jsonl',
  'result.json',
  'report.html',
  'manifest.json',
];

/** A place in a file, every one as likely as any other. */
const anywhere = fc.noBias(fc.integer({ min: 0, max: 2 ** 30 - 1 }).map((n) => n / 2 ** 30));

describe('verify', () => {
  it('finds nothing wrong with a folder as it was sealed', () =>
    withTempFolder(async (temp) => {
      sealedRun(join(temp, 'run'));
      const report = await verifyRunFolder(join(temp, 'run'));
      expect(report).toMatchObject({
        ok: true,
        closed: true,
        cutOff: false,
        simulated: true,
        signature: 'none',
        problems: [],
      });
      expect(report.streams.map(({ id, samples }) => [id, samples])).toEqual([
        ['main', 12_000],
        ['polled', 36],
      ]);
      expect(filesOf(join(temp, 'run')).sort()).toEqual([...files].sort());
    }));

  it('finds and locates a change of any one byte of any file', () =>
    withTempFolder(async (temp) => {
      const folder = join(temp, 'run');
      sealedRun(folder);
      const blocks = new Map(files.map((name) => [name, blocksOf(folder, name)]));
      const change = fc.record({
        name: fc.constantFrom(...files),
        place: anywhere,
        flip: fc.integer({ min: 1, max: 255 }),
      });
      await fc.assert(
        fc.asyncProperty(change, async ({ name, place, flip }) => {
          const path = join(folder, name);
          const original = readFileSync(path);
          const at = Math.floor(place * original.length);
          const changed = Buffer.from(original);
          changed[at]! ^= flip;
          writeFileSync(path, changed);
          const report = await verifyRunFolder(folder);
          writeFileSync(path, original);
          expect(report.ok).toBe(false);
          expect(new Set(report.problems.map(({ file }) => file))).toEqual(new Set([name]));
          const [first] = report.problems;
          const [from, to] = blocks.get(name)![first!.block!]!;
          expect(first!.offset).toBe(from);
          expect(at).toBeGreaterThanOrEqual(from);
          expect(at).toBeLessThan(to);
        }),
        fuzz(250),
      );
      expect((await verifyRunFolder(folder)).ok).toBe(true);
    }));

  it('finds a changed byte of a folder that was never sealed, by its chain', () =>
    withTempFolder(async (temp) => {
      const folder = join(temp, 'run');
      capture(folder, typicalChunks()).finish();
      const names = files.filter((name) => !['result.json', 'report.html', 'manifest.json'].includes(name));
      const blocks = new Map(names.map((name) => [name, blocksOf(folder, name)]));
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...names),
          anywhere,
          fc.integer({ min: 1, max: 255 }),
          async (name, place, flip) => {
            const path = join(folder, name);
            const original = readFileSync(path);
            const at = Math.floor(place * original.length);
            const changed = Buffer.from(original);
            changed[at]! ^= flip;
            writeFileSync(path, changed);
            const { ok, problems } = await verifyRunFolder(folder);
            writeFileSync(path, original);
            expect(ok).toBe(false);
            const found = problems.filter(({ file }) => file !== 'manifest.json');
            // A header that cannot be read takes the streams with it.
            if (name !== 'run.json') {
              expect(new Set(found.map(({ file }) => file))).toEqual(new Set([name]));
              const { block } = found[0]!;
              const [from, to] = block === null ? [0, original.length] : blocks.get(name)![block]!;
              expect(at).toBeGreaterThanOrEqual(from);
              expect(at).toBeLessThan(to);
            }
          },
        ),
        fuzz(250),
      );
    }));

  const damaged = (
    what: string,
    damage: (folder: string) => void,
    expected: { file: string; problem: RegExp; block?: number },
  ) =>
    it(`names ${what}`, () =>
      withTempFolder(async (temp) => {
        const folder = join(temp, 'run');
        sealedRun(folder);
        damage(folder);
        const report = await verifyRunFolder(folder);
        expect(report.ok).toBe(false);
        const problem = report.problems.find(({ file }) => file === expected.file);
        expect(problem?.problem).toMatch(expected.problem);
        if (expected.block !== undefined) expect(problem?.block).toBe(expected.block);
      }));

  for (const name of files.filter((file) => file !== 'manifest.json')) {
    damaged(`${name} when it is missing`, (folder) => rmSync(join(folder, name)), {
      file: name,
      problem: /is missing/,
    });
  }
  damaged('a missing manifest', (folder) => rmSync(join(folder, 'manifest.json')), {
    file: 'manifest.json',
    problem: /never sealed/,
  });
  damaged('an extra file', (folder) => writeFileSync(join(folder, 'extra.txt'), ''), {
    file: 'extra.txt',
    problem: /is extra/,
  });
  for (const name of ['constructor', '__proto__']) {
    damaged(`an extra file called ${name}`, (folder) => writeFileSync(join(folder, name), ''), {
      file: name,
      problem: /is extra/,
    });
  }
  damaged('an extra folder', (folder) => mkdirSync(join(folder, 'extra')), {
    file: 'extra',
    problem: /no such folder was sealed/,
  });
  damaged('a renamed file', (folder) => renameSync(join(folder, 'rig.yaml'), join(folder, 'rig.yml')), {
    file: 'rig.yml',
    problem: /is extra/,
  });
  damaged(
    'a file behind a symbolic link',
    (folder) => {
      renameSync(join(folder, 'rig.yaml'), join(folder, '..', 'rig.yaml'));
      symlinkSync('../rig.yaml', join(folder, 'rig.yaml'));
    },
    { file: 'rig.yaml', problem: /is missing/ },
  );
  damaged(
    'a manifest behind a symbolic link',
    (folder) => {
      renameSync(join(folder, 'manifest.json'), join(folder, '..', 'manifest.json'));
      symlinkSync('../manifest.json', join(folder, 'manifest.json'));
    },
    { file: 'manifest.json', problem: /neither a file nor a folder/ },
  );
  damaged(
    'a file that became a folder',
    (folder) => {
      rmSync(join(folder, 'log.txt'));
      mkdirSync(join(folder, 'log.txt'));
    },
    { file: 'log.txt', problem: /is missing/ },
  );
  damaged('a file that was cut off', (folder) => truncateSync(join(folder, 'samples-main.arrow'), 40_000), {
    file: 'samples-main.arrow',
    problem: /the file ends after/,
  });
  damaged('bytes that were added', (folder) => writeFileSync(join(folder, 'edges.arrow'), 'x', { flag: 'a' }), {
    file: 'edges.arrow',
    problem: /1 bytes were added/,
  });
  damaged(
    'a chain whose lines were put into another order',
    (folder) => {
      const lines = readFileSync(join(folder, 'chain.jsonl'), 'utf8').split('\n');
      writeFileSync(
        join(folder, 'chain.jsonl'),
        [...lines.slice(0, 5), lines[6], lines[5], ...lines.slice(7)].join('\n'),
      );
    },
    { file: 'chain.jsonl', problem: /./ },
  );
  damaged(
    'a sample file of another run',
    (folder) => {
      const other = join(folder, '..', 'other');
      sealedRun(other, typicalChunks().slice(1));
      cpSync(join(other, 'samples-main.arrow'), join(folder, 'samples-main.arrow'));
    },
    { file: 'samples-main.arrow', problem: /was changed/ },
  );

  it('names two changed blocks of one file', () =>
    withTempFolder(async (temp) => {
      const folder = join(temp, 'run');
      sealedRun(folder);
      const path = join(folder, 'report.html');
      const bytes = readFileSync(path);
      bytes[10]! ^= 1;
      bytes[70_000]! ^= 1;
      writeFileSync(path, bytes);
      const { problems } = await verifyRunFolder(folder);
      expect(problems.map(({ file, block, offset }) => [file, block, offset])).toEqual([
        ['report.html', 0, 0],
        ['report.html', 1, 65_536],
      ]);
    }));

  it('refuses a path that is no run folder, and says why', () =>
    withTempFolder(async (temp) => {
      await expect(verifyRunFolder(temp)).rejects.toThrow(/is no run folder/);
      await expect(verifyRunFolder(join(temp, 'nothing'))).rejects.toThrow(/does not exist/);
      writeFileSync(join(temp, 'file'), '');
      await expect(verifyRunFolder(join(temp, 'file'))).rejects.toThrow(/is no folder/);
    }));

  it('names a file once, in front of what is wrong with it', () =>
    withTempFolder(async (temp) => {
      const folder = join(temp, 'run');
      sealedRun(folder);
      truncateSync(join(folder, 'run.json'), 0);
      rmSync(join(folder, 'manifest.json'));
      const { problems } = await verifyRunFolder(folder);
      expect(problems.find(({ file }) => file === 'run.json')?.problem).toMatch(/^is not JSON/);
    }));
});

describe('a signature', () => {
  const makeKey = () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    return {
      publicKey: publicKey.export({ type: 'spki', format: 'pem' }) as string,
      privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    };
  };
  const mine = makeKey();
  const other = makeKey();
  const signedRun = (folder: string) => {
    const writer = capture(folder, typicalChunks());
    writer.finish();
    writer.seal({}, { privateKey: mine.privateKey });
  };

  it('is valid by a trusted key, untrusted by any other', () =>
    withTempFolder(async (temp) => {
      const folder = join(temp, 'run');
      signedRun(folder);
      const trustedKeys = [other.publicKey, mine.publicKey];
      expect(await verifyRunFolder(folder, { trustedKeys })).toMatchObject({ ok: true, signature: 'valid' });
      expect(await verifyRunFolder(folder)).toMatchObject({ ok: true, signature: 'untrusted' });
      expect(await verifyRunFolder(folder, { trustedKeys: [other.publicKey] })).toMatchObject({
        ok: false,
        signature: 'untrusted',
      });
    }));

  it('does not survive a manifest that was sealed again', () =>
    withTempFolder(async (temp) => {
      const folder = join(temp, 'run');
      signedRun(folder);
      const path = join(folder, 'manifest.json');
      const decoded = decodeManifest(readFileSync(path));
      if (!('manifest' in decoded)) throw new Error(decoded.problem);
      rmSync(path);
      sealRunFolder(folder, decoded.manifest.files as never, { note: 'changed' });
      const resealed = JSON.parse(readFileSync(path, 'utf8'));
      resealed.signature = decoded.manifest.signature;
      const { createHash } = await import('node:crypto');
      const { seal: _, ...unsealed } = resealed;
      const text = (document: object) => `${JSON.stringify(document, null, 2)}\n`;
      const seal = createHash('sha256').update(text(unsealed)).digest('hex');
      writeFileSync(path, text({ ...unsealed, seal }));
      const report = await verifyRunFolder(folder, { trustedKeys: [mine.publicKey] });
      expect(report).toMatchObject({ ok: false, signature: 'invalid' });
      expect(report.problems.map(({ file }) => file)).toContain('manifest.json');
    }));

  it('is missed where a trusted key is demanded', () =>
    withTempFolder(async (temp) => {
      sealedRun(join(temp, 'run'));
      const report = await verifyRunFolder(join(temp, 'run'), { trustedKeys: [mine.publicKey] });
      expect(report).toMatchObject({ ok: false, signature: 'none' });
    }));
});
