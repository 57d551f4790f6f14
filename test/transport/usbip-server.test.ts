import { connect } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { serveUsbip, type UsbipServer } from '../../src/transport/usbip-server.ts';
import { fuzz } from '../support/fuzz.ts';
import { UsbCounter } from '../support/usb-counter.ts';

let server: UsbipServer;
afterEach(() => server.close());

/** Sends bytes and gives back what comes until the server is silent for a while. */
async function exchange(bytes: Uint8Array, silence_ms = 50): Promise<Buffer> {
  const socket = connect(server.port, server.host);
  const parts: Buffer[] = [];
  await new Promise<void>((resolve) => {
    let timer = setTimeout(resolve, 10 * silence_ms);
    socket.on('data', (chunk) => {
      parts.push(chunk);
      clearTimeout(timer);
      timer = setTimeout(resolve, silence_ms);
    });
    socket.on('close', resolve);
    socket.on('error', () => resolve());
    socket.write(bytes);
  });
  socket.destroy();
  return Buffer.concat(parts);
}

const importRequest = (busId = '1-1') =>
  Buffer.concat([Buffer.from('0111800300000000', 'hex'), Buffer.alloc(32, busId + '\0'.repeat(32))]);

function submit(sequence: number, endpoint: number, isIn: boolean, length: number, setup = '00'.repeat(8)): Buffer {
  const bytes = Buffer.alloc(48);
  [1, sequence, 0x10002, isIn ? 1 : 0, endpoint, 0, length].forEach((value, k) => {
    bytes.writeUInt32BE(value, 4 * k);
  });
  Buffer.from(setup, 'hex').copy(bytes, 40);
  return bytes;
}

describe('the USB/IP server', () => {
  it('lists its device', async () => {
    server = await serveUsbip(new UsbCounter(), { port: 0 });
    const reply = await exchange(Buffer.from('0111800500000000', 'hex'));
    expect(reply.length).toBe(12 + 312 + 4);
    expect(reply.toString('hex', 0, 12)).toBe('011100050000000000000001');
    expect(reply.toString('latin1', 12 + 256, 12 + 259)).toBe('1-1');
    expect(reply.readUInt16BE(12 + 300)).toBe(0x1209);
  });

  it('refuses another bus id', async () => {
    server = await serveUsbip(new UsbCounter(), { port: 0 });
    expect((await exchange(importRequest('9-9'))).toString('hex')).toBe('0111000300000004');
  });

  it('gives descriptors, refuses unknown requests and cancels waiting transfers', async () => {
    server = await serveUsbip(new UsbCounter(), { port: 0 });
    const unlink = Buffer.alloc(48);
    [2, 9, 0x10002, 0, 0, 4].forEach((value, k) => {
      unlink.writeUInt32BE(value, 4 * k);
    });
    const reply = await exchange(
      Buffer.concat([
        importRequest(),
        submit(1, 0, true, 18, '8006000100001200'),
        submit(2, 0, true, 255, '800602030904ff00'),
        submit(3, 0, true, 4, 'c005000000000400'),
        submit(4, 1, true, 64),
        unlink,
      ]),
    );
    let at = 8 + 312;
    const take = (length: number) => {
      at += length;
      return reply.subarray(at - length, at);
    };
    expect([take(48).readInt32BE(20), take(18).toString('hex')]).toEqual([
      0,
      '12010002ff000040091201000001010203' + '01',
    ]);
    const text = take(48).readUInt32BE(24);
    expect(take(text).toString('utf16le', 2)).toBe('Counter');
    expect(take(48).readInt32BE(20)).toBe(-32);
    const unlinked = take(48);
    expect([unlinked.readUInt32BE(0), unlinked.readUInt32BE(4), unlinked.readInt32BE(20)]).toEqual([4, 9, -104]);
    expect(at).toBe(reply.length);
  });

  it('survives anything that is sent to it', async () => {
    server = await serveUsbip(new UsbCounter(), { port: 0 });
    await fc.assert(
      fc.asyncProperty(fc.boolean(), fc.uint8Array({ maxLength: 300 }), async (isImported, rubbish) => {
        const socket = connect(server.port, server.host);
        socket.on('error', () => {});
        socket.end(Buffer.concat([isImported ? importRequest() : Buffer.alloc(0), rubbish]));
        await new Promise((resolve) => {
          socket.on('close', resolve);
          socket.resume();
        });
      }),
      fuzz(200),
    );
    expect((await exchange(Buffer.from('0111800500000000', 'hex'))).length).toBe(328);
  });

  it('says which port cannot be listened on', async () => {
    server = await serveUsbip(new UsbCounter(), { port: 0 });
    await expect(serveUsbip(new UsbCounter(), { port: server.port })).rejects.toMatchObject({ code: 'usbip.port' });
  });
});
