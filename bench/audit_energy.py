"""A straightforward single-process NumPy audit of EnergyRunner energy runs: the peer that bench/audit.ts measures against.

For each folder it does the arithmetic that Joulemark does: the accumulated grid, the windows, every printed field and both
medians to the printed digit; the number of inferences from the log; log against timestamps; the four-digit pattern and the
block length of LPM01A traces; the current against the range; windows of at least 10 s; a hash of the trace.
"""
import hashlib
import json
import re
import sys
import time
from pathlib import Path

import numpy as np

LINE = re.compile(r'^(\d+\.\d+) ([a-z-]+): (.*)$')
FIELDS = {
    'energy': re.compile(r'Energy\s+:\s+(\S+) uJ$'),
    'power': re.compile(r'Power\s+:\s+(\S+) uW$'),
    'per_inference': re.compile(r'Energy/Inf\.\s+:\s+(\S+) uJ/inf'),
    'count': re.compile(r'# Inferences\s+:\s+(\S+)'),
    'runtime': re.compile(r'Runtime\s+:\s+(\S+) sec'),
    'throughput': re.compile(r'Throughput\s+:\s+(\S+) inf'),
    'median_energy': re.compile(r'Median energy cost is (\S+) uJ/inf'),
    'median_throughput': re.compile(r'Median throughput is (\S+) inf'),
}


def read_log(path):
    counts, marks, voltage, passed = [], [], None, None
    for line in path.read_text(errors='replace').splitlines():
        match = LINE.match(line)
        if not match:
            continue
        at, source, text = float(match[1]), match[2], match[3]
        if source == 'io' and text == 'm-dut-passthrough(timestamp)':
            passed = at
        elif text.startswith('m-dut-passthrough(infer '):
            counts.append(int(text.split()[1]))
        elif 'm-infer-start-' in text or 'm-infer-done' in text:
            marks.append(at)
        elif text.startswith('m-voltage-mv['):
            voltage = int(text[13:-1])
    return counts, marks, voltage, passed


def audit(folder):
    data = (folder / 'trace1-energy.bin').read_bytes()
    sha = hashlib.sha256(data).hexdigest()
    rate = float(np.frombuffer(data[1:5], '<f4')[0])
    trace = np.frombuffer(data[5:], '<f4')
    stamps = json.loads((folder / 'trace1-timestamps.json').read_text())
    counts, marks, voltage, passed = read_log(folder / 'log.txt')
    printed = {name: [] for name in FIELDS}
    for line in (folder / 'results.txt').read_text().splitlines():
        for name, pattern in FIELDS.items():
            found = pattern.search(line)
            if found:
                printed[name].append(found[1])

    grid = np.cumsum(np.full(len(trace), 1 / rate))  # sequential, as published
    grid = np.concatenate(([0.0], grid))
    exact = True
    energies, throughputs = [], []
    for k, w in enumerate(range(2, len(stamps), 2)):
        t0, t1 = stamps[w - 1], stamps[w]
        a = np.searchsorted(grid, t0, side='right') - 1
        b = np.searchsorted(grid, t1, side='right') - 1
        energy = 1000 / rate * float(np.sum(trace[a + 1:b + 1], dtype=np.float64))
        n = counts[k]
        energies.append(energy / n)
        throughputs.append(n / (t1 - t0))
        exact &= f'{energy:.3f}' == printed['energy'][k]
        exact &= f'{energy / (grid[b] - grid[a]):.3f}' == printed['power'][k]
        exact &= f'{energy / n:.3f}' == printed['per_inference'][k]
        exact &= f'{t1 - t0:.3f}' == printed['runtime'][k]
        exact &= f'{n / (t1 - t0):.3f}' == printed['throughput'][k]
    exact &= f'{np.median(energies):.3f}' == printed['median_energy'][0]
    exact &= f'{np.median(throughputs):.3f}' == printed['median_throughput'][0]

    four_digits = bool(np.all(np.char.mod('%.3e', trace).astype(np.float32) == trace))
    blocks = len(trace) % 1024 == 0
    over = int(np.sum(trace / (voltage / 1000) > 50))
    offset = passed - stamps[0]
    aligned = all(abs(mark - offset - stamps[1 + i]) < 0.25 for i, mark in enumerate(marks))
    long_enough = all(stamps[w] - stamps[w - 1] >= 10 for w in range(2, len(stamps), 2))
    return exact, four_digits, blocks, over, aligned, long_enough, sha


if __name__ == '__main__':
    folders = sorted(path.parent for path in Path(sys.argv[1]).rglob('trace1-energy.bin'))
    start = time.perf_counter()
    answers = [audit(folder) for folder in folders]
    seconds = time.perf_counter() - start
    print(json.dumps({'seconds': seconds, 'exact': sum(answer[0] for answer in answers), 'runs': len(folders)}))
