import { DeviceError } from '../signal/errors.ts';

/**
 * Requests over one connection, one after the other. After a late answer request and answer would no longer belong
 * together: an error that breaks the session is the answer to everything that follows.
 */
export class RequestQueue {
  readonly #breaks: (error: DeviceError) => boolean;
  #last: Promise<unknown> = Promise.resolve();
  #broken: DeviceError | null = null;

  /** `breaks` tells errors after which nothing more can be asked. */
  constructor(breaks: (error: DeviceError) => boolean) {
    this.#breaks = breaks;
  }

  /** Carries `exchange` out when all before it have ended. @throws what it throws, or the error that broke the session */
  inOrder<T>(exchange: () => Promise<T>): Promise<T> {
    const result = this.#last.then(async () => {
      if (this.#broken) throw this.#broken;
      try {
        return await exchange();
      } catch (error) {
        if (error instanceof DeviceError && this.#breaks(error)) this.#broken = error;
        throw error;
      }
    });
    this.#last = result.catch(() => {});
    return result;
  }
}
