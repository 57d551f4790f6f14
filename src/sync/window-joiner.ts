import type { RunPlan } from '../signal/recording.ts';
import type { Stage } from '../signal/reducer.ts';
import type { Edge, EdgeBatch, Gap, Progress, SampleBlock, StreamInfo, WindowSlice } from '../signal/types.ts';
import { mapEdge } from './align.ts';
import type { ClockModel } from './clock-model.ts';
import { EdgePairer, type Pairing, type PairingEvents } from './pairing.ts';
import { makeWindowSlicer, type SlicingMode, type WindowSlicer } from './slicing/stream-slicer.ts';

/** Undecided edges beyond this are a line that never rests: they are decided as they stand. */
const mostPending = 65_536;

/**
 * Turns edges into windows as they come: what a source has promised to be complete is filtered and paired, and nothing
 * of it is kept. The same windows come out as of `pairEdges` over all edges.
 */
class WindowJoiner {
  readonly #clock: string;
  readonly #pairer: EdgePairer;
  readonly #quiet: number;
  /** Edges that are not decided yet, in time order. */
  #pending: Edge[] = [];
  #promised = Number.NEGATIVE_INFINITY;
  /** Edges that came after the promise that none would. */
  late = 0;

  /** @param clock the clock of the edges; others are not looked at */
  constructor(plan: RunPlan, clock: { id: string; tickHz: number }, events: PairingEvents) {
    this.#clock = clock.id;
    this.#pairer = new EdgePairer(plan, clock.tickHz, events);
    this.#quiet = 2 * plan.minWidth_s * clock.tickHz;
  }

  pushEdges(batch: EdgeBatch): void {
    for (const edge of batch.edges) {
      if (edge.clock !== this.#clock || !this.#pairer.looksAt(edge)) continue;
      if (edge.tick < this.#promised) {
        this.late++;
        continue;
      }
      let at = this.#pending.length;
      while (at > 0 && this.#pending[at - 1].tick > edge.tick) at--;
      if (at === this.#pending.length) this.#pending.push(edge);
      else this.#pending.splice(at, 0, edge);
    }
  }

  /** @returns the tick before which no window begins or ends any more */
  pushProgress(upTo: number): number {
    this.#promised = Math.max(this.#promised, upTo);
    const pending = this.#pending;
    let known = 0;
    while (known < pending.length && pending[known].tick < this.#promised) known++;
    // The last ones may belong to a pulse that goes on.
    let decided = known;
    const next = (k: number) => (k < known ? pending[k].tick : this.#promised);
    while (decided > 0 && next(decided) - pending[decided - 1].tick <= this.#quiet && this.#quiet > 0) decided--;
    if (decided === 0 && known > mostPending) decided = known;
    if (decided > 0) this.#pairer.push(pending.splice(0, decided));
    return Math.min(this.#promised, this.#pending[0]?.tick ?? Number.POSITIVE_INFINITY);
  }

  end(ended: boolean): Pick<Pairing, 'refusal' | 'warnings'> {
    this.#pairer.push(this.#pending);
    this.#pending = [];
    return this.#pairer.end(ended);
  }
}

export interface JoinOptions {
  plan: RunPlan;
  stream: StreamInfo;
  /** The stream's clock. */
  clock: { id: string; tickHz: number };
  slicing: SlicingMode;
  /** From the clock of the edges to the stream's, where they differ. */
  model?: ClockModel;
  /** Most samples that wait for their windows. */
  lookBack?: number;
}

/** What a join has to say at its end. */
export interface JoinReport extends Pick<Pairing, 'refusal' | 'warnings'> {
  /** Edges that came after their source had promised that none would. */
  lateEdges: number;
  /** Windows that came after their samples had gone on, and where the first of them begins. */
  lateWindows: { windows: number; firstTick: number | null };
}

/**
 * Joins edges and samples while both still come: blocks, gaps, edges and progress in, the slice of each window out, as
 * soon as it is complete. Samples wait for the progress of the edges, at most `lookBack` of them; what comes later than
 * that is counted and reported. Memory does not grow with the run.
 */
export class WindowJoin implements Stage<SampleBlock | Gap | EdgeBatch | Progress, WindowSlice> {
  readonly #stream: string;
  readonly #edgeClock: string;
  readonly #model: ClockModel | null;
  readonly #joiner: WindowJoiner;
  readonly slicer: WindowSlicer;
  #report: JoinReport | null = null;

  constructor({ plan, stream, clock, slicing, model, lookBack }: JoinOptions) {
    this.#stream = stream.id;
    this.#model = model ?? null;
    this.#edgeClock = model?.from.id ?? clock.id;
    const slicer = makeWindowSlicer(stream, null, clock.tickHz, slicing, lookBack);
    this.slicer = slicer;
    let isOpen = false;
    this.#joiner = new WindowJoiner(plan, clock, {
      open(edge) {
        if (isOpen) slicer.cancelWindow();
        isOpen = true;
        slicer.openWindow(edge.tick, edge.u_ticks);
      },
      close(window) {
        isOpen = false;
        slicer.closeWindow(window);
      },
    });
  }

  push(chunk: SampleBlock | Gap | EdgeBatch | Progress): WindowSlice[] {
    switch (chunk.kind) {
      case 'edges':
        this.#joiner.pushEdges(this.#mapped(chunk));
        return [];
      case 'progress': {
        if (chunk.clock !== this.#edgeClock) return [];
        const upTo = this.#model === null ? chunk.upTo : this.#model.map(chunk.upTo);
        return this.slicer.promise(this.#joiner.pushProgress(upTo));
      }
      default:
        return chunk.stream === this.#stream ? this.slicer.push(chunk) : [];
    }
  }

  #mapped(batch: EdgeBatch): EdgeBatch {
    const model = this.#model;
    if (model === null) return batch;
    return { kind: 'edges', edges: batch.edges.filter((e) => e.clock === model.from.id).map((e) => mapEdge(e, model)) };
  }

  /** No edges and no samples come any more. */
  end(): WindowSlice[] {
    const { refusal, warnings } = this.#joiner.end(false);
    const slices = this.slicer.end();
    this.#report = { refusal, warnings, lateEdges: this.#joiner.late, lateWindows: this.slicer.late };
    return slices;
  }

  /** What there is to say; null before the end. */
  get report(): JoinReport | null {
    return this.#report;
  }
}
