import { DeviceError } from '../signal/errors.ts';
import type { DutClient } from './client.ts';

/** Chips of a DUT may be longer than asked by a few percent. */
const slack = 1.2;
/** Besides the pattern itself. */
const answer_ms = 5000;

/**
 * Lets the DUT play a sync pattern of 2^order - 1 chips on its trigger pin: `sync ORDER CHIP_US`, an extension of the protocol that
 * firmware-hooks has (`m-sync-start-ORDER-CHIP_US`, the pattern, `m-sync-done`).
 * @throws DeviceError `dut.no-sync` where the DUT does not know the command, and as every command
 */
export async function playSync(dut: DutClient, order: number, chip_us: number): Promise<void> {
  const pattern_ms = ((2 ** order - 1) * chip_us) / 1000;
  const refuse = (problem: string, cause?: unknown) =>
    new DeviceError('dut.no-sync', {
      where: dut.identity.name,
      problem,
      remedy:
        'build its firmware with firmware-hooks (jm_sync, `sync` of jm_monitor), or set `sync: none` under `trigger:`',
      cause,
    });
  let lines: string[];
  try {
    lines = await dut.command(`sync ${order} ${chip_us}`, answer_ms + slack * pattern_ms);
  } catch (error) {
    if (error instanceof DeviceError && error.code === 'dut.error') {
      throw refuse(`the DUT cannot play the sync pattern: ${error.message}`, error);
    }
    throw error;
  }
  if (!lines.some((line) => line.trim() === 'm-sync-done')) {
    throw refuse('the DUT does not say that it has played the sync pattern');
  }
}
