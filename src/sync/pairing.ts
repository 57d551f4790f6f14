import type { RunPlan } from '../signal/recording.ts';
import type { Edge, Window } from '../signal/types.ts';
import { type Warning, warning } from '../signal/warnings.ts';
import { HoldOff, minWidth } from './edge-filters.ts';

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
  const windows: Window[] = [];
  const pairer = new EdgePairer(plan, tickHz, { open: () => {}, close: (window) => windows.push(window) });
  pairer.push(allEdges.filter((edge) => pairer.looksAt(edge)));
  const { refusal, warnings } = pairer.end(ended);
  return { windows: refusal === null ? windows : [], refusal, warnings };
}

/** What the pairer tells as it goes. A window that opens while one is open cancels that one. */
export interface PairingEvents {
  open(edge: Edge): void;
  close(window: Window): void;
}

/** `pairEdges` as edges come, in memory that does not grow with them. */
export class EdgePairer {
  readonly #plan: RunPlan;
  readonly #tickHz: number;
  readonly #rule: Rule;
  readonly #holdOff: HoldOff;
  readonly #minWidth: number;
  #pulses = 0;
  readonly #bounces = new Tally();
  readonly #held = new Tally();

  constructor(plan: RunPlan, tickHz: number, events: PairingEvents) {
    this.#plan = plan;
    this.#tickHz = tickHz;
    this.#rule = ruleOf(plan, tickHz, events);
    this.#holdOff = new HoldOff(plan.holdOff_s * tickHz);
    this.#minWidth = plan.minWidth_s * tickHz;
  }

  /** Is the edge on a channel of the plan? */
  looksAt(edge: Edge): boolean {
    return edge.channel === this.#plan.channel || edge.channel === this.#plan.stopChannel;
  }

  /**
   * Edges of the plan's channels in time order: all of them, or a part that lies further than twice the minimum width
   * from what came before and what will come, so that no pulse is cut in two.
   */
  push(edges: readonly Edge[]): void {
    const wide = minWidth(edges, this.#minWidth);
    const { bounces, pulses } = splitDeleted(wide, this.#minWidth);
    this.#pulses += pulses;
    for (const edge of bounces) this.#bounces.add(edge);
    for (const edge of wide.kept) {
      if (this.#holdOff.accepts(edge)) this.#rule.push(edge);
      else this.#held.add(edge);
    }
  }

  /** No edges come any more. `ended`: the capture ended early. */
  end(ended: boolean): Pick<Pairing, 'refusal' | 'warnings'> {
    const plan = this.#plan;
    const rule = this.#rule;
    const warnings: Warning[] = [];
    if (this.#pulses > 0) {
      const text = `${this.#pulses} pulses shorter than ${plan.minWidth_s * 1e6} us were deleted`;
      warnings.push(warning('edges.short-pulse', text));
    }
    if (this.#bounces.first !== null) warnings.push(bounceWarning(this.#bounces, plan.minWidth_s, this.#tickHz));
    if (this.#held.first !== null) warnings.push(bounceWarning(this.#held, plan.holdOff_s, this.#tickHz));
    warnings.push(...rule.warnings());
    let refusal = rule.refusal;

    if (refusal === null && rule.open !== null) {
      const at = (rule.open.tick / this.#tickHz).toFixed(6);
      if (ended) {
        warnings.push(warning('window.incomplete', `a window began at ${at} s and the capture ended before its end`));
      } else {
        refusal = refuse('edges.odd', `the last edge, at ${at} s, begins a window that nothing ends`);
      }
    }
    if (plan.windows !== null && !(ended && rule.windows <= plan.windows)) {
      const needed = promisedEdges(plan);
      const found = rule.used;
      if (found !== needed || rule.windows !== plan.windows) {
        const text = `${needed} edges were promised (${describePromise(plan)}), ${found} came`;
        // The place where the sequence breaks stays as a warning beside the count.
        if (found !== needed && refusal !== null) warnings.push(warning(refusal.code, refusal.message));
        if (found < needed) refusal = refuse('edges.lost', text);
        else if (found > needed) refusal = refuse('edges.extra', text);
      }
    }
    if (refusal !== null) warnings.push(warning(refusal.code, refusal.message));
    return { refusal, warnings };
  }
}

/** How many edges there were of a kind, and the first of them. */
class Tally {
  count = 0;
  first: Edge | null = null;

  add(edge: Edge): void {
    this.count++;
    this.first ??= edge;
  }
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

function bounceWarning(edges: Tally, within_s: number, tickHz: number): Warning {
  const first = (edges.first!.tick / tickHz).toFixed(6);
  return warning(
    'edges.bounce',
    `${edges.count} edges within ${within_s * 1e6} us of an accepted one were ignored, the first at ${first} s`,
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

/** A pairing rule at work: filtered edges in, windows out. */
interface Rule {
  push(edge: Edge): void;
  /** Start edge of a window that nothing has ended yet. */
  readonly open: Edge | null;
  /** Edges that the rule has looked at, and windows that it has made. */
  readonly used: number;
  readonly windows: number;
  readonly refusal: Pairing['refusal'];
  warnings(): Warning[];
}

function ruleOf(plan: RunPlan, tickHz: number, events: PairingEvents): Rule {
  switch (plan.pairing) {
    case 'falling-pairs':
      return new InTurn(tickHz, events, true);
    case 'toggle':
      return new InTurn(tickHz, events, false);
    case 'level-high':
      return new StartStop(tickHz, events, {
        looksAt: () => true,
        isStart: (edge) => edge.polarity === 'rise',
        isStop: (edge) => edge.polarity === 'fall',
      });
    case 'marks':
      return new StartStop(tickHz, events, {
        looksAt: (edge) => edge.polarity === 'rise',
        isStart: (edge) => edge.channel === plan.channel,
        isStop: (edge) => edge.channel === plan.stopChannel,
      });
  }
}

/** Edges (or falling ones, after the first of them) are start and stop in turn. */
class InTurn implements Rule {
  readonly #tickHz: number;
  readonly #events: PairingEvents;
  readonly #isFalling: boolean;
  #last: Edge | null = null;
  #both = { rise: false, fall: false };
  #equal: [Edge, Edge] | null = null;
  open: Edge | null = null;
  used = 0;
  windows = 0;
  readonly refusal = null;

  constructor(tickHz: number, events: PairingEvents, isFalling: boolean) {
    this.#tickHz = tickHz;
    this.#events = events;
    this.#isFalling = isFalling;
  }

  push(edge: Edge): void {
    if (this.#last?.polarity === edge.polarity) this.#equal ??= [this.#last, edge];
    this.#last = edge;
    this.#both[edge.polarity] = true;
    if (this.#isFalling && edge.polarity !== 'fall') return;
    this.used++;
    if (this.#isFalling && this.used === 1) return;
    if (this.open === null) {
      this.open = edge;
      this.#events.open(edge);
    } else {
      this.#events.close(makeWindow(this.windows++, this.open, edge));
      this.open = null;
    }
  }

  /**
   * Where a source reports both polarities, two equal ones in a row prove that an edge between them is missing. For
   * rules that use one polarity that is a warning; the count decides.
   */
  warnings(): Warning[] {
    if (!(this.#both.rise && this.#both.fall) || this.#equal === null) return [];
    const [first, second] = this.#equal;
    const word = first.polarity === 'fall' ? 'falling' : 'rising';
    const at = (edge: Edge) => `${(edge.tick / this.#tickHz).toFixed(6)} s`;
    return [warning('edges.polarity', `${word} edges at ${at(first)} and ${at(second)} have no edge between them`)];
  }
}

/** Which edges begin and end windows. */
interface StartStopEdges {
  looksAt(edge: Edge): boolean;
  isStart(edge: Edge): boolean;
  isStop(edge: Edge): boolean;
}

/** A start, then a stop; anything else is impossible. */
class StartStop implements Rule {
  readonly #tickHz: number;
  readonly #events: PairingEvents;
  readonly #edges: StartStopEdges;
  open: Edge | null = null;
  used = 0;
  windows = 0;
  refusal: Pairing['refusal'] = null;

  constructor(tickHz: number, events: PairingEvents, edges: StartStopEdges) {
    this.#tickHz = tickHz;
    this.#events = events;
    this.#edges = edges;
  }

  push(edge: Edge): void {
    if (!this.#edges.looksAt(edge)) return;
    this.used++;
    const at = (edge.tick / this.#tickHz).toFixed(6);
    if (this.#edges.isStart(edge)) {
      if (this.open !== null) {
        this.refusal ??= refuse(
          'edges.polarity',
          `a window that began at ${(this.open.tick / this.#tickHz).toFixed(6)} s has no end before the next begins at ${at} s`,
        );
      }
      this.open = edge;
      this.#events.open(edge);
    } else if (this.#edges.isStop(edge)) {
      if (this.open === null) {
        this.refusal ??= refuse('edges.polarity', `a window ends at ${at} s that never began`);
      } else {
        this.#events.close(makeWindow(this.windows++, this.open, edge));
        this.open = null;
      }
    }
  }

  warnings(): Warning[] {
    return [];
  }
}

function makeWindow(index: number, start: Edge, end: Edge): Window {
  const u = start.u_ticks === null || end.u_ticks === null ? null : Math.max(start.u_ticks, end.u_ticks);
  return { index, startTick: start.tick, endTick: end.tick, u_ticks: u };
}
