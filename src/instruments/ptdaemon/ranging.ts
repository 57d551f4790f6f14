import { type PtdSample, parseSample } from '../../capture/formats/ptdaemon/sample-line.ts';
import { DeviceError } from '../../signal/errors.ts';
import { type TimeSource, wait } from '../../transport/time.ts';
import type { PtdClient } from './protocol.ts';
import { ptdaemonCurrentReserve, ptdaemonInterval_ms, ptdaemonSettle_ms } from './spec.ts';

export interface RangingOptions {
  /** Stands in the marks `<session>_ranging` and `<session>_testing`. */
  session: string;
  /** Runs the same workload in both phases. */
  workload(phase: 'ranging' | 'testing'): Promise<void>;
  time: TimeSource;
  /** For messages. */
  where: string;
}

export interface RangingResult {
  /** Largest volts and amps of the ranging run, after which the ranges of the testing run were set. */
  maxVolts: number;
  maxAmps: number;
  testing: PtdSample[];
}

/**
 * The two runs of MLPerf Power: with automatic ranges, then the same workload with the ranges fixed at the largest voltage
 * and a multiple of the largest current that were seen. The ranges of before are restored, whatever happens.
 * @throws DeviceError `ranging.no-samples` where the first run gave no reading, and whatever the daemon refuses
 */
export async function runWithRanging(client: PtdClient, options: RangingOptions): Promise<RangingResult> {
  const { session, workload, time } = options;
  const initial = await client.ranges();
  const measure = async (phase: 'ranging' | 'testing'): Promise<PtdSample[]> => {
    await wait(time, ptdaemonSettle_ms);
    await client.go(ptdaemonInterval_ms, 0, `${session}_${phase}`);
    try {
      await workload(phase);
    } finally {
      await client.stop();
    }
    const lines = await client.lastSamples(null);
    return lines.map((line) => parseSample(line.split(','))).filter((sample) => sample !== null);
  };
  try {
    await client.setRange('V', 'auto');
    await client.setRange('A', 'auto');
    const ranging = await measure('ranging');
    const largest = (value: (sample: PtdSample) => number) =>
      ranging
        .map(value)
        .filter((each) => each > 0 && Number.isFinite(each))
        .reduce((a, b) => Math.max(a, b), 0);
    const [maxVolts, maxAmps] = [largest(({ volts }) => volts), largest(({ amps }) => amps)];
    if (maxVolts === 0 || maxAmps === 0) {
      throw new DeviceError('ranging.no-samples', {
        where: options.where,
        problem: `the ranging run gave no reading of ${maxVolts === 0 ? 'the voltage' : 'the current'} (${ranging.length} samples)`,
        remedy: 'check the wiring of the analyzer, and that the workload runs for some seconds',
      });
    }
    await client.setRange('V', maxVolts);
    const watts = ranging.map((sample) => sample.watts).filter((each) => each > 0);
    const meanPower_W = watts.reduce((sum, each) => sum + each, 0) / watts.length;
    await client.setRange('A', maxAmps * ptdaemonCurrentReserve(meanPower_W));
    return { maxVolts, maxAmps, testing: await measure('testing') };
  } finally {
    if (initial.volts !== null) await client.setRange('V', initial.volts);
    if (initial.amps !== null) await client.setRange('A', initial.amps);
  }
}
