import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { auditPaths } from '../../src/audit/audit.ts';
import { CaptureWriter } from '../../src/capture/capture-writer.ts';
import { openRunFolder } from '../../src/capture/run-folder.ts';
import { parseRig } from '../../src/rig/rig-file.ts';
import { resultFiles } from '../../src/rig/run-benchmark.ts';
import { simulateRun } from '../../src/rig/virtual-rig.ts';

const keys = () =>
  generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
const signer = keys();

/** A run folder whose numbers come from the virtual rig; `simulated` is what its header says. */
async function writeRun(folder: string, simulated: boolean, privateKey?: string): Promise<void> {
  const run = simulateRun(parseRig('version: 1\nprofile: per-inference\ninferences: 20\n', 'test'), 7);
  const { clocks, streams, plan, provenance } = run;
  const writer = CaptureWriter.create(folder, { simulated, clocks, streams, plan, provenance });
  for (const chunk of run.chunks) writer.push(chunk);
  writer.finish();
  const { files } = await resultFiles(await openRunFolder(folder, { unsealedIs: 'closed' }));
  for (const { name, bytes } of files) writer.addFile(name, bytes);
  writer.seal({ generatedBy: 'test' }, { privateKey });
}

let root: string;
let original: string;
let folder: string;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'joulemark-run-audit-'));
  original = join(root, 'original');
  await writeRun(original, false, signer.privateKey);
});

beforeEach(() => {
  folder = join(root, 'run');
  rmSync(folder, { recursive: true, force: true });
  cpSync(original, folder, { recursive: true });
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

async function audit(trustedKeys: string[] = [signer.publicKey]) {
  const document = await auditPaths([folder], { trustedKeys });
  expect(document.claims).toHaveLength(1);
  return {
    claim: document.claims[0]!,
    findings: document.findings,
    codes: new Set(document.findings.map((f) => f.code)),
  };
}

describe('a run folder of our own', () => {
  it('is upheld where it is whole, signed by a trusted key and scores to its own result', async () => {
    const { claim, findings } = await audit();
    expect(findings.filter((f) => f.severity !== 'info')).toEqual([]);
    expect(claim).toMatchObject({
      auditor: 'joulemark-run',
      arithmetic: 'exact',
      evidence: 'supports',
      verdict: 'upheld',
    });
    expect(claim.windows).toEqual({ claimed: 20, recomputable: 20, exact: 20 });
    expect(claim.supported.energyPerInference_uJ).toBe(claim.claimed.energyPerInference_uJ);
    expect(claim.measured.signature).toBe('valid');
  });

  it('does not wait for a pipe in place of its result', async () => {
    rmSync(join(folder, 'result.json'));
    execFileSync('mkfifo', [join(folder, 'result.json')]);
    expect((await audit()).codes).toContain('run.result-unusable');
  });

  it('says that nobody signed it, or a stranger', async () => {
    expect((await audit([keys().publicKey])).codes).toContain('run.untrusted');
    rmSync(folder, { recursive: true });
    await writeRun(folder, false);
    const { claim, codes } = await audit([]);
    expect(codes).toContain('run.unsigned');
    expect(claim.verdict).toBe('upheld');
  });

  it('is refused as a claim where it was simulated', async () => {
    rmSync(folder, { recursive: true });
    await writeRun(folder, true, signer.privateKey);
    const { claim, codes } = await audit();
    expect(codes).toContain('claim.simulated');
    expect(claim.verdict).toBe('unverifiable');
  });

  it('is refuted where the result is not what its samples give', async () => {
    const path = join(folder, 'result.json');
    const result = JSON.parse(readFileSync(path, 'utf8'));
    result.median.energyPerInference_uJ *= 0.9;
    writeFileSync(path, JSON.stringify(result));
    const { claim, codes } = await audit();
    expect(codes).toContain('arithmetic.differs');
    expect(codes).toContain('run.changed');
    expect(claim.verdict).toBe('refuted');
  });

  it('names file and block of a change, a cut, a swap and a missing file', async () => {
    const samples = readdirSync(folder).find((name) => name.startsWith('samples-'))!;
    const path = join(folder, samples);
    const bytes = readFileSync(path);
    for (const damage of ['change', 'cut', 'swap', 'remove'] as const) {
      cpSync(original, folder, { recursive: true });
      const changed = Buffer.from(bytes);
      changed[bytes.length - 5000]! ^= 1;
      if (damage === 'change') writeFileSync(path, changed);
      else if (damage === 'cut') writeFileSync(path, bytes.subarray(0, -4000));
      else if (damage === 'remove') rmSync(path);
      else {
        renameSync(join(folder, 'edges.arrow'), join(folder, 'x'));
        renameSync(join(folder, 'segments.arrow'), join(folder, 'edges.arrow'));
        renameSync(join(folder, 'x'), join(folder, 'segments.arrow'));
      }
      const { claim, findings } = await audit();
      const named = findings.filter((f) => f.code === 'run.changed').map((f) => f.evidence.file);
      expect(named, damage).toContain(damage === 'swap' ? 'edges.arrow' : samples);
      expect(['unverifiable', 'refuted'], damage).toContain(claim.verdict);
    }
  });

  it('cannot be verified without its header, its result or its manifest', async () => {
    for (const name of ['run.json', 'result.json', 'manifest.json']) {
      cpSync(original, folder, { recursive: true });
      rmSync(join(folder, name));
      const { claim } = await audit();
      expect(claim.verdict, name).toBe('unverifiable');
    }
  });
});
