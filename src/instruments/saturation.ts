import { type SampleBlock, SampleFlag } from '../signal/types.ts';

/** Notices where samples begin to be at the end of the scale, once for blocks in a row. */
export class SaturationNotice {
  #isSaturated = false;

  /** @returns the tick of the first saturated sample of a block, if none was saturated in the block before it; else null */
  onset(block: SampleBlock): number | null {
    const at = block.flags?.findIndex((flags) => (flags & SampleFlag.saturated) !== 0) ?? -1;
    const isOnset = at >= 0 && !this.#isSaturated;
    this.#isSaturated = at >= 0;
    return isOnset ? block.firstTick + at : null;
  }
}
