/** Where drivers and emulators take their time from: the machine, or a test. */
export interface TimeSource {
  /** Monotonic nanoseconds from an arbitrary origin. */
  now_ns(): number;
  /** Calls `callback` once after `delay_ms`. @returns a function that cancels it */
  after(delay_ms: number, callback: () => void): () => void;
}

/** The host's monotonic clock (exact below 104 days of uptime, where nanoseconds exceed a safe integer). */
export const realTime: TimeSource = {
  now_ns: () => Number(process.hrtime.bigint()),
  after: (delay_ms, callback) => {
    const timer = setTimeout(callback, delay_ms);
    return () => clearTimeout(timer);
  },
};

/** Resolves after `delay_ms` of `time`. */
export function wait(time: TimeSource, delay_ms: number): Promise<void> {
  return new Promise((resolve) => {
    time.after(delay_ms, resolve);
  });
}

/** The outcome of `work`, or a rejection with `onTimeout()` after `limit_ms` of `time`. */
export function within<T>(time: TimeSource, limit_ms: number, work: Promise<T>, onTimeout: () => Error): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const cancel = time.after(limit_ms, () => reject(onTimeout()));
    work.then(resolve, reject).finally(cancel);
  });
}

/** One direction of a link on which messages take time: each is delivered `delay_ms()` after it was sent, and none before an earlier one. */
export class LinkDelay {
  readonly #time: TimeSource;
  readonly #delay_ms: () => number;
  #last_ns = 0;

  constructor(time: TimeSource, delay_ms: () => number) {
    this.#time = time;
    this.#delay_ms = delay_ms;
  }

  deliver(message: () => void): void {
    const now_ns = this.#time.now_ns();
    this.#last_ns = Math.max(this.#last_ns, now_ns + this.#delay_ms() * 1e6);
    this.#time.after((this.#last_ns - now_ns) / 1e6, message);
  }

  /** Resolves when a message that is sent now has been delivered. */
  pass(): Promise<void> {
    return new Promise((resolve) => this.deliver(resolve));
  }
}

/** Transports in memory hand bytes over within a few turns of the event loop: time stands still meanwhile. */
const SETTLE_TURNS = 4;

async function settle(): Promise<void> {
  for (let turn = 0; turn < SETTLE_TURNS; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Time that passes only when told to: whole sessions run as fast as the machine can, and identically each time. */
export class VirtualTime implements TimeSource {
  #now_ns = 0;
  #nextId = 0;
  #timers: { due_ns: number; id: number; callback: () => void }[] = [];

  now_ns(): number {
    return this.#now_ns;
  }

  after(delay_ms: number, callback: () => void): () => void {
    const timer = { due_ns: this.#now_ns + Math.max(0, delay_ms) * 1e6, id: this.#nextId++, callback };
    const at = this.#timers.findIndex((other) => other.due_ns > timer.due_ns);
    this.#timers.splice(at < 0 ? this.#timers.length : at, 0, timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other.id !== timer.id);
    };
  }

  /** Lets `duration_ms` pass, firing each timer at its own time. */
  async advance(duration_ms: number): Promise<void> {
    const end_ns = this.#now_ns + duration_ms * 1e6;
    await settle();
    while (this.#timers.length > 0 && this.#timers[0]!.due_ns <= end_ns) {
      this.#fireNext();
      await settle();
    }
    this.#now_ns = end_ns;
  }

  /** Lets time pass until `work` settles. @throws if it waits for something that no timer will bring */
  async run<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const done = () => {
      settled = true;
    };
    work.then(done, done);
    for (let idle = 0; !settled; ) {
      await settle();
      if (settled) break;
      if (this.#timers.length > 0) {
        this.#fireNext();
        idle = 0;
      } else if (++idle > 1000) throw new Error('VirtualTime: the work waits for something that no timer brings');
    }
    return work;
  }

  #fireNext(): void {
    const timer = this.#timers.shift()!;
    this.#now_ns = timer.due_ns;
    timer.callback();
  }
}
