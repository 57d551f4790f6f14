import type { PowerMetrics } from '../../scoring/profiles/mlperf-power.ts';
import { powerMetrics } from '../../scoring/profiles/mlperf-power.ts';
import type { Observation } from '../types.ts';
import { type ModeClocks, modeClocks } from './clocks.ts';
import { type OfficialReport, officialReport } from './official.ts';
import { loadgenFigures, type PowerRun } from './power-run.ts';
import { bestWindowPower, type WindowPower } from './window-power.ts';

/** A run with everything that several checks need. */
export interface PowerAnalysis {
  run: PowerRun;
  clocks: { testing: ModeClocks; ranging: ModeClocks };
  /** Null where loadgen names no window. */
  testing: WindowPower | null;
  ranging: WindowPower | null;
  /** Brings the power samples of testing onto the clock of loadgen. */
  shift_ms: number;
  metrics: PowerMetrics | null;
  official: OfficialReport;
}

export function analyse(run: PowerRun): PowerAnalysis {
  const clocks = { testing: modeClocks(run, 'testing'), ranging: modeClocks(run, 'ranging') };
  const { window: testing, shift_ms } = bestWindowPower(run.testing, clocks.testing);
  const { window: ranging } = bestWindowPower(run.ranging, clocks.ranging);
  const metrics =
    testing === null || testing.power_W === null
      ? null
      : powerMetrics(testing.power_W, testing.duration_s, run.scenario, loadgenFigures(run.testing.loadgen), run.rules);
  return { run, clocks, testing, ranging, shift_ms, metrics, official: officialReport(run) };
}

/** One check: what it observes of a run. */
export type Check = (analysis: PowerAnalysis) => Observation[];
