import type { TopLevelSpec } from 'vega-lite';
import { type AuditDocument, worstFirst } from '../../audit/document.ts';
import { findingEntry } from '../../audit/findings.ts';
import type { Claim, Finding, Plot } from '../../audit/types.ts';
import { type Chart, colour, config, SCHEMA } from '../charts.ts';
import { type Html, type HtmlValue, html } from '../html-text.ts';
import { dataTable, factTable, PageWriter, section } from '../page.ts';
import { printable } from '../text.ts';
import { decisionText } from './explain.ts';
import {
  claimedCell,
  claimName,
  differenceText,
  figureText,
  findingsByClaim,
  headlineName,
  numberText,
  plural,
  verdictWords,
} from './words.ts';

/** Claims that get a part of their own; beyond them the page says how many there are. */
const maxParts = 300;
const maxComparisons = 60;
const maxPlots = 40;
const maxEvidence = 2000;

/**
 * The report of an audit as one HTML file that opens offline: claims with their answers, findings with their evidence,
 * plots of the suspicious windows, and what every code means. The same document gives the same bytes.
 */
export function renderAuditHtml(document: AuditDocument, generatedBy: string): string {
  const page = new PageWriter();
  const { summary } = document;
  const byClaim = findingsByClaim(document.findings);
  const claims = worstFirst(document.claims);
  const detailed = claims.filter((c) => c.verdict !== 'upheld' || (byClaim.get(c.id) ?? []).length > 0);
  let plots = 0;
  const parts = detailed.slice(0, maxParts).map((claim) => {
    const charts = (claim.plots ?? []).filter(() => ++plots <= maxPlots).map((plot) => page.figure(plotChart(plot)));
    return claimSection(claim, byClaim.get(claim.id) ?? [], charts);
  });
  const { claimed, recomputable, exact } = summary.windows;
  const simulated = document.findings.some((f) => f.code === 'claim.simulated');
  return page.write({
    title: 'Audit - Joulemark',
    mark: simulated ? 'SIMULATED runs are among these claims. They are no measurements of a real device.' : null,
    header: html`<h1>Audit of ${plural(summary.claims, 'claim')}</h1><p class="lead">${verdictWords(summary.verdicts)}. ${plural(claimed, 'window')} claimed, ${recomputable} recomputed, ${exact} to the printed digit. ${plural(summary.findings.error, 'error')}, ${plural(summary.findings.warning, 'warning')}, ${plural(summary.findings.info, 'note')}.</p>`,
    body: [
      section('Claims', claimsTable(claims)),
      ...parts,
      ...(detailed.length > maxParts
        ? [
            section(
              'More',
              html`<p class="soft">${detailed.length - maxParts} further claims have findings; the JSON holds them.</p>`,
            ),
          ]
        : []),
      ...looseSection(byClaim.get('') ?? []),
      codesSection(document.findings),
      answersSection(),
    ],
    footer: html`${generatedBy}. Full precision is in the audit JSON (${document.schema}). Findings state what the files show; they accuse nobody.`,
  });
}

function verdictTag(claim: Claim): Html {
  const look = claim.verdict === 'refuted' ? 'tag bad' : claim.verdict === 'unverifiable' ? 'tag open' : 'tag';
  return html`<span class="${look}">${claim.verdict}</span>`;
}

function claimsTable(claims: Claim[]): Html {
  const rows = claims.map((claim): HtmlValue[] => {
    const name = headlineName(claim);
    const difference = differenceText(claim);
    return [
      claimName(claim),
      verdictTag(claim),
      claimedCell(claim),
      `${figureText(claim.supported, name)}${difference === null ? '' : ` (claim ${difference})`}`,
      claim.arithmetic,
      claim.evidence,
      claim.rules,
    ];
  });
  const labels = ['claim', 'verdict', 'claimed', 'supported by the evidence', 'arithmetic', 'evidence', 'rules'];
  return dataTable(
    'All claims, the worst first',
    labels.map((label) => ({ label })),
    rows,
  );
}

function claimSection(claim: Claim, findings: Finding[], charts: Html[]): Html {
  const figures = Object.keys({
    ...claim.claimed,
    ...claim.recomputed,
    ...claim.supported,
  }) as (keyof Claim['claimed'])[];
  const cell = (value: number | null | undefined) =>
    value === null || value === undefined ? 'unknown' : numberText(value);
  const table = dataTable(
    'Figures',
    [
      { label: 'figure' },
      { label: 'claimed', numeric: true },
      { label: 'recomputed', numeric: true },
      { label: 'supported', numeric: true },
    ],
    figures.map((name) => [name, cell(claim.claimed[name]), cell(claim.recomputed[name]), cell(claim.supported[name])]),
  );
  const differing = claim.comparisons.filter((c) => c.exact === false);
  const comparisons =
    differing.length === 0
      ? null
      : dataTable(
          `Printed fields that differ (${differing.length} of ${claim.comparisons.length})`,
          [{ label: 'field' }, { label: 'printed', numeric: true }, { label: 'recomputed', numeric: true }],
          differing.slice(0, maxComparisons).map((c) => [c.field, c.printed, c.recomputed]),
        );
  const official = claim.officialVerdict
    ? html`<p>The official checker ${claim.officialVerdict.pass ? 'passes' : 'fails'} this claim${claim.officialVerdict.reasons.length > 0 ? `: ${claim.officialVerdict.reasons.join('; ')}` : ''}.</p>`
    : null;
  const { windows } = claim;
  const facts = factTable('', [
    ['verdict', verdictTag(claim)],
    ['arithmetic', claim.arithmetic],
    ['evidence', claim.evidence],
    ['rules', claim.rules],
    [
      'windows',
      `${windows.claimed} claimed, ${windows.recomputable} recomputed, ${windows.exact} to the printed digit`,
    ],
    ['files', html`<span class="code">${claim.path}</span>`],
  ]);
  return section(claimName(claim), facts, table, charts, comparisons, official, findingList(findings));
}

function findingList(findings: Finding[]): Html | null {
  if (findings.length === 0) return null;
  const items = findings.map((f) => {
    const evidence = evidenceText(f.evidence);
    const details =
      evidence === null ? null : html`<details><summary>evidence</summary><p class="code">${evidence}</p></details>`;
    return html`<li><span class="tag">${f.severity}</span> <span class="code">${f.code}</span>${f.message}${details}</li>`;
  });
  return html`<ul class="notes">${items}</ul>`;
}

function evidenceText(evidence: Record<string, unknown>): string | null {
  if (Object.keys(evidence).length === 0) return null;
  const text = JSON.stringify(evidence);
  return text.length <= maxEvidence ? text : `${text.slice(0, maxEvidence)}... (cut; the JSON holds all)`;
}

function looseSection(findings: Finding[]): Html[] {
  if (findings.length === 0) return [];
  const shown = findings.slice(0, maxParts).map((f) => ({ ...f, message: `${f.path}: ${f.message}` }));
  return [section('In no claim', findingList(shown))];
}

function codesSection(findings: Finding[]): Html {
  const codes = [...new Set(findings.map((f) => f.code))].sort();
  const items = codes.map((code) => {
    const entry = findingEntry(code);
    return html`<li><span class="code">${code}</span>${entry.title}<p>${entry.explanation}</p><p class="soft">${decisionText(entry)} Rule: ${entry.rule} Source: ${entry.source} A submitter can say: ${entry.reply}</p></li>`;
  });
  return section(
    'What the codes mean',
    codes.length === 0 ? 'Nothing was found.' : html`<ul class="notes">${items}</ul>`,
  );
}

function answersSection(): Html {
  return section(
    'The three answers',
    html`<p><strong>Arithmetic</strong>: does the claimed figure follow from the submitted evidence by the published arithmetic? <strong>Evidence</strong>: does the evidence show what the claim says it shows? <strong>Rules</strong>: were the rules of the round kept?</p><p>The verdict is the first that applies: refuted (arithmetic differs or evidence contradicts), unverifiable (arithmetic none or evidence incomplete), irregular (rules broken), upheld.</p>`,
  );
}

/** The extremes of a trace with the windows as claimed (shaded) and as the evidence implies them (bars below). */
function plotChart(plot: Plot): Chart {
  const shown = (value: number) => Number(value.toPrecision(6));
  const values = plot.points.map(([x, low, high]) => ({ x: shown(x), low: shown(low), high: shown(high) }));
  const spans = plot.spans.map((s) => ({ from: shown(s.from), to: shown(s.to), label: s.label }));
  const title = printable(plot.title);
  const [x, y] = [printable(plot.x), printable(plot.y)];
  const highest = values.reduce((most, v) => Math.max(most, v.high), 0);
  const band = { implied: { y: -0.06 * highest, y2: -0.02 * highest } };
  const spec: TopLevelSpec = {
    $schema: SCHEMA,
    config,
    width: 'container',
    height: 260,
    layer: [
      {
        data: { values: spans.filter((s) => s.label === 'claimed') },
        mark: { type: 'rect', fill: colour.shade, tooltip: true },
        encoding: {
          x: { field: 'from', type: 'quantitative', title: x },
          x2: { field: 'to' },
          tooltip: { field: 'label' },
        },
      },
      {
        data: { values: spans.filter((s) => s.label === 'implied').map((s) => ({ ...s, ...band.implied })) },
        mark: { type: 'rect', fill: colour.accent, tooltip: true },
        encoding: {
          x: { field: 'from', type: 'quantitative', title: x },
          x2: { field: 'to' },
          y: { field: 'y', type: 'quantitative', title: y },
          y2: { field: 'y2' },
          tooltip: { field: 'label' },
        },
      },
      {
        data: { values },
        mark: { type: 'area', interpolate: 'step-after', fill: colour.ink },
        encoding: {
          x: { field: 'x', type: 'quantitative', title: x, scale: { nice: false } },
          y: { field: 'low', type: 'quantitative', title: y },
          y2: { field: 'high' },
        },
      },
    ],
  };
  const words = (label: Plot['spans'][0]['label']) =>
    spans
      .filter((s) => s.label === label)
      .slice(0, 20)
      .map((s) => `${s.from} to ${s.to}`)
      .join(', ') || 'none';
  return {
    spec,
    alternative: `${title}. Claimed windows: ${words('claimed')}. Windows that the evidence implies: ${words('implied')}.`,
    caption: `${title}. Shaded: the claimed windows; bars below zero: the windows that the evidence implies.`,
  };
}
