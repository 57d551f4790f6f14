import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { auditPaths } from '../../src/audit/audit.ts';
import { energyRunnerAuc } from '../../src/scoring/auc.ts';
import { kws01 } from '../../src/scoring/profiles/kws01.ts';
import { energyRun, performanceRun, writeEnergyRun, writeTexts } from '../support/tiny-run.ts';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'joulemark-audit-'));
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

const place = (mode: string, benchmark = 'kws', round = 'v1.1') =>
  `${round}/closed/Acme/results/Board/${benchmark}/${mode}`;

async function audit(labels: string | null = null) {
  const document = await auditPaths([root], { labels });
  return { document, claim: document.claims[0], codes: [...new Set(document.findings.map((f) => f.code))].sort() };
}

describe('a performance run of EnergyRunner', () => {
  const write = ({ log, results }: { log: string; results: string }) =>
    writeTexts(root, place('performance'), { 'log.txt': log, 'results.txt': results, 'script.async': '[{cmd: 1}]' });

  it('is upheld without a finding where every window follows', async () => {
    write(performanceRun());
    const { document, claim } = await audit();
    expect(document.findings).toEqual([]);
    expect(claim).toMatchObject({
      mode: 'performance',
      verdict: 'upheld',
      windows: { claimed: 5, recomputable: 5, exact: 5 },
    });
    expect(claim?.recomputed.throughput_ips).toBeCloseTo(250 / 10.512345, 9);
  });

  it('reads windows whose lines are interleaved by kind and order', async () => {
    const run = performanceRun();
    const lines = run.results.split('\n').filter(Boolean);
    const order = ['window', 'Inferences', 'Runtime', 'Throughput', 'requirements', 'Median'];
    const kind = (line: string) => order.findIndex((word) => line.includes(word));
    write({ log: run.log, results: `${lines.toSorted((a, b) => kind(a) - kind(b)).join('\n')}\n` });
    expect((await audit()).claim).toMatchObject({ arithmetic: 'exact', windows: { exact: 5 } });
  });

  it('is refuted where a printed throughput does not follow', async () => {
    const run = performanceRun();
    write({ ...run, results: run.results.replace(/Median throughput is [\d.]+/, 'Median throughput is 99.000') });
    const { claim, codes } = await audit();
    expect(claim).toMatchObject({ arithmetic: 'differs', verdict: 'refuted' });
    expect(codes).toEqual(['arithmetic.differs']);
  });

  it('cannot be verified with the log missing, or the results', async () => {
    const run = performanceRun();
    writeTexts(root, place('performance'), { 'results.txt': run.results });
    expect((await audit()).claim).toMatchObject({
      arithmetic: 'none',
      evidence: 'incomplete',
      verdict: 'unverifiable',
    });
    rmSync(join(root, place('performance'), 'results.txt'));
    writeTexts(root, place('performance'), { 'log.txt': run.log });
    const { claim } = await audit();
    expect(claim).toMatchObject({ arithmetic: 'none', verdict: 'unverifiable', claimed: {} });
    expect(claim?.supported.throughput_ips).toBeGreaterThan(0);
  });

  it('notes lost timestamps', async () => {
    const run = performanceRun();
    write({ ...run, log: run.log.replace(/^.*m-lap-us-5400000\n/m, '') });
    const { claim, codes } = await audit();
    expect(codes).toContain('log.laps-lost');
    expect(claim?.verdict).toBe('refuted');
  });

  it("sees a device whose clock is not the host's", async () => {
    write(performanceRun({ clock: 0.5 }));
    const { claim, codes } = await audit();
    expect(codes).toEqual(['clock.lap-vs-host']);
    expect(claim).toMatchObject({ arithmetic: 'exact', evidence: 'incomplete', verdict: 'unverifiable' });
  });

  it('is held against the energy run of the same system', async () => {
    write(performanceRun());
    writeEnergyRun(root, energyRun());
    expect((await audit()).codes).toEqual([]);
    writeEnergyRun(root, energyRun({ window_s: 11 }));
    const { document } = await audit();
    expect(document.findings.map((f) => [f.code, f.claim])).toEqual([
      ['energy.throughput-differs', `${place('energy')}#energy`],
    ]);
  });

  it('keeps the timestamps that the device printed behind line feeds of its own', async () => {
    const run = performanceRun();
    write({ ...run, log: run.log.replace(/dut: (m-lap-us-(?!5000000)\d+)/g, 'dut: got ack\ngot interrupt\n$1') });
    const { claim, codes } = await audit();
    expect(codes).toEqual(['log.garbled']);
    expect(claim).toMatchObject({ verdict: 'upheld', windows: { exact: 5 } });
  });

  it('reads times of six digits before the point', async () => {
    const run = performanceRun();
    const late = (text: string) => text.replace(/^0(\d{4}\.)/gm, '17$1');
    write({ log: late(run.log), results: late(run.results) });
    const { document, claim } = await audit();
    expect(document.findings).toEqual([]);
    expect(claim).toMatchObject({ verdict: 'upheld', windows: { exact: 5 } });
  });

  it('takes the throughput of a single window for the claim, because the runner prints no median of it', async () => {
    const run = performanceRun({ runtime_us: [10_785_000] });
    write({ ...run, results: run.results.replace(/^.*Median.*\n/m, '') });
    const { claim, codes } = await audit();
    expect(codes).toEqual(['windows.count']);
    expect(claim).toMatchObject({ arithmetic: 'exact', claimed: { throughput_ips: 23.18 }, verdict: 'irregular' });
  });

  it('is placed by the benchmark where folders stand between it and the system', async () => {
    const run = performanceRun();
    const folder = 'v1.0/closed/Acme/results/framework/Board/ad/accuracy';
    writeTexts(root, folder, {
      'results.txt': '00001.000 ulp-mlperf: Top-1: 77.4%\n00001.000 ulp-mlperf: AUC: 0.86\n',
    });
    writeTexts(root, folder.replace('ad/accuracy', 'kws/performance'), {
      'log.txt': run.log,
      'results.txt': run.results,
      'script.async': '[]',
    });
    const { document } = await audit();
    expect(document.claims.map((c) => [c.system, c.benchmark])).toEqual([
      ['framework/Board', 'ad'],
      ['framework/Board', 'kws'],
    ]);
    expect(document.findings.map((f) => f.code)).not.toContain('rules.unknown');
  });

  it('believes its inputs, not the name that the device prints, where the runner names no model', async () => {
    const run = performanceRun();
    const log = run.log.replace(/^.*-key\[model\].*\n/m, '').replace('m-model-[kws01]', 'm-model-[ic01]');
    write({ ...run, log });
    const { claim, codes } = await audit();
    expect(codes).toEqual(['model.inconsistent']);
    expect(claim?.verdict).toBe('upheld');
    const foreign = log.replaceAll('m-model-[ic01]', 'm-model-[kws01]');
    rmSync(join(root, 'v1.1'), { recursive: true });
    writeTexts(root, place('performance', 'vww'), { 'log.txt': foreign, 'results.txt': run.results });
    expect((await audit()).codes).toContain('model.differs');
  });

  it('is found by the prefixes of early rounds, beside other modes in one folder', async () => {
    const run = performanceRun();
    const energy = energyRun();
    const folder = writeEnergyRun(root, energy, 'v0.5/closed/Acme/results/Board/kws');
    writeTexts(folder, '', {
      'performance_log.txt': run.log,
      'performance_results.txt': run.results,
      'energy_log.txt': energy.log,
      'energy_results.txt': energy.results,
    });
    for (const name of ['log.txt', 'results.txt']) rmSync(join(folder, name));
    const { document } = await audit();
    expect(document.claims.map((c) => [c.mode, c.arithmetic]).sort()).toEqual([
      ['energy', 'exact'],
      ['performance', 'exact'],
    ]);
  });
});

/** Twelve classes, 60 inputs; every tenth answer is wrong. */
function answers() {
  const inputs = Array.from({ length: 60 }, (_, i) => `input_${i}.bin`);
  const labels = inputs.map((_, i) => i % 12);
  const scores = labels.map((label, i) => {
    const row = Array.from({ length: 12 }, (_, k) => (k === label ? 0.6 : 0.02 + 0.001 * ((i + k) % 7)));
    if (i % 10 === 0) [row[label], row[(label + 1) % 12]] = [0.1, 0.7];
    return row.map((s) => Number(s.toFixed(3)));
  });
  return { inputs, labels, scores };
}

function accuracyLog({ inputs, scores }: ReturnType<typeof answers>): string {
  const lines = [
    'session: m-session-start-id[1]',
    'parser: m-bm-cfg-name[ulp-mlperf]-key[runMode]-val[multi]',
    'parser: m-bm-cfg-name[ulp-mlperf]-key[model]-val[kws01]',
    ...inputs.flatMap((input, i) => [
      `parser: Command "bload dut "C:\\data\\kws01\\${input}""`,
      'parser: Command "dut infer 1 0"',
      `dut: m-results-[${(scores[i] as number[]).map((s) => s.toFixed(3)).join(',')}]`,
    ]),
    'session: m-session-stop-id[1]',
  ];
  return lines.map((line, k) => `${(10 + k * 0.01).toFixed(3).padStart(9, '0')} ${line}\n`).join('');
}

describe('an accuracy run of EnergyRunner', () => {
  const data = answers();
  const auc = energyRunnerAuc(data.scores, data.labels) as number;
  const write = (log: string, top1 = '90.0', area = auc.toFixed(2)) =>
    writeTexts(root, place('accuracy'), {
      'log.txt': log,
      'results.txt': `00100.000 ulp-mlperf: Top-1: ${top1}%\n00100.000 ulp-mlperf: AUC: ${area}\n`,
      'script.async': '[]',
    });
  const labels = () =>
    writeTexts(root, 'labels', {
      'kws01.csv': data.inputs.map((name, i) => `${name},12,${data.labels[i]}\n`).join(''),
    });

  it('is recomputed from the logged answers and the labels', async () => {
    write(accuracyLog(data));
    const { claim, codes } = await audit(labels());
    expect(claim).toMatchObject({ mode: 'accuracy', arithmetic: 'exact', evidence: 'supports', verdict: 'upheld' });
    expect(claim?.recomputed).toMatchObject({ top1_pct: 90, auc });
    expect(claim?.measured.rankAuc).toBeGreaterThan(0.5);
    expect(codes).toEqual(['claim.digits']);
  });

  it('is refuted where top-1 does not follow, and irregular below the quality target', async () => {
    write(accuracyLog(data), '91.0');
    expect((await audit(labels())).claim?.verdict).toBe('refuted');
    const worse = { ...data, scores: data.scores.map((row, i) => (i % 5 === 0 ? row.map(() => 0.05) : row)) };
    write(accuracyLog(worse), '80.0', (energyRunnerAuc(worse.scores, worse.labels) as number).toFixed(2));
    const { claim, codes } = await audit(labels());
    expect(codes).toContain('quality.missed');
    expect(claim?.rules).toBe('broken');
  });

  it('meets a target that its printed figure meets', async () => {
    // 89.96 % is printed as 90.0 %, and the rules know the printed figure only.
    const n = 2500;
    const many = {
      inputs: Array.from({ length: n }, (_, i) => `input_${i}.bin`),
      labels: Array.from({ length: n }, (_, i) => i % 12),
      scores: Array.from({ length: n }, (_, i) =>
        Array.from({ length: 12 }, (_, k) => (k === (i < 251 ? i + 1 : i) % 12 ? 0.7 : 0.02)),
      ),
    };
    write(accuracyLog(many), '90.0', (energyRunnerAuc(many.scores, many.labels) as number).toFixed(2));
    const lists = writeTexts(root, 'labels', {
      'kws01.csv': many.inputs.map((name, i) => `${name},12,${many.labels[i]}\n`).join(''),
    });
    const { claim, codes } = await audit(lists);
    expect(claim?.recomputed.top1_pct).toBeCloseTo(89.96, 9);
    expect(claim?.arithmetic).toBe('exact');
    expect(codes).not.toContain('quality.missed');
  });

  it('needs labels', async () => {
    write(accuracyLog(data));
    const without = await audit();
    expect(without.claim).toMatchObject({ arithmetic: 'none', verdict: 'unverifiable' });
    expect(without.codes).toContain('labels.missing');
    const foreign = writeTexts(root, 'labels', { 'kws01.csv': 'other.bin,12,3\n' });
    expect((await audit(foreign)).codes).toContain('labels.missing');
  });

  it('names the line of a label file that does not follow', async () => {
    write(accuracyLog(data));
    const broken = writeTexts(root, 'broken', { 'kws01.csv': 'input_0.bin,12,0\nnonsense\n' });
    const { document } = await audit(broken);
    expect(document.findings.find((f) => f.code === 'labels.missing')?.message).toContain('line 2');
  });

  it('says that answers are missing or garbled', async () => {
    write(
      accuracyLog(data)
        .replace(/m-results-\[0\.6\d*,/, 'm-results-[0.6@,')
        .replace(/^.*input_59\.bin.*\n(?:.*\n){2}/m, ''),
    );
    const { claim, codes } = await audit(labels());
    expect(codes).toContain('accuracy.inputs-missing');
    expect(claim?.evidence).toBe('incomplete');
  });

  it('cannot be verified from results alone', async () => {
    writeTexts(root, place('accuracy'), {
      'results.txt': '31504.660 ulp-mlperf: Top-1: 77.8%\n31504.662 ulp-mlperf: AUC: 0.86\n',
    });
    const { claim } = await audit(labels());
    expect(claim).toMatchObject({ mode: 'accuracy', claimed: { top1_pct: 77.8, auc: 0.86 }, verdict: 'unverifiable' });
  });
});

/** A results.json, its results.txt and the log of an energy run of the MLCommons runner. */
function mlcEnergy() {
  const trials = kws01.labels[0]!.firstInputs.map((file, t) => {
    const samples = Array.from({ length: 12_800 }, (_, s) =>
      Number(((s > 1700 && s <= 12_600 ? 3.287e-5 : 1.552e-5) * (1 + 0.001 * ((s + t) % 11))).toPrecision(4)),
    );
    return {
      file,
      class: '7',
      infer: { results: [0.1, 0.9], total_inferences: 1, iterations: 250, warmups: 1 },
      power: {
        samples,
        timestamps: [
          [`0${2 * t}`, 1700 + t],
          [`0${2 * t + 1}`, 12_600 + t],
        ],
        voltage: 3,
      },
      mode: 'e',
    };
  });
  const log = [
    'Logging initialized. Writing output to sessions/1/log.txt',
    'Initializing SerialDevice on port: COM23 at 3686400 baud',
    'Device name retrieved: Acme',
    'Device model retrieved: kws01',
    ...trials.flatMap(({ file, power }) => [
      `0726.102349 ulp-mlperf: Loading file ${file} segment 0`,
      'Running inference with 1/250 (warmup/measured) iterations ...',
      `Captured samples:${power.samples.length} timestamps:${power.timestamps.length}`,
    ]),
    '',
  ].join('\n');
  return { trials, results: mlcResults(trials), log };
}

/** The results.txt of an energy run of the MLCommons runner. */
function mlcResults(trials: { power: { samples: number[]; timestamps: (string | number)[][] } }[]): string {
  const energies = trials.map(({ power }) => {
    const [from, to] = power.timestamps.map(([, index]) => index as number) as [number, number];
    const energy = power.samples.slice(from, to).reduce((sum, s) => sum + s, 0);
    return { energy, elapsed: to / 1000 - from / 1000 };
  });
  const rows = energies.flatMap(({ energy, elapsed }, t) => [
    `Energy data for trial ${t}`,
    `  Elapsed time  : ${elapsed}`,
    '  Inferences    : 250',
    `  Power         : ${((1e3 * energy) / elapsed).toFixed(4)} mW.`,
    `  Total Energy  : ${(energy * 1e6).toFixed(3)} uJ`,
    `  Energy/Inf    : ${((energy / 250) * 1e6).toFixed(3)} uJ/inf`,
  ]);
  const middle = energies.map((e) => e.energy / 250).sort((a, b) => a - b)[2] as number;
  return ['Power Edition Output', ...rows, `Median energy cost is ${(1e6 * middle).toFixed(4)} uJ/inf.`, ''].join('\n');
}

describe('a run of the MLCommons runner', () => {
  const write = (mode: string, files: Record<string, string>, benchmark = 'kws') =>
    writeTexts(root, place(mode, benchmark, 'v1.3'), files);

  it('is recomputed trial by trial from results.json', async () => {
    const { trials, results, log } = mlcEnergy();
    write('energy', { 'results.json': JSON.stringify(trials), 'results.txt': results, 'log.txt': log });
    const { document, claim } = await audit();
    expect(document.findings).toEqual([]);
    expect(claim).toMatchObject({
      mode: 'energy',
      verdict: 'upheld',
      windows: { claimed: 5, recomputable: 5, exact: 5 },
    });
  });

  it('loses no event unseen', async () => {
    const { trials, results, log } = mlcEnergy();
    trials[2]!.power.timestamps[1]![0] = '07';
    write('energy', { 'results.json': JSON.stringify(trials), 'results.txt': results, 'log.txt': log });
    const { claim, codes } = await audit();
    expect(codes).toEqual(['arithmetic.none', 'events.lost', 'windows.count']);
    expect(claim?.verdict).toBe('unverifiable');
  });

  it('is refuted where a sample was changed, and where the log captured another number of them', async () => {
    const { trials, results, log } = mlcEnergy();
    trials[2]!.power.samples.fill(9.999e-3, 5000, 7000);
    trials[3]!.power.samples.push(1e-5);
    write('energy', { 'results.json': JSON.stringify(trials), 'results.txt': results, 'log.txt': log });
    const { claim, codes } = await audit();
    expect(codes).toEqual(
      expect.arrayContaining(['arithmetic.differs', 'current.over-range', 'trace.capture-differs']),
    );
    expect(claim?.verdict).toBe('refuted');
  });

  it('is not blamed for a few samples beyond the range of the instrument', async () => {
    const { trials, log } = mlcEnergy();
    trials[2]!.power.samples[5000] = 1.51e-4;
    write('energy', { 'results.json': JSON.stringify(trials), 'results.txt': mlcResults(trials), 'log.txt': log });
    const { claim, codes } = await audit();
    expect(codes).toEqual(['current.peaks']);
    expect(claim?.verdict).toBe('upheld');
  });

  it('cannot be verified without results.json, or with a damaged one', async () => {
    const { trials, results, log } = mlcEnergy();
    write('energy', { 'results.txt': results, 'log.txt': log });
    expect((await audit()).codes).toEqual(['arithmetic.none', 'results.json-missing']);
    write('energy', { 'results.json': JSON.stringify(trials).slice(0, -20) });
    const { claim, codes } = await audit();
    expect(codes).toEqual(['arithmetic.none', 'results.json-damaged']);
    expect(claim?.verdict).toBe('unverifiable');
  });

  const performance = () => {
    const runtimes = [12.07688, 12.075393, 12.073976, 12.076869, 12.071817];
    const throughput = runtimes.map((s) => 250 / s);
    const results = [
      ...runtimes.flatMap((s, i) => [
        `Performance results for window ${i + 1}`,
        '    # Inferences : 250',
        `    Runtime: ${s} sec.`,
        `    Throughput: ${throughput[i]} inf./sec.`,
        '    Runtime requirements have been met.',
      ]),
      `0725.190058 ulp-mlperf: Median throughput is     ${[...throughput].sort()[2]!.toFixed(3)} inf./sec.`,
      '',
    ].join('\n');
    const log = [
      'Logging initialized. Writing output to sessions/1/log.txt',
      'Device model retrieved: kws01',
      ...runtimes.flatMap((s, i) => [
        `0725.185957 ulp-mlperf: Loading file ${kws01.labels[0]!.firstInputs[i]} segment 0`,
        'Running inference with 1/250 (warmup/measured) iterations ...',
        `0725.190009 ulp-mlperf: Performance results for window ${i + 1}:`,
        '0725.190009 ulp-mlperf:   # Inferences :           250',
        `0725.190009 ulp-mlperf:   Runtime      :     ${s.toFixed(3)} sec.`,
      ]),
      '',
    ].join('\n');
    return { runtimes, results, log };
  };

  it('gives throughput from the log, or from the timestamps in results.json', async () => {
    const { runtimes, results, log } = performance();
    write('performance', { 'results.txt': results, 'log.txt': log });
    const fromLog = await audit();
    expect(fromLog.document.findings).toEqual([]);
    expect(fromLog.claim).toMatchObject({ verdict: 'upheld', windows: { claimed: 5, exact: 5 } });
    const trials = runtimes.map((s, i) => ({
      file: kws01.labels[0]!.firstInputs[i],
      infer: { start_time: 1000, end_time: 1000 + Math.round(s * 1e6) + (i === 3 ? 5 : 0), iterations: 250 },
    }));
    write('performance', { 'results.json': JSON.stringify(trials) });
    const fromData = await audit();
    expect(fromData.codes).toEqual(['arithmetic.differs']);
    expect(fromData.claim?.windows).toEqual({ claimed: 5, recomputable: 5, exact: 4 });
  });

  it('does not refute a median whose windows are only logged with rounded runtimes', async () => {
    const { runtimes, log } = performance();
    const throughput = runtimes.map((s) => 250 / s);
    const median = `0725.190058 ulp-mlperf: Median throughput is     ${[...throughput].sort()[2]!.toFixed(3)} inf./sec.\n`;
    let k = 0;
    const logged = log.replace(
      /^(.*Runtime.*)$/gm,
      (line) => `${line}\n  Throughput   : ${throughput[k++]!.toFixed(3)} inf./sec.`,
    );
    write('performance', { 'results.txt': median, 'log.txt': logged });
    expect((await audit()).claim).toMatchObject({ arithmetic: 'exact', verdict: 'upheld' });
    const dump = runtimes.map(
      (s) => `{'infer': {'start_time': 5, 'end_time': ${5 + Math.round(s * 1e6)}, 'results': [0.5]}}`,
    );
    write('performance', { 'log.txt': `${log}[${dump.join(', ')}]\n` });
    expect((await audit()).claim).toMatchObject({ arithmetic: 'exact', verdict: 'upheld' });
    write('performance', { 'results.txt': median.replace(/is +[\d.]+/, 'is 9.999') });
    expect((await audit()).claim?.verdict).toBe('refuted');
  });

  it('gives top-1 and AUC of the logged answers', async () => {
    const data = answers();
    const labels = writeTexts(root, 'labels', {
      'kws01.csv': data.inputs.map((name, i) => `${name},12,${data.labels[i]}\n`).join(''),
    });
    const log = [
      'Logging initialized. Writing output to sessions/1/log.txt',
      'No loop count specified.  Using full set (60 test files)',
      ...data.inputs.flatMap((input, i) => [
        `0725.180551 ulp-mlperf: Loading file ${input} segment 0`,
        `0725.180551 ulp-mlperf:   m-results    : [${(data.scores[i] as number[]).join(', ')}]`,
      ]),
      '',
    ].join('\n');
    write('accuracy', {
      'log.txt': log,
      'results.txt': '0726.010109 ulp-mlperf: Top 1% = 90.0\n0726.010109 ulp-mlperf: AUC = 0.935\n',
    });
    const { claim } = await audit(labels);
    expect(claim?.recomputed.top1_pct).toBe(90);
    expect(claim?.recomputed.auc).toBeGreaterThan(0.8);
    expect(claim?.arithmetic).toBe(Math.abs((claim?.recomputed.auc ?? 0) - 0.935) < 0.0005 ? 'exact' : 'differs');
  });
});

describe('the answers of an accuracy run of the MLCommons runner', () => {
  const data = answers();
  const trials = data.inputs.map((file, i) => ({
    file,
    class: String(data.labels[i]),
    infer: { results: data.scores[i], iterations: 1 },
    mode: 'a',
  }));
  const run = (scores = trials) => ({
    'results.json': JSON.stringify(scores),
    'results.txt': '0726.010109 ulp-mlperf: Top 1% = 90.0\n',
    'log.txt': 'Logging initialized. Writing output to sessions/1/log.txt\nDevice model retrieved: kws01\n',
  });
  const place13 = place('accuracy', 'kws', 'v1.3');

  it('come from results.json where the log holds fewer', async () => {
    const files = run();
    const logged = `0725.1 ulp-mlperf: Loading file ${data.inputs[0]} segment 0\n  m-results    : [${data.scores[0]!.join(', ')}]\n`;
    writeTexts(root, place13, { ...files, 'log.txt': files['log.txt'] + logged });
    const labels = writeTexts(root, 'labels', {
      'kws01.csv': data.inputs.map((name, i) => `${name},12,${data.labels[i]}\n`).join(''),
    });
    const { claim, codes } = await audit(labels);
    expect(claim).toMatchObject({ arithmetic: 'exact', claimed: { top1_pct: 90 } });
    expect(codes).not.toContain('accuracy.inputs-missing');
  });

  it('are divided by their sum first, as the runner does, even where that turns them around', async () => {
    const turned = trials.map((t) => ({ ...t, infer: { ...t.infer, results: t.infer.results!.map((s) => -s) } }));
    writeTexts(root, place13, run(turned));
    expect((await audit()).claim?.recomputed.top1_pct).toBe(90);
  });
});

describe('a streaming wakeword run', () => {
  const truth = [
    [9.4, 10.1],
    [29.9, 30.3],
    [71.6, 72],
    [110.9, 111.5],
  ] as const;
  // The second word is found 1.5 s after its end: within the 2 s of the code, beyond the 1 s of the README.
  const detections = [100, 9980, 10_012, 31_900, 71_950, 200_100, 200_500, 300_000];
  const run = (counts: string) => ({
    'results.txt': `Accuracy: ${counts}\nAverage duty cycle: 0.50000\nAverage period: 0.032000 s\nEstimated throughput: 62.50 inf./sec.\n`,
    'log.txt': [
      'Logging initialized. Writing output to sessions/1/log.txt',
      'Device model retrieved: sww01',
      `[${detections.join(', ')}]`,
      'False negatives: [110.9]',
      'False positives: [200.    299.9]',
      '',
    ].join('\n'),
  });
  const data = JSON.stringify([
    {
      infer: { wav_file: 'long_wav.wav', detection_windows: truth, detections, iterations: 1, warmups: 0 },
      dutycycle: { start_times_s: [0, 0.032, 0.064], stop_times_s: [0.016, 0.048, 0.08] },
      mode: 'p',
    },
  ]);
  const where = place('performance', 'sww', 'v1.3');

  it('is counted by both readings of the grace time, and fails neither', async () => {
    for (const counts of [
      '3 True positives, 1 False negatives, 2 False positives',
      '2 True positives, 2 False negatives, 3 False positives',
    ]) {
      writeTexts(root, where, { ...run(counts), 'results.json': data });
      const { claim, codes } = await audit();
      expect(codes).toEqual(['wakeword.grace']);
      expect(claim).toMatchObject({ benchmark: 'sww', arithmetic: 'exact', verdict: 'upheld' });
      expect(claim?.measured.wakeword).toMatchObject({
        grace1: { tp: 2, fn: 2, fp: 3 },
        grace2: { tp: 3, fn: 1, fp: 2 },
      });
    }
    writeTexts(root, where, run('4 True positives, 0 False negatives, 2 False positives'));
    expect((await audit()).claim?.verdict).toBe('refuted');
  });

  it("is checked against the log's own lists where there is no ground truth", async () => {
    writeTexts(root, where, run('3 True positives, 1 False negatives, 2 False positives'));
    const good = await audit();
    expect(good.codes).toContain('wakeword.no-truth');
    expect(good.claim?.supported).toMatchObject({ tp: 3, fn: 1, fp: 2 });
    writeTexts(root, where, run('9 True positives, 1 False negatives, 1 False positives'));
    const bad = await audit();
    expect(bad.codes).toContain('wakeword.lists');
    expect(bad.claim?.verdict).toBe('refuted');
  });

  it('misses its quality target with too many false alarms', async () => {
    const many = [100, ...Array.from({ length: 12 }, (_, i) => 400_000 + 5000 * i)];
    const noisy = data.replace(JSON.stringify(detections), JSON.stringify(many));
    writeTexts(root, where, {
      ...run('0 True positives, 4 False negatives, 12 False positives'),
      'results.json': noisy,
    });
    const { claim, codes } = await audit();
    expect(codes).toContain('quality.missed');
    expect(claim).toMatchObject({ arithmetic: 'exact', rules: 'broken', verdict: 'irregular' });
  });
});
