import type { UsbControl } from '../../src/transport/usb.ts';
import { UsbInQueue, type UsbModel, type UsbModelDescriptor, type UsbSocket } from '../../src/transport/usb-model.ts';

/** A device for tests: echoes what it is given, and streams bytes that count. */
export class UsbCounter implements UsbModel {
  readonly descriptor: UsbModelDescriptor = {
    vendorId: 0x1209,
    productId: 0x0001,
    release: 0x0100,
    manufacturer: 'Joulemark',
    product: 'Counter',
    serial: 'SIM-COUNTER-1',
    endpoints: [
      { address: 0x81, packetSize: 64 },
      { address: 0x82, packetSize: 512 },
      { address: 0x02, packetSize: 512 },
    ],
  };
  readonly echo = new UsbInQueue(64, 4096);
  readonly stream = new UsbInQueue(512, 1 << 20);
  #socket: UsbSocket | null = null;
  #stored = new Uint8Array();
  #sent = 0;

  plug(socket: UsbSocket): void {
    this.#socket = socket;
  }

  /** Request 1 reads back what request 1 wrote; 9 is never answered; everything else is refused. */
  controlIn({ request }: UsbControl, length: number): Uint8Array | 'stall' | 'silence' {
    if (request === 9) return 'silence';
    return request === 1 ? this.#stored.subarray(0, length) : 'stall';
  }

  controlOut({ request }: UsbControl, data: Uint8Array): 'ok' | 'stall' {
    if (request !== 1) return 'stall';
    this.#stored = data.slice();
    return 'ok';
  }

  takeIn(endpoint: number, maxLength: number): Uint8Array | null {
    return (endpoint === 0x81 ? this.echo : this.stream).take(maxLength);
  }

  bulkOut(_endpoint: number, data: Uint8Array): 'ok' {
    this.echo.push(data);
    this.#socket?.ready(0x81);
    return 'ok';
  }

  /** Streams up to so many packets of 512 bytes, and tells how many of them found room. */
  emit(packets: number): number {
    let taken = 0;
    for (; taken < packets; taken++) {
      const packet = new Uint8Array(512);
      for (let i = 0; i < 512; i++) packet[i] = this.#sent + i;
      if (!this.stream.push(packet)) break;
      this.#sent += 512;
    }
    this.#socket?.ready(0x82);
    return taken;
  }

  unplug(): void {
    this.#socket?.unplugged();
  }
}
