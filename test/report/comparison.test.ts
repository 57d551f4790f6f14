import { describe, expect, it } from 'vitest';
import { renderComparison } from '../../src/report/comparison.ts';
import type { ScoreDocument } from '../../src/scoring/score-document.ts';
import { scoreDocument } from '../support/score-document.ts';

function run(path: string, energyPerInference_uJ: number, overrides: Partial<ScoreDocument> = {}): ScoreDocument {
  return scoreDocument({
    energyPerInference_uJ,
    overrides: { simulated: false, source: { format: 'joulemark-run', path }, ...overrides },
  });
}

function visible(documents: ScoreDocument[]): string {
  return renderComparison(documents, { generatedBy: 'Joulemark test' })
    .replace(/<(script|style)[\s\S]*?<\/\1>/g, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ');
}

const chartsOf = (documents: ScoreDocument[]) =>
  renderComparison(documents, { generatedBy: 'Joulemark test' }).match(/<figure data-chart/g)?.length ?? 0;

describe('renderComparison', () => {
  it('puts runs of one benchmark side by side, with the ratio of their medians', () => {
    const text = visible([run('runs/a', 100), run('runs/b', 125)]);
    expect(text).toContain('a 5 99.98 reference');
    expect(text).toContain('b 5 124.98 1.2500');
    expect(text).toContain('The runs are of one benchmark and were sliced by one rule.');
    expect(chartsOf([run('runs/a', 100), run('runs/b', 125)])).toBe(1);
  });

  it('keeps different benchmarks apart and gives no ratio between them', () => {
    const documents = [run('runs/a', 100), run('runs/b', 5000, { profile: 'ic01' })];
    const text = visible(documents);
    expect(text).toContain('The runs are of different benchmarks (kws01, ic01).');
    expect(text).not.toContain('reference');
    expect(chartsOf(documents)).toBe(2);
  });

  it('keeps simulated runs apart from real ones, and says so at the top', () => {
    const documents = [run('runs/a', 100), run('runs/b', 90, { simulated: true })];
    const text = visible(documents);
    expect(text).toContain('SIMULATED runs are among these (1 of 2)');
    expect(text).toContain('Some runs are simulated, and others are not or do not say.');
    expect(text).not.toContain('reference');
    expect(chartsOf(documents)).toBe(2);
  });

  it('gives no ratio where the benchmark is not known', () => {
    const text = visible([run('a', 100, { profile: null }), run('b', 90, { profile: null })]);
    expect(text).toContain('it cannot be told whether the runs did the same');
    expect(text).not.toContain('reference');
  });

  it('names runs without a figure, unmet demands and different slicing rules', () => {
    const refusal = { code: 'edges.odd', message: 'An odd number of edges.' };
    const unmet = run('runs/c', 101, { gates: [{ id: 'g', demand: 'x', found: 'y', met: false }] });
    unmet.windows[0]!.method = 'proportional/1';
    const text = visible([run('runs/a', 100, { refusal }), run('runs/b', 100), unmet]);
    expect(text).toContain('a has no figure: An odd number of edges. (edges.odd)');
    expect(text).toMatch(/ a 5 no figure .* b 5 99\.98 reference/);
    expect(text).toContain('A demand of the profile is not met by: c.');
    expect(text).toContain('kws01: the windows were sliced by different rules (guard-band/1, proportional/1).');
  });

  it('lists the facts in which the runs differ, and only those', () => {
    const text = visible([
      run('a', 100, { provenance: { supply: { voltage_V: 3 }, dut: { name: 'X' } } }),
      run('b', 100, { provenance: { supply: { voltage_V: 1.8 }, dut: { name: 'X' }, seed: 1 } }),
    ]);
    expect(text).toContain('supply.voltage_V 3 1.8');
    expect(text).toContain('seed not stated 1');
    expect(text).not.toContain('dut.name');
  });

  it('gives runs of the same name more of their path, and the same path a number', () => {
    const text = visible([run('x/run', 100), run('y/run', 100), run('x/run', 100)]);
    expect(text).toContain('x/run 5');
    expect(text).toContain('y/run 5');
    expect(text).toContain('x/run (2) 5');
  });

  it('names replayed run folders, which all call themselves `.`, by the paths they were read from', () => {
    const page = renderComparison([run('.', 100), run('.', 101)], { generatedBy: 'x', paths: ['./A/', 'other/B'] });
    expect(page).toContain('<th scope="row">A</th>');
    expect(page).toContain('<th scope="row">B</th>');
  });

  it('shows hostile names as text', () => {
    const page = renderComparison([run('<script>alert(1)', 100), run('b', 100)], {
      generatedBy: 'x',
    });
    expect(page.includes('<script>alert')).toBe(false);
    expect(page.includes('&lt;script&gt;alert')).toBe(true);
  });
});
