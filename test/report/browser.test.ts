import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { renderComparison } from '../../src/report/comparison.ts';
import { renderReport } from '../../src/report/html.ts';
import { chromiumPath, drawnCharts, launchChromium, openOffline } from '../support/chromium.ts';
import { powerBins, scoreDocument } from '../support/score-document.ts';

const executable = chromiumPath();

describe.skipIf(executable === null)('a report in Chromium', () => {
  let browser: Browser;
  let folder: string;

  beforeAll(async () => {
    browser = await launchChromium(executable!);
    folder = mkdtempSync(join(tmpdir(), 'joulemark-report-'));
  });

  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function save(name: string, page: string): URL {
    const file = join(folder, name);
    writeFileSync(file, page);
    return pathToFileURL(file);
  }

  function report(document = scoreDocument(), bins = 1500): string {
    const trace = [{ rail: 'main', unit: 'W' as const, bins: powerBins(document, bins) }];
    return renderReport({ document, trace, generatedBy: 'Joulemark test' });
  }

  it('draws every chart, says nothing on the console and asks for nothing but itself', async () => {
    const file = save('report.html', report());
    const { page, messages, requests } = await openOffline(browser, file);
    const charts = await drawnCharts(page);
    expect(charts).toHaveLength(3);
    for (const chart of charts) {
      expect(chart.marks).toBeGreaterThan(5);
      expect(chart.width).toBeGreaterThan(500);
      expect(chart.height).toBeGreaterThan(80);
    }
    expect(messages).toEqual([]);
    expect(requests.filter((address) => !address.startsWith('data:'))).toEqual([file.href]);
  });

  it('draws ten thousand windows and 2000 bins', async () => {
    const document = scoreDocument({ windows: 10_000, duration_s: 0.005 });
    const { page, messages } = await openOffline(browser, save('many.html', report(document, 2000)));
    expect(await drawnCharts(page)).toHaveLength(4);
    expect(messages).toEqual([]);
  });

  it('draws figures that are all the same, and a single window', async () => {
    const document = scoreDocument({ windows: 1 });
    document.idle!.activePower_W = null;
    const { page, messages } = await openOffline(browser, save('one.html', report(document, 1)));
    expect(await drawnCharts(page)).toHaveLength(3);
    expect(messages).toEqual([]);
  });

  it('shows a name with a script in it as text, and does not run it', async () => {
    const name = '<script>alert(1)</script><img src=x onerror=alert(2)>';
    const document = scoreDocument({ overrides: { provenance: { dut: { name } }, profile: name } });
    document.idle!.baselines[0]!.method = name;
    const { page, messages } = await openOffline(browser, save('evil.html', report(document)));
    expect(await drawnCharts(page)).toHaveLength(3);
    expect(await page.locator('td', { hasText: '<script>alert(1)</script>' }).count()).toBeGreaterThan(0);
    expect(await page.locator('img').count()).toBe(0);
    expect(messages).toEqual([]);
  });

  it('lets nothing run that is not its own, even if it were on the page', async () => {
    const injected = report().replace('</main>', '</main><script>window.ran = true</script>');
    const { page, messages } = await openOffline(browser, save('injected.html', injected));
    await drawnCharts(page);
    expect(await page.evaluate('window.ran')).toBeUndefined();
    expect(messages.join()).toContain('Content Security Policy');
  });

  it('follows the theme, in its text and in its charts, and is light on paper', async () => {
    const file = save('theme.html', report());
    const { page } = await openOffline(browser, file, { colorScheme: 'dark' });
    await drawnCharts(page);
    const colours = () =>
      page.evaluate(`({
        paper: getComputedStyle(document.body).backgroundColor,
        ink: getComputedStyle(document.body).color,
        line: getComputedStyle(document.querySelector('figure svg [class*="mark-line"] path')).stroke,
      })`) as Promise<Record<string, string>>;
    const dark = await colours();
    expect(dark).toEqual({ paper: 'rgb(17, 19, 22)', ink: 'rgb(233, 235, 238)', line: 'rgb(233, 235, 238)' });
    await page.emulateMedia({ colorScheme: 'light' });
    const light = { paper: 'rgb(255, 255, 255)', ink: 'rgb(20, 23, 26)', line: 'rgb(20, 23, 26)' };
    expect(await colours()).toEqual(light);
    await page.emulateMedia({ colorScheme: 'dark', media: 'print' });
    expect(await colours()).toEqual(light);
  });

  it('fits a telephone without scrolling sideways', async () => {
    const { page } = await openOffline(browser, save('narrow.html', report()), {
      viewport: { width: 360, height: 800 },
    });
    await drawnCharts(page);
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
  });

  it('tells in words what each chart shows, and heads every table', async () => {
    const { page } = await openOffline(browser, save('access.html', report()));
    await drawnCharts(page);
    for (const label of await page.locator('.plot').evaluateAll((plots) => plots.map((plot) => plot.ariaLabel))) {
      expect(label!.length).toBeGreaterThan(30);
    }
    const unheaded =
      "[...document.querySelectorAll('table')].filter((t) => !t.querySelector('th[scope]') || !t.caption).length";
    expect(await page.evaluate(unheaded)).toBe(0);
  });

  it('draws a comparison', async () => {
    const documents = [
      scoreDocument(),
      scoreDocument({ energyPerInference_uJ: 4000 }),
      scoreDocument({ overrides: { profile: 'ic01' } }),
    ];
    const file = save('comparison.html', renderComparison(documents, { generatedBy: 'Joulemark test' }));
    const { page, messages } = await openOffline(browser, file);
    expect(await drawnCharts(page)).toHaveLength(2);
    expect(messages).toEqual([]);
  });
});
