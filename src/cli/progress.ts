import { Presets, SingleBar } from 'cli-progress';
import { ExitCode } from '../signal/errors.ts';
import type { CommonOptions } from './options.ts';

/**
 * A progress bar with an ETA on stderr; nothing where stderr is no terminal or --quiet was given. While it stands, an
 * interruption leaves the terminal as it was and ends the program, unless the command `handles` it.
 */
export class Progress {
  readonly #bar: SingleBar | null;
  readonly #interrupted = () => {
    this.stop();
    process.exit(ExitCode.interrupted);
  };
  #shown = 0;

  constructor(label: string, options: CommonOptions, interruption: 'ends' | 'handled' = 'ends') {
    const show = process.stderr.isTTY && !options.quiet;
    this.#bar = show
      ? new SingleBar(
          {
            format: `${label} [{bar}] {percentage} %  ETA {eta_formatted}`,
            stream: process.stderr,
            clearOnComplete: true,
            hideCursor: true,
            // Its handler would swallow the first Ctrl-C.
            gracefulExit: false,
          },
          Presets.legacy,
        )
      : null;
    this.#bar?.start(1000, 0);
    if (interruption === 'ends') process.once('SIGINT', this.#interrupted).once('SIGTERM', this.#interrupted);
  }

  /** `share` from 0 to 1. */
  update(share: number): void {
    const thousandths = Math.round(share * 1000);
    if (thousandths === this.#shown) return;
    this.#shown = thousandths;
    this.#bar?.update(thousandths);
  }

  stop(): void {
    this.#bar?.stop();
    process.removeListener('SIGINT', this.#interrupted).removeListener('SIGTERM', this.#interrupted);
  }
}
