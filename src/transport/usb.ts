import type { CloseReason } from './byte-stream.ts';

/** The set-up packet of a USB control transfer, less its length. */
export interface UsbControl {
  /** bmRequestType, e.g. 0xc0 for a vendor request to the device, in. */
  requestType: number;
  request: number;
  value: number;
  index: number;
}

/** A running stream of bulk IN transfers. */
export interface UsbInStream {
  /** Cancels the transfers in flight and resolves when the last of them has come back. Idempotent; never rejects. */
  stop(): Promise<void>;
}

/**
 * An opened USB device with its interface claimed. Drivers are given one and never look for it themselves.
 * Every transfer is bounded: after `timeout_ms` (default 1,000) it rejects with DeviceError `device.silent`. A STALL rejects
 * with `device.refused`, a device that is gone with `device.vanished`.
 */
export interface UsbDevice {
  /** For messages: `1915:c00a SIM-0001 (bus 1, address 4)`. */
  readonly name: string;
  readonly vendorId: number;
  readonly productId: number;
  /** iSerialNumber, or null where the device has none. */
  readonly serial: string | null;
  /** Settles once, when the device is closed or vanishes; never rejects. */
  readonly closed: Promise<CloseReason>;
  /** Control transfer, device to host: up to `length` bytes. */
  controlIn(setup: UsbControl, length: number, timeout_ms?: number): Promise<Uint8Array>;
  /** Control transfer, host to device. */
  controlOut(setup: UsbControl, data?: Uint8Array, timeout_ms?: number): Promise<void>;
  /** One bulk IN transfer of up to `length` bytes. Not to be mixed with `streamIn` on one endpoint. */
  bulkIn(endpoint: number, length: number, timeout_ms?: number): Promise<Uint8Array>;
  /** One bulk OUT transfer. */
  bulkOut(endpoint: number, data: Uint8Array, timeout_ms?: number): Promise<void>;
  /**
   * Keeps `transfers` bulk IN transfers of `transferLength` bytes in flight and hands over each one's bytes in order,
   * until stopped. The chunk is the listener's to keep. Silence is not an error here: the driver knows what rate to
   * expect. If the device vanishes the stream just ends and `closed` says why.
   */
  streamIn(
    endpoint: number,
    options: { transfers: number; transferLength: number },
    onData: (chunk: Uint8Array) => void,
  ): UsbInStream;
  /** Releases the interface and closes the device. Idempotent; never rejects. */
  close(): Promise<void>;
}
