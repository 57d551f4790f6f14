import { writeSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { CaptureWriter } from '../../src/capture/capture-writer.ts';
import type { Chunk } from '../../src/signal/types.ts';
import { block, edge, header, logLine, polledBlock, rigFile } from './support.ts';

/** Milliseconds of the writer's clock between two chunks. */
export const chunkStep_ms = 5;

/** Chunk number i of a run that never ends. */
export function chunkAt(i: number): Chunk {
  const tick = i * 200;
  switch (i % 8) {
    case 1:
      return { kind: 'edges', edges: [edge(tick, i), edge(tick + 0.5, i + 1)] };
    case 3:
      return logLine(i / 200, 'dut', `chunk ${i} µ\n`);
    case 5:
      return { kind: 'gap', stream: 'main', firstTick: tick, count: 100, cause: 'dropped' };
    case 7:
      return polledBlock(i * 1e7, 3);
    default:
      return block(tick, 100);
  }
}

/** A process that writes a capture until it is killed, and says after each chunk that it was pushed. */
function writeUntilKilled(folder: string): void {
  let now_ms = 0;
  const writer = CaptureWriter.create(folder, header, [rigFile], { now_ms: () => now_ms });
  for (let i = 0; ; i++) {
    now_ms = i * chunkStep_ms;
    writer.push(chunkAt(i));
    writeSync(1, `${i}\n`);
  }
}

const [, script, folder] = process.argv;
if (script !== undefined && folder !== undefined && pathToFileURL(script).href === import.meta.url) {
  writeUntilKilled(folder);
}
