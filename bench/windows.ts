/**
 * Sums over 5,000 windows of 10,000 samples in a trace of 100 M, by the pyramid, against NumPy slicing the same file
 * in the same run (Debian's python3-numpy). Prints ratios; the time to build the pyramid is stated too.
 */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { orderedSum } from '../src/signal/ordered-sum.ts';
import { Pyramid } from '../src/signal/pyramid.ts';

const samples = 100_000_000;
const windows = 5_000;
const length = 10_000;
const repeats = 5;
const numpyScript = `
import json, sys, time
import numpy as np
folder, length, repeats = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
trace = np.fromfile(folder + '/trace.f32', dtype=np.float32)
starts = np.fromfile(folder + '/starts.f64').astype(int)
best = 1e9
for _ in range(repeats):
    t = time.perf_counter()
    sums = [trace[a:a + length].sum(dtype=np.float64) for a in starts]
    best = min(best, time.perf_counter() - t)
print(json.dumps({'ms': best * 1e3, 'sums': [float(s) for s in sums]}))
`;

const folder = mkdtempSync(join(tmpdir(), 'joulemark-bench-'));
try {
  const trace = new Float32Array(samples);
  let state = 1;
  for (let k = 0; k < samples; k++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    trace[k] = 0.01 + (state >>> 8) * 1e-10;
  }
  const starts = new Float64Array(windows);
  for (let w = 0; w < windows; w++) starts[w] = Math.floor((w + 0.37) * ((samples - length) / windows));
  const file = openSync(join(folder, 'trace.f32'), 'w');
  const bytes = new Uint8Array(trace.buffer);
  for (let at = 0; at < bytes.length; at += 1 << 26) writeSync(file, bytes, at, Math.min(1 << 26, bytes.length - at));
  closeSync(file);
  const startsFile = openSync(join(folder, 'starts.f64'), 'w');
  writeSync(startsFile, new Uint8Array(starts.buffer));
  closeSync(startsFile);

  const build_ms = best(1, () => new Pyramid(trace));
  const pyramid = new Pyramid(trace);
  const sums = new Float64Array(windows);
  const pyramid_ms = best(repeats, () => {
    for (let w = 0; w < windows; w++) sums[w] = pyramid.sum(starts[w], starts[w] + length);
  });
  const direct_ms = best(repeats, () => {
    for (let w = 0; w < windows; w++) {
      if (orderedSum(trace, starts[w], starts[w] + length) !== sums[w]) throw new Error('the pyramid changed a sum');
    }
  });
  const view_ms = best(repeats, () => pyramid.view(1000));

  const numpy = spawnSync('/usr/bin/python3', ['-c', numpyScript, folder, String(length), String(repeats)], {
    encoding: 'utf8',
  });
  if (numpy.status !== 0) throw new Error(`NumPy did not run: ${numpy.stderr || numpy.error?.message}`);
  const { ms: numpy_ms, sums: numpySums } = JSON.parse(numpy.stdout) as { ms: number; sums: number[] };
  const worst = Math.max(...numpySums.map((sum, w) => Math.abs(sums[w] / sum - 1)));

  console.log(`5,000 windows of 10,000 samples over 100 M (best of ${repeats}):`);
  console.log(`  pyramid        ${pyramid_ms.toFixed(2)} ms`);
  console.log(`  ordered sum    ${direct_ms.toFixed(2)} ms (bit for bit the same sums)`);
  console.log(`  NumPy slicing  ${numpy_ms.toFixed(2)} ms (largest relative difference ${worst.toExponential(1)})`);
  console.log(`  NumPy / pyramid = ${(numpy_ms / pyramid_ms).toFixed(1)}`);
  console.log(
    `  building the pyramid took ${build_ms.toFixed(0)} ms; a view of everything in 1,000 bins takes ${view_ms.toFixed(3)} ms`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Least time of several runs, in ms. */
function best(times: number, work: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let k = 0; k < times; k++) {
    const start = performance.now();
    work();
    least = Math.min(least, performance.now() - start);
  }
  return least;
}
