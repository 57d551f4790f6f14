import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { DutEmulator, type DutFault, emulatedNetwork, IoManagerEmulator } from '../../src/dut/emulators/index.ts';
import { WorldServer } from '../../src/dut/emulators/world-server.ts';
import { virtualBenchmarks } from '../../src/dut/virtual/benchmarks.ts';
import { parseRig } from '../../src/rig/rig-file.ts';
import { runBenchmark } from '../../src/rig/run-benchmark.ts';
import { memoryPair } from '../../src/transport/memory.ts';
import { openPty } from '../../src/transport/pty.ts';
import { temporaryFolder } from '../support/energyrunner-folder.ts';
import { noPty } from '../support/pty.ts';

const { folder, remove } = temporaryFolder();
afterAll(remove);

let runs = 0;

/** A short energy run of an emulated DUT behind an UNO, measured by an emulated Monsoon, which sees no pin. */
async function run(faults: DutFault[] = []) {
  const pty = await openPty();
  const [boardToDut, behindBoard] = memoryPair('dut');
  const board = new IoManagerEmulator(pty.device, boardToDut, { kind: 'uno' });
  const world = new WorldServer();
  const emulator = new DutEmulator(behindBoard, {
    network: { ...emulatedNetwork(virtualBenchmarks.kws01), inference_s: 0.01 },
    mode: 'energy',
    baud: null,
    boot_s: 0.02,
    faults,
    outside: world,
    onEdge: (polarity, time_s) => board.edge(polarity, time_s),
  });
  await world.listen(pty.path, emulator);
  const rigText = `version: 1
profile: kws01
instrument: {family: monsoon, connection: emulated}
supply: {voltage_V: 3, max_voltage_V: 3.6}
dut: {name: a DUT on a PTY, connection: ${pty.path}, inferences: 40, via: io-manager}
trigger: {source: io-manager, sync: {chip_s: 4.0e-3}}
`;
  const path = join(folder, `run-${runs++}`);
  try {
    const { document } = await runBenchmark(parseRig(rigText, 'rig'), { folder: path, rigText });
    return { document, emulator };
  } finally {
    emulator.stop();
    board.stop();
    await world.close();
    await pty.device.close();
  }
}

describe.skipIf(noPty !== null).concurrent('a DUT that plays the sync pattern', () => {
  test('relates the timer of the IO manager to an instrument without a pin, and the pattern is no window', async () => {
    const { document, emulator } = await run();
    expect(document.refusal).toBeNull();
    expect(document.windows).toHaveLength(5);
    const [alignment] = document.alignments!;
    expect(alignment).toMatchObject({ edges: 'io-manager', samples: 'instrument', method: 'sync-pattern' });
    expect(alignment!.u_s).toBeLessThan(100e-6);
    expect(document.warnings.map(({ code }) => code)).not.toContain('clock.offset-unknown');
    for (const [k, { start_s, duration_s, truth, missingSamples, samples }] of document.windows.entries()) {
      const own = emulator.windows[k]!;
      const shift_s = document.windows[0]!.start_s - emulator.windows[0]!.start_s;
      expect(Math.abs(start_s - own.start_s - shift_s)).toBeLessThan(4 * alignment!.u_s! + 2e-6);
      expect(duration_s).toBeCloseTo(own.end_s - own.start_s, 4);
      if (truth === undefined) continue;
      expect(Math.abs(truth.error_rel!)).toBeLessThan(truth.tolerance_rel + missingSamples! / samples + 1e-3);
    }
  }, 60_000);

  test('that does not know the command ends the run with an error that says so', async () => {
    await expect(run([{ kind: 'error', at: 'sync', text: 'Unknown command: sync' }])).rejects.toMatchObject({
      code: 'dut.no-sync',
      message: expect.stringContaining('Unknown command: sync'),
    });
  }, 60_000);
});
