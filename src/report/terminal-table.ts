import stringWidth from 'string-width';
import type { ScoreDocument } from '../scoring/score-document.ts';
import {
  formatCount,
  formatInColumn,
  formatPercent,
  formatSeconds,
  formatSi,
  formatWithU,
  siColumn,
} from '../signal/units.ts';
import { headlineFigures, spreadOf, truthSummary, windowColumnsOf } from './summary.ts';
import { padCells, printable, wrapCells } from './text.ts';

/** What the terminal can do. */
export interface TerminalStyle {
  /** Width in cells. */
  columns: number;
  color: boolean;
}

const MIN_COLUMNS = 40;
const LABEL_WIDTH = 12;
/** More windows than this are summarised. */
const MAX_ROWS = 24;
const FIRST_ROWS = 5;
/** Columns that make room on a narrow terminal, first to go first. */
const EXPENDABLE = ['start', 'inferences', 'duration', 'power', 'energy'];

/** Colour only on a terminal and without NO_COLOR (any value that is not empty); 80 columns where it says nothing. */
export function terminalStyle(
  stream: { isTTY?: boolean; columns?: number },
  environment: Record<string, string | undefined>,
): TerminalStyle {
  const isTerminal = stream.isTTY === true;
  const noColor = (environment.NO_COLOR ?? '') !== '' || environment.TERM === 'dumb';
  return { columns: (isTerminal && stream.columns) || 80, color: isTerminal && !noColor };
}

type Paint = (text: string) => string;

function painter(color: boolean, code: number): Paint {
  return color ? (text) => `\u001b[${code}m${text}\u001b[0m` : (text) => text;
}

/**
 * A score as text for a terminal: windows (summarised where there are many), figures with their uncertainty, idle
 * power, accuracy, gates, totals and warnings. No line is wider than the terminal (at least 40 columns are taken).
 */
export function renderScoreTable(document: ScoreDocument, style: TerminalStyle): string {
  const width = Math.max(MIN_COLUMNS, style.columns);
  const bold = painter(style.color, 1);
  const dim = painter(style.color, 2);
  const alarm = painter(style.color, 31);
  const lines: string[] = [];

  /** A labelled entry, wrapped, with its continuation lines indented. */
  const entry = (label: string, text: string, paint: Paint = (plain) => plain): void => {
    wrapCells(text, width - LABEL_WIDTH).forEach((line, k) => {
      lines.push(bold(padCells(k === 0 ? label : '', LABEL_WIDTH, 'right')) + paint(line));
    });
  };

  const { source, profile } = document;
  entry('Source', `${printable(source.path)} (${printable(source.format)})`);
  if (profile !== null) entry('Profile', printable(profile));
  if (document.simulated === true)
    entry('SIMULATED', 'No real device was measured. Do not publish these figures.', alarm);
  lines.push('');

  if (document.windows.length > 0) {
    for (const line of windowRows(document, width, { bold, dim })) lines.push(line);
    lines.push('');
  }

  if (document.refusal !== null) {
    entry('NO FIGURE', `${printable(document.refusal.message)} (${printable(document.refusal.code)})`, alarm);
  } else {
    headlineFigures(document).forEach((figure) => {
      entry(SHORT_LABEL[figure.id], formatWithU(figure.value, figure.u, figure.unit, { digits: 5 }));
    });
    if (document.accuracy !== null && document.accuracy.n > 0)
      entry('', dim(`accuracy over ${document.accuracy.n} ${document.accuracy.f1 === undefined ? 'inputs' : 'words'}`));
  }

  if (document.idle !== null) {
    for (const [k, { method, power_W, u_W }] of document.idle.baselines.entries()) {
      entry(k === 0 ? 'Idle' : '', `${formatWithU(power_W, u_W, 'W')}, ${printable(method)}`);
    }
    entry('Active', formatSi(document.idle.activePower_W, 'W'));
  }
  if (document.net !== null) {
    const { energyPerInference_uJ, power_W, baseline } = document.net;
    const energy = formatSi(energyPerInference_uJ, 'uJ', { digits: 5 });
    entry('Net', `${energy} per inference above ${formatSi(power_W, 'W')} (${printable(baseline)})`);
  }
  if (document.totals !== null) {
    const { energy_uJ, windows_uJ, outside_uJ, duration_s, missingSamples } = document.totals;
    const parts = `${formatSi(windows_uJ, 'uJ')} in windows, ${formatSi(outside_uJ, 'uJ')} outside`;
    const missing = missingSamples === 0 ? '' : `; missing samples: ${formatCount(missingSamples)}`;
    entry('Total', `${formatSi(energy_uJ, 'uJ')} in ${formatSeconds(duration_s)} (${parts})${missing}`);
  }
  const truth = truthSummary(document);
  if (truth !== null) {
    const within = `${truth.within} of ${truth.windows} windows within their tolerance`;
    entry('Truth', `${within}; largest error ${formatPercent(truth.largestError_rel)}`);
  }
  for (const [k, gate] of document.gates.entries()) {
    const answer = gate.met === null ? 'unknown' : gate.met ? 'met' : 'NOT MET';
    const text = `${answer}: ${printable(gate.demand)}; found ${printable(gate.found)}`;
    entry(k === 0 ? 'Gates' : '', text, gate.met === false ? alarm : undefined);
  }
  for (const [k, warning] of document.warnings.entries()) {
    entry(k === 0 ? 'Warnings' : '', `${warning.code}: ${printable(warning.message)}`);
  }
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

const SHORT_LABEL = {
  energyPerInference: 'Energy/inf',
  throughput: 'Throughput',
  inferencesPerJoule: 'Inf/J',
  power: 'Power',
  top1: 'Top-1',
  auc: 'AUC',
  f1: 'F1',
} as const;

function windowRows(document: ScoreDocument, width: number, paint: { bold: Paint; dim: Paint }): string[] {
  const { windows, median } = document;
  const isSummary = windows.length > MAX_ROWS;
  const shown = isSummary ? windows.slice(0, FIRST_ROWS) : windows;
  const official: Record<string, number | null> = {
    energyPerInference: median.energyPerInference_uJ,
    throughput: median.throughput_ips,
  };

  const indexCells = ['#', '', ...shown.map((window) => String(window.index))];
  if (isSummary) indexCells.push('...');
  if (windows.length > 1) indexCells.push('min', 'median', 'max', 'spread');

  const columns = windowColumnsOf(document).map(({ id, label, unit, digits, value }) => {
    const values = windows.map(value);
    const column = id === 'inferences' ? { unit: '', factor: 1, decimals: 0 } : siColumn(values, unit, { digits });
    const cells = [label, column.unit, ...shown.map((window) => formatInColumn(value(window), column))];
    if (isSummary) cells.push('');
    if (windows.length > 1) {
      const spread = id === 'start' ? null : spreadOf(values);
      if (spread === null) cells.push('', '', '', '');
      else {
        cells.push(
          formatInColumn(spread.min, column),
          formatInColumn(official[id] ?? spread.median, column),
          formatInColumn(spread.max, column),
          formatPercent(spread.range_rel, { digits: 2 }),
        );
      }
    }
    return { id, label, cells, width: widest(cells) };
  });

  const { kept, gap } = fitColumns(columns, widest(indexCells), width);
  const rows = indexCells.map((index, row) => {
    const cells = kept.map((column) => ' '.repeat(gap) + padCells(column.cells[row]!, column.width, 'left'));
    return padCells(index, widest(indexCells), 'left') + cells.join('');
  });
  const lines = rows.map((row, k) => (k === 0 ? paint.bold(row) : k === 1 ? paint.dim(row) : row));
  if (isSummary)
    lines.push(paint.dim(`${windows.length} windows; the first ${FIRST_ROWS} are shown, --csv gives all.`));
  if (kept.length < columns.length) {
    const absent = columns.filter((column) => !kept.includes(column)).map((column) => column.label);
    lines.push(...wrapCells(`Left out for width: ${absent.join(', ')}.`, width).map(paint.dim));
  }
  return lines;
}

function widest(cells: string[]): number {
  return cells.reduce((width, cell) => Math.max(width, stringWidth(cell)), 0);
}

/** Narrower gaps first, then fewer columns. */
function fitColumns<Column extends { id: string; width: number }>(
  columns: Column[],
  indexWidth: number,
  width: number,
) {
  const total = (kept: Column[], gap: number) => kept.reduce((sum, column) => sum + gap + column.width, indexWidth);
  let kept = columns;
  if (total(kept, 2) <= width) return { kept, gap: 2 };
  for (const id of EXPENDABLE) {
    if (total(kept, 1) <= width) break;
    kept = kept.filter((column) => column.id !== id);
  }
  return { kept, gap: 1 };
}
