import { createServer, type Socket } from 'node:net';
import { DeviceError } from '../signal/errors.ts';
import type { UsbControl } from './usb.ts';
import type { UsbModel } from './usb-model.ts';

/*
 * USB/IP, version 1.1.1 (Documentation/usb/usbip_protocol.rst of the Linux kernel). All numbers of the protocol are
 * big-endian; USB's own set-up packets and descriptors are little-endian.
 */
const VERSION = 0x0111;
const OP_REQ_DEVLIST = 0x8005;
const OP_REP_DEVLIST = 0x0005;
const OP_REQ_IMPORT = 0x8003;
const OP_REP_IMPORT = 0x0003;
const CMD_SUBMIT = 1;
const CMD_UNLINK = 2;
const RET_SUBMIT = 3;
const RET_UNLINK = 4;

const OP_HEADER_BYTES = 8;
const BUS_ID_BYTES = 32;
const DEVICE_BYTES = 312;
const URB_HEADER_BYTES = 48;
const BUS_ID = '1-1';
const BUS = 1;
const ADDRESS = 2;
const HIGH_SPEED = 3;
/** Device class of a device whose interfaces are vendor-specific. */
const VENDOR_CLASS = 0xff;

/** Errors travel as negative Linux error numbers. */
const EPIPE = -32;
const ECONNRESET = -104;
/** Status of an import that is refused. */
const ST_DEV_BUSY = 2;
const ST_NODEV = 4;

/** No host asks for more in one transfer (usbfs allows 16 MiB). */
const MAX_TRANSFER = 1 << 24;

const DESCRIPTOR = { device: 1, configuration: 2, string: 3 } as const;
const STANDARD = {
  getStatus: 0,
  clearFeature: 1,
  setFeature: 3,
  getDescriptor: 6,
  getConfiguration: 8,
  setConfiguration: 9,
  getInterface: 10,
  setInterface: 11,
} as const;

/** A USB/IP server with one emulated device. */
export interface UsbipServer {
  readonly host: string;
  readonly port: number;
  /** For `usbip attach -r HOST -b BUSID`. */
  readonly busId: string;
  /** Stops serving; a host that has the device attached sees it unplugged. */
  close(): Promise<void>;
}

/**
 * Serves a device model over USB/IP, so that any machine with the vhci driver (or a libusb test bed) can attach it.
 * @throws DeviceError `usbip.port` if the port cannot be listened on
 */
export async function serveUsbip(
  model: UsbModel,
  options: { host?: string; port?: number } = {},
): Promise<UsbipServer> {
  const { host = '127.0.0.1', port = 3240 } = options;
  const device = new ServedDevice(model);
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    new Connection(socket, device);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new DeviceError('usbip.port', {
          where: `${host}:${port}`,
          problem: `cannot be listened on: ${cause.message}`,
          remedy: 'choose another port, or stop what uses this one',
          cause,
        }),
      ),
    );
    server.listen(port, host, resolve);
  });
  const address = server.address();
  return {
    host,
    port: typeof address === 'object' && address !== null ? address.port : port,
    busId: BUS_ID,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** The device, its descriptors, and the one host that has imported it. */
class ServedDevice {
  readonly model: UsbModel;
  owner: Connection | null = null;
  #isGone = false;
  #configuration = 1;

  constructor(model: UsbModel) {
    this.model = model;
    model.plug({
      ready: (endpoint) => this.owner?.serve(endpoint),
      unplugged: () => {
        this.#isGone = true;
        this.owner?.drop();
      },
    });
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Answers a control transfer: bytes (empty for OUT), a STALL, or nothing at all. */
  control(setup: Uint8Array, data: Uint8Array): Uint8Array | 'stall' | 'silence' {
    const view = new DataView(setup.buffer, setup.byteOffset, setup.length);
    const control: UsbControl = {
      requestType: setup[0]!,
      request: setup[1]!,
      value: view.getUint16(2, true),
      index: view.getUint16(4, true),
    };
    const length = view.getUint16(6, true);
    const isIn = (control.requestType & 0x80) !== 0;
    if ((control.requestType & 0x60) === 0) return this.#standard(control, length);
    if (isIn) {
      const answer = this.model.controlIn(control, length);
      return typeof answer === 'string' ? answer : answer.subarray(0, length);
    }
    // A copy: a Buffer is a view of what has been received.
    const answer = this.model.controlOut(control, new Uint8Array(data));
    return answer === 'ok' ? new Uint8Array() : answer;
  }

  #standard({ request, value }: UsbControl, length: number): Uint8Array | 'stall' {
    switch (request) {
      case STANDARD.getDescriptor:
        return this.#descriptor(value >> 8, value & 0xff)?.subarray(0, length) ?? 'stall';
      case STANDARD.getStatus:
        return new Uint8Array(Math.min(2, length));
      case STANDARD.getConfiguration:
        return Uint8Array.of(this.#configuration);
      case STANDARD.getInterface:
        return Uint8Array.of(0);
      case STANDARD.setConfiguration:
        this.#configuration = value & 0xff;
        return new Uint8Array();
      case STANDARD.setInterface:
      case STANDARD.clearFeature:
      case STANDARD.setFeature:
        return new Uint8Array();
    }
    return 'stall';
  }

  #descriptor(type: number, index: number): Uint8Array | null {
    const { vendorId, productId, release, manufacturer, product, serial, endpoints } = this.model.descriptor;
    const pair = (value: number) => [value & 0xff, value >> 8];
    switch (type) {
      case DESCRIPTOR.device:
        // biome-ignore format: one field of the descriptor a group
        return Uint8Array.from([
          18, DESCRIPTOR.device, 0x00, 0x02, VENDOR_CLASS, 0, 0, 64,
          ...pair(vendorId), ...pair(productId), ...pair(release), 1, 2, 3, 1,
        ]);
      case DESCRIPTOR.configuration: {
        const total = 18 + 7 * endpoints.length;
        const bulk = endpoints.flatMap(({ address, packetSize }) => [7, 5, address, 2, ...pair(packetSize), 0]);
        // biome-ignore format: one descriptor a line
        return Uint8Array.from([
          9, DESCRIPTOR.configuration, ...pair(total), 1, 1, 0, 0x80, 250,
          9, 4, 0, 0, endpoints.length, VENDOR_CLASS, 0, 0, 0,
          ...bulk,
        ]);
      }
      case DESCRIPTOR.string: {
        if (index === 0) return Uint8Array.of(4, DESCRIPTOR.string, 0x09, 0x04);
        const text = [manufacturer, product, serial][index - 1];
        if (text === undefined) return null;
        const utf16 = Buffer.from(text, 'utf16le');
        return Uint8Array.from([utf16.length + 2, DESCRIPTOR.string, ...utf16]);
      }
    }
    return null;
  }

  /** usbip_usb_device */
  describe(): Buffer {
    const { vendorId, productId, release } = this.model.descriptor;
    const bytes = Buffer.alloc(DEVICE_BYTES);
    bytes.write(`/sys/devices/joulemark/usb${BUS}/${BUS_ID}`, 0, 'latin1');
    bytes.write(BUS_ID, 256, 'latin1');
    bytes.writeUInt32BE(BUS, 288);
    bytes.writeUInt32BE(ADDRESS, 292);
    bytes.writeUInt32BE(HIGH_SPEED, 296);
    bytes.writeUInt16BE(vendorId, 300);
    bytes.writeUInt16BE(productId, 302);
    bytes.writeUInt16BE(release, 304);
    bytes.set([VENDOR_CLASS, 0, 0, this.#configuration, 1, 1], 306);
    return bytes;
  }
}

interface PendingIn {
  sequence: number;
  endpoint: number;
  length: number;
}

/** One TCP connection: first a question about devices, then, after an import, the traffic of the bus. */
class Connection {
  readonly #socket: Socket;
  readonly #device: ServedDevice;
  #received: Buffer = Buffer.alloc(0);
  #isImported = false;
  /** IN transfers that wait for data. */
  #pending: PendingIn[] = [];
  /** Transfers that the device never answers. */
  readonly #unanswered = new Set<number>();

  constructor(socket: Socket, device: ServedDevice) {
    this.#socket = socket;
    this.#device = device;
    socket.on('error', () => {});
    socket.on('close', () => {
      if (device.owner === this) device.owner = null;
    });
    socket.on('data', (chunk) => this.#receive(chunk));
  }

  drop(): void {
    this.#socket.destroy();
  }

  /** Completes the IN transfers of an endpoint as far as the device has data. */
  serve(endpoint: number): void {
    for (const pending of [...this.#pending]) {
      if (pending.endpoint !== endpoint) continue;
      const bytes = this.#device.model.takeIn(endpoint, pending.length);
      if (bytes === null) return;
      this.#pending.splice(this.#pending.indexOf(pending), 1);
      this.#answer(pending.sequence, 0, bytes.length, bytes);
    }
  }

  #receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    while (!this.#socket.destroyed) {
      const used = this.#isImported ? this.#takeUrb() : this.#takeOperation();
      if (used === 0) return;
      this.#received = this.#received.subarray(used);
    }
  }

  #takeOperation(): number {
    const bytes = this.#received;
    if (bytes.length < OP_HEADER_BYTES) return 0;
    const reply = (code: number, status: number, ...parts: Buffer[]) => {
      const header = Buffer.alloc(OP_HEADER_BYTES);
      header.writeUInt16BE(VERSION, 0);
      header.writeUInt16BE(code, 2);
      header.writeUInt32BE(status, 4);
      this.#socket.write(Buffer.concat([header, ...parts]));
    };
    switch (bytes.readUInt16BE(2)) {
      case OP_REQ_DEVLIST: {
        const count = Buffer.alloc(4);
        count.writeUInt32BE(this.#device.isGone ? 0 : 1);
        const parts = this.#device.isGone ? [] : [this.#device.describe(), Buffer.of(VENDOR_CLASS, 0, 0, 0)];
        reply(OP_REP_DEVLIST, 0, count, ...parts);
        return OP_HEADER_BYTES;
      }
      case OP_REQ_IMPORT: {
        if (bytes.length < OP_HEADER_BYTES + BUS_ID_BYTES) return 0;
        const busId = bytes.toString('latin1', OP_HEADER_BYTES, OP_HEADER_BYTES + BUS_ID_BYTES).replace(/\0.*$/s, '');
        if (busId !== BUS_ID || this.#device.isGone) reply(OP_REP_IMPORT, ST_NODEV);
        else if (this.#device.owner) reply(OP_REP_IMPORT, ST_DEV_BUSY);
        else {
          this.#device.owner = this;
          this.#isImported = true;
          reply(OP_REP_IMPORT, 0, this.#device.describe());
        }
        return OP_HEADER_BYTES + BUS_ID_BYTES;
      }
    }
    this.drop();
    return 0;
  }

  #takeUrb(): number {
    const bytes = this.#received;
    if (bytes.length < URB_HEADER_BYTES) return 0;
    const command = bytes.readUInt32BE(0);
    const sequence = bytes.readUInt32BE(4);
    if (command === CMD_UNLINK) {
      this.#unlink(sequence, bytes.readUInt32BE(20));
      return URB_HEADER_BYTES;
    }
    const length = bytes.readUInt32BE(24);
    if (command !== CMD_SUBMIT || length > MAX_TRANSFER) {
      this.drop();
      return 0;
    }
    const isIn = bytes.readUInt32BE(12) === 1;
    const size = URB_HEADER_BYTES + (isIn ? 0 : length);
    if (bytes.length < size) return 0;
    this.#submit(sequence, bytes.readUInt32BE(16), isIn, length, bytes.subarray(40, 48), bytes.subarray(48, size));
    return size;
  }

  #submit(sequence: number, endpoint: number, isIn: boolean, length: number, setup: Buffer, data: Buffer): void {
    if (endpoint === 0) {
      const answer = this.#device.control(setup, data);
      this.#finish(sequence, answer, isIn ? null : length);
    } else if (isIn) {
      const address = 0x80 | endpoint;
      this.#pending.push({ sequence, endpoint: address, length });
      this.serve(address);
    } else {
      const answer = this.#device.model.bulkOut(endpoint, new Uint8Array(data));
      this.#finish(sequence, answer === 'ok' ? new Uint8Array() : answer, length);
    }
  }

  /** `sent` = number of bytes of an OUT transfer, null for IN. */
  #finish(sequence: number, answer: Uint8Array | 'stall' | 'silence', sent: number | null): void {
    if (answer === 'silence') this.#unanswered.add(sequence);
    else if (answer === 'stall') this.#answer(sequence, EPIPE, 0);
    else this.#answer(sequence, 0, sent ?? answer.length, sent === null ? answer : undefined);
  }

  #answer(sequence: number, status: number, actual: number, data?: Uint8Array): void {
    const header = Buffer.alloc(URB_HEADER_BYTES);
    header.writeUInt32BE(RET_SUBMIT, 0);
    header.writeUInt32BE(sequence, 4);
    header.writeInt32BE(status, 20);
    header.writeUInt32BE(actual, 24);
    this.#socket.cork();
    this.#socket.write(header);
    if (data && data.length > 0) this.#socket.write(data);
    this.#socket.uncork();
  }

  #unlink(sequence: number, target: number): void {
    const at = this.#pending.findIndex((pending) => pending.sequence === target);
    if (at >= 0) this.#pending.splice(at, 1);
    const isUnlinked = at >= 0 || this.#unanswered.delete(target);
    const header = Buffer.alloc(URB_HEADER_BYTES);
    header.writeUInt32BE(RET_UNLINK, 0);
    header.writeUInt32BE(sequence, 4);
    header.writeInt32BE(isUnlinked ? ECONNRESET : 0, 20);
    this.#socket.write(header);
  }
}
