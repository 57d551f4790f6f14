import { lstatSync, mkdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';

/**
 * What an emulated DUT tells of its current and its trigger line to a program that simulates an instrument: lines of JSON over a
 * Unix-domain socket. Times are nanoseconds of the monotonic clock (`process.hrtime`), which all processes of one machine share.
 */
const time_ns = z.number().min(0).max(Number.MAX_SAFE_INTEGER);
const current_A = z.number().min(0).max(1000);

/** The first line: how things stand at `at_ns`. */
export const worldHello = z.strictObject({
  kind: z.literal('joulemark-world'),
  version: z.literal(1),
  at_ns: time_ns,
  current_A,
  isHigh: z.boolean(),
});

export const worldMessage = z.discriminatedUnion('kind', [
  /** The current has this level from `at_ns` on. It may lie ahead, as all but `progress`. */
  z.strictObject({ kind: z.literal('level'), at_ns: time_ns, current_A }),
  z.strictObject({ kind: z.literal('edge'), at_ns: time_ns, polarity: z.enum(['rise', 'fall']) }),
  /** What was said for later than `at_ns` does not happen. */
  z.strictObject({ kind: z.literal('cancel'), at_ns: time_ns }),
  /** Inferences between two edges. */
  z
    .strictObject({ kind: z.literal('window'), start_ns: time_ns, end_ns: time_ns, inferences: z.int().positive() })
    .refine(({ start_ns, end_ns }) => start_ns < end_ns),
  /** Nothing that is said from now on lies before `at_ns`. */
  z.strictObject({ kind: z.literal('progress'), at_ns: time_ns }),
]);

/** What the other side may ask for. */
export const worldRequest = z.strictObject({ kind: z.literal('power'), on: z.boolean() });

export type WorldHello = z.infer<typeof worldHello>;
export type WorldMessage = z.infer<typeof worldMessage>;
export type WorldRequest = z.infer<typeof worldRequest>;

/** Longer lines are none of this protocol. */
export const longestLine = 4096;

/**
 * Where the world of the device behind a serial port is served, if it is: in a folder that this user alone may enter, by the port's
 * device number, so that links to a port lead there too. Null where there is no such port or no such folder.
 * @param make makes the folder where it is missing
 */
export function worldSocketOf(port: string, make = false): string | null {
  // Not userInfo(), which fails for a user without an entry in passwd. Where there are no users there are no PTYs.
  const uid = process.getuid?.() ?? null;
  try {
    const folder = join(tmpdir(), `joulemark-${uid}`);
    if (make) mkdirSync(folder, { recursive: true, mode: 0o700 });
    const about = lstatSync(folder);
    if (!about.isDirectory() || about.uid !== uid || (about.mode & 0o077) !== 0) return null;
    const { dev, rdev } = statSync(port);
    return rdev === 0 ? null : join(folder, `world-${dev.toString(16)}-${rdev.toString(16)}.sock`);
  } catch {
    return null;
  }
}
