// Measures with an emulated JS110 through libusb and tells what came, one JSON line a second and one at the end.
import { Js110 } from '../../../dist/instruments/js110/index.js';
import { openUsb } from '../../../dist/transport/usb-libusb.js';

const [seconds, ...inputs] = process.argv.slice(2);
const reply = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const device = await openUsb({ vendorId: 0x16d0, productId: 0x0e88 });
const instrument = new Js110(device);
const identity = await instrument.open();
await instrument.configure({ logicInputs: inputs });

let samples = 0;
let missing = 0;
let unknownGaps = 0;
let charge_C = 0;
let firstTick = null;
const edges = [];
let error = null;
instrument.samples$.subscribe({
  next: (chunk) => {
    if (chunk.kind === 'block') {
      firstTick ??= chunk.firstTick;
      samples += chunk.length;
      for (const current of chunk.current) charge_C += current * 0.5e-6;
    } else if (chunk.kind === 'gap') {
      missing += chunk.count ?? 0;
      if (chunk.count === null) unknownGaps++;
    } else if (chunk.kind === 'edges') edges.push(...chunk.edges.map(({ tick, polarity }) => [tick, polarity]));
  },
  error: (cause) => {
    error = { code: cause.code, message: cause.message };
  },
});
const before = process.cpuUsage();
await instrument.start();
const state = () => {
  const { user, system } = process.cpuUsage(before);
  const cpu_s = (user + system) / 1e6;
  return { samples, missing, unknownGaps, charge_C, firstTick, cpu_s, rss: process.memoryUsage().rss, failure: error };
};
for (let second = 0; second < Number(seconds) && error === null; second++) {
  await new Promise((resolve) => setTimeout(resolve, 1000));
  reply({ second, ...state() });
}
const statistics = error === null ? await instrument.readStatistics() : null;
await instrument.stop().catch(() => {});
await instrument.close();
reply({ result: { identity, edges, statistics, ...state() } });
process.kill(process.pid, 'SIGKILL');
