import type { ScoreDocument, ScoredWindow } from '../../src/scoring/score-document.ts';
import { quantity } from '../../src/signal/quantity.ts';
import { median } from '../../src/stats/quantile.ts';

export interface ScoreDocumentOptions {
  windows?: number;
  /** Mean of the windows' energy an inference. */
  energyPerInference_uJ?: number;
  /** Seconds a window lasts; the gap between two windows lasts half of that. */
  duration_s?: number;
  overrides?: Partial<ScoreDocument>;
}

/** A number from 0 to 1 that looks random and is the same each time. */
export function noise(k: number): number {
  const x = Math.sin(k * 12.9898 + 78.233) * 43758.5453;
  return x - Math.floor(x);
}

/** A believable score of a made-up run. */
export function scoreDocument(options: ScoreDocumentOptions = {}): ScoreDocument {
  const { windows: count = 5, energyPerInference_uJ = 104.2, duration_s = 10.02, overrides = {} } = options;
  const inferences = 940;
  const windows: ScoredWindow[] = [];
  for (let k = 0; k < count; k++) {
    const perInference = energyPerInference_uJ * (1 + 0.004 * (noise(k) - 0.5) + (k % 97 === 96 ? 0.02 : 0));
    const energy_uJ = perInference * inferences;
    windows.push({
      index: k,
      start_s: 2.4 + k * 1.5 * duration_s,
      duration_s: duration_s * (1 + 0.0002 * noise(k + 0.5)),
      runtime_s: duration_s,
      energy_uJ,
      power_uW: energy_uJ / duration_s,
      inferences,
      energyPerInference_uJ: perInference,
      throughput_ips: inferences / duration_s,
      inferencesPerJoule: 1e6 / perInference,
      method: 'guard-band/1',
      biasBound_rel: null,
      samples: Math.round(duration_s * 100_000),
      missingSamples: 0,
      saturatedSamples: 0,
      rangeSwitches: 0,
    });
  }
  const energies = windows.map((window) => window.energyPerInference_uJ!);
  const windows_uJ = windows.reduce((sum, window) => sum + window.energy_uJ!, 0);
  const end_s = 2.4 + count * 1.5 * duration_s + 1;
  const medianEnergy = median(energies);
  return {
    schema: 'joulemark.score/1',
    source: { format: 'joulemark-run', path: 'runs/kws01-seed7' },
    simulated: true,
    profile: 'kws01',
    slicing: 'auto',
    windows,
    median: {
      energyPerInference_uJ: medianEnergy,
      throughput_ips: median(windows.map((window) => window.throughput_ips!)),
      inferencesPerJoule: medianEnergy === null ? null : 1e6 / medianEnergy,
    },
    quantities: {
      energyPerInference: quantity(medianEnergy === null ? null : medianEnergy * 1e-6, 'J', 'median/1', count),
      throughput: quantity(93.8, '1/s', 'median/1', count),
      top1: {
        value: 91.6,
        unit: '%',
        u: 0.87,
        coverage: { U: 1.7, k: 1.96, nu: null },
        method: 'wilson/1',
        n: 1000,
        components: [
          {
            id: 'binomial',
            u: 0.87,
            distribution: 'normal',
            nu: null,
            scope: 'run',
            provenance: 'type A',
          },
        ],
        calibrated: false,
      },
    },
    refusal: null,
    idle: {
      baselines: [
        { method: 'low-quantile/1', power_W: 0.004_21, u_W: 0.000_012, n: 482_000 },
        { method: 'two-cluster/1', power_W: 0.004_26, u_W: null, n: 482_000 },
      ],
      spread_W: 0.000_05,
      activePower_W: 0.009_78,
    },
    net: { baseline: 'two-cluster/1', power_W: 0.004_26, energyPerInference_uJ: 58.8 },
    accuracy: { top1_pct: 91.6, auc: null, n: 1000 },
    gates: [
      { id: 'windows', demand: 'five windows', found: String(count), met: count >= 5 },
      { id: 'duration', demand: 'at least 10 s a window', found: '10.02 s', met: true },
      { id: 'top1', demand: 'top-1 of at least 90 %', found: '91.6 %', met: true },
    ],
    totals: {
      energy_uJ: windows_uJ * 1.21,
      windows_uJ,
      outside_uJ: windows_uJ * 0.21,
      duration_s: end_s,
      samples: Math.round(end_s * 100_000),
      missingSamples: 0,
    },
    provenance: {
      instrument: { family: 'js220', serial: 'SIM-JS220-0001', firmware: '1.3.0', calibration: null },
      dut: { name: 'Virtual DUT', vendor: 'Joulemark', serial: 'SIM-DUT-7' },
      supply: { voltage_V: 3.0, max_voltage_V: 3.3 },
      seed: 7,
    },
    warnings: [
      { code: 'voltage.assumed', message: 'The instrument measures no voltage; 3.000 V is assumed constant.' },
    ],
    ...overrides,
  };
}

/** Power bins that fit the windows of a document. */
export function powerBins(document: ScoreDocument, count: number) {
  const end_s = document.totals?.duration_s ?? 10;
  const active_W = document.idle?.activePower_W ?? 0.01;
  const idle_W = document.idle?.baselines[0]?.power_W ?? 0.004;
  return Array.from({ length: count }, (_, k) => {
    const t0_s = (k * end_s) / count;
    const t1_s = ((k + 1) * end_s) / count;
    const centre_s = (t0_s + t1_s) / 2;
    const isActive = document.windows.some(
      (window) => centre_s >= window.start_s && centre_s < window.start_s + window.duration_s,
    );
    const mean = (isActive ? active_W : idle_W) * (1 + 0.01 * (noise(k) - 0.5));
    const ripple = (isActive ? 0.3 : 0.08) * (0.7 + 0.3 * noise(k + 0.25));
    return { t0_s, t1_s, min: mean * (1 - ripple), max: mean * (1 + ripple), mean };
  });
}
