import { DeviceError } from '../../signal/errors.ts';
import type { DutClient } from '../client.ts';

/** Times shorter than this are mostly the travel of the messages. */
const longEnough_ms = 1000;
const mostTrialInferences = 100_000;
const mostTrials = 12;
/** A window must not end just short of its minimum. */
const reserve = 1.05;

/**
 * How many inferences fill `minimum_s`, by timing the messages of trial runs over the input that is loaded; at least
 * `leastInferences`.
 * @throws DeviceError as the client; `dut.protocol` where no trial could be timed
 */
export async function inferencesFor(dut: DutClient, minimum_s: number, leastInferences: number): Promise<number> {
  let inferences = 1;
  for (let trial = 0; trial < mostTrials; trial++) {
    const { started_ns, done_ns } = await dut.infer(inferences, 0);
    if (started_ns === null || done_ns === null) continue;
    const took_ms = (done_ns - started_ns) / 1e6;
    if (took_ms >= longEnough_ms || inferences === mostTrialInferences) {
      return Math.max(leastInferences, Math.ceil((reserve * minimum_s * 1000 * inferences) / Math.max(took_ms, 1e-3)));
    }
    inferences = Math.min(8 * inferences, mostTrialInferences);
  }
  throw new DeviceError('dut.protocol', {
    where: dut.identity.name,
    problem: 'its m-infer-start and m-infer-done arrive damaged again and again',
    remedy: 'check the line to the DUT',
  });
}
