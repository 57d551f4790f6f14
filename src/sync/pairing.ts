import type { RunPlan } from '../signal/recording.ts';
import type { Edge, Window } from '../signal/types.ts';
import { type Warning, warning } from '../signal/warnings.ts';
import { holdOff, minWidth } from './edge-filters.ts';

/** Windows on the clock of the edges, or the reason why these edges give none. */
export interface Pairing {
  windows: Window[];
  /** Why the edge sequence is impossible; the windows are then empty: never a guess. */
  refusal: { code: 'edges.lost' | 'edges.extra' | 'edges.odd' | 'edges.polarity'; message: string } | null;
  warnings: Warning[];
}

/**
 * Turns edges into windows by the plan's pairing rule.
 *
 * - `falling-pairs`: falling edges; the first is the handshake, then start and stop in turn.
 * - `level-high`: a window from each rising edge to the next falling one.
 * - `toggle`: every edge of either polarity is start and stop in turn.
 * - `marks`: an edge on the start channel, then one on the stop channel.
 *
 * What the plan promised is held against what came. `ended` says that the capture ended early (cut off, unplugged):
 * then missing windows at the end are no contradiction, and an open window is dropped with a warning.
 */
export function pairEdges(allEdges: readonly Edge[], plan: RunPlan, tickHz: number, ended: boolean): Pairing {
  const warnings: Warning[] = [];
  const channels = new Set([plan.channel, ...(plan.stopChannel === undefined ? [] : [plan.stopChannel])]);
  const relevant = allEdges.filter((edge) => channels.has(edge.channel));
  const wide = minWidth(relevant, plan.minWidth_s * tickHz);
  const { bounces, pulses } = splitDeleted(wide, plan.minWidth_s * tickHz);
  if (pulses > 0) {
    warnings.push(
      warning('edges.short-pulse', `${pulses} pulses shorter than ${plan.minWidth_s * 1e6} us were deleted`),
    );
  }
  if (bounces.length > 0) {
    warnings.push(bounceWarning(bounces, plan.minWidth_s, tickHz));
  }
  const held = holdOff(wide.kept, plan.holdOff_s * tickHz);
  if (held.ignored.length > 0) warnings.push(bounceWarning(held.ignored, plan.holdOff_s, tickHz));
  const result = pairBy(held.kept, plan, tickHz);
  warnings.push(...result.warnings);
  let refusal = result.refusal;
  let windows = result.windows;

  if (refusal === null && result.open !== null) {
    const at = (result.open.tick / tickHz).toFixed(6);
    if (ended) {
      warnings.push(warning('window.incomplete', `a window began at ${at} s and the capture ended before its end`));
    } else {
      refusal = refuse('edges.odd', `the last edge, at ${at} s, begins a window that nothing ends`);
    }
  }
  if (plan.windows !== null && !(ended && windows.length <= plan.windows)) {
    const needed = promisedEdges(plan);
    const found = result.used;
    if (found !== needed || windows.length !== plan.windows) {
      const text = `${needed} edges were promised (${describePromise(plan)}), ${found} came`;
      // The place where the sequence breaks stays as a warning beside the count.
      if (found !== needed && refusal !== null) warnings.push(warning(refusal.code, refusal.message));
      if (found < needed) refusal = refuse('edges.lost', text);
      else if (found > needed) refusal = refuse('edges.extra', text);
    }
  }
  if (refusal !== null) {
    warnings.push(warning(refusal.code, refusal.message));
    windows = [];
  }
  return { windows, refusal, warnings };
}

/** Deleted edges right beside a kept one are its bounce; the others come in pairs and are pulses of their own. */
function splitDeleted(
  filtered: { kept: Edge[]; deleted: Edge[] },
  within: number,
): { bounces: Edge[]; pulses: number } {
  const { kept, deleted } = filtered;
  let k = 0;
  const bounces = deleted.filter((edge) => {
    while (k < kept.length && kept[k].tick < edge.tick - within) k++;
    for (let near = k; near < kept.length && kept[near].tick <= edge.tick + within; near++) {
      if (kept[near].channel === edge.channel) return true;
    }
    return false;
  });
  return { bounces, pulses: (deleted.length - bounces.length) / 2 };
}

function bounceWarning(edges: readonly Edge[], within_s: number, tickHz: number): Warning {
  const first = (edges[0].tick / tickHz).toFixed(6);
  return warning(
    'edges.bounce',
    `${edges.length} edges within ${within_s * 1e6} us of an accepted one were ignored, the first at ${first} s`,
  );
}

/** Edges that a fault-free run of this plan gives to the pairing rule. */
function promisedEdges(plan: RunPlan): number {
  return (plan.pairing === 'falling-pairs' ? 1 : 0) + 2 * (plan.windows ?? 0);
}

function describePromise(plan: RunPlan): string {
  const windows = `2 for each of ${plan.windows} windows`;
  return plan.pairing === 'falling-pairs' ? `1 handshake and ${windows}` : windows;
}

type Refusal = NonNullable<Pairing['refusal']>;

function refuse(code: Refusal['code'], message: string): Refusal {
  return { code, message };
}

interface Paired {
  windows: Window[];
  /** Start edge of a window that nothing ended. */
  open: Edge | null;
  /** Edges that the rule looked at. */
  used: number;
  refusal: Pairing['refusal'];
  warnings: Warning[];
}

function pairBy(edges: readonly Edge[], plan: RunPlan, tickHz: number): Paired {
  switch (plan.pairing) {
    case 'falling-pairs': {
      const falling = edges.filter((edge) => edge.polarity === 'fall');
      return { ...inTurn(falling.slice(1)), used: falling.length, ...alternation(edges, tickHz) };
    }
    case 'toggle':
      return { ...inTurn(edges), used: edges.length, ...alternation(edges, tickHz) };
    case 'level-high':
      return pairStartStop(
        edges,
        tickHz,
        (edge) => edge.polarity === 'rise',
        (edge) => edge.polarity === 'fall',
      );
    case 'marks':
      return pairStartStop(
        edges.filter((edge) => edge.polarity === 'rise'),
        tickHz,
        (edge) => edge.channel === plan.channel,
        (edge) => edge.channel === plan.stopChannel,
      );
  }
}

function inTurn(edges: readonly Edge[]): Pick<Paired, 'windows' | 'open'> {
  const windows: Window[] = [];
  for (let k = 0; k + 1 < edges.length; k += 2) windows.push(makeWindow(windows.length, edges[k], edges[k + 1]));
  return { windows, open: edges.length % 2 === 1 ? edges[edges.length - 1] : null };
}

/**
 * Where a source reports both polarities, two equal ones in a row prove that an edge between them is missing. For
 * rules that use one polarity that is a warning; the count decides.
 */
function alternation(edges: readonly Edge[], tickHz: number): Pick<Paired, 'refusal' | 'warnings'> {
  const both = edges.some((edge) => edge.polarity === 'rise') && edges.some((edge) => edge.polarity === 'fall');
  if (!both) return { refusal: null, warnings: [] };
  const at = edges.findIndex((edge, k) => k > 0 && edge.polarity === edges[k - 1].polarity);
  if (at < 0) return { refusal: null, warnings: [] };
  return { refusal: null, warnings: [warning('edges.polarity', polarityText(edges[at - 1], edges[at], tickHz))] };
}

function polarityText(first: Edge, second: Edge, tickHz: number): string {
  const word = first.polarity === 'fall' ? 'falling' : 'rising';
  return `${word} edges at ${(first.tick / tickHz).toFixed(6)} s and ${(second.tick / tickHz).toFixed(6)} s have no edge between them`;
}

function pairStartStop(
  edges: readonly Edge[],
  tickHz: number,
  isStart: (edge: Edge) => boolean,
  isStop: (edge: Edge) => boolean,
): Paired {
  const windows: Window[] = [];
  let open: Edge | null = null;
  let refusal: Pairing['refusal'] = null;
  for (const edge of edges) {
    const at = (edge.tick / tickHz).toFixed(6);
    if (isStart(edge)) {
      if (open !== null) {
        refusal ??= refuse(
          'edges.polarity',
          `a window that began at ${(open.tick / tickHz).toFixed(6)} s has no end before the next begins at ${at} s`,
        );
      }
      open = edge;
    } else if (isStop(edge)) {
      if (open === null) {
        refusal ??= refuse('edges.polarity', `a window ends at ${at} s that never began`);
      } else {
        windows.push(makeWindow(windows.length, open, edge));
        open = null;
      }
    }
  }
  return { windows, open, used: edges.length, refusal, warnings: [] };
}

function makeWindow(index: number, start: Edge, end: Edge): Window {
  const u = start.u_ticks === null || end.u_ticks === null ? null : Math.max(start.u_ticks, end.u_ticks);
  return { index, startTick: start.tick, endTick: end.tick, u_ticks: u };
}
