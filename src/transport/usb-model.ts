import type { UsbControl } from './usb.ts';

/** What a device says of itself when it is plugged in. One configuration with one vendor-specific interface. */
export interface UsbModelDescriptor {
  vendorId: number;
  productId: number;
  /** bcdDevice, e.g. 0x0100. */
  release: number;
  manufacturer: string;
  product: string;
  /** iSerialNumber. */
  serial: string;
  /** Bulk endpoints by address; bit 7 set = IN. */
  endpoints: readonly { address: number; packetSize: number }[];
}

/** A STALL, or no answer until the host gives up. */
export type UsbRefusal = 'stall' | 'silence';

/** The socket that a device is plugged into. */
export interface UsbSocket {
  /** Data for an IN endpoint have become available, or its transfers can now be completed. */
  ready(endpoint: number): void;
  /** The device has gone: nothing answers any more. */
  unplugged(): void;
}

/** The device's side of USB: what an emulator implements, and what an in-memory connection or a USB/IP server serves. */
export interface UsbModel {
  readonly descriptor: UsbModelDescriptor;
  /** Called once a connection, before anything else. */
  plug(socket: UsbSocket): void;
  /** A vendor request, device to host: at most `length` bytes. */
  controlIn(setup: UsbControl, length: number): Uint8Array | UsbRefusal;
  /** A vendor request, host to device. */
  controlOut(setup: UsbControl, data: Uint8Array): 'ok' | UsbRefusal;
  /**
   * The bytes of one bulk IN transfer of up to `maxLength` bytes, or null while they are not all there. As on the
   * bus, a transfer is complete when it is full or ends with a short packet.
   */
  takeIn(endpoint: number, maxLength: number): Uint8Array | null;
  /** A bulk OUT transfer. */
  bulkOut(endpoint: number, data: Uint8Array): 'ok' | UsbRefusal;
}

/** The packets that wait for the host in a device: a bounded queue that takes whole packets. */
export class UsbInQueue {
  readonly #packetSize: number;
  readonly #capacity: number;
  #packets: Uint8Array[] = [];
  #first = 0;
  #bytes = 0;

  /** `capacity` bytes; a packet that does not fit is dropped. */
  constructor(packetSize: number, capacity: number) {
    this.#packetSize = packetSize;
    this.#capacity = capacity;
  }

  /** True if the packet was taken. */
  push(packet: Uint8Array): boolean {
    if (this.#bytes + packet.length > this.#capacity) return false;
    this.#packets.push(packet);
    this.#bytes += packet.length;
    return true;
  }

  clear(): void {
    this.#packets = [];
    this.#first = 0;
    this.#bytes = 0;
  }

  /** @see UsbModel.takeIn */
  take(maxLength: number): Uint8Array | null {
    let length = 0;
    let end = this.#first;
    let isComplete = false;
    while (!isComplete && end < this.#packets.length) {
      const size = this.#packets[end]!.length;
      if (length + size > maxLength) isComplete = true;
      else {
        length += size;
        end++;
        isComplete = size < this.#packetSize || length === maxLength;
      }
    }
    if (!isComplete) return null;
    const out = new Uint8Array(length);
    let at = 0;
    for (let k = this.#first; k < end; k++) {
      out.set(this.#packets[k]!, at);
      at += this.#packets[k]!.length;
    }
    this.#first = end;
    this.#bytes -= length;
    if (this.#first > 4096 || this.#first === this.#packets.length) {
      this.#packets.splice(0, this.#first);
      this.#first = 0;
    }
    return out;
  }
}
