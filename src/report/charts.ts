import type { TopLevelSpec } from 'vega-lite';
import type { PowerBin } from '../scoring/power-view.ts';
import type { ScoreDocument } from '../scoring/score-document.ts';
import { formatPercent, formatSi, type SiColumn, siColumn } from '../signal/units.ts';
import { type Spread, spreadOf } from './summary.ts';
import { printable } from './text.ts';

/** A decimated power trace of one rail. */
export interface TraceView {
  rail: string;
  unit: 'W';
  bins: PowerBin[];
}

/** A chart: its Vega-Lite specification and the same in words. */
export interface Chart {
  spec: TopLevelSpec;
  /** What a reader who does not see the chart must know. */
  alternative: string;
  /** What a reader who sees it must know besides. */
  caption: string;
}

export const SCHEMA = 'https://vega.github.io/schema/vega-lite/v6.json';
const FONT = '"Helvetica Neue", "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif';
/** More bins than a screen has columns show nothing more. */
const MAX_BINS = 2000;
const MAX_SHADES = 400;
const MAX_POINTS = 80;
const HISTOGRAM_BINS = 40;
const MAX_GROUPS = 400;
const MICRO = { micro: 'µ' } as const;

/** Colours are CSS variables of the page, so that charts follow its theme, on screen and on paper. */
export const colour = {
  ink: 'var(--ink)',
  soft: 'var(--soft)',
  hair: 'var(--hair)',
  band: 'var(--band)',
  accent: 'var(--accent)',
  shade: 'var(--shade)',
};

export const config: TopLevelSpec['config'] = {
  background: 'transparent',
  font: FONT,
  view: { stroke: null },
  aria: false,
  axis: {
    domain: false,
    ticks: false,
    labelColor: colour.soft,
    labelFontSize: 12,
    labelPadding: 6,
    titleColor: colour.soft,
    titleFontSize: 12,
    titleFontWeight: 'normal',
    titlePadding: 10,
    grid: true,
    gridColor: colour.hair,
    gridWidth: 1,
    tickCount: 6,
  },
  axisX: { grid: false, domain: true, domainColor: colour.soft, ticks: true, tickColor: colour.soft, tickSize: 4 },
  text: { font: FONT, fontSize: 12, fill: colour.soft },
};

/** Six figures are more than a screen can show; full precision would only fatten the page. */
function shown(value: number): number {
  return Number(value.toPrecision(6));
}

/** Fewer bins, each the extremes and the time-weighted mean of its neighbours. */
export function mergeBins(bins: PowerBin[], maxBins: number): PowerBin[] {
  if (bins.length <= maxBins) return bins;
  const perGroup = Math.ceil(bins.length / maxBins);
  const merged: PowerBin[] = [];
  for (let first = 0; first < bins.length; first += perGroup) {
    const group = bins.slice(first, first + perGroup);
    let energy = 0;
    let time = 0;
    const out = { t0_s: group[0]!.t0_s, t1_s: group.at(-1)!.t1_s, min: Infinity, max: -Infinity, mean: 0 };
    for (const bin of group) {
      out.min = Math.min(out.min, bin.min);
      out.max = Math.max(out.max, bin.max);
      energy += bin.mean * (bin.t1_s - bin.t0_s);
      time += bin.t1_s - bin.t0_s;
    }
    out.mean = time > 0 ? energy / time : group[0]!.mean;
    merged.push(out);
  }
  return merged;
}

interface Shade {
  x0: number;
  x1: number;
  label: string;
}

/** Windows as stretches of time; neighbours too close to tell apart on a screen become one. */
function windowShades(document: ScoreDocument): { shades: Shade[]; joined: boolean } {
  const { windows } = document;
  if (windows.length <= MAX_SHADES) {
    const shades = windows.map((window) => ({
      x0: window.start_s,
      x1: window.start_s + window.duration_s,
      label: `window ${window.index}: ${formatSi(window.energyPerInference_uJ ?? window.energy_uJ, 'uJ', MICRO)}`,
    }));
    return { shades, joined: false };
  }
  const first_s = windows[0]!.start_s;
  const last = windows.at(-1)!;
  const closest_s = (last.start_s + last.duration_s - first_s) / MAX_SHADES;
  const shades: Shade[] = [];
  for (const window of windows) {
    const end_s = window.start_s + window.duration_s;
    const previous = shades.at(-1);
    if (previous !== undefined && window.start_s - previous.x1 < closest_s) previous.x1 = Math.max(previous.x1, end_s);
    else shades.push({ x0: window.start_s, x1: end_s, label: 'windows' });
  }
  return { shades, joined: true };
}

/** Idle baselines and the active power, in W, with what a chart calls them. */
function powerLevels(
  document: ScoreDocument,
): { name: string; power_W: number; u_W: number | null; active: boolean }[] {
  if (document.idle === null) return [];
  const levels = document.idle.baselines.map((baseline) => ({
    name: `idle, ${printable(baseline.method)}`,
    power_W: baseline.power_W,
    u_W: baseline.u_W,
    active: false,
  }));
  const { activePower_W } = document.idle;
  if (activePower_W !== null) levels.push({ name: 'active', power_W: activePower_W, u_W: null, active: true });
  return levels;
}

/** The power trace of one rail with its windows shaded and the idle and active levels; null where it has no bins. */
export function traceChart(document: ScoreDocument, trace: TraceView, maxBins = MAX_BINS): Chart | null {
  const bins = mergeBins(trace.bins, Math.min(maxBins, MAX_BINS));
  if (bins.length === 0) return null;
  const start_s = bins[0]!.t0_s;
  const end_s = bins.at(-1)!.t1_s;
  const powerScale = siColumn(
    bins.map((bin) => bin.max),
    trace.unit,
    MICRO,
  );
  const timeScale = siColumn([end_s - start_s], 's', MICRO);
  const time = (seconds: number) => shown(seconds * timeScale.factor);
  const power = (watts: number) => shown(watts * powerScale.factor);

  const values: { t: number; min: number | null; max: number | null; mean: number | null }[] = [];
  bins.forEach((bin, k) => {
    values.push({ t: time(bin.t0_s), min: power(bin.min), max: power(bin.max), mean: power(bin.mean) });
    const next = bins[k + 1];
    const isLast = next === undefined;
    if (isLast || next.t0_s - bin.t1_s > 0.01 * (bin.t1_s - bin.t0_s)) {
      values.push({ t: time(bin.t1_s), min: power(bin.min), max: power(bin.max), mean: power(bin.mean) });
      if (!isLast) values.push({ t: time(bin.t1_s), min: null, max: null, mean: null });
    }
  });

  const { shades, joined } = windowShades(document);
  const [firstIdle] = document.idle?.baselines ?? [];
  const active_W = document.idle?.activePower_W ?? null;
  const levels: { power: number; name: string }[] = [];
  if (firstIdle !== undefined) levels.push({ power: power(firstIdle.power_W), name: 'idle' });
  if (active_W !== null) levels.push({ power: power(active_W), name: 'active' });
  const x = { field: 't', type: 'quantitative' as const, title: `Time (${timeScale.unit})` };
  const y = { type: 'quantitative' as const, title: `Power (${powerScale.unit})` };
  const peak = bins.reduce((largest, bin) => Math.max(largest, bin.max), Number.NEGATIVE_INFINITY);

  const rail = printable(trace.rail);
  const span = `${formatSi(end_s - start_s, 's', MICRO)} of power on rail ${rail}`;
  const spec: TopLevelSpec = {
    $schema: SCHEMA,
    config,
    width: 'container',
    height: 280,
    padding: { left: 0, top: 5, bottom: 5, right: levels.length > 0 ? 26 : 5 },
    layer: [
      {
        data: { values: shades.map((shade) => ({ ...shade, x0: time(shade.x0), x1: time(shade.x1) })) },
        mark: { type: 'rect', fill: colour.shade, tooltip: true },
        encoding: {
          x: { field: 'x0', type: 'quantitative', title: x.title },
          x2: { field: 'x1' },
          tooltip: { field: 'label', type: 'nominal' },
        },
      },
      {
        data: { values },
        layer: [
          {
            mark: { type: 'area', interpolate: 'step-after', fill: colour.band },
            encoding: { x, y: { ...y, field: 'min' }, y2: { field: 'max' } },
          },
          {
            mark: { type: 'line', interpolate: 'step-after', stroke: colour.ink, strokeWidth: 1 },
            encoding: { x, y: { ...y, field: 'mean' } },
          },
        ],
        encoding: { x: { ...x, scale: { nice: false, domain: [time(start_s), time(end_s)] } } },
      },
      {
        data: { values: levels },
        encoding: { y: { ...y, field: 'power' } },
        layer: [
          { mark: { type: 'rule', stroke: colour.accent, strokeDash: [5, 4], strokeWidth: 1 } },
          {
            mark: { type: 'text', align: 'left', baseline: 'middle', dx: 6, fill: colour.accent },
            encoding: { x: { value: 'width' }, text: { field: 'name', type: 'nominal' } },
          },
        ],
      },
    ],
  };
  return {
    spec,
    alternative: `Line chart: ${span}, up to ${formatSi(peak, 'W', MICRO)}, with ${document.windows.length} windows shaded. ${levelWords(document)}`,
    caption: [
      `Rail ${rail}: mean power (line) and its extremes (grey) in ${bins.length} bins; shaded: the windows`,
      joined ? ', joined where they are too close to draw apart' : '',
      levels.length > 0 ? '; dashed: idle and active power.' : '.',
    ].join(''),
  };
}

/** How energy an inference differs from window to window; null where no window has one. */
export function spreadCharts(document: ScoreDocument): Chart[] {
  const energies = document.windows.map((window) => window.energyPerInference_uJ);
  const spread = spreadOf(energies);
  if (spread === null) return [];
  const scale = siColumn(energies, 'uJ', MICRO);
  if (spread.n <= MAX_POINTS) return [windowDots(document, spread, scale)];
  return [histogram(energies, spread, scale), windowOrder(document, spread, scale)];
}

function spreadWords(spread: Spread): string {
  const range = `${formatSi(spread.min, 'uJ', MICRO)} to ${formatSi(spread.max, 'uJ', MICRO)}`;
  const relative = spread.range_rel === null ? '' : `, a range of ${formatPercent(spread.range_rel, { digits: 2 })}`;
  return `${spread.n} windows from ${range}${relative}; median ${formatSi(spread.median, 'uJ', MICRO)}.`;
}

const CUT_AXIS = 'The axis does not start at zero.';

function medianRule(median: number, axis: 'x' | 'y') {
  const far = axis === 'y' ? { x: { value: 'width' as const } } : { y: { value: 0 } };
  const text = { type: 'text' as const, fill: colour.accent, baseline: 'bottom' as const };
  const place = axis === 'y' ? { align: 'right' as const, dy: -3 } : { align: 'left' as const, dx: 5, dy: 10 };
  return {
    data: { values: [{ median, name: 'median' }] },
    encoding: { [axis]: { field: 'median', type: 'quantitative' as const } },
    layer: [
      { mark: { type: 'rule' as const, stroke: colour.accent, strokeDash: [5, 4] } },
      { mark: { ...text, ...place }, encoding: { ...far, text: { field: 'name', type: 'nominal' as const } } },
    ],
  };
}

/** A domain with some air, also where all numbers are the same. */
function roomyDomain(low: number, high: number): [number, number] {
  const air = 0.15 * (high - low) || 0.01 * Math.abs(high) || 1;
  return [shown(low - air), shown(high + air)];
}

function windowDots(document: ScoreDocument, spread: Spread, scale: SiColumn): Chart {
  const values = document.windows.flatMap((window) => {
    const energy = window.energyPerInference_uJ;
    if (energy === null) return [];
    return {
      window: window.index,
      energy: shown(energy * scale.factor),
      label: formatSi(energy, 'uJ', { digits: 6, ...MICRO }),
    };
  });
  const domain = roomyDomain(spread.min * scale.factor, spread.max * scale.factor);
  const y = {
    type: 'quantitative' as const,
    title: `Energy per inference (${scale.unit})`,
    scale: { domain, nice: false },
  };
  return {
    spec: {
      $schema: SCHEMA,
      config,
      width: 'container',
      height: 220,
      layer: [
        medianRule(shown(spread.median * scale.factor), 'y'),
        {
          data: { values },
          mark: { type: 'point', filled: true, fill: colour.ink, size: 60, opacity: 1, tooltip: true },
          encoding: {
            x: { field: 'window', type: 'ordinal', title: 'Window', axis: { labelAngle: 0, labelOverlap: true } },
            y: { ...y, field: 'energy' },
            tooltip: { field: 'label', type: 'nominal' },
          },
        },
      ],
      encoding: { y },
    },
    alternative: `Dot plot of energy per inference by window: ${spreadWords(spread)}`,
    caption: `Energy per inference of each window. ${CUT_AXIS}`,
  };
}

function histogram(energies: (number | null)[], spread: Spread, scale: SiColumn): Chart {
  const low = spread.min;
  const width = (spread.max - spread.min) / HISTOGRAM_BINS || Math.abs(spread.max) / 1000 || 1;
  const counts = new Array<number>(HISTOGRAM_BINS).fill(0);
  for (const energy of energies) {
    if (energy !== null) counts[Math.min(HISTOGRAM_BINS - 1, Math.floor((energy - low) / width))]!++;
  }
  const values = counts.map((count, k) => ({
    from: shown((low + k * width) * scale.factor),
    to: shown((low + (k + 1) * width) * scale.factor),
    count,
    label: `${count} windows`,
  }));
  return {
    spec: {
      $schema: SCHEMA,
      config,
      width: 'container',
      height: 220,
      layer: [
        {
          data: { values },
          mark: { type: 'bar', fill: colour.ink, binSpacing: 1, tooltip: true },
          encoding: {
            x: {
              field: 'from',
              type: 'quantitative',
              bin: 'binned',
              title: `Energy per inference (${scale.unit})`,
              scale: { zero: false, nice: false },
            },
            x2: { field: 'to' },
            y: { field: 'count', type: 'quantitative', title: 'Windows' },
            tooltip: { field: 'label', type: 'nominal' },
          },
        },
        medianRule(shown(spread.median * scale.factor), 'x'),
      ],
    },
    alternative: `Histogram of energy per inference: ${spreadWords(spread)}`,
    caption: 'How many windows took how much energy per inference.',
  };
}

function windowOrder(document: ScoreDocument, spread: Spread, scale: SiColumn): Chart {
  const { windows } = document;
  const perGroup = Math.ceil(windows.length / MAX_GROUPS);
  const values: { window: number; min: number; max: number; median: number }[] = [];
  for (let first = 0; first < windows.length; first += perGroup) {
    const group = windows.slice(first, first + perGroup);
    const groupSpread = spreadOf(group.map((window) => window.energyPerInference_uJ));
    if (groupSpread === null) continue;
    values.push({
      window: group[0]!.index,
      min: shown(groupSpread.min * scale.factor),
      max: shown(groupSpread.max * scale.factor),
      median: shown(groupSpread.median * scale.factor),
    });
  }
  const domain = roomyDomain(spread.min * scale.factor, spread.max * scale.factor);
  const x = { field: 'window', type: 'quantitative' as const, title: 'Window', scale: { nice: false, zero: false } };
  const y = {
    type: 'quantitative' as const,
    title: `Energy per inference (${scale.unit})`,
    scale: { domain, nice: false },
  };
  return {
    spec: {
      $schema: SCHEMA,
      config,
      width: 'container',
      height: 220,
      data: { values },
      layer: [
        { mark: { type: 'area', fill: colour.band }, encoding: { x, y: { ...y, field: 'min' }, y2: { field: 'max' } } },
        {
          mark: { type: 'line', stroke: colour.ink, strokeWidth: 1 },
          encoding: { x, y: { ...y, field: 'median' } },
        },
      ],
    },
    alternative: `Line chart of energy per inference in the order of the windows: ${spreadWords(spread)}`,
    caption: `In the order of the windows: median (line) and extremes (grey) of every ${perGroup}. ${CUT_AXIS}`,
  };
}

function levelWords(document: ScoreDocument): string {
  return powerLevels(document)
    .map((level) => `${level.name}: ${formatSi(level.power_W, 'W', MICRO)}.`)
    .join(' ');
}

/** Idle baselines beside the active power; null where the score has none. */
export function levelsChart(document: ScoreDocument): Chart | null {
  const levels = powerLevels(document);
  if (levels.length === 0) return null;
  const scale = siColumn(
    levels.map((level) => level.power_W),
    'W',
    MICRO,
  );
  const values = levels.map((level) => ({
    name: level.name,
    power: shown(level.power_W * scale.factor),
    low: level.u_W === null ? null : shown((level.power_W - level.u_W) * scale.factor),
    high: level.u_W === null ? null : shown((level.power_W + level.u_W) * scale.factor),
    text: formatSi(level.power_W, 'W', MICRO),
    active: level.active,
  }));
  const y = {
    field: 'name',
    type: 'nominal' as const,
    sort: null,
    title: null,
    axis: { grid: false, labelLimit: 220, labelColor: colour.ink },
  };
  const x = { type: 'quantitative' as const, title: `Power (${scale.unit})`, scale: { zero: true } };
  return {
    spec: {
      $schema: SCHEMA,
      config,
      width: 'container',
      height: 34 * levels.length,
      padding: { left: 0, top: 5, bottom: 5, right: 38 },
      data: { values },
      encoding: { y },
      layer: [
        {
          mark: { type: 'bar', height: 12 },
          encoding: {
            x: { ...x, field: 'power' },
            color: { condition: { test: 'datum.active', value: colour.accent }, value: colour.band },
          },
        },
        {
          transform: [{ filter: 'datum.low !== null' }],
          mark: { type: 'rule', stroke: colour.ink, strokeWidth: 1.5 },
          encoding: { x: { ...x, field: 'low' }, x2: { field: 'high' } },
        },
        {
          mark: { type: 'text', align: 'left', dx: 8, fill: colour.ink },
          encoding: { x: { ...x, field: 'power' }, text: { field: 'text', type: 'nominal' } },
        },
      ],
    },
    alternative: `Bar chart of power levels. ${levelWords(document)}`,
    caption:
      'Idle power by each method, with one standard uncertainty where it is known, and mean power of the windows.',
  };
}

/** What a comparison shows of one run. */
export interface ComparedRun {
  name: string;
  median_uJ: number | null;
  energies_uJ: number[];
}

const MAX_STRIP_POINTS = 4000;
/** From this ratio of the largest to the smallest figure on, a linear axis hides the small ones. */
const LOG_AXIS_RATIO = 30;

/** Energy per inference of several runs on one axis, with the spread of their windows; null where none has any. */
export function comparisonChart(runs: ComparedRun[]): Chart | null {
  const spreads = runs.flatMap(({ name, median_uJ, energies_uJ }) => {
    const spread = spreadOf(energies_uJ);
    return spread === null ? [] : [{ name: printable(name), ...spread, median: median_uJ ?? spread.median }];
  });
  if (spreads.length === 0) return null;
  const low = Math.min(...spreads.map((spread) => spread.min));
  const high = Math.max(...spreads.map((spread) => spread.max));
  const scale = siColumn([high], 'uJ', MICRO);
  const energy = (value: number) => shown(value * scale.factor);
  const isLog = low > 0 && high / low > LOG_AXIS_RATIO;
  const values = spreads.map((spread) => ({
    name: spread.name,
    min: energy(spread.min),
    q1: energy(spread.q1),
    median: energy(spread.median),
    q3: energy(spread.q3),
    max: energy(spread.max),
    label: formatSi(spread.median, 'uJ', { digits: 5, ...MICRO }),
  }));
  const drawsPoints = runs.reduce((sum, run) => sum + run.energies_uJ.length, 0) <= MAX_STRIP_POINTS;
  const points = drawsPoints
    ? runs.flatMap(({ name, energies_uJ }) =>
        energies_uJ.map((value) => ({ name: printable(name), energy: energy(value) })),
      )
    : [];
  const x = {
    type: 'quantitative' as const,
    title: `Energy per inference (${scale.unit})`,
    scale: isLog
      ? { type: 'log' as const }
      : { zero: false, nice: false, domain: roomyDomain(low * scale.factor, high * scale.factor) },
  };
  const y = {
    field: 'name',
    type: 'nominal' as const,
    sort: values.map((value) => value.name),
    title: null,
    axis: { grid: false, labelLimit: 180, labelColor: colour.ink },
  };
  const words = spreads.map((spread) => `${spread.name}: ${spreadWords(spread)}`).join(' ');
  return {
    spec: {
      $schema: SCHEMA,
      config,
      width: 'container',
      height: 44 * values.length,
      data: { values },
      encoding: { y },
      layer: [
        { mark: { type: 'rule', stroke: colour.soft }, encoding: { x: { ...x, field: 'min' }, x2: { field: 'max' } } },
        {
          mark: { type: 'bar', height: 14, fill: colour.band },
          encoding: { x: { ...x, field: 'q1' }, x2: { field: 'q3' } },
        },
        {
          data: { values: points },
          mark: { type: 'point', filled: true, fill: colour.ink, size: 22, opacity: 0.7 },
          encoding: { x: { ...x, field: 'energy' } },
        },
        {
          mark: { type: 'tick', thickness: 2, height: 26, fill: colour.accent, tooltip: true },
          encoding: { x: { ...x, field: 'median' }, tooltip: { field: 'label', type: 'nominal' } },
        },
      ],
    },
    alternative: `Energy per inference by run. ${words}`,
    caption: `Median (upright stroke), quartiles (bar) and extremes (line) of the windows${drawsPoints ? '; each dot is a window' : ''}. ${isLog ? 'The axis is logarithmic.' : CUT_AXIS}`,
  };
}
