import { UsageError } from '../signal/errors.ts';
import type { SyncPlan } from '../signal/recording.ts';
import type { ClockInfo, StreamInfo } from '../signal/types.ts';
import type { Rig } from './rig-file.ts';

const defaultOrder = 7;
/** Chips are no shorter than this, and have at least so many samples where the rig does not say how long they are. */
const shortestChip_s = 2e-3;
const samplesPerChip = 4;
/** Fewer tell nothing of the flanks of a chip. */
const fewestPerChip = 2;

/**
 * The sync pattern that a rig asks for, or that suits the stream where `wanted` is `pattern`. Null for `none`, and for irregular
 * streams, in which no pattern is looked for.
 *
 * @param channel line on which the DUT plays it
 * @throws UsageError `rig.sync` where its chips are too short for the stream, or the stream is irregular and the rig insists
 */
export function syncPlanOf(
  wanted: NonNullable<Rig['trigger']['sync']>,
  channel: string,
  stream: StreamInfo,
  clocks: readonly ClockInfo[],
): SyncPlan | null {
  if (wanted === 'none') return null;
  const tickHz = clocks.find(({ id }) => id === stream.clock)!.tickHz;
  const dt_s = stream.ticksPerSample === null ? null : stream.ticksPerSample / tickHz;
  const { order = defaultOrder, chip_s = null } = wanted === 'pattern' ? {} : wanted;
  const refuse = (problem: string, remedy: string) =>
    new UsageError('rig.sync', { where: 'trigger.sync', problem, remedy });
  if (dt_s === null) {
    throw refuse(
      'the samples of this instrument come at irregular times, in which no pattern is found',
      'leave it out',
    );
  }
  if (chip_s !== null && chip_s < fewestPerChip * dt_s) {
    throw refuse(
      `a chip of ${chip_s} s has fewer than ${fewestPerChip} samples of ${dt_s} s`,
      'make chip_s longer, or leave it out',
    );
  }
  return { order, chip_s: chip_s ?? Math.max(shortestChip_s, samplesPerChip * dt_s), channel };
}
