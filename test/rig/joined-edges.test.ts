import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { openRunFolder } from '../../src/capture/run-folder.ts';
import { openLogicRecording } from '../../src/dut/triggers/index.ts';
import { Random } from '../../src/plant/random.ts';
import { withRecordedEdges } from '../../src/rig/joined-edges.ts';
import { parseRig } from '../../src/rig/rig-file.ts';
import { runBenchmark } from '../../src/rig/run-benchmark.ts';
import { scoreRecording } from '../../src/scoring/score.ts';
import type { WindowTruth } from '../../src/signal/recording.ts';
import { temporaryFolder } from '../support/energyrunner-folder.ts';
import { saleaeCsvOf, vcdOf, type Wire } from '../support/logic-recording.ts';

const { folder, remove } = temporaryFolder();
afterAll(remove);

let runs = 0;

/** A run in virtual time, with the exact times of its windows. */
async function run(rigText = 'version: 1\nprofile: per-inference\ninferences: 60\n') {
  const path = join(folder, `run-${runs++}`);
  await runBenchmark(parseRig(rigText, 'rig'), { folder: path, rigText });
  const recording = await openRunFolder(path);
  const truths: WindowTruth[] = [];
  for await (const truth of recording.truth()) truths.push(truth);
  return { path, recording, truths };
}

/** High inside each window. */
const wireOf = (truths: readonly { start_s: number; end_s: number }[]): Wire => ({
  isHigh: false,
  changes_s: truths.flatMap(({ start_s, end_s }) => [start_s, end_s]),
});

const analyser = { skew: 50e-6, offset_s: 12.345678 };

function fileOf(name: string, content: string): string {
  const path = join(folder, `${runs++}-${name}`);
  writeFileSync(path, content);
  return path;
}

describe('a run folder joined with the recording of a logic analyser', () => {
  test.each([
    ['VCD', vcdOf, 'D3'],
    ['Saleae CSV', saleaeCsvOf, 'Channel 0'],
  ])('in a %s has its windows where the edges truly were, within 3u', async (_, format, line) => {
    const { path, recording, truths } = await run();
    const before = readFileSync(join(path, 'manifest.json'), 'utf8');
    const lines = { other: { isHigh: true, changes_s: [1, 2, 3] }, [line]: wireOf(truths) };
    const logic = await openLogicRecording(fileOf('edges', format(lines, analyser)));
    const { document } = await scoreRecording(withRecordedEdges(recording, logic, line));
    const [alignment] = document.alignments!;
    expect(alignment).toMatchObject({ edges: 'logic-analyser', samples: 'instrument', method: 'shared-pulses' });
    expect(Math.abs(alignment!.skew_ppm + 50)).toBeLessThan(4 * alignment!.u_skew_ppm);
    expect(alignment!.u_s).toBeLessThan(10e-6);
    expect(document.windows).toHaveLength(60);
    document.windows.forEach((window, k) => {
      const { start_s, end_s } = truths[k]!;
      expect(Math.abs(window.start_s - start_s)).toBeLessThan(3 * alignment!.u_s!);
      // The clock's rate alone enters the length: finer than the instrument's own samples of 50 us.
      expect(Math.abs(window.duration_s - (end_s - start_s))).toBeLessThan(1e-6);
      expect(Math.abs(window.truth!.error_rel)).toBeLessThan(window.truth!.tolerance_rel);
    });
    expect(document.provenance.trigger).toMatchObject({ kind: 'recording', isCoarse: false });
    expect(readFileSync(join(path, 'manifest.json'), 'utf8')).toBe(before);
  });

  test('takes windows of equal length, and leaves out what the recording shows before and after the trace', async () => {
    const { recording } = await run('version: 1\nprofile: kws01\n');
    const own = (await scoreRecording(recording)).document;
    const falls_s: number[] = [];
    for await (const { edges } of recording.edges()) {
      for (const { polarity, tick } of edges) if (polarity === 'fall') falls_s.push(tick / recording.clocks[0]!.tickHz);
    }
    // Pulses of the boot, and the line that follows the supply.
    const all_s = [-3, -2.2, -1.4, ...falls_s.sort((a, b) => a - b), falls_s.at(-1)! + 20];
    const wire = { isHigh: true, changes_s: all_s.flatMap((at_s) => [at_s, at_s + 50e-6]) };
    const logic = await openLogicRecording(fileOf('kws.vcd', vcdOf({ trigger: wire }, analyser)));
    const { document } = await scoreRecording(withRecordedEdges(recording, logic, 'trigger'));
    expect(document.refusal).toBeNull();
    expect(document.windows).toHaveLength(5);
    document.windows.forEach((window, k) => {
      expect(Math.abs(window.start_s - own.windows[k]!.start_s)).toBeLessThan(
        3 * document.alignments![0]!.u_s! + 50e-6,
      );
    });
  });

  test('finds the sync pattern of the current on a line of the recording, where the instrument has no pin', async () => {
    const { recording } = await run(`version: 1
profile: per-inference
inferences: 20
instrument: {family: monsoon, connection: emulated}
dut: {model: vww01}
`);
    const own = (await scoreRecording(recording)).document;
    const wires: Record<string, { isHigh: boolean; changes_s: number[] }> = {};
    let zero: number | null = null;
    for await (const { edges } of recording.edges()) {
      for (const { channel, tick } of edges) {
        zero ??= tick;
        const wire = channel === 'sync' ? 'sync' : 'D5';
        wires[wire] ??= { isHigh: false, changes_s: [] };
        wires[wire].changes_s.push((tick - zero) / 1e9);
      }
    }
    const logic = await openLogicRecording(fileOf('sync.vcd', vcdOf(wires, analyser)));
    const { document } = await scoreRecording(withRecordedEdges(recording, logic, 'D5'));
    const [alignment] = document.alignments!;
    expect(alignment).toMatchObject({ edges: 'logic-analyser', method: 'sync-pattern' });
    expect(document.windows).toHaveLength(20);
    document.windows.forEach(({ start_s }, k) => {
      const u_s = Math.hypot(alignment!.u_s!, own.alignments![0]!.u_s!);
      expect(Math.abs(start_s - own.windows[k]!.start_s)).toBeLessThan(3 * u_s);
    });
  });

  test('that saw other pulses is refused: nothing relates the two clocks', async () => {
    const { recording } = await run();
    const random = new Random(5);
    let at_s = 0;
    const changes_s = Array.from({ length: 120 }, () => {
      at_s += random.between(0.01, 0.2);
      return at_s;
    });
    const logic = await openLogicRecording(fileOf('other.vcd', vcdOf({ D0: { isHigh: false, changes_s } }, analyser)));
    const scored = scoreRecording(withRecordedEdges(recording, logic)).then(({ document }) => document.refusal);
    expect(await scored.catch((error) => error)).toMatchObject({ code: 'clocks.unrelated' });
  });

  test('is refused for a line that is not there, a recording that is too coarse, and another tool', async () => {
    const { recording, truths } = await run();
    const logic = await openLogicRecording(fileOf('a.vcd', vcdOf({ trigger: wireOf(truths) }, analyser)));
    expect(() => withRecordedEdges(recording, logic)).toThrow(/there is no line D0/);
    const slow = await openLogicRecording(
      fileOf('b.vcd', '$timescale 1 s $end\n$var wire 1 ! D0 $end\n$enddefinitions $end\n'),
    );
    expect(() => withRecordedEdges(recording, slow)).toThrow(/it sees pulses of 1000000 us and more/);
    expect(() => withRecordedEdges({ ...recording, format: 'energyrunner' }, logic)).toThrow(/no run folder/);
  });
});
