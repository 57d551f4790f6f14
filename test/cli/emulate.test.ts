import { describe, expect, onTestFinished, test } from 'vitest';
import { Ppk2 } from '../../src/instruments/ppk2/index.ts';
import { openSerial } from '../../src/transport/serial.ts';
import { startJoulemark } from '../support/cli.ts';
import { noPty, skipIfStarved } from '../support/pty.ts';

describe.skipIf(noPty !== null)('joulemark emulate', () => {
  test('wires the trigger line of the signal to the first input of the instrument', async (context) => {
    const child = startJoulemark(['emulate', 'ppk2', '--quiet', '--signal', 'dc:1mA']);
    onTestFinished(() => void child.kill('SIGINT'));
    const path = await new Promise<string>((resolve, reject) => {
      child.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString().trim()));
      child.once('exit', () => reject(new Error('the emulator ended')));
    });
    const instrument = new Ppk2(await openSerial(path, { baudRate: 9600 }));
    const levels: number[] = [];
    instrument.samples$.subscribe({
      next: (chunk) => {
        if (chunk.kind === 'block') levels.push(...chunk.logic!);
      },
      error: () => {},
    });
    try {
      await instrument.open();
      await instrument.configure({ mode: 'ampere' });
      await instrument.start();
      await new Promise((resolve) => setTimeout(resolve, 450));
      await instrument.stop();
    } catch (error) {
      skipIfStarved(context, error);
    } finally {
      await instrument.close();
    }
    // D0 is high for 20 of each 100 ms.
    const high = levels.filter((level) => level === 1).length;
    expect(new Set(levels)).toEqual(new Set([0, 1]));
    expect(high / levels.length).toBeGreaterThan(0.1);
    expect(high / levels.length).toBeLessThan(0.35);
  }, 30_000);
});
