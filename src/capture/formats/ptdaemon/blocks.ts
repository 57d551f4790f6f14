import type { ClockInfo, Gap, SampleBlock, StreamInfo } from '../../../signal/types.ts';
import type { PowerLog } from './power-log.ts';

/** PTDaemon measures once a second in MLPerf Power (`Go,1000,0,...`). */
const INTERVAL_MS = 1000;

/** The clock of a power log: milliseconds of the daemon's host. Its time zone is not written down, so it has no epoch. */
export const powerLogClock: ClockInfo = { id: 'ptdaemon', tickHz: 1000, kind: 'file', epoch_ns: null };

/** The stream of a power log: watts, as decimal text, one reading a second, stamped when its interval ended. */
export const powerLogStream: StreamInfo = {
  id: 'wall',
  rail: 'wall',
  clock: powerLogClock.id,
  ticksPerSample: null,
  quantities: ['power'],
  precision: 'f64',
  semantics: 'mean-forward',
  groupDelay_s: null,
  scale: {},
  assumedVoltage_V: null,
  ranges: [],
  logicInputs: [],
  calibration: null,
};

/**
 * The samples of a power log as irregular blocks on `powerLogClock`: a sample ends at its time stamp and begins at
 * the one before (but at most one interval earlier). Readings that are no number become gaps of cause `invalid`.
 * @param shift_ms added to every time stamp, to bring the log onto the clock of the windows
 */
export function* powerLogBlocks(log: PowerLog, shift_ms = 0): Generator<SampleBlock | Gap> {
  let from = 0;
  for (let i = 0; i <= log.length; i++) {
    if (i < log.length && !Number.isNaN(log.watts[i])) continue;
    if (i > from) yield block(log, from, i, shift_ms);
    if (i < log.length) {
      yield {
        kind: 'gap',
        stream: powerLogStream.id,
        firstTick: Math.floor((log.time_ms[i] as number) + shift_ms),
        count: 1,
        cause: 'invalid',
      };
    }
    from = i + 1;
  }
}

function block(log: PowerLog, from: number, to: number, shift_ms: number): SampleBlock {
  const length = to - from;
  const startTicks = new Float64Array(length);
  const endTicks = new Float64Array(length);
  for (let k = 0; k < length; k++) {
    const end = (log.time_ms[from + k] as number) + shift_ms;
    const before = from + k > 0 ? (log.time_ms[from + k - 1] as number) + shift_ms : end - INTERVAL_MS;
    endTicks[k] = end;
    startTicks[k] = before < end ? Math.max(before, end - INTERVAL_MS) : end;
  }
  return {
    kind: 'block',
    stream: powerLogStream.id,
    firstTick: Math.floor(startTicks[0] as number),
    ticksPerSample: 0,
    length,
    power: log.watts.subarray(from, to),
    startTicks,
    endTicks,
  };
}
