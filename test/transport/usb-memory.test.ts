import { describe, expect, it } from 'vitest';
import { VirtualTime } from '../../src/transport/time.ts';
import { memoryUsb } from '../../src/transport/usb-memory.ts';
import { UsbInQueue } from '../../src/transport/usb-model.ts';
import { UsbCounter } from '../support/usb-counter.ts';

const control = (request: number) => ({ requestType: 0xc0, request, value: 0, index: 0 });

function plugIn() {
  const time = new VirtualTime();
  const model = new UsbCounter();
  return { time, model, device: memoryUsb(model, time) };
}

describe('the queue of a USB IN endpoint', () => {
  const packet = (length: number) => new Uint8Array(length).fill(length);

  it('completes a transfer only when it is full or ends with a short packet', () => {
    const queue = new UsbInQueue(64, 1000);
    queue.push(packet(64));
    expect(queue.take(128)).toBeNull();
    queue.push(packet(64));
    expect(queue.take(128)!.length).toBe(128);
    queue.push(packet(64));
    queue.push(packet(10));
    expect([...queue.take(512)!]).toEqual([...packet(64), ...packet(10)]);
    expect(queue.take(512)).toBeNull();
  });

  it('refuses packets beyond its capacity', () => {
    const queue = new UsbInQueue(64, 130);
    expect([queue.push(packet(64)), queue.push(packet(64)), queue.push(packet(3)), queue.push(packet(2))]).toEqual([
      true,
      true,
      false,
      true,
    ]);
    queue.clear();
    expect(queue.push(packet(64))).toBe(true);
  });
});

describe('a device model in memory', () => {
  it('answers control and bulk transfers', async () => {
    const { device } = plugIn();
    await device.controlOut(control(1), Uint8Array.of(1, 2, 3));
    expect([...(await device.controlIn(control(1), 2))]).toEqual([1, 2]);
    await device.bulkOut(0x02, Uint8Array.of(7, 8));
    expect([...(await device.bulkIn(0x81, 64))]).toEqual([7, 8]);
    expect(device).toMatchObject({ vendorId: 0x1209, productId: 1, serial: 'SIM-COUNTER-1' });
  });

  it('streams whole transfers in order', async () => {
    const { device, model, time } = plugIn();
    const chunks: Uint8Array[] = [];
    const stream = device.streamIn(0x82, { transfers: 4, transferLength: 1024 }, (chunk) => chunks.push(chunk));
    model.emit(5);
    await time.advance(1);
    expect(chunks.map((chunk) => chunk.length)).toEqual([1024, 1024]);
    expect(chunks.flatMap((chunk) => [...chunk]).every((byte, k) => byte === (k & 0xff))).toBe(true);
    await stream.stop();
    model.emit(5);
    await time.advance(1);
    expect(chunks.length).toBe(2);
  });

  it('turns a STALL, silence and the lack of data into typed errors', async () => {
    const { device, time } = plugIn();
    await expect(device.controlIn(control(5), 4)).rejects.toMatchObject({ code: 'device.refused' });
    await expect(time.run(device.controlIn(control(9), 4))).rejects.toMatchObject({ code: 'device.silent' });
    await expect(time.run(device.bulkIn(0x81, 4, 100))).rejects.toMatchObject({ code: 'device.silent' });
  });

  it('is lost when unplugged, also for what is under way', async () => {
    const { device, model } = plugIn();
    const reading = device.bulkIn(0x81, 4);
    const asking = device.controlIn(control(9), 4);
    model.unplug();
    await expect(reading).rejects.toMatchObject({ code: 'device.vanished' });
    await expect(asking).rejects.toMatchObject({ code: 'device.vanished' });
    expect(await device.closed).toMatchObject({ kind: 'lost', error: { code: 'device.vanished' } });
    await expect(device.controlIn(control(1), 4)).rejects.toMatchObject({ code: 'device.vanished' });
  });

  it('refuses everything after close()', async () => {
    const { device } = plugIn();
    await device.close();
    expect(await device.closed).toEqual({ kind: 'closed' });
    await expect(device.controlIn(control(1), 4)).rejects.toMatchObject({ code: 'transport.closed' });
  });
});
