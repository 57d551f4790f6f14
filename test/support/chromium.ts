import { existsSync } from 'node:fs';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

/** Path of a Chromium to test pages with: `CHROMIUM`, else where Debian puts it; null where there is none. */
export function chromiumPath(): string | null {
  const path = process.env.CHROMIUM ?? '/usr/bin/chromium';
  if (existsSync(path)) return path;
  console.warn(`Pages are not tested in a browser: no Chromium at ${path}; set CHROMIUM to one.`);
  return null;
}

export function launchChromium(executablePath: string): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

export interface WatchedPage {
  page: Page;
  /** Console messages of any kind, page errors and dialogs. */
  messages: string[];
  /** Every address that the page asked for. */
  requests: string[];
}

/** Opens a file offline and writes down all that it says and asks for. */
export async function openOffline(
  browser: Browser,
  file: URL,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({ offline: true, ...options });
  const page = await context.newPage();
  const messages: string[] = [];
  const requests: string[] = [];
  page.on('console', (message) => messages.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => messages.push(`error: ${error.message}`));
  page.on('dialog', (dialog) => {
    messages.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => requests.push(request.url()));
  await page.goto(file.href);
  return { page, messages, requests };
}

/** Waits until every chart of the page is drawn, and says how many marks each has. */
export async function drawnCharts(page: Page): Promise<{ marks: number; width: number; height: number }[]> {
  await page.waitForFunction("!document.querySelector('figure[data-chart]:not([data-drawn])')", undefined, {
    timeout: 20_000,
  });
  return page.evaluate(`[...document.querySelectorAll('figure[data-chart] svg')].map((svg) => ({
    marks: svg.querySelectorAll('[class*="mark-"] path, [class*="mark-"] line, [class*="mark-"] text').length,
    width: svg.getBoundingClientRect().width,
    height: svg.getBoundingClientRect().height,
  }))`);
}
