import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { noUsbBus } from '../support/usbip/testbed.ts';

const folder = join(import.meta.dirname, '..', 'support', 'tty');

describe.skipIf(noUsbBus !== null)(`emulated USB serial devices${noUsbBus ? ` (skipped: ${noUsbBus})` : ''}`, () => {
  it('are listed with their USB ids, serial numbers and interfaces, and opened with their control lines', () => {
    const { stdout, status } = spawnSync(
      'umockdev-wrapper',
      ['/usr/bin/python3', join(folder, 'testbed.py'), process.execPath, join(folder, 'client.mjs')],
      { encoding: 'utf8', timeout: 20_000 },
    );
    expect(status).toBe(0);
    const findings = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const [{ ports }] = findings.filter((finding) => 'ports' in finding);
    const ppk2 = { vendorId: 0x1915, productId: 0xc00a, serial: 'D4F2A0B1C2D3' };
    expect(ports).toMatchObject([
      { path: '/dev/ttyACM0', ...ppk2, usbInterface: 1 },
      { path: '/dev/ttyACM1', ...ppk2, usbInterface: 3 },
      { path: '/dev/ttyACM2', vendorId: 0x0483, productId: 0x5740, serial: '207A31A1', usbInterface: 0 },
    ]);
    expect(findings).toContainEqual({ heard: 'hello' });
    // TIOCM_DTR is 2, TIOCM_RTS is 4.
    const [{ modemLines }] = findings.filter((finding) => 'modemLines' in finding).slice(-1);
    expect(modemLines & 6).toBe(2);
  });
});
