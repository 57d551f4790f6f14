import { accessSync, constants } from 'node:fs';

/** Why this process may not use a device file, with the remedy; null where it may. */
export function accessObstacle(path: string): string | null {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return null;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EPERM') {
      return `no permission to use ${path}: join the group that owns it (often dialout: \`sudo usermod -a -G dialout $USER\`, then log in again)`;
    }
    return `${path} cannot be used (${code})`;
  }
}
