import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { ByteStream } from './byte-stream.ts';
import { TcpStream } from './tcp.ts';

/** A TCP server for emulators, on this machine only. */
export interface TcpServer {
  /** `127.0.0.1:port` */
  address: string;
  close(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1 and hands over each connection. */
export async function listenTcp(onConnection: (stream: ByteStream) => void): Promise<TcpServer> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    onConnection(new TcpStream(`${socket.remoteAddress}:${socket.remotePort}`, socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    address: `127.0.0.1:${port}`,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
