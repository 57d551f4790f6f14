import type { TextLine } from './lines.ts';

/** A number as a tool printed it: the text is kept, so that an audit can compare digits. */
export interface Printed {
  text: string;
  value: number;
}

/** The printed number, or null where the text is none. */
export function printed(text: string | undefined): Printed | null {
  if (text === undefined) return null;
  const value = Number(text);
  return text.trim() !== '' && Number.isFinite(value) ? { text, value } : null;
}

/** One "Performance results for window K" of either runner. */
export interface PrintedPerformanceWindow {
  /** The number that the runner prints: EnergyRunner 2, 4, 6...; the MLCommons runner 1, 2, 3... */
  index: number;
  inferences: Printed | null;
  runtime_s: Printed | null;
  throughput_ips: Printed | null;
  /** True for "Runtime requirements have been met", false for the e-[...] line in its place, null where neither stands. */
  requirementsMet: boolean | null;
}

/** What both runners print of a performance or accuracy run. */
export interface PrintedPerformance {
  performanceWindows: PrintedPerformanceWindow[];
  medianThroughput_ips: Printed | null;
  top1_pct: Printed | null;
  auc: Printed | null;
  /** "Cannot compute accuracy metrics in single-run mode." */
  singleRun: boolean;
  /** Texts of the e-[...] and ERROR lines, in order. */
  errors: string[];
}

/** `12.345`, also as Python and JavaScript print very small and very large numbers. */
export const NUMBER = String.raw`([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)`;

/**
 * Several windows of printed lines, read by kind and order and not by adjacency, because in some published files the
 * lines of several windows are interleaved or repeated: the n-th line of each kind belongs to the n-th heading.
 */
export class WindowLines<Field extends string> {
  private readonly headings: { index: number; head: Printed[] }[] = [];
  private readonly values = new Map<Field, Printed[]>();

  heading(index: number, head: Printed[] = []): void {
    this.headings.push({ index, head });
  }

  value(field: Field, value: Printed | null): void {
    if (value === null) return;
    const list = this.values.get(field);
    if (list) list.push(value);
    else this.values.set(field, [value]);
  }

  /** One entry a window, ascending; of a repeated window the first that carries a value of the field wins. */
  windows(): { index: number; head: Printed[]; field: (name: Field) => Printed | null }[] {
    const positions = new Map<number, number[]>();
    this.headings.forEach(({ index }, position) => {
      const list = positions.get(index);
      if (list) list.push(position);
      else positions.set(index, [position]);
    });
    const ranks = new Map([...positions.keys()].map((index, rank) => [index, rank]));
    return [...positions]
      .sort(([a], [b]) => a - b)
      .map(([index, at]) => ({
        index,
        head: this.headings[at[0]!]!.head,
        field: (name) => {
          const list = this.values.get(name) ?? [];
          // Only the headings are repeated: one value a window, in the order of first appearance.
          if (list.length < this.headings.length && list.length === positions.size) return list[ranks.get(index)!]!;
          for (const position of at) {
            const value = list[position];
            if (value) return value;
          }
          return null;
        },
      }));
  }
}

const performanceHeading = /^Performance results for window (\d{1,9}):?$/;
const inferencesLine = new RegExp(`^# Inferences\\s*:\\s*${NUMBER}$`);
const runtimeLine = new RegExp(`^Runtime\\s*:\\s*${NUMBER} sec\\.?$`);
const throughputLine = new RegExp(`^Throughput\\s*:\\s*${NUMBER} inf\\./sec\\.?$`);
const medianThroughputLine = new RegExp(`^Median throughput is\\s+${NUMBER} inf\\./sec\\.?$`);
const top1Line = new RegExp(`^Top(?:-1:| 1% =)\\s*${NUMBER}\\s*%?$`);
const aucLine = new RegExp(`^AUC(?::| =)\\s*${NUMBER}$`);
const errorLine = /^(?:e-\[(.*)\]|(ERROR\b.*))$/;
const requirementError = /at least 10 seconds/;

type PerformanceField = 'inferences' | 'runtime' | 'throughput' | 'requirement';

/** Collects the performance and accuracy lines of results.txt; both runners print nearly the same ones. */
export class PerformanceLines {
  private readonly lines = new WindowLines<PerformanceField>();
  private medianThroughput_ips: Printed | null = null;
  private top1_pct: Printed | null = null;
  private auc: Printed | null = null;
  private singleRun = false;
  private readonly errors: string[] = [];

  /** True where the message (without its prefix, trimmed) was one of these lines. */
  take(message: string): boolean {
    const heading = performanceHeading.exec(message);
    if (heading) {
      this.lines.heading(Number(heading[1]));
      return true;
    }
    if (this.takeValue(message, inferencesLine, 'inferences')) return true;
    if (this.takeValue(message, runtimeLine, 'runtime')) return true;
    if (this.takeValue(message, throughputLine, 'throughput')) return true;
    const error = errorLine.exec(message);
    if (error) {
      const text = error[1] ?? error[2]!;
      this.errors.push(text);
      if (requirementError.test(text)) this.lines.value('requirement', { text: 'not met', value: 0 });
      return true;
    }
    if (message.startsWith('Runtime requirements have been met')) {
      this.lines.value('requirement', { text: 'met', value: 1 });
      return true;
    }
    if (message.startsWith('Cannot compute accuracy metrics in single-run mode')) {
      this.singleRun = true;
      return true;
    }
    const median = medianThroughputLine.exec(message);
    if (median) this.medianThroughput_ips ??= printed(median[1]);
    const top1 = top1Line.exec(message);
    if (top1) this.top1_pct ??= printed(top1[1]);
    const auc = aucLine.exec(message);
    if (auc) this.auc ??= printed(auc[1]);
    return median !== null || top1 !== null || auc !== null;
  }

  result(): PrintedPerformance {
    return {
      performanceWindows: this.lines.windows().map(({ index, field }) => {
        const requirement = field('requirement');
        return {
          index,
          inferences: field('inferences'),
          runtime_s: field('runtime'),
          throughput_ips: field('throughput'),
          requirementsMet: requirement === null ? null : requirement.value === 1,
        };
      }),
      medianThroughput_ips: this.medianThroughput_ips,
      top1_pct: this.top1_pct,
      auc: this.auc,
      singleRun: this.singleRun,
      errors: this.errors,
    };
  }

  private takeValue(message: string, pattern: RegExp, field: PerformanceField): boolean {
    const match = pattern.exec(message);
    if (!match) return false;
    this.lines.value(field, printed(match[1]));
    return true;
  }
}

/** How many lines of a text file hold something that its grammar does not know. */
export interface LineOddities {
  lines: number;
  nonAscii: number;
  nul: number;
  ansi: number;
  cut: number;
}

export function noOddities(): LineOddities {
  return { lines: 0, nonAscii: 0, nul: 0, ansi: 0, cut: 0 };
}

/** Adds one line to the counts. */
export function countOddities(counts: LineOddities, line: TextLine): void {
  counts.lines++;
  if (line.nonAscii) counts.nonAscii++;
  if (line.nul) counts.nul++;
  if (line.ansi) counts.ansi++;
  if (line.cut) counts.cut++;
}
