import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { auditPaths } from '../../src/audit/audit.ts';
import { placeOf } from '../../src/audit/place.ts';
import { type WalkItem, walk } from '../../src/audit/walk.ts';
import { energyRun, performanceRun, writeEnergyRun, writeTexts } from '../support/tiny-run.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'joulemark-walk-'));
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

async function items(path: string): Promise<WalkItem[]> {
  const all: WalkItem[] = [];
  for await (const item of walk(path)) all.push(item);
  return all;
}

async function folders(path: string): Promise<string[]> {
  return (await items(path)).flatMap((item) => (item.kind === 'folder' ? [item.folder.relative] : []));
}

async function codes(path: string): Promise<string[]> {
  return (await items(path)).flatMap((item) => (item.kind === 'observation' ? [item.observation.code] : []));
}

describe('a walk', () => {
  it('meets every folder once, parents first, in the order of the names', async () => {
    for (const path of ['b/x', 'a/y', 'a/x', '.git/objects']) mkdirSync(join(root, path), { recursive: true });
    expect(await folders(root)).toEqual(['', 'a', 'a/x', 'a/y', 'b', 'b/x']);
  });

  it('leaves out AppleDouble files', async () => {
    writeTexts(root, 'run', { 'log.txt': 'x', '._log.txt': 'x', '.DS_Store': 'x' });
    const [, run] = await items(root);
    expect(run?.kind === 'folder' && run.folder.files.map((f) => f.name)).toEqual(['log.txt']);
  });

  it('does not follow links to folders, so loops end', async () => {
    mkdirSync(join(root, 'a/b'), { recursive: true });
    symlinkSync(root, join(root, 'a/b/loop'));
    symlinkSync('loop2', join(root, 'a/loop2'));
    expect(await folders(root)).toEqual(['', 'a', 'a/b']);
    expect(await codes(root)).toEqual(['tree.unreadable', 'tree.link']);
  });

  it('follows links to files inside the tree only', async () => {
    writeTexts(root, 'data', { 'log.txt': 'x' });
    mkdirSync(join(root, 'run'));
    symlinkSync('../data/log.txt', join(root, 'run/log.txt'));
    symlinkSync('/etc/passwd', join(root, 'run/results.txt'));
    const run = (await items(root)).find((item) => item.kind === 'folder' && item.folder.relative === 'run');
    expect(run?.kind === 'folder' && run.folder.files.map((f) => f.name)).toEqual(['log.txt']);
    expect(await codes(root)).toEqual(['tree.link']);
  });

  it('never opens a pipe', async () => {
    execFileSync('sh', ['-c', 'mkfifo "$1"', 'sh', join(root, 'log.txt')]);
    expect(await codes(root)).toEqual(['tree.special-file']);
    await expect(items(join(root, 'log.txt'))).rejects.toThrow(/neither a folder nor a regular file/);
  });

  it('says where names hide something', async () => {
    writeFileSync(join(root, 'log\u202etxt.exe'), '');
    mkdirSync(join(root, 'kws\u200b'));
    expect(await codes(root)).toEqual(['tree.odd-name', 'tree.odd-name']);
  });

  it('goes down deep trees without a stack, and stops where paths end', async () => {
    let path = root;
    for (let k = 0; k < 600; k++) path = join(path, 'd');
    mkdirSync(path, { recursive: true });
    const all = await items(root);
    expect(all.length).toBeGreaterThan(512);
    expect(all.at(-1)).toMatchObject({ observation: { code: 'tree.too-deep' } });
  });

  it('refuses a path that is not there', async () => {
    await expect(items(join(root, 'nothing'))).rejects.toThrow(/cannot be read/);
  });
});

describe('the place of a claim', () => {
  it('is told by the layout of the published results', () => {
    expect(placeOf('/data/v1.0/closed/greenwaves/results/gap9/keyword_spotting/energy')).toEqual({
      round: 'v1.0',
      division: 'closed',
      submitter: 'greenwaves',
      system: 'gap9',
      benchmark: 'kws',
    });
    expect(placeOf('/data/tiny_results_v0.7/open/hls4ml-finn/results/arty/kws/KWS-W3A3/power')).toMatchObject({
      round: 'v0.7',
      division: 'open',
      benchmark: 'kws',
    });
    expect(placeOf('/data/inference_results_v4.1/closed/Untether/results/h13/resnet50/multistream')).toMatchObject({
      round: 'v4.1',
      submitter: 'Untether',
      benchmark: 'resnet50',
    });
  });

  it('is unknown where the path says nothing', () => {
    expect(placeOf('/home/open/run')).toMatchObject({ round: null, system: null, benchmark: null });
    expect(placeOf('/x/results')).toMatchObject({ system: null, benchmark: null });
  });
});

describe('an audit of a tree', () => {
  it('finds nothing in an empty one', async () => {
    const document = await auditPaths([root]);
    expect(document.summary).toMatchObject({ claims: 0, findings: { error: 0, warning: 0, info: 0 } });
  });

  it('goes on where one folder is bad', async () => {
    writeEnergyRun(root, energyRun());
    const { log, results } = performanceRun();
    writeTexts(root, 'v1.1/closed/Acme/results/Board/kws/performance', { 'log.txt': log, 'results.txt': results });
    const bad = writeTexts(root, 'v1.1/closed/Bad/results/Board/kws/energy', {
      'log.txt': `${'\0'.repeat(2_000_000)}\n${'x'.repeat(3_000_000)}\n00001.000 session: m-session-start-id[1]\n`,
      'results.txt':
        'ulp-ml: Energy data for window 2 at time 1 for 1e400 sec.:\n00001.000 ulp-ml: Median energy cost is 1.0 uJ/inf.\n',
      'trace1-timestamps.json': `${'['.repeat(100_000)}`,
      'results.json': '[{"file": {"file": 1}}]',
    });
    writeFileSync(join(bad, 'trace1-energy.bin'), Buffer.from([0xf1, 0, 0, 0, 0, 1, 2, 3]));
    const document = await auditPaths([root]);
    const verdicts = document.claims.map((c) => [c.submitter, c.mode, c.verdict]);
    expect(verdicts).toEqual([
      ['Acme', 'energy', 'upheld'],
      ['Acme', 'performance', 'upheld'],
      ['Bad', 'energy', 'unverifiable'],
    ]);
    expect(document.findings.map((f) => f.code)).toEqual(
      expect.arrayContaining(['trace.damaged', 'timestamps.damaged']),
    );
  });

  it('audits the run of a single file, and only that', async () => {
    const folder = writeEnergyRun(root, energyRun());
    writeEnergyRun(root, energyRun(), 'v1.1/closed/Acme/results/Board/kws/energy/inner');
    const document = await auditPaths([join(folder, 'log.txt')]);
    expect(document.claims.map((c) => [c.path, c.verdict])).toEqual([[folder, 'upheld']]);
    expect(await auditPaths([join(folder, 'log.txt')])).toEqual(document);
  });

  it('keeps going past a path that is missing, and refuses where all are', async () => {
    writeEnergyRun(root, energyRun());
    const missing = join(root, 'missing');
    const document = await auditPaths([missing, root]);
    expect(document.summary.claims).toBe(1);
    expect(document.findings).toMatchObject([{ code: 'tree.unreadable', path: missing, claim: null }]);
    await expect(auditPaths([missing])).rejects.toThrow(/missing/);
  });

  it('gives every claim an id of its own, the same each time', async () => {
    writeEnergyRun(root, energyRun());
    const document = await auditPaths([root, root]);
    const ids = document.claims.map((c) => c.id);
    expect(new Set(ids).size).toBe(2);
    expect((await auditPaths([root, root])).claims.map((c) => c.id)).toEqual(ids);
  });

  it('reports its progress and can be stopped', async () => {
    writeEnergyRun(root, energyRun());
    const seen: [number, number | null][] = [];
    await auditPaths([root], { onProgress: ({ done, total }) => seen.push([done, total]) });
    expect(seen.at(-1)).toEqual([1, 1]);
    const stop = AbortSignal.abort(new Error('enough'));
    await expect(auditPaths([root], { signal: stop })).rejects.toThrow('enough');
  });

  it('reads a log of any size in bounded memory', async () => {
    const folder = writeEnergyRun(root, energyRun());
    truncateSync(join(folder, 'log.txt'), 400 * 1024 * 1024);
    const before = process.memoryUsage().rss;
    const document = await auditPaths([root]);
    expect(document.claims[0]?.arithmetic).toBe('exact');
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * 1024 * 1024);
  }, 30_000);
});
