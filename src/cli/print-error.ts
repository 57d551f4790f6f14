import { printable } from '../report/text.ts';

/** An error message on stderr: what is wrong, and below it what to do. Names from outside do no harm on a terminal. */
export function printError(problem: string, remedy?: string): void {
  const below = remedy === undefined ? '' : `  ${printable(remedy)}\n`;
  process.stderr.write(`error: ${printable(problem)}\n${below}`);
}
