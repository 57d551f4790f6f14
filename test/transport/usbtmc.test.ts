import { describe, expect, it } from 'vitest';
import { messageLink, ScpiInstrument, Wt310Emulator } from '../../src/instruments/scpi/index.ts';
import { SteppedSignal } from '../../src/instruments/signals.ts';
import { openPty } from '../../src/transport/pty.ts';
import { realTime, wait } from '../../src/transport/time.ts';
import { openUsbtmc } from '../../src/transport/usbtmc.ts';
import { Collected } from '../support/instrument.ts';
import { noPty, skipIfStarved } from '../support/pty.ts';

describe('a USBTMC device file', () => {
  it('that is not there is a typed error', async () => {
    await expect(openUsbtmc('/dev/usbtmc-none')).rejects.toMatchObject({ code: 'device.missing' });
  });

  it.skipIf(noPty)('carries a whole session with an instrument', async (context) => {
    // A terminal stands in for the device file: it too is opened by its path, written to and read from.
    const pty = await openPty();
    const source = new SteppedSignal([{ current_A: 0.05, duration_s: 1 }], { voltage_V: 3.3 });
    const emulator = new Wt310Emulator(pty.device, { source, time: realTime });
    const device = await openUsbtmc(pty.path);
    const instrument = new ScpiInstrument(messageLink(device));
    const collected = new Collected(instrument);
    try {
      await instrument.open();
      await instrument.configure({ rate_Hz: 10 });
      await instrument.start();
      await wait(realTime, 600);
      await instrument.stop();
      expect(collected.blocks().length).toBeGreaterThan(3);
      expect(collected.blocks()[0]!.current![0]).toBeCloseTo(0.05, 6);
    } catch (error) {
      skipIfStarved(context, error);
    } finally {
      emulator.stop();
      await instrument.close();
      await pty.device.close();
    }
    expect(await device.closed).toEqual({ kind: 'closed' });
  });
});
