import type { Stage } from '../signal/reducer.ts';
import type { Gap, SampleBlock, StreamInfo, Window, WindowSlice } from '../signal/types.ts';

/**
 * A slicing rule cuts one stream into windows. It is a stage: blocks and gaps in, one WindowSlice a window out, in
 * the order of the windows. Windows are given before the samples, sorted, on the clock that the rule names.
 */
export interface SlicingRule {
  /** Method id with its version; changed arithmetic gets a new version. */
  id: string;
  /**
   * `tickHz` is the rate of the clock that the windows are on. `stream`: windows come mapped to the stream's clock (all rules of our own). `edges`: windows keep the numbers of
   * the edge clock, because the published arithmetic compares those raw numbers with a grid of its own.
   */
  windowClock: 'stream' | 'edges';
  makeSlicer(stream: StreamInfo, windows: Window[], tickHz: number): Stage<SampleBlock | Gap, WindowSlice>;
}
