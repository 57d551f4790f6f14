import { describe, expect, it } from 'vitest';
import { instrumentFamilies } from '../../src/instruments/families.ts';
import { SteppedSignal } from '../../src/instruments/signals.ts';
import { parseTcpAddress } from '../../src/instruments/tcp-family.ts';
import { UsageError } from '../../src/signal/errors.ts';
import { realTime, wait } from '../../src/transport/time.ts';
import { Collected } from '../support/instrument.ts';

const source = () => new SteppedSignal([{ current_A: 0.05, duration_s: 1 }], { voltage_V: 3.3 });
const families = await Promise.all(Object.values(instrumentFamilies).map((load) => load()));
const settings: Record<string, Record<string, unknown>> = {
  '34465a': { currentRange: 0.1 },
  ptdaemon: { rate_Hz: 10, currentRange: 'auto' },
};

describe('the address of a TCP instrument', () => {
  it('is a host, with a port or the usual one', () => {
    expect(parseTcpAddress('auto', 5025)).toEqual({ host: '127.0.0.1', port: 5025 });
    expect(parseTcpAddress('lab-7.example', 5025)).toEqual({ host: 'lab-7.example', port: 5025 });
    expect(parseTcpAddress('10.0.0.1:99', 5025)).toEqual({ host: '10.0.0.1', port: 99 });
    for (const bad of ['', ':5', 'a:b', 'a:0', 'a:70000', 'a b', 'tcp://a:1']) {
      expect(() => parseTcpAddress(bad, 1)).toThrow(UsageError);
    }
  });
});

describe.each(families.filter(({ transport }) => transport === 'tcp').map((family) => [family.id, family] as const))(
  'the emulator of %s over TCP',
  (id, family) => {
    it('is measured with by the real driver, twice in a row', async () => {
      const served = await family.serve({ source: source(), time: realTime });
      try {
        for (let session = 0; session < 2; session++) {
          const instrument = await family.connect(served.address);
          const collected = new Collected(instrument);
          expect((await instrument.open()).simulated).toBe(true);
          const wishes = { supply: null, channel: 'trigger', settings: settings[id] ?? {} };
          await instrument.configure(family.settings(wishes) as never);
          await instrument.start();
          for (let k = 0; k < 30 && collected.blocks().length < 3; k++) await wait(realTime, 50);
          await instrument.close();
          expect(collected.error).toBeNull();
          expect(collected.blocks().length).toBeGreaterThan(2);
          expect(collected.blocks()[0]!.current![0]).toBeCloseTo(0.05, 5);
        }
      } finally {
        await served.close();
      }
    });

    it('has the faults that it is given before anybody connects', async () => {
      const served = await family.serve({ source: source(), time: realTime });
      try {
        served.emulator.inject('wrong-device');
        expect(() => served.emulator.inject('no-such-fault')).toThrow(UsageError);
        const instrument = await family.connect(served.address);
        await expect(instrument.open()).rejects.toMatchObject({ code: 'device.wrong' });
        await instrument.close();
      } finally {
        await served.close();
      }
    });

    it('that is switched off is a typed error', async () => {
      const served = await family.serve({ source: source(), time: realTime });
      await served.close();
      await expect(family.connect(served.address)).rejects.toMatchObject({ code: 'device.missing' });
    });
  },
);
