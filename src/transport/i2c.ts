/**
 * An I2C bus on which several chips are addressed by register. Bytes are in the order of the wire (register-based
 * measuring chips send the most significant byte first; SMBus words are the other way round, which the
 * implementation hides). A chip that does not answer rejects with DeviceError `device.silent`, a bus without
 * permission with `device.permission`.
 */
export interface I2cBus {
  /** The path, for messages, e.g. `/dev/i2c-1`. */
  readonly name: string;
  /** Reads `length` bytes from a register of the chip at the 7-bit `address`. */
  readRegister(address: number, register: number, length: number): Promise<Uint8Array>;
  /** Writes bytes to a register of the chip at the 7-bit `address`. */
  writeRegister(address: number, register: number, bytes: Uint8Array): Promise<void>;
  /** Idempotent; never rejects. */
  close(): Promise<void>;
}
