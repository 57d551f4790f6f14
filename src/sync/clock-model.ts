/** One of the two clocks of a model. */
export interface ClockRef {
  id: string;
  /** Ticks a second, nominal. */
  tickHz: number;
}

/**
 * A straight relation between two clocks: at `reference` (a tick of the one) the other shows `offset`, and it counts
 * `1 + skew` times as fast as the nominal rates say.
 */
export interface ClockLine {
  reference: number;
  offset: number;
  skew: number;
  /** Variance of the offset at the reference (ticks^2 of the other clock), of the skew, and their covariance. */
  covariance: { offset: number; skew: number; cross: number };
}

/** A line and the first tick from which it holds; the first line of a model holds from the beginning of time. */
export interface ClockPiece {
  from: number;
  line: ClockLine;
}

/**
 * Maps times on one clock to times on another: t_B = offset + (1 + skew) (t_A - reference) (specs: science 3.2), piece
 * by piece where the skew changes over a long run. Carries the uncertainty of a mapped time, in two parts: what the fit
 * leaves (it differs from time to time) and `common_ticks`, an error that all mapped times share, such as the part of a
 * latency that one-way messages cannot show.
 */
export class ClockModel {
  readonly from: ClockRef;
  readonly to: ClockRef;
  readonly pieces: readonly ClockPiece[];
  /** Standard uncertainty shared by all mapped times, in ticks of `to`; null where unknown. */
  readonly common_ticks: number | null;

  /** @throws RangeError unless there is a piece, and the pieces ascend */
  constructor(from: ClockRef, to: ClockRef, pieces: readonly ClockPiece[], common_ticks: number | null) {
    if (pieces.length === 0 || pieces.some((piece, k) => k > 0 && !(piece.from > pieces[k - 1]!.from))) {
      throw new RangeError(`the pieces of the model ${from.id} -> ${to.id} do not ascend`);
    }
    this.from = from;
    this.to = to;
    this.pieces = pieces;
    this.common_ticks = common_ticks;
  }

  /** A model of two clocks that are one, but that whatever `from` stamps is stamped late: by between 0 and `most_s`. */
  static late(from: ClockRef, to: ClockRef, most_s: number): ClockModel {
    const covariance = { offset: 0, skew: 0, cross: 0 };
    const half = (most_s * to.tickHz) / 2;
    const line = { reference: 0, offset: -half, skew: 0, covariance };
    return new ClockModel(from, to, [{ from: -Infinity, line }], half);
  }

  /** Nominal ticks of `to` in one tick of `from`. */
  get #nominal(): number {
    return this.to.tickHz / this.from.tickHz;
  }

  #lineAt(tick: number): ClockLine {
    const { pieces } = this;
    let low = 0;
    let high = pieces.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (pieces[middle]!.from <= tick) low = middle;
      else high = middle;
    }
    return pieces[low]!.line;
  }

  /** The tick of `to` at a tick of `from`. */
  map(tick: number): number {
    const { offset, reference, skew } = this.#lineAt(tick);
    return offset + this.#nominal * (1 + skew) * (tick - reference);
  }

  /** Standard uncertainty that the fit leaves in `map(tick)`, in ticks of `to`, without the common part. */
  fit_u_ticks(tick: number): number {
    const { reference, covariance } = this.#lineAt(tick);
    const x = this.#nominal * (tick - reference);
    return Math.sqrt(Math.max(0, covariance.offset + 2 * x * covariance.cross + x * x * covariance.skew));
  }

  /** Standard uncertainty of `map(tick)` in ticks of `to`; null where the common part is not known. */
  u_ticks(tick: number): number | null {
    return this.common_ticks === null ? null : Math.hypot(this.fit_u_ticks(tick), this.common_ticks);
  }

  /** Skew and its standard uncertainty at a tick of `from`: how much faster than nominal `to` counts. */
  skewAt(tick: number): { skew: number; u: number } {
    const { skew, covariance } = this.#lineAt(tick);
    return { skew, u: Math.sqrt(covariance.skew) };
  }

  /** The model from `to` back to `from`. */
  inverse(): ClockModel {
    const pieces = this.pieces.map(({ from, line }): ClockPiece => {
      const rate = this.#nominal * (1 + line.skew);
      const faster = 1 + line.skew;
      return {
        from: line.offset + rate * (from - line.reference),
        line: {
          reference: line.offset,
          offset: line.reference,
          skew: 1 / faster - 1,
          covariance: {
            offset: line.covariance.offset / rate ** 2,
            skew: line.covariance.skew / faster ** 4,
            cross: line.covariance.cross / (rate * faster ** 2),
          },
        },
      };
    });
    const common = this.common_ticks === null ? null : this.common_ticks / this.#nominal;
    return new ClockModel(this.to, this.from, pieces, common);
  }

  /** This model and then `next`, whose errors are taken as independent. @throws RangeError unless `next` begins where this ends */
  followedBy(next: ClockModel): ClockModel {
    if (next.from.id !== this.to.id)
      throw new RangeError(`${this.from.id} -> ${this.to.id} does not meet ${next.from.id}`);
    const back = this.inverse();
    const breaks = [
      ...this.pieces.slice(1).map((piece) => piece.from),
      ...next.pieces.slice(1).map((piece) => back.map(piece.from)),
    ].sort((a, b) => a - b);
    const [n1, n2] = [this.#nominal, next.#nominal];
    const starts = [-Infinity, ...breaks.filter((tick, k) => k === 0 || tick > breaks[k - 1]!)];
    const pieces = starts.map((from, k): ClockPiece => {
      const to = starts[k + 1] ?? Infinity;
      const inside = insideOf(from, to);
      const first = this.#lineAt(inside);
      const second = next.#lineAt(this.map(inside));
      const [rate1, rate2] = [n1 * (1 + first.skew), n2 * (1 + second.skew)];
      const x = n2 * (first.offset - second.reference);
      const [a, b] = [first.covariance, second.covariance];
      const [f1, f2] = [rate2 / n2, rate1 / n1];
      return {
        from,
        line: {
          reference: first.reference,
          offset: second.offset + rate2 * (first.offset - second.reference),
          skew: f1 * f2 - 1,
          covariance: {
            offset: rate2 ** 2 * a.offset + b.offset + 2 * x * b.cross + x * x * b.skew,
            skew: f1 ** 2 * a.skew + f2 ** 2 * b.skew,
            cross: rate2 * f1 * a.cross + f2 * (b.cross + x * b.skew),
          },
        },
      };
    });
    const common =
      this.common_ticks === null || next.common_ticks === null
        ? null
        : Math.hypot(n2 * this.common_ticks, next.common_ticks);
    return new ClockModel(this.from, next.to, pieces, common);
  }
}

/** Some tick inside a stretch, whose ends may be infinite: it tells which lines hold there. */
function insideOf(from: number, to: number): number {
  if (from === -Infinity) return to === Infinity ? 0 : to - 1;
  return to === Infinity ? from + 1 : (from + to) / 2;
}
