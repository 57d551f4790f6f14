import { powerLogBlocks, powerLogClock, powerLogStream } from '../../capture/formats/ptdaemon/blocks.ts';
import type { PowerLog } from '../../capture/formats/ptdaemon/power-log.ts';
import { ptdaemonSlicing } from '../../sync/slicing/ptdaemon.ts';
import type { ModeClocks } from './clocks.ts';
import type { PowerMode } from './power-run.ts';

/** The test window on the clock of loadgen, and what its power samples give. */
export interface WindowPower {
  begin_ms: number;
  end_ms: number;
  duration_s: number;
  /** Readings above zero, and the mean of these; null where there are none. */
  samples: number;
  power_W: number | null;
  /** Readings at or below zero, or no number. */
  unusable: number;
}

/** Average power by the published arithmetic; null where loadgen names no window. */
export function windowPower(mode: PowerMode, shift_ms: number): WindowPower | null {
  const begin_ms = mode.loadgen?.powerBegin_ms ?? null;
  const end_ms = mode.loadgen?.powerEnd_ms ?? null;
  if (begin_ms === null || end_ms === null) return null;
  const window = { begin_ms, end_ms, duration_s: (end_ms - begin_ms) / 1000 };
  if (mode.powerLog === null) return { ...window, samples: 0, power_W: null, unusable: 0 };
  return { ...window, ...meanPower(mode.powerLog, begin_ms, end_ms, shift_ms) };
}

function meanPower(log: PowerLog, begin_ms: number, end_ms: number, shift_ms: number) {
  const window = { index: 0, startTick: begin_ms, endTick: end_ms, u_ticks: null };
  const slicer = ptdaemonSlicing.makeSlicer(powerLogStream, [window], powerLogClock.tickHz);
  for (const block of powerLogBlocks(log, shift_ms)) slicer.push(block);
  const [slice] = slicer.end();
  const sums = slice?.ranges[0];
  const n = sums?.n ?? 0;
  return { samples: n, power_W: n === 0 ? null : (sums?.power ?? 0) / n, unusable: slice?.missing ?? 0 };
}

/** The shift that an audit uses: that of the fitted clocks, or the published one where those give no samples. */
export function bestWindowPower(mode: PowerMode, clocks: ModeClocks): { window: WindowPower | null; shift_ms: number } {
  const fitted = windowPower(mode, clocks.shift_ms);
  if (clocks.shift_ms === clocks.publishedShift_ms || (fitted !== null && fitted.samples > 0)) {
    return { window: fitted, shift_ms: clocks.shift_ms };
  }
  return { window: windowPower(mode, clocks.publishedShift_ms), shift_ms: clocks.publishedShift_ms };
}
