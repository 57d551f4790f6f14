import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { openFailure } from '../../transport/errors.ts';

/** An INA226 that a driver of the kernel owns. */
export interface KernelChip {
  /** Folder with its attributes. */
  folder: string;
  /** Its address on the bus, or null where the tree does not tell. */
  address: number | null;
}

/** @throws DeviceError `device.missing`, `device.permission`, `device.busy` or `device.open` */
export function readAttribute(folder: string, name: string): string {
  const path = join(folder, name);
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (cause) {
    throw openFailure(path, cause);
  }
}

/** @throws DeviceError as readAttribute() */
export function writeAttribute(folder: string, name: string, value: string | number): void {
  const path = join(folder, name);
  try {
    writeFileSync(path, `${value}`);
  } catch (cause) {
    throw openFailure(path, cause);
  }
}

/** The INA226 chips among the devices below a folder of sysfs, in the order of their numbers. */
export function findKernelChips(devices: string, prefix: string): KernelChip[] {
  if (!existsSync(devices)) return [];
  return readdirSync(devices)
    .filter((entry) => entry.startsWith(prefix))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .map((entry) => join(devices, entry))
    .filter((folder) => existsSync(join(folder, 'name')) && readAttribute(folder, 'name') === 'ina226')
    .map((folder) => ({ folder, address: addressOf(folder) }));
}

/** The link to the device on the bus is named like `1-0040`. */
function addressOf(folder: string): number | null {
  for (const link of [join(folder, 'device'), folder]) {
    try {
      const [, address] = /(?:^|\/)\d+-00([0-9a-f]{2})(?:\/|$)/.exec(readlinkSync(link)) ?? [];
      if (address !== undefined) return Number.parseInt(address, 16);
    } catch {
      // No link.
    }
  }
  const [, address] = /^\d+-00([0-9a-f]{2})$/.exec(basename(folder)) ?? [];
  return address === undefined ? null : Number.parseInt(address, 16);
}
