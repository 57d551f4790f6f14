import type { Stage } from '../../signal/reducer.ts';
import type { Gap, SampleBlock, StreamInfo, Window, WindowSlice } from '../../signal/types.ts';
import type { SlicingRule } from '../slicing.ts';

/**
 * The published arithmetic of MLPerf Power: the power of a window is the arithmetic mean of the readings above zero
 * whose time stamp lies strictly between the window's ends. No reading is split, none is weighted with its duration;
 * readings at or below zero (PTDaemon's mark of a failed reading is -1) are left out and counted as missing.
 * Energy is that mean times the length of the window, so every reading stands for an equal part of it (`dt_s`).
 * Works on irregular blocks; a reading's time stamp is the end of its interval. Sums run left to right in float64.
 * Source: get_power_metric of the submission checker of mlcommons/inference.
 */
export const ptdaemonSlicing: SlicingRule = {
  id: 'ptdaemon/1',
  windowClock: 'stream',
  makeSlicer: (stream, windows, tickHz) => new PtdaemonSlicer(stream, windows, tickHz),
};

interface Sums {
  n: number;
  power: number;
  ticks: number;
  missing: number;
  missingUnknown: boolean;
}

class PtdaemonSlicer implements Stage<SampleBlock | Gap, WindowSlice> {
  private readonly stream: StreamInfo;
  private readonly windows: Window[];
  private readonly tickHz: number;
  private readonly sums: Sums[];
  private first = Number.POSITIVE_INFINITY;
  private last = Number.NEGATIVE_INFINITY;

  constructor(stream: StreamInfo, windows: Window[], tickHz: number) {
    this.stream = stream;
    this.tickHz = tickHz;
    this.windows = windows;
    this.sums = windows.map(() => ({ n: 0, power: 0, ticks: 0, missing: 0, missingUnknown: false }));
  }

  push(chunk: SampleBlock | Gap): Iterable<WindowSlice> {
    if (chunk.kind === 'gap') this.gap(chunk);
    else this.block(chunk);
    return [];
  }

  private gap(gap: Gap): void {
    this.windows.forEach((window, w) => {
      if (gap.firstTick <= window.startTick || gap.firstTick >= window.endTick) return;
      const sums = this.sums[w] as Sums;
      if (gap.count === null) sums.missingUnknown = true;
      else sums.missing += gap.count;
    });
  }

  private block(block: SampleBlock): void {
    const { power, endTicks, startTicks } = block;
    if (power === undefined || endTicks === undefined || startTicks === undefined) {
      throw new TypeError('ptdaemon slicing needs irregular blocks with power');
    }
    for (let i = 0; i < block.length; i++) {
      this.first = Math.min(this.first, startTicks[i] as number);
      this.last = Math.max(this.last, endTicks[i] as number);
    }
    this.windows.forEach((window, w) => {
      const sums = this.sums[w] as Sums;
      for (let i = 0; i < block.length; i++) {
        const time = endTicks[i] as number;
        if (time <= window.startTick || time >= window.endTick) continue;
        const watts = power[i] as number;
        if (watts > 0) {
          sums.n++;
          sums.power += watts;
          sums.ticks += time - (startTicks[i] as number);
        } else sums.missing++;
      }
    });
  }

  *end(): Iterable<WindowSlice> {
    for (const [w, window] of this.windows.entries()) {
      const { n, power, ticks, missing, missingUnknown } = this.sums[w] as Sums;
      yield {
        window,
        stream: this.stream.id,
        method: ptdaemonSlicing.id,
        dt_s: n === 0 ? 0 : (window.endTick - window.startTick) / this.tickHz / n,
        ranges: [
          {
            range: 0,
            n,
            time_s: ticks / this.tickHz,
            current: 0,
            voltage: 0,
            power,
            energy: 0,
            voltageCurrent: 0,
            currentSquared: 0,
          },
        ],
        rangeSwitches: 0,
        flagged: { interpolated: 0, saturated: 0, settling: 0 },
        missing,
        missingUnknown,
        outside: window.startTick < this.first || window.endTick > this.last,
        before: null,
        after: null,
        correctedEnergy_J: null,
        biasBound_J: null,
      };
    }
  }
}
