import { type Quantity, quantity, type UncertaintyComponent } from '../signal/quantity.ts';
import type { StreamInfo, WindowSlice } from '../signal/types.ts';
import type { Alignment } from '../sync/align.ts';
import { delayOf } from '../sync/slicing/range-delays.ts';
import { medianOf } from './metrics.ts';
import type { Baseline, MeasuredWindow, ScoreDocument } from './score-document.ts';

/** Headline quantities. Their `u` stays null while the gain of the instrument is not known: no calibration record exists yet. */
export function quantitiesOf(
  windows: MeasuredWindow[],
  medians: ScoreDocument['median'],
  slices: WindowSlice[],
  energyMethod: string,
  stream: StreamInfo,
  baselines: Baseline[],
  alignments: Alignment[],
): Record<string, Quantity> {
  const n = windows.length;
  const method = `${energyMethod}+median/1`;
  const toSI = (value: number | null, factor: number) => (value === null ? null : value * factor);
  const energy = quantity(toSI(medians.energyPerInference_uJ, 1e-6), 'J', method, n);
  energy.components = [
    ...budgetOf(windows, slices, stream),
    ...delayBudget(windows, slices, stream),
    ...alignments.flatMap((alignment) => alignmentBudget(windows, slices, alignment)),
  ];
  const quantities: Record<string, Quantity> = {
    energyPerInference: energy,
    throughput: quantity(medians.throughput_ips, '1/s', 'median/1', n),
    inferencesPerJoule: quantity(medians.inferencesPerJoule, '1/J', method, n),
    power: quantity(toSI(medianOf(windows.map((window) => window.power_uW)), 1e-6), 'W', method, n),
  };
  for (const baseline of baselines) {
    quantities[`idlePower.${baseline.method.split('/')[0]}`] = quantity(
      baseline.power_W,
      'W',
      baseline.method,
      baseline.n,
    );
  }
  return quantities;
}

/** Components of the energy per inference that a single run can tell; the unknown ones stand there as unknown. */
function budgetOf(windows: MeasuredWindow[], slices: WindowSlice[], stream: StreamInfo): UncertaintyComponent[] {
  const energies = windows.map((window) => window.energyPerInference_uJ).filter((value) => value !== null);
  const n = energies.length;
  const mean = energies.reduce((sum, value) => sum + value, 0) / n;
  const variance = energies.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  const components: UncertaintyComponent[] = [
    {
      id: 'gain',
      u: null,
      distribution: 'rectangular',
      nu: null,
      scope: 'rig',
      provenance: stream.calibration ?? 'no calibration record',
    },
    { id: 'offset', u: null, distribution: 'rectangular', nu: null, scope: 'rig', provenance: 'no calibration record' },
  ];
  if (n > 1) {
    components.push({
      id: 'repeatability',
      u: Math.sqrt(variance / n) * 1e-6,
      distribution: 'student-t',
      nu: n - 1,
      scope: 'run',
      provenance: 'type A',
    });
  }
  const edge = slices.find((slice) => slice.window.u_ticks !== null && slice.before !== null);
  if (edge) {
    components.push({
      id: 'edges',
      u: null,
      distribution: 'triangular',
      nu: null,
      scope: 'window',
      provenance: `bound of the slicing rule, largest ${(Math.max(...windows.map((window) => window.biasBound_rel ?? 0)) * 100).toPrecision(2)} %`,
    });
  }
  return components;
}

/**
 * What the group delays of the ranges add to the energy per inference (specs: science 2.2 rows 15 and 18). The delay of a
 * range is one error in all its flanks: what it does to both ends of a window, and to all windows, is added up before it
 * is squared, and different ranges are independent. The guard band keeps the length of the window, so that both ends in
 * one range leave the difference of the powers outside; the proportional rule leaves active time out at one end and
 * takes idle time in at the other. Only where delays were declared or measured: else nothing is known to state.
 */
function delayBudget(windows: MeasuredWindow[], slices: WindowSlice[], stream: StreamInfo): UncertaintyComponent[] {
  const isStated =
    stream.u_groupDelay_s !== undefined || stream.ranges.some(({ groupDelay_s }) => typeof groupDelay_s === 'number');
  if (!isStated) return [];
  const slicesByIndex = new Map(slices.map((slice) => [slice.window.index, slice]));
  /** Energy per inference for each second of a range's delay, summed over the windows. */
  const slopes_W = new Map<number, number>();
  let isKnown = true;
  let n = 0;
  for (const window of windows) {
    const { before, after, delays, ranges, method } = slicesByIndex.get(window.index)!;
    if (window.inferences === null || window.inferences === 0) continue;
    n++;
    if (before === null || after === null) {
      isKnown = false;
      continue;
    }
    const inside_W = window.power_uW * 1e-6;
    const half_W = (after.mean - before.mean) / 2;
    const [start_W, end_W] = method.startsWith('guard-band') ? [half_W, half_W] : [-inside_W, after.mean];
    // Where all ranges share one delay, any of them stands for it.
    const [first, last] = delays
      ? [delays.start.range, delays.end.range]
      : [ranges[0]?.range ?? 0, ranges[0]?.range ?? 0];
    slopes_W.set(first, (slopes_W.get(first) ?? 0) + start_W / window.inferences);
    slopes_W.set(last, (slopes_W.get(last) ?? 0) + end_W / window.inferences);
  }
  if (n === 0) return [];
  let variance_J2 = 0;
  for (const [range, slope_W] of slopes_W) {
    const { u_s } = delayOf(stream, range);
    if (u_s === null) isKnown = false;
    else variance_J2 += ((slope_W / n) * u_s) ** 2;
  }
  return [
    {
      id: 'group-delay',
      u: isKnown ? Math.sqrt(variance_J2) : null,
      distribution: 'normal',
      nu: null,
      scope: 'rig',
      provenance: 'stated with the delays of the ranges',
    },
  ];
}

/**
 * What the fitted relation of two clocks adds to the energy per inference (specs: science 2.2 row 15). An offset shifts
 * both edges of a window. Where the guard band reaches over it, the error is the difference of the powers outside times
 * the offset; else the window takes idle time in and leaves active time out; where the rule does not look outside, all of the power counts. A skew changes the energy in proportion.
 */
function alignmentBudget(
  windows: MeasuredWindow[],
  slices: WindowSlice[],
  { model, method }: Alignment,
): UncertaintyComponent[] {
  const back = model.inverse();
  const slicesByIndex = new Map(slices.map((slice) => [slice.window.index, slice]));
  let offset_J: number | null = 0;
  let skew_J = 0;
  let n = 0;
  for (const window of windows) {
    const { window: place, before, after, method: rule } = slicesByIndex.get(window.index)!;
    if (window.inferences === null || window.inferences === 0) continue;
    const at = back.map((place.startTick + place.endTick) / 2);
    const u_ticks = model.u_ticks(at);
    n++;
    skew_J += (window.energy_uJ * 1e-6 * model.skewAt(at).u) / window.inferences;
    if (u_ticks === null || offset_J === null) {
      offset_J = null;
      continue;
    }
    let step_W = window.power_uW * 1e-6;
    if (before !== null && after !== null) {
      step_W = rule.startsWith('guard-band')
        ? Math.abs(after.mean - before.mean)
        : Math.abs(step_W - (before.mean + after.mean) / 2);
    }
    offset_J += (step_W * (u_ticks / model.to.tickHz)) / window.inferences;
  }
  if (n === 0) return [];
  const provenance = `fit of clock ${model.from.id} to ${model.to.id} by ${method}`;
  const common = { distribution: 'normal', nu: null, scope: 'run', provenance } as const;
  return [
    { id: 'clock-offset', u: offset_J === null ? null : offset_J / n, ...common },
    { id: 'clock-skew', u: skew_J / n, ...common },
  ];
}
