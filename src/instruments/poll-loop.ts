import type { TimeSource } from '../transport/time.ts';

/** Asks an instrument now and then, never two questions at a time. */
export class PollLoop {
  readonly #time: TimeSource;
  readonly #poll: () => Promise<void>;
  readonly #onError: (error: unknown) => void;
  #cancel: () => void = () => {};
  #polling: Promise<void> = Promise.resolve();

  /** `poll` asks once, and calls schedule() if it is to be asked again. */
  constructor(time: TimeSource, poll: () => Promise<void>, onError: (error: unknown) => void) {
    this.#time = time;
    this.#poll = poll;
    this.#onError = onError;
  }

  schedule(delay_ms: number): void {
    this.#cancel = this.#time.after(delay_ms, () => {
      this.#polling = this.#poll().catch(this.#onError);
    });
  }

  /** No further question is asked. */
  cancel(): void {
    this.#cancel();
  }

  /** No further question is asked. @returns when the one under way has been answered */
  end(): Promise<void> {
    this.#cancel();
    return this.#polling;
  }
}
