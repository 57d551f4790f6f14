import { describe, expect, it } from 'vitest';
import { findInstruments, type PlugChange, watchInstruments } from '../../src/instruments/discovery.ts';
import type { FoundDevice } from '../../src/instruments/family.ts';
import { DeviceError } from '../../src/signal/errors.ts';
import { VirtualTime } from '../../src/transport/time.ts';

const device = (family: string, serial: string): FoundDevice => ({
  family,
  connection: `/dev/${serial}`,
  serial,
  obstacle: null,
});

describe('looking for instruments', () => {
  it('reports one that is plugged in later, and one that is pulled out', async () => {
    const time = new VirtualTime();
    let plugged = [device('ppk2', 'A')];
    const families = { ppk2: async () => ({ find: async () => plugged }) };
    const changes: PlugChange[] = [];
    const stop = new AbortController();
    const watching = watchInstruments((change) => changes.push(change), stop.signal, { families, time });
    await time.advance(1500);
    plugged = [device('ppk2', 'A'), device('ppk2', 'B')];
    await time.advance(1000);
    plugged = [device('ppk2', 'B')];
    await time.advance(1000);
    stop.abort();
    await time.run(watching);
    expect(changes.map(({ kind, device: { serial } }) => `${kind} ${serial}`)).toEqual([
      'appeared A',
      'appeared B',
      'vanished A',
    ]);
  });

  it('names a family that cannot be looked for, and looks for the others', async () => {
    const broken = new DeviceError('dependency.missing', {
      where: 'usb',
      problem: 'cannot be loaded',
      remedy: 'install it',
    });
    const found = await findInstruments({
      js110: async () => ({ find: () => Promise.reject(broken) }),
      ppk2: async () => ({ find: async () => [device('ppk2', 'A')] }),
    });
    expect(found.devices).toHaveLength(1);
    expect(found.problems[0]).toContain('js110: usb');
  });

  it('looks for every family without an error where nothing is plugged in', async () => {
    const { devices } = await findInstruments();
    expect(Array.isArray(devices)).toBe(true);
  });
});
