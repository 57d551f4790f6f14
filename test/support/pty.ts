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
