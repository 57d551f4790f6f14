// Measures with an emulated Monsoon through libusb and tells what came, as one JSON line at the end.
import { Monsoon } from '../../../dist/instruments/monsoon/index.js';
import { openUsb } from '../../../dist/transport/usb-libusb.js';

const [seconds] = process.argv.slice(2);
const instrument = new Monsoon(await openUsb({ vendorId: 0x2ab9, productId: 0x0001 }));
const identity = await instrument.open();
await instrument.configure({ maxVoltage_V: 4 });
await instrument.supply.setVoltage(3.3);
await instrument.supply.on();

let samples = 0;
let charge_C = 0;
const gaps = [];
let failure = null;
instrument.samples$.subscribe({
  next: (chunk) => {
    if (chunk.kind === 'block') {
      samples += chunk.length;
      for (const current of chunk.current) charge_C += current * 200e-6;
    } else if (chunk.kind === 'gap') gaps.push([chunk.count, chunk.cause]);
  },
  error: (cause) => {
    failure = { code: cause.code, message: cause.message };
  },
});
await instrument.start();
for (let tenth = 0; tenth < Number(seconds) * 10 && failure === null; tenth++) {
  await new Promise((resolve) => setTimeout(resolve, 100));
}
await instrument.stop().catch(() => {});
await instrument.close();
process.stdout.write(`${JSON.stringify({ result: { identity, samples, charge_C, gaps, failure } })}\n`);
process.kill(process.pid, 'SIGKILL');
