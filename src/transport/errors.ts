import { readFileSync, statSync } from 'node:fs';
import { DeviceError } from '../signal/errors.ts';

/** The device, or the other end of the connection, is gone. */
export function vanished(where: string, cause?: unknown): DeviceError {
  return new DeviceError('device.vanished', {
    where,
    problem: 'the device vanished (unplugged, reset, or its other end was closed)',
    remedy: 'plug it in again, check the cable and the USB port, and start again',
    cause,
  });
}

/** The device takes no bytes, or an operation of the transport does not come back. */
export function stalled(where: string, what: string): DeviceError {
  return new DeviceError('device.stalled', {
    where,
    problem: `${what} did not finish within 2 s`,
    remedy: 'unplug the device, plug it in again and start again',
  });
}

/** No answer came in time. */
export function silent(where: string, what: string, limit_ms: number): DeviceError {
  return new DeviceError('device.silent', {
    where,
    problem: `no answer to ${what} within ${limit_ms} ms`,
    remedy: 'check that this is the right device and that no other program uses it, then plug it in again',
  });
}

/** This side has been closed before. */
export function alreadyClosed(where: string): DeviceError {
  return new DeviceError('transport.closed', {
    where,
    problem: 'the connection has been closed',
    remedy: 'open it again',
  });
}

/** An optional native module cannot be loaded. */
export function missingModule(module: string, purpose: string, cause: unknown): DeviceError {
  return new DeviceError('dependency.missing', {
    where: module,
    problem: `the optional package ${module}, needed for ${purpose}, cannot be loaded`,
    remedy: `install it with: npm install ${module}`,
    cause,
  });
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));

/** Names the group that the system gave the device to, where it says so. */
function permissionRemedy(path: string): string {
  const group = groupOf(path);
  if (group === null)
    return 'add yourself to its group (often `dialout`: sudo usermod -aG dialout $USER) and log in again';
  return `add yourself to its group \`${group}\` (sudo usermod -aG ${group} $USER) and log in again`;
}

/** The name of a file's group; null where the file or the table of groups cannot be read. */
function groupOf(path: string): string | null {
  try {
    const { gid } = statSync(path);
    const row = readFileSync('/etc/group', 'utf8')
      .split('\n')
      .find((line) => line.split(':')[2] === String(gid));
    return row?.split(':')[0] ?? null;
  } catch {
    return null;
  }
}

/** Why a port or a device file cannot be opened, from the operating system's answer. */
export function openFailure(where: string, cause: unknown): DeviceError {
  const message = messageOf(cause);
  if (/no such|ENOENT|ENODEV|ENXIO|cannot find/i.test(message)) {
    return new DeviceError('device.missing', {
      where,
      problem: 'there is no such device',
      remedy: 'plug it in; `joulemark devices` lists what is connected',
      cause,
    });
  }
  if (/permission|EACCES|EPERM|access denied/i.test(message)) {
    return new DeviceError('device.permission', {
      where,
      problem: 'no permission to open the device',
      remedy: permissionRemedy(where),
      cause,
    });
  }
  if (/busy|lock|temporarily unavailable|EBUSY|EAGAIN/i.test(message)) {
    return new DeviceError('device.busy', {
      where,
      problem: 'another program uses the device',
      remedy: 'close the other program (its own viewer, a terminal, ModemManager) and start again',
      cause,
    });
  }
  return new DeviceError('device.open', {
    where,
    problem: `cannot be opened: ${message}`,
    remedy: 'check that it is the right device; `joulemark doctor` looks for what is missing',
    cause,
  });
}
