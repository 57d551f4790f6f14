import { UsageError } from '../signal/errors.ts';

/** Options that every command has. */
export interface CommonOptions {
  json?: boolean;
  quiet?: boolean;
}

/** A number given on the command line. @throws UsageError where it is none, or outside the limits */
export function numberOption(
  text: string | undefined,
  name: string,
  limits: { least: number; whole?: boolean },
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  const fits = text.trim() !== '' && Number.isFinite(value) && value >= limits.least;
  if (fits && (!limits.whole || Number.isSafeInteger(value))) return value;
  throw new UsageError('usage.number', {
    where: `--${name} ${text}`,
    problem: `expected a ${limits.whole ? 'whole ' : ''}number of at least ${limits.least}`,
    remedy: `give --${name} a number`,
  });
}

/** One of a few words given on the command line. @throws UsageError where it is another */
export function choiceOption<Choice extends string>(
  text: string | undefined,
  name: string,
  choices: readonly Choice[],
): Choice | undefined {
  if (text === undefined || choices.includes(text as Choice)) return text as Choice | undefined;
  throw new UsageError('usage.choice', {
    where: `--${name} ${text}`,
    problem: 'is not known',
    remedy: `choose one of ${choices.join(', ')}`,
  });
}
