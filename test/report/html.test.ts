import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderReport } from '../../src/report/html.ts';
import { powerBins, scoreDocument } from '../support/score-document.ts';

const generatedBy = 'Joulemark test';

function report(document = scoreDocument(), bins = 300): string {
  const trace = [{ rail: 'main', unit: 'W' as const, bins: powerBins(document, bins) }];
  return renderReport({ document, trace, generatedBy });
}

/** The page without scripts and styles, as a reader meets it. */
function visible(page: string): string {
  return page
    .replace(/<(script|style)[\s\S]*?<\/\1>/g, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ');
}

function specs(page: string): string[] {
  return [...page.matchAll(/<script type="application\/json"[^>]*>(.*?)<\/script>/gs)].map((match) => match[1]!);
}

describe('renderReport', () => {
  it('puts the figures on top, with their units and what is known of their uncertainty', () => {
    const text = visible(report());
    expect(text).toContain('Energy per inference 104.2 µJ u unknown');
    expect(text).toContain('Throughput 93.81 inf/s u unknown');
    expect(text).toContain('Inferences per joule 9599 inf/J u unknown');
    expect(text).toContain('Top-1 accuracy 91.60 % ± 1.7 %, 95 %, k = 1.96');
  });

  it('shows an uncertainty that is known, with the value rounded to its place', () => {
    const document = scoreDocument();
    Object.assign(document.quantities.energyPerInference!, { u: 0.31e-6, coverage: { U: 0.62e-6, k: 2, nu: 60 } });
    const text = visible(report(document));
    expect(text).toContain('104.18 µJ ± 620 nJ, 95 %, k = 2.00');
    expect(text).toContain('± 620 nJ (k = 2.00, ν = 60)');
  });

  it('marks a simulated run in its title and on the page, and no other', () => {
    expect(report().includes('<title>SIMULATED: ')).toBe(true);
    expect(visible(report())).toContain('SIMULATED. No real device was measured');
    const real = report(scoreDocument({ overrides: { simulated: false } }));
    expect(real.includes('SIMULATED')).toBe(false);
  });

  it('says why there is no figure in place of the figures', () => {
    const refusal = { code: 'edges.odd', message: 'An odd number of edges.' };
    const text = visible(report(scoreDocument({ windows: 0, overrides: { refusal } })));
    expect(text).toContain('No figure can be given An odd number of edges. edges.odd');
    expect(text).not.toContain('Energy per inference 104');
  });

  it('lists gates, warnings with their codes, levels, totals, methods and all provenance', () => {
    const document = scoreDocument();
    document.gates[0] = { id: 'windows', demand: 'six windows', found: '5', met: false };
    document.gates[1]!.met = null;
    const text = visible(report(document));
    expect(text).toContain('not met six windows 5');
    expect(text).toContain('unknown at least 10 s a window 10.02 s');
    expect(text).toContain('voltage.assumed The instrument measures no voltage; 3.000 V is assumed constant.');
    expect(text).toContain('4.210 ± 0.012 mW, from 482,000 samples');
    expect(text).toContain('58.80 µJ, above 4.260 mW (two-cluster/1)');
    expect(text).toContain('inside windows 489.6 mJ (82.6 %)');
    expect(text).toContain('instrument.serial SIM-JS220-0001');
    expect(text).toContain('instrument.calibration unknown');
    expect(text).toContain('slicing auto');
    expect(text).toContain('slicing methods guard-band/1');
    expect(text).toContain('seed 7');
    expect(text).toContain('binomial 0.87 % normal run type A');
  });

  it('remarks on windows with missing or saturated samples or a slicing bias', () => {
    const document = scoreDocument({ windows: 2 });
    Object.assign(document.windows[1]!, { missingSamples: 64, saturatedSamples: 3, biasBound_rel: 0.0012 });
    expect(visible(report(document))).toMatch(/64 of [\d]+ samples missing; 3 saturated; slicing bias up to 0\.12 %/);
  });

  it('does not call samples missing where the format cannot tell', () => {
    const document = scoreDocument({ windows: 2 });
    for (const window of document.windows) window.missingSamples = null;
    document.totals!.missingSamples = null;
    expect(visible(report(document))).not.toContain('samples missing');
    expect(visible(report(document))).toContain('how many are missing is not known');
    document.windows[0]!.missingSamples = 0;
    expect(visible(report(document))).toContain('samples missing, how many is unknown');
  });

  it('is called after the profile, or after the last parts of the path', () => {
    const source = { format: 'energyrunner', path: '/rounds/v1/board/kws/energy/' };
    expect(visible(report(scoreDocument({ overrides: { source, profile: null } })))).toContain(
      'board/kws/energy 5 windows',
    );
    expect(visible(report(scoreDocument({ overrides: { source } })))).toContain('kws01, energy 5 windows');
  });

  it('does without trace, idle levels, accuracy, totals, gates and provenance', () => {
    const document = scoreDocument({
      overrides: {
        idle: null,
        net: null,
        accuracy: null,
        totals: null,
        gates: [],
        warnings: [],
        quantities: {},
        provenance: {},
      },
    });
    const text = visible(renderReport({ document, trace: null, generatedBy }));
    expect(text).toContain('There is no power trace.');
    expect(text).toContain('No warnings.');
    expect(visible(renderReport({ document, trace: [{ rail: 'main', unit: 'W', bins: [] }], generatedBy }))).toContain(
      'no power trace',
    );
  });

  it('gives the same bytes for the same input, and no time of its own', () => {
    const again = report();
    expect(report() === again).toBe(true);
    expect(visible(report())).not.toContain(`${new Date().getFullYear()}-`);
  });

  it('escapes every text that comes from outside, on the page and in the charts', () => {
    const evil = `</script><script>alert(1)</script><img src=x onerror="alert('2')">\u2028&amp;`;
    const document = scoreDocument({
      overrides: {
        source: { format: evil, path: evil },
        profile: evil,
        slicing: evil,
        warnings: [{ code: 'log.garbled', message: evil }],
        gates: [{ id: evil, demand: evil, found: evil, met: true }],
        provenance: { [evil]: { name: evil, list: [evil] } },
      },
    });
    document.windows[0]!.method = evil;
    document.idle!.baselines[0]!.method = evil;
    document.quantities[evil] = { ...document.quantities.top1!, method: evil, unit: evil };
    const trace = [{ rail: evil, unit: 'W' as const, bins: powerBins(document, 10) }];
    const page = renderReport({ document, trace, title: evil, generatedBy: evil });
    const own = report(scoreDocument(), 10);
    const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0;
    for (const tag of [/<script/g, /<\/script/g, /<img/g, /<!--/g]) expect(count(page, tag)).toBe(count(own, tag));
    for (const spec of specs(page)) {
      expect(spec).not.toMatch(/[<>&\u2028\u2029]/);
      expect(() => JSON.parse(spec)).not.toThrow();
    }
  });

  it('survives any text in any place', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 40 }), fc.jsonValue(), (text, value) => {
        const document = scoreDocument({ windows: 1, overrides: { profile: text, provenance: { [text]: value } } });
        const page = renderReport({ document, trace: null, title: text, generatedBy });
        expect(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/.test(page)).toBe(false);
        expect(Buffer.from(page).toString() === page).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('carries all that it needs, and a policy that forbids the rest', () => {
    const page = report();
    const markup = page.replace(/(<script[^>]*>)[\s\S]*?<\/script>/g, '$1');
    expect(markup).toContain('default-src &#39;none&#39;');
    expect(markup).not.toMatch(/<(?:script|img|iframe|object|embed|audio|video)[^>]*\bsrc=/);
    expect(markup).not.toMatch(/<link(?![^>]*href="data:,")/);
    expect(markup).not.toMatch(/@import|url\(/);
    expect(page.includes('sourceMappingURL')).toBe(false);
    expect(page.includes('Redistributions of source code must retain')).toBe(true);
  });

  it('stays below 2 MB with many bins, rails, windows, warnings and facts', () => {
    const document = scoreDocument({ windows: 10_000, duration_s: 0.01 });
    document.warnings = Array.from({ length: 20_000 }, () => ({ code: 'samples.dropped', message: 'x'.repeat(500) }));
    document.provenance = Object.fromEntries(Array.from({ length: 5000 }, (_, k) => [`fact${k}`, 'y'.repeat(300)]));
    const trace = ['a', 'b', 'c', 'd'].map((rail) => ({
      rail,
      unit: 'W' as const,
      bins: powerBins(scoreDocument(), 5000),
    }));
    const page = renderReport({ document, trace, generatedBy });
    expect(Buffer.byteLength(page)).toBeLessThan(2_000_000);
    const text = visible(page);
    expect(text).toContain('The first 20 of 10,000 windows');
    expect(text).toContain('The first 200 of 20,000 warnings are shown.');
    expect(text).toContain('was cut');
  });
});
