import fc from 'fast-check';
import stringWidth from 'string-width';
import { describe, expect, it } from 'vitest';
import { renderScoreTable, terminalStyle } from '../../src/report/terminal-table.ts';
import { scoreDocument } from '../support/score-document.ts';

const plain = { columns: 80, color: false };
const widths = (text: string) => text.split('\n').map((line) => stringWidth(line));

describe('renderScoreTable', () => {
  it('shows every window with its figures, one unit a column', () => {
    const text = renderScoreTable(scoreDocument({ overrides: { simulated: false } }), plain);
    const lines = text.split('\n');
    const heading = lines.findIndex((line) => line.includes('energy/inf'));
    expect(lines[heading]!.trim().split(/\s+/)).toEqual([
      '#',
      'start',
      'duration',
      'energy',
      'power',
      'inferences',
      'energy/inf',
      'inf/s',
    ]);
    expect(lines[heading + 1]!.trim().split(/\s+/)).toEqual(['s', 's', 'mJ', 'mW', 'uJ']);
    expect(lines[heading + 2]!.trim().split(/\s+/)).toEqual([
      '0',
      '2.400',
      '10.020',
      '97.824',
      '9.763',
      '940',
      '104.07',
      '93.81',
    ]);
    expect(text).toMatch(/^median .* 104\.18 /m);
    expect(text).not.toContain('SIMULATED');
  });

  it('says what is known and what is not', () => {
    const text = renderScoreTable(scoreDocument(), plain);
    expect(text).toContain('Energy/inf  104.18 uJ (u unknown)');
    expect(text).toContain('Top-1       91.60 ± 0.87 %');
    expect(text).toContain('4.210 ± 0.012 mW, low-quantile/1');
    expect(text).toContain('4.260 mW (u unknown), two-cluster/1');
    expect(text).toContain('58.800 uJ per inference above 4.260 mW (two-cluster/1)');
    expect(text).toContain('Total       592.5 mJ in 78.55 s (489.6 mJ in windows, 102.8 mJ outside)');
    expect(text).toContain('voltage.assumed: The instrument measures no voltage');
  });

  it('marks a simulated run', () => {
    expect(renderScoreTable(scoreDocument(), plain)).toMatch(/^SIMULATED {3}No real device was measured/m);
  });

  it('compares a simulated run with its truth', () => {
    const document = scoreDocument({ windows: 2 });
    document.windows[0]!.truth = { energy_uJ: 1, error_rel: -0.002, tolerance_rel: 0.001 };
    document.windows[1]!.truth = { energy_uJ: 1, error_rel: 0.0001, tolerance_rel: 0.001 };
    expect(renderScoreTable(document, plain)).toContain('1 of 2 windows within their tolerance; largest error 0.200 %');
  });

  it('gives the reason in place of the figures when there is none', () => {
    const refusal = { code: 'edges.odd', message: 'An odd number of edges.' };
    const text = renderScoreTable(scoreDocument({ windows: 0, overrides: { refusal } }), plain);
    expect(text).toContain('NO FIGURE   An odd number of edges. (edges.odd)');
    expect(text).not.toContain('Energy/inf');
  });

  it('names each gate that is not met', () => {
    const gates = [
      { id: 'a', demand: 'five windows', found: '4', met: false },
      { id: 'b', demand: 'AUC of 0.85', found: 'unknown', met: null },
    ];
    const text = renderScoreTable(scoreDocument({ overrides: { gates } }), plain);
    expect(text).toContain('NOT MET: five windows; found 4');
    expect(text).toContain('unknown: AUC of 0.85; found unknown');
  });

  it('shows unknown where a window lacks a figure', () => {
    const document = scoreDocument({ windows: 1 });
    Object.assign(document.windows[0]!, { inferences: null, energyPerInference_uJ: null, throughput_ips: null });
    expect(renderScoreTable(document, plain)).toMatch(/unknown +unknown +unknown/);
  });

  it('summarises thousands of windows', () => {
    const text = renderScoreTable(scoreDocument({ windows: 10_000, duration_s: 0.01 }), plain);
    expect(text.split('\n').length).toBeLessThan(45);
    expect(text).toContain('10000 windows; the first 5 are shown');
    for (const label of ['min', 'median', 'max', 'spread']) expect(text).toMatch(new RegExp(`^ *${label} `, 'm'));
  });

  it('fits the terminal, leaving columns out before it breaks lines', () => {
    const document = scoreDocument();
    for (const columns of [40, 50, 60, 72, 80, 132]) {
      expect(Math.max(...widths(renderScoreTable(document, { columns, color: true })))).toBeLessThanOrEqual(columns);
    }
    expect(renderScoreTable(document, { columns: 50, color: false })).toContain(
      'Left out for width: start, inferences',
    );
    expect(renderScoreTable(document, plain)).not.toContain('Left out');
  });

  it('uses escape codes only where colour is wanted', () => {
    expect(renderScoreTable(scoreDocument(), plain)).not.toContain('\u001b');
    expect(renderScoreTable(scoreDocument(), { columns: 80, color: true })).toContain('\u001b[1m');
  });

  it('makes any name harmless and keeps any width', () => {
    const anyText = fc
      .string({ unit: 'grapheme', maxLength: 60 })
      .map((text) => `${text}\u001b]0;x\u0007\u009b31m\u202e測定`);
    fc.assert(
      fc.property(anyText, fc.integer({ min: 40, max: 120 }), (text, columns) => {
        const document = scoreDocument({ windows: 1 });
        document.source.path = text;
        document.profile = text;
        document.warnings = [{ code: 'log.garbled', message: text }];
        document.gates = [{ id: text, demand: text, found: text, met: true }];
        const output = renderScoreTable(document, { columns, color: false });
        expect(output).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
        expect(Math.max(...widths(output))).toBeLessThanOrEqual(columns);
      }),
      { numRuns: 50 },
    );
  });
});

describe('terminalStyle', () => {
  it('colours a terminal', () => {
    expect(terminalStyle({ isTTY: true, columns: 120 }, {})).toEqual({ columns: 120, color: true });
  });

  it('honours NO_COLOR, a dumb terminal and a pipe', () => {
    expect(terminalStyle({ isTTY: true, columns: 120 }, { NO_COLOR: '1' }).color).toBe(false);
    expect(terminalStyle({ isTTY: true, columns: 120 }, { NO_COLOR: '' }).color).toBe(true);
    expect(terminalStyle({ isTTY: true }, { TERM: 'dumb' })).toEqual({ columns: 80, color: false });
    expect(terminalStyle({ columns: 200 }, {})).toEqual({ columns: 80, color: false });
  });
});
