import { createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { LineChannel } from '../../src/transport/lines.ts';
import { openTcp, TcpStream } from '../../src/transport/tcp.ts';

let server: Server | null = null;
afterEach(() => server?.close());

async function serve(onStream: (stream: TcpStream) => void): Promise<number> {
  const started = createServer((socket) => onStream(new TcpStream('client', socket)));
  server = started;
  await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve));
  const address = started.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

describe('a TCP connection', () => {
  it('carries lines both ways', async () => {
    const port = await serve((stream) => {
      const lines = new LineChannel(stream);
      lines.readLine(1000).then((line) => lines.writeLine(`you said ${line}`));
    });
    const stream = await openTcp('127.0.0.1', port);
    const lines = new LineChannel(stream);
    await lines.writeLine('hello');
    expect(await lines.readLine(1000)).toBe('you said hello');
    await stream.close();
    expect(await stream.closed).toEqual({ kind: 'closed' });
    await expect(stream.write(Uint8Array.of(1))).rejects.toMatchObject({ code: 'transport.closed' });
  });

  it('is lost when the server hangs up', async () => {
    const port = await serve((stream) => stream.close());
    const stream = await openTcp('127.0.0.1', port);
    stream.onData(() => {});
    expect(await stream.closed).toMatchObject({ kind: 'lost', error: { code: 'device.vanished' } });
  });

  it('says that nothing listens there', async () => {
    const port = await serve(() => {});
    await new Promise((resolve) => server!.close(resolve));
    await expect(openTcp('127.0.0.1', port)).rejects.toMatchObject({
      code: 'device.missing',
      where: `127.0.0.1:${port}`,
    });
  });
});
