import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Device, InEndpoint, Interface, LibUSBException, OutEndpoint, Transfer } from 'usb';
import { DeviceError } from '../signal/errors.ts';
import type { CloseReason } from './byte-stream.ts';
import { alreadyClosed, missingModule, silent, stalled, vanished } from './errors.ts';
import { realTime, wait, within } from './time.ts';
import type { UsbControl, UsbDevice, UsbInStream } from './usb.ts';
import { refused, usbIds, usbOpenFailure } from './usb-errors.ts';

const TIMEOUT_MS = 1000;
/** How long libusb may take to give transfers back and to release an interface. */
const LIMIT_MS = 2000;

type UsbModule = Pick<typeof import('usb'), 'usb' | 'getDeviceList'>;
type LoadUsb = () => Promise<UsbModule>;

const loadUsb: LoadUsb = () => import('usb');

/** Which device to open. */
export interface UsbMatch {
  vendorId: number;
  productId: number;
  /** iSerialNumber; absent = the only one that is plugged in. */
  serial?: string;
}

/** A USB device that is plugged in. */
export interface UsbDeviceInfo {
  vendorId: number;
  productId: number;
  bus: number;
  address: number;
  /** Null where it has none or it cannot be read without permission. */
  serial: string | null;
  /** True where the user may not open it: see udevRule(). */
  isDenied: boolean;
}

async function load(loader: LoadUsb): Promise<UsbModule> {
  try {
    return await loader();
  } catch (cause) {
    throw missingModule('usb', 'USB instruments', cause);
  }
}

function find(module: UsbModule, matches: readonly { vendorId: number; productId: number }[]): Device[] {
  return module
    .getDeviceList()
    .filter(({ deviceDescriptor: { idVendor, idProduct } }) =>
      matches.some(({ vendorId, productId }) => vendorId === idVendor && productId === idProduct),
    );
}

/** The kernel tells the serial number without permission to open the device; null where there is no sysfs. */
function serialFromSysfs(device: Device): string | null {
  const root = '/sys/bus/usb/devices';
  const read = (folder: string, name: string): string => readFileSync(join(root, folder, name), 'utf8').trim();
  try {
    for (const folder of readdirSync(root)) {
      // Interfaces stand beside the devices and have no numbers.
      if (folder.includes(':')) continue;
      const isIt =
        Number(read(folder, 'busnum')) === device.busNumber && Number(read(folder, 'devnum')) === device.deviceAddress;
      if (isIt) return read(folder, 'serial');
    }
  } catch {
    // No sysfs, a device without a serial number, or one that has just gone.
  }
  return null;
}

function readString(device: Device, index: number): Promise<string | null> {
  if (index === 0) return Promise.resolve(null);
  return new Promise((resolve) => {
    device.getStringDescriptor(index, (error, value) => resolve(error || !value ? null : value));
  });
}

/**
 * The devices with these ids that are plugged in. Opens them for a moment to read their serial numbers.
 * @throws DeviceError `dependency.missing` where the package usb cannot be loaded
 */
export async function listUsb(
  matches: readonly { vendorId: number; productId: number }[],
  loader: LoadUsb = loadUsb,
): Promise<UsbDeviceInfo[]> {
  const module = await load(loader);
  const found: UsbDeviceInfo[] = [];
  for (const device of find(module, matches)) {
    const { idVendor, idProduct, iSerialNumber } = device.deviceDescriptor;
    const info = {
      vendorId: idVendor,
      productId: idProduct,
      bus: device.busNumber,
      address: device.deviceAddress,
      serial: serialFromSysfs(device),
      isDenied: false,
    };
    try {
      device.open(false);
      info.serial ??= await readString(device, iSerialNumber);
      device.close();
    } catch (cause) {
      info.isDenied = usbOpenFailure('', idVendor, idProduct, cause).code === 'device.permission';
    }
    found.push(info);
  }
  return found;
}

/**
 * Opens a USB device and claims its first interface (taking it from a kernel driver if one holds it).
 * @throws DeviceError `device.missing`, `device.ambiguous`, `device.permission` (naming the udev rule), `device.busy`,
 * `device.open` or `dependency.missing`
 */
export async function openUsb(match: UsbMatch, loader: LoadUsb = loadUsb): Promise<UsbDevice> {
  const module = await load(loader);
  const ids = usbIds(match.vendorId, match.productId);
  const opened: { device: Device; serial: string | null }[] = [];
  const close = (device: Device) => {
    try {
      device.close();
    } catch {
      // It is gone already.
    }
  };
  let failure: unknown = null;
  for (const device of find(module, [match])) {
    try {
      device.open();
    } catch (cause) {
      failure = cause;
      continue;
    }
    const serial = await readString(device, device.deviceDescriptor.iSerialNumber);
    if (match.serial === undefined || match.serial === serial) opened.push({ device, serial });
    else close(device);
  }
  const where = match.serial === undefined ? ids : `${ids} ${match.serial}`;
  const [chosen] = opened;
  if (chosen === undefined) {
    throw failure === null
      ? new DeviceError('device.missing', {
          where,
          problem: 'no such USB device is plugged in',
          remedy: 'plug it in; `joulemark devices` lists what is connected',
        })
      : usbOpenFailure(where, match.vendorId, match.productId, failure);
  }
  if (opened.length > 1) {
    for (const { device } of opened) close(device);
    throw new DeviceError('device.ambiguous', {
      where,
      problem: `${opened.length} of them are plugged in: ${opened.map(({ serial }) => serial ?? '(no serial number)').join(', ')}`,
      remedy: 'name the serial number of the one to use',
    });
  }
  const { device, serial } = chosen;
  const name = `${ids} ${serial ?? ''} (bus ${device.busNumber}, address ${device.deviceAddress})`;
  let claimed: Interface;
  try {
    claimed = device.interface(0);
    if (isKernelDriverActive(claimed)) claimed.detachKernelDriver();
    claimed.claim();
  } catch (cause) {
    close(device);
    throw usbOpenFailure(name, match.vendorId, match.productId, cause);
  }
  return new LibusbDevice(name, module, device, claimed, serial);
}

function isKernelDriverActive(claimed: Interface): boolean {
  try {
    return claimed.isKernelDriverActive();
  } catch {
    // Not every system can tell; claim() then decides.
    return false;
  }
}

/** Several transfers of one IN endpoint in flight, each submitted again as soon as it comes back. */
class TransferRing {
  readonly #transferLength: number;
  readonly #onData: (chunk: Uint8Array) => void;
  readonly #onError: (error: LibUSBException) => void;
  readonly #transfers: Transfer[];
  #inFlight = 0;
  #isStopping = false;
  #settleDone: () => void = () => {};
  readonly #done = new Promise<void>((resolve) => {
    this.#settleDone = resolve;
  });

  constructor(
    endpoint: InEndpoint,
    options: { transfers: number; transferLength: number },
    onData: (chunk: Uint8Array) => void,
    onError: (error: LibUSBException) => void,
  ) {
    this.#transferLength = options.transferLength;
    this.#onData = onData;
    this.#onError = onError;
    this.#transfers = Array.from({ length: options.transfers }, () => {
      const transfer: Transfer = endpoint.makeTransfer(0, (error, buffer, actual) =>
        this.#completed(transfer, error, buffer, actual),
      );
      return transfer;
    });
    for (const transfer of this.#transfers) this.#submit(transfer);
  }

  /** Cancels what is in flight and waits for it. */
  stop(): Promise<void> {
    this.#isStopping = true;
    for (const transfer of this.#transfers) {
      try {
        transfer.cancel();
      } catch {
        // It is not in flight.
      }
    }
    this.#settle();
    return this.#done;
  }

  #settle(): void {
    if (this.#isStopping && this.#inFlight === 0) this.#settleDone();
  }

  #fail(error: LibUSBException): void {
    this.#isStopping = true;
    this.#onError(error);
  }

  #submit(transfer: Transfer): void {
    try {
      transfer.submit(Buffer.allocUnsafeSlow(this.#transferLength));
      this.#inFlight++;
    } catch (error) {
      this.#fail(error as LibUSBException);
      this.#settle();
    }
  }

  #completed(transfer: Transfer, error: LibUSBException | undefined, buffer: Buffer, actual: number): void {
    this.#inFlight--;
    if (error) this.#fail(error);
    else if (!this.#isStopping) this.#submit(transfer);
    // A cancelled transfer may carry bytes that had arrived already.
    if (actual > 0) this.#onData(buffer.subarray(0, actual));
    this.#settle();
  }
}

class LibusbDevice implements UsbDevice {
  readonly name: string;
  readonly vendorId: number;
  readonly productId: number;
  readonly serial: string | null;
  readonly closed: Promise<CloseReason>;
  readonly #module: UsbModule;
  readonly #device: Device;
  readonly #interface: Interface;
  #settleClosed: (reason: CloseReason) => void = () => {};
  #reason: CloseReason | null = null;
  #closing: Promise<void> | null = null;
  readonly #streams = new Set<TransferRing>();
  readonly #onDetach: (device: Device) => void;

  constructor(name: string, module: UsbModule, device: Device, claimed: Interface, serial: string | null) {
    this.name = name;
    this.vendorId = device.deviceDescriptor.idVendor;
    this.productId = device.deviceDescriptor.idProduct;
    this.serial = serial;
    this.#module = module;
    this.#device = device;
    this.#interface = claimed;
    this.closed = new Promise((resolve) => {
      this.#settleClosed = resolve;
    });
    // Transfers in flight do not always come back when the plug is pulled.
    this.#onDetach = (gone) => {
      if (gone === device) this.#lose();
    };
    module.usb.on('detach', this.#onDetach);
    module.usb.unrefHotplugEvents();
  }

  async controlIn(setup: UsbControl, length: number, timeout_ms = TIMEOUT_MS): Promise<Uint8Array> {
    const answer = await this.#control(setup, length, timeout_ms);
    return answer instanceof Uint8Array ? answer : new Uint8Array();
  }

  async controlOut(setup: UsbControl, data: Uint8Array = new Uint8Array(), timeout_ms = TIMEOUT_MS): Promise<void> {
    await this.#control(setup, Buffer.from(data), timeout_ms);
  }

  #control(setup: UsbControl, payload: number | Buffer, timeout_ms: number): Promise<Buffer | number | undefined> {
    const what = `control request ${setup.request}`;
    return this.#bounded(what, timeout_ms, (resolve, reject) => {
      this.#device.timeout = timeout_ms;
      this.#device.controlTransfer(
        setup.requestType,
        setup.request,
        setup.value,
        setup.index,
        payload,
        (error, answer) => (error ? reject(this.#failure(error, what, timeout_ms)) : resolve(answer)),
      );
    });
  }

  bulkIn(endpoint: number, length: number, timeout_ms = TIMEOUT_MS): Promise<Uint8Array> {
    const what = `a read of endpoint ${endpoint}`;
    return this.#bounded(what, timeout_ms, (resolve, reject) => {
      this.#endpoint<InEndpoint>(endpoint)
        .makeTransfer(timeout_ms, (error, buffer, actual) =>
          error ? reject(this.#failure(error, what, timeout_ms)) : resolve(buffer.subarray(0, actual)),
        )
        .submit(Buffer.alloc(length));
    });
  }

  bulkOut(endpoint: number, data: Uint8Array, timeout_ms = TIMEOUT_MS): Promise<void> {
    const what = `a write to endpoint ${endpoint}`;
    return this.#bounded(what, timeout_ms, (resolve, reject) => {
      this.#endpoint<OutEndpoint>(endpoint)
        .makeTransfer(timeout_ms, (error) => (error ? reject(this.#failure(error, what, timeout_ms)) : resolve()))
        .submit(Buffer.from(data));
    });
  }

  streamIn(
    endpoint: number,
    options: { transfers: number; transferLength: number },
    onData: (chunk: Uint8Array) => void,
  ): UsbInStream {
    if (this.#reason || this.#closing) throw this.#closedError();
    const what = `reading endpoint ${endpoint}`;
    const stream = new TransferRing(this.#endpoint<InEndpoint>(endpoint), options, onData, (error) =>
      this.#failure(error, what, 0),
    );
    this.#streams.add(stream);
    return {
      stop: async () => {
        this.#streams.delete(stream);
        await this.#stopStream(stream);
      },
    };
  }

  async #stopStream(stream: TransferRing): Promise<void> {
    // Transfers of a device that has gone come back at once or never.
    const limit_ms = this.#reason?.kind === 'lost' ? LIMIT_MS / 10 : LIMIT_MS;
    await within(realTime, limit_ms, stream.stop(), () => stalled(this.name, 'cancelling transfers')).catch(() => {});
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#module.usb.off('detach', this.#onDetach);
    await Promise.all([...this.#streams].map((stream) => this.#stopStream(stream)));
    const released = new Promise<void>((resolve) => {
      try {
        this.#interface.release(true, () => resolve());
      } catch {
        resolve();
      }
    });
    await within(realTime, LIMIT_MS, released, () => stalled(this.name, 'releasing the device')).catch(() => {});
    // libusb refuses to close while a transfer is on its way back.
    for (let attempt = 0; attempt < 10; attempt++) {
      try {
        this.#device.close();
        break;
      } catch {
        await wait(realTime, 20);
      }
    }
    this.#shut({ kind: 'closed' });
  }

  #endpoint<Kind extends InEndpoint | OutEndpoint>(address: number): Kind {
    const endpoint = this.#interface.endpoints.find((candidate) => candidate.address === address);
    if (endpoint) return endpoint as Kind;
    throw new DeviceError('device.wrong', {
      where: this.name,
      problem: `it has no endpoint 0x${address.toString(16)}`,
      remedy: 'check that this is the right device and not its boot loader',
    });
  }

  #closedError(): DeviceError {
    return this.#reason?.kind === 'lost' ? this.#reason.error : alreadyClosed(this.name);
  }

  /** One transfer, ended by its own timeout, the loss of the device, or (should libusb keep it) a second timeout. */
  async #bounded<T>(
    what: string,
    timeout_ms: number,
    work: (resolve: (value: T) => void, reject: (error: DeviceError) => void) => void,
  ): Promise<T> {
    if (this.#reason || this.#closing) throw this.#closedError();
    const lost = this.closed.then(() => {
      throw this.#closedError();
    });
    const result = new Promise<T>((resolve, reject) => {
      try {
        work(resolve, reject);
      } catch (cause) {
        reject(cause instanceof DeviceError ? cause : this.#failure(cause as LibUSBException, what, timeout_ms));
      }
    });
    return within(realTime, timeout_ms + 500, Promise.race([result, lost]), () => silent(this.name, what, timeout_ms));
  }

  #failure(error: LibUSBException, what: string, timeout_ms: number): DeviceError {
    const { usb } = this.#module;
    switch (error.message) {
      case 'LIBUSB_TRANSFER_STALL':
      case 'LIBUSB_ERROR_PIPE':
        return refused(this.name, what, error);
      case 'LIBUSB_TRANSFER_TIMED_OUT':
      case 'LIBUSB_ERROR_TIMEOUT':
        return silent(this.name, what, timeout_ms);
      case 'LIBUSB_TRANSFER_NO_DEVICE':
      case 'LIBUSB_ERROR_NO_DEVICE':
        this.#lose();
        return vanished(this.name, error);
    }
    return new DeviceError('device.transfer', {
      where: this.name,
      problem: `${what} failed: ${error.message}${error.errno === usb.LIBUSB_ERROR_IO ? ' (input/output error)' : ''}`,
      remedy: 'plug the device into another USB port, without a hub, and start again',
      cause: error,
    });
  }

  #lose(): void {
    this.#module.usb.off('detach', this.#onDetach);
    this.#shut({ kind: 'lost', error: vanished(this.name) });
  }

  #shut(reason: CloseReason): void {
    if (this.#reason) return;
    this.#reason = reason;
    this.#settleClosed(reason);
  }
}
