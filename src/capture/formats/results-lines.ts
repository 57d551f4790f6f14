import { linesOf, readLines, type TextLine } from './lines.ts';
import {
  countOddities,
  type LineOddities,
  NUMBER,
  noOddities,
  type Printed,
  printed,
  type WindowLines,
} from './printed.ts';

/** Lines of a results.txt that none of its grammars knows, besides what is odd about the lines themselves. */
export type ResultsCounts = LineOddities & { unknown: number };

const rule = /^-+$/;
const medianEnergyLine = new RegExp(`^Median energy cost is ${NUMBER} uJ/inf\\.?$`);

/** What collects the lines of one runner's results.txt. Nothing that the file can hold makes it throw. */
export interface ResultsParser<Results> {
  /** Before the message of each line. */
  prefix: RegExp;
  /** True where the message (without its prefix, trimmed) was one of the runner's lines. */
  take(message: string): boolean;
  result(counts: ResultsCounts): Results;
}

class ResultsReader<Results> {
  readonly #parser: ResultsParser<Results>;
  readonly #counts: ResultsCounts = { ...noOddities(), unknown: 0 };

  constructor(parser: ResultsParser<Results>) {
    this.#parser = parser;
  }

  push(line: TextLine): void {
    countOddities(this.#counts, line);
    const message = line.text.replace(this.#parser.prefix, '').trim();
    if (message !== '' && !rule.test(message) && !this.#parser.take(message)) this.#counts.unknown++;
  }

  result(): Results {
    return this.#parser.result(this.#counts);
  }
}

/** What a parser makes of a text. */
export function parseResultsText<Results>(text: string, parser: ResultsParser<Results>): Results {
  const reader = new ResultsReader(parser);
  for (const line of linesOf(text)) reader.push(line);
  return reader.result();
}

/** What a parser makes of a file. @throws FormatError only where the file cannot be read */
export async function readResultsFile<Results>(path: string, parser: ResultsParser<Results>): Promise<Results> {
  const reader = new ResultsReader(parser);
  for await (const line of readLines(path)) reader.push(line);
  return reader.result();
}

/** "Median energy cost is ...", which both runners print: the first one counts. */
export class MedianEnergyLine {
  value_uJ: Printed | null = null;

  /** True where the message was the line. */
  take(message: string): boolean {
    const match = medianEnergyLine.exec(message);
    if (match) this.value_uJ ??= printed(match[1]);
    return match !== null;
  }
}

/** Adds a value to the windows' lines. @returns the field of the pattern that fits, or null where none does */
export function takeField<Field extends string>(
  message: string,
  patterns: readonly (readonly [RegExp, Field])[],
  into: WindowLines<Field>,
): Field | null {
  for (const [pattern, field] of patterns) {
    const match = pattern.exec(message);
    if (!match) continue;
    into.value(field, printed(match[1]));
    return field;
  }
  return null;
}
