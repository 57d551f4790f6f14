import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { ExitCode } from '../signal/errors.ts';
import type { CommonOptions } from './options.ts';
import { printJson } from './output.ts';

interface Check {
  name: string;
  /** What it is needed for. */
  purpose: string;
  ok: boolean;
  found: string;
  remedy: string | null;
}

/** Says what is missing on this machine and how to fix it. Nothing is changed. */
export async function doctor(options: CommonOptions): Promise<void> {
  const checks: Check[] = [
    nodeCheck(),
    await moduleCheck('serialport', 'instruments and devices on serial ports', () => import('serialport')),
    await moduleCheck('usb', 'instruments on USB', () => import('usb')),
    await moduleCheck('koffi', 'emulators on a PTY', () => import('koffi')),
    groupCheck(),
    ptyCheck(),
  ];
  if (options.json) {
    printJson({ schema: 'joulemark.doctor/1', checks });
  } else {
    for (const { name, ok, found, purpose, remedy } of checks) {
      process.stdout.write(`${ok ? 'ok     ' : 'MISSING'} ${name}: ${found} (${purpose})\n`);
      if (remedy !== null) process.stdout.write(`        ${remedy}\n`);
    }
  }
  process.exitCode = checks.every((check) => check.ok) ? ExitCode.ok : ExitCode.bad;
}

function nodeCheck(): Check {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const ok = major > 20 || (major === 20 && minor >= 19);
  return {
    name: 'Node.js',
    purpose: 'everything',
    ok,

    found: process.versions.node,
    remedy: ok ? null : 'install Node.js 20.19 or newer',
  };
}

async function moduleCheck(name: string, purpose: string, load: () => Promise<unknown>): Promise<Check> {
  try {
    await load();
    return { name, purpose, ok: true, found: 'loads', remedy: null };
  } catch (error) {
    const found = error instanceof Error ? error.message.split('\n')[0] : String(error);
    return { name, purpose, ok: false, found, remedy: 'run `npm ci` again, without --omit=optional' };
  }
}

/** Serial ports of Linux belong to a group; root needs none. */
function groupCheck(): Check {
  const name = 'access to serial ports';
  const purpose = 'instruments and devices on serial ports';
  if (process.platform !== 'linux' || process.getuid?.() === 0) {
    return { name, purpose, ok: true, found: 'not restricted', remedy: null };
  }
  const groups = spawnSync('id', ['-nG'], { encoding: 'utf8' }).stdout?.trim().split(/\s+/) ?? [];
  const ok = groups.includes('dialout') || groups.includes('uucp');
  return {
    name,
    purpose,
    ok,

    found: ok ? 'granted' : `your groups are ${groups.join(', ')}`,
    remedy: ok ? null : 'sudo usermod -a -G dialout $USER, then log in again',
  };
}

function ptyCheck(): Check {
  const name = '/dev/ptmx';
  const purpose = 'emulators on a PTY';
  try {
    accessSync(name, constants.R_OK | constants.W_OK);
    return { name, purpose, ok: true, found: 'can be opened', remedy: null };
  } catch (error) {
    const found = (error as NodeJS.ErrnoException).code ?? 'no access';
    return { name, purpose, ok: false, found, remedy: 'mount devpts (in a container: --device /dev/ptmx)' };
  }
}
