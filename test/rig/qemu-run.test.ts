import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { openRunFolder } from '../../src/capture/run-folder.ts';
import { qemuRun } from '../../src/rig/qemu-run.ts';
import { parseRig } from '../../src/rig/rig-file.ts';
import { runBenchmark } from '../../src/rig/run-benchmark.ts';
import type { ScoredWindow } from '../../src/scoring/score-document.ts';
import { scoreRun } from '../../src/scoring/score-run.ts';
import type { WindowTruth } from '../../src/signal/recording.ts';
import type { Edge, LogLine } from '../../src/signal/types.ts';
import { noQemu } from '../support/qemu.ts';
import { knownCorrect, referenceAnswer, testSet } from '../support/small-network.ts';

const folders = mkdtempSync(join(tmpdir(), 'joulemark-qemu-run-'));
afterAll(() => rmSync(folders, { recursive: true, force: true }));

async function run(rigText: string) {
  const folder = join(folders, `run-${Math.random().toString(36).slice(2)}`);
  const { document, audit } = await runBenchmark(parseRig(rigText, 'rig'), { folder, rigText });
  const recording = await openRunFolder(folder);
  const edges: Edge[] = [];
  for await (const batch of recording.edges()) edges.push(...batch.edges);
  const log: LogLine[] = [];
  for await (const line of recording.log()) log.push(line);
  const truth: WindowTruth[] = [];
  for await (const window of recording.truth()) truth.push(window);
  return { folder, document, audit, edges, log, truth };
}

/** Resolution of the virtual instrument's capture timer, and virtual time of one instruction. */
const capture_s = 1e-6;
const instruction_s = 64e-9;

/** Each window against the instants at which the firmware wrote its GPIO registers, and its energy against the plant's. */
function expectTruth(windows: ScoredWindow[], truth: WindowTruth[]): void {
  expect(truth).toHaveLength(windows.length);
  windows.forEach((window, k) => {
    const { start_s, end_s } = truth[k];
    expect(Math.abs(window.start_s - start_s)).toBeLessThanOrEqual(capture_s);
    expect(Math.abs(window.duration_s - (end_s - start_s))).toBeLessThanOrEqual(2 * capture_s);
    const instructions = (end_s - start_s) / instruction_s;
    expect(Math.abs(instructions - Math.round(instructions))).toBeLessThan(1e-3);
    expect(Math.abs(window.truth!.error_rel)).toBeLessThan(window.truth!.tolerance_rel);
  });
}

describe.skipIf(noQemu !== null)(`a run over the DUT in QEMU ${noQemu ?? ''}`, () => {
  it('accuracy run: the accuracy of the network, known beforehand', async () => {
    const { document } = await run('version: 1\nprofile: kws01\ndut: {connection: qemu, mode: accuracy}\n');
    expect(document.accuracy).toMatchObject({ top1_pct: (100 * knownCorrect) / testSet().length, n: testSet().length });
    expect(document.windows).toEqual([]);
  });

  it('performance run: laps of the DUT follow each other, and its throughput is that of the energy run', async () => {
    const rig = (mode: string) =>
      `version: 1\nprofile: kws01\ndut: {connection: qemu, mode: ${mode}, inferences: 20}\n`;
    const { document } = await run(rig('performance'));
    expect(document.windows).toHaveLength(5);
    // Between two windows lies a download of less than a second in the DUT's time.
    document.windows.slice(1).forEach((window, k) => {
      const before = document.windows[k];
      const pause_s = window.start_s - before.start_s - before.duration_s;
      expect(pause_s).toBeGreaterThan(0);
      expect(pause_s).toBeLessThan(1);
    });
    const energy = await run(rig('energy'));
    const ratio = document.median.throughput_ips! / energy.document.median.throughput_ips!;
    expect(Math.abs(ratio - 1)).toBeLessThan(0.02);
  });

  it('energy run: five windows between exact edges, each with the energy of the plant', async () => {
    const { document, audit, edges, log, truth, folder } = await run(
      'version: 1\nprofile: kws01\ndut: {connection: qemu}\n',
    );
    expect(document.refusal).toBeNull();
    expect(document.simulated).toBe(true);
    expect(document.windows).toHaveLength(5);
    const falls = edges.filter((edge) => edge.polarity === 'fall');
    expect(falls).toHaveLength(11);
    expectTruth(document.windows, truth);
    expect(document.gates.filter(({ met }) => met === false)).toEqual([]);
    const answers = log.filter((line) => line.source === 'dut' && line.text.startsWith('m-results'));
    expect(answers.map(({ text }) => text)).toEqual(
      testSet()
        .slice(0, 5)
        .map(({ bytes }) => `m-results-[${referenceAnswer(bytes).join(',')}]`),
    );
    // In the layout of EnergyRunner it gives the same figures, to the grid of that.
    expect(audit).toMatchObject({ arithmetic: 'exact', verdict: 'unverifiable', agreement: { agrees: true } });
    expect(audit!.findings.filter((code) => /^(edges|windows|log|timestamps|trace)\./.test(code))).toEqual([]);
    // What `score` gives for the folder is what the run gave.
    const again = await scoreRun(await openRunFolder(folder));
    expect(again.document.windows).toEqual(document.windows);
  });

  it('energy run behind an IO manager, whose timer stamps the edges to the microsecond', async () => {
    const { document, edges, log, truth, folder } = await run(
      'version: 1\nprofile: kws01\ndut: {connection: qemu, via: io-manager}\n',
    );
    expect(document.refusal).toBeNull();
    expectTruth(document.windows, truth);
    const texts = log.map(({ source, text }) => `${source}: ${text}`);
    expect(texts).toContain('io: m-timestmp-mode-FALLING');
    expect(texts.filter((text) => text.startsWith('io: m-dut-passthrough(infer'))).toHaveLength(5);
    const stamps_us = texts.flatMap((text) => (text.startsWith('io: m-lap-us-') ? [Number(text.slice(13))] : []));
    const falls = edges.filter(({ polarity }) => polarity === 'fall');
    expect(stamps_us).toHaveLength(falls.length);
    const { tickHz } = (await openRunFolder(folder)).clocks[0]!;
    falls.slice(1).forEach(({ tick }, k) => {
      const apart_s = (stamps_us[k + 1]! - stamps_us[k]!) * 1e-6;
      expect(Math.abs((tick - falls[k]!.tick) / tickHz - apart_s)).toBeLessThanOrEqual(2 * capture_s);
    });
  });

  it('per-inference run: a window for each of the 120 inputs, and the known accuracy', async () => {
    const { document, edges, truth } = await run(
      'version: 1\nprofile: per-inference\ninferences: 120\ndut: {connection: qemu}\n',
    );
    expect(document.refusal).toBeNull();
    expect(document.windows).toHaveLength(120);
    expect(document.accuracy?.n).toBe(120);
    expect(document.accuracy?.top1_pct).toBeCloseTo((100 * knownCorrect) / 120, 9);
    expect(edges).toHaveLength(240);
    expectTruth(document.windows, truth);
  });

  it('stops at once when it is interrupted, and leaves neither a process nor a file behind', async () => {
    const temporary = join(folders, 'temporary');
    mkdirSync(temporary);
    vi.stubEnv('TMPDIR', temporary);
    const interrupt = new AbortController();
    const folder = join(folders, 'interrupted');
    const rigText = 'version: 1\nprofile: per-inference\ninferences: 1000\ndut: {connection: qemu}\n';
    const { document, interrupted } = await runBenchmark(parseRig(rigText, 'rig'), {
      folder,
      rigText,
      interrupt: interrupt.signal,
      onProgress: (share) => {
        if (share !== null && share > 0.01) interrupt.abort();
      },
    });
    expect(interrupted).toBe(true);
    expect(document.windows.length).toBeGreaterThan(5);
    expect(document.windows.length).toBeLessThan(1000);
    await expect.poll(() => readdirSync(temporary), { timeout: 5000 }).toEqual([]);
    vi.unstubAllEnvs();
  });
});

describe('a rig with the DUT in QEMU', () => {
  const problem = (text: string): unknown => {
    try {
      return parseRig(text, 'rig');
    } catch (error) {
      return (error as Error).message;
    }
  };

  it('is measured by the virtual instrument only', () => {
    expect(
      problem('version: 1\ninstrument: {family: ppk2, connection: emulated}\ndut: {connection: qemu}\n'),
    ).toContain('virtual instrument only');
  });

  it('says which tools are missing', async () => {
    const tools = { qemu: '/nowhere/qemu', armCompiler: '/nowhere/gcc', compiler: '/nowhere/cc' };
    await expect(qemuRun(parseRig('version: 1\ndut: {connection: qemu}\n', 'rig'), tools)).rejects.toMatchObject({
      code: 'dependency.missing',
      where: '/nowhere/qemu, /nowhere/gcc, /nowhere/cc',
    });
  });

  it('refuses a benchmark that its firmware does not run', async () => {
    const rig = parseRig('version: 1\nprofile: ic01\ndut: {connection: qemu}\n', 'rig');
    await expect(qemuRun(rig)).rejects.toThrow(/firmware in QEMU cannot run it/);
  });
});
