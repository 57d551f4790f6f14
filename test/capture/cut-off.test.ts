import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recoverRunFolder } from '../../src/capture/recover.ts';
import { openRunFolder } from '../../src/capture/run-folder.ts';
import { verifyRunFolder } from '../../src/capture/verify.ts';
import { JoulemarkError } from '../../src/signal/errors.ts';
import type { Chunk } from '../../src/signal/types.ts';
import { fuzz } from '../support/fuzz.ts';
import { chunkAt, chunkStep_ms } from './killed-writer.ts';
import { capture, contents, flatten, header, sealedRun, typicalChunks, withTempFolder } from './support.ts';

interface Contents {
  samples: unknown[][];
  edges: unknown[];
  log: unknown[];
}

const capturedFiles = ['samples-main.arrow', 'samples-polled.arrow', 'edges.arrow', 'segments.arrow', 'log.txt'];

const read = async (folder: string): Promise<Contents> => (await contents(await openRunFolder(folder))) as Contents;

/** The streams' items without the gap that says that the capture was cut off here. */
function withoutCutOffGaps({ samples, edges, log }: Contents): Contents {
  const isCutOff = (item: unknown) => (item as { cause?: string }).cause === 'cut-off';
  return { samples: samples.map((items) => items.filter((item) => !isCutOff(item))), edges, log };
}

/** What the pushed chunks hold, in the form of `contents`. */
function expectedContents(chunks: Chunk[]): Contents {
  const blocks = chunks.filter((chunk) => chunk.kind === 'block' || chunk.kind === 'gap');
  return {
    samples: header.streams.map((stream) => flatten(blocks, stream)),
    edges: chunks.flatMap((chunk) => (chunk.kind === 'edges' ? chunk.edges : [])),
    log: chunks.filter((chunk) => chunk.kind === 'log'),
  };
}

function expectPrefix(part: Contents, whole: Contents): void {
  const pairs = [
    [part.edges, whole.edges],
    [part.log, whole.log],
    ...part.samples.map((items, i) => [items, whole.samples[i]]),
  ];
  for (const [items, all] of pairs) expect(items).toEqual(all!.slice(0, items!.length));
}

/** A fingerprint of everything in a folder. */
function fingerprint(folder: string): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    const path = join(folder, name);
    hash.update(name);
    if (statSync(path).isFile()) hash.update(readFileSync(path));
  }
  return hash.digest('hex');
}

/** Closes a cut-off folder and holds the copy against it. */
async function expectRecovery(folder: string, output: string): Promise<void> {
  const before = fingerprint(folder);
  const original = await read(folder);
  let attached: unknown = null;
  await recoverRunFolder(folder, output, async (recording) => {
    attached = await contents(recording);
    expect(recording.warnings.map(({ code }) => code)).toEqual(['capture.recovered']);
    expect(recording.endedEarly).toBe(true);
    return [{ name: 'result.json', bytes: Buffer.from('{}\n') }];
  });
  expect(attached).toEqual(original);
  const copy = await openRunFolder(output);
  expect(await contents(copy)).toEqual(original);
  expect(copy.warnings.map(({ code }) => code)).toEqual(['capture.recovered']);
  expect(copy).toMatchObject({ closed: true, cutOff: false, endedEarly: true });
  expect(await verifyRunFolder(output)).toMatchObject({ ok: true, closed: true, cutOff: false, problems: [] });
  expect(fingerprint(folder)).toBe(before);
}

describe('a capture that was cut off', () => {
  it('is read up to its last whole batch, wherever a file ends', () =>
    withTempFolder(async (temp) => {
      const folder = join(temp, 'run');
      const chunks = typicalChunks();
      capture(folder, chunks, 5);
      const whole = expectedContents(chunks);
      for (const name of capturedFiles) {
        const bytes = readFileSync(join(folder, name));
        const links = readFileSync(join(folder, 'chain.jsonl'), 'utf8')
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line));
        const boundaries: number[] = links
          .filter(({ file }) => file === name)
          .map(({ offset, length }) => offset + length);
        const near = boundaries.flatMap((end) => [-9, -8, -1, 0, 1, 4, 7, 8, 9, 300].map((d) => end + d));
        const places = fc.sample(fc.integer({ min: 0, max: bytes.length }), { numRuns: 8, seed: 1 });
        const chosen = [...fc.sample(fc.constantFrom(...near), { numRuns: 15, seed: 2 }), ...places, 0, 1, 8];
        for (const end of new Set(chosen.filter((place) => place >= 0 && place <= bytes.length))) {
          writeFileSync(join(folder, name), bytes.subarray(0, end));
          const recording = await openRunFolder(folder);
          expect(recording.warnings.map(({ code }) => code)).toEqual(['capture.cut-off']);
          expect(recording).toMatchObject({ cutOff: true, endedEarly: true });
          const found = (await contents(recording)) as Contents;
          expectPrefix(withoutCutOffGaps(found), whole);
          for (const items of found.samples)
            expect(items.at(-1)).toMatchObject({ kind: 'gap', count: null, cause: 'cut-off' });
          recording.extents.forEach(({ samples }, i) => {
            expect(samples).toBe(found.samples[i]!.filter((item) => typeof item === 'string').length);
          });
          if (name !== 'log.txt') {
            expect(recording.snapshots[name]!.end).toBe(
              Math.max(0, ...boundaries.filter((boundary) => boundary <= end)),
            );
          }
        }
        writeFileSync(join(folder, name), bytes);
      }
    }));

  it('is closed by recover without a change to what it holds', () =>
    withTempFolder(async (temp) => {
      const folder = join(temp, 'run');
      capture(folder, typicalChunks(), 5);
      let copies = 0;
      for (const name of capturedFiles) {
        const bytes = readFileSync(join(folder, name));
        for (const end of fc.sample(fc.integer({ min: 0, max: bytes.length }), { numRuns: 4, seed: copies })) {
          writeFileSync(join(folder, name), bytes.subarray(0, end));
          copies += 1;
          await expectRecovery(folder, join(temp, `copy-${copies}`));
        }
        writeFileSync(join(folder, name), bytes);
      }
    }));

  it('is recovered also when files were never begun', () =>
    withTempFolder(async (temp) => {
      const folder = join(temp, 'run');
      capture(folder, []);
      for (const name of [...capturedFiles, 'chain.jsonl', 'rig.yaml']) rmSync(join(folder, name));
      await expectRecovery(folder, join(temp, 'copy'));
    }));

  it('that was finished but never sealed says so, and recovers as the whole that it is', () =>
    withTempFolder(async (temp) => {
      const folder = join(temp, 'run');
      const chunks = typicalChunks();
      capture(folder, chunks).finish();
      const recording = await openRunFolder(folder);
      expect(recording.warnings[0]).toMatchObject({ code: 'capture.cut-off' });
      expect(recording).toMatchObject({ closed: false, cutOff: false });
      await recoverRunFolder(folder, join(temp, 'copy'), async () => []);
      expect(await read(join(temp, 'copy'))).toEqual(expectedContents(chunks));
      expect(await verifyRunFolder(join(temp, 'copy'))).toMatchObject({ ok: true });
    }));

  it('fails verification, which names where each file ends', () =>
    withTempFolder(async (temp) => {
      const folder = join(temp, 'run');
      capture(folder, typicalChunks(), 5);
      const bytes = readFileSync(join(folder, 'samples-main.arrow'));
      writeFileSync(join(folder, 'samples-main.arrow'), bytes.subarray(0, bytes.length - 100));
      const report = await verifyRunFolder(folder);
      expect(report).toMatchObject({ ok: false, closed: false, cutOff: true, simulated: true });
      const files = report.problems.map(({ file }) => file);
      expect(files).toEqual(expect.arrayContaining(['manifest.json', 'chain.jsonl', 'samples-main.arrow']));
      expect(report.streams[0]!.samples).toBeGreaterThan(10_000);
    }));
});

describe('recover', () => {
  it('refuses a closed folder, an output that exists and one inside the input', () =>
    withTempFolder(async (temp) => {
      const closed = join(temp, 'closed');
      sealedRun(closed);
      await expect(recoverRunFolder(closed, join(temp, 'out'), async () => [])).rejects.toThrow(/nothing to recover/);
      const cut = join(temp, 'cut');
      capture(cut, typicalChunks());
      await expect(recoverRunFolder(cut, closed, async () => [])).rejects.toThrow(/exists already/);
      await expect(recoverRunFolder(cut, join(cut, 'out'), async () => [])).rejects.toThrow(/inside the folder/);
      expect(existsSync(join(temp, 'out'))).toBe(false);
    }));

  it('leaves no half copy where the result cannot be made', () =>
    withTempFolder(async (temp) => {
      const cut = join(temp, 'cut');
      capture(cut, typicalChunks());
      const failing = recoverRunFolder(cut, join(temp, 'out'), () => Promise.reject(new Error('no score')));
      await expect(failing).rejects.toThrow('no score');
      expect(existsSync(join(temp, 'out'))).toBe(false);
    }));
});

describe('a process that is killed', () => {
  const root = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..');
  let build = '';

  beforeAll(() => {
    build = mkdtempSync(join(tmpdir(), 'joulemark-killed-'));
    symlinkSync(join(root, 'node_modules'), join(build, 'node_modules'));
    const config = {
      extends: join(root, 'tsconfig.json'),
      compilerOptions: { noEmit: false, rootDir: root, outDir: join(build, 'out') },
      files: [join(root, 'test', 'capture', 'killed-writer.ts')],
    };
    writeFileSync(join(build, 'tsconfig.json'), JSON.stringify(config));
    writeFileSync(join(build, 'package.json'), '{"type":"module"}');
    execFileSync(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', build]);
  });
  afterAll(() => rmSync(build, { recursive: true, force: true }));

  it('loses nothing that was pushed more than 50 ms before', () =>
    withTempFolder(async (temp) => {
      const script = join(build, 'out', 'test', 'capture', 'killed-writer.js');
      for (let round = 0; round < 8; round++) {
        const folder = join(temp, `run-${round}`);
        const child = spawn(process.execPath, [script, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
        let output = '';
        child.stdout.on('data', (data) => {
          output += data;
        });
        await once(child.stdout, 'data');
        await setTimeout(round * 9);
        child.kill('SIGKILL');
        await once(child, 'close');

        const last = Number(output.split('\n').at(-2));
        const recording = await openRunFolder(folder);
        expect(recording).toMatchObject({ closed: false, cutOff: true });
        const found = withoutCutOffGaps((await contents(recording)) as Contents);
        // The process may have pushed a chunk after the last one that it told us of.
        expectPrefix(found, expectedContents(Array.from({ length: last + 20 }, (_, i) => chunkAt(i))));
        const kept = Math.floor(last - 50 / chunkStep_ms);
        const atLeast = expectedContents(Array.from({ length: Math.max(0, kept) }, (_, i) => chunkAt(i)));
        expectPrefix(atLeast, found);
        await expectRecovery(folder, join(temp, `copy-${round}`));
      }
    }));
});

describe('a run folder full of rubbish', () => {
  const files = ['run.json', ...capturedFiles, 'chain.jsonl', 'manifest.json'];

  /** Opens and reads everything; only our own errors may come out. */
  async function survives(folder: string): Promise<void> {
    try {
      const recording = await openRunFolder(folder);
      await contents(recording);
      for await (const _ of recording.results());
      for await (const _ of recording.truth());
    } catch (error) {
      if (!(error instanceof JoulemarkError)) throw error;
      expect(error.remedy).not.toBe('');
    }
    await verifyRunFolder(folder);
  }

  it('is refused with a message, never with a crash', () =>
    withTempFolder(async (temp) => {
      const folder = join(temp, 'run');
      capture(folder, typicalChunks().slice(0, 60), 5).finish();
      const originals = new Map(
        files.filter((name) => existsSync(join(folder, name))).map((name) => [name, readFileSync(join(folder, name))]),
      );
      const damage = fc.oneof(
        fc.record({ kind: fc.constant('replace' as const), bytes: fc.uint8Array({ maxLength: 2000 }) }),
        fc.record({
          kind: fc.constant('overwrite' as const),
          bytes: fc.uint8Array({ minLength: 1, maxLength: 16 }),
          place: fc.double({ min: 0, max: 1, noNaN: true }),
        }),
        fc.record({
          kind: fc.constant('remove' as const),
          bytes: fc.constant(new Uint8Array(8)),
          place: fc.double({ min: 0, max: 1, noNaN: true }),
        }),
      );
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(...files), damage, fc.boolean(), async (name, change, inHeader) => {
          const original = originals.get(name) ?? Buffer.alloc(0);
          let changed = Buffer.from(original);
          if (change.kind === 'replace') changed = Buffer.from(change.bytes);
          else {
            const at = Math.floor(change.place * (inHeader ? Math.min(800, original.length) : original.length));
            if (change.kind === 'overwrite') Buffer.from(change.bytes).copy(changed, at);
            else changed = Buffer.concat([original.subarray(0, at), original.subarray(at + change.bytes.length)]);
          }
          writeFileSync(join(folder, name), changed);
          await survives(folder);
          if (originals.has(name)) writeFileSync(join(folder, name), original);
          else rmSync(join(folder, name));
        }),
        fuzz(250),
      );
    }));

  it('is refused also when files are folders', () =>
    withTempFolder(async (temp) => {
      const folder = join(temp, 'run');
      sealedRun(folder);
      for (const name of files) {
        const broken = join(temp, `broken-${name}`);
        cpSync(folder, broken, { recursive: true });
        rmSync(join(broken, name));
        cpSync(join(folder, 'calibration'), join(broken, name), { recursive: true });
        await survives(broken);
      }
    }));
});
