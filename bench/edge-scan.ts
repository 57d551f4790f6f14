/**
 * Edges of a trigger line in 100 M samples, against NumPy's `flatnonzero(diff)` over the same samples in the same run
 * (Debian's python3-numpy). One bit a sample, as a logic recording stores it (NumPy is given the unpacked bytes, which
 * is what it can work on), and one byte a sample, as blocks carry it. Prints ratios.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { scanByteChanges, scanPackedChanges } from '../src/signal/bit-changes.ts';

const samples = 100_000_000;
/** A window of 1,000 samples every 2,000: 1 kHz inferences at 2 MS/s. */
const halfPeriod = 1_000;
const repeats = 5;
const numpyScript = `
import json, sys, time
import numpy as np
folder, repeats = sys.argv[1], int(sys.argv[2])
logic = np.fromfile(folder + '/logic.u8', dtype=np.uint8)
best = 1e9
for _ in range(repeats):
    t = time.perf_counter()
    edges = np.flatnonzero(np.diff(logic))
    best = min(best, time.perf_counter() - t)
print(json.dumps({'ms': best * 1e3, 'n': len(edges), 'sum': float((edges + 1).sum())}))
`;

const folder = mkdtempSync(join(tmpdir(), 'joulemark-bench-'));
try {
  const logic = new Uint8Array(samples);
  const packed = new Uint8Array(samples / 8);
  let state = 1;
  for (let from = 0, level = 0; from < samples; level ^= 1) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    const to = Math.min(samples, from + halfPeriod + ((state >>> 16) % 64));
    if (level === 1) {
      logic.fill(1, from, to);
      for (let k = from; k < to; k++) packed[k >> 3]! |= 1 << (k & 7);
    }
    from = to;
  }
  const file = openSync(join(folder, 'logic.u8'), 'w');
  for (let at = 0; at < samples; at += 1 << 26) writeSync(file, logic, at, Math.min(1 << 26, samples - at));
  closeSync(file);

  let found: number[] = [];
  const packed_ms = best(() => {
    found = [];
    scanPackedChanges(packed, samples, -1, found);
  });
  const fromBits = found;
  const bytes_ms = best(() => {
    found = [];
    scanByteChanges(logic, 1, -1, found);
  });
  if (found.length !== fromBits.length || found.some((at, k) => at !== fromBits[k]))
    throw new Error('the scans differ');

  const numpy = spawnSync('/usr/bin/python3', ['-c', numpyScript, folder, String(repeats)], { encoding: 'utf8' });
  if (numpy.status !== 0) throw new Error(`NumPy did not run: ${numpy.stderr || numpy.error?.message}`);
  const theirs = JSON.parse(numpy.stdout) as { ms: number; n: number; sum: number };
  if (theirs.n !== found.length || theirs.sum !== found.reduce((sum, at) => sum + at, 0)) {
    throw new Error(`NumPy found ${theirs.n} edges, we found ${found.length}`);
  }
  console.log(`${found.length} edges in 100 M samples (best of ${repeats}), the same ones as NumPy:`);
  console.log(`  one bit a sample    ${packed_ms.toFixed(1)} ms, NumPy / this = ${(theirs.ms / packed_ms).toFixed(1)}`);
  console.log(`  one byte a sample   ${bytes_ms.toFixed(1)} ms, NumPy / this = ${(theirs.ms / bytes_ms).toFixed(1)}`);
  console.log(`  NumPy flatnonzero(diff) ${theirs.ms.toFixed(1)} ms`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Least time of several runs, in ms. */
function best(work: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let k = 0; k < repeats; k++) {
    const start = performance.now();
    work();
    least = Math.min(least, performance.now() - start);
  }
  return least;
}
