import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditPaths } from '../../src/audit/audit.ts';
import type { AuditDocument } from '../../src/audit/document.ts';
import { renderAuditHtml } from '../../src/report/audit/html.ts';
import { renderAuditMarkdown } from '../../src/report/audit/markdown.ts';
import { renderAuditSarif } from '../../src/report/audit/sarif.ts';
import { renderAuditTable, widestLine } from '../../src/report/audit/terminal.ts';
import { chromiumPath, drawnCharts, launchChromium, openOffline } from '../support/chromium.ts';
import { energyRun, writeEnergyRun } from '../support/tiny-run.ts';

const attack = '<script>alert(1)</script>|`x`\u001b[31m';
let root: string;
let document: AuditDocument;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'joulemark-audit-report-'));
  writeEnergyRun(root, energyRun());
  writeEnergyRun(root, energyRun({ lost: [1] }), 'v1.1/closed/Broken/results/Board/kws/energy');
  writeEnergyRun(root, energyRun({ window_s: 2 }), 'v1.1/closed/Short/results/Board/kws/energy');
  document = await auditPaths([root]);
  // A submitter, a path and a message that try to become markup.
  const claim = document.claims[2]!;
  claim.submitter = attack;
  claim.path = attack;
  document.findings.find((f) => f.claim === claim.id)!.message = attack;
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('the table on the terminal', () => {
  it('shows the worst first, then the totals', () => {
    const text = renderAuditTable(document, { columns: 100, color: false });
    const order = ['refuted', 'irregular', 'upheld'].map((verdict) => text.search(new RegExp(`^${verdict}`, 'm')));
    expect(order).toEqual([...order].sort((a, b) => a - b));
    expect(order[0]).toBe(0);
    expect(text).toContain('3 claims: 1 refuted, 0 unverifiable, 1 irregular, 1 upheld.');
    expect(text).toContain('windows.gap');
    expect(text).toMatch(/supported [\d.]+ uJ\/inf\. \(claim -\d+\.\d+ %\)/);
  });

  it('is never wider than the terminal, and brings no escape sequences along', () => {
    for (const columns of [40, 80, 132]) {
      const text = renderAuditTable(document, { columns, color: false });
      expect(widestLine(text)).toBeLessThanOrEqual(columns);
      expect(text).not.toContain('\u001b');
    }
    expect(renderAuditTable(document, { columns: 80, color: true })).toContain('\u001b[31mrefuted');
  });

  it('only counts upheld claims beyond the first thirty', () => {
    const upheld = document.claims.find((c) => c.verdict === 'upheld')!;
    const claims = Array.from({ length: 50 }, (_, k) => ({ ...upheld, id: `claim-${k}` }));
    const many = { ...document, claims, findings: [] };
    expect(renderAuditTable(many, { columns: 80, color: false })).toContain('and 20 more upheld claims');
    expect(renderAuditTable(many, { columns: 80, color: false }, true)).not.toContain('more upheld');
  });
});

describe('the headline of a claim', () => {
  const power = () => {
    const claim = { ...document.claims.find((c) => c.verdict === 'upheld')! };
    claim.claimed = { meanPower_W: null, energyPerQuery_mJ: null, throughput_ips: 475.784 };
    claim.recomputed = { meanPower_W: 806.325833, energyPerQuery_mJ: null, throughput_ips: 475.7 };
    claim.supported = claim.recomputed;
    return claim;
  };

  it('is the power or the energy a query that was recomputed, where no file of the claim states it', () => {
    const offline = { ...document, claims: [power()], findings: [] };
    expect(renderAuditTable(offline, { columns: 120, color: false })).toContain('recomputed 806.32583 W; arithmetic');
    expect(renderAuditMarkdown(offline)).toContain('| 806.32583 W (recomputed) | 806.32583 W |');
    const streams = power();
    streams.recomputed = { ...streams.recomputed, energyPerQuery_mJ: 1694.73087 };
    const text = renderAuditTable({ ...offline, claims: [streams] }, { columns: 120, color: false });
    expect(text).toContain('recomputed 1694.7309 mJ/query; arithmetic');
  });

  it('is what the folder does state where nothing could be recomputed', () => {
    const claim = power();
    claim.recomputed = {};
    claim.supported = {};
    claim.verdict = 'unverifiable';
    const text = renderAuditTable({ ...document, claims: [claim], findings: [] }, { columns: 120, color: false });
    expect(text).toContain('claimed 475.784 inf./s, supported -; arithmetic');
  });
});

describe('the Markdown report', () => {
  it('holds claims, findings and the meaning of every code, with outside text escaped', () => {
    const text = renderAuditMarkdown(document);
    expect(text).toContain('### `windows.gap`: ');
    expect(text).not.toContain('<script>');
    expect(text).not.toContain('\u001b');
    for (const row of text.split('\n').filter((line) => line.startsWith('| '))) {
      expect(row.replace(/\\\|/g, '').split('|')).toHaveLength(9);
    }
  });
});

describe('SARIF', () => {
  it('has one rule a code and one result a finding', () => {
    const log = JSON.parse(renderAuditSarif(document, '0.1.0'));
    expect(log.version).toBe('2.1.0');
    const [run] = log.runs;
    expect(run.results).toHaveLength(document.findings.length);
    for (const result of run.results) {
      expect(run.tool.driver.rules[result.ruleIndex].id).toBe(result.ruleId);
      expect(['error', 'warning', 'note']).toContain(result.level);
      expect(result.locations[0].physicalLocation.artifactLocation.uri).not.toMatch(/[<>\u001b ]/);
    }
  });
});

describe('the HTML report', () => {
  const executable = chromiumPath();
  let browser: Browser | null = null;

  beforeAll(async () => {
    if (executable !== null) browser = await launchChromium(executable);
  });

  afterAll(() => browser?.close());

  it('is the same bytes each time and escapes text from outside', () => {
    const page = renderAuditHtml(document, 'Joulemark test');
    expect(page).toBe(renderAuditHtml(document, 'Joulemark test'));
    expect(page).not.toContain('<script>alert');
    expect(page).toContain('&lt;script&gt;alert');
    expect(page).toContain('windows.gap');
  });

  it.skipIf(executable === null)(
    'draws the suspicious windows and says nothing on the console',
    async () => {
      const file = join(root, 'audit.html');
      writeFileSync(file, renderAuditHtml(document, 'Joulemark test'));
      const { page, messages, requests } = await openOffline(browser!, pathToFileURL(file));
      const charts = await drawnCharts(page);
      expect(charts).toHaveLength(1);
      expect(charts[0]!.marks).toBeGreaterThan(5);
      expect(messages).toEqual([]);
      expect(requests.filter((address) => !address.startsWith('data:'))).toEqual([pathToFileURL(file).href]);
    },
    30_000,
  );

  it.skipIf(executable === null)(
    'does not scroll sideways for names without a blank in them, on a telephone or a desk',
    async () => {
      const long = structuredClone(document);
      const name = (letter: string) => letter.repeat(300);
      for (const claim of long.claims) {
        const { id } = claim;
        const names = { id: name('i'), submitter: name('s'), system: name('x'), benchmark: name('b'), path: name('y') };
        Object.assign(claim, names, { round: name('r'), division: name('d'), mode: name('m') });
        for (const finding of long.findings.filter((each) => each.claim === id)) {
          Object.assign(finding, {
            claim: claim.id,
            path: name('p'),
            message: name('w'),
            evidence: { [name('k')]: name('v') },
          });
        }
        for (const comparison of claim.comparisons) Object.assign(comparison, { field: name('f'), printed: name('1') });
      }
      const file = join(root, 'long.html');
      writeFileSync(file, renderAuditHtml(long, 'Joulemark test'));
      const { page } = await openOffline(browser!, pathToFileURL(file));
      for (const width of [320, 480, 768, 1024, 1280]) {
        await page.setViewportSize({ width, height: 800 });
        // What is folded away is shown too.
        await page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true");
        expect(await page.evaluate('document.documentElement.scrollWidth'), `at ${width} px`).toBeLessThanOrEqual(
          width,
        );
      }
    },
    30_000,
  );
});
