import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadAccuracySheet, rangesOf } from '../../src/instruments/accuracy-sheet.ts';

const families = readdirSync(new URL('../../calibration/instruments/', import.meta.url))
  .filter((name) => name.endsWith('.json'))
  .map((name) => name.slice(0, -5));

describe('accuracy sheets', () => {
  it.each(families)('%s: every figure has a source or is null, and the ranges are numbered', (family) => {
    const sheet = loadAccuracySheet(family);
    expect(sheet.family).toBe(family);
    expect(new Set(sheet.ranges.map(({ index }) => index)).size).toBe(sheet.ranges.length);
    for (const range of rangesOf(sheet)) expect(range.noise_A === null || range.noise_A > 0).toBe(true);
  });

  it('of the PPK2 gives typical figures, which are no limits, and no noise', () => {
    const sheet = loadAccuracySheet('ppk2');
    expect(sheet.ranges.map((range) => range.gain_rel.value)).toEqual([0.1, 0.1, 0.1, 0.1, 0.15]);
    expect(sheet.ranges[0]!.gain_rel).toMatchObject({ kind: 'typical' });
    expect(rangesOf(sheet)[4]).toEqual({
      index: 4,
      name: 'range 4',
      fullScale_A: null,
      resolution_A: 1e-3,
      noise_A: null,
    });
  });
});
