import { existsSync } from 'node:fs';

/** Why tests over a real PTY cannot run here, or null where they can. */
export const noPty: string | null = await (async () => {
  if (!existsSync('/dev/ptmx')) return 'there is no /dev/ptmx';
  for (const module of ['koffi', 'serialport']) {
    try {
      await import(module);
    } catch {
      return `the optional package ${module} cannot be loaded`;
    }
  }
  return null;
})();

/**
 * Skips the test if `error` is what a driver rightly says when the system delivers bytes seconds late: a kernel that is
 * kept busy starves its PTYs. Any other error is rethrown.
 */
export function skipIfStarved(context: { skip(note: string): never }, error: unknown): never {
  const code = error !== null && typeof error === 'object' && 'code' in error ? String(error.code) : '';
  if (!/^device\.(silent|stalled|wrong|error)$/.test(code)) throw error;
  return context.skip(`this machine is too busy for a PTY in real time (${code})`);
}
