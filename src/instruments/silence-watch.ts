import type { TimeSource } from '../transport/time.ts';

export interface SilenceWatch {
  /** How often it looks. */
  every_ms: number;
  limit_ms: number;
  /** When the instrument last gave a sign of life. */
  lastSign_ns: () => number;
}

/** Calls `onSilence` once when no sign has come for `limit_ms`. @returns a function that ends the watch */
export function watchSilence(time: TimeSource, watch: SilenceWatch, onSilence: () => void): () => void {
  const schedule = () => time.after(watch.every_ms, look);
  const look = () => {
    if (time.now_ns() - watch.lastSign_ns() < watch.limit_ms * 1e6) cancel = schedule();
    else onSilence();
  };
  let cancel = schedule();
  return () => cancel();
}
