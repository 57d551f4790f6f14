import type { Edge } from '../signal/types.ts';

/**
 * Hold-off: after an accepted edge, further edges of that polarity (on that channel) are ignored for `holdOffTicks`.
 * A real pulse shorter than the hold-off is kept, because its other edge has the other polarity. 0 switches it off.
 */
export class HoldOff {
  readonly #ticks: number;
  readonly #accepted = new Map<string, number>();

  constructor(holdOffTicks: number) {
    this.#ticks = holdOffTicks;
  }

  /** Edges come in time order. */
  accepts(edge: Edge): boolean {
    if (this.#ticks <= 0) return true;
    const key = `${edge.polarity} ${edge.channel}`;
    const last = this.#accepted.get(key);
    if (last !== undefined && edge.tick - last < this.#ticks) return false;
    this.#accepted.set(key, edge.tick);
    return true;
  }
}

/** The hold-off over all edges of a run, in time order. */
export function holdOff(edges: readonly Edge[], holdOffTicks: number): { kept: Edge[]; ignored: Edge[] } {
  const filter = new HoldOff(holdOffTicks);
  const kept: Edge[] = [];
  const ignored: Edge[] = [];
  for (const edge of edges) (filter.accepts(edge) ? kept : ignored).push(edge);
  return { kept, ignored };
}

/**
 * Minimum width: a level that lasts less than `minWidthTicks` is deleted with both of its edges (on its channel), and
 * what then lies side by side is looked at again. `edges` in time order; 0 switches the filter off.
 */
export function minWidth(edges: readonly Edge[], minWidthTicks: number): { kept: Edge[]; deleted: Edge[] } {
  if (minWidthTicks <= 0) return { kept: [...edges], deleted: [] };
  const open = new Map<string, Edge[]>();
  const deleted = new Set<Edge>();
  for (const edge of edges) {
    let stack = open.get(edge.channel);
    if (stack === undefined) {
      stack = [];
      open.set(edge.channel, stack);
    }
    const previous = stack.at(-1);
    if (previous && previous.polarity !== edge.polarity && edge.tick - previous.tick < minWidthTicks) {
      deleted.add(previous).add(edge);
      stack.pop();
    } else {
      stack.push(edge);
    }
  }
  return { kept: edges.filter((edge) => !deleted.has(edge)), deleted: edges.filter((edge) => deleted.has(edge)) };
}
