import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openEnergyRunner } from '../../../../src/capture/formats/energyrunner/index.ts';
import { LogParser } from '../../../../src/capture/formats/energyrunner/log.ts';
import { type EnergyRunnerSession, SessionGatherer } from '../../../../src/capture/formats/energyrunner/session.ts';
import { linesOf } from '../../../../src/capture/formats/lines.ts';
import { fiveWindows, logText, temporaryFolder, writeSession } from '../../../support/energyrunner-folder.ts';

function gather(text: string): EnergyRunnerSession {
  const parser = new LogParser();
  const gatherer = new SessionGatherer();
  for (const line of linesOf(text)) for (const entry of parser.push(line)) gatherer.push(entry);
  return gatherer.result(parser.counts);
}

describe('SessionGatherer', () => {
  it('gathers what a log says of its session', () => {
    expect(gather(logText([100, 200]))).toMatchObject({
      sessionId: '20240101120000',
      runnerVersion: '3.0.10',
      runName: 'ML Energy 1.0.1',
      benchmarkCode: 'ulp-ml',
      config: { runMode: 'bmark', iterInfer: '100' },
      instrument: 'lpm01a',
      voltage_mV: 3000,
      dropped: null,
      dutName: 'made up',
      dutModel: 'kws01',
      errors: [],
      calls: [
        { inferences: 100, warmups: 1, from: 'command', file: '/data/kws01/input_0.bin' },
        { inferences: 200, warmups: 1, from: 'command', file: '/data/kws01/input_1.bin' },
      ],
    });
  });

  it('takes the times of start and end from the DUT', () => {
    const { calls, traceOn_s, traceOff_s, handshake_s } = gather(logText([100]));
    expect(calls[0]!.start_s).toBeGreaterThan(calls[0]!.command_s);
    expect(calls[0]!.done_s).toBeGreaterThan(calls[0]!.start_s!);
    expect(traceOn_s).toBeLessThan(handshake_s!);
    expect(handshake_s).toBeLessThan(traceOff_s!);
  });

  it('counts an input once, whichever of its lines the log lost', () => {
    const text = logText([100, 200, 300]);
    const without = (pattern: RegExp) => gather(text.replace(pattern, '')).calls.map((call) => call.inferences);
    expect(without(/.*Command "io dut infer 200 1".*\n/)).toEqual([100, 200, 300]);
    expect(without(/.*m-dut-passthrough\(infer 200 1\).*\n/)).toEqual([100, 200, 300]);
    expect(without(/.*m-infer-start-200.*\n/)).toEqual([100, 200, 300]);
    expect(without(/.*(?:Command "io dut infer 200 1"|passthrough\(infer 200).*\n/g)).toEqual([100, 200, 300]);
  });
});

describe('openEnergyRunner', () => {
  let folder: string;
  let remove: () => void;
  beforeEach(() => ({ folder, remove } = temporaryFolder()));
  afterEach(() => remove());

  it('gives one stream of energy, the edges in seconds, the log and the answers of the DUT', async () => {
    writeSession(folder);
    const recording = await openEnergyRunner(folder);
    expect(recording.streams).toMatchObject([{ id: 'energy', quantities: ['energy'], scale: { energy: 1e-6 } }]);
    expect(recording.clocks.map((clock) => [clock.id, clock.tickHz])).toEqual([
      ['trace', 1000],
      ['timestamps', 1],
    ]);
    let samples = 0;
    for await (const chunk of recording.samples()) {
      if (chunk.kind !== 'block') throw new Error('an EnergyRunner trace holds no gaps');
      expect(chunk.firstTick).toBe(samples);
      samples += chunk.length;
    }
    expect(samples).toBe(fiveWindows.values.length);
    const ticks: number[] = [];
    for await (const batch of recording.edges()) ticks.push(...batch.edges.map((edge) => edge.tick));
    expect(ticks).toEqual(fiveWindows.timestamps);
    const results = [];
    for await (const result of recording.results()) results.push(result);
    expect(results[4]).toEqual({ input: 'input_4.bin', scores: [0.1, 0.9], label: null });
    const log = [];
    for await (const line of recording.log()) log.push(line);
    expect(log.some((line) => line.source === 'dut' && line.text === 'm-warmup-done')).toBe(true);
  });

  it('opens a folder with half its files, and says which are missing', async () => {
    writeFileSync(join(folder, 'log.txt'), logText([100]));
    const recording = await openEnergyRunner(folder);
    expect(recording).toMatchObject({ trace: null, timestamps: null, streams: [], clocks: [] });
    expect(recording.session?.calls).toHaveLength(1);
    expect(recording.warnings.map((each) => each.code)).toEqual(['results.missing']);
  });
});
