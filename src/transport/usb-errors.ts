import { DeviceError } from '../signal/errors.ts';
import { openFailure } from './errors.ts';

const hex4 = (id: number): string => id.toString(16).padStart(4, '0');

/** `16d0:0e88` */
export const usbIds = (vendorId: number, productId: number): string => `${hex4(vendorId)}:${hex4(productId)}`;

/** The udev rule that lets the user at the machine open a device (Linux). */
export function udevRule(vendorId: number, productId: number): string {
  return `SUBSYSTEM=="usb", ATTR{idVendor}=="${hex4(vendorId)}", ATTR{idProduct}=="${hex4(productId)}", TAG+="uaccess"`;
}

/** The device answered a transfer with a STALL. */
export function refused(where: string, what: string, cause?: unknown): DeviceError {
  return new DeviceError('device.refused', {
    where,
    problem: `the device refused ${what} (USB STALL)`,
    remedy: 'check that this is the right device and that its firmware is up to date, then plug it in again',
    cause,
  });
}

/** Why a USB device cannot be opened or claimed, from libusb's answer. */
export function usbOpenFailure(where: string, vendorId: number, productId: number, cause: unknown): DeviceError {
  const message = cause instanceof Error ? cause.message : String(cause);
  if (/ACCESS|permission/i.test(message)) {
    return new DeviceError('device.permission', {
      where,
      problem: 'no permission to open the device',
      remedy:
        `write this line to /etc/udev/rules.d/70-joulemark.rules: ${udevRule(vendorId, productId)} ` +
        '- then run: sudo udevadm control --reload, and plug the device in again',
      cause,
    });
  }
  return openFailure(where, cause);
}
