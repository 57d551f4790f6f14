import type { DeviceError } from '../signal/errors.ts';

/** Why a transport is closed: somebody closed it, or the other side vanished. */
export type CloseReason = { kind: 'closed' } | { kind: 'lost'; error: DeviceError };

/**
 * An open two-way stream of bytes: a serial port, a PTY, a TCP connection or an in-memory pair. Drivers are given
 * one and never open a port themselves.
 */
export interface ByteStream {
  /** The path or address, for messages. */
  readonly name: string;
  /** Settles once, when the stream is closed from either side; never rejects. */
  readonly closed: Promise<CloseReason>;
  /**
   * Sends bytes; resolves when the transport has taken them all.
   * @throws DeviceError `device.vanished` if the other side is gone, `device.stalled` if it takes nothing for 2 s,
   * `transport.closed` after close().
   */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * Calls `listener` with each chunk as it arrives; chunk borders mean nothing. The chunk is the listener's to keep.
   * Bytes that arrive before the first listener are held back; later, bytes that nobody listens to are discarded.
   * @returns a function that removes the listener
   */
  onData(listener: (chunk: Uint8Array) => void): () => void;
  /** Closes this side. Idempotent; never rejects. */
  close(): Promise<void>;
}
