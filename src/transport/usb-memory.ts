import type { DeviceError } from '../signal/errors.ts';
import type { CloseReason } from './byte-stream.ts';
import { alreadyClosed, silent, vanished } from './errors.ts';
import { LinkDelay, realTime, type TimeSource } from './time.ts';
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

/** Plugs a device model into the host's side of USB inside the process. `delay_ms` is how long each transfer takes; absent, it takes no time. */
export function memoryUsb(model: UsbModel, time: TimeSource = realTime, delay_ms?: () => number): MemoryUsbDevice {
  return new MemoryUsb(model, time, delay_ms);
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
  readonly #newDelay: (() => LinkDelay) | null;
  /** Requests and their answers, to the device and back. */
  readonly #control: { out: LinkDelay; back: LinkDelay } | null;
  /** Data of each endpoint on its way to the host. */
  readonly #inward = new Map<number, LinkDelay>();

  constructor(model: UsbModel, time: TimeSource, delay_ms?: () => number) {
    const { vendorId, productId, serial } = model.descriptor;
    this.vendorId = vendorId;
    this.productId = productId;
    this.serial = serial;
    this.name = `${usbIds(vendorId, productId)} ${serial} (in memory)`;
    this.#model = model;
    this.#time = time;
    this.#newDelay = delay_ms === undefined ? null : () => new LinkDelay(time, delay_ms);
    this.#control = this.#newDelay && { out: this.#newDelay(), back: this.#newDelay() };
    this.closed = new Promise((resolve) => {
      this.#settleClosed = resolve;
    });
    model.plug({ ready: () => this.#schedule(), unplugged: () => this.unplug() });
  }

  async controlIn(setup: UsbControl, length: number, timeout_ms = TIMEOUT_MS): Promise<Uint8Array> {
    this.#check();
    const answer = await this.#exchange(() => this.#model.controlIn(setup, length));
    if (typeof answer === 'string') return this.#refuse(answer, `control request ${setup.request}`, timeout_ms);
    return answer.slice(0, length);
  }

  async controlOut(setup: UsbControl, data: Uint8Array = new Uint8Array(), timeout_ms = TIMEOUT_MS): Promise<void> {
    this.#check();
    const sent = data.slice();
    const answer = await this.#exchange(() => this.#model.controlOut(setup, sent));
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
    const sent = data.slice();
    const answer = await this.#exchange(() => this.#model.bulkOut(endpoint, sent));
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
        const delay = this.#inwardOf(endpoint);
        if (delay === null) onData(bytes);
        else {
          delay.deliver(() => {
            if (this.#waiting.includes(waiting)) onData(bytes);
          });
        }
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

  /** A request to the device and its answer. */
  async #exchange<T>(carryOut: () => T): Promise<T> {
    const delay = this.#control;
    if (delay === null) return carryOut();
    await delay.out.pass();
    this.#check();
    const answer = carryOut();
    await delay.back.pass();
    this.#check();
    return answer;
  }

  #inwardOf(endpoint: number): LinkDelay | null {
    let delay = this.#inward.get(endpoint) ?? null;
    if (delay === null && this.#newDelay !== null) {
      delay = this.#newDelay();
      this.#inward.set(endpoint, delay);
    }
    return delay;
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
