import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findEnergyRunnerFiles } from '../../../src/capture/formats/energyrunner/files.ts';
import { detectFormat, openRecording } from '../../../src/capture/formats/index.ts';
import { parseResultsJson } from '../../../src/capture/formats/mlcommons/results-json.ts';
import { logText, temporaryFolder, traceBytes, writeSession } from '../../support/energyrunner-folder.ts';

let folder: string;
let remove: () => void;
beforeEach(() => ({ folder, remove } = temporaryFolder()));
afterEach(() => remove());

const write = (name: string, text: string | Buffer) => writeFileSync(join(folder, name), text);

describe('detectFormat', () => {
  it('judges by content, not by names that both runners use', async () => {
    write('log.txt', logText([1]));
    expect((await detectFormat(folder)).id).toBe('energyrunner');
    write('log.txt', 'Logging initialized. Writing output to x\n');
    expect((await detectFormat(folder)).id).toBe('mlcommons-tiny');
    write('log.txt', 'hello\n');
    await expect(detectFormat(folder)).rejects.toMatchObject({ code: 'recording.unknown' });
    write('results.txt', 'Power Edition Output\n');
    expect((await detectFormat(join(folder, 'results.txt'))).id).toBe('mlcommons-tiny');
    write('results.txt', '00001.000 ulp-ml: Energy data for window 2 at time 9.08 for 0.10 sec.:\n');
    expect((await detectFormat(folder)).id).toBe('energyrunner');
  });

  it('knows a trace by its first byte, whatever its name', async () => {
    write('odd.bin', traceBytes([1]));
    expect((await detectFormat(join(folder, 'odd.bin'))).id).toBe('energyrunner');
  });

  it('does not take a file for the recording that lies beside it', async () => {
    writeSession(folder);
    write('notes.md', 'hello');
    await expect(detectFormat(join(folder, 'notes.md'))).rejects.toMatchObject({ code: 'recording.unknown' });
  });

  it('names the folders in which the recording may be', async () => {
    mkdirSync(join(folder, 'energy'));
    await expect(detectFormat(folder)).rejects.toThrow('Found: energy/');
  });

  it('takes no socket or pipe for a file, because opening one can block', async () => {
    writeSession(folder, {}, ['log']);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(folder, 'log.txt'), resolve));
    try {
      expect((await findEnergyRunnerFiles(folder)).log).toBeNull();
      await expect(detectFormat(join(folder, 'log.txt'))).rejects.toMatchObject({ code: 'file.unreadable' });
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });
});

describe('openRecording of a results.json', () => {
  it('gives a stream, a clock and edges a trial', async () => {
    const power = {
      samples: [1e-5, 2e-5, 3e-5],
      timestamps: [
        ['09', 1],
        ['10', 3],
      ],
      voltage: 3,
    };
    write(
      'results.json',
      `${JSON.stringify([{ file: 'a.bin', class: '7', infer: { results: [0, 1] }, power }, { power }])}\n`,
    );
    const recording = await openRecording(folder);
    expect(recording.streams.map((stream) => [stream.id, stream.clock, stream.precision])).toEqual([
      ['trial-0', 'trial-0', 'f64'],
      ['trial-1', 'trial-1', 'f64'],
    ]);
    const blocks = [];
    for await (const block of recording.samples()) blocks.push(block);
    expect(blocks[1]).toMatchObject({ stream: 'trial-1', length: 3, energy: Float64Array.from([1e-5, 2e-5, 3e-5]) });
    const edges = [];
    for await (const batch of recording.edges()) edges.push(...batch.edges);
    expect(edges.map((edge) => [edge.clock, edge.tick, edge.seq])).toEqual([
      ['trial-0', 1, 9],
      ['trial-0', 3, 10],
      ['trial-1', 1, 9],
      ['trial-1', 3, 10],
    ]);
    const results = [];
    for await (const result of recording.results()) results.push(result);
    expect(results).toEqual([{ input: 'a.bin', scores: [0, 1], label: 7 }]);
  });

  it('takes odd values beside the samples as unknown', () => {
    const text =
      '[{"infer":{"iterations":"5","results":null},"power":{"samples":[1],"timestamps":[],"voltage":"3 V"}}]';
    expect(parseResultsJson(text, 'x')).toMatchObject([{ iterations: null, results: [], power: { voltage: null } }]);
  });
});
