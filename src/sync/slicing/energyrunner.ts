import type { Stage } from '../../signal/reducer.ts';
import type { Gap, SampleArray, SampleBlock, StreamInfo, Window, WindowSlice } from '../../signal/types.ts';
import type { SlicingRule } from '../slicing.ts';

/** A slice by a published arithmetic, with the places in the trace that it settled on. */
export interface PublishedSlice extends WindowSlice {
  /** Index of the first sample that is summed, and of the one after the last. */
  firstSample: number;
  endSample: number;
  /** Times of both ends on the rule's own grid, in s. */
  gridStart_s: number;
  gridEnd_s: number;
}

const method = 'energyrunner/1';

/**
 * The arithmetic of EnergyRunner, as its published figures prove it (every printed digit of the public windows): a
 * time grid G[0] = 0, G[s] = G[s-1] + 1/rate is accumulated in float64; for timestamps t0 and t1 (seconds, raw), a is
 * the last s with G[s] <= t0 and b the last with G[s] <= t1; samples a+1...b are summed one by one in float64.
 *
 * Windows may touch but not overlap. A window that reaches beyond the trace is marked `outside`, and its sums cover
 * only what there is.
 * @param rate_Hz samples a second, which the rule's own grid is built on (the clock of the windows is in seconds)
 */
export function energyRunnerRule(rate_Hz = 1000) {
  return {
    id: method,
    windowClock: 'edges',
    makeSlicer: (stream: StreamInfo, windows: Window[]): Stage<SampleBlock | Gap, PublishedSlice> =>
      new EnergyRunnerSlicer(stream, windows, rate_Hz),
  } satisfies SlicingRule;
}

class EnergyRunnerSlicer implements Stage<SampleBlock | Gap, PublishedSlice> {
  private readonly stream: StreamInfo;
  private readonly windows: Window[];
  private readonly dt_s: number;
  private readonly quantity: 'energy' | 'power';
  private next = 0;
  /** Index and grid time of the sample to come, and the grid time of the one before. */
  private s = 0;
  private grid_s = 0;
  private before_s = 0;
  /** The window being summed. */
  private firstSample = -1;
  private gridStart_s = 0;
  private sum = 0;

  constructor(stream: StreamInfo, windows: Window[], rate_Hz: number) {
    this.stream = stream;
    this.windows = windows;
    this.dt_s = 1 / rate_Hz;
    this.quantity = stream.quantities[0] === 'power' ? 'power' : 'energy';
  }

  *push(chunk: SampleBlock | Gap): Generator<PublishedSlice> {
    if (chunk.kind === 'gap') throw new Error('an EnergyRunner trace holds no gaps');
    const values = chunk[this.quantity]!;
    let k = 0;
    while (k < values.length) {
      const window = this.windows[this.next];
      const start = window?.startTick ?? Number.POSITIVE_INFINITY;
      const end = window?.endTick ?? Number.POSITIVE_INFINITY;
      k = this.skip(values, k, start);
      if (k === values.length) return;
      if (this.firstSample < 0) this.open();
      k = this.add(values, k, end);
      if (this.grid_s > end) yield this.close(window!, false);
    }
  }

  *end(): Generator<PublishedSlice> {
    for (let window = this.windows[this.next]; window; window = this.windows[this.next]) {
      // The trace reaches to the end of its last sample's interval, which is the grid time of the sample to come.
      if (this.firstSample < 0) this.open();
      yield this.close(window, this.grid_s <= window.endTick);
    }
  }

  /** Steps over samples from k on up to a time; gives the first one behind it. (Locals: these loops meet every sample.) */
  private skip(values: SampleArray, k: number, upTo_s: number): number {
    const { dt_s } = this;
    let { grid_s, before_s } = this;
    const first = k;
    while (k < values.length && grid_s <= upTo_s) {
      k++;
      before_s = grid_s;
      grid_s += dt_s;
    }
    this.s += k - first;
    this.grid_s = grid_s;
    this.before_s = before_s;
    return k;
  }

  /** Adds samples from k on up to a time; gives the first one behind it. */
  private add(values: SampleArray, k: number, upTo_s: number): number {
    const { dt_s } = this;
    let { grid_s, before_s, sum } = this;
    const first = k;
    while (k < values.length && grid_s <= upTo_s) {
      sum += values[k]!;
      k++;
      before_s = grid_s;
      grid_s += dt_s;
    }
    this.s += k - first;
    this.grid_s = grid_s;
    this.before_s = before_s;
    this.sum = sum;
    return k;
  }

  private open(): void {
    this.firstSample = this.s;
    this.gridStart_s = this.before_s;
    this.sum = 0;
  }

  private close(window: Window, beyondEnd: boolean): PublishedSlice {
    const firstSample = this.firstSample;
    const n = this.s - firstSample;
    this.next++;
    this.firstSample = -1;
    const time_s = n * this.dt_s;
    const range = {
      range: 0,
      n,
      time_s,
      current: 0,
      voltage: 0,
      power: 0,
      energy: 0,
      voltageCurrent: 0,
      currentSquared: 0,
    };
    range[this.quantity] = this.sum;
    return {
      window,
      stream: this.stream.id,
      method,
      dt_s: this.dt_s,
      ranges: [range],
      rangeSwitches: 0,
      flagged: { interpolated: 0, saturated: 0, settling: 0 },
      missing: 0,
      missingUnknown: false,
      outside: beyondEnd || window.startTick < 0,
      before: null,
      after: null,
      correctedEnergy_J: null,
      biasBound_J: null,
      firstSample,
      endSample: this.s,
      gridStart_s: this.gridStart_s,
      gridEnd_s: this.before_s,
    };
  }
}
