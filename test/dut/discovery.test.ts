import { expect, test } from 'vitest';
import { findDuts, parseUsbId } from '../../src/dut/discovery.ts';
import { DutEmulator, IoManagerEmulator } from '../../src/dut/emulators/index.ts';
import { DeviceError } from '../../src/signal/errors.ts';
import { memoryPair } from '../../src/transport/memory.ts';
import type { SerialPortInfo } from '../../src/transport/serial.ts';
import { VirtualTime } from '../../src/transport/time.ts';
import { kws } from './support.ts';

const portInfo = (path: string, vendorId: number | null, productId: number | null): SerialPortInfo => ({
  path,
  vendorId,
  productId,
  serial: null,
  manufacturer: null,
  usbInterface: null,
});

test('only ports of the ids that are named are asked, each at both rates', async () => {
  const time = new VirtualTime();
  const opened: string[] = [];
  const open = async (path: string, baud: number) => {
    opened.push(`${path} ${baud}`);
    if (path === 'busy') {
      throw new DeviceError('device.busy', { where: path, problem: 'another program uses it', remedy: 'close it' });
    }
    const [host, device] = memoryPair(path);
    // At another rate than its own a device is silent.
    if (path === 'fast' && baud === 115_200) new DutEmulator(device, { network: kws, mode: 'performance', time });
    if (path === 'slow' && baud === 9600) new DutEmulator(device, { network: kws, mode: 'energy', time });
    if (path === 'board') new IoManagerEmulator(device, memoryPair('dut')[0], { kind: 'interface-board', time });
    if (path === 'uno') new IoManagerEmulator(device, memoryPair('dut')[0], { kind: 'uno', time });
    return host;
  };
  const ports = [
    portInfo('fast', 0x0483, 0x374b),
    portInfo('printer', 0x1234, 0x0001),
    portInfo('plain', null, null),
    portInfo('slow', 0x0483, 0x374b),
    portInfo('board', 0x0483, 0x374e),
    portInfo('uno', 0x2341, 0x0043),
    portInfo('nobody', 0x2341, 0x0043),
    portInfo('busy', 0x2341, 0x0043),
  ];
  const ids = ['0483:374b', '0483:374E', '2341:0043'].map((text) => parseUsbId(text)!);
  const { found, problems } = await time.run(findDuts(ids, ports, open, time));
  expect(found).toEqual([
    { port: 'fast', kind: 'dut', baud: 115_200, name: 'SIMULATED device', model: 'kws01' },
    { port: 'slow', kind: 'dut', baud: 9600, name: 'SIMULATED device', model: 'kws01' },
    { port: 'board', kind: 'interface-board', baud: 115_200, name: null, model: null },
    { port: 'uno', kind: 'io-manager', baud: 115_200, name: null, model: null },
  ]);
  expect(problems.length).toBe(2);
  expect(problems[1]).toContain('another program uses it');
  expect(opened.some((entry) => entry.startsWith('printer') || entry.startsWith('plain'))).toBe(false);
});

test('a USB id is four and four hex digits', () => {
  expect(parseUsbId('0483:374b')).toEqual({ vendorId: 0x0483, productId: 0x374b });
  expect(parseUsbId('483:374b')).toBeNull();
});
