import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { auditPaths } from '../../../src/audit/audit.ts';
import type { Finding } from '../../../src/audit/types.ts';
import {
  type AuditedRun,
  auditPower,
  firstInside,
  type MadeRun,
  type MadeSample,
  madeRun,
  madeSamples,
  writeRun,
} from '../../support/power-run.ts';

const root = mkdtempSync(join(tmpdir(), 'joulemark-power-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let counter = 0;

async function audit(run: MadeRun): Promise<AuditedRun> {
  const folder = writeRun(join(root, `run${counter++}`), run);
  const [audited, ...more] = await auditPower(folder);
  expect(more).toEqual([]);
  if (audited === undefined) throw new Error('no claim found');
  return audited;
}

/** Replaces the power of some samples of the test window. */
function withWatts(change: (index: number, watts: number) => number): MadeRun {
  const run = madeRun();
  run.samples.testing = run.samples.testing.map((s, k) => ({ ...s, watts: change(k - firstInside, s.watts) }));
  return run;
}

describe('a PTDaemon run without flaws', () => {
  it('is upheld without any finding', async () => {
    const { claim, findings } = await audit(madeRun());
    expect(findings).toEqual([]);
    expect(claim.verdict).toBe('upheld');
    expect([claim.arithmetic, claim.evidence, claim.rules]).toEqual(['exact', 'supports', 'met']);
    expect(claim.round).toBe('v2.1');
  });

  it('gives the published figures', async () => {
    const run = madeRun();
    const { claim } = await audit(run);
    const inside = run.samples.testing.slice(firstInside, firstInside + 611).map((s) => s.watts);
    const mean = inside.reduce((a, b) => a + b, 0) / inside.length;
    expect(claim.recomputed.meanPower_W).toBeCloseTo(mean, 9);
    expect(claim.recomputed.energyPerQuery_mJ).toBeCloseTo((mean * 610.5 * 1000) / 80_000, 9);
    expect(claim.recomputed.inferencesPerJoule).toBeCloseTo(80_000 / (mean * 610.5), 9);
    expect(claim.claimed.meanPower_W).toBeNull();
    expect(claim.supported).toEqual(claim.recomputed);
    expect(claim.windows).toEqual({ claimed: 1, recomputable: 1, exact: 1 });
  });

  it.each(['Offline', 'Server', 'MultiStream'])('has none in scenario %s either', async (scenario) => {
    const { findings, claim } = await audit(madeRun({ scenario }));
    expect(findings).toEqual([]);
    expect(claim.recomputed.energyPerQuery_mJ === null).toBe(scenario !== 'MultiStream');
  });

  it('may write CR LF in all its files', async () => {
    const crlf = (files: Map<string, string>) => {
      for (const [name, text] of files) files.set(name, text.replaceAll('\n', '\r\n'));
    };
    expect((await audit(madeRun({ beforeHash: crlf }))).findings).toEqual([]);
  });

  it('may come with a byte-order mark, blank lines at the end and hosts east of UTC', async () => {
    const odd = (files: Map<string, string>) => {
      files.set('run_1/spl.txt', `\u00ef\u00bb\u00bf${files.get('run_1/spl.txt')}\n\n`);
    };
    expect((await audit(madeRun({ beforeHash: odd, zone_s: -7200 }))).findings).toEqual([]);
  });

  it('may lack the last samples of the measurement in spl.txt', async () => {
    const cut = (files: Map<string, string>) => {
      const lines = (files.get('run_1/spl.txt') as string).split('\n');
      files.set('run_1/spl.txt', `${lines.slice(0, -3).join('\n')}\n`);
    };
    expect((await audit(madeRun({ beforeHash: cut }))).findings).toEqual([]);
  });

  it('may use PTDaemon 1.10.0 from v3.0 on, with the reply of its RL protocol', async () => {
    const run = madeRun({ daemonVersion: '1.10.0', loadgenVersion: '4.1 @ 2814499631' });
    run.server = (record) => {
      const list = record.ptd_messages as { cmd: string; reply: string }[];
      list.splice(12, 1, { cmd: 'RL', reply: 'Last 832 samples' });
      list.push(
        { cmd: 'SR,V,150.000000', reply: 'Range V changed' },
        { cmd: 'SR,A,5.000000', reply: 'Range A changed' },
      );
    };
    expect((await audit(run)).findings).toEqual([]);
  });
});

describe('uncertainty', () => {
  const uncertain = (count: number, text: (pct: string) => string, channels = 1) =>
    madeRun({
      daemonLines: Array.from({ length: count * channels }, (_, k) => ({
        mode: 'testing' as const,
        t_s: firstInside + Math.floor(k / channels) + 0.25 + (k % channels) / 1000,
        text: text('1.26'),
      })),
    });
  const older = (pct: string) => `WARNING: Uncertainty ${pct}% above 1.00% limit for the last measurement sample!`;
  const newer = (pct: string) => `WARNING: Uncertainty ${pct}%, which is above 1.00% limit for the last sample!`;

  it('is counted over the whole test window in the wording that the official checker does not know', async () => {
    const { findings, claim } = await audit(uncertain(611, older));
    expect(findings.map((f) => f.code)).toEqual(['power.uncertainty']);
    expect(findings[0]?.evidence).toMatchObject({ count: 611, samples: 611, highest_pct: 1.26, wording: 'older' });
    expect(findings[0]?.evidence.official).toMatchObject({ check: 'ptd-logs', verdict: 'pass' });
    expect(JSON.stringify(findings[0]?.evidence.official)).toMatch(/reads nothing.*1\.9 writes/);
    expect(claim.verdict).toBe('irregular');
  });

  it('is counted in the newer wording too, where only the unit error hides it', async () => {
    const { findings, codes } = await audit(uncertain(30, newer));
    expect(codes).toEqual(['power.uncertainty']);
    expect(findings[0]?.evidence).toMatchObject({ count: 30, wording: 'newer' });
    expect(JSON.stringify(findings[0]?.evidence.official)).not.toMatch(/wording/);
  });

  it('is what the official checker says where its broken reading reaches the sample', async () => {
    const duration_s = 1700.5;
    const run = madeRun({
      duration_s,
      daemonLines: [{ mode: 'testing', t_s: firstInside + 850.25, text: newer('1.30') }],
    });
    const { findings } = await audit(run);
    expect(findings[0]?.evidence.official).toMatchObject({ verdict: 'fail' });
  });

  it('is counted once a sample, however many channels report it', async () => {
    const { findings } = await audit(uncertain(5, older, 3));
    expect(findings[0]?.evidence).toMatchObject({ count: 5 });
  });

  it('of at most two samples in a hundred, as while the load begins, is only noted', async () => {
    const few = await audit(uncertain(12, newer));
    expect(few.findings.map((f) => [f.code, f.severity])).toEqual([['power.uncertainty-few', 'info']]);
    expect(few.claim.verdict).toBe('upheld');
    expect((await audit(uncertain(13, newer))).codes).toEqual(['power.uncertainty']);
  });

  it('outside the test window is nothing', async () => {
    const run = madeRun({ daemonLines: [{ mode: 'testing', t_s: 1.25, text: older('1.08') }] });
    expect((await audit(run)).findings).toEqual([]);
  });

  it('that is unknown while testing leaves the run unverifiable, or is a warning where it is rare', async () => {
    const unknown = (count: number) =>
      madeRun({
        daemonLines: Array.from({ length: count }, (_, k) => ({
          mode: 'testing' as const,
          t_s: firstInside + k + 0.25,
          text: 'WARNING: Uncertainty unknown for the last measurement sample! channel 0',
        })),
      });
    const often = await audit(unknown(300));
    expect(often.codes).toEqual(['power.uncertainty-unverified']);
    expect(often.claim.verdict).toBe('unverifiable');
    const rarely = await audit(unknown(2));
    expect(rarely.codes).toEqual(['power.uncertainty-unknown']);
    expect(rarely.claim.verdict).toBe('upheld');
  });

  it('that PTDaemon never said it checks is named', async () => {
    const silent = (files: Map<string, string>) => {
      files.set('power/ptd_logs.txt', (files.get('power/ptd_logs.txt') as string).replace(/^.*is activated\n/m, ''));
    };
    expect((await audit(madeRun({ beforeHash: silent }))).codes).toEqual(['power.uncertainty-not-checked']);
  });
});

describe('layouts of published runs', () => {
  const channels = (s: MadeSample, count: number, zeros = 0): string => {
    const part = (s.watts / count).toFixed(6);
    return Array.from({ length: count + zeros }, (_, k) => {
      const watts = k < count ? part : '0.000000';
      return `,Ch${k + 1},Watts,${watts},Volts,208.210000,Amps,3.285000,PF,0.965400`;
    }).join('');
  };

  it('with channels, three messages a sample while ranging and a channel in no use have no findings', async () => {
    const run = madeRun({ scenario: 'Offline' });
    for (const mode of ['ranging', 'testing'] as const) for (const s of run.samples[mode]) s.more = channels(s, 2, 1);
    run.daemonLines = run.samples.ranging.flatMap(({ t_s }) =>
      [2, 3].flatMap((channel) => [
        { mode: 'ranging' as const, t_s, text: "ERROR: Can't evaluate uncertainty of this sample!" },
        {
          mode: 'ranging' as const,
          t_s,
          text: `WARNING: Uncertainty unknown for the last measurement sample! channel ${channel}`,
        },
      ]),
    );
    run.server = (record) => {
      const talk = record.ptd_messages as { cmd: string; reply: string }[];
      const reply = 'YokogawaWT330_multichannel,1000,1,1,1,1,0,0,1,version=1.9.2-e8c7a49a-20201208,OS=Linux';
      Object.assign(talk[1] as object, { reply });
      Object.assign(talk[2] as object, { reply: 'Ranges,-1,-1.000000,-1,-1.000000' });
      talk.splice(
        -2,
        2,
        { cmd: 'SR,V,Auto', reply: 'Range V changed' },
        { cmd: 'SR,A,Auto', reply: 'Range A changed' },
      );
      record.ptd_config = { command: ['ptd', '-c', '1,2', '77', '/dev/usbtmc0'], device_type: 77, channel: [1, 2] };
    };
    expect((await audit(run)).codes).toEqual([]);
  });

  it('of the RL protocol, with a short ranging and failed readings in it, have no findings', async () => {
    const run = madeRun({ daemonVersion: '1.10.0', loadgenVersion: '4.0 @ c7b1b1a', scenario: 'MultiStream' });
    run.samples.ranging = madeSamples(310, 199).map((s, k) => (k === 20 || k === 22 ? { ...s, watts: -1 } : s));
    for (const s of run.samples.testing) s.more = channels(s, 3);
    const rl = (samples: number, errors: number) => [
      { cmd: 'RL,*,*', reply: `Last ${samples} samples from sum channel and channels 1 - 3` },
      { cmd: 'Uncertainty', reply: `Uncertainty,-1.0,10000000.000000,0.000000,${samples},0,0,${samples}` },
      { cmd: 'Watts', reply: `Watts,199.500000,199.000000,200.000000,${samples},${errors},${samples - errors}` },
    ];
    run.server = (record) => {
      const talk = record.ptd_messages as { cmd: string; reply: string }[];
      // Ranging ends with message 6, testing with 10; there is no third Stop.
      talk.splice(11, 1, ...rl(632, 0));
      talk.splice(7, 0, ...rl(332, 2));
      record.ptd_config = { command: ['ptd', '-c', '1', '48', '10.0.0.1'], device_type: 48, channel: [1] };
    };
    run.beforeHash = (files) => {
      const first = (files.get('run_1/spl.txt') as string).split('\n').slice(0, 2);
      const text = files.get('power/ptd_logs.txt') as string;
      // The daemon logs its answers in pieces that end anywhere in a line.
      const piece = '07-27-2022 07:54:20.492: Response to client sent: ';
      files.set(
        'power/ptd_logs.txt',
        `${text}${piece}${first[0]}\r\n${first[1]?.slice(0, 60)}${piece}${first[1]?.slice(60)}\r\n`,
      );
      files.set('run_1/spl.txt', `${files.get('run_1/spl.txt')}\n`);
    };
    expect((await audit(run)).codes).toEqual([]);
  });

  it('of an Offline result inferred from a SingleStream log have its power and the inferred samples a joule', async () => {
    const folder = join(root, 'v3.1/open/Acme/results/board/mobilenet-v1/offline/performance');
    const inferred = (files: Map<string, string>) => {
      const name = 'run_1/mlperf_log_detail.txt';
      const line = ':::MLLOG {"key": "result_qps_without_loadgen_overhead", "value": 131.5, "time_ms": 1.5}\n';
      files.set(name, files.get(name) + line);
    };
    writeRun(folder, madeRun({ daemonVersion: '1.10.0', loadgenVersion: '3.1 @ x', beforeHash: inferred }));
    const [audited] = await auditPower(join(root, 'v3.1'));
    expect(audited?.codes).toEqual([]);
    const { claimed, recomputed } = (audited as AuditedRun).claim;
    expect(recomputed.energyPerQuery_mJ).toBeNull();
    expect(claimed.throughput_ips).toBe(131.5);
    expect(recomputed.inferencesPerJoule).toBeCloseTo(131.5 / (recomputed.meanPower_W as number), 12);
  });
});

describe('power samples', () => {
  it('at or below zero are counted, with the average including them', async () => {
    const { findings, claim } = await audit(withWatts((k, w) => (k === 100 || k === 200 ? -1 : w)));
    expect(findings.map((f) => f.code)).toEqual(['power.samples-nonpositive']);
    const { meanWith_W, meanWithout_W, count } = (findings[0] as Finding).evidence as Record<string, number>;
    expect(count).toBe(2);
    expect(meanWith_W).toBeLessThan(meanWithout_W as number);
    expect(claim.recomputed.meanPower_W).toBe(meanWithout_W);
    expect(claim.verdict).toBe('upheld');
  });

  it('that are no number are counted like these', async () => {
    const { findings } = await audit(withWatts((k, w) => (k === 100 ? Number.NaN : w)));
    expect(findings[0]?.evidence).toMatchObject({ count: 1, noNumber: 1 });
  });

  it('that are missing are a gap, and over 2 % of the window leave the run unverifiable', async () => {
    const without = (from: number, to: number) => {
      const run = madeRun();
      run.samples.testing = run.samples.testing.filter((_, k) => k - firstInside < from || k - firstInside >= to);
      return run;
    };
    const one = await audit(without(100, 101));
    expect(one.codes).toEqual(['power.gap']);
    expect(one.findings[0]?.evidence).toMatchObject({ gaps: 1, longest_s: 2 });
    expect(one.claim.verdict).toBe('upheld');
    expect(one.claim.plots).toHaveLength(1);
    const many = await audit(without(100, 150));
    expect(many.codes).toEqual(['power.coverage', 'power.gap']);
    expect(many.claim.verdict).toBe('unverifiable');
  });

  it('that begin after the window are a gap at its start', async () => {
    const run = madeRun();
    run.samples.testing = run.samples.testing.filter((_, k) => k >= firstInside + 5);
    const { findings } = await audit(run);
    expect(findings[0]?.evidence).toMatchObject({ gaps: 1, first: [{ after: 'the start of the window' }] });
  });

  it('that repeat in all columns are stuck, but not below five of them', async () => {
    const { codes, findings } = await audit(withWatts((k, w) => (k >= 50 && k < 55 ? 202.2 : w)));
    expect(codes).toEqual(['power.stuck']);
    expect(findings[0]?.evidence).toMatchObject({ stretches: 1, longest: 5 });
    expect((await audit(withWatts((k, w) => (k >= 50 && k < 54 ? 202.2 : w)))).codes).toEqual([]);
  });

  it('whose times do not increase are named', async () => {
    const run = madeRun();
    const [a, b] = [run.samples.testing[300], run.samples.testing[301]];
    if (a && b) b.t_s = a.t_s;
    expect((await audit(run)).codes).toEqual(['power.gap', 'power.time-order']);
  });

  it('of channels that do not add up to the total are named, by how much', async () => {
    const channels = (share: number) => {
      const run = madeRun();
      for (const s of run.samples.testing) {
        const part = (s.watts / 2).toFixed(6);
        const rest = ((s.watts / 2) * share).toFixed(6);
        s.more = `,Ch1,Watts,${part},Volts,1,Amps,1,PF,1,Ch2,Watts,${rest},Volts,1,Amps,1,PF,1`;
      }
      return run;
    };
    expect((await audit(channels(1))).codes).toEqual([]);
    expect((await audit(channels(0.98))).codes).toEqual(['power.channel-sum']);
    const material = await audit(channels(0.9));
    expect(material.codes).toEqual(['power.channel-sum-material']);
    expect(material.findings[0]?.evidence.difference_pct).toBeCloseTo(-5, 3);
    expect(material.claim.verdict).toBe('unverifiable');
  });

  it('of several analyzers add up by absolute value, without their failed readings', async () => {
    const run = madeRun();
    run.samples.testing.forEach((s, k) => {
      const half = (s.watts / 2).toFixed(6);
      const second = k === 40 ? '-1.000000' : `-${half}`;
      if (k === 40) s.watts /= 2;
      const analyzer = (n: number, w: string) =>
        `,Analyzer${n},Time,07-27-2022 07:44:02.399,Watts,${w},Volts,1,Amps,1,PF,1,Mark,x`;
      s.more = analyzer(1, half) + analyzer(2, second);
    });
    expect((await audit(run)).codes).toEqual([]);
  });

  it('that were changed after PTDaemon averaged them refute the claim', async () => {
    const edit = (files: Map<string, string>) => {
      const lines = (files.get('run_1/spl.txt') as string).split('\n');
      lines[300] = (lines[300] as string).replace(/Watts,[\d.]+/, 'Watts,150.000000');
      files.set('run_1/spl.txt', lines.join('\n'));
    };
    const { codes, claim } = await audit(madeRun({ beforeHash: edit }));
    expect(codes).toEqual(['power.session-average-differs']);
    expect(claim.verdict).toBe('refuted');
    const hashed = await audit(madeRun({ afterHash: edit }));
    expect(hashed.codes).toEqual(['power.hash-differs', 'power.session-average-differs']);
  });

  it('are not held against an average over other samples: one with an error left out, the last one not yet in', async () => {
    const run = madeRun();
    const lines = (text: string) => text.split('\n').slice(0, -1);
    // The analyzer gave power but no current in the first sample of ranging: PTDaemon calls it an error.
    const first = run.samples.ranging[0] as MadeSample;
    first.watts = 150;
    run.beforeHash = (files) => {
      files.set(
        'ranging/spl.txt',
        `${lines(files.get('ranging/spl.txt') as string)
          .slice(0, -1)
          .join('\n')}\n`,
      );
      const valid = run.samples.ranging.slice(1).map((s) => s.watts);
      const mean = valid.reduce((a, b) => a + b, 0) / valid.length;
      const average = `Avg watts ${mean.toFixed(6)}, min watts 199.000000, max watts 200.250000, samples ${valid.length + 1}, errors 1, valid ${valid.length}`;
      const text = files.get('power/ptd_logs.txt') as string;
      files.set('power/ptd_logs.txt', text.replace(/Avg watts .*/, average));
    };
    expect((await audit(run)).codes).toEqual([]);
    // Nor with all lines there, where ranging had errors; without errors a wrong average of ranging is named.
    const wrongAverage = (errors: number) => (files: Map<string, string>) => {
      const text = files.get('power/ptd_logs.txt') as string;
      files.set(
        'power/ptd_logs.txt',
        text.replace(/Avg watts [\d.]+(.*), errors 0,/, `Avg watts 199.000001$1, errors ${errors},`),
      );
    };
    expect((await audit(madeRun({ beforeHash: wrongAverage(3) }))).codes).toEqual([]);
    expect((await audit(madeRun({ beforeHash: wrongAverage(0) }))).codes).toEqual(['power.ranging-average-differs']);
  });

  it('of another measurement are told by their marks', async () => {
    const edit = (files: Map<string, string>) => {
      files.set('run_1/spl.txt', (files.get('run_1/spl.txt') as string).replaceAll(',2022-07-27', ',2022-07-28'));
    };
    const { codes, claim } = await audit(madeRun({ beforeHash: edit }));
    expect(codes).toEqual(['power.mark-differs']);
    expect(claim.verdict).toBe('unverifiable');
  });
});

describe('clocks', () => {
  it('one hour off the time zones are daylight saving, recognised and applied', async () => {
    const run = madeRun({ loadgenVersion: '.5a1 @ 8ab63193d8', zone_s: 21_600, written_s: -18_000 });
    const { findings, claim } = await audit(run);
    expect(findings.map((f) => [f.code, f.severity])).toEqual([['power.dst', 'info']]);
    expect(claim.round).toBe('v1.0');
    expect(claim.verdict).toBe('upheld');
    expect(claim.recomputed.meanPower_W).toBeGreaterThan(199);
  });

  it('in local time are expected in v1.0 and named later', async () => {
    const local = { zone_s: 21_600, written_s: -21_600 };
    expect((await audit(madeRun({ ...local, loadgenVersion: '.5a1 @ 8ab6' }))).codes).toEqual([]);
    expect((await audit(madeRun(local))).codes).toEqual(['power.time-zone']);
  });

  it('of loadgen and PTDaemon in different zones are brought together', async () => {
    const run = madeRun();
    const later = (files: Map<string, string>) => {
      for (const name of ['run_1', 'ranging']) {
        const detail = files.get(`${name}/mlperf_log_detail.txt`) as string;
        const shifted = detail.replace(
          /07-27-2022 (\d\d):/g,
          (_, h) => `07-27-2022 ${String(Number(h) - 5).padStart(2, '0')}:`,
        );
        files.set(`${name}/mlperf_log_detail.txt`, shifted);
      }
    };
    const { codes, claim } = await audit({ ...run, beforeHash: later });
    expect(codes).toEqual(['power.time-zone']);
    expect(claim.recomputed.meanPower_W).toBeGreaterThan(199);
  });

  it('of client and server may differ by what the round allows', async () => {
    const late = (seconds: number) => (record: Record<string, unknown>) => {
      for (const marks of Object.values(record.phases as Record<string, [number, number][]>)) {
        for (const mark of marks) mark[0] += seconds;
      }
    };
    expect((await audit(madeRun({ server: late(0.15) }))).codes).toEqual([]);
    const early = await audit(madeRun({ server: late(0.3), loadgenVersion: '2.0 @ x' }));
    expect(early.codes).toEqual(['power.clock-limit']);
    expect(early.findings[0]?.evidence.official).toMatchObject({ verdict: 'pass' });
    expect((await audit(madeRun({ server: late(0.3) }))).codes).toEqual(['power.clock-difference']);
    const since = (version: string) => ({ loadgenVersion: `${version} @ x`, daemonVersion: '1.10.0' });
    expect((await audit(madeRun({ server: late(0.6), ...since('3.1') }))).codes).toEqual(['power.clock-limit']);
    expect((await audit(madeRun({ server: late(0.6), ...since('4.0') }))).codes).toEqual(['power.clock-difference']);
  });

  it('that fit no time zone leave the window outside the phase', async () => {
    const elsewhere = (record: Record<string, unknown>) => {
      for (const marks of Object.values(record.phases as Record<string, [number, number][]>)) {
        for (const mark of marks) mark[0] += 200_000;
      }
    };
    const { codes, claim } = await audit(madeRun({ client: elsewhere, server: elsewhere }));
    expect(codes).toEqual(['power.samples-outside', 'power.window-outside']);
    expect(claim.verdict).toBe('unverifiable');
  });
});

describe('testing against ranging', () => {
  it.each([
    [181, 'power.testing-below-ranging', 'fail'],
    [440, 'power.testing-above-ranging', 'pass'],
  ])('at %d W against 199 W breaks the rule, and the official checker says %s', async (watts, code, official) => {
    const run = madeRun();
    run.samples.testing = madeSamples(run.duration_s, watts);
    const { findings, claim } = await audit(run);
    expect(findings.map((f) => f.code)).toEqual([code]);
    expect(findings[0]?.evidence.official).toMatchObject({ verdict: official });
    expect(claim.verdict).toBe('irregular');
  });

  it('may differ by less than 5 %', async () => {
    const run = madeRun();
    run.samples.testing = madeSamples(run.duration_s, 208);
    expect((await audit(run)).codes).toEqual([]);
  });
});

/** Sets one field of a record that JSON holds. */
function set(record: unknown, name: string, value: unknown): void {
  (record as Record<string, unknown>)[name] = value;
}

describe('files and records', () => {
  const swapEnds = (from: string, to: string) => (files: Map<string, string>) => {
    for (const [name, text] of files) if (name.endsWith('spl.txt')) files.set(name, text.replaceAll(from, to));
  };

  it('hashed with other line ends are the same text', async () => {
    const crlf = (files: Map<string, string>) => swapEnds('\n', '\r\n')(files);
    const toLf = await audit(madeRun({ beforeHash: crlf, afterHash: swapEnds('\r\n', '\n') }));
    expect(toLf.codes).toEqual(['power.hash-line-ends']);
    expect(toLf.findings[0]?.evidence.files).toContainEqual({ file: 'run_1/spl.txt', conversion: 'lf-to-crlf' });
    expect(toLf.findings[0]?.evidence.official).toMatchObject({ check: 'results', verdict: 'fail' });
    expect(toLf.claim.verdict).toBe('upheld');
    const toCrLf = await audit(madeRun({ afterHash: swapEnds('\n', '\r\n') }));
    expect(toCrLf.findings[0]?.evidence.files).toContainEqual({ file: 'run_1/spl.txt', conversion: 'crlf-to-lf' });
  });

  it.each([
    ['power/ptd_logs.txt', ['power.daemon-log-missing'], 'unverifiable'],
    ['run_1/spl.txt', ['power.samples-missing'], 'unverifiable'],
    ['run_1/mlperf_log_detail.txt', ['power.loadgen-missing', 'power.round-unknown'], 'unverifiable'],
    ['ranging/spl.txt', ['power.files-missing'], 'irregular'],
    ['power/client.log', ['power.files-missing'], 'irregular'],
    ['power/server.json', ['power.files-missing', 'power.hash-missing'], 'irregular'],
  ])('without %s', async (name, codes, verdict) => {
    const audited = await audit(madeRun({ afterHash: (files) => void files.delete(name) }));
    expect(audited.codes).toEqual(codes);
    expect(audited.claim.verdict).toBe(verdict);
  });

  it('without the folder of ranging are still audited', async () => {
    const drop = (files: Map<string, string>) => {
      for (const name of [...files.keys()]) if (name.startsWith('ranging/')) files.delete(name);
    };
    const { codes, claim } = await audit(madeRun({ afterHash: drop }));
    expect(codes).toEqual(['power.files-missing']);
    expect(claim.recomputed.meanPower_W).toBeGreaterThan(199);
  });

  it.each<[string, Partial<MadeRun>, string]>([
    ['uuids', { client: (r) => set(r.uuid, 'client', 'f'.repeat(32)) }, 'power.session-differs'],
    ['sources', { server: (r) => set(r.sources, 'lib/server.py', 'cc') }, 'power.sources-differ'],
    ['session names', { client: (r) => set(r, 'session_name', 'x') }, 'power.session-differs'],
    ['messages', { client: (r) => void (r.messages as unknown[]).pop() }, 'power.messages-differ'],
    ['debug mode', { server: (r) => set(r, 'debug', true) }, 'power.debug'],
    ['a device number', { server: (r) => set(r.ptd_config, 'device_type', 0) }, 'power.analyzer'],
    [
      'a lost hash',
      { server: (r) => void delete (r.results as Record<string, string>)['run_1/spl.txt'] },
      'power.hash-missing',
    ],
    ['a version', { daemonVersion: '1.8.1' }, 'power.daemon-version'],
    ['a field', { client: (r) => void delete r.uuid }, 'power.session-incomplete'],
    [
      'phase marks',
      { client: (r) => void (r.phases as { ranging: unknown[] }).ranging.pop() },
      'power.phases-incomplete',
    ],
    [
      'a reply',
      { server: (r) => void Object.assign((r.ptd_messages as object[])[8] ?? {}, { reply: 'Meter busy' }) },
      'power.daemon-replies',
    ],
    ['the ranges', { server: (r) => void (r.ptd_messages as object[]).pop() }, 'power.ranges-not-restored'],
  ])('with other %s are named', async (_, change, code) => {
    expect((await audit(madeRun(change))).codes).toEqual([code]);
  });

  it('are held against the SHA-1 of client.json where the server recorded one', async () => {
    const list = (record: Record<string, unknown>) => set(record.results, 'power/client.json', '0'.repeat(40));
    const { codes, findings } = await audit(madeRun({ server: list }));
    expect(codes).toEqual(['power.hash-differs']);
    expect(findings[0]?.evidence.file).toBe('power/client.json');
  });

  it('whose own messages name another session are named', async () => {
    const other = (record: Record<string, unknown>) => {
      const messages = record.messages as { reply: string }[];
      set(messages[2], 'reply', 'OK 2020-01-01_00-00-00,7e803e9b-4abb-4c88-8d5f-0a2b66d24f5a');
    };
    expect((await audit(madeRun({ client: other, server: other }))).codes).toEqual(['power.session-differs']);
  });

  it('of v1.0 may list an upload on one side only', async () => {
    const upload = (record: Record<string, unknown>) =>
      void (record.messages as object[]).push({ cmd: 'session,x,upload,client.log', reply: 'OK' });
    const local = { zone_s: 0, loadgenVersion: '.5a1 @ 6958607d52' };
    expect((await audit(madeRun({ ...local, server: upload }))).codes).toEqual([]);
    expect((await audit(madeRun({ server: upload }))).codes).toEqual(['power.messages-differ']);
  });

  it('of several analyzers list their talks and configurations', async () => {
    const several = (record: Record<string, unknown>) => {
      record.ptd_messages = { 'Analyzer 1': record.ptd_messages, 'Analyzer 2': record.ptd_messages };
      record.ptd_config = [record.ptd_config, record.ptd_config];
    };
    expect((await audit(madeRun({ server: several }))).codes).toEqual([]);
  });
});

describe('what loadgen says', () => {
  const edit = (name: string, from: RegExp, to: string) => (files: Map<string, string>) => {
    files.set(name, (files.get(name) as string).replace(from, to));
  };

  it('about a window of under 600 s breaks a rule', async () => {
    expect((await audit(madeRun({ duration_s: 599.5 }))).codes).toEqual(['power.short-window']);
  });

  it('about samples a second must follow from its samples', async () => {
    const change = edit('run_1/mlperf_log_detail.txt', /("result_samples_per_second","? ?value": )[\d.]+/, '$1200.5');
    const run = madeRun({ scenario: 'Offline', beforeHash: change });
    const { codes, claim } = await audit(run);
    expect(codes).toEqual(['power.summary-differs', 'power.throughput-differs']);
    expect(claim.verdict).toBe('refuted');
  });

  it('must be the same in summary and detail log', async () => {
    const change = edit('run_1/mlperf_log_summary.txt', /7310721/, '6310721');
    expect((await audit(madeRun({ beforeHash: change }))).codes).toEqual(['power.summary-differs']);
  });

  it('must be VALID', async () => {
    const invalid = (files: Map<string, string>) => {
      for (const name of ['run_1/mlperf_log_detail.txt', 'run_1/mlperf_log_summary.txt'])
        edit(name, /VALID/, 'INVALID')(files);
    };
    expect((await audit(madeRun({ beforeHash: invalid }))).codes).toEqual(['power.result-invalid']);
  });

  it('without power_end gives no window', async () => {
    const { codes, claim } = await audit(
      madeRun({ beforeHash: edit('run_1/mlperf_log_detail.txt', /power_end/, 'power_fin') }),
    );
    expect(codes).toEqual(['power.no-window']);
    expect(claim.verdict).toBe('unverifiable');
    expect(claim.recomputed.meanPower_W).toBeNull();
  });

  it('tells the round where the path does not, else the round is unknown and lowers no verdict', async () => {
    const { codes, claim } = await audit(madeRun({ loadgenVersion: '9.9 @ x' }));
    expect(codes).toEqual(['power.round-unknown']);
    expect(claim.rules).toBe('unknown');
    expect(claim.verdict).toBe('upheld');
  });
});

describe('what PTDaemon says', () => {
  it('about missed samples in the window is passed on', async () => {
    const run = madeRun({ daemonLines: [{ mode: 'testing', t_s: 100, text: 'WARNING: Missed 1 samples' }] });
    expect((await audit(run)).codes).toEqual(['power.daemon-warning']);
  });

  it('about errors counts outside ranging only, and USB errors are accepted', async () => {
    const error = (mode: 'ranging' | 'testing', text: string) => madeRun({ daemonLines: [{ mode, t_s: 50, text }] });
    expect((await audit(error('ranging', 'ERROR: Bad watts reading nan from WT310'))).codes).toEqual([]);
    expect((await audit(error('testing', 'ERROR: Bad watts reading nan from WT310'))).codes).toEqual([
      'power.daemon-error',
    ]);
    expect((await audit(error('testing', 'ERROR: USB.'))).codes).toEqual(['power.daemon-note']);
  });

  it('is read where it forgets a line end', async () => {
    const glued =
      'ERROR: Current appears to be too high for set range07-27-2022 07:43:00.000: ERROR: Bad amps reading nan from WT330';
    const run = madeRun({ daemonLines: [{ mode: 'testing', t_s: 50, text: glued }] });
    const { findings } = await audit(run);
    expect(findings[0]?.evidence).toMatchObject({ errors: 2 });
  });
});

describe('the folder of a run', () => {
  it('is found below any path, with place and scenario from the layout', async () => {
    const folder = join(root, 'v2.0/closed/Acme/results/box_MaxQ/resnet50/multistream/performance');
    writeRun(folder, madeRun());
    const [audited, ...more] = await auditPower(join(root, 'v2.0'));
    expect(more).toEqual([]);
    expect(audited?.claim).toMatchObject({ round: 'v2.0', division: 'closed', submitter: 'Acme', system: 'box_MaxQ' });
    // A MultiStream result inferred from a SingleStream log counts every query eight times.
    expect(audited?.claim.recomputed.energyPerQuery_mJ).toBeCloseTo(
      ((audited?.claim.recomputed.meanPower_W ?? 0) * 610.5 * 8 * 1000) / 80_000,
      6,
    );
  });

  it('may be copied to the scenarios that are inferred from it, but not to another system', async () => {
    const results = join(root, 'copies/v2.1/closed/Acme/results');
    for (const scenario of ['singlestream', 'multistream', 'offline'])
      writeRun(join(results, `board/resnet50/${scenario}/performance`), madeRun());
    expect((await auditPaths([join(root, 'copies')])).findings).toEqual([]);
    writeRun(join(results, 'other/resnet50/singlestream/performance'), madeRun());
    const { findings } = await auditPaths([join(root, 'copies')]);
    expect(findings.map((f) => f.code)).toEqual(['trace.shared', 'trace.shared']);
  });

  it('may have other folder names, and prefixes before file names', async () => {
    const folder = join(root, 'odd');
    writeRun(
      folder,
      madeRun({
        afterHash: (files) => {
          for (const [name, text] of [...files]) {
            files.delete(name);
            files.set(
              name.replace('run_1/', 'measured/').replace('spl.txt', 'box_spl.txt').replace('power/', 'pwr/'),
              text,
            );
          }
        },
      }),
    );
    const [audited] = await auditPower(folder);
    expect(audited?.codes).toEqual([]);
    expect(audited?.claim.recomputed.meanPower_W).toBeGreaterThan(199);
  });

  it('with several tested runs gives a claim each', async () => {
    const folder = join(root, 'several');
    writeRun(
      folder,
      madeRun({
        beforeHash: (files) => {
          for (const [name, text] of [...files])
            if (name.startsWith('run_1/')) files.set(name.replace('run_1/', 'run_2/'), text);
        },
      }),
    );
    const audited = await auditPower(folder);
    expect(audited.map((a) => a.claim.mode)).toEqual(['power', 'power-run_2']);
    expect(audited.map((a) => a.codes)).toEqual([[], []]);
  });

  it('is no claim without power', async () => {
    const folder = join(root, 'performance-only');
    writeRun(
      folder,
      madeRun({
        afterHash: (files) => {
          for (const name of [...files.keys()]) if (!name.includes('run_1/mlperf')) files.delete(name);
        },
      }),
    );
    expect(await auditPower(folder)).toEqual([]);
  });

  it('of the tested run alone is a claim that the rest of the run must support', async () => {
    const folder = writeRun(join(root, 'lone'), madeRun());
    const [audited] = await auditPower(join(folder, 'run_1'));
    expect(audited?.claim.verdict).toBe('unverifiable');
    expect(audited?.codes).toEqual(['power.daemon-log-missing', 'power.files-missing']);
  });
});

it('every byte of a run matters: a changed digit anywhere in a hashed file is found', async () => {
  const folder = writeRun(join(root, 'digits'), madeRun());
  for (const name of ['run_1/spl.txt', 'power/ptd_logs.txt', 'ranging/mlperf_log_detail.txt', 'power/client.log']) {
    const path = join(folder, name);
    const bytes = readFileSync(path);
    const at = Math.floor(bytes.length / 2);
    const before = bytes[at] as number;
    bytes[at] = before ^ 1;
    writeFileSync(path, bytes);
    const [audited] = await auditPower(folder);
    expect(audited?.codes).toContain('power.hash-differs');
    bytes[at] = before;
    writeFileSync(path, bytes);
  }
});
