import type { ScoreDocument } from '../scoring/score-document.ts';
import { formatCount, formatInColumn, formatPercent, formatSi, siColumn } from '../signal/units.ts';
import { type ComparedRun, comparisonChart } from './charts.ts';
import { type Html, type HtmlValue, html } from './html-text.ts';
import { dataTable, PageWriter, section } from './page.ts';
import { flattenFacts } from './provenance.ts';
import { recordingName, SIMULATED_MARK, spreadOf } from './summary.ts';

const MICRO = { micro: 'µ' } as const;
const MAX_DIFFERENCES = 60;

/** Runs that may stand on one axis: the same benchmark, and either all simulated or none. */
interface Group {
  profile: string | null;
  simulated: boolean;
  runs: NamedRun[];
}

interface NamedRun extends ComparedRun {
  document: ScoreDocument;
}

export interface ComparisonOptions {
  generatedBy: string;
  title?: string;
  /** Where each score was read from, in the order of the scores; a replayed run folder calls itself `.`. */
  paths?: string[];
}

/**
 * The HTML comparison of several scores. Runs of different profiles, and simulated and real ones, are kept apart with
 * the reason at the top: they never share an axis or a ratio.
 */
export function renderComparison(documents: ScoreDocument[], options: ComparisonOptions): string {
  const page = new PageWriter();
  const groups = groupRuns(nameRuns(documents, options.paths ?? documents.map((document) => document.source.path)));
  const simulated = documents.filter((document) => document.simulated === true).length;
  const title = options.title ?? `${documents.length} runs compared`;
  return page.write({
    title: `${simulated > 0 ? 'SIMULATED: ' : ''}${title} - Joulemark`,
    mark: simulatedMark(simulated, documents.length),
    header: html`<h1>${title}</h1><p class="lead">Energy per inference, gross, as the median of each run's windows.</p>`,
    body: [section('Before you compare', cautionList(groups)), ...groups.map((group) => groupSection(page, group))],
    footer: html`${options.generatedBy}. Ratios here are of medians and carry no interval.`,
  });
}

function simulatedMark(simulated: number, total: number): string | null {
  if (simulated === 0) return null;
  return simulated === total
    ? SIMULATED_MARK
    : `SIMULATED runs are among these (${simulated} of ${total}): no real device was measured in them.`;
}

const MAX_NAME_PARTS = 8;

/** Every run gets a name of its own: as many last parts of its path as it takes, else a number. */
function nameRuns(documents: ScoreDocument[], paths: string[]): NamedRun[] {
  const named = (parts: number) => paths.map((path) => recordingName(path, parts));
  let parts = 1;
  while (parts < MAX_NAME_PARTS && new Set(named(parts)).size < documents.length) parts++;
  const names = named(parts);
  const seen = new Map<string, number>();
  return documents.map((document, k) => {
    const count = (seen.get(names[k]!) ?? 0) + 1;
    seen.set(names[k]!, count);
    const refused = document.refusal !== null;
    return {
      name: count === 1 ? names[k]! : `${names[k]} (${count})`,
      document,
      median_uJ: refused ? null : document.median.energyPerInference_uJ,
      energies_uJ: refused ? [] : document.windows.flatMap((window) => window.energyPerInference_uJ ?? []),
    };
  });
}

function groupRuns(runs: NamedRun[]): Group[] {
  const groups = new Map<string, Group>();
  for (const run of runs) {
    const { profile } = run.document;
    const simulated = run.document.simulated === true;
    const key = JSON.stringify([profile, simulated]);
    const group = groups.get(key) ?? { profile, simulated, runs: [] };
    group.runs.push(run);
    groups.set(key, group);
  }
  return [...groups.values()];
}

function groupName({ profile, simulated }: Group): string {
  return `${profile ?? 'Unknown benchmark'}${simulated ? ', simulated' : ''}`;
}

/** A ratio is given only where the runs are known to have done the same. */
function hasRatios(group: Group): boolean {
  return group.profile !== null && group.runs.length > 1;
}

function cautionList(groups: Group[]): Html {
  const cautions: string[] = [];
  const profiles = new Set(groups.map((group) => group.profile));
  if (profiles.size > 1) {
    const names = [...profiles].map((profile) => profile ?? 'unknown').join(', ');
    cautions.push(
      `The runs are of different benchmarks (${names}). They are shown apart, and no ratio is given between them.`,
    );
  }
  if (new Set(groups.map((group) => group.simulated)).size > 1) {
    cautions.push(
      'Some runs are simulated, and others are not or do not say. They are shown apart, and no ratio is given between them.',
    );
  }
  for (const group of groups) {
    if (group.profile === null && group.runs.length > 1) {
      cautions.push(
        'Where the benchmark is unknown, it cannot be told whether the runs did the same: no ratio is given.',
      );
    }
    const methods = new Set(group.runs.flatMap((run) => run.document.windows.map((window) => window.method)));
    if (methods.size > 1) {
      cautions.push(`${groupName(group)}: the windows were sliced by different rules (${[...methods].join(', ')}).`);
    }
    for (const { name, document } of group.runs) {
      if (document.refusal !== null) {
        cautions.push(`${name} has no figure: ${document.refusal.message} (${document.refusal.code})`);
      }
    }
    const unmet = group.runs.filter((run) => run.document.gates.some((gate) => gate.met === false));
    if (unmet.length > 0) {
      cautions.push(`A demand of the profile is not met by: ${unmet.map((run) => run.name).join(', ')}.`);
    }
  }
  if (cautions.length === 0) {
    return html`<p>The runs are of one benchmark and were sliced by one rule. What else differs between them is listed below their figures.</p>`;
  }
  return html`<ul class="notes">${cautions.map((caution) => html`<li>${caution}</li>`)}</ul>`;
}

function groupSection(page: PageWriter, group: Group): Html {
  const chart = comparisonChart(group.runs);
  return section(
    groupName(group),
    chart === null ? null : page.figure(chart),
    figuresTable(group),
    differencesTable(group),
  );
}

function figuresTable(group: Group): Html {
  const spreads = group.runs.map((run) => spreadOf(run.energies_uJ));
  const energy = siColumn(
    spreads.flatMap((spread) => (spread === null ? [] : [spread.max])),
    'uJ',
    { digits: 5, ...MICRO },
  );
  const reference = group.runs.find((run) => run.median_uJ !== null && run.median_uJ > 0) ?? null;
  const rows = group.runs.map(({ name, document, median_uJ }, k): HtmlValue[] => {
    const spread = spreads[k]!;
    const accuracy = document.accuracy;
    const refused = document.refusal !== null;
    return [
      name,
      formatCount(document.windows.length),
      refused ? 'no figure' : formatInColumn(median_uJ, energy),
      ...(hasRatios(group) ? [ratioText(group.runs[k]!, reference)] : []),
      spread === null ? '' : formatInColumn(spread.min, energy),
      spread === null ? '' : formatInColumn(spread.max, energy),
      spread === null ? '' : formatPercent(spread.range_rel, { digits: 2 }),
      refused ? '' : formatSi(document.median.throughput_ips, ''),
      refused ? '' : formatSi(document.median.inferencesPerJoule, ''),
      accuracyText(accuracy),
      formatCount(document.warnings.length),
    ];
  });
  const { unit } = energy;
  return dataTable(
    'Figures of each run: energy per inference as the median of its windows, with the least and the most',
    [
      { label: 'Run' },
      { label: 'windows', numeric: true },
      { label: 'energy/inf', unit, numeric: true },
      ...(hasRatios(group) ? [{ label: 'ratio', numeric: true }] : []),
      { label: 'min', unit, numeric: true },
      { label: 'max', unit, numeric: true },
      { label: 'range', numeric: true },
      { label: 'inf/s', numeric: true },
      { label: 'inf/J', numeric: true },
      { label: 'accuracy', numeric: true },
      { label: 'warnings', numeric: true },
    ],
    rows,
  );
}

function ratioText(run: NamedRun, reference: NamedRun | null): string {
  if (run.median_uJ === null || reference === null) return '';
  return run === reference ? 'reference' : (run.median_uJ / reference.median_uJ!).toFixed(4);
}

function accuracyText(accuracy: ScoreDocument['accuracy']): string {
  if (accuracy?.top1_pct != null) return `top-1 ${formatPercent(accuracy.top1_pct / 100)}`;
  if (accuracy?.f1 != null) return `F1 ${formatSi(accuracy.f1, '', { digits: 3 })}`;
  if (accuracy?.auc != null) return `AUC ${formatSi(accuracy.auc, '', { digits: 3 })}`;
  return 'unknown';
}

/** The facts in which the runs of a group differ; what they share says nothing here. */
function differencesTable(group: Group): Html | null {
  if (group.runs.length < 2) return null;
  const facts = group.runs.map(
    ({ document }) => new Map(flattenFacts({ slicing: document.slicing, ...document.provenance }).entries),
  );
  const names = [...new Set(facts.flatMap((entries) => [...entries.keys()]))];
  const differing = names.filter((name) => new Set(facts.map((entries) => entries.get(name))).size > 1);
  if (differing.length === 0)
    return html`<p class="soft">The runs state the same facts about their instrument, device and supply.</p>`;
  const table = dataTable(
    'What differs between the runs',
    [{ label: 'Fact' }, ...group.runs.map((run) => ({ label: run.name }))],
    differing
      .slice(0, MAX_DIFFERENCES)
      .map((name) => [name, ...facts.map((entries) => entries.get(name) ?? 'not stated')]),
  );
  const cut =
    differing.length > MAX_DIFFERENCES
      ? html`<p class="soft">${MAX_DIFFERENCES} of ${differing.length} are shown.</p>`
      : null;
  return html`${table}${cut}`;
}
