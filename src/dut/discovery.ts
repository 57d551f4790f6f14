import { DeviceError } from '../signal/errors.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import type { SerialPortInfo } from '../transport/serial.ts';
import { realTime, type TimeSource } from '../transport/time.ts';
import { IoManager } from './io-manager.ts';
import { parseDutLine } from './protocol.ts';

/** What answered on a serial port. */
export interface FoundDut {
  port: string;
  kind: 'dut' | 'interface-board' | 'io-manager';
  baud: number;
  /** Of a DUT: as it calls itself, and its benchmark. */
  name: string | null;
  model: string | null;
}

export interface UsbId {
  vendorId: number;
  productId: number;
}

/** Performance firmware and IO managers speak at the first, energy firmware at the second. */
const bauds = [115_200, 9600] as const;

/** `0483:374b` as numbers; null where it is none. */
export function parseUsbId(text: string): UsbId | null {
  const match = /^([0-9a-f]{4}):([0-9a-f]{4})$/i.exec(text);
  return match ? { vendorId: Number.parseInt(match[1]!, 16), productId: Number.parseInt(match[2]!, 16) } : null;
}

/**
 * Asks the ports of these USB ids, and no others, for a DUT or an IO manager. Asking sends `name%`, which another device may
 * take for a command, and opening a port may reset what is behind it: the ids are the user's choice.
 */
export async function findDuts(
  ids: readonly UsbId[],
  ports: readonly SerialPortInfo[],
  open: (path: string, baud: number) => Promise<ByteStream>,
  time: TimeSource = realTime,
): Promise<{ found: FoundDut[]; problems: string[] }> {
  const found: FoundDut[] = [];
  const problems: string[] = [];
  for (const port of ports) {
    if (!ids.some(({ vendorId, productId }) => vendorId === port.vendorId && productId === port.productId)) continue;
    try {
      const answer = await askPort(port.path, open, time);
      if (answer === null) problems.push(`${port.path}: no DUT and no IO manager answers`);
      else found.push(answer);
    } catch (error) {
      if (!(error instanceof DeviceError)) throw error;
      problems.push(`${error.message}. ${error.remedy}`);
    }
  }
  return { found, problems };
}

async function askPort(
  path: string,
  open: (path: string, baud: number) => Promise<ByteStream>,
  time: TimeSource,
): Promise<FoundDut | null> {
  for (const baud of bauds) {
    const port = new IoManager(await open(path, baud), { time });
    try {
      let kind = await port.open();
      // A DUT that boots because its port was opened ends its boot text with `m-ready`, too.
      if (port.greeting.some((line) => /m-init-done|m-timestamp-mode/.test(line))) kind = await port.open();
      const name = messageText(port.greeting, 'name');
      if (name === null) {
        return { port: path, kind: kind === 'uno' ? 'io-manager' : kind, baud, name: null, model: null };
      }
      return { port: path, kind: 'dut', baud, name, model: messageText(await port.command('profile'), 'model') };
    } catch (error) {
      if (!(error instanceof DeviceError) || error.code !== 'device.silent') throw error;
    } finally {
      await port.close();
    }
  }
  return null;
}

function messageText(lines: readonly string[], kind: 'name' | 'model'): string | null {
  for (const text of lines) {
    for (const message of parseDutLine({ text, isDamaged: false, isCut: false }).messages) {
      if (message.kind === kind) return message.text;
    }
  }
  return null;
}
