import { describe, expect, it } from 'vitest';
import { instrumentPorts, serialFamilies } from '../../src/instruments/registry.ts';
import { SteppedSignal } from '../../src/instruments/signals.ts';
import { memoryPair } from '../../src/transport/memory.ts';
import type { SerialPortInfo } from '../../src/transport/serial.ts';
import { VirtualTime } from '../../src/transport/time.ts';

const port = (path: string, fields: Partial<SerialPortInfo>): SerialPortInfo => ({
  path,
  vendorId: null,
  productId: null,
  serial: null,
  manufacturer: null,
  usbInterface: null,
  ...fields,
});

describe('every serial family', () => {
  it.each(serialFamilies)('$family: its driver knows its emulator, and says that it is simulated', async (family) => {
    const time = new VirtualTime();
    const [host, device] = memoryPair('test');
    const source = new SteppedSignal([{ current_A: 1e-3, duration_s: 1 }], { voltage_V: 3 });
    const emulator = family.createEmulator(device, { source, time });
    const identity = await time.run(family.createDriver(host, { serial: null, time }).open());
    expect(identity).toMatchObject({ family: family.family, serial: emulator.serial, simulated: true });
    expect(emulator.serial).toMatch(/^SIM-/);
  });

  it.each(serialFamilies)('$family: each fault of its list can be injected', (family) => {
    const [, device] = memoryPair('test');
    const source = new SteppedSignal([{ current_A: 1e-3, duration_s: 1 }], { voltage_V: 3 });
    const emulator = family.createEmulator(device, { source, time: new VirtualTime() });
    for (const fault of Object.keys(family.faults)) emulator.inject(fault.endsWith('=') ? `${fault}3` : fault);
  });

  it.each(serialFamilies)('$family: unknown settings are refused', (family) => {
    expect(family.settingsSchema.safeParse({ mode: 'source', colour: 'red' }).success).toBe(false);
  });
});

describe('the ports of an instrument', () => {
  const ppk2 = serialFamilies.find(({ family }) => family === 'ppk2')!;
  const ids = { vendorId: 0x1915, productId: 0xc00a };

  it('are found by USB ids; of two ports of one PPK2 the first counts', () => {
    const found = instrumentPorts(ppk2, [
      port('/dev/ttyS0', {}),
      port('/dev/ttyACM1', { ...ids, serial: 'AAAA', usbInterface: 3 }),
      port('/dev/ttyACM0', { ...ids, serial: 'AAAA', usbInterface: 1 }),
      port('/dev/ttyACM10', { ...ids, serial: 'BBBB' }),
      port('/dev/ttyACM9', { ...ids, serial: 'BBBB' }),
      port('/dev/ttyACM4', { vendorId: 0x0483, productId: 0x5740, serial: 'CCCC' }),
    ]);
    expect(found.map(({ path }) => path)).toEqual(['/dev/ttyACM0', '/dev/ttyACM9']);
  });
});
