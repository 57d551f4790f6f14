import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { verifyRunFolder } from '../../src/capture/verify.ts';
import { instrumentFamilies } from '../../src/instruments/families.ts';
import { parseRig } from '../../src/rig/rig-file.ts';
import { runBenchmark } from '../../src/rig/run-benchmark.ts';

const parent = mkdtempSync(join(tmpdir(), 'joulemark-test-'));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

const families = await Promise.all(Object.values(instrumentFamilies).map((load) => load()));

/** Settings that a family demands. */
const settings: Record<string, string> = { '34465a': '  settings:\n    currentRange: 0.1\n    externalVoltage_V: 3\n' };

function rigText(family: string, profile: string): string {
  return `version: 1\n${profile}instrument:\n  family: "${family}"\n  connection: emulated\n${settings[family] ?? ''}`;
}

const perInference = 'profile: per-inference\ninferences: 10\n';
const energyRun = 'profile: kws01\n';

describe('the virtual DUT measured by each emulated instrument', () => {
  it.each(families.map((family) => [family.id, family] as const))(
    '%s: the truth lies within the tolerance that the run prints',
    async (id, family) => {
      // Slow instruments and those that see falling edges only measure the long windows.
      const text = rigText(id, family.trigger?.polarities.length === 2 ? perInference : energyRun);
      const folder = join(parent, id);
      const { document } = await runBenchmark(parseRig(text, 'test'), { folder, rigText: text });
      expect(document.refusal).toBeNull();
      expect(document.simulated).toBe(true);
      expect(document.windows.length).toBeGreaterThanOrEqual(5);
      for (const { truth } of document.windows) {
        expect(Math.abs(truth!.error_rel)).toBeLessThanOrEqual(truth!.tolerance_rel);
      }
      expect(document.provenance.instrument).toMatchObject({ family: id, simulated: true });
      expect((await verifyRunFolder(folder)).ok).toBe(true);
    },
  );

  it('gives the same result twice', async () => {
    const text = rigText('ppk2', perInference);
    const results = [];
    for (const name of ['twice-a', 'twice-b']) {
      const outcome = await runBenchmark(parseRig(text, 'test'), { folder: join(parent, name), rigText: text });
      results.push(outcome.document);
    }
    expect(results[1]).toEqual(results[0]);
  });

  it('refuses a run whose edges the instrument cannot see, before anything is captured', async () => {
    const text = rigText('lpm01a', perInference);
    const folder = join(parent, 'refused');
    await expect(runBenchmark(parseRig(text, 'test'), { folder, rigText: text })).rejects.toMatchObject({
      code: 'trigger.polarity',
    });
    await expect(verifyRunFolder(folder)).rejects.toThrow();
  });

  it('refuses settings that the family does not have, and names the setting', async () => {
    const text = `${rigText('ppk2', perInference)}  settings:\n    colour: red\n`;
    await expect(
      runBenchmark(parseRig(text, 'test'), { folder: join(parent, 'settings'), rigText: text }),
    ).rejects.toThrow(/colour|settings/);
  });
});
