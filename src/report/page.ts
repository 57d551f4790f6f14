import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Chart } from './charts.ts';
import { Html, type HtmlValue, html, scriptJson, scriptSource } from './html-text.ts';
import { pageScript } from './page-script.ts';
import { pageStyle } from './page-style.ts';

const LIBRARIES = ['vega', 'vega-lite'];

/** Vega and Vega-Lite as they stand in node_modules, with their licences, each as the text of one script. */
function readLibraries(): string[] {
  const require = createRequire(import.meta.url);
  return LIBRARIES.map((name) => {
    const folder = dirname(require.resolve(name));
    const licence = readFileSync(join(folder, '..', 'LICENSE'), 'utf8');
    const source = readFileSync(join(folder, `${name}.min.js`), 'utf8');
    return scriptSource(`/* ${name}\n${licence.replaceAll('*/', '* /')}*/\n${source}`);
  });
}

let libraries: string[] | null = null;

/** One page: its charts are collected while its parts are written. */
export class PageWriter {
  private readonly specs: Html[] = [];

  /** A figure that the page's script fills with the chart. */
  figure(chart: Chart): Html {
    const id = `chart-${this.specs.length}`;
    this.specs.push(
      new Html(
        `<script type="application/json" id="${id}">${scriptJson({ ...chart.spec, description: chart.alternative })}</script>`,
      ),
    );
    return html`<figure data-chart="${id}"><div class="plot" role="img" aria-label="${chart.alternative}"></div><figcaption>${chart.caption}</figcaption></figure>`;
  }

  /**
   * The whole document: self-contained, and bound by a content security policy that lets it run its own scripts and
   * nothing else. (Vega compiles its expressions, which needs `unsafe-eval`.)
   */
  write(parts: { title: string; mark: string | null; header: Html; body: Html[]; footer: Html }): string {
    libraries ??= readLibraries();
    const scripts = this.specs.length > 0 ? [...libraries, pageScript] : [];
    const hashes = scripts.map((script) => `'sha256-${createHash('sha256').update(script).digest('base64')}'`);
    const policy = [
      "default-src 'none'",
      "style-src 'unsafe-inline'",
      scripts.length > 0 ? `script-src ${hashes.join(' ')} 'unsafe-eval'` : "script-src 'none'",
      'img-src data:',
      "base-uri 'none'",
      "form-action 'none'",
    ].join('; ');
    const mark =
      parts.mark === null ? null : html`<div class="mark" role="note"><p>${new Html(emphasise(parts.mark))}</p></div>`;
    const page = html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${parts.title}</title>
<link rel="icon" href="data:,">
<style>${new Html(pageStyle)}</style>
</head>
<body>
${mark}
<header>${parts.header}</header>
<main>
${parts.body.map((part) => html`${part}\n`)}
</main>
<footer><p>${parts.footer}</p></footer>
${this.specs.length > 0 ? html`<noscript><footer><p>The charts need JavaScript; every number is in the tables.</p></footer></noscript>` : null}
${this.specs}
${scripts.map((script) => new Html(`<script>${script}</script>\n`))}
</body>
</html>
`;
    return page.text;
  }
}

/** The first word of the mark stands out. */
function emphasise(mark: string): string {
  const [first, ...rest] = mark.split(' ');
  return html`<strong>${first!}</strong> ${rest.join(' ')}`.text;
}

/** A labelled part of a page. */
export function section(heading: string, ...content: HtmlValue[]): Html {
  return html`<section class="section"><h2>${heading}</h2><div>${content}</div></section>`;
}

export interface TableColumn {
  label: string;
  unit?: string;
  numeric?: boolean;
}

/** A table with headings for rows (first cell) and columns; wide ones scroll inside their own frame. */
export function dataTable(
  caption: string,
  columns: TableColumn[],
  rows: HtmlValue[][],
  footRows: HtmlValue[][] = [],
): Html {
  const heading = columns.map(
    ({ label, unit, numeric }) =>
      html`<th scope="col"${numeric ? new Html(' class="number"') : null}>${label}${unit === undefined || unit === '' ? null : html` <span class="unit">${unit}</span>`}</th>`,
  );
  const body = (row: HtmlValue[]) =>
    html`<tr>${row.map((cell, k) => {
      const numeric = columns[k]?.numeric ? new Html(' class="number"') : null;
      return k === 0 ? html`<th scope="row"${numeric}>${cell}</th>` : html`<td${numeric}>${cell}</td>`;
    })}</tr>`;
  const foot = footRows.length > 0 ? html`<tfoot>${footRows.map(body)}</tfoot>` : null;
  return html`<div class="scroll" role="region" aria-label="${caption}" tabindex="0"><table><caption><span>${caption}</span></caption><thead><tr>${heading}</tr></thead><tbody>${rows.map(body)}</tbody>${foot}</table></div>`;
}

/** Names and what they stand for. */
export function factTable(caption: string, facts: [string, HtmlValue][]): Html {
  const rows = facts.map(([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`);
  return html`<table class="facts"><caption>${caption}</caption><tbody>${rows}</tbody></table>`;
}
