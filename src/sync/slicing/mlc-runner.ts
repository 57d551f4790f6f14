import type { Stage } from '../../signal/reducer.ts';
import type { Gap, SampleBlock, StreamInfo, Window } from '../../signal/types.ts';
import type { SlicingRule } from '../slicing.ts';
import type { PublishedSlice } from './energyrunner.ts';
import { numpySum } from './numpy-sum.ts';

const method = 'mlc-runner/1';
/** The runner sets the LPM01A to 1 kHz and divides by this number. */
const rate_Hz = 1000;

/**
 * The arithmetic of the MLCommons runner: the edges are sample indices i0 and i1, the energy is np.sum(samples[i0:i1])
 * and the times are i/1000. As Python slices, an end beyond the samples cuts the sum; the slice is then `outside`.
 */
export const mlcRunnerRule = {
  id: method,
  windowClock: 'edges',
  makeSlicer: (stream: StreamInfo, windows: Window[]): Stage<SampleBlock | Gap, PublishedSlice> =>
    new MlcRunnerSlicer(stream, windows),
} satisfies SlicingRule;

class MlcRunnerSlicer implements Stage<SampleBlock | Gap, PublishedSlice> {
  private readonly stream: StreamInfo;
  private readonly windows: Window[];
  private next = 0;
  private index = 0;
  private held: Float64Array[] = [];

  constructor(stream: StreamInfo, windows: Window[]) {
    this.stream = stream;
    this.windows = windows;
  }

  *push(chunk: SampleBlock | Gap): Generator<PublishedSlice> {
    if (chunk.kind === 'gap') throw new Error('a recording of the MLCommons runner holds no gaps');
    const values = Float64Array.from(chunk.energy!);
    const end = this.index + values.length;
    for (let window = this.windows[this.next]; window; window = this.windows[this.next]) {
      const from = Math.max(window.startTick, this.index);
      const to = Math.min(window.endTick, end);
      if (to > from) this.held.push(values.subarray(from - this.index, to - this.index));
      if (window.endTick > end) break;
      yield this.close(window, false);
    }
    this.index = end;
  }

  *end(): Generator<PublishedSlice> {
    for (let window = this.windows[this.next]; window; window = this.windows[this.next]) {
      yield this.close(window, true);
    }
  }

  private close(window: Window, outside: boolean): PublishedSlice {
    const n = this.held.reduce((sum, part) => sum + part.length, 0);
    const samples = new Float64Array(n);
    let at = 0;
    for (const part of this.held) {
      samples.set(part, at);
      at += part.length;
    }
    this.held = [];
    this.next++;
    const energy = numpySum(samples);
    return {
      window,
      stream: this.stream.id,
      method,
      dt_s: 1 / rate_Hz,
      ranges: [
        {
          range: 0,
          n,
          time_s: n / rate_Hz,
          current: 0,
          voltage: 0,
          power: 0,
          energy,
          voltageCurrent: 0,
          currentSquared: 0,
        },
      ],
      rangeSwitches: 0,
      flagged: { interpolated: 0, saturated: 0, settling: 0 },
      missing: 0,
      missingUnknown: false,
      outside: outside || window.startTick < 0,
      before: null,
      after: null,
      correctedEnergy_J: null,
      biasBound_J: null,
      firstSample: window.startTick,
      endSample: window.startTick + n,
      gridStart_s: window.startTick / rate_Hz,
      gridEnd_s: window.endTick / rate_Hz,
    };
  }
}
