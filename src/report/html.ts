import type { ScoreDocument, ScoredWindow } from '../scoring/score-document.ts';
import type { Quantity } from '../signal/quantity.ts';
import {
  formatCount,
  formatInColumn,
  formatPercent,
  formatSeconds,
  formatSi,
  formatWithU,
  roundWithU,
  siColumn,
} from '../signal/units.ts';
import { levelsChart, spreadCharts, type TraceView, traceChart } from './charts.ts';
import { type Html, type HtmlValue, html } from './html-text.ts';
import { dataTable, factTable, PageWriter, section } from './page.ts';
import { flattenFacts } from './provenance.ts';
import {
  type HeadlineFigure,
  headlineFigures,
  recordingName,
  SIMULATED_MARK,
  spreadOf,
  truthSummary,
  windowColumnsOf,
} from './summary.ts';
import { printable } from './text.ts';

export interface ReportInput {
  document: ScoreDocument;
  /** The decimated power trace, a rail each; null where there are no samples. */
  trace: TraceView[] | null;
  /** What the page is called; the profile and the name of the recording where nothing is said. */
  title?: string;
  /** Program and version; with a time only where the caller wants one on the page. */
  generatedBy: string;
}

const MICRO = { micro: 'µ' } as const;
/** Rows of windows on a page; beyond them the page says how many there are, and shows their spread. */
const MAX_ROWS = 100;
const FIRST_ROWS = 20;
/** Bins of all rails together, so that many rails do not make a heavy page. */
const MAX_BINS = 6000;
/** Entries of a list that comes from outside. */
const MAX_ENTRIES = 200;

/**
 * The HTML report of one score: a single file that opens offline, with its charts, and asks the network for nothing.
 * The same input gives the same bytes. Long lists are cut with a note, so that the page stays below 2 MB.
 */
export function renderReport(input: ReportInput): string {
  const { document, generatedBy } = input;
  const page = new PageWriter();
  const name = input.title ?? reportName(document);
  return page.write({
    title: `${document.simulated === true ? 'SIMULATED: ' : ''}${name} - Joulemark`,
    mark: document.simulated === true ? SIMULATED_MARK : null,
    header: html`<h1>${name}</h1><p class="lead">${leadSentence(document)}</p>${headline(document)}`,
    body: [
      checksSection(document),
      powerSection(page, document, input.trace),
      windowsSection(page, document),
      levelsSection(page, document),
      quantitiesSection(document),
      provenanceSection(document),
    ].filter((part) => part !== null),
    footer: html`${generatedBy}. Full precision is in the result JSON (${document.schema}).`,
  });
}

/** Foreign recordings are often called `energy`: their parents say more. */
function reportName({ profile, source }: ScoreDocument): string {
  return profile === null ? recordingName(source.path, 3) : `${profile}, ${recordingName(source.path, 1)}`;
}

function plural(count: number, one: string): string {
  return `${formatCount(count)} ${one}${count === 1 ? '' : 's'}`;
}

function leadSentence(document: ScoreDocument): string {
  const { windows } = document;
  const parts = [plural(windows.length, 'window')];
  const known = windows.every((window) => window.inferences !== null);
  const inferences = windows.reduce((sum, window) => sum + (window.inferences ?? 0), 0);
  if (windows.length > 0 && known) parts.push(plural(inferences, 'inference'));
  const duration = spreadOf(windows.map((window) => window.duration_s));
  if (duration !== null) parts.push(`${formatSeconds(duration.median, MICRO)} a window`);
  const methods = [...new Set(windows.map((window) => window.method))];
  if (methods.length > 0) parts.push(`sliced by ${methods.join(' and ')}`);
  const { format, path } = document.source;
  return `${parts.join(', ')}. Recorded as ${path === '.' ? format : `${format}: ${path}`}`;
}

function headline(document: ScoreDocument): Html {
  if (document.refusal !== null) {
    return html`<div class="refusal"><strong>No figure can be given</strong><p>${document.refusal.message}</p><p class="code">${document.refusal.code}</p></div>`;
  }
  return html`<dl class="figures">${headlineFigures(document).map(headlineEntry)}</dl>`;
}

function headlineEntry(figure: HeadlineFigure): Html {
  const pair = roundWithU(figure.value, figure.u, figure.unit, MICRO);
  const value = pair === null ? 'unknown' : html`${pair.value} <span class="unit">${pair.unit}</span>`;
  const doubt = pair === null ? null : html`<dd class="doubt">${doubtText(figure)}</dd>`;
  return html`<div><dt>${figure.label}</dt><dd class="value">${value}</dd>${doubt}</div>`;
}

/** The expanded uncertainty where it is known, else the standard one, else that it is not known. */
function doubtText({ u, coverage, unit }: Pick<HeadlineFigure, 'u' | 'coverage' | 'unit'>): string {
  if (coverage !== null)
    return `± ${formatSi(coverage.U, unit, { digits: 2, ...MICRO })}, 95 %, k = ${coverage.k.toFixed(2)}`;
  return u === null || u <= 0 ? 'u unknown' : `u = ${formatSi(u, unit, { digits: 2, ...MICRO })}`;
}

function cutNote(total: number, one: string): Html | null {
  return total > MAX_ENTRIES
    ? html`<p class="soft">The first ${MAX_ENTRIES} of ${plural(total, one)} are shown.</p>`
    : null;
}

function checksSection(document: ScoreDocument): Html {
  const { gates, warnings } = document;
  const gateTable =
    gates.length === 0
      ? html`<p class="soft">${document.profile === null ? 'No profile, so nothing was demanded.' : 'The profile demands nothing.'}</p>`
      : dataTable(
          'What the profile demands',
          [{ label: 'Answer' }, { label: 'Demand' }, { label: 'Found' }],
          gates.slice(0, MAX_ENTRIES).map((gate) => [gateTag(gate.met), gate.demand, gate.found]),
        );
  const warningList =
    warnings.length === 0
      ? html`<p class="soft">No warnings.</p>`
      : html`<h3>${plural(warnings.length, 'warning')}</h3><ul class="notes">${warnings
          .slice(0, MAX_ENTRIES)
          .map((warning) => html`<li><span class="code">${warning.code}</span>${warning.message}</li>`)}</ul>`;
  return section('Checks', gateTable, cutNote(gates.length, 'gate'), warningList, cutNote(warnings.length, 'warning'));
}

function gateTag(met: boolean | null): Html {
  if (met === null) return html`<span class="tag open">unknown</span>`;
  return met ? html`<span class="tag">met</span>` : html`<span class="tag bad">not met</span>`;
}

function powerSection(page: PageWriter, document: ScoreDocument, trace: TraceView[] | null): Html {
  const rails = trace ?? [];
  const charts = rails
    .map((rail) => traceChart(document, rail, Math.floor(MAX_BINS / rails.length)))
    .filter((chart) => chart !== null);
  const figures = charts.map((chart) => page.figure(chart));
  const none = figures.length === 0 ? html`<p class="soft">There is no power trace.</p>` : null;
  return section('Power', figures, none, totalsTable(document));
}

function totalsTable(document: ScoreDocument): Html | null {
  if (document.totals === null) return null;
  const { energy_uJ, windows_uJ, outside_uJ, duration_s, samples, missingSamples } = document.totals;
  const share = (part: number) => (energy_uJ > 0 ? ` (${formatPercent(part / energy_uJ)})` : '');
  return factTable('Totals of the recording', [
    ['Energy', formatSi(energy_uJ, 'uJ', MICRO)],
    ['inside windows', formatSi(windows_uJ, 'uJ', MICRO) + share(windows_uJ)],
    ['outside windows', formatSi(outside_uJ, 'uJ', MICRO) + share(outside_uJ)],
    ['Duration', formatSeconds(duration_s, MICRO)],
    [
      'Samples',
      missingSamples === null
        ? `${formatCount(samples)}; how many are missing is not known`
        : `${formatCount(samples)}, ${formatCount(missingSamples)} missing`,
    ],
  ]);
}

function windowsSection(page: PageWriter, document: ScoreDocument): Html {
  if (document.windows.length === 0) return section('Windows', html`<p class="soft">There are no windows.</p>`);
  const charts = spreadCharts(document).map((chart) => page.figure(chart));
  return section('Windows', html`<div class="pair">${charts}</div>`, windowsTableHtml(document), truthText(document));
}

function truthText(document: ScoreDocument): Html | null {
  const truth = truthSummary(document);
  if (truth === null) return null;
  const within = `${truth.within} of ${plural(truth.windows, 'window')} within their tolerance`;
  return html`<p>Against the truth that the simulation knows: ${within}; largest error ${formatPercent(truth.largestError_rel)}.</p>`;
}

function windowsTableHtml(document: ScoreDocument): Html {
  const { windows, median } = document;
  const isCut = windows.length > MAX_ROWS;
  const rows = isCut ? windows.slice(0, FIRST_ROWS) : windows;
  const official: Record<string, number | null> = {
    energyPerInference: median.energyPerInference_uJ,
    throughput: median.throughput_ips,
  };
  const columns = windowColumnsOf(document).map((column) => {
    const values = windows.map(column.value);
    const counts = { unit: '', factor: 1, decimals: 0 };
    const scale =
      column.id === 'inferences' ? counts : siColumn(values, column.unit, { digits: column.digits, ...MICRO });
    return { ...column, scale, spread: column.id === 'start' ? null : spreadOf(values) };
  });
  // A format that cannot tell what it lost says so for every window; the totals say it once.
  const lossesAreKnown = windows.some((window) => window.missingSamples !== null);
  const hasRemarks = rows.some((window) => remarks(window, lossesAreKnown) !== '');
  const foot = (label: string, cell: (column: (typeof columns)[number]) => string): HtmlValue[] => [
    label,
    ...columns.map((column) => (column.spread === null ? null : cell(column))),
    ...(hasRemarks ? [null] : []),
  ];
  const footRows = [
    foot('min', ({ spread, scale }) => formatInColumn(spread!.min, scale)),
    foot('median', ({ id, spread, scale }) => formatInColumn(official[id] ?? spread!.median, scale)),
    foot('max', ({ spread, scale }) => formatInColumn(spread!.max, scale)),
    foot('range', ({ spread }) => formatPercent(spread!.range_rel, { digits: 2 })),
  ];
  return dataTable(
    isCut ? `The first ${FIRST_ROWS} of ${plural(windows.length, 'window')}` : plural(windows.length, 'window'),
    [
      { label: 'Window', numeric: true },
      ...columns.map(({ label, scale }) => ({ label, unit: scale.unit, numeric: true })),
      ...(hasRemarks ? [{ label: 'Remarks' }] : []),
    ],
    rows.map((window) => [
      window.index,
      ...columns.map(({ value, scale }) => formatInColumn(value(window), scale)),
      ...(hasRemarks ? [remarks(window, lossesAreKnown)] : []),
    ]),
    windows.length > 1 ? footRows : [],
  );
}

/** Below this a bound of the slicing rule says nothing that a reader could use. */
const NOTABLE_BIAS_REL = 1e-6;

function remarks(window: ScoredWindow, lossesAreKnown: boolean): string {
  const remarks: string[] = [];
  const { missingSamples, samples, saturatedSamples, rangeSwitches, biasBound_rel } = window;
  if (missingSamples === null && lossesAreKnown) remarks.push('samples missing, how many is unknown');
  if (missingSamples !== null && missingSamples > 0) remarks.push(`${missingSamples} of ${samples} samples missing`);
  if (saturatedSamples > 0) remarks.push(`${saturatedSamples} saturated`);
  if (rangeSwitches > 0) remarks.push(`range switches: ${rangeSwitches}`);
  if (biasBound_rel !== null && biasBound_rel >= NOTABLE_BIAS_REL) {
    remarks.push(`slicing bias up to ${formatPercent(biasBound_rel, { digits: 2 })}`);
  }
  return remarks.join('; ');
}

function levelsSection(page: PageWriter, document: ScoreDocument): Html | null {
  const chart = levelsChart(document);
  if (chart === null) return null;
  const { idle, net } = document;
  const facts: [string, HtmlValue][] = idle!.baselines.map(({ method, power_W, u_W, n }) => [
    `Idle, ${printable(method)}`,
    `${formatWithU(power_W, u_W, 'W', MICRO)}, from ${plural(n, 'sample')}`,
  ]);
  facts.push(['Idle, spread over methods', formatSi(idle!.spread_W, 'W', MICRO)]);
  facts.push(['Active', formatSi(idle!.activePower_W, 'W', MICRO)]);
  if (net !== null) {
    const energy = formatSi(net.energyPerInference_uJ, 'uJ', MICRO);
    facts.push(['Net energy per inference', `${energy}, above ${formatSi(net.power_W, 'W', MICRO)} (${net.baseline})`]);
  }
  return section('Idle and active', page.figure(chart), factTable('Power levels', facts));
}

function quantitiesSection(document: ScoreDocument): Html | null {
  const quantities = Object.entries(document.quantities).slice(0, MAX_ENTRIES);
  if (quantities.length === 0) return null;
  const rows = quantities.map(([name, quantity]): HtmlValue[] => [
    name,
    formatWithU(quantity.value, quantity.u, quantity.unit, MICRO),
    quantity.coverage === null ? 'unknown' : coverageText(quantity.coverage, quantity.unit),
    quantity.method,
    quantity.n,
    quantity.calibrated ? 'yes' : 'no',
  ]);
  return section(
    'Uncertainty',
    dataTable(
      'Every quantity, with its standard uncertainty and its 95 % interval',
      [
        { label: 'Quantity' },
        { label: 'Value', numeric: true },
        { label: '95 %', numeric: true },
        { label: 'Method' },
        { label: 'n', numeric: true },
        { label: 'Calibrated' },
      ],
      rows,
    ),
    quantities.map(([name, quantity]) => componentsTable(name, quantity)),
    cutNote(Object.keys(document.quantities).length, 'quantity'),
  );
}

function coverageText({ U, k, nu }: { U: number; k: number; nu: number | null }, unit: string): string {
  const freedom = nu === null ? '' : `, ν = ${nu.toFixed(0)}`;
  return `± ${formatSi(U, unit, { digits: 2, ...MICRO })} (k = ${k.toFixed(2)}${freedom})`;
}

function componentsTable(name: string, { components, unit }: Quantity): Html | null {
  if (components === null || components.length === 0) return null;
  const table = dataTable(
    `What the uncertainty of ${name} is made of`,
    [
      { label: 'Component' },
      { label: 'u', numeric: true },
      { label: 'Distribution' },
      { label: 'Shared by' },
      { label: 'Source' },
    ],
    components
      .slice(0, MAX_ENTRIES)
      .map((component) => [
        component.id,
        formatSi(component.u, unit, { digits: 2, ...MICRO }),
        component.distribution,
        component.scope,
        component.provenance,
      ]),
  );
  return html`<details><summary>Budget of ${name}</summary>${table}</details>`;
}

function provenanceSection(document: ScoreDocument): Html {
  const simulated = document.simulated === null ? 'unknown' : document.simulated ? 'yes' : 'no';
  const facts: [string, string][] = [
    ['recording', document.source.path],
    ['format', document.source.format],
    ['simulated', simulated],
    ['profile', document.profile ?? 'none'],
    ['slicing', document.slicing],
    ['slicing methods', [...new Set(document.windows.map((window) => window.method))].join(', ') || 'none'],
  ];
  const { entries, cut } = flattenFacts(document.provenance);
  const note = cut
    ? html`<p class="soft">The list is too long for this page and was cut; the result JSON has all of it.</p>`
    : null;
  return section('Provenance', factTable('Where these figures come from', [...facts, ...entries]), note);
}
