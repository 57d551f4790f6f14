import { describe, expect, it } from 'vitest';
import { instrumentFamilies } from '../../src/instruments/families.ts';
import { instrumentPorts } from '../../src/instruments/serial-family.ts';
import { SteppedSignal } from '../../src/instruments/signals.ts';
import { UsageError } from '../../src/signal/errors.ts';
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

const source = () => new SteppedSignal([{ current_A: 1e-3, duration_s: 1 }], { voltage_V: 3 });

describe('every instrument family', () => {
  it.each(Object.keys(instrumentFamilies))(
    '%s: its driver knows its emulator, and says that it is simulated',
    async (id) => {
      const family = await instrumentFamilies[id]();
      const time = new VirtualTime();
      const { instrument, emulator } = family.emulate({ source: source(), time });
      const identity = await time.run(instrument.open());
      expect(identity).toMatchObject({ family: id, simulated: true });
      expect(emulator.serial).toMatch(/^SIM-/);
      await time.run(instrument.close());
    },
  );

  it.each(Object.keys(instrumentFamilies))('%s: each fault of its list can be injected', async (id) => {
    const family = await instrumentFamilies[id]();
    const { emulator } = family.emulate({ source: source(), time: new VirtualTime() });
    for (const fault of Object.keys(family.faults)) emulator.inject(fault.endsWith('=') ? `${fault}3` : fault);
    expect(() => emulator.inject('no-such-fault')).toThrow(UsageError);
  });

  it.each(Object.keys(instrumentFamilies))('%s: unknown settings are refused', async (id) => {
    const family = await instrumentFamilies[id]();
    const wishes = { supply: { voltage_V: 3, max_voltage_V: 3.3 }, channel: 'D0' };
    expect(() => family.settings({ ...wishes, settings: { colour: 'red' } })).toThrow(UsageError);
    expect(family.settings({ ...wishes, settings: {} })).toBeTypeOf('object');
  });
});

describe('the ports of an instrument', () => {
  it('are found by USB ids; of two ports of one PPK2 the first counts', () => {
    const ids = { vendorId: 0x1915, productId: 0xc00a };
    const found = instrumentPorts(ids, [
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
