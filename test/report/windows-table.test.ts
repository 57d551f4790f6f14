import { describe, expect, it } from 'vitest';
import { windowsCsv, windowsTable } from '../../src/report/windows-table.ts';
import { scoreDocument } from '../support/score-document.ts';

describe('windowsTable', () => {
  it('has a row a window and the names of the result JSON', () => {
    const document = scoreDocument({ windows: 3 });
    const table = windowsTable(document);
    expect(table.numRows()).toBe(3);
    expect(table.columnNames().slice(0, 5)).toEqual(['index', 'start_s', 'duration_s', 'runtime_s', 'energy_uJ']);
    expect(table.get('energyPerInference_uJ', 2)).toBe(document.windows[2]!.energyPerInference_uJ);
  });

  it('carries net energy and truth only where some window has them', () => {
    const document = scoreDocument({ windows: 2 });
    expect(windowsTable(document).columnNames()).not.toContain('truth_error_rel');
    document.windows[1]!.truth = { energy_uJ: 97_800, error_rel: 1e-5, tolerance_rel: 1e-3 };
    document.windows[0]!.netEnergy_uJ = 12;
    const table = windowsTable(document);
    expect(table.array('truth_error_rel')).toEqual([null, 1e-5]);
    expect(table.array('netEnergy_uJ')).toEqual([12, null]);
  });

  it('holds no row for a refused score', () => {
    expect(windowsTable(scoreDocument({ windows: 0 })).numRows()).toBe(0);
  });
});

describe('windowsCsv', () => {
  it('reads back to the same float64 numbers, and unknown is an empty field', () => {
    const document = scoreDocument({ windows: 50 });
    document.windows[3]!.inferences = null;
    const [heading, ...lines] = windowsCsv(document).trimEnd().split('\n');
    const names = heading!.split(',');
    expect(lines).toHaveLength(50);
    lines.forEach((line, k) => {
      const cells = line.split(',');
      expect(Number(cells[names.indexOf('energy_uJ')])).toBe(document.windows[k]!.energy_uJ);
      expect(Number(cells[names.indexOf('start_s')])).toBe(document.windows[k]!.start_s);
    });
    expect(lines[3]!.split(',')[names.indexOf('inferences')]).toBe('');
  });

  it('quotes what RFC 4180 wants quoted', () => {
    const document = scoreDocument({ windows: 1 });
    document.windows[0]!.method = 'a,"b"\nc';
    expect(windowsCsv(document)).toContain('"a,""b""\nc"');
  });

  it('has a heading even without windows', () => {
    expect(windowsCsv(scoreDocument({ windows: 0 }))).toMatch(/^index,start_s,[^\n]*\n$/);
  });
});
