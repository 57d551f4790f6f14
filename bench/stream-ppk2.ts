/**
 * An emulated PPK2 on a PTY at its full 100 kS/s: samples lost, memory, and the share of one core that Joulemark takes
 * (the emulator runs in a process of its own). Seconds to run: first argument, default 20.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Ppk2, Ppk2Emulator, ppk2BaudRate } from '../src/instruments/ppk2/index.ts';
import { SineSignal } from '../src/instruments/signals.ts';
import { openPty } from '../src/transport/pty.ts';
import { openSerial } from '../src/transport/serial.ts';
import { realTime, wait } from '../src/transport/time.ts';

if (process.argv[2] === 'emulator') {
  const pty = await openPty();
  const source = new SineSignal({ offset_A: 0.02, amplitude_A: 0.015, frequency_Hz: 50 }, { voltage_V: 3 });
  const emulator = new Ppk2Emulator(pty.device, { source, time: realTime });
  process.on('message', () => process.send!({ dropped: emulator.droppedBlocks * 512 }));
  process.send!({ path: pty.path });
} else {
  const seconds = Number(process.argv[2] ?? 20);
  const child = fork(fileURLToPath(import.meta.url), ['emulator']);
  const [{ path }] = (await once(child, 'message')) as [{ path: string }];
  const instrument = new Ppk2(await openSerial(path, { baudRate: ppk2BaudRate }));
  let samples = 0;
  let missing = 0;
  instrument.samples$.subscribe({
    next: (chunk) => {
      if (chunk.kind === 'block') samples += chunk.length;
      if (chunk.kind === 'gap') missing += chunk.count ?? Number.NaN;
    },
    error: (error) => {
      // On an overloaded machine the kernel itself delays PTYs for seconds.
      console.error(`${error.message} (after ${samples} samples)`);
      child.kill();
      process.exit(1);
    },
  });
  await instrument.open();
  await instrument.configure({ mode: 'ampere' });
  const memory_MB = () => process.memoryUsage().rss / 1e6;
  const [cpu, start_ns] = [process.cpuUsage(), realTime.now_ns()];
  await instrument.start();
  await wait(realTime, 2000);
  const early = memory_MB();
  let most = early;
  for (let s = 2; s < seconds; s++) {
    await wait(realTime, 1000);
    most = Math.max(most, memory_MB());
  }
  const elapsed_s = (realTime.now_ns() - start_ns) / 1e9;
  const used = process.cpuUsage(cpu);
  await instrument.close();
  child.send('report');
  const [{ dropped }] = (await once(child, 'message')) as [{ dropped: number }];
  child.kill();
  console.log(
    `${samples} samples in ${elapsed_s.toFixed(1)} s; ratio to 100 kS/s ${(samples / elapsed_s / 1e5).toFixed(4)}`,
  );
  console.log(`samples in gaps ${missing}; dropped by the emulator (host did not read in time) ${dropped}`);
  console.log(`CPU ${(((used.user + used.system) / 1e6 / elapsed_s) * 100).toFixed(1)} % of one core`);
  console.log(`resident memory ${early.toFixed(0)} MB after 2 s, at most ${most.toFixed(0)} MB`);
}
