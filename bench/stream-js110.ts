/**
 * An emulated JS110 over an emulated USB bus (umockdev) at its full 2 MS/s: samples lost, memory, and the share of one core
 * that Joulemark takes. The driver runs in a process of its own over libusb; the emulator runs here. Seconds to run: first
 * argument, default 20.
 */
import { join } from 'node:path';
import { Js110Emulator } from '../src/instruments/js110/index.ts';
import { SineSignal } from '../src/instruments/signals.ts';
import { realTime } from '../src/transport/time.ts';
import { serveUsbip } from '../src/transport/usbip-server.ts';
import { noUsbBus, UsbBedClient } from '../test/support/usbip/testbed.ts';

if (noUsbBus !== null) throw new Error(`no emulated USB bus: ${noUsbBus}`);
const seconds = Number(process.argv[2] ?? 20);
const source = new SineSignal({ offset_A: 0.02, amplitude_A: 0.015, frequency_Hz: 50 }, { voltage_V: 3 });
const emulator = new Js110Emulator({ source, time: realTime });
const server = await serveUsbip(emulator, { port: 0 });
const folder = join(import.meta.dirname, '..', '..', 'test', 'support', 'usbip');
const client = new UsbBedClient(server.port, 'js110.mjs', [String(seconds)], folder);
const { result } = await client.reply();
const memory = (client.notices as { second?: number; rss?: number }[]).filter((notice) => notice.rss !== undefined);
await client.end();
emulator.stop();
await server.close();
if (result.failure !== null) throw new Error(`the run ended early: ${result.failure.message}`);
console.log(
  `${result.samples} samples in ${seconds} s; ratio to 2 MS/s ${(result.samples / seconds / 2e6).toFixed(4)}`,
);
console.log(
  `samples in gaps ${result.missing}; frames that the emulator dropped because the bus was late ${emulator.lostFrames} (126 samples each)`,
);
const rss = memory.map((notice) => notice.rss! / 1e6);
console.log(`resident memory ${rss[2]?.toFixed(0)} MB after 3 s, at most ${Math.max(...rss).toFixed(0)} MB`);
console.log(`${((100 * result.cpu_s) / seconds).toFixed(1)} % of one core`);
process.exit();
