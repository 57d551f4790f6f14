// Opens an emulated device with the real libusb binding and answers one JSON line a command from stdin.
import { createInterface } from 'node:readline';
import { listUsb, openUsb } from '../../../dist/transport/usb-libusb.js';

const [vendorId, productId] = process.argv.slice(2, 4).map(Number);
const reply = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const hex = (bytes) => Buffer.from(bytes).toString('hex');

let device = null;
let stream = null;
let received = 0;
let wrong = 0;

const commands = {
  list: () => listUsb([{ vendorId, productId }]),
  open: async (serial) => {
    device = await openUsb({ vendorId, productId, ...(serial ? { serial } : {}) });
    device.closed.then((reason) => reply({ closed: reason.kind, code: reason.error?.code ?? null }));
    return { name: device.name, serial: device.serial };
  },
  in: async (request, length) =>
    hex(await device.controlIn({ requestType: 0xc0, request, value: 0, index: 0 }, length)),
  silent: async () => device.controlIn({ requestType: 0xc0, request: 9, value: 0, index: 0 }, 4, 300),
  out: async (request, data) =>
    (await device.controlOut({ requestType: 0x40, request, value: 0, index: 0 }, Buffer.from(data, 'hex'))) ?? 'ok',
  bulkIn: async (length) => hex(await device.bulkIn(0x81, length)),
  bulkOut: async (data) => (await device.bulkOut(0x02, Buffer.from(data, 'hex'))) ?? 'ok',
  stream: async (transfers, transferLength) => {
    stream = device.streamIn(0x82, { transfers, transferLength }, (chunk) => {
      for (const byte of chunk) if (byte !== (received++ & 0xff)) wrong++;
    });
    return 'ok';
  },
  count: async () => ({ received, wrong, cpu_ms: process.cpuUsage().user / 1000, rss: process.memoryUsage().rss }),
  stop: async () => {
    await stream.stop();
    return { received, wrong };
  },
  close: async () => {
    await device.close();
    return 'ok';
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name, ...args] = JSON.parse(line);
  try {
    reply({ result: await commands[name](...args) });
  } catch (error) {
    reply({ error: { code: error.code ?? null, message: error.message, remedy: error.remedy ?? null } });
  }
}
// The event thread of libusb does not always end on a test bed.
process.kill(process.pid, 'SIGKILL');
