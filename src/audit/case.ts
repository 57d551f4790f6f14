import { statSync } from 'node:fs';
import { JoulemarkError } from '../signal/errors.ts';
import { median } from '../stats/quantile.ts';
import { compare, roundingOf, worstOf } from './compare.ts';
import type { AuditedClaim, ClaimDraft, ClaimSite, Comparison, Figures, Observation, Plot } from './types.ts';
import { reasonOf } from './walk.ts';

/** The longest published log that could hold results is 5 MB; a results file is 3 kB. */
const maxResults_bytes = 16 * 1024 * 1024;
/** Windows of one claim that are compared one by one; a run has five. */
export const maxWindows = 1000;

/** What an audit of one claim gathers on its way. */
export class Case {
  readonly site: ClaimSite;
  readonly observations: Observation[] = [];
  /** Comparisons a window (or trial), for the counts; those that belong to no window stand in `headline`. */
  readonly windows: Comparison[][] = [];
  readonly headline: Comparison[] = [];
  readonly claimed: Figures = {};
  readonly recomputed: Figures = {};
  readonly supported: Figures = {};
  readonly measured: Record<string, unknown> = {};
  readonly plots: Plot[] = [];
  readonly facts: Record<string, string | number | null> = {};

  constructor(site: ClaimSite) {
    this.site = site;
  }

  observe(code: string, path: string, message: string, evidence?: Record<string, unknown>): void {
    this.observations.push({ code, path, message, ...(evidence && { evidence }) });
  }

  has(code: string): boolean {
    return this.observations.some((o) => o.code === code);
  }

  /**
   * The file to read the printed figures from: the results file, else the log, which can hold them too. A results file
   * of megabytes is none, and reading it would cost memory.
   */
  resultsFile(results: string | undefined, log: string | undefined): string | undefined {
    const path = results ?? log;
    if (path === undefined) return undefined;
    try {
      const { size } = statSync(path);
      if (size <= maxResults_bytes) return path;
      if (results === undefined) return undefined;
      const message = `is ${size} bytes long; at most ${maxResults_bytes} are read`;
      this.observe('results.unreadable', path, message, { size_bytes: size });
    } catch (error) {
      this.observe('results.unreadable', path, reasonOf(error));
    }
    return undefined;
  }

  /** Reads a file; where that fails the reason becomes an observation and the answer is null. */
  async read<T>(code: string, path: string, reader: () => Promise<T>): Promise<T | null> {
    try {
      return await reader();
    } catch (error) {
      if (!(error instanceof JoulemarkError) && (error as NodeJS.ErrnoException).code === undefined) throw error;
      this.observe(code, path, reasonOf(error));
      return null;
    }
  }

  /**
   * Says whether the claimed figures follow: `arithmetic.differs` where a printed field differs, `arithmetic.none`
   * where no headline figure could be recomputed, and a note where a figure has few digits.
   */
  judgeArithmetic(missing: string): void {
    const all = [...this.windows.flat(), ...this.headline];
    const differing = all.filter((c) => c.exact === false);
    const worst = worstOf(differing);
    if (worst !== null) {
      const message = `${worst.field} is printed as ${worst.printed}, the evidence gives ${worst.recomputed} (${differing.length} of ${all.length} printed fields differ)`;
      this.observe('arithmetic.differs', this.site.path, message, { differing: differing.slice(0, 50) });
    }
    const unprinted = all.filter((c) => c.printed === null && c.recomputed !== null).map((c) => c.field);
    if (unprinted.length > 0 && unprinted.length < all.length) {
      const message = `the evidence gives ${unprinted.length} fields that the results do not print or that cannot be read there, the first: ${unprinted[0]}`;
      this.observe('results.incomplete', this.site.path, message, { fields: unprinted.slice(0, 50) });
    }
    const printed = this.headline.filter((c) => c.printed !== null);
    if (printed.length === 0) this.observe('arithmetic.none', this.site.path, 'no figure is claimed in the files');
    else if (printed.some((c) => c.recomputed === null)) {
      const fields = printed.filter((c) => c.recomputed === null).map((c) => c.field);
      this.observe('arithmetic.none', this.site.path, `${missing}; not recomputed: ${fields.join(', ')}`, { fields });
    }
    for (const c of printed) {
      const text = c.printed as string;
      // A count is exact, however few digits it has.
      if (!text.includes('.')) continue;
      const share = roundingOf(text) / Math.abs(Number(text));
      if (share > 0.001) {
        const message = `${c.field} is printed as ${text}; rounding alone can change it by ${(share * 100).toPrecision(2)} %`;
        this.observe('claim.digits', this.site.path, message, { field: c.field, printed: text, rounding_rel: share });
      }
    }
  }

  /** A headline figure: printed, held against its recomputation, and entered in `claimed` and `recomputed`. */
  figure(name: keyof Figures, field: string, print: Parameters<typeof compare>[1], value: number | null): void {
    if (print !== null) this.claimed[name] = print.value;
    if (value !== null) this.recomputed[name] = value;
    this.headline.push(compare(field, print, value));
  }

  result(counts: ClaimDraft['windows']): AuditedClaim {
    const { site } = this;
    const draft: ClaimDraft = {
      id: site.id,
      auditor: site.auditor,
      path: site.path,
      ...site.place,
      mode: site.mode,
      claimed: this.claimed,
      recomputed: this.recomputed,
      supported: this.supported,
      windows: counts,
      comparisons: [...this.windows.flat(), ...this.headline],
      measured: this.measured,
      ...(this.plots.length > 0 && { plots: this.plots }),
    };
    return { draft, observations: this.observations, facts: this.facts };
  }
}

/** Median of numbers that are all known; null where one is not, or there are none. */
export function medianOrNull(values: readonly (number | null)[]): number | null {
  const known = values.filter((v): v is number => v !== null && Number.isFinite(v));
  return known.length < values.length ? null : median(known);
}
