import { describe, expect, test } from 'vitest';
import { DutClient } from '../../src/dut/client.ts';
import { DirectLink } from '../../src/dut/command-port.ts';
import { DutEmulator, IoManagerEmulator, simulatedInput } from '../../src/dut/emulators/index.ts';
import { IoManager } from '../../src/dut/io-manager.ts';
import { memoryPair } from '../../src/transport/memory.ts';
import { openPty } from '../../src/transport/pty.ts';
import { openSerial } from '../../src/transport/serial.ts';
import { noPty } from '../support/pty.ts';
import { codeOf, kws } from './support.ts';

if (noPty) console.warn(`tests of DUTs over PTYs are skipped: ${noPty}`);

const input = simulatedInput(490, 9, 1);
const quick = { ...kws, inference_s: 0.002 };

describe.skipIf(noPty !== null)('over a serial port', () => {
  test('a DUT takes an input and answers', async () => {
    const pty = await openPty();
    const emulator = new DutEmulator(pty.device, { network: quick, mode: 'performance', boot_s: 0.02, baud: null });
    const client = new DutClient(new DirectLink(await openSerial(pty.path, { baudRate: 115_200 }), 31));
    try {
      expect((await client.open()).model).toBe('kws01');
      await client.load(input);
      expect(emulator.input).toEqual(input);
      const answer = await client.infer(20, 1);
      expect(answer.fields).toEqual(quick.answer(input));
      expect(answer.laps_us[1]! - answer.laps_us[0]!).toBeGreaterThanOrEqual(40_000);
    } finally {
      await client.close();
      emulator.stop();
      await pty.device.close();
    }
  });

  test('a DUT behind an interface board does the same', async () => {
    const pty = await openPty();
    const [boardToDut, device] = memoryPair('dut');
    const board = new IoManagerEmulator(pty.device, boardToDut, { kind: 'interface-board' });
    const emulator = new DutEmulator(device, { network: quick, mode: 'energy', boot_s: 0.02, baud: null });
    const manager = new IoManager(await openSerial(pty.path, { baudRate: 115_200 }));
    const client = new DutClient(manager.dutLink());
    try {
      await client.open();
      await client.load(input);
      expect((await client.infer(5, 1)).fields).toEqual(quick.answer(input));
    } finally {
      await client.close();
      emulator.stop();
      board.stop();
      await pty.device.close();
    }
  });

  test('a port that is there and silent gives a typed error in time', async () => {
    const pty = await openPty();
    const client = new DutClient(new DirectLink(await openSerial(pty.path, { baudRate: 9600 }), 31), {
      limits: { open_ms: 600 },
    });
    try {
      expect(await codeOf(client.open())).toBe('device.silent');
    } finally {
      await client.close();
      await pty.device.close();
    }
  });
});
