import { describe, expect, it } from 'vitest';
import type { VirtualFaultKind } from '../../src/instruments/virtual/index.ts';
import { parseRig } from '../../src/rig/rig-file.ts';
import { simulateRun } from '../../src/rig/virtual-rig.ts';
import { type ScoreRunOptions, scoreRun } from '../../src/scoring/score-run.ts';
import { memoryRecording } from '../support/memory-recording.ts';

async function scored(rigText: string, seed: number, faults: VirtualFaultKind[] = [], options: ScoreRunOptions = {}) {
  const rig = parseRig(`version: 1\n${rigText}`, 'test');
  return (await scoreRun(memoryRecording(simulateRun(rig, seed, faults)), options)).document;
}

const perInference = 'profile: per-inference\ninferences: 40\n';

describe('the score of a run', () => {
  it('lies within the tolerance that it states, without bias, over many seeds', async () => {
    let outside = 0;
    let windows = 0;
    let bias = 0;
    for (let seed = 1; seed <= 50; seed++) {
      const { windows: found } = await scored(perInference, seed);
      expect(found).toHaveLength(40);
      for (const { truth } of found) {
        windows++;
        if (Math.abs(truth!.error_rel) > truth!.tolerance_rel) outside++;
        bias += truth!.error_rel / truth!.tolerance_rel;
      }
    }
    expect(outside / windows).toBeLessThanOrEqual(0.01);
    expect(Math.abs(bias / windows)).toBeLessThan(0.01);
  });

  it('plays the energy runs of four benchmarks with five windows of at least 10 s', async () => {
    for (const profile of ['kws01', 'ic01', 'ad01', 'vww01']) {
      const document = await scored(`profile: ${profile}\n`, 3);
      expect(document.windows).toHaveLength(5);
      expect(document.simulated).toBe(true);
      for (const window of document.windows) {
        expect(window.runtime_s).toBeGreaterThanOrEqual(10);
        expect(Math.abs(window.truth!.error_rel)).toBeLessThan(window.truth!.tolerance_rel);
        expect(window.energyPerInference_uJ! * window.inferencesPerJoule!).toBeCloseTo(1e6, 3);
        expect(window.power_uW! * window.duration_s).toBeCloseTo(window.energy_uJ!, 3);
      }
      expect(document.gates.every((gate) => gate.met !== false)).toBe(true);
      expect(document.warnings).toEqual([]);
    }
  });

  it('adds up: windows and gaps are the total', async () => {
    const { totals, windows } = await scored(perInference, 5, [], { slicing: 'proportional' });
    const sum = windows.reduce((energy, window) => energy + window.energy_uJ!, 0);
    expect(Math.abs(sum / totals!.windows_uJ - 1)).toBeLessThan(1e-12);
    expect(Math.abs((totals!.windows_uJ + totals!.outside_uJ) / totals!.energy_uJ - 1)).toBeLessThan(1e-12);
  });

  it.each<[VirtualFaultKind, string]>([
    ['dropped-samples', 'samples.dropped'],
    ['bounce', 'edges.bounce'],
    ['clock-skew', 'clock.skew'],
    ['saturation', 'samples.saturated'],
    ['unplug', 'instrument.unplugged'],
  ])('reports the fault %s as %s and keeps the honest windows', async (fault, code) => {
    for (const rig of [perInference, 'profile: kws01\n']) {
      for (let seed = 1; seed <= 5; seed++) {
        const document = await scored(rig, seed, [fault]);
        expect(document.warnings.map((w) => w.code)).toContain(code);
        expect(document.refusal).toBeNull();
        expect(document.windows.length).toBeGreaterThan(0);
      }
    }
  });

  it.each<[VirtualFaultKind, string]>([
    ['lost-edge', 'edges.lost'],
    ['extra-edge', 'edges.extra'],
  ])('gives no figure for %s, and the reason %s', async (fault, code) => {
    for (const rig of [perInference, 'profile: kws01\n']) {
      for (let seed = 1; seed <= 5; seed++) {
        const document = await scored(rig, seed, [fault]);
        expect(document.refusal?.code).toBe(code);
        expect(document.windows).toEqual([]);
        expect(document.median.energyPerInference_uJ).toBeNull();
      }
    }
  });

  it('counts dropped samples in the window that they are missing from', async () => {
    const document = await scored('profile: kws01\n', 2, ['dropped-samples']);
    const inWindows = document.windows.reduce((sum, window) => sum + window.missingSamples!, 0);
    expect(inWindows).toBeGreaterThan(0);
    expect(document.totals!.missingSamples).toBeGreaterThanOrEqual(inWindows);
    expect(document.warnings.some((w) => w.code === 'window.missing-samples')).toBe(true);
  });

  it('gives net energy only on request, and names its baseline', async () => {
    expect((await scored('profile: kws01\n', 1)).net).toBeNull();
    const document = await scored('profile: kws01\n', 1, [], { net: 'two-cluster' });
    expect(document.net?.baseline).toBe('two-cluster/1');
    const window = document.windows[0];
    expect(window.netEnergy_uJ).toBeCloseTo(window.energy_uJ! - document.net!.power_W * 1e6 * window.duration_s, 6);
    expect(document.net!.energyPerInference_uJ).toBeLessThan(document.median.energyPerInference_uJ!);
  });

  it('states no uncertainty while the gain is not known, and lists what is known', async () => {
    const { quantities } = await scored('profile: kws01\n', 1);
    expect(quantities.energyPerInference.u).toBeNull();
    expect(quantities.energyPerInference.calibrated).toBe(false);
    const components = quantities.energyPerInference.components!;
    expect(components.find((c) => c.id === 'gain')?.u).toBeNull();
    expect(components.find((c) => c.id === 'repeatability')?.u).toBeGreaterThan(0);
  });

  it('tells the accuracy of the answers from the labels', async () => {
    const text = 'profile: per-inference\ninferences: 200\ndut:\n  error_rate: 0.1\n';
    const document = await scored(text, 4);
    expect(document.accuracy?.n).toBe(200);
    expect(document.accuracy?.top1_pct).toBeCloseTo(90, 6);
  });
});
