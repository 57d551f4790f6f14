import { Presets, SingleBar } from 'cli-progress';
import type { CommonOptions } from './options.ts';

/** A progress bar with an ETA on stderr; nothing where stderr is no terminal or --quiet was given. */
export class Progress {
  readonly #bar: SingleBar | null;

  constructor(label: string, options: CommonOptions) {
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
  }

  /** `share` from 0 to 1. */
  update(share: number): void {
    this.#bar?.update(Math.round(share * 1000));
  }

  stop(): void {
    this.#bar?.stop();
  }
}
