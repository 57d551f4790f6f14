import type { DeviceError } from '../signal/errors.ts';
import type { CloseReason } from './byte-stream.ts';
import { alreadyClosed, silent, vanished } from './errors.ts';
import { realTime, type TimeSource } from './time.ts';
import type { UsbControl, UsbDevice, UsbInStream } from './usb.ts';
import { refused, usbIds } from './usb-errors.ts';
import type { UsbModel, UsbRefusal } from './usb-model.ts';

const TIMEOUT_MS = 1000;

/** A host's transfer that waits for the device. */
interface Waiting {
  endpoint: number;
  length: number;
  /** Takes one transfer's bytes; true if it wants no more. */
  take(bytes: Uint8Array): boolean;
}

/** An emulated device in this process. */
export interface MemoryUsbDevice extends UsbDevice {
  /** Pulls the plug. */
  unplug(): void;
}

/** Plugs a device model into the host's side of USB inside the process. */
export function memoryUsb(model: UsbModel, time: TimeSource = realTime): MemoryUsbDevice {
  return new MemoryUsb(model, time);
}

class MemoryUsb implements MemoryUsbDevice {
  readonly name: string;
  readonly vendorId: number;
  readonly productId: number;
  readonly serial: string;
  readonly closed: Promise<CloseReason>;
  readonly #model: UsbModel;
  readonly #time: TimeSource;
  #settleClosed: (reason: CloseReason) => void = () => {};
  #reason: CloseReason | null = null;
  #waiting: Waiting[] = [];
  #scheduled = false;

  constructor(model: UsbModel, time: TimeSource) {
    const { vendorId, productId, serial } = model.descriptor;
    this.vendorId = vendorId;
    this.productId = productId;
    this.serial = serial;
    this.name = `${usbIds(vendorId, productId)} ${serial} (in memory)`;
    this.#model = model;
    this.#time = time;
    this.closed = new Promise((resolve) => {
      this.#settleClosed = resolve;
    });
    model.plug({ ready: () => this.#schedule(), unplugged: () => this.unplug() });
  }

  async controlIn(setup: UsbControl, length: number, timeout_ms = TIMEOUT_MS): Promise<Uint8Array> {
    this.#check();
    const answer = this.#model.controlIn(setup, length);
    if (typeof answer === 'string') return this.#refuse(answer, `control request ${setup.request}`, timeout_ms);
    return answer.slice(0, length);
  }

  async controlOut(setup: UsbControl, data: Uint8Array = new Uint8Array(), timeout_ms = TIMEOUT_MS): Promise<void> {
    this.#check();
    const answer = this.#model.controlOut(setup, data.slice());
    if (answer !== 'ok') await this.#refuse(answer, `control request ${setup.request}`, timeout_ms);
  }

  async bulkIn(endpoint: number, length: number, timeout_ms = TIMEOUT_MS): Promise<Uint8Array> {
    this.#check();
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        cancel();
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
        settle();
      };
      const waiting: Waiting = {
        endpoint,
        length,
        take: (bytes) => {
          finish(() => resolve(bytes));
          return true;
        },
      };
      const cancel = this.#time.after(timeout_ms, () =>
        finish(() => reject(silent(this.name, `a read of endpoint ${endpoint}`, timeout_ms))),
      );
      this.closed.then((reason) => finish(() => reject(this.#errorOf(reason))));
      this.#waiting.push(waiting);
      this.#schedule();
    });
  }

  async bulkOut(endpoint: number, data: Uint8Array, timeout_ms = TIMEOUT_MS): Promise<void> {
    this.#check();
    const answer = this.#model.bulkOut(endpoint, data.slice());
    if (answer !== 'ok') await this.#refuse(answer, `a write to endpoint ${endpoint}`, timeout_ms);
  }

  streamIn(
    endpoint: number,
    options: { transfers: number; transferLength: number },
    onData: (chunk: Uint8Array) => void,
  ): UsbInStream {
    const waiting: Waiting = {
      endpoint,
      length: options.transferLength,
      take: (bytes) => {
        onData(bytes);
        return false;
      },
    };
    this.#waiting.push(waiting);
    this.#schedule();
    return {
      stop: async () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
      },
    };
  }

  unplug(): void {
    this.#shut({ kind: 'lost', error: vanished(this.name) });
  }

  async close(): Promise<void> {
    this.#shut({ kind: 'closed' });
  }

  #shut(reason: CloseReason): void {
    if (this.#reason) return;
    this.#reason = reason;
    this.#waiting = [];
    this.#settleClosed(reason);
  }

  #errorOf(reason: CloseReason): DeviceError {
    return reason.kind === 'lost' ? reason.error : alreadyClosed(this.name);
  }

  #check(): void {
    if (this.#reason) throw this.#errorOf(this.#reason);
  }

  #refuse(answer: UsbRefusal, what: string, timeout_ms: number): Promise<never> {
    if (answer === 'stall') return Promise.reject(refused(this.name, what));
    return new Promise((_resolve, reject) => {
      const cancel = this.#time.after(timeout_ms, () => reject(silent(this.name, what, timeout_ms)));
      this.closed.then((reason) => {
        cancel();
        reject(this.#errorOf(reason));
      });
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      for (const waiting of [...this.#waiting]) this.#serve(waiting);
    });
  }

  #serve(waiting: Waiting): void {
    while (this.#waiting.includes(waiting)) {
      const bytes = this.#model.takeIn(waiting.endpoint, waiting.length);
      if (bytes === null || waiting.take(bytes)) return;
    }
  }
}
