import { describe, expect, it } from 'vitest';
import { LineChannel } from '../../src/transport/lines.ts';
import { memoryPair } from '../../src/transport/memory.ts';
import { VirtualTime } from '../../src/transport/time.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

describe('a line channel', () => {
  it('cuts lines wherever the transport cuts chunks, and drops a carriage return', async () => {
    const [host, device] = memoryPair('test', () => 1);
    const lines = new LineChannel(host);
    await device.write(bytes('first\r\nzwölf\n\nla'));
    await device.write(bytes('st\n'));
    const got = [await lines.readLine(100), await lines.readLine(100), await lines.readLine(100)];
    expect([...got, await lines.readLine(100)]).toEqual(['first', 'zwölf', '', 'last']);
  });

  it('adds the line end of the device', async () => {
    const [host, device] = memoryPair('test');
    const sent: number[] = [];
    device.onData((chunk) => sent.push(...chunk));
    await new LineChannel(host, { lineEnd: '\r\n' }).writeLine('*IDN?');
    await Promise.resolve();
    expect(new TextDecoder().decode(Uint8Array.from(sent))).toBe('*IDN?\r\n');
  });

  it('rejects with device.silent when no line comes in time', async () => {
    const time = new VirtualTime();
    const [host] = memoryPair('10.0.0.1:5025');
    const read = new LineChannel(host, { time }).readLine(2000);
    await expect(time.run(read)).rejects.toMatchObject({ code: 'device.silent', where: '10.0.0.1:5025' });
  });

  it('rejects a waiting reader at once when the connection is lost, after the lines that came before', async () => {
    const [host, device] = memoryPair('test');
    const lines = new LineChannel(host);
    await device.write(bytes('one\n'));
    const first = await lines.readLine(100);
    const waiting = lines.readLine(60_000);
    device.unplug();
    await expect(waiting).rejects.toMatchObject({ code: 'device.vanished' });
    await expect(lines.readLine(60_000)).rejects.toMatchObject({ code: 'device.vanished' });
    expect(first).toBe('one');
  });

  it('refuses an endless line', async () => {
    const [host, device] = memoryPair('test');
    const lines = new LineChannel(host, { maxLength: 10 });
    await device.write(bytes('0123456789ab'));
    await expect(lines.readLine(100)).rejects.toMatchObject({ code: 'device.protocol' });
  });
});
