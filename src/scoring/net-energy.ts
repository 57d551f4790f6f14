import { type Warning, warning } from '../signal/warnings.ts';
import { medianOf } from './metrics.ts';
import type { Baseline, MeasuredWindow, ScoreDocument } from './score-document.ts';

/** The baselines beside each other, with the spread that comes of defining idle in different ways. */
export function idleOf(baselines: Baseline[], activePower_W: number | null): ScoreDocument['idle'] {
  if (baselines.length === 0) return null;
  const powers = baselines.map((baseline) => baseline.power_W);
  return { baselines, spread_W: Math.max(...powers) - Math.min(...powers), activePower_W };
}

/** Net energy above a baseline, unless the baseline cannot carry it (specs: science 4). */
export function netOf(
  name: 'low-quantile' | 'two-cluster',
  baselines: Baseline[],
  activePower_W: number | null,
  windows: MeasuredWindow[],
  warnings: Warning[],
): ScoreDocument['net'] {
  const baseline = baselines.find((candidate) => candidate.method.startsWith(name));
  if (baseline === undefined || activePower_W === null) {
    warnings.push(warning('baseline.none', 'too few samples outside the windows for an idle baseline'));
    return null;
  }
  const powers = baselines.map((candidate) => candidate.power_W);
  const disagreement = (Math.max(...powers) - Math.min(...powers)) / baseline.power_W;
  if (disagreement > 0.1) {
    const list = baselines.map((candidate) => `${candidate.method} ${candidate.power_W.toPrecision(4)} W`).join(', ');
    warnings.push(warning('baseline.methods-disagree', `${list}: no net energy is given`));
    return null;
  }
  if (baseline.power_W > 0.9 * activePower_W) {
    warnings.push(
      warning(
        'baseline.too-high',
        `idle ${baseline.power_W.toPrecision(4)} W against active ${activePower_W.toPrecision(4)} W: no net energy is given`,
      ),
    );
    return null;
  }
  for (const window of windows) {
    window.netEnergy_uJ = window.energy_uJ - baseline.power_W * 1e6 * window.duration_s;
    if (window.inferences) window.netEnergyPerInference_uJ = window.netEnergy_uJ / window.inferences;
  }
  return {
    baseline: baseline.method,
    power_W: baseline.power_W,
    energyPerInference_uJ: medianOf(windows.map((window) => window.netEnergyPerInference_uJ ?? null)),
  };
}
