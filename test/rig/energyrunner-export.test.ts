import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openEnergyRunner } from '../../src/capture/formats/energyrunner/index.ts';
import { openRunFolder } from '../../src/capture/run-folder.ts';
import { exportEnergyRunner } from '../../src/rig/energyrunner-export.ts';
import { parseRig } from '../../src/rig/rig-file.ts';
import { runBenchmark } from '../../src/rig/run-benchmark.ts';
import { auditLayout } from '../../src/rig/self-audit.ts';
import { scorePublished } from '../../src/scoring/published.ts';
import { scoreRun } from '../../src/scoring/score-run.ts';
import { temporaryFolder } from '../support/energyrunner-folder.ts';

const { folder, remove } = temporaryFolder();
afterAll(remove);

async function runAndExport(name: string, rigText: string) {
  const run = join(folder, name);
  const { document, energyRunnerFolder } = await runBenchmark(parseRig(rigText, name), { folder: run, rigText });
  const out = join(folder, `${name}-written-again`);
  const recording = await openRunFolder(run);
  const layout = await exportEnergyRunner(recording, out, await scoreRun(recording));
  return {
    document,
    energyRunnerFolder,
    recording,
    layout,
    out,
    audit: await auditLayout(recording, out, document, layout),
  };
}

describe('a run of the virtual rig in the layout of EnergyRunner', () => {
  test('is scored again to the digits that it prints, and agrees with the run', async () => {
    const { document, out, audit } = await runAndExport('kws', 'version: 1\ninstrument: {settings: {rate_Hz: 2000}}\n');
    const recording = await openEnergyRunner(out);
    const again = await scorePublished(recording);
    const { printed } = recording;
    expect(again.windows.map(({ index }) => index)).toEqual([2, 4, 6, 8, 10]);
    again.windows.forEach((window, k) => {
      const shown = printed!.energyWindows[k];
      expect(shown.energy_uJ!.text).toBe(window.energy_uJ!.toFixed(3));
      expect(shown.power_uW!.text).toBe(window.power_uW!.toFixed(3));
      expect(shown.energyPerInference_uJ!.text).toBe(window.energyPerInference_uJ!.toFixed(3));
      expect(printed!.performanceWindows[k].throughput_ips!.text).toBe(window.throughput_ips!.toFixed(3));
    });
    expect(printed!.medianEnergy_uJ!.text).toBe(again.median.energyPerInference_uJ!.toFixed(3));
    // Edges in whole milliseconds on windows of 10 s.
    expect(again.median.energyPerInference_uJ! / document.median.energyPerInference_uJ!).toBeCloseTo(1, 3);
    expect(again.simulated).toBe(true);
    expect(again.warnings).toEqual([]);
    expect(readFileSync(join(out, 'log.txt'), 'utf8')).toContain('m-name-dut-[SIMULATED');
    expect(audit).toMatchObject({ verdict: 'unverifiable', arithmetic: 'exact', evidence: 'incomplete' });
    expect(audit.findings).toContain('claim.simulated');
    expect(audit.agreement.agrees).toBe(true);
    expect(Math.abs(audit.agreement.energy_rel!)).toBeLessThan(audit.agreement.energyAllowed_rel!);
  });

  test('is found out by our own audit where its figures are not those of its files, or not those of the run', async () => {
    const { document, recording, layout, out } = await runAndExport(
      'tampered',
      'version: 1\ninstrument: {settings: {rate_Hz: 2000}}\n',
    );
    const windows = document.windows.map((window) => ({ ...window, energy_uJ: window.energy_uJ! * 1.01 }));
    const other = await auditLayout(recording, out, { ...document, windows }, layout);
    expect(other.agreement).toMatchObject({ agrees: false, energy_rel: expect.closeTo(-0.01, 3) });
    const fewer = await auditLayout(recording, out, { ...document, windows: windows.slice(1) }, layout);
    expect(fewer.agreement).toMatchObject({ agrees: false, energy_rel: null });
    const results = join(out, 'results.txt');
    writeFileSync(
      results,
      readFileSync(results, 'utf8').replace(/Median energy cost is \d/, 'Median energy cost is 9'),
    );
    expect(await auditLayout(recording, out, document, layout)).toMatchObject({
      arithmetic: 'differs',
      verdict: 'refuted',
    });
  });

  test('tells of lost samples', async () => {
    const { layout, out, audit } = await runAndExport(
      'dropped',
      'version: 1\nfaults: [dropped-samples]\ninstrument: {settings: {rate_Hz: 2000}}\n',
    );
    expect(layout.score!.warnings.map(({ code }) => code)).toContain('samples.dropped');
    expect(audit).toMatchObject({ arithmetic: 'exact', agreement: { agrees: true } });
    expect(readFileSync(join(out, 'log.txt'), 'utf8')).toMatch(/m-\[Dropped \d+ packets out of \d+, /);
  });

  test('is what the run has written beside its folder', async () => {
    const { energyRunnerFolder, out } = await runAndExport(
      'beside',
      'version: 1\ninstrument: {settings: {rate_Hz: 2000}}\n',
    );
    const names = readdirSync(out).sort();
    expect(names).toEqual([
      'SIMULATED',
      'log.txt',
      'results.txt',
      'script.async',
      'trace1-energy.bin',
      'trace1-timestamps.json',
    ]);
    expect(readdirSync(energyRunnerFolder!).sort()).toEqual(names);
    for (const name of names)
      expect(readFileSync(join(energyRunnerFolder!, name))).toEqual(readFileSync(join(out, name)));
  });

  test('is refused where there is no handshake', async () => {
    await expect(
      runAndExport('per-inference', 'version: 1\nprofile: per-inference\ninferences: 5\n'),
    ).rejects.toMatchObject({ code: 'export.impossible' });
  });
});
