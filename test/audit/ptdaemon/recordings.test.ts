import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AuditedRun, auditPower } from '../../support/power-run.ts';
import { recordingsRoot } from '../../support/recordings.ts';
import { unpackTarGz } from '../../support/tar.ts';

const archive = join(recordingsRoot, 'power.tar.gz');

interface Expected {
  power_W: string;
  duration_s?: string;
  energyPerQuery_mJ?: string;
  verdict: string;
  codes: string[];
}

/** Published runs and what is known of them (specs of the recordings: average W of the test window and more). */
const expected: Record<string, Expected> = {
  v11_inspur_wt310e_clean: { power_W: '806.325833', duration_s: '600.003', verdict: 'upheld', codes: [] },
  v11_nvidia_wt330e_gap: {
    power_W: '16.296277',
    duration_s: '742.017',
    verdict: 'upheld',
    codes: [
      'power.daemon-warning',
      'power.gap',
      'power.samples-nonpositive',
      'power.sources-differ',
      'power.time-order',
    ],
  },
  v11_dell_wt210_delta: { power_W: '540.312067', verdict: 'irregular', codes: ['power.testing-below-ranging'] },
  v10_krai_wt330e_uncertain: { power_W: '5.834231', verdict: 'irregular', codes: ['power.uncertainty'] },
  v10_dell_wt210_dst: { power_W: '1101.282834', duration_s: '868.017', verdict: 'upheld', codes: ['power.dst'] },
  v20_inspur_wt310e_eol: {
    power_W: '523.943333',
    energyPerQuery_mJ: '1092.8936',
    verdict: 'upheld',
    codes: ['power.hash-line-ends'],
  },
  v21_hpe_wt330_clean: { power_W: '238.283700', energyPerQuery_mJ: '1761.7995', verdict: 'upheld', codes: [] },
  v41_untether_wt210_rl: { power_W: '303.172333', energyPerQuery_mJ: '61.3167', verdict: 'upheld', codes: [] },
};

describe.skipIf(!existsSync(archive))('published PTDaemon runs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'joulemark-power-'));
  const runs = new Map<string, AuditedRun>();

  beforeAll(async () => {
    unpackTarGz(archive, folder);
    for (const run of await auditPower(folder)) runs.set(basename(run.claim.path), run);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('are all found', () => {
    expect([...runs.keys()].sort()).toEqual(Object.keys(expected).sort());
  });

  it.each(Object.entries(expected))('%s comes out to the printed digits with the findings it deserves', (name, e) => {
    const { claim, codes } = runs.get(name) as AuditedRun;
    expect(claim.recomputed.meanPower_W?.toFixed(6)).toBe(e.power_W);
    if (e.duration_s !== undefined) expect((claim.measured.duration_s as number).toFixed(3)).toBe(e.duration_s);
    if (e.energyPerQuery_mJ !== undefined)
      expect(claim.recomputed.energyPerQuery_mJ?.toFixed(4)).toBe(e.energyPerQuery_mJ);
    expect(codes).toEqual(e.codes);
    expect(claim.verdict).toBe(e.verdict);
    expect(claim.round).toBe(`v${name[1]}.${name[2]}`);
  });

  it('show PTDaemon averaging the same samples to the same six decimals', () => {
    for (const { claim } of runs.values()) {
      const average = claim.comparisons.find((c) => c.field.startsWith('testing'));
      // One of them lacks the last sample of the measurement.
      expect(average?.exact).toBe(claim.path.includes('v20_inspur') ? null : true);
    }
  });

  it('show 605 of 605 uncertain samples, and why the official checker is blind to them', () => {
    const { findings } = runs.get('v10_krai_wt330e_uncertain') as AuditedRun;
    expect(findings[0]?.evidence).toMatchObject({ count: 605, samples: 605, official: { verdict: 'pass' } });
    expect(findings[0]?.message).toContain('605 of 605');
  });

  it('show the difference, the gap and the failed reading', () => {
    const evidence = (name: string, code: string) =>
      runs.get(name)?.findings.find((f) => f.code === code)?.evidence ?? {};
    expect((evidence('v11_dell_wt210_delta', 'power.testing-below-ranging').difference_pct as number).toFixed(1)).toBe(
      '-9.4',
    );
    expect((evidence('v11_nvidia_wt330e_gap', 'power.gap').longest_s as number).toFixed(2)).toBe('1.82');
    expect(evidence('v11_nvidia_wt330e_gap', 'power.samples-nonpositive')).toMatchObject({ count: 1, lowest_W: -2 });
  });

  it('get from the official checker what its source says', () => {
    const failing = (name: string) => runs.get(name)?.claim.officialVerdict?.reasons.map((r) => r.split(':')[0]);
    expect(failing('v21_hpe_wt330_clean')).toEqual(['ptd-messages', 'ptd-config']);
    expect(failing('v10_dell_wt210_dst')).toEqual(['ptd-messages', 'phases', 'messages', 'ptd-config']);
    expect(failing('v11_dell_wt210_delta')).toEqual(['ptd-messages', 'phases', 'ptd-config']);
    expect(failing('v20_inspur_wt310e_eol')).toEqual(['ptd-messages', 'results', 'ptd-config']);
    expect(failing('v10_krai_wt330e_uncertain')).toEqual(['ptd-messages', 'messages', 'ptd-config']);
  });
});
